"""What every model that embeds keeps."""

from __future__ import annotations

import asyncio
from contextlib import AbstractAsyncContextManager
from typing import Any

import numpy as np
import pytest

from ragcore import EmbeddingModel, RagcoreError

TEXTS = ["one", "the second text, which is the longest of them", "three"]


class EmbeddingContract:
    """What every model that embeds keeps."""

    def opened(self, **options: Any) -> AbstractAsyncContextManager[EmbeddingModel]:
        """Return a model, not yet open, that embeds three texts; *options* are keywords of it."""
        raise NotImplementedError(f"{type(self).__name__} says which model is asked: opened()")

    async def test_it_embeds(self) -> None:
        """Each text has a row of finite numbers, in float32."""
        async with self.opened() as model:
            found = await model.embed(TEXTS)

        assert found.vectors.dtype == np.float32
        assert found.vectors.shape[0] == len(TEXTS)
        assert np.isfinite(found.vectors).all()

    async def test_a_cancelled_call_leaves_the_model_usable(self) -> None:
        """The call ends as cancelled, and another one is answered."""
        async with self.opened() as model:
            call = asyncio.create_task(model.embed(TEXTS))
            await asyncio.sleep(0)
            if call.cancel():  # else it is answered already
                with pytest.raises(asyncio.CancelledError):
                    await call
            found = await model.embed(TEXTS)

        assert len(found.vectors) == len(TEXTS)

    async def test_calls_run_side_by_side(self) -> None:
        """Several calls at once have the vectors of one."""
        async with self.opened() as model:
            alone = await model.embed(TEXTS)
            together = await asyncio.gather(*(model.embed(TEXTS) for _ in range(3)))

        for found in together:
            np.testing.assert_allclose(found.vectors, alone.vectors, atol=1e-5)

    def test_it_works_in_one_event_loop_after_another(self) -> None:
        """Nothing of the first loop is used in the second."""

        async def once() -> int:
            async with self.opened() as model:
                return len((await model.embed(TEXTS)).vectors)

        assert [asyncio.run(once()), asyncio.run(once())] == [3, 3]

    async def test_an_option_that_is_not_there_is_named(self) -> None:
        """A misspelt option is no option: nothing is dropped in silence."""
        with pytest.raises(RagcoreError, match="no_such_option"):
            async with self.opened(no_such_option=1):
                pass


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
