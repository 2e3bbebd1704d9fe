"""What an answer is to look like: JSON, a schema, or a class of yours."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable, Mapping
from typing import Any

import attrs

from ragcore._records import Capabilities, Completion, JSONObject, JSONSchema, Message, system
from ragcore.errors import OptionsError, ProviderError, TruncatedResponseError

Format = JSONObject | JSONSchema


@attrs.frozen
class Wanted:
    """
    What was asked for.

    Attributes:
        format: What to ask the service for.
        parse: Makes the instance out of the text; None where no class was given.
    """

    format: Format
    parse: Callable[[str], Any] | None = None


def wanted(response_format: Any) -> Wanted | None:
    """
    Understand *response_format*.

    Args:
        response_format: :class:`JSONObject`, :class:`JSONSchema`, a JSON Schema as a dict, what
            OpenAI's API calls ``response_format``, a pydantic model class, an attrs class
            (through msgspec), or None.

    Raises:
        OptionsError: It is none of these.
    """
    match response_format:
        case None:
            return None
        case JSONObject() | JSONSchema():
            return Wanted(response_format)
        case Mapping():
            return _of_mapping(response_format)
        case type() if hasattr(response_format, "model_json_schema"):
            return _of_class(_of_pydantic, response_format)
        case type() if attrs.has(response_format):
            return _of_class(_of_attrs, response_format)
    raise OptionsError(
        f"response_format: {response_format!r:.80} is not a JSONObject, a JSONSchema, a JSON "
        "Schema (dict), a pydantic model or an attrs class"
    )


def _of_mapping(given: Mapping[str, Any]) -> Wanted | None:
    match given:
        case {"type": "text"}:
            return None
        case {"type": "json_object", **rest} if not rest:
            return Wanted(JSONObject())
        case {"type": "json_schema", "json_schema": {"schema": schema} as asked}:
            named = {key: asked[key] for key in ("name", "strict") if asked.get(key) is not None}
            return Wanted(JSONSchema(schema, **named))
        case {"type": "json_schema"}:
            raise OptionsError(
                "response_format: {'type': 'json_schema'} lacks {'json_schema': {'schema': …}}"
            )
    return Wanted(JSONSchema(given))


def _of_class(read: Callable[[Any], Wanted], cls: type) -> Wanted:
    try:
        return read(cls)
    except OptionsError:
        raise
    except Exception as exc:  # pydantic and msgspec say in many ways that a field has no schema
        raise OptionsError(
            f"response_format: {cls.__name__} can't be put as a JSON Schema: {exc}"
        ) from exc


# Classes are few, and a schema takes longer to make than all the rest of a call.
@functools.lru_cache(maxsize=128)
def _of_pydantic(cls: Any) -> Wanted:
    return Wanted(JSONSchema(cls.model_json_schema(), name=cls.__name__), cls.model_validate_json)


@functools.lru_cache(maxsize=128)
def _of_attrs(cls: type) -> Wanted:
    try:
        import msgspec
    except ImportError as exc:
        raise OptionsError(
            "response_format: an attrs class needs msgspec: pip install 'lightrag-core[msgspec]'"
        ) from exc
    decoder: msgspec.json.Decoder[Any] = msgspec.json.Decoder(cls)

    def parse(text: str) -> Any:
        try:
            return decoder.decode(text)
        except msgspec.MsgspecError as exc:
            raise ValueError(str(exc)) from exc

    return Wanted(JSONSchema(msgspec.json.schema(cls), name=cls.__name__), parse)


def is_native(format: Format, capabilities: Capabilities) -> bool:  # noqa: A002  # the field's word
    """Say whether the service itself can be asked for *format*."""
    if isinstance(format, JSONSchema):
        return capabilities.json_schema
    return capabilities.json_object


def instructions(format: Format) -> str:  # noqa: A002  # the field's word
    """Ask for *format* in words."""
    ask = "Answer with one JSON object and nothing else: no prose, no code fence."
    if isinstance(format, JSONSchema):
        return f"{ask}\nIt must fit this JSON Schema:\n{json.dumps(format.schema)}"
    return ask


def prompted(messages: tuple[Message, ...], format: Format) -> tuple[Message, ...]:  # noqa: A002
    """Return *messages* with the request for *format* added to the system message."""
    ask = instructions(format)
    if messages[0].role == "system":
        first = attrs.evolve(messages[0], content=f"{messages[0].content}\n\n{ask}")
        return (first, *messages[1:])
    return (system(ask), *messages)


def parsed(answer: Completion, parse: Callable[[str], Any]) -> Completion:
    """
    Fill in ``answer.parsed``.

    Raises:
        TruncatedResponseError: It does not parse, and was cut.
        ProviderError: It does not parse.
    """
    try:
        return attrs.evolve(answer, parsed=parse(_unfenced(answer.text)))
    except ValueError as exc:
        if answer.finish_reason == "length":
            raise TruncatedResponseError("the answer was cut before its JSON was complete") from exc
        raise ProviderError(
            f"the answer does not fit response_format: {exc} (it begins {answer.text[:80]!r})"
        ) from exc


def _unfenced(text: str) -> str:
    """Take the code fence off that models like to put around JSON."""
    lines = text.strip().splitlines()
    if len(lines) > 2 and lines[0].startswith("```") and lines[-1].startswith("```"):  # noqa: PLR2004
        return "\n".join(lines[1:-1])
    return text
