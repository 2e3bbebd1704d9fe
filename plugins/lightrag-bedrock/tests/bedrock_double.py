"""
Amazon Bedrock's double: Converse, ConverseStream, InvokeModel for embeddings, and the lists.

Source:
    https://docs.aws.amazon.com/bedrock/latest/APIReference/welcome.html; the event stream's layout:
    https://smithy.io/2.0/aws/amazon-eventstream.html
"""

from __future__ import annotations

import json
import struct
import zlib
from typing import Any
from urllib.parse import unquote

from ragcore.testing.contracts import SECRET, Case
from ragcore.testing.server import (
    Answer,
    Broken,
    Connection,
    Failure,
    Reply,
    Request,
    Service,
    Vectors,
)

_STOP_REASONS = {
    "stop": "end_turn",
    "length": "max_tokens",
    "content_filter": "content_filtered",
    "refusal": "guardrail_intervened",
}

# What the service names an error where a reply does not: by status.
_CODES = {
    400: "ValidationException",
    401: "UnrecognizedClientException",
    403: "AccessDeniedException",
    404: "ResourceNotFoundException",
    408: "ModelTimeoutException",
    424: "ModelErrorException",
    429: "ThrottlingException",
    500: "InternalServerException",
    503: "ServiceUnavailableException",
}

# Errors that the stream's model names; others come without a model.
_IN_STREAM = (
    "internalServer",
    "modelStreamError",
    "validation",
    "throttling",
    "serviceUnavailable",
)

_STRING = 7


class Bedrock(Service):
    """Answers at ``/model/{id}/converse``, ``/converse-stream``, ``/invoke``, and lists models."""

    models: tuple[dict[str, Any], ...] = ()
    profiles: tuple[dict[str, Any], ...] = ()
    _rows_sent = 0

    async def reply(self, request: Request, reply: Reply, connection: Connection) -> None:
        """Send *reply* as Bedrock would."""
        path = unquote(request.path)
        match reply:
            case Failure(in_stream=False):
                await self._fail(reply, connection)
            case _ if path.startswith("/foundation-models"):
                await _send(connection, {"modelSummaries": list(self.models)})
            case _ if path.startswith("/inference-profiles"):
                await _send(connection, {"inferenceProfileSummaries": list(self.profiles)})
            case _ if path.endswith("/converse-stream"):
                await self._stream(reply, connection)
            case Broken():
                await self._break(reply, connection)
            case Answer() if path.endswith("/converse"):
                await _send(connection, _converse(reply))
            case Vectors() if path.endswith("/invoke"):
                await self._vectors(request, reply, connection)
            case _:
                raise AssertionError(f"Bedrock's double does not know {path}: {reply}")

    async def _fail(self, reply: Failure, connection: Connection) -> None:
        code = reply.code or _CODES.get(reply.status, "")
        headers = {"Content-Type": "application/json", **_ID, **reply.headers}
        if code:
            headers["x-amzn-ErrorType"] = f"{code}:http://internal.amazon.com/"
        body = json.dumps({"message": reply.message}).encode()
        await connection.respond(reply.status, body, headers)

    async def _break(self, reply: Broken, connection: Connection) -> None:
        if reply.how == "garbage":
            await connection.respond(200, b"{ no JSON", {"Content-Type": "application/json"})
            return
        await connection.begin({"Content-Type": "application/json"})
        await connection.chunk(b'{"output": {"message"')
        await connection.break_off(reply.how)

    async def _stream(self, reply: Reply, connection: Connection) -> None:
        await connection.begin({"Content-Type": "application/vnd.amazon.eventstream", **_ID})
        await connection.chunk(event("messageStart", {"role": "assistant"}))
        match reply:
            case Answer():
                for each in _events(reply):
                    await connection.chunk(each)
                await connection.finish()
            case Failure():
                await connection.chunk(_delta("Goe"))
                await connection.chunk(_failed(reply))
                await connection.finish()
            case Broken():
                for piece in reply.pieces:
                    await connection.chunk(_delta(piece))
                if reply.how == "garbage":
                    whole = bytearray(_delta("the"))
                    whole[-6] ^= 0xFF
                    await connection.chunk(bytes(whole))
                await connection.break_off(reply.how)
            case _:
                raise AssertionError(f"Bedrock does not stream {reply}")

    async def _vectors(self, request: Request, reply: Vectors, connection: Connection) -> None:
        headers = {"X-Amzn-Bedrock-Input-Token-Count": str(reply.input_tokens)}
        rows = [list(row) for row in reply.rows]
        if "inputText" in request.json:
            # One text a request, so one row a request, in the order in which they come.
            vector = rows[self._rows_sent % len(rows)]
            self._rows_sent += 1
            body: dict[str, Any] = {"embedding": vector, "inputTextTokenCount": reply.input_tokens}
        else:
            found: Any = rows
            kind = "embeddings_floats"
            if request.json.get("embedding_types"):
                found, kind = {"float": rows}, "embeddings_by_type"
            texts = request.json["texts"]
            body = {"id": "1", "texts": texts, "embeddings": found, "response_type": kind}
        await _send(connection, body, headers)


_ID = {"x-amzn-RequestId": "request-1"}


async def _send(
    connection: Connection, body: dict[str, Any], headers: dict[str, str] | None = None
) -> None:
    headers = {"Content-Type": "application/json", **_ID, **(headers or {})}
    await connection.respond(200, json.dumps(body).encode(), headers)


def _converse(reply: Answer) -> dict[str, Any]:
    content: list[dict[str, Any]] = []
    if reply.reasoning:
        content.append({"reasoningContent": {"reasoningText": {"text": reply.reasoning}}})
    content += [{"text": piece} for piece in reply.cut]
    return {
        "output": {"message": {"role": "assistant", "content": content}},
        "stopReason": _STOP_REASONS[reply.finish],
        "usage": _usage(reply),
        "metrics": {"latencyMs": 1},
    }


def _usage(reply: Answer) -> dict[str, int]:
    # What the cache had is not in inputTokens, and is in totalTokens.
    return {
        "inputTokens": reply.input_tokens - reply.cached_input_tokens,
        "outputTokens": reply.output_tokens,
        "totalTokens": reply.input_tokens + reply.output_tokens,
        "cacheReadInputTokens": reply.cached_input_tokens,
    }


def _events(reply: Answer) -> list[bytes]:
    thought = [{"reasoningContent": {"text": reply.reasoning}}] if reply.reasoning else []
    said = [{"text": piece} for piece in reply.cut]
    metadata = {"usage": _usage(reply), "metrics": {"latencyMs": 1}}
    return [
        *(
            event("contentBlockDelta", {"delta": delta, "contentBlockIndex": 0})
            for delta in (*thought, *said)
        ),
        event("contentBlockStop", {"contentBlockIndex": 0}),
        event("messageStop", {"stopReason": _STOP_REASONS[reply.finish]}),
        event("metadata", metadata),
    ]


def _delta(text: str) -> bytes:
    return event("contentBlockDelta", {"delta": {"text": text}, "contentBlockIndex": 0})


def _failed(reply: Failure) -> bytes:
    code = reply.code or _CODES.get(reply.status, "internalServerException")
    code = code[0].lower() + code[1:]
    if code.removesuffix("Exception") in _IN_STREAM:
        return exception(code, reply.message)
    return error(code, reply.message)


# --- the event stream ------------------------------------------------------------------------


def event(kind: str, payload: dict[str, Any]) -> bytes:
    """Return one event of a stream."""
    headers = {":event-type": kind, ":content-type": "application/json", ":message-type": "event"}
    return frame(headers, json.dumps(payload).encode())


def exception(code: str, message: str) -> bytes:
    """Return an error as the service reports it inside a stream."""
    headers = {
        ":exception-type": code,
        ":content-type": "application/json",
        ":message-type": "exception",
    }
    return frame(headers, json.dumps({"message": message}).encode())


def error(code: str, message: str) -> bytes:
    """Return an error that is not modelled."""
    return frame({":error-code": code, ":error-message": message, ":message-type": "error"}, b"")


def frame(headers: dict[str, str], payload: bytes) -> bytes:
    """Return a message of the event stream: prelude, headers, payload, each checked by a CRC."""
    packed = b"".join(
        struct.pack("!B", len(name))
        + name.encode()
        + struct.pack("!BH", _STRING, len(value))
        + value.encode()
        for name, value in headers.items()
    )
    prelude = struct.pack("!II", 16 + len(packed) + len(payload), len(packed))
    checked = prelude + struct.pack("!I", zlib.crc32(prelude)) + packed + payload
    return checked + struct.pack("!I", zlib.crc32(checked))


BEDROCK = Case(
    "bedrock",
    Bedrock,
    lambda service: {
        "access_key_id": "AKIDTEST",
        "secret_access_key": SECRET,
        "region": "us-east-1",
        "endpoint_url": service.url,
    },
    lambda service: {
        "AWS_ACCESS_KEY_ID": "AKIDTEST",
        "AWS_SECRET_ACCESS_KEY": SECRET,
        "AWS_REGION": "us-east-1",
        "AWS_ENDPOINT_URL_BEDROCK_RUNTIME": service.url,
    },
    model="anthropic.claude-haiku-4-5-20251001-v1:0",
    embedding_model="cohere.embed-english-v3",
    address_option="endpoint_url",
    # The service's own statuses say other things than HTTP's.
    statuses={400: 1, 403: 1, 404: 1, 429: 3, 500: 3, 503: 3},
)
CASES = [BEDROCK]
