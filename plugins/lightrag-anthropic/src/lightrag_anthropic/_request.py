"""The body of a request for a message."""

from __future__ import annotations

import base64
import itertools
from collections.abc import Iterable, Mapping
from typing import Any

import anthropic

from lightrag_anthropic.options import MAX_TOKENS, AnthropicLLMOptions
from ragcore import CompletionRequest, Image, InvalidRequestError, JSONSchema, Message

_ELSEWHERE = ("effort", "extra_body", "max_tokens")


def body_of(model_name: str, request: CompletionRequest) -> dict[str, Any]:
    """
    Return what asks *model_name* for an answer.

    Raises:
        InvalidRequestError: There is nothing to answer, or an image where none can be.
    """
    options: AnthropicLLMOptions = request.options
    body: dict[str, Any] = {
        "model": model_name,
        "max_tokens": request.max_output_tokens or options.max_tokens or MAX_TOKENS,
        "messages": _turns(request.messages),
    }
    if instructions := _instructions(request.messages):
        body["system"] = instructions
    if output_config := _output_config(request, options):
        body["output_config"] = output_config
    body |= {name: value for name, value in options.asdict().items() if name not in _ELSEWHERE}
    merged: dict[str, Any] = _merged(body, options.extra_body or {})
    return merged


def _merged(body: Any, extra: Any) -> Any:
    """Lay *extra* over *body*, object by object."""
    if not (isinstance(body, Mapping) and isinstance(extra, Mapping)):
        return extra
    return {**body, **{name: _merged(body.get(name), value) for name, value in extra.items()}}


def _instructions(messages: Iterable[Message]) -> str:
    """Return all system messages as one text: the API knows no such role among its turns."""
    return "\n\n".join(
        message.content for message in messages if message.role == "system" and message.content
    )


def _turns(messages: tuple[Message, ...]) -> list[dict[str, Any]]:
    if pictured := [n for n, one in enumerate(messages) if one.role == "system" and one.images]:
        raise InvalidRequestError("a system message can't hold an image", positions=pictured)
    said = [message for message in messages if message.role != "system"]
    if not said:
        raise InvalidRequestError("there are system messages only, and nothing to answer")
    # The API joins turns of one role by itself; servers that speak like it may refuse them.
    return [
        {"role": role, "content": _content(list(turns))}
        for role, turns in itertools.groupby(said, key=lambda message: message.role)
    ]


def _content(messages: list[Message]) -> str | list[dict[str, Any]]:
    if len(messages) == 1 and not messages[0].images:
        return messages[0].content
    return [block for message in messages for block in _blocks(message)]


def _blocks(message: Message) -> Iterable[dict[str, Any]]:
    # Images first: https://platform.claude.com/docs/en/build-with-claude/vision
    yield from map(_image, message.images)
    if message.content or not message.images:
        yield {"type": "text", "text": message.content}


def _image(image: Image) -> dict[str, Any]:
    if image.data is None:
        return {"type": "image", "source": {"type": "url", "url": image.url}}
    data = base64.b64encode(image.data).decode()
    source = {"type": "base64", "media_type": image.media_type, "data": data}
    return {"type": "image", "source": source}


def _output_config(request: CompletionRequest, options: AnthropicLLMOptions) -> dict[str, Any]:
    config: dict[str, Any] = {}
    if options.effort is not None:
        config["effort"] = options.effort
    if isinstance(request.response_format, JSONSchema):
        config["format"] = {"type": "json_schema", "schema": _schema(request.response_format)}
    return config


def _schema(wanted: JSONSchema) -> dict[str, Any]:
    """
    Return the schema in the part of JSON Schema that the API reads.

    The SDK closes objects and puts bounds into descriptions. Where that would lose something, the
    schema goes as it is, and the API says what it does not read.
    """
    schema = dict(wanted.schema)
    if not wanted.strict or _is_open(schema):
        return schema
    try:
        return anthropic.transform_schema(schema)
    except (ValueError, AssertionError):
        return schema


def _is_open(schema: object) -> bool:
    """Tell whether an object in *schema* may have properties that it does not name."""
    if isinstance(schema, Mapping):
        open_here = schema.get("additionalProperties", False) is not False
        return open_here or any(map(_is_open, schema.values()))
    return isinstance(schema, list) and any(map(_is_open, schema))
