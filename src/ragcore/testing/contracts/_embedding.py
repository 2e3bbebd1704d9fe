"""What every model that embeds keeps."""

from __future__ import annotations

import asyncio

import numpy as np

from ragcore import EmbeddingModel, Embeddings
from ragcore.testing.contracts._model import ModelContract

TEXTS = ["one", "the second text, which is the longest of them", "three"]


async def embed(model: EmbeddingModel) -> Embeddings:
    """Return the vectors of three texts."""
    return await model.embed(TEXTS)


class EmbeddingContract(ModelContract[EmbeddingModel]):
    """What every model that embeds keeps."""

    asks = (embed,)

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
