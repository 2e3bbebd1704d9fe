"""
Tries again; the only user of stamina.

The class of an error says whether another attempt may help. Waits are computed here, since
stamina passes a wait that its hook returns through unbounded.
"""

from __future__ import annotations

import asyncio
import functools
import logging
import random
from collections.abc import Awaitable, Callable
from types import ModuleType
from typing import TypeVar

import attrs

from ragcore._records import Retry
from ragcore.errors import RequestTimeoutError, TransientError

T = TypeVar("T")

_log = logging.getLogger("ragcore")


class Deadline:
    """When a call must be done, in the running loop's time; None is never."""

    def __init__(self, timeout: float | None) -> None:
        self.timeout: float | None = timeout or None
        self.at: float | None = asyncio.get_running_loop().time() + timeout if timeout else None

    @property
    def left(self) -> float:
        """Seconds that are left; infinity without a deadline."""
        if self.at is None:
            return float("inf")
        return self.at - asyncio.get_running_loop().time()


@attrs.define
class Attempts:
    """
    What became of the attempts of one call.

    Attributes:
        count: How many were begun.
        retrying: Seconds from the first one's start to the last one's.
        last_error: What the last failed one raised.
    """

    count: int = 0
    retrying: float = 0.0
    last_error: TransientError | None = None
    _first: float = attrs.field(init=False, default=0.0)

    def begin(self) -> None:
        """Count one more."""
        now = asyncio.get_running_loop().time()
        self.count += 1
        if self.count == 1:
            self._first = now
        self.retrying = now - self._first


async def persist(
    attempt: Callable[[], Awaitable[T]],
    retry: Retry,
    deadline: Deadline,
    attempts: Attempts,
) -> T:
    """
    Call *attempt* until it succeeds, fails for good, or there is no time for another.

    Raises:
        ProviderError: The last real one: what the service said, not that it was tried often.
        RequestTimeoutError: The deadline cut an attempt; its cause is the error before.
    """

    def wait_after(exc: Exception) -> bool | float:
        if not isinstance(exc, TransientError):
            return False
        attempts.last_error = exc
        wait = wait_before_next(retry, attempts.count, exc.retry_after, deadline.left)
        if wait >= deadline.left:
            return False
        if attempts.count < retry.attempts:
            _log.info("attempt %d failed, another in %.1f s: %s", attempts.count, wait, exc)
        return wait

    stamina = _stamina()
    async for again in stamina.retry_context(on=wait_after, attempts=retry.attempts, timeout=None):
        with again:
            attempts.begin()
            return await within(attempt, deadline, retry.attempt_timeout, attempts.last_error)
    raise AssertionError("stamina ends with a result or an error")


@functools.cache
def _stamina() -> ModuleType:
    # It takes a while to import, which a program that never calls need not pay.
    import stamina

    # Where no logging is set up, its bare "stamina.retry_scheduled" would go to stderr.
    logging.getLogger("stamina").addHandler(logging.NullHandler())
    return stamina


def wait_before_next(
    retry: Retry, made: int, retry_after: float | None, left: float = float("inf")
) -> float:
    """
    Return how many seconds to wait after *made* failed attempts.

    What the service asks for is a lower bound: jitter is added, so that those who were refused
    together don't come back together, but no more than half of what is then *left*.
    """
    if retry_after is not None:
        asked = max(0.0, retry_after)
        jitter = min(retry.wait_initial, max(0.0, left - asked) / 2)
        return asked + random.uniform(0, jitter)  # noqa: S311
    # 2.0 ** 1024 overflows; no wait_max is above what 60 doublings give.
    longest = min(retry.wait_max, retry.wait_initial * 2.0 ** min(made - 1, 60))
    return random.uniform(0, longest)  # noqa: S311  # spreads load, guards nothing


async def within(
    attempt: Callable[[], Awaitable[T]],
    deadline: Deadline,
    attempt_timeout: float | None = None,
    last_error: BaseException | None = None,
) -> T:
    """
    Await *attempt* for no longer than it and the call have.

    Raises:
        RequestTimeoutError: The time was up, or the attempt raised a TimeoutError of its own.
    """
    limit, what = _limit(deadline, attempt_timeout)
    try:
        async with asyncio.timeout_at(limit) as scope:
            return await attempt()
    except TimeoutError as exc:
        if not scope.expired():
            raise RequestTimeoutError(str(exc) or "the attempt timed out") from exc
        raise RequestTimeoutError(what) from last_error


def _limit(deadline: Deadline, attempt_timeout: float | None) -> tuple[float | None, str]:
    if attempt_timeout is None or deadline.left <= attempt_timeout:
        return deadline.at, f"no answer before the deadline of {deadline.timeout or 0:g} s"
    at = asyncio.get_running_loop().time() + attempt_timeout
    return at, f"no answer within {attempt_timeout:g} s, the limit of one attempt"
