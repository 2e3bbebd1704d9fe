"""What every service that embeds keeps, asked through a double."""

from __future__ import annotations

import json
from contextlib import AbstractAsyncContextManager
from typing import Any

import numpy as np
import pytest

import ragcore
from ragcore import EmbeddingModel, Usage
from ragcore.testing.contracts._embedding import TEXTS, EmbeddingContract, embed
from ragcore.testing.contracts._http import HTTPContract
from ragcore.testing.server import Vectors

ROWS = [[0.25, 0.5], [0.75, 1.0], [1.25, 1.5]]


class HTTPEmbeddingContract(HTTPContract[EmbeddingModel], EmbeddingContract):
    """
    What every service that embeds keeps, asked through its double.

    Attributes:
        numbers_vectors: Whether the service numbers its vectors, and may send them in any order.
    """

    answer = Vectors(ROWS)
    asked_for = TEXTS[-1].encode()
    numbers_vectors: bool = False

    def model(self, **options: Any) -> AbstractAsyncContextManager[EmbeddingModel]:
        """Return the model that embeds, not yet open, with *options*."""
        return ragcore.embedding(self.case.embedding_reference, **options)

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

    async def test_too_few_vectors_are_an_error(self) -> None:
        """No vector is missing in silence."""
        await self.failed(embed, Vectors(ROWS[:2]))

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
