"""
Anthropic's Messages API.

Source:
    https://platform.claude.com/docs/en/api/messages and …/build-with-claude/streaming
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import aclosing, suppress
from typing import Any

import anthropic
import attrs
import httpx2
from anthropic.resources.messages import DEPRECATED_MODELS

from lightrag_anthropic._errors import reported, translated
from lightrag_anthropic._request import body_of
from lightrag_anthropic.options import AnthropicLLMOptions
from ragcore import (
    Chunk,
    Completion,
    CompletionRequest,
    ContentFilterError,
    FinishReason,
    InterruptedStreamError,
    ProviderError,
    Usage,
)

_log = logging.getLogger("lightrag_anthropic")

_PATH = "/v1/messages"
_LINGER = 1.0  # seconds that the end of a body may take after the end of the answer

_FINISH_REASONS: dict[str, FinishReason] = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "refusal": "content_filter",
}


class AnthropicCompletion:
    """
    One attempt at a message.

    It posts by the client itself: ``messages.create`` lacks sampling parameters, refuses long
    answers in one piece, and warns of old models, which with ``-W error`` ends a call.
    """

    def __init__(
        self, client: anthropic.AsyncAnthropic, model_name: str, options: AnthropicLLMOptions
    ) -> None:
        self._client = client
        self._model_name = model_name
        if ends := DEPRECATED_MODELS.get(model_name):
            _log.warning("%s is deprecated and ends on %s: choose another.", model_name, ends)

    async def complete(self, request: CompletionRequest) -> Completion:
        """Answer in one piece."""
        body = body_of(self._model_name, request)
        with translated():
            response = await self._client.post(_PATH, body=body, cast_to=httpx2.Response)
        return _completion(_decoded(response), response.headers.get("request-id"))

    async def stream(self, request: CompletionRequest) -> AsyncGenerator[Chunk, None]:
        """Answer event by event; without ``message_stop`` there is no finish reason."""
        body = body_of(self._model_name, request) | {"stream": True}
        with translated():
            opened = await self._client.post(
                _PATH,
                body=body,
                cast_to=object,
                stream=True,
                stream_cls=anthropic.AsyncStream[object],
            )
            async with opened, aclosing(_events(opened.response)) as events:
                message = _Message()
                async for event in events:
                    if chunk := message.chunk(event):
                        yield chunk
                    if message.is_complete:
                        await _drained(events)
                        return


async def _events(response: httpx2.Response) -> AsyncGenerator[Mapping[str, Any], None]:
    # The SDK's own iterator passes over what has no event name, and what is no JSON with it.
    async for event in anthropic.AsyncStream.raw_events(response):
        if not event.data and event.event in (None, "ping"):
            continue
        decoded = event.json()
        if not isinstance(decoded, dict):
            raise InterruptedStreamError(f"The service sent an event that is no object: {decoded}")
        if decoded.get("type") == "error" or event.event == "error":
            raise reported(decoded, response.status_code, response.headers)
        yield decoded


async def _drained(events: AsyncIterator[object]) -> None:
    """Read the body to its end, so that its connection can be used again."""
    with suppress(TimeoutError, httpx2.HTTPError, json.JSONDecodeError, ProviderError):
        async with asyncio.timeout(_LINGER):
            async for _ in events:
                pass


@attrs.define
class _Message:
    """What a stream has said so far beside its text."""

    usage: dict[str, Any] = attrs.field(factory=dict)
    stop_reason: str | None = None
    explanation: str = ""
    has_text: bool = False
    is_complete: bool = False

    def chunk(self, event: Any) -> Chunk | None:
        """Return what *event* adds; None for what has no content, and for events of the future."""
        match event:
            case {"type": "message_start", "message": {"usage": {}}}:
                self._count(event["message"]["usage"])
            case {"type": "content_block_start", "content_block": {}}:
                return self._piece(event["content_block"])
            case {"type": "content_block_delta", "delta": {}}:
                return self._piece(event["delta"])
            case {"type": "message_delta", "delta": {}}:
                self._note(event["delta"], event.get("usage") or {})
            case {"type": "message_stop"}:
                self.is_complete = True
                return self._last()
            case {"type": "content_block_start" | "content_block_delta" | "message_delta"}:
                raise InterruptedStreamError(f"The service sent a malformed event: {event!r:.200}")
        return None

    def _piece(self, part: Any) -> Chunk | None:
        match part:
            case {"type": "text" | "text_delta", "text": str(text)}:
                self.has_text = self.has_text or bool(text)
                return Chunk(text) if text else None
            case {"type": "thinking" | "thinking_delta", "thinking": str(thought)}:
                return Chunk(reasoning=thought) if thought else None
            case {"type": "text" | "text_delta" | "thinking" | "thinking_delta"}:
                raise InterruptedStreamError(f"The service sent a malformed event: {part!r:.200}")
        return None

    def _note(self, delta: Mapping[str, Any], usage: Mapping[str, Any]) -> None:
        self.stop_reason = delta.get("stop_reason") or self.stop_reason
        self.explanation = _explanation(delta) or self.explanation
        self._count(usage)

    def _last(self) -> Chunk | None:
        if self.stop_reason is None:
            return None
        reason = _finish_reason(self.stop_reason)
        _check_refusal(reason, self.explanation, self.has_text)
        return Chunk(finish_reason=reason, usage=_usage(self.usage))

    def _count(self, usage: Mapping[str, Any]) -> None:
        # Counts are cumulative; what a later event does not say stays.
        self.usage.update({name: count for name, count in usage.items() if count is not None})


def _decoded(response: httpx2.Response) -> Mapping[str, Any]:
    try:
        body = response.json()
    except (json.JSONDecodeError, UnicodeDecodeError) as exc:
        raise ProviderError(f"The service sent what is no JSON: {response.text[:200]!r}") from exc
    match body:
        case {"type": "error"}:
            raise reported(body, response.status_code, response.headers)
        case {"content": [*_]}:
            return dict(body)
    raise ProviderError(f"The service sent what is no message: {body!r:.200}")


def _completion(message: Mapping[str, Any], request_id: str | None) -> Completion:
    blocks = [block for block in message["content"] if isinstance(block, dict)]
    text = "".join(block["text"] for block in blocks if _holds(block, "text"))
    reason = _finish_reason(message.get("stop_reason"))
    _check_refusal(reason, _explanation(message), bool(text))
    return Completion(
        text=text,
        finish_reason=reason,
        usage=_usage(message.get("usage") or {}),
        reasoning="".join(block["thinking"] for block in blocks if _holds(block, "thinking")),
        model=message.get("model"),
        request_id=request_id,
    )


def _holds(block: Mapping[str, Any], kind: str) -> bool:
    return block.get("type") == kind and isinstance(block.get(kind), str)


def _finish_reason(stop_reason: str | None) -> FinishReason:
    if stop_reason in _FINISH_REASONS:
        return _FINISH_REASONS[stop_reason]
    # tool_use, pause_turn, and whatever comes next: the model is not done.
    raise ProviderError(f"The answer is not complete: it ended with stop_reason {stop_reason!r}.")


def _check_refusal(reason: FinishReason, explanation: str, has_text: bool) -> None:
    if reason == "content_filter" and explanation and not has_text:
        raise ContentFilterError(f"The model refuses: {explanation}")


def _explanation(stopped: Mapping[str, Any]) -> str:
    return str((stopped.get("stop_details") or {}).get("explanation") or "")


def _usage(counts: Mapping[str, Any]) -> Usage | None:
    if "input_tokens" not in counts and "output_tokens" not in counts:
        return None
    read = counts.get("cache_read_input_tokens") or 0
    written = counts.get("cache_creation_input_tokens") or 0
    details = counts.get("output_tokens_details") or {}
    # The API counts what is read from and written into its cache apart from input_tokens.
    return Usage(
        input_tokens=(counts.get("input_tokens") or 0) + read + written,
        output_tokens=counts.get("output_tokens") or 0,
        cached_input_tokens=read,
        reasoning_tokens=details.get("thinking_tokens") or 0,
    )
