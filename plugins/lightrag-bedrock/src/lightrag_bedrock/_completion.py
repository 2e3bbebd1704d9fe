"""
Converse and ConverseStream.

Source:
    https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_Converse.html and
    API_runtime_ConverseStream.html
"""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, Iterable, Iterator, Mapping
from contextlib import aclosing, contextmanager
from typing import Any

from lightrag_bedrock._connect import Bedrock
from lightrag_bedrock._errors import translated
from lightrag_bedrock.options import BedrockLLMOptions
from ragcore import (
    Chunk,
    Completion,
    CompletionRequest,
    FinishReason,
    Image,
    InterruptedStreamError,
    InvalidRequestError,
    JSONSchema,
    Message,
    OptionsError,
    ProviderError,
    UnsupportedError,
    Usage,
)

_FINISH: dict[str, FinishReason] = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "tool_use": "stop",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "content_filtered": "content_filter",
    "guardrail_intervened": "content_filter",
    "refusal": "content_filter",
}

_IMAGE_FORMATS = {
    "image/gif": "gif",
    "image/jpeg": "jpeg",
    "image/jpg": "jpeg",
    "image/png": "png",
    "image/webp": "webp",
}


class BedrockCompletion:
    """One model, asked by Converse."""

    def __init__(self, client: Bedrock, model_name: str, options: BedrockLLMOptions) -> None:
        self._client = client
        self._model_name = model_name

    async def complete(self, request: CompletionRequest) -> Completion:
        """Answer in one piece."""
        asked = _request(self._model_name, request)
        with translated():
            answer = await self._client.threads.run(lambda: self._client.runtime.converse(**asked))
        return _completion(answer)

    async def stream(self, request: CompletionRequest) -> AsyncGenerator[Chunk, None]:
        """Answer piece by piece."""
        asked = _request(self._model_name, request)
        with translated():
            async with aclosing(
                self._client.threads.iterate(lambda: self._chunks(asked))
            ) as chunks:
                async for chunk in chunks:
                    yield chunk

    def _chunks(self, asked: Mapping[str, Any]) -> Iterator[Chunk]:
        events = self._client.runtime.converse_stream(**asked)["stream"]
        try:
            with _malformed():
                yield from _chunks_of(events)
        finally:
            events.close()


# --- what is asked --------------------------------------------------------------------------


def _request(model_name: str, request: CompletionRequest) -> dict[str, Any]:
    """Return the arguments of ``converse``; what is not set is left out."""
    options: BedrockLLMOptions = request.options
    parts = {
        "modelId": model_name,
        "messages": _messages(request.messages),
        "system": [
            {"text": message.content}
            for message in request.messages
            if message.role == "system" and message.content
        ],
        "inferenceConfig": _set(
            maxTokens=request.max_output_tokens or options.max_tokens,
            temperature=options.temperature,
            topP=options.top_p,
            stopSequences=options.stop_sequences,
        ),
        "additionalModelRequestFields": options.extra_fields,
        "outputConfig": _set(textFormat=_text_format(request), effort=options.effort),
        "guardrailConfig": _guardrail(options),
        "performanceConfig": _set(latency=options.latency),
        "serviceTier": _set(type=options.service_tier),
        "requestMetadata": options.request_metadata,
        "promptVariables": {
            name: {"text": text} for name, text in (options.prompt_variables or {}).items()
        },
    }
    return {name: part for name, part in parts.items() if part}


def _set(**values: Any) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value is not None}


def _guardrail(options: BedrockLLMOptions) -> dict[str, Any]:
    found = _set(
        guardrailIdentifier=options.guardrail_id,
        guardrailVersion=options.guardrail_version,
        trace=options.guardrail_trace,
    )
    pair = {"guardrail_id": options.guardrail_id, "guardrail_version": options.guardrail_version}
    missing = [name for name, value in pair.items() if value is None]
    if found and missing:
        given = [name for name in (*pair, "guardrail_trace") if getattr(options, name) is not None]
        raise OptionsError(
            f"{', '.join(given)}: set without {' and '.join(missing)} @ bedrock_llm.{given[0]}"
        )
    return found


def _text_format(request: CompletionRequest) -> dict[str, Any] | None:
    if not isinstance(request.response_format, JSONSchema):
        return None
    schema = request.response_format
    definition = {"schema": json.dumps(schema.schema), "name": schema.name}
    return {"type": "json_schema", "structure": {"jsonSchema": definition}}


def _messages(messages: Iterable[Message]) -> list[dict[str, Any]]:
    """Return the turns; neighbours of one role are one turn, since roles have to alternate."""
    turns: list[dict[str, Any]] = []
    for message in messages:
        if message.role == "system":
            continue
        if turns and turns[-1]["role"] == message.role:
            turns[-1]["content"] += _blocks(message)
        else:
            turns.append({"role": message.role, "content": _blocks(message)})
    return turns


def _blocks(message: Message) -> list[dict[str, Any]]:
    images = [_image(image) for image in message.images]
    # Converse refuses an empty text; beside images there need be none.
    text = [{"text": message.content}] if message.content or not images else []
    return images + text


def _image(image: Image) -> dict[str, Any]:
    if image.data is None:
        raise UnsupportedError(
            "Converse takes images as bytes, not by their address: fetch it, and use "
            "Image.from_bytes()"
        )
    if (known := _IMAGE_FORMATS.get(image.media_type.lower())) is None:
        raise InvalidRequestError(
            f"Converse takes PNG, JPEG, GIF and WebP images, not {image.media_type!r}"
        )
    return {"image": {"format": known, "source": {"bytes": image.data}}}


# --- what is answered -----------------------------------------------------------------------


def _completion(answer: Mapping[str, Any]) -> Completion:
    if not isinstance(answer.get("output"), dict) or "stopReason" not in answer:
        # Of a body that is no JSON, botocore makes an empty answer.
        raise ProviderError("what came back is no answer of Converse")
    blocks = answer["output"].get("message", {}).get("content", [])
    return Completion(
        text="".join(_text(block) for block in blocks),
        finish_reason=_finish_reason(answer.get("stopReason")),
        usage=_usage(answer.get("usage")),
        reasoning="".join(_reasoning(block) for block in blocks),
        model=answer.get("trace", {}).get("promptRouter", {}).get("invokedModelId"),
        request_id=answer.get("ResponseMetadata", {}).get("RequestId"),
    )


def _text(block: Mapping[str, Any]) -> str:
    cited = block.get("citationsContent", {}).get("content", [])
    return "".join(part.get("text", "") for part in (block, *cited))


def _reasoning(block: Mapping[str, Any]) -> str:
    found: str = block.get("reasoningContent", {}).get("reasoningText", {}).get("text", "")
    return found


def _finish_reason(said: str | None) -> FinishReason:
    """
    Return what the service's *stopReason* is called here.

    Raises:
        ProviderError: It means that the answer is of no use, or is not known.
    """
    if said in _FINISH:
        return _FINISH[said]
    raise ProviderError(f"the model stopped because of {said!r}, which is no end of an answer")


def _usage(said: Mapping[str, Any] | None) -> Usage | None:
    if not said:
        return None
    read, written = said.get("cacheReadInputTokens") or 0, said.get("cacheWriteInputTokens") or 0
    uncached, output = said.get("inputTokens") or 0, said.get("outputTokens") or 0
    # Models differ in whether inputTokens contains what the cache has; the total always does.
    beside = (said.get("totalTokens") or 0) - output
    return Usage(
        input_tokens=beside if beside >= uncached else uncached + read + written,
        output_tokens=output,
        cached_input_tokens=read,
    )


@contextmanager
def _malformed() -> Iterator[None]:
    """Say that the stream is damaged where an event lacks what it must have."""
    try:
        yield
    except (KeyError, TypeError, AttributeError, ValueError) as exc:
        raise InterruptedStreamError(f"the stream carries a damaged event: {exc!r}") from exc


def _chunks_of(events: Iterable[Mapping[str, Any]]) -> Iterator[Chunk]:
    """Make chunks of the events of a stream; the usage comes after the end of the message."""
    finish_reason, usage = None, None
    for event in events:
        match event:
            case {"contentBlockDelta": block}:
                if chunk := _chunk(block["delta"]):
                    yield chunk
            case {"messageStop": stop}:
                finish_reason = _finish_reason(stop["stopReason"])
            case {"metadata": metadata}:
                usage = _usage(metadata.get("usage"))
    if finish_reason:
        yield Chunk(finish_reason=finish_reason, usage=usage)


def _chunk(delta: Mapping[str, Any]) -> Chunk | None:
    text, reasoning = delta.get("text", ""), delta.get("reasoningContent", {}).get("text", "")
    if not (isinstance(text, str) and isinstance(reasoning, str)):
        raise TypeError(f"what should be text is {delta!r:.80}")
    return Chunk(text, reasoning) if text or reasoning else None
