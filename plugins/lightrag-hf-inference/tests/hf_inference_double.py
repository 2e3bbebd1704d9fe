"""
A double of a dedicated endpoint: text-generation-inference and text-embeddings-inference.

Written from https://huggingface.co/docs/inference-providers/tasks/chat-completion,
…/tasks/feature-extraction and the two servers' OpenAPI pages.
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

TOKEN = "hf_canary0"
MODEL = "meta-llama/Llama-3.1-8B-Instruct"
REQUEST_ID = "Root=1-690b-hf"

_FINISH_REASONS = {
    "stop": "stop",
    "length": "length",
    "content_filter": "content_filter",
    "refusal": "content_filter",
}
_CHAT = "/v1/chat/completions"


class HFInferenceService(Service):
    """
    Answers chat completions and ``{"inputs": …}``.

    Attributes:
        longest: Texts of more characters are refused, or cut if the request says so.
    """

    longest: int | None = None

    async def reply(self, request: Request, reply: Reply, connection: Connection) -> None:
        if isinstance(reply, Failure) and not reply.in_stream:
            await self._send(connection, reply.status, error(reply), reply.headers)
        elif request.path == "/v1/models":
            await self._send(connection, 200, {"object": "list", "data": [{"id": MODEL}]})
        elif request.path.endswith(_CHAT):
            await self._chat(request, reply, connection)
        elif isinstance(reply, Broken):
            await connection.begin({"Content-Type": "application/json"})
            await connection.chunk(b"[[0.1, 0.")
            await connection.break_off(reply.how)
        elif isinstance(reply, Vectors):
            await self._embed(request, reply, connection)
        else:
            await self._send(connection, 404, {"error": f"{request.path}: not found"})

    async def _embed(self, request: Request, reply: Vectors, connection: Connection) -> None:
        asked = request.json
        texts = asked["inputs"]
        if self.longest and not asked["truncate"] and max(map(len, texts)) > self.longest:
            message = f"Input validation error: `inputs` must have less than {self.longest} tokens"
            await self._send(connection, 413, {"error": message, "error_type": "Validation"})
            return
        rows = [list(row) for row in reply.rows]
        spent = {"x-compute-tokens": str(reply.input_tokens)}
        await self._send(connection, 200, rows, spent)

    async def _chat(self, request: Request, reply: Reply, connection: Connection) -> None:
        streams = request.json.get("stream", False)
        match reply:
            case Answer() if not streams:
                await self._send(connection, 200, completion(reply))
            case Answer():
                await self._stream(connection, [*chunks(reply), "[DONE]"])
            case Failure():
                await self._stream(connection, [chunks(Answer())[1], error(reply)])
            case Broken():
                await self._break(streams, reply, connection)
            case Vectors():
                raise AssertionError("vectors are no completion")

    async def _send(
        self, connection: Connection, status: int, body: Any, headers: dict[str, str] | None = None
    ) -> None:
        named = {"Content-Type": "application/json", "x-request-id": REQUEST_ID, **(headers or {})}
        await connection.respond(status, json.dumps(body).encode(), named)

    async def _begin(self, connection: Connection) -> None:
        headers = {"Content-Type": "text/event-stream", "x-request-id": REQUEST_ID}
        await connection.begin(headers)

    async def _stream(self, connection: Connection, said: list[Any]) -> None:
        await self._begin(connection)
        for one in said:
            await connection.chunk(encoded(one))
        await connection.finish()

    async def _break(self, streams: bool, reply: Broken, connection: Connection) -> None:
        if not streams:
            await connection.begin({"Content-Type": "application/json"})
            await connection.chunk(b'{"object": "chat.completion", "cho')
            await connection.break_off(reply.how)
            return
        await self._begin(connection)
        whole = chunks(Answer("".join(reply.pieces), pieces=reply.pieces))
        for one in whole[: 1 + len(reply.pieces)]:
            await connection.chunk(encoded(one))
        if reply.how == "garbage":
            await connection.chunk(b'data: {"object": "chat.completion.chu\n\n')
            for one in whole[1 + len(reply.pieces) :]:
                await connection.chunk(encoded(one))
            await connection.chunk(encoded("[DONE]"))
        await connection.break_off(reply.how)


@asynccontextmanager
async def completing(
    service: HFInferenceService, model: str = MODEL, **options: Any
) -> AsyncIterator[ragcore.CompletionModel]:
    """Open *model* of *service*; retries don't wait."""
    given = {
        "token": TOKEN,
        "base_url": service.url,
        "retry": Retry(attempts=3, wait_initial=0, wait_max=0),
        "timeout": 20,
    }
    async with ragcore.completion(f"hf-inference:{model}", **given | options) as opened:
        yield opened


@asynccontextmanager
async def embedding(
    service: HFInferenceService, model: str = "BAAI/bge-small-en-v1.5", **options: Any
) -> AsyncIterator[ragcore.EmbeddingModel]:
    """Open the embedding *model* of *service*; retries don't wait."""
    given = {
        "token": TOKEN,
        "base_url": service.url,
        "retry": Retry(attempts=3, wait_initial=0, wait_max=0),
        "timeout": 20,
    }
    async with ragcore.embedding(f"hf-inference:{model}", **given | options) as opened:
        yield opened


def encoded(chunk: Any) -> bytes:
    """Return *chunk* as a server-sent event."""
    return f"data: {chunk if isinstance(chunk, str) else json.dumps(chunk)}\n\n".encode()


def completion(answer: Answer) -> dict[str, Any]:
    """Return the answer in one piece."""
    said = {"role": "assistant", "content": answer.text}
    if answer.reasoning:
        said["reasoning"] = answer.reasoning
    return {
        **_head("chat.completion"),
        "choices": [
            {
                "index": 0,
                "message": said,
                "logprobs": None,
                "finish_reason": _FINISH_REASONS[answer.finish],
            }
        ],
        "usage": _usage(answer),
    }


def chunks(answer: Answer) -> list[dict[str, Any]]:
    """Return the answer as the chunks of a stream: role, reasoning, text, end and usage."""
    deltas = [{"role": "assistant", "content": ""}]
    deltas += [{"content": "", "reasoning": answer.reasoning}] * bool(answer.reasoning)
    deltas += [{"content": piece} for piece in answer.cut if answer.text]
    said = [_chunk([{"index": 0, "delta": delta, "finish_reason": None}]) for delta in deltas]
    reason = _FINISH_REASONS[answer.finish]
    said.append(_chunk([{"index": 0, "delta": {"content": ""}, "finish_reason": reason}]))
    return [*said, _chunk([]) | {"usage": _usage(answer)}]


def _chunk(choices: list[Any]) -> dict[str, Any]:
    return {**_head("chat.completion.chunk"), "choices": choices}


def _head(kind: str) -> dict[str, Any]:
    return {
        "object": kind,
        "id": "",
        "created": 1763600000,
        "model": MODEL,
        "system_fingerprint": "3.3.6-sha-e2a7e9f",
    }


def _usage(answer: Answer) -> dict[str, Any]:
    return {
        "prompt_tokens": answer.input_tokens,
        "completion_tokens": answer.output_tokens,
        "total_tokens": answer.input_tokens + answer.output_tokens,
        "prompt_tokens_details": {"cached_tokens": answer.cached_input_tokens},
        "completion_tokens_details": {"reasoning_tokens": answer.reasoning_tokens},
    }


def error(failure: Failure) -> dict[str, Any]:
    """Return the error as text-generation-inference puts it."""
    if failure.in_stream:
        return {"error": {"message": failure.message, "http_status_code": failure.status}}
    body: dict[str, Any] = {"error": failure.message}
    return body | ({"error_type": failure.code} if failure.code else {})


HF_INFERENCE = Case(
    "hf-inference",
    HFInferenceService,
    lambda service: {"token": SECRET, "base_url": service.url},
    lambda service: {"HF_INFERENCE_TOKEN": SECRET, "HF_INFERENCE_BASE_URL": service.url},
    model="meta-llama/Llama-3.1-8B-Instruct",
    embedding_model="BAAI/bge-small-en-v1.5",
)
CASES = [HF_INFERENCE]
