"""What an answer is to look like."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from typing import Any

import attrs
import msgspec
import pydantic
import pytest

import ragcore
from ragcore import (
    Capabilities,
    Chunk,
    Completion,
    JSONObject,
    JSONSchema,
    OptionsError,
    ProviderError,
    TruncatedResponseError,
    UnsupportedError,
)
from ragcore.testing import Script, scripted

SCHEMA = {"type": "object", "properties": {"name": {"type": "string"}}}
NATIVE = Capabilities(json_object=True, json_schema=True)


class Poet(pydantic.BaseModel):
    name: str
    born: int


@attrs.frozen
class Novel:
    title: str
    pages: int = 0


@pytest.fixture(autouse=True)
def providers() -> Iterator[None]:
    with (
        scripted(NATIVE, name="native"),
        scripted(Capabilities(json_object=True), name="half"),
        scripted(Capabilities(), name="plain"),
    ):
        yield


class Asked:
    """An answer, and the request for it."""

    def __init__(self, answer: Completion, script: Script) -> None:
        self.answer = answer
        self.request: Any = script.requests[-1]
        self.attempts = len(script.requests)


async def ask(
    response_format: Any,
    said: Any = '{"name": "Goethe"}',
    *,
    provider: str = "native",
    system: str | None = None,
    **options: Any,
) -> Asked:
    script = Script(said)
    async with ragcore.completion(f"{provider}:x", script=script, **options) as model:
        answer = await model.complete("Who?", response_format=response_format, system=system)
    return Asked(answer, script)


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        (JSONObject(), JSONObject()),
        (JSONObject, JSONObject()),
        ({"type": "json_object", "schema": None}, JSONObject()),
        (JSONSchema(SCHEMA, name="poet"), JSONSchema(SCHEMA, name="poet")),
        ({"type": "json_object"}, JSONObject()),
        (SCHEMA, JSONSchema(SCHEMA)),
        ({"type": "json_schema", "json_schema": {"schema": SCHEMA}}, JSONSchema(SCHEMA)),
        (
            {
                "type": "json_schema",
                "json_schema": {"schema": SCHEMA, "name": "p", "strict": False},
            },
            JSONSchema(SCHEMA, name="p", strict=False),
        ),
        (
            {"type": "json_schema", "json_schema": {"schema": SCHEMA, "name": "p", "strict": None}},
            JSONSchema(SCHEMA, name="p"),
        ),
    ],
)
async def test_a_format_is_understood(given: Any, wanted: Any) -> None:
    """Ours, OpenAI's dicts, and bare schemas."""
    asked = await ask(given)

    assert asked.request.response_format == wanted
    assert asked.answer.structured == "native"
    assert asked.answer.parsed is None


@pytest.mark.parametrize("given", [None, {"type": "text"}])
async def test_plain_text_is_plain(given: Any) -> None:
    """No format, no rung."""
    asked = await ask(given)

    assert asked.request.response_format is None
    assert asked.answer.structured is None


@pytest.mark.parametrize("given", ["json", 5, object, dict, [SCHEMA], {"type": "json_schema"}])
async def test_what_is_no_format_is_refused(given: Any) -> None:
    """With all that would be one."""
    with pytest.raises(OptionsError, match="response_format"):
        await ask(given)


async def test_a_pydantic_model_is_parsed() -> None:
    """Its schema goes out, its instance comes back."""
    asked = await ask(Poet, '{"name": "Goethe", "born": 1749}')

    assert asked.answer.parsed == Poet(name="Goethe", born=1749)
    assert asked.answer.text == '{"name": "Goethe", "born": 1749}'
    assert asked.request.response_format == JSONSchema(Poet.model_json_schema(), name="Poet")


async def test_an_attrs_class_is_parsed() -> None:
    """Through msgspec."""
    asked = await ask(Novel, '{"title": "Werther"}')

    assert asked.answer.parsed == Novel("Werther")
    assert asked.request.response_format.name == "Novel"
    assert asked.request.response_format.schema == msgspec.json.schema(Novel)


@attrs.frozen
class Odd:
    socket: complex


class OddModel(pydantic.BaseModel):
    model_config = {"arbitrary_types_allowed": True}
    thing: Script


@pytest.mark.parametrize("given", [Odd, OddModel])
async def test_a_class_without_a_schema_is_refused(given: Any) -> None:
    """As an option, whatever pydantic or msgspec call it."""
    with pytest.raises(OptionsError, match=f"{given.__name__} can't be put as a JSON Schema"):
        await ask(given)


FENCED = '```json\n{"name": "Goethe", "born": 1749}\n```'


@pytest.mark.parametrize(
    "said",
    [FENCED, f"\n{FENCED}  \n", FENCED.replace("json", ""), ' {"name": "Goethe", "born": 1749}\n'],
)
async def test_a_fence_is_taken_off(said: str) -> None:
    """Models like to put one around JSON, also when told not to."""
    assert (await ask(Poet, said)).answer.parsed.born == 1749


@pytest.mark.parametrize("given", [Poet, Novel])
@pytest.mark.parametrize(
    "said", ["Goethe, 1749", "{}", '{"title": 5, "name": 5}', "[]", "```\n```"]
)
async def test_what_does_not_fit_is_an_error(given: Any, said: str) -> None:
    """It shows how the answer began, has the parser's cause, and is not tried again."""
    with pytest.raises(ProviderError, match="does not fit response_format") as caught:
        await ask(given, said)

    assert type(caught.value) is ProviderError
    assert repr(said[:80]) in str(caught.value)
    assert isinstance(caught.value.__cause__, ValueError)
    assert (caught.value.provider, caught.value.attempts) == ("native", 1)


async def test_cut_json_is_a_truncated_response() -> None:
    """The limit is to blame, not the model."""
    cut = Completion('{"name": "Goe', finish_reason="length")

    with pytest.raises(TruncatedResponseError, match="before its JSON was complete"):
        await ask(Poet, cut)


@pytest.mark.parametrize("given", [JSONObject(), SCHEMA, JSONSchema(SCHEMA)])
@pytest.mark.parametrize("provider", ["native", "plain"])
async def test_cut_json_is_a_truncated_response_without_a_class_too(
    given: Any, provider: str
) -> None:
    """One rule for whatever asks for JSON, and however it is asked for."""
    cut = Completion('{"name": "Goe', finish_reason="length")

    with pytest.raises(TruncatedResponseError, match="before its JSON was complete"):
        await ask(given, cut, provider=provider, on_unsupported="prompt")


@pytest.mark.parametrize("given", [JSONObject(), JSONSchema(SCHEMA)])
async def test_prose_that_is_cut_is_an_answer_that_is_cut(given: Any) -> None:
    """No JSON had begun, in whatever way it was asked for; LightRAG takes what is there."""
    cut = Completion("It was Goe", finish_reason="length")
    answer = (await ask(given, cut, provider="plain", on_unsupported="prompt")).answer

    assert (answer.text, answer.finish_reason) == ("It was Goe", "length")


async def test_whole_json_of_a_cut_answer_is_taken() -> None:
    """What is there is there; that it was cut stays visible."""
    said = Completion('{"name": "Goethe", "born": 1749}', finish_reason="length")

    answer = (await ask(Poet, said)).answer

    assert (answer.parsed.name, answer.finish_reason) == ("Goethe", "length")


# --- models that can't ---------------------------------------------------------------------


@pytest.mark.parametrize("given", [JSONObject(), SCHEMA, Poet])
async def test_a_model_that_cannot_refuses(given: Any) -> None:
    """By default; the message names the way out."""
    with pytest.raises(UnsupportedError, match=r"response_format.*on_unsupported='prompt'"):
        await ask(given, provider="plain")


async def test_json_object_and_schema_are_told_apart() -> None:
    """A model may do the one and not the other."""
    assert (await ask(JSONObject(), provider="half")).answer.structured == "native"
    with pytest.raises(UnsupportedError):
        await ask(SCHEMA, provider="half")


async def test_it_may_be_asked_for_in_words() -> None:
    """The schema is in the prompt, the answer says how it was asked for, and is parsed."""
    asked = await ask(Poet, FENCED, provider="plain", on_unsupported="prompt")

    instructions, question = asked.request.messages
    assert asked.request.response_format is None
    assert instructions.role == "system"
    assert json.dumps(Poet.model_json_schema()) in instructions.content
    assert question == ragcore.user("Who?")
    assert asked.answer.structured == "prompted"
    assert asked.answer.parsed == Poet(name="Goethe", born=1749)


async def test_json_is_made_sure_of_where_only_the_schema_is_in_words() -> None:
    """A model that has a JSON mode is put into it, and told of the schema."""
    asked = await ask(Poet, FENCED, provider="half", on_unsupported="prompt")

    assert asked.request.response_format == JSONObject()
    assert json.dumps(Poet.model_json_schema()) in asked.request.messages[0].content
    assert asked.answer.structured == "object"


async def test_words_are_added_to_the_callers() -> None:
    """One system message, the caller's first: many templates take no second."""
    asked = await ask(JSONObject(), provider="plain", on_unsupported="prompt", system="Be kind.")

    first, _ = asked.request.messages
    assert first.content.startswith("Be kind.\n\nAnswer with one JSON object")


async def test_it_may_be_left_out_with_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    """Once for a model; the answer has no rung."""
    script = Script(forever="Goethe")
    with caplog.at_level(logging.WARNING, "ragcore"):
        async with ragcore.completion("plain:x", script=script, on_unsupported="warn") as model:
            answers = [await model.complete("Who?", response_format=SCHEMA) for _ in range(2)]

    assert [answer.structured for answer in answers] == [None, None]
    assert len(caplog.messages) == 1
    assert "response_format is left out" in caplog.messages[0]


async def test_a_stream_is_parsed_at_its_end() -> None:
    """The same rungs, the same checks."""
    script = Script(['{"name": "Goethe", ', '"born": 1749}', Chunk(finish_reason="stop")])
    async with (
        ragcore.completion("native:x", script=script) as model,
        model.stream("Who?", response_format=Poet) as chunks,
    ):
        async for _ in chunks:
            pass

    assert chunks.completion.parsed == Poet(name="Goethe", born=1749)
    assert chunks.completion.structured == "native"


async def test_a_stream_that_does_not_fit_fails_at_its_end() -> None:
    """With the provider's name."""
    script = Script(["Goethe", Chunk(finish_reason="stop")])
    async with (
        ragcore.completion("native:x", script=script) as model,
        model.stream("Who?", response_format=Poet) as chunks,
    ):
        with pytest.raises(ProviderError, match="does not fit") as caught:
            async for _ in chunks:
                pass

    assert caught.value.provider == "native"


async def test_without_msgspec_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """The core does not need it; an attrs class does."""

    @attrs.frozen
    class New:
        name: str

    monkeypatch.setitem(__import__("sys").modules, "msgspec", None)

    with pytest.raises(OptionsError, match=r"pip install 'lightrag-core\[msgspec\]'"):
        await ask(New)


@pytest.mark.parametrize(
    "schema", [{"const": float("nan")}, {"const": object()}, {"title": "\ud800"}]
)
async def test_a_schema_that_is_no_json_is_refused(schema: Any) -> None:
    """Before anything is sent."""
    for given in (schema, JSONSchema(schema)):
        with pytest.raises(OptionsError, match="response_format"):
            await ask(given)
