"""What a completion is asked for, and whether its answer is one: text, JSON, a class of yours."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable, Mapping
from typing import Any

import attrs

from ragcore._calls.exchange import Exchange
from ragcore._calls.opening import Opening
from ragcore._records import (
    Capabilities,
    Completion,
    CompletionRequest,
    JSONObject,
    JSONSchema,
    Message,
    ParsedCompletion,
    Rung,
    system,
)
from ragcore.errors import (
    ContentFilterError,
    EmptyResponseError,
    OptionsError,
    ProviderError,
    TruncatedResponseError,
)
from ragcore.options import refuse_twice
from ragcore.wire import JSON

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
            return _of_record(response_format)
        case type() if response_format is JSONObject:
            return Wanted(JSONObject())
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
        case {"type": "json_object"}:
            return Wanted(JSONObject())
        case {"type": "json_schema", "json_schema": {"schema": schema} as asked}:
            named = {key: asked[key] for key in ("name", "strict") if asked.get(key) is not None}
            return _of_record(JSONSchema(schema, **named))
        case {"type": "json_schema"}:
            raise OptionsError(
                "response_format: {'type': 'json_schema'} lacks {'json_schema': {'schema': …}}"
            )
    return _of_record(JSONSchema(given))


def _of_record(given: Format) -> Wanted:
    if isinstance(given, JSONSchema) and (problem := JSON.problem(dict(given.schema))):
        raise OptionsError(f"response_format: {problem}")
    return Wanted(given)


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


@attrs.frozen
class AskedCompletion:
    """
    What a caller asked for, before anybody knows which model is to answer.

    Attributes:
        messages: The conversation.
        wanted: What the answer is to look like; None for text.
        max_output_tokens: Upper bound of the answer, in tokens.
        options: The call's own options of the provider.
    """

    messages: tuple[Message, ...]
    wanted: Wanted | None
    max_output_tokens: int | None
    options: Mapping[str, Any]

    def fitted(self, opening: Opening[Any]) -> tuple[CompletionRequest, Rung | None]:
        """
        Return the request as the model of *opening* takes it, and how JSON is asked for.

        Raises:
            UnsupportedError: The model can't do what was asked.
            OptionsError: An option is unknown or invalid; all problems at once.
        """
        messages = self._seen(opening)
        messages, asked_format, rung = self._formatted(messages, opening)
        options = opening.with_options_of_call(self.options)
        if self.max_output_tokens is not None:
            refuse_twice(options, "max_output_tokens")
        request = CompletionRequest(
            messages=messages,
            options=options,
            response_format=asked_format,
            max_output_tokens=self.max_output_tokens,
            attempt_timeout=opening.retry.attempt_timeout,
        )
        return request, rung

    def _seen(self, opening: Opening[Any]) -> tuple[Message, ...]:
        if opening.capabilities.images or not any(message.images for message in self.messages):
            return self.messages
        opening.refuse("images", "the model does not look at images")
        return tuple(attrs.evolve(message, images=()) for message in self.messages)

    def _formatted(
        self, messages: tuple[Message, ...], opening: Opening[Any]
    ) -> tuple[tuple[Message, ...], Format | None, Rung | None]:
        if self.wanted is None:
            return messages, None, None
        if is_native(self.wanted.format, opening.capabilities):
            return messages, self.wanted.format, "native"
        if opening.host.on_unsupported == "prompt":
            # Half of what was asked for is better than nothing of it.
            least = JSONObject()
            native = least if is_native(least, opening.capabilities) else None
            return prompted(messages, self.wanted.format), native, "prompted"
        opening.refuse(
            "response_format",
            "the model can't be made to answer in JSON; on_unsupported='prompt' asks it in words",
        )
        return messages, None, None

    def finished(self, answer: Completion, exchange: Exchange) -> Completion:
        """
        Return *answer* checked, with the instance that was wanted, and with timings.

        Raises:
            ProviderError: The answer is empty, was held back, or does not fit what was wanted.
        """
        _check_content(answer)
        answer = attrs.evolve(answer, structured=exchange.rung, timings=exchange.timings())
        if self.wanted is None:
            return answer
        if self.wanted.parse is None:
            _check_whole(answer)
            return answer
        return with_instance(answer, self.wanted.parse)


_NO_CONTENT: dict[str, tuple[type[ProviderError], str]] = {
    "stop": (EmptyResponseError, "the answer is empty"),
    "length": (TruncatedResponseError, "the token limit was reached before the answer began"),
    "content_filter": (ContentFilterError, "a content filter held the answer back"),
}


def _check_content(answer: Completion) -> None:
    if not answer.text:
        kind, message = _NO_CONTENT[answer.finish_reason]
        raise kind(message)


def _check_whole(answer: Completion) -> None:
    """Refuse JSON that the token limit has cut, as for a class."""
    if answer.finish_reason != "length" or answer.structured is None:
        return
    try:
        json.loads(_unfenced(answer.text))
    except ValueError as exc:
        raise _cut_json() from exc


def _cut_json() -> TruncatedResponseError:
    return TruncatedResponseError("the answer was cut before its JSON was complete")


def with_instance(answer: Completion, parse: Callable[[str], Any]) -> ParsedCompletion[Any]:
    """
    Return *answer* with the instance that *parse* makes of its text.

    Raises:
        TruncatedResponseError: It does not parse, and was cut.
        ProviderError: It does not parse.
    """
    try:
        instance = parse(_unfenced(answer.text))
    except ValueError as exc:
        if answer.finish_reason == "length":
            raise _cut_json() from exc
        raise ProviderError(
            f"the answer does not fit response_format: {exc} (it begins {answer.text[:80]!r})"
        ) from exc
    fields = {field.name: getattr(answer, field.name) for field in attrs.fields(Completion)}
    return ParsedCompletion(**(fields | {"parsed": instance}))


def _unfenced(text: str) -> str:
    """Take the code fence off that models like to put around JSON."""
    lines = text.strip().splitlines()
    if len(lines) > 2 and lines[0].startswith("```") and lines[-1].startswith("```"):  # noqa: PLR2004
        return "\n".join(lines[1:-1])
    return text
