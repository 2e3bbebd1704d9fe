"""Embedding over the wire."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from ollama_double import OllamaService, embedding

import ragcore
from lightrag_ollama._describe import describe
from lightrag_ollama.options import OllamaEmbeddingOptions
from ragcore import ContextLengthError, ProviderError, RequestTimeoutError, UnavailableError, Usage
from ragcore.testing.server import Broken, Connection, Failure, Reply, Request, Vectors

LONG = "word " * 300


class Reading(OllamaService):
    """Cuts or refuses texts of more than 256 words, and makes vectors of what it has read."""

    def __init__(self) -> None:
        super().__init__(Vectors([]))

    async def reply(self, request: Request, reply: Reply, connection: Connection) -> None:
        asked = request.json
        words = [text.split() for text in asked["input"]]
        if any(len(text) > 256 for text in words) and not asked.get("truncate", True):
            failure = Failure(400, "the input length exceeds the context length")
            await super().reply(request, failure, connection)
            return
        counts = [len(text[:256]) for text in words]
        rows = [[float(count), float(len(asked["input"][0]))] for count in counts]
        await super().reply(request, Vectors(rows, sum(counts)), connection)


async def test_texts_become_rows_in_their_order() -> None:
    """float32, with usage and the model's name."""
    rows = [[0.25, 1.0], [2.0, 3.0], [4.0, 5.0]]
    async with OllamaService(Vectors(rows)).running() as service, embedding(service) as model:
        found = await model.embed(["a", "b", "c"])

    assert found.vectors.dtype == np.float32
    assert found.vectors.tolist() == rows
    assert found.usage == Usage(7)
    assert found.model == "all-minilm"
    assert service.requests[0].path == "/api/embed"
    assert service.requests[0].json == {
        "model": "all-minilm",
        "input": ["a", "b", "c"],
        "truncate": False,
    }


async def test_many_texts_are_asked_for_in_several_requests() -> None:
    """In order again afterwards, their usage summed."""
    texts = [" ".join(["word"] * (count % 97 + 1)) for count in range(200)]
    async with Reading().running() as service, embedding(service) as model:
        found = await model.embed(texts)

    assert found.vectors[:, 0].tolist() == [len(text.split()) for text in texts]
    assert sorted(len(request.json["input"]) for request in service.requests) == [8, 64, 64, 64]
    assert found.usage == Usage(sum(len(text.split()) for text in texts))


async def test_dimensions_are_asked_for() -> None:
    """And checked when they come back."""
    async with (
        OllamaService(Vectors([[1.0, 2.0]])).running() as service,
        embedding(service) as model,
    ):
        await model.embed(["a"], dimensions=2)
        with pytest.raises(ProviderError, match="length 2"):
            await model.embed(["a"], dimensions=3)

    assert service.requests[0].json["dimensions"] == 2


async def test_queries_and_documents_have_their_prefixes() -> None:
    """Where they are set; without them the texts go out as they are."""
    prefixes = {"query_prefix": "search_query: ", "document_prefix": "search_document: "}
    async with OllamaService(Vectors([[1.0]])).running() as service:
        async with embedding(service, **prefixes) as model:
            await model.embed(["a"], input_type="query")
            await model.embed(["a"])
        async with embedding(service) as model:
            await model.embed(["a"], input_type="query")
            await model.embed(["a"], document_prefix="text: ")

    sent = [request.json["input"] for request in service.requests]
    assert sent == [["search_query: a"], ["search_document: a"], ["a"], ["text: a"]]


async def test_a_text_that_is_too_long_is_named() -> None:
    """Nothing is cut where that is an error."""
    async with Reading().running() as service, embedding(service) as model:
        with pytest.raises(ContextLengthError, match="context length") as caught:
            await model.embed(["a", "b", LONG, "c"], truncate="error")

    assert caught.value.positions == (2,)
    assert not any(request.json["truncate"] for request in service.requests)


async def test_texts_that_were_cut_are_counted() -> None:
    """Which ones Ollama does not say; it is found out, and the vectors are in order."""
    texts = ["a", LONG, "b c", "d", f"{LONG} e"]
    async with Reading().running() as service, embedding(service) as model:
        found = await model.embed(texts, truncate="end")

    assert found.truncated == (1, 4)
    assert found.vectors[:, 0].tolist() == [1, 256, 2, 1, 256]
    assert found.usage == Usage(516)


async def test_cutting_costs_nothing_where_nothing_is_cut() -> None:
    """One request, whether the texts are short for every model or only for this one."""
    async with Reading().running() as service, embedding(service) as model:
        short = await model.embed(["a", "b"], truncate="end")
        longer = await model.embed(["word " * 200], truncate="end")

    assert (short.truncated, longer.truncated) == ((), ())
    assert [request.json["truncate"] for request in service.requests] == [True, False]


@pytest.mark.parametrize(
    "rows", [[[1.0, 2.0]], [[1.0, 2.0], [3.0]], [], [[], []]], ids=["few", "ragged", "none", "flat"]
)
async def test_vectors_that_do_not_fit_are_an_error(rows: Any) -> None:
    """Too few, of different lengths, or without any numbers."""
    async with OllamaService(Vectors(rows)).running() as service, embedding(service) as model:
        with pytest.raises(ProviderError):
            await model.embed(["a", "b"])


@pytest.mark.parametrize(
    ("how", "error"),
    [
        ("reset", UnavailableError),
        ("end", UnavailableError),
        ("unfinished", ProviderError),
        ("stall", RequestTimeoutError),
    ],
)
async def test_a_broken_answer_is_an_error(how: Any, error: type[ProviderError]) -> None:
    """Never a few vectors less."""
    async with OllamaService(Broken(how)).running() as service, embedding(service) as model:
        with pytest.raises(error):
            await model.embed(["a"], timeout=2)


async def test_a_failure_is_tried_again() -> None:
    """As for answers."""
    replies = (Failure(503, "server busy"), Vectors([[1.0]]))
    async with OllamaService(*replies).running() as service, embedding(service) as model:
        found = await model.embed(["a"])

    assert found.timings.attempts == 2


async def test_a_model_that_does_not_embed_says_so() -> None:
    """Ollama's sentence is kept."""
    failure = Failure(400, '"llama3.2" does not support embeddings')
    async with OllamaService(failure).running() as service, embedding(service) as model:
        with pytest.raises(ragcore.UnsupportedError, match="does not support embeddings"):
            await model.embed(["a"])

    assert len(service.requests) == 1


def test_well_known_models_are_described_without_asking() -> None:
    """With or without their tag, within the context that is set; others are not guessed."""
    options = OllamaEmbeddingOptions()

    assert describe("bge-m3", options) == (1024, 8192)
    assert describe("bge-m3:latest", options) == (1024, 8192)
    assert describe("bge-m3", OllamaEmbeddingOptions(num_ctx=2048)) == (1024, 2048)
    assert describe("somebody/bge-m3", options) == (None, None)
