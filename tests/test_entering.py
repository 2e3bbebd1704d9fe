"""What an opening begins is closed by its owner, and not by a loop that ends."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from ragcore._calls.entering import Entering, unlisted


@asynccontextmanager
async def resource(closed: list[str]) -> AsyncIterator[str]:
    await asyncio.sleep(0)
    try:
        yield "open"
    finally:
        await asyncio.sleep(0)
        closed.append("closed")


def test_a_generator_that_is_left_open_is_closed_from_outside_inwards() -> None:
    """A loop that ends closes what the caller began, which closes the rest."""
    closed: list[str] = []
    told: list[dict[str, object]] = []

    async def reading() -> AsyncIterator[str]:
        async with Entering(resource(closed), "") as one, Entering(resource(closed), "") as two:
            yield one + two

    async def main() -> AsyncIterator[str]:
        asyncio.get_running_loop().set_exception_handler(lambda _, context: told.append(context))
        pieces = reading()
        await anext(pieces)
        return pieces

    kept = asyncio.run(main())

    assert kept is not None
    assert (closed, told) == (["closed", "closed"], [])


async def test_the_hooks_of_the_loop_are_as_before() -> None:
    """Whether the coroutine returns, raises or waits."""
    hooks = sys.get_asyncgen_hooks()

    async def seen() -> object:
        await asyncio.sleep(0)
        return sys.get_asyncgen_hooks()

    async def failing() -> None:
        raise ValueError("no")

    within = await unlisted(seen())
    with pytest.raises(ValueError, match="no"):
        await unlisted(failing())

    assert within != hooks
    assert sys.get_asyncgen_hooks() == hooks


async def test_a_cancellation_reaches_the_coroutine() -> None:
    """It can clean up, and the caller is cancelled."""
    cleaned = []

    async def waiting() -> None:
        try:
            await asyncio.sleep(10)
        finally:
            cleaned.append(True)

    async def caller() -> None:
        await unlisted(waiting())

    task = asyncio.create_task(caller())
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task

    assert cleaned == [True]
