"""
A task that owns a resource.

An async context manager is best left by the task that entered it: what it holds may belong to
that task (cancel scopes do). Where many tasks share a resource, or it outlives the task that
asked for it first, a task of its own enters it, waits, and leaves it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, suppress
from typing import Generic, TypeVar

from ragcore._calls.entering import unlisted

T = TypeVar("T")


class Owner(Generic[T]):
    """
    Enters *manager* in a task of its own, and leaves it there upon :meth:`release`.

    Args:
        manager: What to own.

    Attributes:
        patience: Seconds to go on once the loop ends, for users to end and release it first.
    """

    def __init__(self, manager: AbstractAsyncContextManager[T], *, patience: float = 0.0) -> None:
        self.patience: float = patience
        self._entered: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self._released = asyncio.Event()
        self._task = asyncio.create_task(self._own(manager))
        # A loop may be closed with this task on it, which is no mistake of who closed it. asyncio's
        # own helpers say so by the same attribute.
        self._task._log_destroy_pending = False  # type: ignore[attr-defined]  # noqa: SLF001

    @property
    def has_ended(self) -> bool:
        """Whether the resource is gone: released, or its loop was told to end."""
        return self._task.done() or self._task.cancelling() > 0

    @property
    def failure(self) -> BaseException | None:
        """What leaving the manager raised, once the resource is gone."""
        is_told = self._task.done() and not self._task.cancelled()
        return self._task.exception() if is_told else None

    @property
    def entered(self) -> asyncio.Future[T]:
        """What the manager gives; done once it is entered, or failed to be."""
        return self._entered

    async def value(self) -> T:
        """Return what the manager gave, once it is entered; many may wait."""
        return await asyncio.shield(self._entered)

    def when_ended(self, call: Callable[[], object]) -> None:
        """Have *call* called once the resource is gone."""
        self._task.add_done_callback(lambda _: call())

    def end(self) -> None:
        """Have the manager left, or give up entering it, without waiting for it."""
        self._released.set()
        if not self._entered.done():
            self._task.cancel()

    async def release(self) -> None:
        """Leave the manager, or give up entering it."""
        self.end()
        await asyncio.wait([self._task])
        if not self._task.cancelled():
            self._task.result()

    async def _own(self, manager: AbstractAsyncContextManager[T]) -> None:
        try:
            self._entered.set_result(await unlisted(manager.__aenter__()))
            # Not by "async with": a loop that is closed with this task on it throws GeneratorExit
            # in here, after which nothing can be awaited.
            await self._until_released()
            await manager.__aexit__(None, None, None)
        except asyncio.CancelledError:
            self._entered.cancel()
            raise
        except Exception as exc:
            if self._entered.done():
                raise
            self._entered.set_exception(exc)
            # Whoever asked may be gone; then nobody is to be told.
            self._entered.exception()

    async def _until_released(self) -> None:
        try:
            await self._released.wait()
        except asyncio.CancelledError:
            # asyncio.run cancels all tasks at once: this one, and those that use what it owns.
            with suppress(TimeoutError):
                async with asyncio.timeout(self.patience):
                    await self._released.wait()
