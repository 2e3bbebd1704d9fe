"""
Responses: OpenAI's other API, behind the same records.

Wire format: https://platform.openai.com/docs/api-reference/responses
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterable
from contextlib import aclosing
from typing import Any

from openai.types.responses import Response

from lightrag_openai._completion import image_url, understood
from lightrag_openai._connect import Client
from lightrag_openai._errors import reported, translated
from lightrag_openai._schema import strict
from lightrag_openai.options import ChatOptions
from ragcore import (
    Chunk,
    Completion,
    CompletionRequest,
    ContentFilterError,
    FinishReason,
    JSONObject,
    JSONSchema,
    Message,
    ProviderError,
    UnsupportedError,
    Usage,
)


class Responses:
    """Asks for responses."""

    def __init__(self, client: Client, model_name: str, options: ChatOptions) -> None:
        self._client = client
        self._model = client.name_of(model_name)

    async def complete(self, request: CompletionRequest) -> Completion:
        """Answer in one piece."""
        with translated():
            answer = await self._client.sdk.responses.create(**self._body(request))
        if not isinstance(answer, Response) or not isinstance(answer.output, list):
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
            model=answer.model,
            request_id=answer._request_id,  # noqa: SLF001  # the SDK documents it as public
        )

    async def stream(self, request: CompletionRequest) -> AsyncGenerator[Chunk, None]:
        """Answer piece by piece, until the event that says how it ended."""
        refusal, said = "", False
        with translated():
            body = self._body(request) | {"stream": True}
            events = await self._client.sdk.responses.create(**body)
            async with events, aclosing(understood(events)) as each:
                async for event in each:
                    kind = getattr(event, "type", None)
                    if kind == "response.refusal.delta":
                        refusal += event.delta
                    elif kind in _LAST:
                        yield _last_chunk(event.response, refusal, said=said)
                        return
                    elif chunk := _chunk(kind, event):
                        said = said or bool(chunk.text)
                        yield chunk

    def _body(self, request: CompletionRequest) -> dict[str, Any]:
        options = request.options
        body: dict[str, Any] = {
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
        return {name: value for name, value in body.items() if value not in (None, {})} | {
            "extra_body": options.extra_body,
            "extra_headers": self._client.headers,
        }


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


def _set(**fields: Any) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if value is not None}


def _message(message: Message) -> dict[str, Any]:
    if not message.images:
        return {"role": message.role, "content": message.content}
    text = [{"type": "input_text", "text": message.content}] if message.content else []
    images = [{"type": "input_image", "image_url": image_url(one)} for one in message.images]
    return {"role": message.role, "content": [*text, *images]}


def _format(wanted: JSONObject | JSONSchema | None) -> dict[str, Any] | None:
    if wanted is None:
        return None
    if isinstance(wanted, JSONObject):
        return {"type": "json_object"}
    schema, is_strict = strict(wanted)
    return {"type": "json_schema", "name": wanted.name, "schema": schema, "strict": is_strict}


def _chunk(kind: str | None, event: Any) -> Chunk | None:
    match kind:
        case "response.output_text.delta":
            return Chunk(event.delta)
        case "response.reasoning_summary_text.delta" | "response.reasoning_text.delta":
            return Chunk(reasoning=event.delta)
        case "response.failed":
            raise reported(_error_of(event.response))
        case "error":
            raise reported({"message": event.message, "code": event.code, "type": event.code})
        case str():
            return None
    raise ProviderError(f"an event of the stream has no type: {str(event)[:200]!r}")


def _last_chunk(response: Response, refusal: str, *, said: bool) -> Chunk:
    if refusal and not said:
        raise ContentFilterError(f"the model refused: {refusal}")
    reason: FinishReason = "content_filter" if refusal else _finish_reason(response)
    return Chunk(finish_reason=reason, usage=_usage(response))


def _finish_reason(response: Response) -> FinishReason:
    if response.status == "completed":
        return "stop"
    if response.status == "incomplete":
        reason = response.incomplete_details and response.incomplete_details.reason
        return "content_filter" if reason == "content_filter" else "length"
    if response.status == "failed":
        raise reported(_error_of(response))
    raise ProviderError(f"the response ended with the status {response.status!r}")


def _error_of(response: Response) -> dict[str, Any]:
    error = response.error
    code = error.code if error else "server_error"
    return {"message": error.message if error else "the response failed", "code": code}


def _said(response: Response, what: str) -> str:
    parts = (part for item in response.output for part in getattr(item, "content", None) or ())
    return _joined((part for part in parts if part.type != "reasoning_text"), what)


def _reasoning(response: Response) -> str:
    items = [item for item in response.output if item.type == "reasoning"]
    summaries = (part for item in items for part in item.summary or ())
    return _joined(summaries, "text")


def _joined(parts: Iterable[Any], what: str) -> str:
    return "".join(getattr(part, what, None) or "" for part in parts)


def _usage(response: Response) -> Usage | None:
    usage = response.usage
    if usage is None:
        return None
    of_input, of_output = usage.input_tokens_details, usage.output_tokens_details
    return Usage(
        usage.input_tokens,
        usage.output_tokens,
        cached_input_tokens=(of_input.cached_tokens if of_input else 0) or 0,
        reasoning_tokens=(of_output.reasoning_tokens if of_output else 0) or 0,
    )
