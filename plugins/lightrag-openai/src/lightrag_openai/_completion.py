"""
Chat Completions.

Wire format: https://platform.openai.com/docs/api-reference/chat
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing

from lightrag_openai._client import JSON, Client
from lightrag_openai._responses import Responses
from lightrag_openai._schema import Schemas
from lightrag_openai.options import ChatOptions
from ragcore import (
    Chunk,
    Completion,
    CompletionBackend,
    CompletionRequest,
    JSONObject,
    JSONSchema,
    Message,
    UnsupportedError,
)
from ragcore.wire import ChatReader, chat_completion

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
        return chat_completion(answer, request_id, *self._client.place)

    async def stream(self, request: CompletionRequest) -> AsyncGenerator[Chunk, None]:
        """Answer piece by piece; what the service sends after the end is only its usage."""
        body = self._body(request)
        if self._client.row.stream_usage:
            body = {"stream_options": {"include_usage": True}} | body
        reader = ChatReader()
        async with aclosing(self._client.events(_PATH, body)) as events:
            async for event in events:
                if chunk := reader.read(event):
                    yield chunk
        if last := reader.end():
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


_RESPONSES_ONLY = ("reasoning_summary",)


def _message(message: Message) -> JSON:
    if not message.images:
        return {"role": message.role, "content": message.content}
    text = [{"type": "text", "text": message.content}] if message.content else []
    images = [{"type": "image_url", "image_url": {"url": one.data_url}} for one in message.images]
    return {"role": message.role, "content": [*text, *images]}
