"""
Responses: OpenAI's other API, behind the same records.

Wire format: https://platform.openai.com/docs/api-reference/responses
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any

from lightrag_openai._client import JSON, Client
from lightrag_openai._schema import Schemas
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
    UnavailableError,
    UnsupportedError,
    Usage,
)
from ragcore.wire import (
    DONE,
    drained,
    reported,
    said,
    text_and_thoughts,
    text_in,
    unlike,
    usage_in,
)

_PATH = "/responses"


class Responses:
    """Asks for responses."""

    def __init__(self, client: Client, model_name: str, options: ChatOptions) -> None:
        self._client = client
        self._model = client.name_of(model_name)
        self._schemas = Schemas(
            f"{client.row.name}:{self._model}", closed=True, bounds=client.row.strict_bounds
        )

    async def complete(self, request: CompletionRequest) -> Completion:
        """Answer in one piece."""
        answer, request_id = await self._client.answer(_PATH, self._body(request))
        if not isinstance(answer.get("output"), list):
            raise unlike(answer, "response", *self._client.place)
        text, refusal = _text_in(answer), _refusal_in(answer)
        if refusal and not text:
            raise ContentFilterError(f"the model refused: {refusal}")
        reason = _finish_reason(answer, text)
        return Completion(
            text=text,
            finish_reason="content_filter" if refusal else reason,
            usage=_usage_in(answer),
            reasoning=_reasoning_in(answer),
            model=text_in(answer, "model") or None,
            request_id=request_id,
        )

    async def stream(self, request: CompletionRequest) -> AsyncGenerator[Chunk, None]:
        """Answer piece by piece, until the event that says how it ended."""
        reading = _Reading()
        async with aclosing(self._client.events(_PATH, self._body(request))) as events:
            async for event in events:
                if chunk := reading.read(event):
                    yield chunk
                    if chunk.finish_reason:
                        await drained(events)

    def _body(self, request: CompletionRequest) -> JSON:
        options = request.options
        body: JSON = {
            "model": self._model,
            "input": [_message(message) for message in request.messages],
            "reasoning": _set(effort=options.reasoning_effort, summary=options.reasoning_summary),
            "text": _set(verbosity=options.verbosity, format=self._format(request.response_format)),
            "max_output_tokens": request.max_output_tokens or options.max_completion_tokens,
        }
        for name, value in options.asdict().items():
            if name in _UNKNOWN:
                raise UnsupportedError(
                    f"{self._model}: {name}: the Responses API has no such option."
                )
            if name in _SAME:
                body[name] = value
        given = {name: value for name, value in body.items() if value not in (None, {})}
        return given | (options.extra_body or {})

    def _format(self, wanted: JSONObject | JSONSchema | None) -> JSON | None:
        if wanted is None:
            return None
        if isinstance(wanted, JSONObject):
            return {"type": "json_object"}
        return {"type": "json_schema"} | self._schemas.asked(wanted)


class _Reading:
    """What has been read of a stream."""

    def __init__(self) -> None:
        self._refusal = ""
        self._said = self._thought = False

    def read(self, event: JSON) -> Chunk | None:
        """Return what *event* adds to the answer, or None if that is nothing."""
        match event.get("type"):
            case "response.output_text.delta":
                self._said = True
                return Chunk(_delta(event))
            case "response.reasoning_summary_text.delta" | "response.reasoning_text.delta":
                self._thought = True
                return Chunk(reasoning=_delta(event))
            case "response.refusal.delta":
                self._refusal += _delta(event)
            case "response.completed" | "response.incomplete":
                return self._last(_response_in(event))
            case "response.failed":
                raise _failure(_response_in(event))
            case "error":
                raise reported(event)
            case None if event.get("object") == "response":
                # The service has not streamed its answer.
                return self._last(event)
            case None if event is not DONE:
                raise unlike(event, "event of a response")
        return None

    def _last(self, response: JSON) -> Chunk:
        refusal = self._refusal or _refusal_in(response)
        text = "" if self._said else _text_in(response)
        if refusal and not (self._said or text):
            raise ContentFilterError(f"the model refused: {refusal}")
        reason = _finish_reason(response, text)
        return Chunk(
            text,
            "" if self._thought else _reasoning_in(response),
            finish_reason="content_filter" if refusal else reason,
            usage=_usage_in(response),
        )


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


def _set(**fields: Any) -> JSON:
    return {name: value for name, value in fields.items() if value is not None}


def _message(message: Message) -> JSON:
    if not message.images:
        return {"role": message.role, "content": message.content}
    text = [{"type": "input_text", "text": message.content}] if message.content else []
    images = [{"type": "input_image", "image_url": one.data_url} for one in message.images]
    return {"role": message.role, "content": [*text, *images]}


def _response_in(event: JSON) -> JSON:
    response = event.get("response")
    return response if isinstance(response, dict) else {}


def _delta(event: JSON) -> str:
    delta = event.get("delta")
    if not isinstance(delta, str):
        raise UnavailableError(f"an event of the stream has no text: {said(event)[0]}")
    return delta


def _finish_reason(response: JSON, text: str) -> FinishReason:
    match response:
        case {"status": "completed"}:
            return "stop"
        case {"status": "incomplete", "incomplete_details": {"reason": "content_filter"}}:
            return "content_filter"
        case {"status": "incomplete"}:
            return "length"
        case {"status": "failed"}:
            raise _failure(response)
    status = response.get("status")
    raise InterruptedStreamError(f"the response ended with the status {status!r:.80}", text=text)


def _failure(response: JSON) -> ProviderError:
    unsaid = {"message": "the response failed", "code": "server_error"}
    return reported(response.get("error") or unsaid)


def _text_in(response: JSON) -> str:
    items = (item for item in _dicts_in(response, "output") if item.get("type") != "reasoning")
    return "".join(text_and_thoughts(item.get("content"))[0] for item in items)


def _refusal_in(response: JSON) -> str:
    parts = (part for item in _dicts_in(response, "output") for part in _dicts_in(item, "content"))
    return "".join(text_in(part, "refusal") for part in parts)


def _reasoning_in(response: JSON) -> str:
    items = (item for item in _dicts_in(response, "output") if item.get("type") == "reasoning")
    parts = (part for item in items for part in _thoughts_in(item))
    return "".join(text_in(part, "text") for part in parts)


def _thoughts_in(item: JSON) -> list[JSON]:
    # OpenAI's models show a summary, others what they thought.
    return _dicts_in(item, "summary") or _dicts_in(item, "content")


def _usage_in(response: JSON) -> Usage | None:
    return usage_in(response, "input_tokens", "output_tokens")


def _dicts_in(said: JSON, name: str) -> list[JSON]:
    """Return the objects in the list of that *name*; none if there is none."""
    found = said.get(name)
    return [one for one in found if isinstance(one, dict)] if isinstance(found, list) else []
