"""
What is held open for many users: clients of accounts, and the models of LightRAG's functions.

One table by process and event loop: another loop's client is of no use, nor is that of a parent
process, even on a loop that was inherited. What a forked child inherits stays there unused, since
dropping it would have the child close what its parent uses.
"""

from __future__ import annotations

import asyncio
import atexit
import functools
import logging
import os
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, Generic, TypeVar

import attrs

from ragcore._calls.owner import Owner

T = TypeVar("T")
Open = Callable[[Any], AbstractAsyncContextManager[T]]

# Seconds that a client is kept after its last user: opening the account again reuses it.
KEEP_ALIVE = 30.0

# Seconds that a held thing is left after its users, which end with the loop, too; but one that is
# no task, such as a suspended generator, ends later.
_PATIENCE = 2.0

# Models and clients that are kept on a loop though nobody uses them: of more than these, the one
# that is unused for the longest is closed. A program may ask in the name of a thousand accounts.
MOST_UNUSED = 16

_log = logging.getLogger("ragcore")


@attrs.define(eq=False)
class Held(Generic[T]):
    """
    A resource that is open, or being opened, on one loop.

    Attributes:
        open: What opens it: an async context manager of *subject*.
        subject: What it is opened for; compared by value.
        owner: The task that entered it.
        users: How many are using it.
        is_unused: It was used, and is kept for those who may come.
    """

    open: Open[T]
    subject: Any
    owner: Owner[T] = attrs.field(init=False)
    users: int = attrs.field(default=0, init=False)
    is_unused: bool = attrs.field(default=False, init=False)
    _expiry: asyncio.TimerHandle | None = attrs.field(default=None, init=False)

    def __attrs_post_init__(self) -> None:
        self.owner = Owner(self.open(self.subject))

    def serves(self, open_: Open[T], subject: Any) -> bool:
        """Say whether this is what *open_* opens for *subject*, and still there."""
        # Compared, not hashed: options may hold dicts.
        is_same = self.open is open_ and (self.subject is subject or self.subject == subject)
        return is_same and not self.owner.has_ended

    def use(self) -> None:
        """Count one more user."""
        self._stay()
        self.users += 1
        self.is_unused = False
        self.owner.patience = _PATIENCE

    def leave(self) -> None:
        """Count one user less."""
        self.users -= 1
        if not self.users:
            # Nobody is left to wait for when the loop ends.
            self.owner.patience = 0.0

    def keep(self, seconds: float | None) -> None:
        """Close it then, unless somebody comes before; None keeps it for as long as the loop."""
        self.is_unused = True
        if seconds is not None:
            self._expiry = asyncio.get_running_loop().call_later(seconds, self.expire)

    def expire(self) -> None:
        """Close it without waiting for that."""
        self._stay()
        self.owner.when_ended(self._report)
        self.owner.end()

    def _stay(self) -> None:
        if self._expiry is not None:
            self._expiry.cancel()

    def _report(self) -> None:
        # Nobody waits for it.
        if failure := self.owner.failure:
            _log.warning("a client or a model could not be closed: %r", failure)


_Here = tuple[int, asyncio.AbstractEventLoop]
_open: dict[_Here, list[Held[Any]]] = {}


def _here() -> _Here:
    return os.getpid(), asyncio.get_running_loop()


def held(open_: Open[T], subject: Any) -> Held[T]:
    """Return what *open_* opens for *subject* on the running loop; one for all who ask alike."""
    _close_at_exit()
    # Other threads' loops come and go meanwhile.
    for here in [here for here in list(_open) if here[1].is_closed()]:
        _open.pop(here, None)
    entries = _open.setdefault(_here(), [])
    for entry in entries:
        if entry.serves(open_, subject):
            return entry
    entry = Held(open_, subject)
    entry.owner.when_ended(functools.partial(_forget, _here(), entry))
    entries.append(entry)
    return entry


@asynccontextmanager
async def borrowed(
    open_: Open[T], subject: Any, *, keep_alive: float | None = 0.0
) -> AsyncIterator[T]:
    """
    Hold what *open_* opens for *subject*: opened for its first user, closed after its last.

    Args:
        open_: Compared by identity.
        subject: Compared by value.
        keep_alive: Seconds that it stays open after its last user; None for as long as the loop.
    """
    entry = held(open_, subject)
    entry.use()
    try:
        yield await entry.owner.value()
    finally:
        entry.leave()
        if not entry.users:
            await _end(entry, keep_alive)


async def _end(entry: Held[Any], keep_alive: float | None) -> None:
    if keep_alive == 0 or entry.owner.has_ended:
        _forget(_here(), entry)
        await entry.owner.release()
        return
    entry.keep(keep_alive)
    _close_surplus(entry)


def _close_surplus(latest: Held[Any]) -> None:
    entries = _open.get(_here(), [])
    if latest in entries:
        entries.remove(latest)
        entries.append(latest)
    unused = [entry for entry in entries if entry.is_unused]
    for entry in unused[:-MOST_UNUSED]:
        entries.remove(entry)
        entry.expire()


def _forget(here: _Here, entry: Held[Any]) -> None:
    entries = _open.get(here, [])
    if entry in entries:
        entries.remove(entry)
    if not entries:
        _open.pop(here, None)


async def aclose() -> None:
    """
    Close what is kept open on the running event loop, and used by nobody.

    Clients are kept for half a minute after their last model, and LightRAG's functions keep their
    models for as long as the loop. Needed only where a loop goes on: what is open is closed with
    its loop.

    Raises:
        ExceptionGroup: Some could not be closed; all were tried.
    """
    here, errors = _here(), []
    # Models leave their clients.
    while idle := [entry for entry in _open.get(here, []) if not entry.users]:
        for entry in idle:
            _forget(here, entry)
        errors += await _released([entry.owner for entry in idle])
    if errors:
        raise ExceptionGroup("not everything could be closed", errors)


async def _released(owners: list[Owner[Any]]) -> list[Exception]:
    outcomes = await asyncio.gather(*(o.release() for o in owners), return_exceptions=True)
    return [outcome for outcome in outcomes if isinstance(outcome, Exception)]


@functools.cache
def _close_at_exit() -> None:
    atexit.register(_close_stopped_loops)


def _close_stopped_loops() -> None:
    """Close what is held on loops that nobody ended, as LightRAG's synchronous functions leave."""
    for pid, loop in list(_open):
        if pid == os.getpid() and not (loop.is_closed() or loop.is_running()):
            loop.run_until_complete(aclose())
