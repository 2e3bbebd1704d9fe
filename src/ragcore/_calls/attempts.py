"""How long a call may take, and what became of its attempts."""

from __future__ import annotations

import asyncio

import attrs

from ragcore.errors import OptionsError, TransientError

_FOREVER = float("inf")


class Deadline:
    """
    The time by which a call must be done, counted from when this is made.

    Attributes:
        timeout: Seconds that the call has; None for any number.
        at: The deadline in the running loop's time; None for never.
    """

    __slots__ = ("_began", "_loop", "at", "timeout")

    def __init__(self, timeout: float | None) -> None:
        self._loop = asyncio.get_running_loop()
        self._began = self._loop.time()
        self.timeout: float | None = timeout or None
        self.at: float | None = self._began + timeout if timeout else None

    @property
    def left(self) -> float:
        """Seconds that are left; infinity without a deadline."""
        return _FOREVER if self.at is None else self.at - self._loop.time()

    @property
    def elapsed(self) -> float:
        """Seconds since the call began."""
        return self._loop.time() - self._began


@attrs.define
class Attempts:
    """
    What became of the attempts of one call.

    Attributes:
        count: How many were begun.
        queued: Seconds that layers have waited for a free slot; they add theirs.
        retrying: Seconds from the first one's start to the last one's.
        last_error: What the last failed one raised.
        call: Those of the whole call, where these are one model's part of it; they count there too.
        number: Its place in the line of a budget, which it keeps when it tries again.
    """

    count: int = 0
    queued: float = 0.0
    retrying: float = 0.0
    last_error: TransientError | None = None
    call: Attempts | None = None
    number: int | None = None
    _first: float = attrs.field(init=False, default=0.0)

    def begin(self) -> None:
        """Count one more."""
        now = asyncio.get_running_loop().time()
        self.count += 1
        if self.count == 1:
            self._first = now
        self.retrying = now - self._first
        if self.call is not None:
            self.call.begin()

    def whole(self) -> Attempts:
        """Return those of the whole call, of which these may be a part."""
        if self.call is None:
            return self
        call = self.call.whole()
        return Attempts(call.count, call.queued + self.queued, call.retrying)

    def add(self, part: Attempts) -> None:
        """Count those of a *part* of the call; parts run beside one another."""
        self.count += part.count
        self.queued = max(self.queued, part.queued)
        self.retrying = max(self.retrying, part.retrying)


def checked_timeout(timeout: float | None) -> float | None:
    """
    Return *timeout*.

    Raises:
        OptionsError: It is no number of seconds.
    """
    is_number = isinstance(timeout, int | float) and not isinstance(timeout, bool)
    if timeout is not None and not (is_number and 0 <= timeout < _FOREVER):
        raise OptionsError(f"timeout: {timeout!r} is not a number of seconds, 0 or more")
    return timeout
