"""
Anthropic's Messages API.

Source:
    https://platform.claude.com/docs/en/api/messages and …/build-with-claude/streaming
"""

from __future__ import annotations

import logging
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any

import anthropic
import attrs
import httpx2
from anthropic.resources.messages import DEPRECATED_MODELS

from lightrag_anthropic._errors import misdirected, reported, translated
from lightrag_anthropic._request import body_of
from lightrag_anthropic.options import AnthropicLLMOptions
from ragcore import (
    Chunk,
    Completion,
    CompletionRequest,
    ContentFilterError,
    FinishReason,
    ProviderError,
    Usage,
)
from ragcore.wire import (
    Event,
    count,
    drained,
    event_stream,
    finish_reason,
    object_in,
    text_and_thoughts,
    unlike,
)

JSON = dict[str, Any]

_log = logging.getLogger("lightrag_anthropic")

_PATH = "/v1/messages"


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
        """Answer event by event; one that ends without a reason has none here."""
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
            events = event_stream(pieces, empty=True, whole=True)
            async with opened, aclosing(events):
                message = _Message()
                async for event in events:
                    if chunk := message.chunk(_decoded(event, opened.response.headers)):
                        yield chunk
                    if message.is_complete:
                        await drained(events)
                        break
            if last := message.last():
                yield last


# Of these something is missing where they have no data; a ping needs none.
_NEED_DATA = ("content_", "message_", "error")
_DONE = {"type": "message_stop"}


def _decoded(event: Event, headers: httpx2.Headers) -> JSON:
    if event.data.lstrip().startswith("[DONE]"):
        # Gateways end streams as OpenAI does.
        return _DONE
    if event.says_nothing and not event.event.startswith(_NEED_DATA):
        return {"type": "ping"}
    return _without_error(object_in(event.data, "event of a message"), headers)


def _without_error(body: JSON, headers: httpx2.Headers) -> JSON:
    if body.get("type") == "error" or body.get("error"):
        raise reported(body, headers)
    return body


@attrs.define
class _Message:
    """What a stream has said so far beside its text."""

    stopped: JSON = attrs.field(factory=dict)
    usage: JSON = attrs.field(factory=dict)
    has_text: bool = False
    is_complete: bool = False

    def chunk(self, event: JSON) -> Chunk | None:
        """Return what *event* adds; None for what has no content, and for events of the future."""
        match event:
            case {"type": "content_block_delta", "delta": {"type": str()} as part}:
                return self._piece(part)
            case {"type": "content_block_start", "content_block": {"type": str()} as part}:
                return self._piece(part)
            case {"type": "message_start", "message": dict(begun)}:
                self._note({}, begun.get("usage"))
            case {"type": "message_delta", "delta": dict(stopped)}:
                self._note(stopped, event.get("usage"))
            case {"type": "message_stop"}:
                self.is_complete = True
            case {"type": "message", "content": content}:
                # A gateway has not streamed the answer.
                self._note(event, event.get("usage"))
                self.is_complete = True
                return self._content(content)
            case {"type": str(kind)} if kind not in _UNDERSTOOD:
                pass
            case _:
                raise unlike(event, "event of a message")
        return None

    def _piece(self, part: JSON) -> Chunk | None:
        if part["type"] in ("text_delta", "thinking_delta"):
            part = part | {"type": part["type"].removesuffix("_delta")}
        if part["type"] in ("text", "thinking") and part["type"] not in part:
            raise unlike(part, "piece of a message")
        return self._content(part)

    def _content(self, content: object) -> Chunk | None:
        text, thought = _said(content)
        self.has_text = self.has_text or bool(text)
        return Chunk(text, thought) if text or thought else None

    def _note(self, stopped: JSON, usage: object) -> None:
        # Counts are cumulative; what a later event does not say stays.
        counted = usage if isinstance(usage, dict) else {}
        self.stopped |= {name: value for name, value in stopped.items() if value is not None}
        self.usage |= {name: count for name, count in counted.items() if count is not None}

    def last(self) -> Chunk | None:
        """Return the end of the answer; None where the service has not said why it ended."""
        if "stop_reason" not in self.stopped:
            return None
        reason = _finish_reason(self.stopped, has_text=self.has_text)
        return Chunk(finish_reason=reason, usage=_usage(self.usage))


# What is malformed of these is no event of the future.
_UNDERSTOOD = ("content_block_delta", "content_block_start", "message_delta", "message_start")


def _message(response: httpx2.Response) -> JSON:
    try:
        body = object_in(response.content, "message")
    except ProviderError as exc:
        raise misdirected(exc, response) from exc.__cause__
    if "content" not in _without_error(body, response.headers):
        raise misdirected(unlike(body, "message"), response)
    return body


def _completion(message: JSON, request_id: str | None) -> Completion:
    text, thought = _said(message["content"])
    model = message.get("model")
    return Completion(
        text=text,
        finish_reason=_finish_reason(message, text=text, has_text=bool(text)),
        usage=_usage(message.get("usage")),
        reasoning=thought,
        model=model if isinstance(model, str) else None,
        request_id=request_id,
    )


def _said(content: object) -> tuple[str, str]:
    """Return the text and the reasoning in *content*; blocks of other kinds are not for reading."""
    blocks = content if isinstance(content, list) else [content]
    return text_and_thoughts([block for block in blocks if _is_read(block)])


def _is_read(block: object) -> bool:
    return not isinstance(block, dict) or block.get("type", "text") in ("text", "thinking")


def _finish_reason(stopped: JSON, text: str = "", *, has_text: bool) -> FinishReason:
    reason = finish_reason(stopped.get("stop_reason"), text)
    match stopped.get("stop_details"):
        case {"explanation": str(explanation)} if reason == "content_filter" and not has_text:
            raise ContentFilterError(f"the model refuses: {explanation}")
    return reason


def _usage(counts: object) -> Usage | None:
    put_in, put_out = count(counts, "input_tokens"), count(counts, "output_tokens")
    if put_in is None and put_out is None:
        return None
    read = count(counts, "cache_read_input_tokens") or 0
    written = count(counts, "cache_creation_input_tokens") or 0
    # The API counts what is read from and written into its cache apart from input_tokens.
    return Usage(
        input_tokens=(put_in or 0) + read + written,
        output_tokens=put_out or 0,
        cached_input_tokens=read,
        reasoning_tokens=count(counts, "output_tokens_details", "thinking_tokens") or 0,
    )
