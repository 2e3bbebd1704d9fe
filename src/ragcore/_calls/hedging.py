"""Makes a slow call once more beside itself; whichever answers first counts."""

from __future__ import annotations

import asyncio
import functools
from typing import Any

from ragcore._calls.exchange import Exchange
from ragcore._calls.layers import Around, Step, Wrap
from ragcore._calls.owner import Owner


def hedging(seconds: float) -> Wrap:
    """Return the layer that enters the step within once more, if it takes longer than *seconds*."""
    return lambda step: functools.partial(Hedging, step, seconds=seconds)


class Hedging(Around):
    """
    Enters the step within, and once more beside it if that takes long.

    The first answer counts, and the other is cancelled. One that fails leaves it to the other; of
    two that fail, the last one's error comes out.
    """

    __slots__ = ("seconds", "winner")

    def __init__(self, step: Step, exchange: Exchange, *, seconds: float) -> None:
        super().__init__(step, exchange)
        self.seconds = seconds
        self.winner: _Run | None = None

    async def __aenter__(self) -> Any:
        tried: list[int] = []
        runs = [_Run(self.step, self.exchange, tried)]
        try:
            await asyncio.wait([runs[0].owner.entered], timeout=self.seconds)
            if not runs[0].owner.entered.done():
                runs.append(_Run(self.step, self.exchange, tried))
            self.winner = await _first_good(runs)
            answer = await self.winner.owner.value()
            await _release([run for run in runs if run is not self.winner])
        except BaseException:
            await _release(runs)
            raise
        self.exchange.answer = self.winner.part.answer
        return answer

    async def __aexit__(self, *_: object) -> None:
        assert self.winner is not None  # noqa: S101  # it was entered
        await self.winner.owner.release()
        # A stream has been read meanwhile.
        self.exchange.answer = self.winner.part.answer


class _Run:
    """A call that is one of two, in a task of its own."""

    def __init__(self, step: Step, exchange: Exchange, tried: list[int]) -> None:
        self.part = exchange.beside()
        self.part.tried = tried
        self.owner: Owner[Any] = Owner(step(self.part))

    @property
    def has_answered(self) -> bool:
        entered = self.owner.entered
        return entered.done() and not entered.cancelled() and entered.exception() is None

    @property
    def error(self) -> BaseException | None:
        entered = self.owner.entered
        return None if entered.cancelled() else entered.exception()


async def _release(runs: list[_Run]) -> None:
    for run in runs:
        # Also if nobody waits for its end, since the call is cancelled meanwhile.
        run.owner.end()
    for run in runs:
        await run.owner.release()


async def _first_good(runs: list[_Run]) -> _Run:
    """Return the first of *runs* that has an answer, or else the last one that fails."""
    left = list(runs)
    while True:
        await asyncio.wait([run.owner.entered for run in left], return_when=asyncio.FIRST_COMPLETED)
        if good := [run for run in left if run.has_answered]:
            return good[0]
        *_, last = [run for run in left if run.owner.entered.done()]
        left = [run for run in left if not run.owner.entered.done()]
        if not left:
            _note([run for run in runs if run is not last], last)
            return last


def _note(others: list[_Run], last: _Run) -> None:
    for error in filter(None, (other.error for other in others)):
        if last.error is not None:
            last.error.add_note(f"asked beside it: {type(error).__name__}: {error}")
