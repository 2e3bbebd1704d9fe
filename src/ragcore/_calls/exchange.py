"""One call under way: what completion and embedding have in common."""

from __future__ import annotations

import asyncio
import copy
import logging
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import AbstractContextManager
from typing import TypeVar

import attrs

from ragcore._calls.edge import at_the_edge
from ragcore._calls.persist import Attempts, Deadline, persist, within
from ragcore._discovery.host_options import HostOptions
from ragcore._records import Capabilities, Chunk, Retry, Timings
from ragcore.errors import OptionsError, PluginError, UnsupportedError
from ragcore.options import BindingOptions
from ragcore.options._secrets import Secret

T = TypeVar("T")

_log = logging.getLogger("ragcore")


@attrs.frozen
class Identity:
    """Whose model it is, and how it is called: what completion and embedding have in common."""

    provider: str
    model: str
    distribution: str
    capabilities: Capabilities
    options: BindingOptions
    host: HostOptions
    retry: Retry
    secrets: tuple[Secret, ...] = attrs.field(default=(), repr=False)
    warned: set[str] = attrs.field(factory=set, repr=False, eq=False)

    @property
    def reference(self) -> str:
        """How users name it."""
        return f"{self.provider}:{self.model}"

    def at_the_edge(self, attempts: Attempts) -> AbstractContextManager[None]:
        """Name this model in errors that pass, and keep the account's secrets out of them."""
        return at_the_edge(self.provider, self.model, attempts, self.secrets)

    def refuse(self, option: str, why: str) -> None:
        """
        Say that the model can't do what *option* asks, as ``on_unsupported`` wants it said.

        Raises:
            UnsupportedError: Unless a line in the log was asked for.
        """
        if self.host.on_unsupported != "warn":
            raise UnsupportedError(f"{self.reference}: {option}: {why}.")
        if option not in self.warned:
            self.warned.add(option)
            _log.warning("%s: %s is left out: %s", self.reference, option, why)

    def wrong_type(self, method: str, found: object, wanted: str = "") -> PluginError:
        """Say that the plugin's *method* broke its contract."""
        but = f", not {wanted}" if wanted else ""
        return PluginError(
            f"{self.distribution}: {method}() returned a {type(found).__name__}{but}; "
            "ask its authors to mend it."
        )

    async def next_chunk(self, chunks: AsyncGenerator[Chunk, None]) -> Chunk | None:
        """Return the next of *chunks*; None at their end."""
        try:
            chunk = await anext(chunks)
        except StopAsyncIteration:
            return None
        if not isinstance(chunk, Chunk):
            raise self.wrong_type("stream", chunk, "chunks")
        return chunk


class Model:
    """What a model says of itself, whatever it does."""

    def __init__(self, identity: Identity) -> None:
        self._identity = identity

    @property
    def reference(self) -> str:
        """``"provider:model"``."""
        return self._identity.reference

    @property
    def capabilities(self) -> Capabilities:
        """What the model can do."""
        return self._identity.capabilities

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.reference}>"


class Call:
    """One call under way: its deadline, its attempts and its clock."""

    def __init__(self, identity: Identity, timeout: float | None) -> None:
        _check_timeout(timeout)
        self.identity: Identity = identity
        self.deadline: Deadline = Deadline(identity.host.timeout if timeout is None else timeout)
        self.attempts: Attempts = Attempts()
        self._loop = asyncio.get_running_loop()
        self._began = self._loop.time()
        self._first_chunk: float | None = None
        self._parts = [self.attempts]

    async def persist(self, attempt: Callable[[], Awaitable[T]]) -> T:
        """Try *attempt* as often as it may be tried."""

        async def at_the_edge() -> T:
            # Before anybody logs the failure.
            with self.identity.at_the_edge(self.attempts):
                return await attempt()

        with self.identity.at_the_edge(self.attempts):
            return await persist(at_the_edge, self.identity.retry, self.deadline, self.attempts)

    async def within(self, step: Callable[[], Awaitable[T]]) -> T:
        """Do *step* before the deadline, once."""
        with self.identity.at_the_edge(self.attempts):
            return await within(step, self.deadline)

    def branch(self) -> Call:
        """Return a part of this call with attempts of its own: one request of several."""
        part = copy.copy(self)
        part.attempts = Attempts()
        self._parts.append(part.attempts)
        return part

    def note(self, chunk: Chunk | None) -> None:
        """Note when the first content arrives."""
        if self._first_chunk is None and chunk is not None and (chunk.text or chunk.reasoning):
            self._first_chunk = self._loop.time() - self._began

    def timings(self) -> Timings:
        """Say where the time went, up to now."""
        total = self._loop.time() - self._began
        return Timings(
            retrying=max(part.retrying for part in self._parts),
            first_chunk=total if self._first_chunk is None else self._first_chunk,
            total=total,
            attempts=sum(part.count for part in self._parts),
        )


def _check_timeout(timeout: float | None) -> None:
    if timeout is None:
        return
    if isinstance(timeout, bool) or not isinstance(timeout, int | float) or not 0 <= timeout < _INF:
        raise OptionsError(f"timeout: {timeout!r} is not a number of seconds, 0 or more")


_INF = float("inf")
