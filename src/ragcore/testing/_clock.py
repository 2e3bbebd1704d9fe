"""A clock that doesn't wait."""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, Self, TypeVar

T = TypeVar("T")


class FakeClock:
    """
    An event loop that never waits: when nothing is left to do, time jumps to the next timer.

    Work in threads is real, and waited for. Use as a context manager::

        with FakeClock() as clock:
            clock.run(call())
            assert clock.time == 30.0
    """

    def __init__(self) -> None:
        self._loop = _FakeClockLoop()
        self._runner = asyncio.Runner(loop_factory=lambda: self._loop)

    @property
    def time(self) -> float:
        """Seconds since the clock was made."""
        return self._loop.time()

    def run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Run *coroutine* to its end and return what it returns."""
        return self._runner.run(coroutine)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._runner.close()


class _JumpingSelector(selectors.DefaultSelector):
    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        self.threads = 0

    def select(self, timeout: float | None = None) -> Any:
        if timeout is None or timeout <= 0:
            return super().select(timeout)
        if self.threads:
            # A thread at work takes real time, in which the fake one stands still.
            return super().select(0.05)
        if ready := super().select(0):
            return ready
        self.now += timeout
        return []


class _FakeClockLoop(asyncio.SelectorEventLoop):
    def __init__(self) -> None:
        self._jumping = _JumpingSelector()
        super().__init__(self._jumping)

    def time(self) -> float:
        return self._jumping.now

    def run_in_executor(  # type: ignore[override]  # typeshed's is generic over the arguments
        self, executor: Any, func: Callable[..., T], *args: Any
    ) -> Awaitable[T]:
        self._jumping.threads += 1
        future = super().run_in_executor(executor, func, *args)
        future.add_done_callback(self._thread_ended)
        return future

    async def shutdown_default_executor(self, *args: Any, **kwargs: Any) -> None:
        # From Python 3.12 on with a timeout, which would jump ahead of the threads.
        self._jumping.threads += 1
        try:
            await super().shutdown_default_executor(*args, **kwargs)
        finally:
            self._jumping.threads -= 1

    def _thread_ended(self, _: Any) -> None:
        self._jumping.threads -= 1
