"""A task that owns a resource."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from ragcore._calls.owner import Owner


class Log(list[str]):
    """Notes who entered and left."""

    @asynccontextmanager
    async def manager(self, *, slow: float = 0, fail: str = "") -> AsyncIterator[str]:
        task = asyncio.current_task()
        self.append("entering")
        if slow:
            await asyncio.sleep(slow)
        if fail == "entering":
            raise ValueError("can't enter")
        try:
            yield "value"
        finally:
            self.append("left" if asyncio.current_task() is task else "left elsewhere")
            if fail == "leaving":
                raise ValueError("can't leave")


async def test_the_task_that_enters_leaves() -> None:
    """Whoever asks for the release: cancel scopes belong to tasks."""
    log = Log()
    owner = Owner(log.manager())

    values = await asyncio.gather(owner.value(), owner.value())
    await asyncio.create_task(owner.release())

    assert list(values) == ["value", "value"]
    assert log == ["entering", "left"]
    assert owner.has_ended


async def test_all_who_wait_get_the_error() -> None:
    """And the release after it is quiet."""
    owner = Owner(Log().manager(fail="entering"))

    results = await asyncio.gather(owner.value(), owner.value(), return_exceptions=True)
    await owner.release()

    assert [str(result) for result in results] == ["can't enter"] * 2
    assert owner.has_ended


async def test_an_error_of_leaving_comes_out_of_release() -> None:
    """It is nobody else's."""
    owner = Owner(Log().manager(fail="leaving"))
    await owner.value()

    with pytest.raises(ValueError, match="can't leave"):
        await owner.release()


async def test_a_release_gives_up_entering() -> None:
    """Nobody waits for what nobody wants any more."""
    log = Log()
    owner = Owner(log.manager(slow=3600))
    await asyncio.sleep(0)

    await owner.release()

    assert log == ["entering"]
    assert owner.has_ended


async def test_one_who_stops_waiting_leaves_the_others_waiting() -> None:
    """Cancelling a waiter cancels that waiter."""
    owner = Owner(Log().manager(slow=0.01))
    impatient = asyncio.create_task(owner.value())
    await asyncio.sleep(0)
    impatient.cancel()

    assert await owner.value() == "value"
    with pytest.raises(asyncio.CancelledError):
        await impatient
    await owner.release()


async def test_an_end_may_be_told_without_waiting() -> None:
    """Who is interested is called when the resource is gone."""
    log = Log()
    gone = asyncio.Event()
    owner = Owner(log.manager())
    await owner.value()

    owner.when_ended(gone.set)
    owner.end()
    assert not owner.has_ended
    await gone.wait()

    assert log == ["entering", "left"]
