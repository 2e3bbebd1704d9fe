"""A plugin that is not ours, installed like any other, found through its entry point."""

from __future__ import annotations

import importlib.metadata
from contextlib import AbstractAsyncContextManager
from typing import Any

import pytest

import ragcore
from ragcore import CompletionModel, EmbeddingModel
from ragcore.testing.contracts import (
    LocalCompletionContract,
    LocalEmbeddingContract,
    PluginContract,
)


class TestPlugin(PluginContract):
    package = "ragcore_parrot"
    completes = embeds = ("parrot",)
    sdk = ("numpy",)


class TestCompletion(LocalCompletionContract):
    images = False
    json_schema = False

    def opened(self, **options: Any) -> AbstractAsyncContextManager[CompletionModel]:
        return ragcore.completion("parrot:grey", **options)


class TestEmbedding(LocalEmbeddingContract):
    def opened(self, **options: Any) -> AbstractAsyncContextManager[EmbeddingModel]:
        return ragcore.embedding("parrot:grey", **options)


def test_an_installed_plugin_is_found() -> None:
    """Installing a distribution with an entry point is all it takes."""
    [entry_point] = importlib.metadata.entry_points(group="ragcore", name="parrot")
    info = next(info for info in ragcore.providers().providers if info.name == "parrot")

    assert entry_point.value == "ragcore_parrot"
    assert info.distribution == "ragcore-parrot"
    assert info.tasks == ("completion", "embedding")


async def test_it_completes() -> None:
    """Its options are read, and its answer comes back."""
    async with ragcore.completion("parrot:grey", times=3) as model:
        answer = await model.complete("Polly")

    assert answer.text == "Polly! Polly! Polly!"
    assert answer.usage == ragcore.Usage(1, 3)


async def test_its_call_options_are_set_per_call() -> None:
    """An option with scope="call" beats the one the model was opened with."""
    async with ragcore.completion("parrot:grey", times=3) as model:
        answer = await model.complete("Polly", times=1)

    assert answer.text == "Polly!"


async def test_it_streams() -> None:
    """What it yields arrives piece by piece."""
    async with (
        ragcore.completion("parrot:green") as model,
        model.stream("Polly") as chunks,
    ):
        pieces = [chunk.text async for chunk in chunks]

    assert pieces == ["Polly!", " Polly!", ""]
    assert chunks.completion.text == "Polly! Polly!"


async def test_it_embeds(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its variables are read, and texts that share letters are near each other."""
    monkeypatch.setenv("PARROT_EMBEDDING_LETTERS", "2")
    async with ragcore.embedding("parrot:grey") as model:
        found = await model.embed(["parrot", "parrots", "xyz"])
    near, far = found.vectors[0] @ found.vectors[1], found.vectors[0] @ found.vectors[2]

    assert found.vectors.shape == (3, 64)
    assert near > far


async def test_its_errors_are_named() -> None:
    """What it raises comes out as it is, with who raised it."""
    with pytest.raises(ragcore.NotFoundError, match="no blue parrot"):
        async with ragcore.completion("parrot:blue"):
            pass
