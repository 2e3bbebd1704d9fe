"""
Chat Completions.

Wire format: https://platform.openai.com/docs/api-reference/chat
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing

from lightrag_openai._client import DONE, Client, without_error
from lightrag_openai._fields import JSON, text_in, usage_in
from lightrag_openai._responses import Responses
from lightrag_openai._schema import Schemas
from lightrag_openai.options import ChatOptions
from ragcore import (
    Chunk,
    Completion,
    CompletionBackend,
    CompletionRequest,
    ContentFilterError,
    FinishReason,
    JSONObject,
    JSONSchema,
    Message,
    UnsupportedError,
)
from ragcore.wire import finish_reason, text_and_thoughts, unlike

_PATH = "/chat/completions"


def open_completion(client: Client, model_name: str, options: ChatOptions) -> CompletionBackend:
    """Return what asks the API that *options* name."""
    asks = Responses if options.api == "responses" else ChatCompletions
    return asks(client, model_name, options)


class ChatCompletions:
    """Asks for chat completions."""

    def __init__(self, client: Client, model_name: str, options: ChatOptions) -> None:
        row = client.row
        self._client = client
        self._model = client.name_of(model_name)
        self._schemas = Schemas(
            f"{row.name}:{self._model}", closed=row.strict_schemas, bounds=row.strict_bounds
        )

    async def complete(self, request: CompletionRequest) -> Completion:
        """Answer in one piece."""
        answer, request_id = await self._client.answer(_PATH, self._body(request))
        match answer.get("choices"):
            case [dict(choice), *_]:
                message = _message_in(without_error(choice), "message")
            case _:
                raise self._client.strange(answer, "chat completion")
        text, thought = text_and_thoughts(message.get("content"))
        refusal = text_in(message, "refusal")
        if refusal and not text:
            raise ContentFilterError(f"the model refused: {refusal}")
        reason = finish_reason(choice.get("finish_reason"), text)
        return Completion(
            text=text,
            finish_reason="content_filter" if refusal else reason,
            usage=usage_in(answer, "prompt_tokens", "completion_tokens"),
            reasoning=_reasoning_in(message) or thought,
            model=text_in(answer, "model") or None,
            request_id=request_id,
        )

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
            body["response_format"] = self._format(request.response_format)
        return body | (request.options.extra_body or {})

    def _format(self, wanted: JSONObject | JSONSchema) -> JSON:
        if isinstance(wanted, JSONObject):
            return {"type": "json_object"}
        return {"type": "json_schema", "json_schema": self._schemas.asked(wanted)}


class _Reading:
    """What has been read of a stream."""

    def __init__(self) -> None:
        self._reason: object = None
        self._usage: JSON = {}
        self._refusal = ""
        self._said = False

    def read(self, event: JSON) -> Chunk | None:
        """Return what *event* adds to the answer, or None if that is nothing yet."""
        if event is DONE:
            # Some say no reason; this is an end all the same.
            self._reason = self._reason or "stop"
            return None
        if event.get("usage"):
            self._usage = event
        match event.get("choices"):
            case [dict(choice), *_]:
                return self._chunk(without_error(choice))
            case []:
                return None
            case None if event.get("usage"):
                return None
        raise unlike(event, "part of a chat completion")

    def _chunk(self, choice: JSON) -> Chunk | None:
        self._reason = choice.get("finish_reason") or self._reason
        delta = choice.get("delta")
        if not isinstance(delta, dict):
            # A service that has not streamed its answer says it in one message; one that has may
            # repeat it so.
            delta = _message_in(choice, "delta", *(() if self._said else ("message",)))
        self._refusal += text_in(delta, "refusal")
        text, thought = text_and_thoughts(delta.get("content"))
        reasoning = _reasoning_in(delta) or thought
        self._said = self._said or bool(text)
        return Chunk(text, reasoning) if text or reasoning else None

    def end(self) -> Chunk | None:
        """Return the last chunk; None where the service gave no reason for the end."""
        if self._refusal and not self._said:
            raise ContentFilterError(f"the model refused: {self._refusal}")
        if not self._reason:
            return None
        reason: FinishReason = finish_reason(self._reason)
        return Chunk(
            finish_reason="content_filter" if self._refusal else reason,
            usage=usage_in(self._usage, "prompt_tokens", "completion_tokens"),
        )


_RESPONSES_ONLY = ("reasoning_summary",)


def _message(message: Message) -> JSON:
    if not message.images:
        return {"role": message.role, "content": message.content}
    text = [{"type": "text", "text": message.content}] if message.content else []
    images = [{"type": "image_url", "image_url": {"url": one.data_url}} for one in message.images]
    return {"role": message.role, "content": [*text, *images]}


def _message_in(choice: JSON, *names: str) -> JSON:
    """Return what *choice* says under one of *names*, or as bare text, as old completions do."""
    said = next(
        (choice[name] for name in names if choice.get(name) is not None), choice.get("text")
    )
    return said if isinstance(said, dict) else {"content": said}


def _reasoning_in(message: JSON) -> str:
    # DeepSeek, xAI, vLLM and llama.cpp say the one; OpenRouter, Groq, Together and later vLLM the
    # other; where both come they are the same.
    return text_in(message, "reasoning_content") or text_in(message, "reasoning")
