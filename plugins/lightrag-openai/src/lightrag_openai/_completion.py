"""
Chat Completions.

Wire format: https://platform.openai.com/docs/api-reference/chat
"""

from __future__ import annotations

import base64
import json
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from typing import Any

from openai import AsyncStream
from openai.types import CompletionUsage
from openai.types.chat import ChatCompletion, ChatCompletionChunk

from lightrag_openai._connect import Client
from lightrag_openai._errors import reported, translated
from lightrag_openai._schema import strict
from lightrag_openai.options import ChatOptions
from ragcore import (
    Chunk,
    Completion,
    CompletionBackend,
    CompletionRequest,
    ContentFilterError,
    FinishReason,
    Image,
    InterruptedStreamError,
    JSONObject,
    JSONSchema,
    Message,
    ProviderError,
    ThinkingSplitter,
    UnavailableError,
    UnsupportedError,
    Usage,
    split_thinking,
)


def open_completion(client: Client, model_name: str, options: ChatOptions) -> CompletionBackend:
    """Return what asks the API that *options* name."""
    if options.api == "responses":
        from lightrag_openai._responses import Responses

        return Responses(client, model_name, options)
    return ChatCompletions(client, model_name, options)


class ChatCompletions:
    """Asks for chat completions."""

    def __init__(self, client: Client, model_name: str, options: ChatOptions) -> None:
        self._client = client
        self._model = client.name_of(model_name)

    async def complete(self, request: CompletionRequest) -> Completion:
        """Answer in one piece."""
        with translated():
            answer = await self._client.sdk.chat.completions.create(**self._body(request))
        return self._completion(answer)

    async def stream(self, request: CompletionRequest) -> AsyncGenerator[Chunk, None]:
        """Answer piece by piece; what the service sends after the end is only its usage."""
        body = self._body(request) | {"stream": True}
        if self._client.row.stream_usage:
            body["stream_options"] = {"include_usage": True}
        reading = _Reading(think_tags=self._client.row.think_tags)
        with translated():
            events = await self._client.sdk.chat.completions.create(**body)
            async with events, aclosing(understood(events)) as each:
                async for event in each:
                    if chunk := reading.read(event):
                        yield chunk
        for chunk in reading.end():
            yield chunk

    def _body(self, request: CompletionRequest) -> dict[str, Any]:
        row = self._client.row
        body: dict[str, Any] = {
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
        # As extra_body the SDK takes fields that it does not know.
        known = {name: body[name] for name in body if name in _SDK_PARAMETERS}
        extra = {name: value for name, value in body.items() if name not in known}
        return known | {
            "extra_body": extra | (request.options.extra_body or {}),
            "extra_headers": self._client.headers,
        }

    def _completion(self, answer: Any) -> Completion:
        if not isinstance(answer, ChatCompletion) or not answer.choices:
            raise _no_answer(answer)
        choice = answer.choices[0]
        if error := getattr(choice, "error", None):
            raise reported(error)
        text, reasoning = choice.message.content or "", _reasoning_of(choice.message)
        if self._client.row.think_tags:
            text, thought = split_thinking(text)
            reasoning += thought
        refusal = choice.message.refusal
        if refusal and not text:
            raise ContentFilterError(f"the model refused: {refusal}")
        reason = _finish_reason(choice.finish_reason)
        return Completion(
            text=text,
            finish_reason="content_filter" if refusal else reason,
            usage=_usage(answer.usage),
            reasoning=reasoning,
            model=answer.model,
            request_id=answer._request_id,  # noqa: SLF001  # the SDK documents it as public
        )


async def understood(events: AsyncStream[Any]) -> AsyncGenerator[Any, None]:
    """
    Yield *events*.

    Raises:
        InterruptedStreamError: One is no JSON.
    """
    try:
        async for event in events:
            yield event
    except json.JSONDecodeError as exc:
        raise InterruptedStreamError(f"a chunk of the stream is no JSON: {exc}") from exc


class _Reading:
    """What has been read of a stream."""

    def __init__(self, *, think_tags: bool) -> None:
        self._splitter = ThinkingSplitter() if think_tags else None
        self._reason: FinishReason | None = None
        self._usage: Usage | None = None
        self._refusal = ""
        self._said = False

    def read(self, event: Any) -> Chunk | None:
        """Return what *event* adds to the answer, or None if that is nothing yet."""
        if not isinstance(event, ChatCompletionChunk) or not isinstance(event.choices, list):
            raise _bad_chunk(event)
        self._usage = _usage(event.usage) or self._usage
        if not event.choices:
            return None
        choice = event.choices[0]
        if error := getattr(choice, "error", None):
            raise reported(error)
        if choice.finish_reason:
            self._reason = _finish_reason(choice.finish_reason)
        # Some leave it out of the chunk with the reason.
        delta = getattr(choice, "delta", None)
        self._refusal += getattr(delta, "refusal", None) or ""
        return self._chunk(getattr(delta, "content", None) or "", _reasoning_of(delta))

    def end(self) -> list[Chunk]:
        """Return what is left to say once the stream has ended; without a reason, no last chunk."""
        held = self._splitter.end() if self._splitter else ("", "")
        self._said = self._said or bool(held[0])
        if self._refusal and not self._said:
            raise ContentFilterError(f"the model refused: {self._refusal}")
        reason = "content_filter" if self._refusal else self._reason
        if reason is None and not any(held):
            return []
        return [Chunk(*held, finish_reason=reason, usage=self._usage)]

    def _chunk(self, text: str, reasoning: str) -> Chunk | None:
        if self._splitter:
            text, thought = self._splitter.feed(text)
            reasoning += thought
        self._said = self._said or bool(text)
        return Chunk(text, reasoning) if text or reasoning else None


_RESPONSES_ONLY = ("reasoning_summary",)

_SDK_PARAMETERS = frozenset(
    {
        "model",
        "messages",
        "temperature",
        "top_p",
        "max_tokens",
        "max_completion_tokens",
        "frequency_penalty",
        "presence_penalty",
        "stop",
        "seed",
        "logit_bias",
        "response_format",
    }
)


def _message(message: Message) -> dict[str, Any]:
    if not message.images:
        return {"role": message.role, "content": message.content}
    text = [{"type": "text", "text": message.content}] if message.content else []
    images = [{"type": "image_url", "image_url": {"url": image_url(i)}} for i in message.images]
    return {"role": message.role, "content": [*text, *images]}


def image_url(image: Image) -> str:
    """Return the address of *image*; a data URL if it is here."""
    if image.data is None:
        return str(image.url)
    return f"data:{image.media_type};base64,{base64.b64encode(image.data).decode()}"


def _format(wanted: JSONObject | JSONSchema, strict_schemas: bool) -> dict[str, Any]:
    if isinstance(wanted, JSONObject):
        return {"type": "json_object"}
    schema, is_strict = strict(wanted) if strict_schemas else (wanted.schema, wanted.strict)
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


def _reasoning_of(message: Any) -> str:
    # DeepSeek, xAI, vLLM and llama.cpp say the one; OpenRouter, Groq, Together and later vLLM the
    # other; where both come they are the same.
    found = getattr(message, "reasoning_content", None) or getattr(message, "reasoning", None)
    return found if isinstance(found, str) else ""


def _usage(usage: CompletionUsage | None) -> Usage | None:
    if usage is None:
        return None
    of_input, of_output = usage.prompt_tokens_details, usage.completion_tokens_details
    # DeepSeek counts cached tokens at the top.
    cached = of_input.cached_tokens if of_input else getattr(usage, "prompt_cache_hit_tokens", 0)
    return Usage(
        usage.prompt_tokens or 0,
        usage.completion_tokens or 0,
        cached_input_tokens=cached or 0,
        reasoning_tokens=(of_output.reasoning_tokens if of_output else 0) or 0,
    )


def _no_answer(answer: Any) -> ProviderError:
    # Gateways report failures with status 200.
    if error := getattr(answer, "error", None):
        return reported(error)
    return ProviderError(f"what came back is no chat completion: {str(answer)[:200]!r}")


def _bad_chunk(event: Any) -> ProviderError:
    if error := getattr(event, "error", None):
        return reported(error)
    return InterruptedStreamError(f"a chunk of the stream is none of a chat: {str(event)[:200]!r}")
