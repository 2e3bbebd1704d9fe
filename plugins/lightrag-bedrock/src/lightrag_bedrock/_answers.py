"""
Reads what Bedrock answers, in the place of botocore's parser.

That parser takes an answer to be as the service's model says, and fails in many ways on any other.
"""

from __future__ import annotations

import itertools
import struct
from collections.abc import Iterator
from functools import partial
from typing import Any

from botocore.eventstream import EventStreamBuffer, EventStreamMessage, ParserError

from lightrag_bedrock._errors import of_answer
from ragcore import ProviderError, UnavailableError
from ragcore.wire import (
    decoded,
    described,
    object_in,
    reported,
    said,
    text_in,
    unlike,
    without_error,
)

Object = dict[str, Any]

_FAILURES = ("exception", "error")
_FIRST_ERROR = 300  # the status
_METADATA, _PROBLEM = "ResponseMetadata", "Problem"
_NOT_THE_SERVICES = ("Error", _METADATA, _PROBLEM)


def read_here(client: Any) -> None:
    """Have the answers to boto3's *client* read here."""
    client.meta.events.register("before-parse", partial(_read, client.meta.endpoint_url))


def _read(
    address: str,
    response_dict: Object,
    customized_response_dict: Object,
    operation_model: Any,
    **_: Any,
) -> None:
    """
    Put what an answer says into *customized_response_dict*, and leave nothing of it to parse.

    What botocore itself adds is kept: the metadata, and the bodies that are blobs.
    """
    body, found = response_dict["body"], customized_response_dict
    if response_dict["status_code"] >= _FIRST_ERROR:
        found.update(_failure(body, text_in(response_dict["headers"], "x-amzn-errortype")))
        found["Address"] = address
        response_dict["body"] = b"{}"
    elif operation_model.has_event_stream_output:
        found["stream"] = Events(body)
        # What botocore makes of it is a cycle, which would keep its connection open.
        response_dict["body"] = None
    elif isinstance(body, bytes):
        found.update(_said(body))
        response_dict["body"] = b"{}"


def _said(body: bytes) -> Object:
    try:
        answer = without_error(object_in(body, "JSON object"))
    except ProviderError as exc:
        # Raised here, it would keep botocore's frames, which show the request and its keys.
        return {_PROBLEM: exc.with_traceback(None)}
    return {name: part for name, part in answer.items() if name not in _NOT_THE_SERVICES}


def readable(answer: Object) -> Object:
    """
    Return the *answer* that a method of boto3's client returned.

    Raises:
        ProviderError: What came is no JSON object.
    """
    if problem := answer.get(_PROBLEM):
        raise problem
    return answer


def without_metadata(answer: Object) -> Object:
    """Return what the service said in *answer*."""
    return {name: part for name, part in answer.items() if name != _METADATA}


def _failure(body: bytes | str, code: str) -> Object:
    """Return the error that *body* describes, as botocore puts it; *code* came beside it."""
    words, codes = said(body)
    try:
        answer = decoded(body)
    except ProviderError:
        answer = None
    answer = answer if isinstance(answer, dict) else {}
    code = code.partition(":")[0] or text_in(answer, "__type") or next(iter(codes), "")
    message = text_in(answer, "message") or text_in(answer, "Message") or words
    return {
        "Error": {"Code": code, "Message": message},
        "originalStatusCode": answer.get("originalStatusCode"),
    }


class Events:
    """
    The events of a stream, each as an object under its name.

    A service that has not streamed its answer says all of it in one object.
    """

    def __init__(self, raw: Any) -> None:
        self._raw = raw

    def __iter__(self) -> Iterator[Object]:
        pieces = self._raw.stream()
        first = next(pieces, b"")
        # The length, with which an event begins, is below 2**24.
        if first[:1] != b"\0":
            yield _whole_answer(b"".join([first, *pieces]))
            return
        buffer = EventStreamBuffer()
        for piece in itertools.chain([first], pieces):
            buffer.add_data(piece)
            for message in _messages_in(buffer, piece):
                yield from _events_of(message)

    def close(self) -> None:
        """Close the body."""
        self._raw.close()


def _whole_answer(body: bytes) -> Object:
    answer = without_error(object_in(body, "stream of Converse"))
    if "output" not in answer:
        raise unlike(answer, "answer of Converse")
    return answer


def _messages_in(buffer: EventStreamBuffer, piece: bytes) -> Iterator[EventStreamMessage]:
    try:
        yield from buffer
    # The last three where the headers of an event are none.
    except (ParserError, LookupError, ValueError, struct.error) as exc:
        if piece.lstrip()[:1] in (b"{", b"<"):
            raise reported(piece, unknown=UnavailableError) from exc
        raise UnavailableError(f"an event of the stream is damaged: {described(exc)}") from exc


def _events_of(message: EventStreamMessage) -> Iterator[Object]:
    headers = message.headers
    if headers.get(":message-type") in _FAILURES:
        code = headers.get(":exception-type") or headers.get(":error-code") or ""
        body = message.payload or str(headers.get(":error-message") or "")
        raise of_answer(_failure(body, str(code)))
    kind, said_in = headers.get(":event-type"), message.payload or b"null"
    # Without a body it is a sign of life.
    if said_in.strip() != b"null":
        answer = object_in(said_in, "event of Converse")
        if not isinstance(kind, str):
            raise unlike(answer, "event of Converse")
        yield {kind: answer}
