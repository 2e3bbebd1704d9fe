"""
A double of OpenAI's API, and of those that are like it.

Chat Completions, Responses, embeddings and models, at OpenAI's paths and at Azure's.
Formats: https://platform.openai.com/docs/api-reference
"""

from __future__ import annotations

import base64
import json
from typing import Any

import numpy as np

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

_EVENTS = {"Content-Type": "text/event-stream", "x-request-id": "req-1"}
_JSON = {"Content-Type": "application/json", "x-request-id": "req-1"}
_FINISH = {"refusal": "stop"}


class OpenAI(Service):
    """
    Answers as OpenAI does.

    Attributes:
        reasoning_field: What an answer's reasoning is called; OpenAI itself shows none.
        done: Whether a stream ends with ``[DONE]``.
        headers: Sent with whole answers, beside the usual.
    """

    reasoning_field = "reasoning_content"
    done = True
    headers: dict[str, str] | None = None

    @property
    def base_url(self) -> str:
        """What clients are told."""
        return f"{self.url}/v1"

    async def reply(self, request: Request, reply: Reply, connection: Connection) -> None:
        """Send *reply* in the format of the path that was asked."""
        path = request.path.partition("?")[0]
        if path.endswith("/models"):
            await _send(connection, _models())
        elif isinstance(reply, Failure) and not reply.in_stream:
            await _send(connection, {"error": _error(reply)}, reply.status, reply.headers)
        elif isinstance(reply, Vectors):
            await _send(connection, _embeddings(reply, request.json))
        elif path.endswith("/responses"):
            await self._respond(request, reply, connection)
        elif request.json.get("stream"):
            await self._stream(request, reply, connection)
        else:
            await self._complete(reply, connection)

    async def _complete(self, reply: Reply, connection: Connection) -> None:
        match reply:
            case Answer():
                await _send(connection, self._completion(reply), headers=self.headers)
            case Broken(how="garbage"):
                await connection.respond(200, b'{"choices": [{"mess', _JSON)
            case Broken():
                await connection.begin(_JSON)
                await connection.chunk(b'{"choices": [{"mess')
                await connection.break_off(reply.how)
            case _:
                raise AssertionError(reply)

    def _completion(self, answer: Answer) -> dict[str, Any]:
        message: dict[str, Any] = {"role": "assistant", "content": answer.text, "refusal": None}
        if answer.finish == "refusal":
            message |= {"content": None, "refusal": answer.text}
        if answer.reasoning:
            message[self.reasoning_field] = answer.reasoning
        return {
            "id": "chatcmpl-1",
            "object": "chat.completion",
            "created": 1,
            "model": "the-model",
            "choices": [
                {
                    "index": 0,
                    "message": message,
                    "finish_reason": _FINISH.get(answer.finish, answer.finish),
                    "logprobs": None,
                }
            ],
            "usage": _usage(answer),
        }

    async def _stream(self, request: Request, reply: Reply, connection: Connection) -> None:
        await connection.begin(_EVENTS)
        await _event(connection, _chunk({"role": "assistant", "content": ""}))
        match reply:
            case Answer():
                await self._stream_answer(request, reply, connection)
            case Failure():
                await _event(connection, _chunk({"content": "Goe"}))
                await _event(connection, {"error": _error(reply)})
                await connection.finish()
            case Broken():
                for piece in reply.pieces:
                    await _event(connection, _chunk({"content": piece}))
                if reply.how == "garbage":
                    await connection.chunk(b'data: {"choices": [{"del\n\n')
                await connection.break_off(reply.how)
            case _:
                raise AssertionError(reply)

    async def _stream_answer(
        self, request: Request, answer: Answer, connection: Connection
    ) -> None:
        if answer.reasoning:
            await _event(connection, _chunk({self.reasoning_field: answer.reasoning}))
        kind = "refusal" if answer.finish == "refusal" else "content"
        for piece in answer.cut:
            await _event(connection, _chunk({kind: piece}))
        await _event(connection, _chunk({}, _FINISH.get(answer.finish, answer.finish)))
        if (request.json.get("stream_options") or {}).get("include_usage"):
            await _event(connection, _chunk(None) | {"usage": _usage(answer)})
        if self.done:
            await connection.chunk(b"data: [DONE]\n\n")
        await connection.finish()

    async def _respond(self, request: Request, reply: Reply, connection: Connection) -> None:
        if request.json.get("stream"):
            await self._stream_response(reply, connection)
            return
        match reply:
            case Answer():
                await _send(connection, _response(reply))
            case Broken(how="garbage"):
                await connection.respond(200, b'{"output": [{"mess', _JSON)
            case Broken():
                await connection.begin(_JSON)
                await connection.chunk(b'{"output": [{"mess')
                await connection.break_off(reply.how)
            case _:
                raise AssertionError(reply)

    async def _stream_response(self, reply: Reply, connection: Connection) -> None:
        await connection.begin(_EVENTS)
        created = _response(Answer("")) | {"status": "in_progress", "output": []}
        await _typed(connection, "response.created", response=created)
        match reply:
            case Answer():
                if reply.reasoning:
                    kind = "response.reasoning_summary_text.delta"
                    await _typed(connection, kind, delta=reply.reasoning, **_PLACE)
                kind = "refusal" if reply.finish == "refusal" else "output_text"
                for piece in reply.cut:
                    await _typed(connection, f"response.{kind}.delta", delta=piece, **_PLACE)
                whole = _response(reply)
                await _typed(connection, f"response.{whole['status']}", response=whole)
            case Failure():
                await _typed(connection, "response.output_text.delta", delta="Goe", **_PLACE)
                await _typed(
                    connection, "error", code=reply.code, message=reply.message, param=None
                )
            case Broken():
                for piece in reply.pieces:
                    await _typed(connection, "response.output_text.delta", delta=piece, **_PLACE)
                if reply.how == "garbage":
                    await connection.chunk(b'data: {"type": "response.out\n\n')
                await connection.break_off(reply.how)
                return
            case _:
                raise AssertionError(reply)
        await connection.finish()


class Says(OpenAI):
    """Answers with these bodies, whatever was asked."""

    def __init__(self, *bodies: Any, content_type: str = "application/json") -> None:
        super().__init__(Answer())
        self.bodies = bodies
        self.content_type = content_type

    async def reply(self, request: Request, reply: Reply, connection: Connection) -> None:
        said = b"".join(
            body if isinstance(body, bytes) else json.dumps(body).encode() for body in self.bodies
        )
        await connection.respond(200, said, {"Content-Type": self.content_type})


def events(*bodies: Any) -> Says:
    """Answer with these bodies as events; bytes are sent as they are."""
    said = [
        body if isinstance(body, bytes) else f"data: {json.dumps(body)}\n\n".encode()
        for body in bodies
    ]
    return Says(*said, content_type="text/event-stream")


def saying(message: Any, finish: str | None = "stop", **more: Any) -> dict[str, Any]:
    """Return a whole chat completion."""
    choice = {"index": 0, "message": message, "finish_reason": finish}
    return {"object": "chat.completion", "model": "m", "choices": [choice]} | more


def chunk(delta: Any, finish: str | None = None, **more: Any) -> dict[str, Any]:
    """Return a part of a streamed one."""
    choice = {"index": 0, "delta": delta, "finish_reason": finish}
    return {"object": "chat.completion.chunk", "model": "m", "choices": [choice]} | more


class AzureOpenAI(OpenAI):
    """Answers as Azure does: a first chunk without choices, and what the filter thought."""

    @property
    def base_url(self) -> str:
        """The resource's address."""
        return self.url

    async def _stream_answer(
        self, request: Request, answer: Answer, connection: Connection
    ) -> None:
        filtered = {"prompt_index": 0, "content_filter_results": {}}
        await _event(connection, _chunk(None) | {"prompt_filter_results": [filtered]})
        await super()._stream_answer(request, answer, connection)


_PLACE = {"item_id": "msg-1", "output_index": 0, "content_index": 0, "summary_index": 0}


async def _send(
    connection: Connection, body: Any, status: int = 200, headers: dict[str, str] | None = None
) -> None:
    await connection.respond(status, json.dumps(body).encode(), _JSON | (headers or {}))


async def _event(connection: Connection, data: Any) -> None:
    await connection.chunk(b"data: " + json.dumps(data).encode() + b"\n\n")


async def _typed(connection: Connection, kind: str, **data: Any) -> None:
    body = json.dumps({"type": kind, "sequence_number": 1} | data)
    await connection.chunk(f"event: {kind}\ndata: {body}\n\n".encode())


def _error(failure: Failure) -> dict[str, Any]:
    kind = {429: "rate_limit_error", 400: "invalid_request_error"}.get(
        failure.status, "server_error"
    )
    return {
        "message": failure.message,
        "type": failure.code or kind,
        "param": None,
        "code": failure.code or None,
    }


def _usage(answer: Answer) -> dict[str, Any]:
    return {
        "prompt_tokens": answer.input_tokens,
        "completion_tokens": answer.output_tokens,
        "total_tokens": answer.input_tokens + answer.output_tokens,
        "prompt_tokens_details": {"cached_tokens": answer.cached_input_tokens},
        "completion_tokens_details": {"reasoning_tokens": answer.reasoning_tokens},
    }


def _chunk(delta: dict[str, Any] | None, finish: str | None = None) -> dict[str, Any]:
    choices = [{"index": 0, "delta": delta, "finish_reason": finish}] if delta is not None else []
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion.chunk",
        "created": 1,
        "model": "the-model",
        "choices": choices,
    }


def _response(answer: Answer) -> dict[str, Any]:
    content: dict[str, Any] = {"type": "output_text", "text": answer.text, "annotations": []}
    if answer.finish == "refusal":
        content = {"type": "refusal", "refusal": answer.text}
    output: list[dict[str, Any]] = []
    if answer.reasoning:
        summary = [{"type": "summary_text", "text": answer.reasoning}]
        output.append({"type": "reasoning", "id": "rs-1", "summary": summary})
    output.append(
        {
            "type": "message",
            "id": "msg-1",
            "role": "assistant",
            "status": "completed",
            "content": [content] if answer.text else [],
        }
    )
    cut = {"length": "max_output_tokens", "content_filter": "content_filter"}.get(answer.finish)
    return {
        "id": "resp-1",
        "object": "response",
        "created_at": 1,
        "model": "the-model",
        "status": "incomplete" if cut else "completed",
        "error": None,
        "incomplete_details": {"reason": cut} if cut else None,
        "output": output,
        "usage": {
            "input_tokens": answer.input_tokens,
            "output_tokens": answer.output_tokens,
            "total_tokens": answer.input_tokens + answer.output_tokens,
            "input_tokens_details": {"cached_tokens": answer.cached_input_tokens},
            "output_tokens_details": {"reasoning_tokens": answer.reasoning_tokens},
        },
    }


def _embeddings(vectors: Vectors, asked: Any) -> dict[str, Any]:
    rows = [
        {
            "object": "embedding",
            "index": index,
            "embedding": _encoded(vectors.rows[index], asked.get("encoding_format", "float")),
        }
        for index in vectors.order or range(len(vectors.rows))
    ]
    return {
        "object": "list",
        "model": "the-model",
        "data": rows,
        "usage": {"prompt_tokens": vectors.input_tokens, "total_tokens": vectors.input_tokens},
    }


def _encoded(row: Any, encoding: str) -> Any:
    if encoding == "float" or not all(type(number) is float for number in row):
        return list(row)
    return base64.b64encode(np.asarray(row, "<f4").tobytes()).decode()


def _models() -> dict[str, Any]:
    models = [
        {"id": name, "object": "model", "created": 1, "owned_by": "x"}
        for name in ("the-model", "another")
    ]
    return {"object": "list", "data": models}


def _options(service: Service) -> dict[str, Any]:
    return {"api_key": SECRET, "base_url": f"{service.url}/v1"}


OPENAI = Case(
    "openai",
    OpenAI,
    _options,
    lambda service: {"OPENAI_API_KEY": SECRET, "OPENAI_BASE_URL": f"{service.url}/v1"},
    model="any-model",
    embedding_model="any-model",
)
AZURE = Case(
    "azure",
    AzureOpenAI,
    lambda service: {"api_key": SECRET, "endpoint": service.url},
    lambda service: {"AZURE_OPENAI_API_KEY": SECRET, "AZURE_OPENAI_ENDPOINT": service.url},
    model="any-model",
    embedding_model="any-model",
    address_option="endpoint",
)
LLAMACPP = Case(
    "llamacpp",
    OpenAI,
    _options,
    lambda service: {"LLAMACPP_API_KEY": SECRET, "LLAMACPP_BASE_URL": f"{service.url}/v1"},
    model="any-model",
    embedding_model="any-model",
)
DEEPSEEK = Case(
    "deepseek",
    OpenAI,
    _options,
    lambda service: {"DEEPSEEK_API_KEY": SECRET, "DEEPSEEK_BASE_URL": f"{service.url}/v1"},
    model="any-model",
)
CASES = [OPENAI, AZURE, LLAMACPP, DEEPSEEK]
