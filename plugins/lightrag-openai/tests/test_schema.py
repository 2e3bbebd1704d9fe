"""Schemas are rewritten for strict mode where that keeps their meaning, else sent without it."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator, Mapping
from typing import Any, Generic, Literal, TypeVar

import attrs
import pydantic
import pytest
from openai_double import AzureOpenAI, OpenAI

import ragcore
from ragcore import JSONSchema
from ragcore.testing.server import Answer

T = TypeVar("T")


class Place(pydantic.BaseModel):
    name: str


class Described(pydantic.BaseModel):
    where: Place = pydantic.Field(description="Where it happened.")
    when: Place | None = None


class Cat(pydantic.BaseModel):
    kind: Literal["cat"]
    lives: int


class Dog(pydantic.BaseModel):
    kind: Literal["dog", "wolf"]
    name: str = "Rex"


class Owner(pydantic.BaseModel):
    pet: Cat | Dog = pydantic.Field(discriminator="kind")


class Node(pydantic.BaseModel):
    value: int
    next: Node | None = pydantic.Field(None, description="What follows.")


@attrs.frozen
class Leaf:
    label: str
    weight: float | None = None


@attrs.frozen
class Tree:
    leaves: list[Leaf]
    kind: Literal["oak", "elm"] = "oak"


class Box(pydantic.BaseModel, Generic[T]):
    content: T


async def form_of(wanted: Any, reference: str = "openai:gpt-4o", **options: Any) -> Any:
    """Return what is sent for *wanted*."""
    is_azure = reference.startswith("azure")
    service = (AzureOpenAI if is_azure else OpenAI)(Answer("{}"))
    async with service.running():
        options |= {"api_key": "k", "endpoint" if is_azure else "base_url": service.base_url}
        async with ragcore.completion(reference, **options) as model:
            # The answer fits no class.
            with contextlib.suppress(ragcore.ProviderError):
                await model.complete("Who?", response_format=wanted)
    body = service.requests[0].json
    return body["text"]["format"] if "text" in body else body["response_format"]["json_schema"]


def parts_of(schema: Any) -> Iterator[Mapping[str, Any]]:
    """Yield *schema* and all schemas in it."""
    yield schema
    for name in ("properties", "$defs"):
        for part in schema.get(name, {}).values():
            yield from parts_of(part)
    for part in schema.get("anyOf", ()):
        yield from parts_of(part)
    if "items" in schema:
        yield from parts_of(schema["items"])


@pytest.mark.parametrize("wanted", [Place, Described, Owner, Node, Tree, Box[Place]])
@pytest.mark.parametrize("api", ["chat", "responses"])
async def test_classes_become_what_strict_mode_takes(wanted: Any, api: str) -> None:
    """Objects are closed and complete, a reference stands alone, and every part has a type."""
    form = await form_of(wanted, api=api)

    assert form["strict"] is True
    assert form["schema"]["type"] == "object"
    for part in parts_of(form["schema"]):
        assert not {"oneOf", "allOf", "default", "discriminator"} & part.keys()
        assert "$ref" not in part or len(part) == 1
        assert {"$ref", "anyOf", "type"} & part.keys()
        if part.get("type") == "object":
            assert part["additionalProperties"] is False
            assert part["required"] == list(part["properties"])


async def test_a_described_reference_keeps_both() -> None:
    """The description stands beside the only alternative."""
    form = await form_of(Described)

    assert form["schema"]["properties"]["where"] == {
        "description": "Where it happened.",
        "anyOf": [{"$ref": "#/$defs/Place"}],
    }


@pytest.mark.parametrize(
    "part",
    [
        {"type": "string", "allOf": [{}]},
        {"allOf": [{"type": "string"}, {"type": "string"}]},
        {"type": "string", "not": {"const": "a"}},
        {"type": "string", "if": {}, "then": {}},
        {"type": "string", "minLength": 3},
        {"type": "string", "pattern": "^(?!a)"},
        {"oneOf": [{"type": "integer"}, {"type": "number"}]},
        {"oneOf": [{"$ref": "#/$defs/A"}, {"$ref": "#/$defs/A"}]},
        {"type": "array"},
        {"type": "array", "items": True},
        {"type": "array", "prefixItems": [{"type": "string"}]},
        {"type": "object", "patternProperties": {"a": {"type": "string"}}, "properties": {}},
        {"type": "object", "properties": {}, "required": ["a"]},
        {"type": "object"},
        {"$ref": "#/$defs/B"},
        {"$ref": "https://example.org/a.json"},
        {"$ref": "#/$defs/A", "properties": {}},
        {"title": "Anything"},
        {},
        True,
    ],
)
async def test_what_strict_mode_would_refuse_is_sent_without_it(
    part: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """As it was given, and the log says why, once."""
    schema = {
        "type": "object",
        "properties": {"a": part},
        "$defs": {"A": {"type": "string"}},
    }
    service = OpenAI(Answer("{}"))
    with caplog.at_level(logging.WARNING):
        async with (
            service.running(),
            ragcore.completion("openai:gpt-4o", base_url=service.base_url) as model,
        ):
            await model.complete("Who?", response_format=JSONSchema(schema, "odd"))
            await model.complete("Who?", response_format=JSONSchema(schema, "odd"))
    form = service.requests[0].json["response_format"]["json_schema"]

    assert (form["strict"], form["schema"]) == (False, schema)
    assert caplog.text.count("openai:gpt-4o: the schema 'odd' is sent without strict mode") == 1


@pytest.mark.parametrize(
    "root",
    [
        {"type": "array", "items": {"type": "string"}},
        {"anyOf": [{"type": "object", "properties": {}}]},
        {"type": ["object", "null"], "properties": {}},
    ],
)
async def test_the_root_is_an_object(root: Any) -> None:
    """Nothing else can be asked for strictly."""
    assert (await form_of(JSONSchema(root)))["strict"] is False


async def test_alternatives_that_exclude_each_other_are_any_of() -> None:
    """By their types, or by a property that both require."""
    tagged = [
        {"properties": {"tag": {"const": tag}}, "required": ["tag"], "type": "object"}
        for tag in ("a", "b")
    ]
    schema = {"type": "object", "properties": {"a": {"oneOf": [*tagged, {"type": "string"}]}}}
    form = await form_of(JSONSchema(schema))

    assert form["strict"] is True
    assert [one["type"] for one in form["schema"]["properties"]["a"]["anyOf"]] == [
        "object",
        "object",
        "string",
    ]


async def test_azure_knows_no_bounds() -> None:
    """OpenAI does, and keeps them."""
    schema = {"type": "object", "properties": {"a": {"type": "integer", "minimum": 3}}}
    openai = await form_of(JSONSchema(schema))
    azure = await form_of(JSONSchema(schema), "azure:gpt-4o")

    assert (openai["strict"], openai["schema"]["properties"]) == (True, schema["properties"])
    assert (azure["strict"], azure["schema"]) == (False, schema)


async def test_a_format_that_strict_mode_does_not_know_is_left_out() -> None:
    """It says nothing of what fits."""
    texts = {name: {"type": "string", "format": name} for name in ("uri", "date-time")}
    form = await form_of(JSONSchema({"type": "object", "properties": texts}))

    assert form["strict"] is True
    assert form["schema"]["properties"] == texts | {"uri": {"type": "string"}}


async def test_a_name_is_one_that_the_service_takes() -> None:
    """Letters, digits, dashes and underscores, 64 at most."""
    assert (await form_of(Box[Place]))["name"] == "Box_Place_"
    assert (await form_of(JSONSchema({"type": "object"}, "ä" * 99)))["name"] == "_" * 64
