"""
Leaves a model alone that keeps failing, and has it tried again after a while: a circuit breaker.

One table for the process, of the models that are in trouble alone. It has no lock: what two threads
do at once counts once at worst.
"""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import attrs

from ragcore._calls.opening import Opening

_log = logging.getLogger("ragcore")

# Calls that fail in a row before a model is left alone, and for how many seconds.
_FAILURES = 3
_SHORTEST, _LONGEST = 30.0, 300.0

# Seconds after its last failure when a model is forgotten that nobody has asked since.
_FORGOTTEN = 2 * _LONGEST


@attrs.define(eq=False)
class Trouble:
    """
    A model that fails.

    Attributes:
        reference: ``"provider:model"``.
        connection: The account, which is part of what fails.
        failures: Calls that failed in a row.
        pause: Seconds that it is left alone; 0 as long as it isn't.
        until: The time when it is tried again, by the clock of the event loop.
        last_failure: The time of the last failure.
        last_error: What was said then.
    """

    reference: str
    connection: Any = attrs.field(repr=False)
    failures: int = 0
    pause: float = 0.0
    until: float = float("-inf")
    last_failure: float = 0.0
    last_error: str = ""


_troubles: list[Trouble] = []


def troubles() -> tuple[Trouble, ...]:
    """Return what fails in this process, be it left alone or not."""
    return tuple(_troubles)


def is_left_alone(opening: Opening[Any]) -> bool:
    """Say whether the model of *opening* is not to be asked now."""
    trouble = _trouble_of(opening)
    return trouble is not None and _now() < trouble.until


def begin(opening: Opening[Any]) -> bool:
    """Note that the model is asked; return whether this tells if it is to be left alone longer."""
    trouble = _trouble_of(opening)
    if trouble is None or not trouble.pause or _now() < trouble.until:
        return False
    _log.info("%s: tried again after %.0f s", trouble.reference, trouble.pause)
    # Others leave it alone meanwhile.
    trouble.until = _now() + trouble.pause
    return True


def succeed(opening: Opening[Any]) -> None:
    """Note that the model has answered."""
    trouble = _trouble_of(opening)
    if trouble is not None:
        _troubles[:] = [one for one in _troubles if one is not trouble]
        if trouble.pause:
            _log.info("%s: answers again", trouble.reference)


def fail(opening: Opening[Any], error: Exception, *, decides: bool) -> None:
    """
    Note that the model has failed with *error*.

    Args:
        opening: The model.
        error: What came out of the call.
        decides: What :func:`begin` has returned.
    """
    now = _now()
    trouble = _trouble_of(opening) or _noted(opening, now)
    trouble.last_failure, trouble.last_error = now, f"{type(error).__name__}: {error}"
    if now < trouble.until and not decides:
        # The call began before, or had no other model to ask.
        return
    trouble.failures += 1
    if trouble.failures >= _FAILURES:
        trouble.pause = min(max(_SHORTEST, 2 * trouble.pause), _LONGEST)
        trouble.until = now + trouble.pause
        _log.warning(
            "%s: left alone for %.0f s, after %d failures in a row: %s",
            trouble.reference,
            trouble.pause,
            trouble.failures,
            trouble.last_error,
        )


def _noted(opening: Opening[Any], now: float) -> Trouble:
    _troubles[:] = [one for one in _troubles if now - one.last_failure < _FORGOTTEN]
    trouble = Trouble(opening.reference, opening.connection)
    _troubles.append(trouble)
    return trouble


def _trouble_of(opening: Opening[Any]) -> Trouble | None:
    for trouble in _troubles:
        if trouble.reference == opening.reference and trouble.connection == opening.connection:
            return trouble
    return None


def _now() -> float:
    return asyncio.get_running_loop().time()
