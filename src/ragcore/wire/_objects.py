"""Reads the JSON objects that services answer with, whole and as the events of a stream."""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator, AsyncIterable
from contextlib import aclosing
from typing import Any

from ragcore.errors import ProviderError, UnavailableError
from ragcore.wire._answers import decoded
from ragcore.wire._readers import drained, event_stream
from ragcore.wire._reported import misdirected, reported
from ragcore.wire._said import said

Object = dict[str, Any]

# Stands for ``[DONE]`` among the objects of a stream.
DONE: Object = {}

_FIELD = re.compile(rb"\s*(data|event|id|retry)?:")


def object_in(body: str | bytes, address: str = "", option: str = "") -> Object:
    """
    Return the JSON object that *body* is.

    Args:
        body: The answer, or the data of an event.
        address: What was asked, for the error; see :func:`misdirected`.
        option: The user's option that holds the address.

    Raises:
        ProviderError: It is something else, or reports an error, as gateways do with status 200.
    """
    answer = decoded(body, address, option)
    if not isinstance(answer, dict):
        raise unlike(answer, "JSON object", address, option)
    return without_error(answer)


async def objects(
    pieces: AsyncIterable[bytes], label: str = "", address: str = "", option: str = ""
) -> AsyncGenerator[Object, None]:
    """
    Yield what the events of a stream say, up to :data:`DONE` or the end of the body.

    A service that has not streamed its answer says all of it in one object.

    Args:
        pieces: The body, cut anywhere.
        label: Its content type.
        address: What was asked, for the error of a body that is no stream.
        option: The user's option that holds the address.

    Raises:
        ProviderError: An event reports an error, or is no JSON object.
    """
    each = aiter(pieces)
    first = await anext(each, b"")
    if _is_whole(first, label):
        rest = [piece async for piece in each]
        yield object_in(b"".join([first, *rest]), address, option)
        return
    async with aclosing(event_stream(_joined(first, each))) as events:
        async for event in events:
            if event.data.lstrip().startswith("[DONE]"):
                yield DONE
                break
            if not event.says_nothing:
                yield object_in(event.data)
    await drained(each)


def _is_whole(first: bytes, label: str) -> bool:
    """Whether a body that begins with *first* is JSON: gateways call it events, and events JSON."""
    return first.lstrip().startswith(b"{") or ("json" in label and not _FIELD.match(first))


async def _joined(first: bytes, pieces: AsyncIterable[bytes]) -> AsyncGenerator[bytes, None]:
    yield first
    async for piece in pieces:
        yield piece


def unlike(answer: object, wanted: str, address: str = "", option: str = "") -> ProviderError:
    """
    Return the error that an *answer* stands for which is not what was *wanted*.

    What it says may name the class; else it is taken for damaged, and another may be whole. It
    names the *address* and its *option*, as :func:`misdirected` does, where they are given.
    """
    error = reported(answer, unknown=UnavailableError)
    error.args = (f"what came back is no {wanted}: {said(answer)[0] or repr(answer)[:80]}",)
    return misdirected(error, address, option) if address else error


def without_error(answer: Object) -> Object:
    """
    Return *answer*.

    Raises:
        ProviderError: It reports an error.
    """
    if error := answer.get("error"):
        # text-generation-inference names the kind beside the error.
        told = {"error": error, "error_type": answer.get("error_type")}
        raise reported(told, unknown=UnavailableError)
    return answer
