"""Embeddings: formats, order, lengths, and what is no answer."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from openai_double import OpenAI

import ragcore
from lightrag_openai import OpenAIEmbeddingOptions
from ragcore import ContextLengthError, ProviderError, Retry
from ragcore.testing.server import Answer, Connection, Failure, Reply, Request, Vectors

ROWS = [[0.1, 0.2], [0.3, 0.4], [0.5, 0.6]]
MODEL = "openai:text-embedding-3-small"


def to(service: OpenAI, **more: Any) -> dict[str, Any]:
    return {"api_key": "k", "base_url": service.base_url, "retry": Retry(attempts=1)} | more


async def embedded(
    service: OpenAI, texts: list[str], reference: str = MODEL, **options: Any
) -> ragcore.Embeddings:
    call = {k: options.pop(k) for k in ("input_type", "truncate", "dimensions") if k in options}
    async with (
        service.running(),
        ragcore.embedding(reference, **to(service, **options)) as model,
    ):
        return await model.embed(texts, **call)


@pytest.mark.parametrize("encoding", ["base64", "float"])
async def test_vectors_travel_either_way(encoding: str) -> None:
    """They are the same, in float32, in the order of the texts."""
    service = OpenAI(Vectors(ROWS, order=(2, 0, 1), input_tokens=9))
    found = await embedded(service, ["a", "b", "c"], encoding_format=encoding)

    assert service.requests[0].json["encoding_format"] == encoding
    assert found.vectors.dtype == np.float32
    np.testing.assert_array_equal(found.vectors, np.asarray(ROWS, np.float32))
    assert found.usage == ragcore.Usage(9)


@pytest.mark.parametrize(("reference", "encoding"), [(MODEL, "base64"), ("vllm:a", "float")])
async def test_the_format_is_what_the_service_is_known_for(reference: str, encoding: str) -> None:
    """Unless the user says otherwise."""
    service = OpenAI(Vectors([[1.0]]))
    await embedded(service, ["a"], reference)

    assert service.requests[0].json["encoding_format"] == encoding


ON_THE_WIRE: dict[str, tuple[Any, dict[str, Any]]] = {
    "encoding_format": ("float", {"encoding_format": "float"}),
    "document_prefix": ("passage: ", {"input": ["passage: a"]}),
    "query_prefix": ("query: ", {"input": ["a"]}),
    "input_types": ({"document": "passage"}, {"input_type": "passage"}),
    "user": ("somebody", {"user": "somebody"}),
    "extra_body": ({"late_chunking": True}, {"late_chunking": True}),
}


def test_every_option_is_in_the_table() -> None:
    """A field that is added is tested, too."""
    assert {field.name for field in OpenAIEmbeddingOptions.fields()} == set(ON_THE_WIRE)


@pytest.mark.parametrize("name", ON_THE_WIRE)
async def test_an_option_is_on_the_wire(name: str) -> None:
    """As the service wants it."""
    value, wanted = ON_THE_WIRE[name]
    service = OpenAI(Vectors([[1.0]]))
    await embedded(service, ["a"], **{name: value})
    body = service.requests[0].json

    assert body | wanted == body


async def test_a_query_has_its_own_prefix() -> None:
    """And documents have theirs."""
    service = OpenAI(Vectors([[1.0]]))
    await embedded(service, ["a"], input_type="query", query_prefix="q: ", document_prefix="d: ")

    assert service.requests[0].json["input"] == ["q: a"]


async def test_a_row_names_models_for_queries_and_documents() -> None:
    """Upstage has one for each."""
    service = OpenAI(Vectors([[1.0]]))
    models = []
    for input_type in ("query", "document"):
        await embedded(service, ["a"], "upstage:embedding", input_type=input_type)
        models.append(service.requests[-1].json["model"])

    assert models == ["embedding-query", "embedding-passage"]


async def test_dimensions_are_asked_for() -> None:
    """Of models that can choose; of others it is an error."""
    service = OpenAI(Vectors([[1.0, 2.0]]))
    await embedded(service, ["a"], dimensions=2)

    assert service.requests[0].json["dimensions"] == 2
    with pytest.raises(ragcore.UnsupportedError, match="dimensions"):
        await embedded(service, ["a"], "openai:text-embedding-ada-002", dimensions=2)


class Reader(OpenAI):
    """Reads texts of 10 characters at most, a token each, and embeds their length."""

    def __init__(self, message: str) -> None:
        super().__init__(Answer())
        self.message = message

    async def reply(self, request: Request, reply: Reply, connection: Connection) -> None:
        texts = request.json["input"]
        longest = max(map(len, texts))
        said: Reply = Vectors([[float(len(text))] for text in texts], len(texts))
        if longest > 10:
            said = Failure(400, self.message.format(longest))
        await super().reply(request, said, connection)


OPENAIS = "This model's maximum context length is 10 tokens, however you requested {} tokens."
TEIS = "`inputs` must have less than 10 tokens. Given: {}"
MUTE = "maximum context length, no more is said"


@pytest.mark.parametrize("message", [OPENAIS, TEIS, MUTE])
async def test_a_text_that_is_too_long_can_be_cut(message: str) -> None:
    """As far as the service says, or by halves; the others are whole; what was cut is said."""
    texts = ["a" * 3, "b" * 40, "c" * 10, "d" * 11, "e"]
    found = await embedded(Reader(message), texts, truncate="end")
    lengths = [int(length) for [length] in found.vectors]

    assert found.truncated == (1, 3)
    assert [lengths[i] for i in (0, 2, 4)] == [3, 10, 1]
    assert all(5 <= lengths[i] <= 10 for i in (1, 3))
    assert found.usage is not None


async def test_a_text_that_is_too_long_is_named() -> None:
    """Where the service leaves no doubt which it is."""
    with pytest.raises(ContextLengthError) as caught:
        await embedded(Reader(OPENAIS), ["a", "b" * 40, "c"])

    assert caught.value.positions == (1,)


async def test_a_text_that_the_service_names_is_named() -> None:
    """By its number in the message."""
    reader = Reader("Invalid 'input[2]': maximum context length is 10 tokens. ({})")
    with pytest.raises(ContextLengthError) as caught:
        await embedded(reader, ["a" * 20, "b", "c" * 40])

    assert caught.value.positions == (2,)


class Says(OpenAI):
    def __init__(self, body: Any) -> None:
        super().__init__(Answer())
        self.body = body

    async def reply(self, request: Request, reply: Reply, connection: Connection) -> None:
        await connection.respond(
            200, json.dumps(self.body).encode(), {"Content-Type": "application/json"}
        )


def data(*rows: Any) -> dict[str, Any]:
    return {"object": "list", "data": list(rows), "model": "m"}


@pytest.mark.parametrize(
    "body",
    [
        {},
        data(),
        data({"embedding": [1.0], "index": 0}),
        data({"embedding": [1.0], "index": 0}, {"embedding": [1.0], "index": 0}),
        data({"embedding": [], "index": 0}, {"embedding": [], "index": 1}),
        data({"embedding": None, "index": 0}, {"embedding": None, "index": 1}),
        data({"embedding": "no base64", "index": 0}, {"embedding": "!", "index": 1}),
        data({"embedding": "AAA=", "index": 0}, {"embedding": "AAA=", "index": 1}),
        data({"embedding": ["x"], "index": 0}, {"embedding": [1.0], "index": 1}),
        data({"embedding": [1.0], "index": 0}, {"embedding": [1.0, 2.0], "index": 1}),
        data("a", "b"),
        [],
        "text",
        {"error": {"message": "no luck"}},
    ],
)
async def test_what_is_no_vectors_is_an_error(body: Any) -> None:
    """With status 200, too: nothing is filled in."""
    with pytest.raises(ProviderError) as caught:
        await embedded(Says(body), ["a", "b"])

    assert caught.value.provider == "openai"


async def test_vectors_without_numbers_are_in_order() -> None:
    """Some servers leave the index out."""
    found = await embedded(Says(data({"embedding": [1.0]}, {"embedding": [2.0]})), ["a", "b"])

    assert found.vectors.tolist() == [[1.0], [2.0]]


async def test_requests_are_split_by_what_the_service_takes() -> None:
    """TEI takes 32 texts."""
    service = OpenAI(Vectors([[1.0]] * 32), Vectors([[1.0]] * 8))
    await embedded(service, ["a"] * 40, "tei:a", max_concurrency=1)

    assert [len(request.json["input"]) for request in service.requests] == [32, 8]
