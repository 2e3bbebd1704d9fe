"""
One copy of a model in a process: loaded once, shared by all who ask, freed when nobody does.

A load has a thread of its own, so it goes on when the call that began it gives up, and
:func:`asyncio.run` does not wait for it. At exit what runs is stopped and joined: a daemon
thread that is inside torch when the interpreter ends aborts the process.
"""

from __future__ import annotations

import asyncio
import atexit
import functools
import os
import threading
import time
import weakref
from collections.abc import AsyncIterator, Callable, Hashable
from concurrent.futures import Future
from contextlib import asynccontextmanager
from typing import Any, Generic, TypeVar

import attrs

from lightrag_hf.options import HFModelOptions, HFOptions

_T = TypeVar("_T")

_EXIT_PATIENCE = 30.0


@asynccontextmanager
async def shared(
    key: Hashable, load: Callable[[], _T], close: Callable[[_T], None], keep_alive: float
) -> AsyncIterator[_T]:
    """
    Lend what *load* returns, to all who ask for *key* in this process.

    May be used from several threads and event loops at once.

    Args:
        key: See :func:`model_key`.
        load: Blocking; called in a thread of its own, once, unless it fails.
        close: Blocking; called in some thread when *keep_alive* has run out, or at exit.
        keep_alive: Seconds from the last user's leaving to *close*; negative: until exit.

    Raises:
        Exception: Whatever *load* raised; the next to ask tries again.
    """
    entry = _SHELF.take(key, load, close)
    try:
        yield await asyncio.wrap_future(entry.loaded)
    finally:
        _SHELF.put_back(entry, keep_alive)


def model_key(task: str, hub: HFOptions, model_name: str, options: HFModelOptions) -> Hashable:
    """Return what users of one loaded model have in common."""
    chosen = tuple(
        (field.name, repr(getattr(options, field.name)))
        for field in options.fields()
        if field.scope == "model" and field.name != "keep_alive"
    )
    return task, hub, model_name, chosen


def stop_if_exiting() -> None:
    """Raise RuntimeError at exit; long loads ask now and then."""
    if _SHELF.is_closing.is_set():
        raise RuntimeError("the interpreter exits")


def one_at_a_time() -> threading.Lock:
    """Return the lock under which transformers builds models: it changes global state meanwhile."""
    return _SHELF.building


@attrs.define(eq=False)
class _Entry(Generic[_T]):
    """Something loaded, loading, or waiting to be freed; guarded by the shelf's lock."""

    key: Hashable
    close: Callable[[_T], None]
    loaded: Future[_T] = attrs.field(factory=Future)
    users: int = 0
    keep_alive: float = 0.0
    timer: threading.Timer | None = None

    @property
    def is_idle(self) -> bool:
        return self.users == 0 and self.is_loaded

    @property
    def is_loaded(self) -> bool:
        return self.loaded.done() and self.loaded.exception() is None


class _Shelf:
    """Everything that is loaded in this process."""

    def __init__(self) -> None:
        self.forget()

    def forget(self) -> None:
        """Begin empty: in a forked child the threads are gone and locks may be held for ever."""
        self._lock = threading.RLock()
        self._entries: dict[Hashable, _Entry[Any]] = {}
        self._threads: weakref.WeakSet[threading.Thread] = weakref.WeakSet()
        self.is_closing = threading.Event()
        self.building = threading.Lock()

    def take(
        self, key: Hashable, load: Callable[[], _T], close: Callable[[_T], None]
    ) -> _Entry[_T]:
        with self._lock:
            entry = self._entries.get(key) or self._begin(_Entry(key, close), load)
            entry.users += 1
            self._stop_timer(entry)
        return entry

    def put_back(self, entry: _Entry[Any], keep_alive: float) -> None:
        with self._lock:
            entry.users -= 1
            entry.keep_alive = keep_alive
            self._start_timer(entry)

    def close(self) -> None:
        """Stop what loads, free what is loaded, and join the threads that did."""
        self.is_closing.set()
        with self._lock:
            for entry in self._entries.values():
                self._stop_timer(entry)
            threads = list(self._threads)
        deadline = time.monotonic() + _EXIT_PATIENCE
        for thread in threads:
            thread.join(max(0.0, deadline - time.monotonic()))
        for entry in list(self._entries.values()):
            if entry.is_loaded:
                entry.close(entry.loaded.result())

    def _begin(self, entry: _Entry[_T], load: Callable[[], _T]) -> _Entry[_T]:
        _end_with_process(self)
        # Running futures can't be cancelled: a caller that gives up must not cancel the load.
        entry.loaded.set_running_or_notify_cancel()
        self._entries[entry.key] = entry
        name = "lightrag-hf-load"
        self._start(threading.Thread(target=self._load, args=(entry, load), name=name))
        return entry

    def _load(self, entry: _Entry[_T], load: Callable[[], _T]) -> None:
        try:
            loaded = load()
        except BaseException as exc:  # noqa: BLE001  # raised again in all who wait
            with self._lock:
                del self._entries[entry.key]
            entry.loaded.set_exception(exc)
            return
        with self._lock:
            entry.loaded.set_result(loaded)
            self._start_timer(entry)

    def _start_timer(self, entry: _Entry[Any]) -> None:
        self._stop_timer(entry)
        if entry.is_idle and entry.keep_alive >= 0 and not self.is_closing.is_set():
            entry.timer = threading.Timer(entry.keep_alive, self._free_if_idle, (entry,))
            self._start(entry.timer)

    def _stop_timer(self, entry: _Entry[Any]) -> None:
        if entry.timer is not None:
            entry.timer.cancel()
            entry.timer = None

    def _free_if_idle(self, entry: _Entry[Any]) -> None:
        with self._lock:
            if not entry.is_idle or self._entries.get(entry.key) is not entry:
                return
            del self._entries[entry.key]
        entry.close(entry.loaded.result())

    def _start(self, thread: threading.Thread) -> None:
        thread.daemon = True
        self._threads.add(thread)
        thread.start()


@functools.cache
def _end_with_process(shelf: _Shelf) -> None:
    atexit.register(shelf.close)
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(after_in_child=shelf.forget)


_SHELF = _Shelf()
