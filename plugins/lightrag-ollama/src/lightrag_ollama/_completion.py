"""
Answers by ``/api/chat``.

Source:
    https://docs.ollama.com/api/chat, https://docs.ollama.com/api/streaming
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterable
from contextlib import aclosing
from typing import Any, Literal

from lightrag_ollama._answers import JSON, parts, strange
from lightrag_ollama._connect import Servers
from lightrag_ollama._errors import Asked
from lightrag_ollama._models import answering
from lightrag_ollama.options import OllamaLLMOptions, entries
from ragcore import (
    Chunk,
    Completion,
    CompletionRequest,
    EmptyResponseError,
    FinishReason,
    InterruptedStreamError,
    JSONObject,
    Message,
    UnavailableError,
    UnsupportedError,
    Usage,
)
from ragcore.wire import count, finish_reason, text_and_thoughts


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
        chunks: list[Chunk] = []
        model = None
        try:
            async with aclosing(self._parts(request)) as each:
                async for part in each:
                    chunks.append(_chunk(part))
                    model = part.get("model") or model
        except InterruptedStreamError as exc:
            exc.text = exc.text or _text(chunks)
            raise
        if not chunks or chunks[-1].finish_reason is None:
            raise UnavailableError("the answer ended before the server said that it was done")
        return Completion(
            _text(chunks),
            finish_reason=chunks[-1].finish_reason,
            usage=chunks[-1].usage,
            reasoning="".join(chunk.reasoning for chunk in chunks),
            model=model if isinstance(model, str) else None,
        )

    async def stream(self, request: CompletionRequest) -> AsyncGenerator[Chunk, None]:
        """Answer *request* piece by piece."""
        async with aclosing(self._parts(request)) as each:
            async for part in each:
                yield _chunk(part)

    async def _parts(self, request: CompletionRequest) -> AsyncGenerator[JSON, None]:
        body, limits = self._body(request), _limits(request)
        limit, name = request.attempt_timeout, self._servers.name(self._model_name)
        async with answering(self._servers, self._model_name, limit, **limits) as client:
            response: Any = await client.chat(name, stream=True, **body)
            async with aclosing(response), aclosing(parts(response, client.asked)) as each:
                is_first = True
                async for part in each:
                    _check(part, client.asked, is_first=is_first)
                    is_first = False
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


def _check(part: JSON, asked: Asked, *, is_first: bool) -> None:
    """Raise the error that *part* stands for where it is no part of an answer."""
    if not isinstance(part.get("message"), dict) and not part.get("done"):
        raise strange(part, "part of an answer", asked)
    if is_first and part.get("done_reason") == "load" and not _chunk(part).text:
        raise EmptyResponseError("the server has loaded the model: there was nothing to answer")


def _text(chunks: Iterable[Chunk]) -> str:
    return "".join(chunk.text for chunk in chunks)


def _chunk(part: JSON) -> Chunk:
    """Return what a line of the answer says; it may say nothing."""
    message = part.get("message")
    message = message if isinstance(message, dict) else {"content": message}
    text, thought = text_and_thoughts(message.get("content"))
    thinking = message.get("thinking")
    reasoning = thinking if isinstance(thinking, str) and thinking else thought
    if not part.get("done"):
        return Chunk(text, reasoning)
    reason = _finish_reason(part.get("done_reason"))
    return Chunk(text, reasoning, finish_reason=reason, usage=_usage(part))


def _finish_reason(reason: object) -> FinishReason:
    # Servers before 0.1.33 give none.
    return finish_reason("stop" if reason in (None, "", "load") else reason)


def _usage(part: JSON) -> Usage | None:
    read, written = count(part, "prompt_eval_count"), count(part, "eval_count")
    if read is None and written is None:
        return None
    cached = count(part, "prompt_eval_cached_count") or 0
    return Usage(read or 0, written or 0, cached_input_tokens=cached)
