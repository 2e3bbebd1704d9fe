"""Threads in which botocore may block, and the way from them into the event loop."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncGenerator, Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from lightrag_bedrock._sockets import Call
from ragcore import ProviderError

T = TypeVar("T")

# Events that a thread may be ahead of its reader: enough to keep both busy, little to throw away.
_AHEAD = 32

# Seconds after which a thread that waits for a slow reader looks whether there still is one.
_GLANCE = 1.0

_END = object()


class Threads:
    """A pool of threads of its own; the event loop's default one is left to others."""

    def __init__(self, most: int) -> None:
        self._pool = ThreadPoolExecutor(most, thread_name_prefix="lightrag-bedrock")
        self._under_way: set[Call] = set()
        self._is_closed = False

    async def run(self, work: Callable[[], T]) -> T:
        """
        Return what *work* returns, in a thread.

        Who is cancelled meanwhile gives back thread and socket at once.
        """
        call = self._begin()

        def in_thread() -> T:
            with call.in_this_thread():
                return work()

        try:
            return await asyncio.get_running_loop().run_in_executor(self._pool, in_thread)
        finally:
            self._under_way.discard(call)
            call.break_off()

    async def iterate(self, work: Callable[[], Iterable[T]]) -> AsyncGenerator[T, None]:
        """
        Yield what *work* returns an iterable of, as it comes, from one thread.

        The thread waits for a slow reader; it and its socket are given back when the reader leaves.
        """
        loop = asyncio.get_running_loop()
        call, room = self._begin(), threading.Semaphore(_AHEAD)
        arrived: asyncio.Queue[Any] = asyncio.Queue()

        def in_thread() -> None:
            with call.in_this_thread():
                for item in work():
                    if not _wait_for(room, loop) or call.is_broken_off:
                        return
                    loop.call_soon_threadsafe(arrived.put_nowait, item)

        working = loop.run_in_executor(self._pool, in_thread)
        # Asked for its exception here, too: a reader that leaves first never asks.
        working.add_done_callback(lambda done: done.cancelled() or done.exception())
        working.add_done_callback(lambda _: arrived.put_nowait(_END))
        try:
            while (item := await arrived.get()) is not _END:
                room.release()
                yield item
            await working
        finally:
            self._under_way.discard(call)
            call.break_off()
            room.release()
            working.cancel()

    def close(self) -> None:
        """Break off what is under way; no thread outlives this by long."""
        self._is_closed = True
        for call in self._under_way:
            call.break_off()
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _begin(self) -> Call:
        if self._is_closed:
            raise ProviderError("the model was closed")
        call = Call()
        self._under_way.add(call)
        return call


def _wait_for(room: threading.Semaphore, loop: asyncio.AbstractEventLoop) -> bool:
    """Wait until there is room; say whether there is still somebody to read."""
    while not room.acquire(timeout=_GLANCE):
        if loop.is_closed():
            return False
    return not loop.is_closed()
