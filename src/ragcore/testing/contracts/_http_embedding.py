"""What every service that embeds keeps, asked through a double."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import numpy as np
import pytest

import ragcore
from ragcore import EmbeddingModel, ProviderError, Usage
from ragcore.testing.contracts._case import KINDS, Case
from ragcore.testing.contracts._embedding import TEXTS, EmbeddingContract
from ragcore.testing.server import Broken, Failure, Reply, Service, Vectors

ROWS = [[0.25, 0.5], [0.75, 1.0], [1.25, 1.5]]


class HTTPEmbeddingContract(EmbeddingContract):
    """
    What every service that embeds keeps, asked through its double.

    Attributes:
        case: The provider and its double.
        numbers_vectors: Whether the service numbers its vectors, and may send them in any order.
    """

    case: Case
    numbers_vectors: bool = False

    @asynccontextmanager
    async def asked(
        self, *replies: Reply, **options: Any
    ) -> AsyncIterator[tuple[Service, EmbeddingModel]]:
        """Run the double with *replies*, and open a model that asks it."""
        reference = self.case.embedding_reference
        async with (
            self.case.serving(*replies) as service,
            ragcore.embedding(reference, **self.case.to(service, **options)) as model,
        ):
            yield service, model

    @asynccontextmanager
    async def opened(self, **options: Any) -> AsyncIterator[EmbeddingModel]:
        """Open a model whose double always gives the same three vectors."""
        async with self.asked(Vectors(ROWS), **options) as (_, model):
            yield model

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

    async def test_a_failure_passes(self) -> None:
        """The third attempt answers after two failures."""
        async with self.asked(Failure(503), Failure(500), Vectors(ROWS)) as (service, model):
            found = await model.embed(TEXTS)

        assert found.vectors.shape == (3, 2)
        assert len([r for r in service.requests if TEXTS[-1].encode() in r.body]) == 3

    async def test_a_failure_that_stays_is_an_error_of_its_kind(self) -> None:
        """The error names the provider."""
        refused = 401 if 401 in self.case.statuses else 403
        for status in (refused, 503):
            async with self.asked(Failure(status)) as (_, model):
                with pytest.raises(KINDS[status]) as caught:
                    await model.embed(TEXTS)

            assert caught.value.provider == self.case.provider

    @pytest.mark.parametrize("how", ["reset", "end", "unfinished"])
    async def test_an_answer_that_breaks_off_is_an_error(self, how: Any) -> None:
        """No vector is made up."""
        async with self.asked(Broken(how)) as (_, model):
            with pytest.raises(ProviderError):
                await model.embed(TEXTS)

    async def test_too_few_vectors_are_an_error(self) -> None:
        """No vector is missing in silence."""
        async with self.asked(Vectors(ROWS[:2])) as (_, model):
            with pytest.raises(ProviderError):
                await model.embed(TEXTS)

    async def test_one_connection_serves_many_calls(self) -> None:
        """Calls share it, one after the other."""
        async with self.asked(Vectors(ROWS)) as (service, model):
            for _ in range(4):
                await model.embed(TEXTS)

        assert service.connections == 1

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
