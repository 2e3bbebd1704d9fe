"""
A double of Anthropic's Messages API.

Written from https://platform.claude.com/docs/en/api/messages, …/build-with-claude/streaming and
…/api/errors.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import ragcore
from ragcore import Retry
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

MODEL = "claude-haiku-5-5"
KEY = "sk-ant-canary-0"
REQUEST_ID = "req_011CSHoEeqs5C35K2UUqR7Fy"

_STOP_REASONS = {
    "stop": "end_turn",
    "length": "max_tokens",
    "content_filter": "refusal",
    "refusal": "refusal",
}
_TYPES = {
    400: "invalid_request_error",
    401: "authentication_error",
    402: "billing_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    500: "api_error",
    504: "timeout_error",
    529: "overloaded_error",
}


class AnthropicService(Service):
    """Answers ``POST /v1/messages`` and ``GET /v1/models``."""

    models = ("claude-opus-5-5", "claude-haiku-5-5")

    async def reply(self, request: Request, reply: Reply, connection: Connection) -> None:
        path = request.path.partition("?")[0]
        if (request.method, path) == ("GET", "/v1/models") and not isinstance(reply, Failure):
            await self._send(connection, 200, self._models())
        elif (request.method, path) not in (("POST", "/v1/messages"), ("GET", "/v1/models")):
            await self._send(connection, 404, _error(Failure(404, f"{path} is not there")))
        else:
            await self._message(request, reply, connection)

    async def _message(self, request: Request, reply: Reply, connection: Connection) -> None:
        streams = request.method == "POST" and request.json.get("stream", False)
        match reply:
            case Failure(in_stream=False):
                await self._send(connection, reply.status, _error(reply), reply.headers)
            case Answer() if not streams:
                await self._send(connection, 200, message(request.json["model"], reply))
            case Answer():
                await self._stream(connection, events(request.json["model"], reply))
            case Failure():
                opened = events(request.json["model"], Answer("Goethe said"))[:4]
                await self._stream(connection, [*opened, _error(reply)])
            case Broken():
                await self._break(streams, reply, connection)
            case Vectors():
                raise AssertionError("Anthropic has no embeddings")

    async def _send(
        self, connection: Connection, status: int, body: Any, headers: dict[str, str] | None = None
    ) -> None:
        named = {"Content-Type": "application/json", "request-id": REQUEST_ID, **(headers or {})}
        await connection.respond(status, json.dumps(body).encode(), named)

    async def _begin(self, connection: Connection) -> None:
        headers = {"Content-Type": "text/event-stream; charset=utf-8", "request-id": REQUEST_ID}
        await connection.begin(headers)

    async def _stream(self, connection: Connection, said: list[dict[str, Any]]) -> None:
        await self._begin(connection)
        for event in said:
            await connection.chunk(encoded(event))
        await connection.finish()

    async def _break(self, streams: bool, reply: Broken, connection: Connection) -> None:
        if not streams:
            await connection.begin({"Content-Type": "application/json"})
            await connection.chunk(b'{"id": "msg_1", "type": "message", "con')
            await connection.break_off(reply.how)
            return
        await self._begin(connection)
        whole = events("claude", Answer("".join(reply.pieces), pieces=reply.pieces))
        for event in whole[: 3 + len(reply.pieces)]:
            await connection.chunk(encoded(event))
        if reply.how == "garbage":
            await connection.chunk(b'event: content_block_delta\ndata: {"type": "content_bl\n\n')
            for event in whole[3 + len(reply.pieces) :]:
                await connection.chunk(encoded(event))
        await connection.break_off(reply.how)

    def _models(self) -> dict[str, Any]:
        known = [
            {
                "type": "model",
                "id": name,
                "display_name": name,
                "created_at": "2026-02-19T00:00:00Z",
                "lifecycle": "active",
            }
            for name in self.models
        ]
        first, last = self.models[0], self.models[-1]
        return {"data": known, "has_more": False, "first_id": first, "last_id": last}


@asynccontextmanager
async def asked(
    service: AnthropicService, model: str = MODEL, **options: Any
) -> AsyncIterator[ragcore.CompletionModel]:
    """Open *model* of *service*; retries don't wait."""
    given = {
        "api_key": KEY,
        "base_url": service.url,
        "retry": Retry(attempts=3, wait_initial=0, wait_max=0),
        "timeout": 20,
    }
    async with ragcore.completion(f"anthropic:{model}", **given | options) as opened:
        yield opened


def encoded(event: dict[str, Any]) -> bytes:
    """Return *event* as a server-sent one."""
    return f"event: {event['type']}\ndata: {json.dumps(event)}\n\n".encode()


def message(model: str, answer: Answer) -> dict[str, Any]:
    """Return the answer in one piece."""
    thought = {"type": "thinking", "thinking": answer.reasoning, "signature": "EqQB"}
    text = {"type": "text", "text": answer.text}
    return {
        **_begun(model),
        "content": [thought] * bool(answer.reasoning) + [text] * bool(answer.text),
        "stop_reason": _STOP_REASONS[answer.finish],
        "usage": _input(answer) | _output(answer),
    }


def events(model: str, answer: Answer) -> list[dict[str, Any]]:
    """Return the answer as the events of a stream."""
    start = {
        "type": "message_start",
        "message": _begun(model) | {"usage": _input(answer) | {"output_tokens": 1}},
    }
    blocks: list[tuple[dict[str, Any], list[dict[str, Any]]]] = []
    if answer.reasoning:
        thoughts = {"type": "thinking_delta", "thinking": answer.reasoning}
        signature = {"type": "signature_delta", "signature": "EqQB"}
        empty = {"type": "thinking", "thinking": "", "signature": ""}
        blocks.append((empty, [thoughts, signature]))
    if answer.text:
        pieces = [{"type": "text_delta", "text": piece} for piece in answer.cut]
        blocks.append(({"type": "text", "text": ""}, pieces))
    delta = {"stop_reason": _STOP_REASONS[answer.finish], "stop_sequence": None}
    said: list[dict[str, Any]] = [start, {"type": "ping"}]
    for index, (block, deltas) in enumerate(blocks):
        said.append({"type": "content_block_start", "index": index, "content_block": block})
        said += [{"type": "content_block_delta", "index": index, "delta": one} for one in deltas]
        said.append({"type": "content_block_stop", "index": index})
    said.append({"type": "message_delta", "delta": delta, "usage": _output(answer)})
    return [*said, {"type": "message_stop"}]


def _begun(model: str) -> dict[str, Any]:
    return {
        "id": "msg_01XFDUDYJgAACzvnptvVoYEL",
        "type": "message",
        "role": "assistant",
        "model": model,
        "content": [],
        "stop_reason": None,
        "stop_sequence": None,
    }


def _input(answer: Answer) -> dict[str, Any]:
    return {
        "input_tokens": answer.input_tokens - answer.cached_input_tokens,
        "cache_creation_input_tokens": 0,
        "cache_read_input_tokens": answer.cached_input_tokens,
    }


def _output(answer: Answer) -> dict[str, Any]:
    details = {"thinking_tokens": answer.reasoning_tokens}
    return {"output_tokens": answer.output_tokens, "output_tokens_details": details}


def _error(failure: Failure) -> dict[str, Any]:
    kind = _TYPES.get(failure.status, "api_error")
    error: dict[str, Any] = {"type": kind, "message": failure.message}
    if failure.code in _TYPES.values():
        error["type"] = failure.code
    elif failure.code:
        error["details"] = {"error_code": failure.code}
    return {"type": "error", "error": error, "request_id": REQUEST_ID}


ANTHROPIC = Case(
    "anthropic",
    AnthropicService,
    lambda service: {"api_key": SECRET, "base_url": service.url},
    lambda service: {"ANTHROPIC_API_KEY": SECRET, "ANTHROPIC_BASE_URL": service.url},
    model="claude-haiku-5-5",
)
CASES = [ANTHROPIC]
