"""
Converse and ConverseStream.

Source:
    https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_Converse.html and
    API_runtime_ConverseStream.html
"""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, Iterable, Iterator, Mapping
from contextlib import aclosing
from typing import Any

from lightrag_bedrock._answers import readable, without_metadata
from lightrag_bedrock._connect import Bedrock
from lightrag_bedrock._errors import translated
from lightrag_bedrock.options import BedrockLLMOptions
from ragcore import (
    Chunk,
    Completion,
    CompletionRequest,
    Image,
    InvalidRequestError,
    JSONSchema,
    Message,
    OptionsError,
    UnsupportedError,
    Usage,
)
from ragcore.wire import count, finish_reason, text_and_thoughts, unlike

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
        return _completion(readable(answer))

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
            if message.role == "system" and message.content.strip()
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
    """
    Return the turns; neighbours of one role are one turn, since roles have to alternate.

    Raises:
        InvalidRequestError: All of them are blank.
    """
    said = [(at, message) for at, message in enumerate(messages) if message.role != "system"]
    turns: list[dict[str, Any]] = []
    for _, message in said:
        blocks = _blocks(message)
        if turns and turns[-1]["role"] == message.role:
            turns[-1]["content"] += blocks
        elif blocks:
            turns.append({"role": message.role, "content": blocks})
    if not turns:
        positions = [at for at, _ in said]
        raise InvalidRequestError("Converse takes no blank text", positions=positions)
    return turns


def _blocks(message: Message) -> list[dict[str, Any]]:
    # Converse refuses a request that holds a blank text.
    text = [{"text": message.content}] if message.content.strip() else []
    return [*map(_image, message.images), *text]


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


def _completion(answer: dict[str, Any]) -> Completion:
    match answer:
        case {"output": {"message": {"content": content}}}:
            text, reasoning = _text_and_thoughts(content)
        case _:
            raise unlike(without_metadata(answer), "answer of Converse")
    return Completion(
        text=text,
        finish_reason=finish_reason(answer.get("stopReason"), text),
        usage=_usage(answer.get("usage")),
        reasoning=reasoning,
        model=_model_behind(answer),
        request_id=answer.get("ResponseMetadata", {}).get("RequestId"),
    )


def _text_and_thoughts(content: object) -> tuple[str, str]:
    """Return the text and the reasoning in a block, or in a list of them."""
    match content:
        case list():
            parts = [_text_and_thoughts(block) for block in content]
            return "".join(text for text, _ in parts), "".join(thought for _, thought in parts)
        case {"reasoningContent": {"reasoningText": {"text": thought}} | {"text": thought}}:
            return "", "".join(text_and_thoughts(thought))
        case {"citationsContent": {"content": cited}}:
            return text_and_thoughts(cited)
        case dict():
            # Tools, images and signatures have none.
            return text_and_thoughts(content.get("text"))
    return text_and_thoughts(content)


def _model_behind(answer: Mapping[str, Any]) -> str | None:
    """Return the model that a prompt router chose."""
    match answer.get("trace"):
        case {"promptRouter": {"invokedModelId": str(model)}}:
            return model
    return None


def _usage(said: object) -> Usage | None:
    uncached, output = count(said, "inputTokens"), count(said, "outputTokens")
    if uncached is None and output is None:
        return None
    uncached, output = uncached or 0, output or 0
    read = count(said, "cacheReadInputTokens") or 0
    written = count(said, "cacheWriteInputTokens") or 0
    # Models differ in whether inputTokens contains what the cache has; the total always does.
    beside = (count(said, "totalTokens") or 0) - output
    return Usage(
        input_tokens=beside if beside >= uncached else uncached + read + written,
        output_tokens=output,
        cached_input_tokens=read,
    )


def _chunks_of(events: Iterable[dict[str, Any]]) -> Iterator[Chunk]:
    """Make chunks of the events of a stream; the usage comes after the end of the message."""
    reason, usage = None, None
    for event in events:
        match event:
            case {"contentBlockDelta": {"delta": delta}}:
                text, reasoning = _text_and_thoughts(delta)
                if text or reasoning:
                    yield Chunk(text, reasoning)
            case {"contentBlockDelta": block}:
                raise unlike(block, "piece of an answer")
            case {"messageStop": stop}:
                reason = finish_reason(stop.get("stopReason"))
            case {"metadata": metadata}:
                usage = _usage(metadata.get("usage"))
            case {"output": _}:
                # The service has not streamed its answer.
                whole = _completion(event)
                yield Chunk(whole.text, whole.reasoning)
                reason, usage = whole.finish_reason, whole.usage
    if reason:
        yield Chunk(finish_reason=reason, usage=usage)
