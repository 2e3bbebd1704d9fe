"""
Chat completion, of the router and of text-generation-inference.

Source:
    https://huggingface.co/docs/inference-providers/tasks/chat-completion
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any

from lightrag_hf_inference._connect import ROUTER, Account, is_address
from lightrag_hf_inference._errors import place_of
from lightrag_hf_inference.options import HFInferenceLLMOptions
from ragcore import Chunk, Completion, CompletionRequest, JSONObject, JSONSchema, Message
from ragcore.wire import ChatReader, chat_completion, object_in, objects


class HFInferenceCompletion:
    """One attempt at a chat completion, over the account's connections."""

    def __init__(self, account: Account, model_name: str, options: HFInferenceLLMOptions) -> None:
        self._account = account
        self._endpoint = account.endpoint(model_name)
        self._url = _chat_address(self._endpoint or ROUTER)
        self._model = self._name(model_name)

    async def complete(self, request: CompletionRequest) -> Completion:
        """Answer in one piece."""
        body = self._body(request, stream=False)
        async with self._account.asked(self._url, self._endpoint, body) as response:
            place = place_of(response)
            answer = object_in(await response.aread(), "chat completion", *place)
            return chat_completion(answer, response.headers.get("x-request-id"), *place)

    async def stream(self, request: CompletionRequest) -> AsyncGenerator[Chunk, None]:
        """Answer piece by piece; finish reason and usage come in one chunk, the last."""
        body = {"stream_options": {"include_usage": True}} | self._body(request, stream=True)
        reader = ChatReader()
        async with (
            self._account.asked(self._url, self._endpoint, body) as response,
            aclosing(objects(response.aiter_bytes())) as found,
        ):
            async for each in found:
                if chunk := reader.read(each):
                    yield chunk
        if last := reader.end():
            yield last

    def _name(self, model_name: str) -> str:
        if is_address(model_name):
            # Such a server has one model, whatever it is called.
            return "dummy"
        provider = self._account.connection.provider
        if self._endpoint is None and provider != "auto":
            # How the router is told who is to serve the model.
            return f"{model_name}:{provider}"
        return model_name

    def _body(self, request: CompletionRequest, *, stream: bool) -> dict[str, Any]:
        options: HFInferenceLLMOptions = request.options
        body = options.asdict() | {
            "model": self._model,
            "messages": [_turn(message) for message in request.messages],
            "stream": stream,
        }
        body.pop("extra_body", None)
        if request.max_output_tokens is not None:
            body["max_tokens"] = request.max_output_tokens
        if request.response_format is not None:
            body["response_format"] = self._format(request.response_format)
        return body | (options.extra_body or {})

    def _format(self, wanted: JSONObject | JSONSchema) -> dict[str, Any]:
        if isinstance(wanted, JSONObject):
            return {"type": "json_object"}
        if self._endpoint is not None:
            # The grammar of text-generation-inference.
            return {"type": "json_object", "value": dict(wanted.schema)}
        schema = {"name": wanted.name, "schema": dict(wanted.schema), "strict": wanted.strict}
        return {"type": "json_schema", "json_schema": schema}


def _chat_address(address: str) -> str:
    """Return where chat is served at *address*, which may say it in full, or in part."""
    path = address.rstrip("/")
    if path.endswith("/chat/completions"):
        return path
    return f"{path}/chat/completions" if path.endswith("/v1") else f"{path}/v1/chat/completions"


def _turn(message: Message) -> dict[str, Any]:
    if not message.images:
        return {"role": message.role, "content": message.content}
    pictures = [{"type": "image_url", "image_url": {"url": one.data_url}} for one in message.images]
    words = [{"type": "text", "text": message.content}] if message.content else []
    return {"role": message.role, "content": [*pictures, *words]}
