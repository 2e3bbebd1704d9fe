"""What a completion is asked for, and whether its answer is one: text, JSON, a class of yours."""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Callable, Mapping
from typing import Any

import attrs

from ragcore._calls.exchange import Exchange
from ragcore._calls.opening import Opening
from ragcore._calls.rungs import Format, Way, is_native, ways
from ragcore._records import (
    Completion,
    CompletionRequest,
    JSONObject,
    JSONSchema,
    Message,
    ParsedCompletion,
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

    def fitted(self, opening: Opening[Any]) -> tuple[CompletionRequest, tuple[Way, ...]]:
        """
        Return the request as the model of *opening* takes it, and the ways to ask for JSON.

        Raises:
            UnsupportedError: The model can't do what was asked.
            OptionsError: An option is unknown or invalid; all problems at once.
        """
        options = opening.with_options_of_call(self.options)
        if self.max_output_tokens is not None:
            refuse_twice(options, "max_output_tokens")
        request = CompletionRequest(
            messages=self._seen(opening),
            options=options,
            max_output_tokens=self.max_output_tokens,
            attempt_timeout=opening.retry.attempt_timeout,
        )
        found = self._ways(opening)
        return (found[0].put(request) if found else request), found

    def _seen(self, opening: Opening[Any]) -> tuple[Message, ...]:
        if opening.capabilities.images or not any(message.images for message in self.messages):
            return self.messages
        opening.refuse("images", "the model does not look at images")
        return tuple(attrs.evolve(message, images=()) for message in self.messages)

    def _ways(self, opening: Opening[Any]) -> tuple[Way, ...]:
        if self.wanted is None:
            return ()
        if opening.host.on_unsupported == "prompt":
            return opening.remembered(ways(self.wanted.format, opening.capabilities))
        if is_native(self.wanted.format, opening.capabilities):
            return (Way("native", self.wanted.format),)
        opening.refuse(
            "response_format",
            "the model can't be made to answer in JSON; on_unsupported='prompt' asks it in words",
        )
        return ()

    def finished(self, answer: Completion, exchange: Exchange) -> Completion:
        """
        Return *answer* checked, with the instance that was wanted, and with timings.

        Raises:
            ProviderError: The answer is empty, was held back, or does not fit what was wanted.
        """
        _check_content(answer)
        opening = exchange.opening
        answer = attrs.evolve(
            answer,
            provider=opening.provider.name,
            model=answer.model or opening.model_name,
            structured=exchange.rung,
            timings=exchange.timings(),
        )
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
    if not _BEGINNING.search(answer.text):
        # No JSON had begun: the text is cut as any other, which its finish_reason says.
        return
    try:
        json.loads(_unfenced(answer.text))
    except ValueError as exc:
        raise _cut_json() from exc


_BEGINNING = re.compile(r"[\[{]")


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
