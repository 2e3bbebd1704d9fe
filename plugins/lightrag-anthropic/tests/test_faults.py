"""A chaos server grades how faults are taken."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

import ragcore
from ragcore import Retry

pytest.importorskip("llmock")


@asynccontextmanager
async def client_of(llmock: Any, **options: Any) -> AsyncIterator[ragcore.CompletionModel]:
    """Open a model of the chaos server."""
    given: dict[str, Any] = {
        "retry": Retry(attempts=3, wait_initial=0.05, wait_max=0.1),
        "timeout": 20,
    }
    async with ragcore.completion(
        "anthropic:claude-haiku-5-5",
        api_key="llmock-test-key",
        base_url=llmock.base_url("anthropic"),
        **given | options,
    ) as model:
        yield model


async def read(model: ragcore.CompletionModel) -> str:
    async with model.stream("Who wrote Faust?") as chunks:
        return "".join([chunk.text async for chunk in chunks])


async def test_a_rate_limit_is_waited_for(llmock: Any) -> None:
    """As long as it says, streamed or not."""
    llmock.rate_limit(times=2, retry_after=0.1)
    async with client_of(llmock) as model:
        answer = await model.complete("Who wrote Faust?")

    assert answer.text
    llmock.assert_resilient(strict=True)


@pytest.mark.parametrize("status", [500, 503, 529])
async def test_a_failure_is_tried_again(llmock: Any, status: int) -> None:
    """With a pause."""
    llmock.fail(status, times=1)
    async with client_of(llmock) as model:
        assert await read(model)

    llmock.assert_resilient(strict=True)


@pytest.mark.parametrize("status", [400, 401, 403, 404])
async def test_a_refusal_is_not_tried_again(llmock: Any, status: int) -> None:
    """It would be one again."""
    llmock.fail(status, times=1)
    async with client_of(llmock) as model:
        with pytest.raises(ragcore.ProviderError):
            await read(model)

    llmock.assert_resilient(strict=True)


@pytest.mark.parametrize("fault", ["truncate", "corrupt", "disconnect"])
async def test_a_broken_stream_is_no_answer(llmock: Any, fault: str) -> None:
    """The text so far is in the error, and the whole is not asked for again."""
    getattr(llmock, fault)(after_chunks=4)
    async with client_of(llmock) as model:
        with pytest.raises(ragcore.InterruptedStreamError):
            await read(model)

    assert len(llmock.requests) == 1


async def test_a_stalled_stream_ends_with_the_deadline(llmock: Any) -> None:
    """Long before the server goes on."""
    llmock.stall(after_chunks=4, seconds=30)
    async with client_of(llmock, timeout=0.5) as model:
        with pytest.raises(ragcore.RequestTimeoutError):
            await read(model)


async def test_a_prompt_that_is_too_long_is_called_so(llmock: Any) -> None:
    """As the service words it."""
    llmock.context_overflow()
    async with client_of(llmock) as model:
        with pytest.raises(ragcore.ContextLengthError):
            await model.complete("Who wrote Faust?")
