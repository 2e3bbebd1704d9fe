"""What every model that embeds keeps, on this machine or asked through a double."""

from __future__ import annotations

import asyncio
import json
import math
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from typing import Any

import numpy as np
import pytest

import ragcore
from ragcore import EmbeddingModel, EmbeddingProvider, Embeddings, Usage
from ragcore._discovery.loading import registry
from ragcore.testing.contracts._http import HTTPContract
from ragcore.testing.contracts._model import ModelContract
from ragcore.testing.server import Reply, Vectors

TEXTS = ["one", "the second text, which is the longest of them", "three"]
ROWS = [[0.25, 0.5], [0.75, 1.0], [1.25, 1.5]]
_ODD: list[Any] = [
    *(["1.0", "2.0"], [True, False], [1.0, None], [[1.0], [2.0]], [{}], []),
    *([1e39, 1.0], [math.nan, 1.0], [math.inf, 1.0], [10**400]),
]


async def embed(model: EmbeddingModel, **options: Any) -> Embeddings:
    """Return the vectors of three texts."""
    return await model.embed(TEXTS, **options)


class EmbeddingContract(ModelContract[EmbeddingModel]):
    """What every model that embeds keeps."""

    asks: tuple[Callable[..., Awaitable[Any]], ...] = (embed,)

    async def test_it_embeds(self) -> None:
        """Each text has a row of finite numbers, in float32."""
        async with self.opened() as model:
            found = await embed(model)

        assert found.vectors.dtype == np.float32
        assert found.vectors.shape[0] == len(TEXTS)
        assert np.isfinite(found.vectors).all()

    async def test_calls_run_side_by_side(self) -> None:
        """Several calls at once have the vectors of one."""
        async with self.opened() as model:
            alone = await embed(model)
            together = await asyncio.gather(*(embed(model) for _ in range(3)))

        for found in together:
            np.testing.assert_allclose(found.vectors, alone.vectors, atol=1e-5)


class LocalEmbeddingContract(EmbeddingContract):
    """What a model keeps that makes its vectors on this machine."""

    async def test_a_vector_depends_on_its_own_text_alone(self) -> None:
        """Neither order, company nor length of other texts changes a vector."""
        async with self.opened() as model:
            together = (await model.embed(TEXTS)).vectors
            turned = (await model.embed(TEXTS[::-1])).vectors
            alone = [(await model.embed([text])).vectors[0] for text in TEXTS]

        np.testing.assert_allclose(turned[::-1], together, atol=1e-5)
        np.testing.assert_allclose(alone, together, atol=1e-5)


class HTTPEmbeddingContract(HTTPContract[EmbeddingModel], EmbeddingContract):
    """
    What every service that embeds keeps, asked through its double.

    Attributes:
        numbers_vectors: Whether the service numbers its vectors, and may send them in any order.
    """

    answer: Reply = Vectors(ROWS)
    asked_for: bytes = TEXTS[-1].encode()
    numbers_vectors: bool = False

    def model(self, **options: Any) -> AbstractAsyncContextManager[EmbeddingModel]:
        """Return the model that embeds, not yet open, with *options*."""
        return ragcore.embedding(self.case.embedding_reference, **options)

    def provider(self) -> EmbeddingProvider:
        """Return the provider's record."""
        return registry().embedding_provider(self.case.provider)

    async def test_vectors_arrive_as_they_were_sent(self) -> None:
        """The texts are sent; a row for each, in order, and the usage come back."""
        async with self.asked(Vectors(ROWS, input_tokens=9)) as (service, model):
            found = await model.embed(TEXTS)

        np.testing.assert_allclose(found.vectors, ROWS)
        assert found.usage == Usage(9)
        assert TEXTS[-1].encode() in service.requests[-1].body

    async def test_the_order_is_that_of_the_texts(self) -> None:
        """The order on the wire does not matter where vectors are numbered."""
        if not self.numbers_vectors:
            pytest.skip("the service does not number its vectors")
        async with self.asked(Vectors(ROWS, order=(2, 0, 1))) as (_, model):
            found = await model.embed(TEXTS)

        np.testing.assert_allclose(found.vectors, ROWS)

    @pytest.mark.parametrize("rows", [ROWS[:2], ROWS * 2, []], ids=["few", "many", "none"])
    async def test_each_text_has_one_vector(self, rows: Any) -> None:
        """No vector is missing in silence, and none is left over."""
        await self.failed(embed, Vectors(rows))

    @pytest.mark.parametrize("row", _ODD, ids=str)
    async def test_a_vector_is_made_of_numbers(self, row: Any) -> None:
        """Neither of texts nor of booleans, which numpy would take, and of finite ones."""
        _, error = await self.failed(embed, Vectors([row] * len(TEXTS)))

        assert "in a way that it does not tell" not in str(error)

    async def test_text_is_sent_as_it_is(self) -> None:
        """Whatever UTF-8 can carry reaches the service unchanged."""
        text = "naïve \U0001f600 \x00 \\u0041"
        async with self.asked(Vectors([[1.0, 2.0]])) as (service, model):
            await model.embed([text])
        sent = json.loads(service.requests[-1].body)

        assert text in _strings(sent)


def _strings(value: object) -> list[str]:
    if isinstance(value, str):
        return [value]
    parts = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return [string for part in parts for string in _strings(part)]
