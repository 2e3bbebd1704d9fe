"""One client per process, event loop and connection, shared by all models of that account."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import attrs

from ragcore._calls.owner import Owner
from ragcore.options import BindingOptions

Connect = Callable[[Any], AbstractAsyncContextManager[Any]]


@attrs.define(eq=False)
class _Shared:
    connect: Connect
    connection: BindingOptions
    owner: Owner[Any]
    users: int = 0

    def serves(self, connect: Connect, connection: BindingOptions) -> bool:
        # Compared, not hashed: options may hold dicts.
        return (
            self.connect is connect and self.connection == connection and not self.owner.has_ended
        )


# By process and loop: another loop's client is of no use, nor is that of a parent process, even
# on a loop that was inherited. Entries leave with their last user, or when their loop is found
# closed.
_open: dict[tuple[int, asyncio.AbstractEventLoop], list[_Shared]] = {}


# A client is left after its users, which end with the loop, too; but one that is no task, such as
# a suspended generator, ends later.
_PATIENCE = 2.0


def _here() -> tuple[int, asyncio.AbstractEventLoop]:
    return os.getpid(), asyncio.get_running_loop()


@asynccontextmanager
async def shared_client(connect: Connect, connection: BindingOptions) -> AsyncIterator[Any]:
    """Hold the client of *connection*; it is opened for its first user and closed by its last."""
    shared = _entry(connect, connection)
    shared.users += 1
    try:
        yield await shared.owner.value()
    finally:
        shared.users -= 1
        if not shared.users:
            _forget(shared)
            await shared.owner.release()


def _entry(connect: Connect, connection: BindingOptions) -> _Shared:
    # Other threads' loops come and go meanwhile.
    for here in list(_open):
        if here[1].is_closed():
            _open.pop(here, None)
    entries = _open.setdefault(_here(), [])
    for entry in entries:
        if entry.serves(connect, connection):
            return entry
    entries.append(_Shared(connect, connection, Owner(connect(connection), patience=_PATIENCE)))
    return entries[-1]


def _forget(shared: _Shared) -> None:
    entries = _open.get(_here(), [])
    if shared in entries:
        entries.remove(shared)
    if not entries:
        _open.pop(_here(), None)
