"""JSON from servers that refuse how it is asked for, ignore it, or nearly say it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

import ragcore
from ragcore import (
    AuthenticationError,
    Capabilities,
    Chunk,
    Completion,
    CompletionModel,
    ContextLengthError,
    EmptyResponseError,
    InvalidRequestError,
    JSONObject,
    JSONSchema,
    ProviderError,
    TruncatedResponseError,
    UnsupportedError,
)
from ragcore._calls.rungs import json_in
from ragcore.testing import Script, scripted

SCHEMA = {"type": "object", "properties": {"poet": {"type": "string"}}}
WANTED = {"object": JSONObject(), "schema": JSONSchema(SCHEMA)}
JSON = '{"poet": "Goethe"}'
PROSE = "It was Goethe who wrote it."


@pytest.fixture(autouse=True)
def provider() -> Iterator[None]:
    with scripted(Capabilities(json_object=True, json_schema=True)):
        yield


def model_of(answers: Callable[[Any], Any], **options: Any) -> tuple[Any, Script]:
    """Return a model, not yet open, whose server does what *answers* says of a request."""
    script = Script(forever=answers)
    options = {"on_unsupported": "prompt", **options}
    return ragcore.completion("scripted:any", script=script, **options), script


def server(**kinds: Any) -> Callable[[Any], Any]:
    """Answer by what a request asks for natively: ``object``, ``schema``, or ``nothing``."""

    def answer(request: Any) -> Any:
        names = {JSONObject: "object", JSONSchema: "schema", type(None): "nothing"}
        return kinds[names[type(request.response_format)]]

    return answer


REFUSED = InvalidRequestError("'response_format.type' is none that we know", status=400)


@pytest.mark.parametrize(
    ("wanted", "answers", "rung", "requests"),
    [
        ("object", {"object": JSON}, "native", 1),
        ("object", {"object": REFUSED, "schema": JSON}, "schema", 2),
        ("object", {"object": REFUSED, "schema": REFUSED, "nothing": JSON}, "prompted", 3),
        ("object", {"object": PROSE, "schema": PROSE, "nothing": JSON}, "prompted", 3),
        ("schema", {"schema": JSON}, "native", 1),
        ("schema", {"schema": REFUSED, "object": JSON}, "object", 2),
        ("schema", {"schema": UnsupportedError("no"), "object": JSON}, "object", 2),
        ("schema", {"schema": REFUSED, "object": REFUSED, "nothing": JSON}, "prompted", 3),
        ("schema", {"schema": PROSE, "object": Completion(""), "nothing": JSON}, "prompted", 3),
        (
            "object",
            dict.fromkeys(("object", "schema", "nothing"), "{'poet': 'Goethe',}"),
            "repaired",
            3,
        ),
    ],
)
async def test_json_comes_from_every_kind_of_server(
    wanted: str, answers: dict[str, Any], rung: str, requests: int
) -> None:
    """The answer says how; the next call begins with the way that worked."""
    opened, script = model_of(server(**answers))
    async with opened as model:
        answer = await model.complete("Who?", response_format=WANTED[wanted])
        assert len(script.requests) == requests
        again = await model.complete("Who?", response_format=WANTED[wanted])

    assert json.loads(answer.text) == json.loads(again.text) == {"poet": "Goethe"}
    assert (answer.structured, again.structured) == (rung, rung)
    assert len(script.requests) == requests + 1
    assert answer.timings.attempts == requests


async def test_each_way_but_the_services_own_says_it_in_words() -> None:
    """Once, and with the schema."""
    opened, script = model_of(server(schema=REFUSED, object=REFUSED, nothing=JSON))
    async with opened as model:
        await model.complete("Who?", system="Be kind.", response_format=SCHEMA)

    native, half, words = (request.messages[0].content for request in script.requests)  # type: ignore[union-attr]
    assert native == "Be kind."
    assert half == words
    assert words.count(json.dumps(SCHEMA)) == 1


@pytest.mark.parametrize(
    "said",
    [
        f"```json\n{JSON}\n```",
        f"Here you are [as asked]:\n\n{JSON}\n\nAnything else?",
        f"<answer>{JSON}</answer>",
        f"Not {{this}}, but {JSON}",
        Completion("", reasoning=f"I say {JSON}."),
    ],
)
async def test_fences_and_prose_are_taken_off(said: Any) -> None:
    """Nothing but the JSON is the answer, wherever it was put."""
    opened, script = model_of(server(object=said))
    async with opened as model:
        answer = await model.complete("Who?", response_format=JSONObject())

    assert answer.text == JSON
    assert len(script.requests) == 1


async def test_what_is_no_json_after_the_last_way_is_an_error() -> None:
    """With the beginning of what came."""
    opened, script = model_of(server(object=PROSE, schema=PROSE, nothing=PROSE))
    async with opened as model:
        with pytest.raises(ProviderError, match=r"no JSON came.*It was Goethe") as caught:
            await model.complete("Who?", response_format=JSONObject())

    assert (caught.value.provider, caught.value.attempts) == ("scripted", 3)
    assert len(script.requests) == 3


@pytest.mark.parametrize(
    ("said", "kind", "requests"),
    [
        (Completion("", finish_reason="stop"), EmptyResponseError, 3),
        (Completion('{"poet": "Goe', finish_reason="length"), TruncatedResponseError, 1),
        (ContextLengthError("too long"), ContextLengthError, 1),
        (AuthenticationError("no such key"), AuthenticationError, 1),
        (REFUSED, InvalidRequestError, 3),
    ],
)
async def test_other_failures_are_what_they_are(
    said: Any, kind: type[Exception], requests: int
) -> None:
    """Another way to ask does not help, and cut JSON is never repaired."""
    opened, script = model_of(server(object=said, schema=said, nothing=said))
    async with opened as model:
        with pytest.raises(kind) as caught:
            await model.complete("Who?", response_format=JSONObject())

    assert type(caught.value) is kind
    assert len(script.requests) == requests


async def test_without_leave_to_prompt_a_refusal_is_told_at_once() -> None:
    """Nobody asked for another way."""
    opened, script = model_of(server(object=REFUSED), on_unsupported="error")
    async with opened as model:
        with pytest.raises(InvalidRequestError):
            await model.complete("Who?", response_format=JSONObject())

    assert len(script.requests) == 1


async def test_a_stream_goes_down_when_it_is_refused() -> None:
    """Its first chunk is there when it is entered."""
    pieces = [JSON, Chunk(finish_reason="stop")]
    opened, script = model_of(server(object=REFUSED, schema=REFUSED, nothing=pieces))
    async with opened as model, model.stream("Who?", response_format=JSONObject()) as chunks:
        text = "".join([chunk.text async for chunk in chunks])

    assert text == JSON
    assert chunks.completion.structured == "prompted"
    assert len(script.requests) == 3


async def test_what_a_layer_has_changed_stays() -> None:
    """A way to ask is laid over the request as it is."""

    def in_capitals(step: Any) -> Any:
        def louder(exchange: Any) -> Any:
            messages = tuple(
                attrs.evolve(message, content=message.content.upper())
                for message in exchange.request.messages
            )
            exchange.request = attrs.evolve(exchange.request, messages=messages)
            return step(exchange)

        return louder

    class Louder:
        @ragcore.hookimpl
        def ragcore_layers(self) -> Iterator[ragcore.Layer]:
            yield ragcore.Layer(name="louder", around="call", wrap=f"{__name__}:in_capitals")

    globals()["in_capitals"] = in_capitals
    with ragcore.testing.plugin(Louder()):
        opened, script = model_of(server(object=REFUSED, schema=JSON))
        async with opened as model:
            await model.complete("Who?", response_format=JSONObject())

    assert [request.messages[-1].content for request in script.requests] == ["WHO?"] * 2  # type: ignore[union-attr]


async def test_a_model_remembers_no_more_than_it_should() -> None:
    """A program may make a schema for each call."""
    opened, script = model_of(server(schema=REFUSED, object=JSON))
    async with opened as model:
        for number in range(150):
            await model.complete("Who?", response_format={**SCHEMA, "title": str(number)})
        assert remembered(model) <= 100

    assert len(script.requests) == 300


def remembered(model: CompletionModel) -> int:
    return len(model._opening._rungs)


DOCUMENTS = st.dictionaries(
    st.text(), st.recursive(st.none() | st.text() | st.integers(), st.lists)
)


@given(DOCUMENTS, st.text(), st.text())
def test_json_is_found_in_any_prose(document: dict[str, Any], before: str, after: str) -> None:
    """As long as the prose holds none that is longer."""
    said = json.dumps(document)
    found = json_in(before.replace("{", "(") + said + after.replace("{", "("), JSONObject())

    assert found is not None
    assert json.loads(found) == document


@given(st.text(alphabet="{}[]\"':,a1 "))
def test_any_text_is_looked_through(text: str) -> None:
    """What is found is JSON, and of the kind that was wanted."""
    for wanted, kind in ((JSONObject(), dict), (JSONSchema({"type": "array"}), list)):
        found = json_in(text, wanted)
        assert found is None or isinstance(json.loads(found), kind)


@pytest.mark.parametrize("text", ["{" * 100_000, "[" * 100_000, '{"a":' * 50_000])
def test_deep_nests_are_no_json(text: str) -> None:
    """And take no time."""
    assert json_in(text, JSONObject()) is None
