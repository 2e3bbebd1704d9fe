"""
Responses: OpenAI's other API, behind the same records.

Wire format: https://platform.openai.com/docs/api-reference/responses
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterable
from contextlib import aclosing
from typing import Any

from lightrag_openai._client import JSON, Client
from lightrag_openai._schema import strict
from lightrag_openai.options import ChatOptions
from ragcore import (
    Chunk,
    Completion,
    CompletionRequest,
    ContentFilterError,
    FinishReason,
    InterruptedStreamError,
    JSONObject,
    JSONSchema,
    Message,
    ProviderError,
    UnsupportedError,
    Usage,
)
from ragcore.wire import drained, reported

_PATH = "/responses"


class Responses:
    """Asks for responses."""

    def __init__(self, client: Client, model_name: str, options: ChatOptions) -> None:
        self._client = client
        self._model = client.name_of(model_name)

    async def complete(self, request: CompletionRequest) -> Completion:
        """Answer in one piece."""
        answer, request_id = await self._client.answer(_PATH, self._body(request))
        if not isinstance(answer.get("output"), list):
            raise ProviderError(f"what came back is no response: {str(answer)[:200]!r}")
        reason = _finish_reason(answer)
        text, refusal = _said(answer, "text"), _said(answer, "refusal")
        if refusal and not text:
            raise ContentFilterError(f"the model refused: {refusal}")
        return Completion(
            text=text,
            finish_reason="content_filter" if refusal else reason,
            usage=_usage(answer),
            reasoning=_reasoning(answer),
            model=answer.get("model"),
            request_id=request_id,
        )

    async def stream(self, request: CompletionRequest) -> AsyncGenerator[Chunk, None]:
        """Answer piece by piece, until the event that says how it ended."""
        refusal, said = "", False
        async with aclosing(self._client.events(_PATH, self._body(request))) as events:
            async for event in events:
                kind = event.get("type")
                if kind == "response.refusal.delta":
                    refusal += _delta(event)
                elif kind in _LAST:
                    yield _last_chunk(event.get("response") or {}, refusal, said=said)
                    await drained(events)
                    return
                elif chunk := _chunk(kind, event):
                    said = said or bool(chunk.text)
                    yield chunk

    def _body(self, request: CompletionRequest) -> JSON:
        options = request.options
        body: JSON = {
            "model": self._model,
            "input": [_message(message) for message in request.messages],
            "reasoning": _set(effort=options.reasoning_effort, summary=options.reasoning_summary),
            "text": _set(verbosity=options.verbosity, format=_format(request.response_format)),
            "max_output_tokens": request.max_output_tokens or options.max_completion_tokens,
        }
        for name, value in options.asdict().items():
            if name in _UNKNOWN:
                raise UnsupportedError(
                    f"{self._model}: {name}: the Responses API has no such option."
                )
            if name in _SAME:
                body[name] = value
        said = {name: value for name, value in body.items() if value not in (None, {})}
        return said | (options.extra_body or {})


_UNKNOWN = ("frequency_penalty", "presence_penalty", "stop", "seed", "logit_bias", "max_tokens")
_SAME = (
    "temperature",
    "top_p",
    "service_tier",
    "safety_identifier",
    "prompt_cache_key",
    "user",
    "metadata",
    "store",
)
_LAST = ("response.completed", "response.incomplete")


def _set(**fields: Any) -> JSON:
    return {name: value for name, value in fields.items() if value is not None}


def _message(message: Message) -> JSON:
    if not message.images:
        return {"role": message.role, "content": message.content}
    text = [{"type": "input_text", "text": message.content}] if message.content else []
    images = [{"type": "input_image", "image_url": one.data_url} for one in message.images]
    return {"role": message.role, "content": [*text, *images]}


def _format(wanted: JSONObject | JSONSchema | None) -> JSON | None:
    if wanted is None:
        return None
    if isinstance(wanted, JSONObject):
        return {"type": "json_object"}
    schema, is_strict = strict(wanted)
    return {"type": "json_schema", "name": wanted.name, "schema": schema, "strict": is_strict}


def _chunk(kind: object, event: JSON) -> Chunk | None:
    match kind:
        case "response.output_text.delta":
            return Chunk(_delta(event))
        case "response.reasoning_summary_text.delta" | "response.reasoning_text.delta":
            return Chunk(reasoning=_delta(event))
        case "response.failed":
            raise _failure(event.get("response") or {})
        case "error":
            raise reported(event)
        case str():
            return None
    raise InterruptedStreamError(f"an event of the stream has no type: {str(event)[:200]!r}")


def _delta(event: JSON) -> str:
    delta = event.get("delta")
    if not isinstance(delta, str):
        raise InterruptedStreamError(f"an event of the stream has no text: {str(event)[:200]!r}")
    return delta


def _last_chunk(response: JSON, refusal: str, *, said: bool) -> Chunk:
    if refusal and not said:
        raise ContentFilterError(f"the model refused: {refusal}")
    reason: FinishReason = "content_filter" if refusal else _finish_reason(response)
    return Chunk(finish_reason=reason, usage=_usage(response))


def _finish_reason(response: JSON) -> FinishReason:
    match response:
        case {"status": "completed"}:
            return "stop"
        case {"status": "incomplete", "incomplete_details": {"reason": "content_filter"}}:
            return "content_filter"
        case {"status": "incomplete"}:
            return "length"
        case {"status": "failed"}:
            raise _failure(response)
    raise ProviderError(f"the response ended with the status {response.get('status')!r}")


def _failure(response: JSON) -> ProviderError:
    unsaid = {"message": "the response failed", "code": "server_error"}
    return reported(response.get("error") or unsaid)


def _said(response: JSON, what: str) -> str:
    parts = (part for item in response["output"] for part in item.get("content") or ())
    return _joined((part for part in parts if part.get("type") != "reasoning_text"), what)


def _reasoning(response: JSON) -> str:
    items = (item for item in response["output"] if item.get("type") == "reasoning")
    return _joined((part for item in items for part in item.get("summary") or ()), "text")


def _joined(parts: Iterable[JSON], what: str) -> str:
    return "".join(part.get(what) or "" for part in parts)


def _usage(response: JSON) -> Usage | None:
    usage = response.get("usage")
    if not isinstance(usage, dict):
        return None
    of_input = usage.get("input_tokens_details") or {}
    of_output = usage.get("output_tokens_details") or {}
    return Usage(
        usage.get("input_tokens") or 0,
        usage.get("output_tokens") or 0,
        cached_input_tokens=of_input.get("cached_tokens") or 0,
        reasoning_tokens=of_output.get("reasoning_tokens") or 0,
    )
