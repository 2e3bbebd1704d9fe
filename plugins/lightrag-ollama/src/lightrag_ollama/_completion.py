"""
Answers by ``/api/chat``.

Source:
    https://docs.ollama.com/api/chat, https://docs.ollama.com/api/streaming
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any, Literal

import ollama

from lightrag_ollama._connect import Servers
from lightrag_ollama._models import answering
from lightrag_ollama.options import OllamaLLMOptions, entries
from ragcore import (
    Chunk,
    Completion,
    CompletionRequest,
    FinishReason,
    JSONObject,
    Message,
    ProviderError,
    UnavailableError,
    UnsupportedError,
    Usage,
)


class OllamaCompletion:
    """One model; one request an attempt."""

    def __init__(self, servers: Servers, model_name: str, options: OllamaLLMOptions) -> None:
        self._servers = servers
        self._model_name = model_name

    async def complete(self, request: CompletionRequest) -> Completion:
        """
        Answer *request*.

        The answer is streamed on the wire: a server that computes for long then differs from one
        that has stopped.
        """
        chunks, model = [], None
        async with aclosing(self._parts(request)) as parts:
            async for part in parts:
                chunks.append(_chunk(part))
                model = part.model or model
        if not chunks or chunks[-1].finish_reason is None:
            raise UnavailableError("the answer ended before the server said that it was done")
        return Completion(
            "".join(chunk.text for chunk in chunks),
            finish_reason=chunks[-1].finish_reason,
            usage=chunks[-1].usage,
            reasoning="".join(chunk.reasoning for chunk in chunks),
            model=model,
        )

    async def stream(self, request: CompletionRequest) -> AsyncGenerator[Chunk, None]:
        """Answer *request* piece by piece."""
        async with aclosing(self._parts(request)) as parts:
            async for part in parts:
                yield _chunk(part)

    async def _parts(self, request: CompletionRequest) -> AsyncGenerator[ollama.ChatResponse, None]:
        body = self._body(request)
        limit, name = request.attempt_timeout, self._servers.name(self._model_name)
        async with answering(self._servers, self._model_name, limit, streamed=True) as client:
            parts: Any = await client.sending(**_limits(request)).chat(name, stream=True, **body)
            async with aclosing(parts):
                async for part in parts:
                    yield part

    def _body(self, request: CompletionRequest) -> dict[str, Any]:
        options: OllamaLLMOptions = request.options
        given = entries(options)
        if request.max_output_tokens is not None:
            given["num_predict"] = request.max_output_tokens
        return {
            "messages": [_message(message) for message in request.messages],
            # A dict: the SDK's own Options drops what it does not know, min_p for one.
            "options": given or None,
            "format": self._format(request),
            "think": options.think,
            "keep_alive": options.keep_alive,
        }

    def _format(self, request: CompletionRequest) -> Literal["json"] | dict[str, Any] | None:
        wanted = request.response_format
        if wanted is None:
            return None
        if self._servers.is_cloud(self._model_name):
            raise UnsupportedError(
                f"response_format: Ollama's cloud does not follow it; name the model as "
                f"'{self._model_name}-cloud' and pass on_unsupported='prompt' to ask in words"
            )
        return "json" if isinstance(wanted, JSONObject) else dict(wanted.schema)


def _limits(request: CompletionRequest) -> dict[str, bool]:
    """
    Return what has the server refuse a conversation that is longer than its context.

    Left alone it drops the oldest part, before the answer ("truncate") or during it ("shift"), and
    says nothing. Servers before 0.12.6 do so in any case.

    Source:
        https://github.com/ollama/ollama/blob/main/api/types.go, ``ChatRequest``
    """
    options: OllamaLLMOptions = request.options
    return {} if options.overflow == "cut" else {"truncate": False, "shift": False}


def _message(message: Message) -> dict[str, Any]:
    if any(image.data is None for image in message.images):
        raise UnsupportedError(
            "images: Ollama does not fetch a url; read the image and pass Image.from_bytes()"
        )
    sent: dict[str, Any] = {"role": message.role, "content": message.content}
    if message.images:
        sent["images"] = [image.data for image in message.images]
    return sent


def _chunk(part: ollama.ChatResponse) -> Chunk:
    """Return what a line of the answer says; it may say nothing."""
    text, reasoning = part.message.content or "", part.message.thinking or ""
    if not part.done:
        return Chunk(text, reasoning)
    finish_reason = _finish_reason(part.done_reason)
    return Chunk(text, reasoning, finish_reason=finish_reason, usage=_usage(part))


# "load" answers a request without a question; servers before 0.1.33 give no reason.
_FINISH_REASONS: dict[str | None, FinishReason] = {
    None: "stop",
    "": "stop",
    "stop": "stop",
    "load": "stop",
    "length": "length",
    "content_filter": "content_filter",
}


def _finish_reason(done_reason: str | None) -> FinishReason:
    if done_reason not in _FINISH_REASONS:
        raise ProviderError(f"the answer ended for an unknown reason: {done_reason!r}")
    return _FINISH_REASONS[done_reason]


def _usage(part: ollama.ChatResponse) -> Usage | None:
    if part.prompt_eval_count is None and part.eval_count is None:
        return None
    cached: int | None = getattr(part, "prompt_eval_cached_count", None)
    return Usage(part.prompt_eval_count or 0, part.eval_count or 0, cached_input_tokens=cached or 0)
