"""Threads in which botocore may block, and the way from them into the event loop."""

from __future__ import annotations

import asyncio
import queue
import threading
from collections.abc import AsyncGenerator, Callable, Iterable
from concurrent.futures import Future
from functools import partial
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
        self._pool = _Pool(most)
        self._under_way: set[Call] = set()
        self._is_closed = False

    async def run(self, work: Callable[[], T]) -> T:
        """
        Return what *work* returns, in a thread.

        Who is cancelled meanwhile gives back thread and socket at once.
        """
        call = self._begin()
        try:
            return await asyncio.wrap_future(self._pool.start(call, work))
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
            for item in work():
                if not _wait_for(room, loop) or call.is_broken_off:
                    return
                loop.call_soon_threadsafe(arrived.put_nowait, item)

        working = asyncio.wrap_future(self._pool.start(call, in_thread))
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
        self._pool.close()

    def _begin(self) -> Call:
        if self._is_closed:
            raise ProviderError("the model was closed")
        call = Call()
        self._under_way.add(call)
        return call


class _Pool:
    """
    Threads, started as they are needed, that the interpreter does not wait for when it ends.

    It waits for those of a ThreadPoolExecutor, which may be for as long as a service is silent.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._started = 0
        self._idle = threading.Semaphore(0)
        self._jobs: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()

    def start(self, call: Call, work: Callable[[], T]) -> Future[T]:
        """Have *work* done for *call* as soon as there is a thread for it."""
        future: Future[T] = Future()
        self._jobs.put(partial(_do, future, call, work))
        if not self._idle.acquire(blocking=False) and self._started < self._most:
            self._started += 1
            name = f"lightrag-bedrock_{self._started}"
            threading.Thread(target=self._work, name=name, daemon=True).start()
        return future

    def close(self) -> None:
        """End the threads once they have nothing to do."""
        for _ in range(self._started):
            self._jobs.put(None)

    def _work(self) -> None:
        while job := self._next():
            job()
            # It holds an answer, or an error with its frames.
            del job

    def _next(self) -> Callable[[], None] | None:
        try:
            return self._jobs.get_nowait()
        except queue.Empty:
            self._idle.release()
            return self._jobs.get()


def _do(future: Future[T], call: Call, work: Callable[[], T]) -> None:
    if not future.set_running_or_notify_cancel():
        return
    try:
        with call.in_this_thread():
            future.set_result(work())
    except BaseException as exc:  # noqa: BLE001  # whatever it is, it is for who waits
        future.set_exception(exc)
        # The exception holds this frame.
        del future


def _wait_for(room: threading.Semaphore, loop: asyncio.AbstractEventLoop) -> bool:
    """Wait until there is room; say whether there is still somebody to read."""
    while not room.acquire(timeout=_GLANCE):
        if loop.is_closed():
            return False
    return not loop.is_closed()
