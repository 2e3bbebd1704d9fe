"""
A double of Ollama.

Source:
    https://docs.ollama.com/api: chat, embed, tags, show, version, streaming, errors.
"""

from __future__ import annotations

import json
from contextlib import AbstractAsyncContextManager
from typing import Any

import ragcore
from ragcore import CompletionModel, EmbeddingModel, Retry
from ragcore.testing import Delay
from ragcore.testing.contracts import SECRET, Case
from ragcore.testing.server import (
    Answer,
    Broken,
    Connection,
    Failure,
    Raw,
    Reply,
    Request,
    Service,
    Vectors,
)

MODEL = "llama3.2"
KEY = "ollama-canary-0"
AT_ONCE = Retry(attempts=3, wait_initial=0, wait_max=0)
_CREATED = "2026-11-22T00:00:00.000000Z"
# Ollama has no codes: what other services say by one, it says in a sentence.
_SENTENCES = {
    "context_length_exceeded": "the input length exceeds the context length",
    "insufficient_quota": "you have reached your weekly usage limit, upgrade for higher limits",
    "model_not_found": "model 'llama3.2' not found",
}
_ABOUT = ("/api/tags", "/api/show", "/api/version")


class OllamaService(Service):
    """
    Answers ``/api/chat`` and ``/api/embed`` by the replies, and what is about itself on its own.

    Attributes:
        models: Names that it has.
    """

    models: tuple[str, ...] = ("llama3.2:latest", "all-minilm:latest")

    def next_reply(self) -> Reply | Raw | Delay:
        """Take the next reply, unless what was asked is about the server."""
        if self.requests[-1].path in _ABOUT:
            return Answer()
        return super().next_reply()

    async def reply(self, request: Request, reply: Reply, connection: Connection) -> None:
        """Send *reply* in Ollama's format."""
        if request.path in _ABOUT:
            await _say(connection, self._about(request))
        elif isinstance(reply, Failure) and not reply.in_stream:
            body = json.dumps({"error": _sentence(reply)}).encode()
            await connection.respond(reply.status, body, reply.headers)
        elif request.path == "/api/embed":
            await _embed(request, reply, connection)
        elif request.json.get("stream", True):
            await _stream(request, reply, connection)
        else:
            await _whole(request, reply, connection)

    def _about(self, request: Request) -> dict[str, Any]:
        match request.path:
            case "/api/tags":
                return {"models": [{"name": name, "model": name} for name in self.models]}
            case "/api/show":
                return {"capabilities": ["completion"], "model_info": {}, "details": {}}
        return {"version": "0.40.0"}


def _sentence(reply: Failure) -> str:
    return _SENTENCES.get(reply.code, reply.message)


async def _say(connection: Connection, body: dict[str, Any]) -> None:
    headers = {"Content-Type": "application/json; charset=utf-8"}
    await connection.respond(200, json.dumps(body).encode(), headers)


async def _embed(request: Request, reply: Reply, connection: Connection) -> None:
    match reply:
        case Vectors():
            await _say(
                connection,
                {
                    "model": request.json["model"],
                    "embeddings": [list(row) for row in reply.rows],
                    "total_duration": 1,
                    "load_duration": 1,
                    "prompt_eval_count": reply.input_tokens,
                },
            )
        case Broken():
            await _break_off(connection, b'{"model": "x", "embeddings": [[0.1', reply)
        case _:
            raise AssertionError(reply)


async def _whole(request: Request, reply: Reply, connection: Connection) -> None:
    match reply:
        case Answer():
            said = {"content": reply.text, **_thinking(reply.reasoning)}
            await _say(connection, _line(request, said) | _end(reply))
        case Broken():
            await _break_off(connection, b'{"model": "x", "message": {"content": "Goe', reply)
        case _:
            raise AssertionError(reply)


async def _stream(request: Request, reply: Reply, connection: Connection) -> None:
    await connection.begin({"Content-Type": "application/x-ndjson"})

    async def send(line: dict[str, Any]) -> None:
        await connection.chunk(json.dumps(line).encode() + b"\n")

    match reply:
        case Answer():
            if reply.reasoning:
                await send(_line(request, {"content": "", **_thinking(reply.reasoning)}))
            for piece in reply.cut:
                await send(_line(request, {"content": piece}))
            await send(_line(request, {"content": ""}) | _end(reply))
            await connection.finish()
        case Failure():
            await send(_line(request, {"content": "Goe"}))
            await send({"error": _sentence(reply)})
            await connection.finish()
        case Broken():
            for piece in reply.pieces:
                await send(_line(request, {"content": piece}))
            if reply.how == "garbage":
                await connection.chunk(b'{"model": "x", "mess\n')
                await send(_line(request, {"content": "the"}) | _end(Answer()))
            await connection.break_off(reply.how)
        case Vectors():
            raise AssertionError(reply)


async def _break_off(connection: Connection, begun: bytes, reply: Broken) -> None:
    await connection.begin({"Content-Type": "application/json; charset=utf-8"})
    await connection.chunk(begun)
    await connection.break_off(reply.how)


def _line(request: Request, said: dict[str, Any]) -> dict[str, Any]:
    return {
        "model": request.json["model"],
        "created_at": _CREATED,
        "message": {"role": "assistant", **said},
        "done": False,
    }


def _thinking(reasoning: str) -> dict[str, str]:
    return {"thinking": reasoning} if reasoning else {}


def _end(reply: Answer) -> dict[str, Any]:
    # Ollama itself has no filter; what it passes on from its cloud might.
    reason = "content_filter" if reply.finish == "refusal" else reply.finish
    return {
        "done": True,
        "done_reason": reason,
        "total_duration": 1,
        "load_duration": 1,
        "prompt_eval_count": reply.input_tokens,
        "prompt_eval_cached_count": reply.cached_input_tokens,
        "prompt_eval_duration": 1,
        "eval_count": reply.output_tokens,
        "eval_duration": 1,
    }


def completion(
    service: OllamaService, model: str = MODEL, **options: Any
) -> AbstractAsyncContextManager[CompletionModel]:
    """Open a model of *service* that is tried three times, at once."""
    given = {"host": service.url, "retry": AT_ONCE, **options}
    return ragcore.completion(f"ollama:{model}", **given)


def embedding(
    service: OllamaService, model: str = "all-minilm", **options: Any
) -> AbstractAsyncContextManager[EmbeddingModel]:
    """Open an embedding model of *service* that is tried three times, at once."""
    given = {"host": service.url, "retry": AT_ONCE, **options}
    return ragcore.embedding(f"ollama:{model}", **given)


OLLAMA = Case(
    "ollama",
    OllamaService,
    lambda service: {"api_key": SECRET, "host": service.url},
    lambda service: {"OLLAMA_API_KEY": SECRET, "OLLAMA_HOST": service.url},
    model="llama3.2",
    embedding_model="all-minilm",
    address_option="host",
)
CASES = [OLLAMA]
