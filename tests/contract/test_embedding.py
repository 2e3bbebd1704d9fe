"""Every provider that embeds, over the wire, to a double of its service."""

from __future__ import annotations

import asyncio
import json

import numpy as np
import pytest

import ragcore
from contract.cases import Case, cases
from ragcore import AuthenticationError, ProviderError, UnavailableError
from ragcore.testing.server import Broken, Failure, Vectors

ROWS = [[0.25, 0.5], [0.75, 1.0], [1.25, 1.5]]
TEXTS = ["one", "two", "three"]


def embeds(case: Case) -> bool:
    return case.embeds


@cases(embeds)
async def test_it_embeds(case: Case) -> None:
    """A row a text, in order, in float32, with what it cost."""
    async with (
        case.serving(Vectors(ROWS, input_tokens=9)) as service,
        ragcore.embedding(case.embedding_reference, **case.to_embed(service)) as model,
    ):
        found = await model.embed(TEXTS)

    assert found.vectors.dtype == np.float32
    np.testing.assert_allclose(found.vectors, ROWS)
    assert found.usage == ragcore.Usage(9)
    assert b"three" in service.requests[-1].body


@cases(lambda case: case.embeds and case.numbers_vectors)
async def test_the_order_is_that_of_the_texts(case: Case) -> None:
    """Whatever the order on the wire."""
    async with (
        case.serving(Vectors(ROWS, order=(2, 0, 1))) as service,
        ragcore.embedding(case.embedding_reference, **case.to_embed(service)) as model,
    ):
        found = await model.embed(TEXTS)

    np.testing.assert_allclose(found.vectors, ROWS)


@cases(embeds)
async def test_a_failure_passes(case: Case) -> None:
    """It is asked again, once for each attempt."""
    async with (
        case.serving(Failure(503), Failure(500), Vectors(ROWS)) as service,
        ragcore.embedding(case.embedding_reference, **case.to_embed(service)) as model,
    ):
        found = await model.embed(TEXTS)

    assert found.vectors.shape == (3, 2)
    assert len([r for r in service.requests if b"three" in r.body]) == 3


@cases(embeds)
async def test_a_failure_that_stays_is_an_error_of_ours(case: Case) -> None:
    """With the provider's name."""
    refused = AuthenticationError if (401, 1) in case.statuses else ragcore.PermissionDeniedError
    status = 401 if (401, 1) in case.statuses else 403
    for failure, kind in ((Failure(status), refused), (Failure(503), UnavailableError)):
        async with (
            case.serving(failure) as service,
            ragcore.embedding(case.embedding_reference, **case.to_embed(service)) as model,
        ):
            with pytest.raises(kind) as caught:
                await model.embed(TEXTS)

        assert caught.value.provider == case.provider


@pytest.mark.parametrize("how", ["reset", "end", "unfinished"])
@cases(embeds)
async def test_an_answer_that_breaks_off_is_an_error(case: Case, how: str) -> None:
    """No vector is made up."""
    reply = Broken("reset" if how == "reset" else "end" if how == "end" else "unfinished")
    async with (
        case.serving(reply) as service,
        ragcore.embedding(case.embedding_reference, **case.to_embed(service)) as model,
    ):
        with pytest.raises(ProviderError):
            await model.embed(TEXTS)


@cases(embeds)
async def test_too_few_vectors_are_an_error(case: Case) -> None:
    """None is missing in silence."""
    async with (
        case.serving(Vectors(ROWS[:2])) as service,
        ragcore.embedding(case.embedding_reference, **case.to_embed(service)) as model,
    ):
        with pytest.raises(ProviderError):
            await model.embed(TEXTS)


@cases(embeds)
async def test_one_connection_serves_many_calls(case: Case) -> None:
    """One after the other."""
    async with (
        case.serving(Vectors(ROWS)) as service,
        ragcore.embedding(case.embedding_reference, **case.to_embed(service)) as model,
    ):
        for _ in range(4):
            await model.embed(TEXTS)

    assert service.connections == 1


@cases(embeds)
def test_it_works_in_one_event_loop_after_another(case: Case) -> None:
    """Nothing of the first loop is used in the second."""

    async def once() -> int:
        async with (
            case.serving(Vectors(ROWS)) as service,
            ragcore.embedding(case.embedding_reference, **case.to_embed(service)) as model,
        ):
            return len((await model.embed(TEXTS)).vectors)

    assert [asyncio.run(once()), asyncio.run(once())] == [3, 3]


@cases(embeds)
async def test_text_is_sent_as_it_is(case: Case) -> None:
    """Any of it that UTF-8 can carry."""
    text = "naïve \U0001f600 \x00 \\u0041"
    async with (
        case.serving(Vectors([[1.0, 2.0]])) as service,
        ragcore.embedding(case.embedding_reference, **case.to_embed(service)) as model,
    ):
        await model.embed([text])
    sent = json.loads(service.requests[-1].body)

    assert text in strings(sent)


def strings(value: object) -> list[str]:
    if isinstance(value, str):
        return [value]
    parts = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return [string for part in parts for string in strings(part)]
