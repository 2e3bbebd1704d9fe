"""
Anthropic's Messages API.

Source:
    https://platform.claude.com/docs/en/api/messages and …/build-with-claude/streaming
"""

from __future__ import annotations

import json
import logging
from collections.abc import AsyncGenerator, Iterable, Mapping
from contextlib import aclosing
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
    UnavailableError,
    Usage,
)
from ragcore.wire import Event, drained, event_stream, said

_log = logging.getLogger("lightrag_anthropic")

_PATH = "/v1/messages"

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
        return _completion(_message(response), response.headers.get("request-id"))

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
            # The SDK's own iterator passes over events without a name, whether JSON or not.
            pieces = opened.response.aiter_bytes()
            async with opened, aclosing(event_stream(pieces, empty=True)) as events:
                message = _Message()
                async for event in events:
                    if chunk := message.chunk(_decoded(event, opened.response.headers)):
                        yield chunk
                    if message.is_complete:
                        await drained(events)
                        return


# Of these something is missing where they have no data; a ping needs none.
_NEED_DATA = ("content_", "message_", "error")


def _decoded(event: Event, headers: httpx2.Headers) -> Mapping[str, Any]:
    if not event.data and not event.event.startswith(_NEED_DATA):
        return {}
    body = json.loads(event.data)
    if not isinstance(body, dict):
        raise _malformed(body)
    if body.get("type") == "error" or event.event == "error":
        raise reported(body, headers)
    return body


@attrs.define
class _Message:
    """What a stream has said so far beside its text."""

    stopped: dict[str, Any] = attrs.field(factory=dict)
    usage: dict[str, Any] = attrs.field(factory=dict)
    has_text: bool = False
    is_complete: bool = False

    def chunk(self, event: Mapping[str, Any]) -> Chunk | None:
        """Return what *event* adds; None for what has no content, and for events of the future."""
        match event:
            case {"type": "content_block_delta", "delta": {} as part}:
                return self._piece(part)
            case {"type": "content_block_start", "content_block": {} as part}:
                return self._piece(part)
            case {"type": "message_start", "message": {"usage": {} as usage}}:
                self._note({}, usage)
            case {"type": "message_delta", "delta": {} as stopped}:
                self._note(stopped, event.get("usage") or {})
            case {"type": "message_stop"}:
                self.is_complete = True
                return self._last()
            case {"type": "content_block_delta" | "content_block_start" | "message_delta"}:
                raise _malformed(event)
        return None

    def _piece(self, part: Mapping[str, Any]) -> Chunk | None:
        match part:
            case {"type": "text" | "text_delta", "text": str(text)}:
                self.has_text = self.has_text or bool(text)
                return Chunk(text) if text else None
            case {"type": "thinking" | "thinking_delta", "thinking": str(thought)}:
                return Chunk(reasoning=thought) if thought else None
            case {"type": "text" | "text_delta" | "thinking" | "thinking_delta"}:
                raise _malformed(part)
        return None

    def _note(self, stopped: Mapping[str, Any], usage: Mapping[str, Any]) -> None:
        # Counts are cumulative; what a later event does not say stays.
        self.stopped |= {name: value for name, value in stopped.items() if value is not None}
        self.usage |= {name: count for name, count in usage.items() if count is not None}

    def _last(self) -> Chunk | None:
        if "stop_reason" not in self.stopped:
            return None
        reason = _finish_reason(self.stopped, has_text=self.has_text)
        return Chunk(finish_reason=reason, usage=_usage(self.usage))


def _malformed(event: Any) -> InterruptedStreamError:
    return InterruptedStreamError(f"the service sent a malformed event: {event!r:.200}")


def _message(response: httpx2.Response) -> Mapping[str, Any]:
    try:
        body = response.json()
    except ValueError as exc:
        message, _ = said(response.text)
        raise UnavailableError(f"the service sent what is no JSON: {message}") from exc
    match body:
        case {"type": "error"}:
            raise reported(body, response.headers)
        case {"content": [*_]}:
            return dict(body)
    raise ProviderError(f"the service sent what is no message: {body!r:.200}")


def _completion(message: Mapping[str, Any], request_id: str | None) -> Completion:
    text = _joined(message["content"], "text")
    return Completion(
        text=text,
        finish_reason=_finish_reason(message, has_text=bool(text)),
        usage=_usage(message.get("usage") or {}),
        reasoning=_joined(message["content"], "thinking"),
        model=message.get("model"),
        request_id=request_id,
    )


def _joined(blocks: Iterable[Any], kind: str) -> str:
    """Return what the blocks of *kind* say, which they hold under its name."""
    own = (block for block in blocks if isinstance(block, dict) and block.get("type") == kind)
    return "".join(block[kind] for block in own if isinstance(block.get(kind), str))


def _finish_reason(stopped: Mapping[str, Any], *, has_text: bool) -> FinishReason:
    stop_reason = stopped.get("stop_reason")
    if stop_reason not in _FINISH_REASONS:
        # tool_use, pause_turn, and whatever comes next: the model is not done.
        raise ProviderError(
            f"the answer is not complete: it ended with stop_reason {stop_reason!r}"
        )
    reason = _FINISH_REASONS[stop_reason]
    explanation = (stopped.get("stop_details") or {}).get("explanation")
    if reason == "content_filter" and explanation and not has_text:
        raise ContentFilterError(f"the model refuses: {explanation}")
    return reason


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
