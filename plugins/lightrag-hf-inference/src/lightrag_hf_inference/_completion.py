"""
Chat completion, of the router and of text-generation-inference.

Source:
    https://huggingface.co/docs/inference-providers/tasks/chat-completion
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Mapping
from typing import Any

from lightrag_hf_inference._connect import Account, Inference, is_address
from lightrag_hf_inference._errors import translated
from lightrag_hf_inference.options import HFInferenceLLMOptions
from ragcore import (
    Chunk,
    Completion,
    CompletionRequest,
    FinishReason,
    InterruptedStreamError,
    JSONObject,
    JSONSchema,
    Message,
    ProviderError,
    Usage,
)

_FINISH_REASONS: dict[str, FinishReason] = {
    "stop": "stop",
    "eos_token": "stop",
    "stop_sequence": "stop",
    "length": "length",
    "content_filter": "content_filter",
}


class HFInferenceCompletion:
    """One attempt at a chat completion, by a client of its own over the account's connections."""

    def __init__(self, account: Account, model_name: str, options: HFInferenceLLMOptions) -> None:
        self._account = account
        self._address = account.endpoint(model_name)
        self._model = self._name(model_name)

    async def complete(self, request: CompletionRequest) -> Completion:
        """Answer in one piece."""
        with translated():
            async with self._client() as client:
                answer = await _parsed(client, self._asked(request))
        return _completion(answer, client.answered)

    async def stream(self, request: CompletionRequest) -> AsyncGenerator[Chunk, None]:
        """Answer piece by piece; finish reason and usage come in one chunk, the last."""
        asked = self._asked(request)
        asked["extra_body"] = {"stream_options": {"include_usage": True}} | asked["extra_body"]
        reason, usage = None, None
        with translated():
            async with self._client() as client:
                chunks = await client.chat_completion(**asked, stream=True)
                async for chunk in _wellformed(chunks):
                    usage = _usage(_get(chunk, "usage")) or usage
                    for choice in _choices(chunk):
                        reason = _get(choice, "finish_reason") or reason
                        if (piece := _piece(choice)) is not None:
                            yield piece
        if reason is not None:
            yield Chunk(finish_reason=_finish_reason(reason), usage=usage)

    def _client(self) -> Inference:
        return self._account.inference(self._address)

    def _name(self, model_name: str) -> str | None:
        if is_address(model_name):
            return None
        if self._address is None and self._account.connection.provider != "auto":
            # How the router is told who is to serve the model.
            return f"{model_name}:{self._account.connection.provider}"
        return model_name

    def _asked(self, request: CompletionRequest) -> dict[str, Any]:
        options: HFInferenceLLMOptions = request.options
        asked = options.asdict() | {
            "messages": [_turn(message) for message in request.messages],
            "model": self._model,
            "extra_body": dict(options.extra_body or {}),
        }
        if request.max_output_tokens is not None:
            asked["max_tokens"] = request.max_output_tokens
        if request.response_format is not None:
            asked["response_format"] = _response_format(request.response_format)
        return asked


async def _parsed(client: Inference, asked: dict[str, Any]) -> Any:
    try:
        return await client.chat_completion(**asked)
    except (ValueError, TypeError, AttributeError, KeyError) as exc:
        # How the SDK's parser fails on what is no completion.
        raise ProviderError(f"the service sent what is no completion: {exc}") from exc


async def _wellformed(chunks: AsyncIterable[Any]) -> AsyncIterator[Any]:
    try:
        async for chunk in chunks:
            yield chunk
    except (TypeError, AttributeError, KeyError) as exc:
        raise InterruptedStreamError(f"the service sent a malformed chunk: {exc}") from exc


def _turn(message: Message) -> dict[str, Any]:
    if not message.images:
        return {"role": message.role, "content": message.content}
    pictures = [{"type": "image_url", "image_url": {"url": one.data_url}} for one in message.images]
    words = [{"type": "text", "text": message.content}] if message.content else []
    return {"role": message.role, "content": [*pictures, *words]}


def _response_format(wanted: JSONObject | JSONSchema) -> dict[str, Any]:
    if isinstance(wanted, JSONObject):
        return {"type": "json_object"}
    schema = {"name": wanted.name, "schema": dict(wanted.schema), "strict": wanted.strict}
    # For an endpoint the SDK turns it into the grammar of text-generation-inference.
    return {"type": "json_schema", "json_schema": schema}


def _choices(answer: Any) -> list[Any]:
    return list(_get(answer, "choices") or [])


def _piece(choice: Any) -> Chunk | None:
    delta = _get(choice, "delta")
    text, reasoning = _get(delta, "content") or "", _reasoning(delta)
    return Chunk(text, reasoning) if text or reasoning else None


def _reasoning(message: Any) -> str:
    return str(_get(message, "reasoning") or _get(message, "reasoning_content") or "")


def _get(part: Any, name: str) -> Any:
    """Return a field: parts that the SDK knows have attributes, what is new in them is a dict."""
    return part.get(name) if type(part) is dict else getattr(part, name, None)


def _completion(answer: Any, headers: Mapping[str, str]) -> Completion:
    choices = _choices(answer)
    message = _get(choices[0], "message") if choices else None
    if message is None:
        raise ProviderError(f"the service sent what is no completion: {answer!r:.200}")
    return Completion(
        text=_get(message, "content") or "",
        finish_reason=_finish_reason(_get(choices[0], "finish_reason")),
        usage=_usage(_get(answer, "usage")),
        reasoning=_reasoning(message),
        model=_get(answer, "model"),
        request_id=headers.get("x-request-id"),
    )


def _finish_reason(reason: str | None) -> FinishReason:
    if reason in _FINISH_REASONS:
        return _FINISH_REASONS[reason]
    # tool_calls, and whatever comes next: the model is not done.
    raise ProviderError(f"the answer is not complete: it ended with finish_reason {reason!r}")


def _usage(counts: Any) -> Usage | None:
    if counts is None:
        return None
    prompt = _get(counts, "prompt_tokens_details")
    answer = _get(counts, "completion_tokens_details")
    return Usage(
        input_tokens=_get(counts, "prompt_tokens") or 0,
        output_tokens=_get(counts, "completion_tokens") or 0,
        cached_input_tokens=_get(prompt, "cached_tokens") or 0,
        reasoning_tokens=_get(answer, "reasoning_tokens") or 0,
    )
