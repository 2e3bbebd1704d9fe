"""A server that misbehaves on purpose, and grades its client."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from typing import Any

import pytest

import ragcore
from ragcore import (
    ContextLengthError,
    InterruptedStreamError,
    QuotaExceededError,
    RequestTimeoutError,
)

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("llmock") is None, reason="not installed: llmock"
)

MODEL = "openai:gpt-4o-mini"


async def answer(**options: Any) -> str:
    async with ragcore.completion(MODEL, **options) as model:
        return (await model.complete("Who wrote Faust?")).text


async def streamed(**options: Any) -> str:
    async with ragcore.completion(MODEL, **options) as model, model.stream("Who?") as chunks:
        return "".join([chunk.text async for chunk in chunks])


@pytest.mark.parametrize("ask", [answer, streamed])
async def test_a_rate_limit_is_waited_for(llmock: Any, ask: Callable[[], Any]) -> None:
    """As long as the service asks."""
    llmock.rate_limit(times=2, retry_after=0.2).reply("Goethe")

    assert await ask() == "Goethe"
    assert len(llmock.requests) == 3
    llmock.assert_resilient(strict=True)


@pytest.mark.parametrize("ask", [answer, streamed])
async def test_an_outage_passes(llmock: Any, ask: Callable[[], Any]) -> None:
    """With the waits that the plugin declares."""
    llmock.fail(503, times=2).reply("Goethe")

    assert await ask() == "Goethe"
    llmock.assert_resilient()


async def test_what_does_not_pass_is_not_asked_again(llmock: Any) -> None:
    """A text that is too long, and an account without credit."""
    llmock.context_overflow()
    with pytest.raises(ContextLengthError):
        await answer()
    llmock.fail(429, code="insufficient_quota")
    with pytest.raises(QuotaExceededError):
        await answer()

    assert len(llmock.requests) == 2


@pytest.mark.parametrize("fault", ["disconnect", "truncate", "corrupt"])
async def test_a_stream_that_breaks_is_an_error(llmock: Any, fault: str) -> None:
    """With the text so far; asked again, it is whole."""
    # Slow enough for the server to see that its client has gone.
    getattr(llmock.pace(50), fault)(after_chunks=2)
    with pytest.raises(InterruptedStreamError):
        await streamed()

    assert await streamed()
    llmock.assert_resilient(strict=True)


async def test_a_stream_that_stalls_ends_with_the_deadline(llmock: Any) -> None:
    """It does not hang."""
    llmock.stall(after_chunks=1, seconds=5)
    with pytest.raises(RequestTimeoutError):
        await streamed(timeout=0.5)
