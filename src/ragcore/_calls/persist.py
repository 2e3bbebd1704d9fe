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
from typing import Any, TypeVar

import attrs

from ragcore._calls.attempts import Attempts, Deadline
from ragcore._calls.layers import Around
from ragcore._records import Retry
from ragcore.errors import RequestTimeoutError, TransientError

T = TypeVar("T")

_log = logging.getLogger("ragcore")


class Persisting(Around):
    """Enters the step within until it answers, fails for good, or there is no time for more."""

    __slots__ = ()

    async def __aenter__(self) -> Any:
        exchange = self.exchange
        opening, attempts = exchange.opening, exchange.attempts
        retry = opening.retry
        if exchange.wait_longest < retry.wait_longest:
            retry = attrs.evolve(retry, wait_longest=exchange.wait_longest)
        with opening.at_the_edge(attempts):
            return await persist(self.enter, retry, exchange.deadline, attempts)


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
    try:
        async with asyncio.timeout_at(deadline.at) as scope:
            attempts.begin()
            try:
                return await attempt()
            except TransientError as exc:
                first = exc
            return await _again(attempt, first, retry, deadline, attempts)
    except TimeoutError as exc:
        if not scope.expired():
            raise RequestTimeoutError(str(exc) or "the attempt timed out") from exc
        raise RequestTimeoutError(
            f"no answer before the deadline of {deadline.timeout or 0:g} s"
        ) from attempts.last_error


async def _again(
    attempt: Callable[[], Awaitable[T]],
    first: TransientError,
    retry: Retry,
    deadline: Deadline,
    attempts: Attempts,
) -> T:
    """Go on after the *first* failure; stamina, which costs more than most calls, begins here."""

    def wait_after(exc: Exception) -> bool | float:
        if not isinstance(exc, TransientError):
            return False
        attempts.last_error = exc
        if (exc.retry_after or 0) > retry.wait_longest:
            return False
        wait = wait_before_next(retry, attempts.count, exc.retry_after, deadline.left)
        if wait >= deadline.left:
            return False
        if attempts.count < retry.attempts:
            _log.info("attempt %d failed, another in %.1f s: %s", attempts.count, wait, exc)
        return wait

    failed: list[TransientError] = [first]
    stamina = _stamina()
    async for again in stamina.retry_context(on=wait_after, attempts=retry.attempts, timeout=None):
        with again:
            if failed:
                raise failed.pop()
            attempts.begin()
            return await attempt()
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
