"""
Chat Completions.

Wire format: https://platform.openai.com/docs/api-reference/chat
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from typing import Any

from lightrag_openai._client import JSON, Client, without_error
from lightrag_openai._responses import Responses
from lightrag_openai._schema import strict
from lightrag_openai.options import ChatOptions
from ragcore import (
    Chunk,
    Completion,
    CompletionBackend,
    CompletionRequest,
    ContentFilterError,
    FinishReason,
    InterruptedStreamError,
    JSONObject,
    JSONSchema,
    Message,
    ProviderError,
    UnavailableError,
    UnsupportedError,
    Usage,
)

_PATH = "/chat/completions"


def open_completion(client: Client, model_name: str, options: ChatOptions) -> CompletionBackend:
    """Return what asks the API that *options* name."""
    asks = Responses if options.api == "responses" else ChatCompletions
    return asks(client, model_name, options)


class ChatCompletions:
    """Asks for chat completions."""

    def __init__(self, client: Client, model_name: str, options: ChatOptions) -> None:
        self._client = client
        self._model = client.name_of(model_name)

    async def complete(self, request: CompletionRequest) -> Completion:
        """Answer in one piece."""
        answer, request_id = await self._client.answer(_PATH, self._body(request))
        return _completion(answer, request_id)

    async def stream(self, request: CompletionRequest) -> AsyncGenerator[Chunk, None]:
        """Answer piece by piece; what the service sends after the end is only its usage."""
        body = self._body(request)
        if self._client.row.stream_usage:
            body = {"stream_options": {"include_usage": True}} | body
        reading = _Reading()
        async with aclosing(self._client.events(_PATH, body)) as events:
            async for event in events:
                if chunk := reading.read(event):
                    yield chunk
        if last := reading.end():
            yield last

    def _body(self, request: CompletionRequest) -> JSON:
        row = self._client.row
        body: JSON = {
            "model": self._model,
            "messages": [_message(message) for message in request.messages],
        }
        for name, value in request.options.asdict().items():
            if name in ("api", "extra_body"):
                continue
            if name in row.refuses or name in _RESPONSES_ONLY:
                raise UnsupportedError(
                    f"{row.name}:{self._model}: {name}: it takes no such option."
                )
            body[row.renames.get(name, name)] = value
        if request.max_output_tokens is not None:
            body[row.max_tokens] = request.max_output_tokens
        if request.response_format is not None:
            body["response_format"] = _format(request.response_format, row.strict_schemas)
        return body | (request.options.extra_body or {})


def _completion(answer: JSON, request_id: str | None) -> Completion:
    match answer.get("choices"):
        case [dict(choice), *_]:
            message = without_error(choice).get("message") or {}
        case _:
            raise ProviderError(f"what came back is no chat completion: {str(answer)[:200]!r}")
    text, refusal = message.get("content") or "", message.get("refusal")
    if refusal and not text:
        raise ContentFilterError(f"the model refused: {refusal}")
    reason = _finish_reason(choice.get("finish_reason"))
    return Completion(
        text=text,
        finish_reason="content_filter" if refusal else reason,
        usage=_usage(answer.get("usage")),
        reasoning=_reasoning_of(message),
        model=answer.get("model"),
        request_id=request_id,
    )


class _Reading:
    """What has been read of a stream."""

    def __init__(self) -> None:
        self._reason: FinishReason | None = None
        self._usage: Usage | None = None
        self._refusal = ""
        self._said = False

    def read(self, event: JSON) -> Chunk | None:
        """Return what *event* adds to the answer, or None if that is nothing yet."""
        if usage := event.get("usage"):
            self._usage = _usage(usage)
        match event.get("choices"):
            case [dict(choice), *_]:
                return self._chunk(without_error(choice))
            case []:
                return None
        raise InterruptedStreamError(f"an event is none of a chat: {str(event)[:200]!r}")

    def _chunk(self, choice: JSON) -> Chunk | None:
        if reason := choice.get("finish_reason"):
            self._reason = _finish_reason(reason)
        # Some leave it out of the chunk with the reason.
        delta = choice.get("delta") or {}
        self._refusal += delta.get("refusal") or ""
        text, reasoning = delta.get("content") or "", _reasoning_of(delta)
        self._said = self._said or bool(text)
        return Chunk(text, reasoning) if text or reasoning else None

    def end(self) -> Chunk | None:
        """Return the last chunk; None where the service gave no reason for the end."""
        if self._refusal and not self._said:
            raise ContentFilterError(f"the model refused: {self._refusal}")
        reason = "content_filter" if self._refusal else self._reason
        return Chunk(finish_reason=reason, usage=self._usage) if reason else None


_RESPONSES_ONLY = ("reasoning_summary",)


def _message(message: Message) -> JSON:
    if not message.images:
        return {"role": message.role, "content": message.content}
    text = [{"type": "text", "text": message.content}] if message.content else []
    images = [{"type": "image_url", "image_url": {"url": one.data_url}} for one in message.images]
    return {"role": message.role, "content": [*text, *images]}


def _format(wanted: JSONObject | JSONSchema, strict_schemas: bool) -> JSON:
    if isinstance(wanted, JSONObject):
        return {"type": "json_object"}
    schema, is_strict = strict(wanted) if strict_schemas else (dict(wanted.schema), wanted.strict)
    return {
        "type": "json_schema",
        "json_schema": {"name": wanted.name, "schema": schema, "strict": is_strict},
    }


_FINISH_REASONS: Mapping[str, FinishReason] = {
    "stop": "stop",
    "eos": "stop",
    "eos_token": "stop",
    "stop_sequence": "stop",
    "tool_calls": "stop",
    "function_call": "stop",
    "length": "length",
    "max_tokens": "length",
    "model_length": "length",
    "content_filter": "content_filter",
}


def _finish_reason(reason: object) -> FinishReason:
    if reason == "insufficient_system_resource":
        raise UnavailableError("the service ran out of resources while it answered")
    if reason not in _FINISH_REASONS:
        raise ProviderError(f"the answer ended for a reason that is not known: {reason!r}")
    return _FINISH_REASONS[str(reason)]


def _reasoning_of(message: JSON) -> str:
    # DeepSeek, xAI, vLLM and llama.cpp say the one; OpenRouter, Groq, Together and later vLLM the
    # other; where both come they are the same.
    found = message.get("reasoning_content") or message.get("reasoning")
    return found if isinstance(found, str) else ""


def _usage(usage: Any) -> Usage | None:
    if not isinstance(usage, dict):
        return None
    of_input = usage.get("prompt_tokens_details") or {}
    of_output = usage.get("completion_tokens_details") or {}
    # DeepSeek counts cached tokens at the top.
    cached = of_input.get("cached_tokens") or usage.get("prompt_cache_hit_tokens")
    return Usage(
        usage.get("prompt_tokens") or 0,
        usage.get("completion_tokens") or 0,
        cached_input_tokens=cached or 0,
        reasoning_tokens=of_output.get("reasoning_tokens") or 0,
    )
