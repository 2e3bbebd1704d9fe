"""
Finds out what a service takes: additive increase, multiplicative decrease, by what is refused.

Services refuse by rate (a bucket that fills again) or by how many are under way at once. Both are
watched, and a refusal lowers what it speaks of. Between two refusals a bucket has given just what
flows into it: so the rate is known from the second one on.
"""

from __future__ import annotations

import math

from ragcore._limits.gauges import NOT_BY_TIME
from ragcore._limits.ticket import Ticket
from ragcore.errors import RateLimitError

# Requests per second that nobody's service minds, and how that grows with each that is answered.
_FIRST_RATE, _GROWTH = 50.0, 1.4

# How much below the measured rate one stays: a little, so that what was spent comes back.
_MARGIN = 0.95

# Answers that say enough of a rate.
_ENOUGH = 8

# Answers before more is tried; then, between one step and the next.
_PATIENCE, _LONGEST_PATIENCE, _BETWEEN_STEPS = 32, 256, 10
_FIRST_STEP, _LONGEST_STEP = 0.1, 1.0

# What was saved while all were held back is spent so many times faster than the rate.
_CATCHING_UP = 8.0

# Longest pause in seconds after a refusal that does not say when to come back.
_LONGEST_PAUSE = 20.0


class Ceiling:
    """
    A level that refusals lower and answers raise: by a little at first, then by more.

    Attributes:
        level: Infinity until something was refused.
    """

    def __init__(self) -> None:
        self.level: float = math.inf
        self._patience = _PATIENCE
        self._answers = 0
        self._step = _FIRST_STEP

    def lower(self, level: float) -> None:
        """Set it to *level*; who tried in vain to raise it waits longer for the next time."""
        tried = self._step > _FIRST_STEP
        self._patience = min(2 * self._patience, _LONGEST_PATIENCE) if tried else _PATIENCE
        self._answers, self._step = 0, _FIRST_STEP
        self.level = level

    def answered(self) -> None:
        """Count an answer while this was what others waited for."""
        self._answers += 1
        if self._answers >= self._patience:
            self.level = max(self.level * (1 + self._step), self.level + self._step)
            self._step = min(2 * self._step, _LONGEST_STEP)
            self._answers = self._patience - _BETWEEN_STEPS


class Learned:
    """A limit that finds itself."""

    def __init__(self) -> None:
        self._rate = Ceiling()
        self._window = Ceiling()
        self._under_way = 0
        self._sent = 0
        self._answered = 0
        # The most that were under way when one was accepted.
        self._most = 0.0
        # When the next is due at an even rate, and when the last has gone.
        self._due = self._last = -math.inf
        # Seconds whose requests may be caught up on.
        self._slack = 0.0
        self._pause = 0.0
        # Since when, and since which request, what is accepted is measured.
        self._since, self._first, self._refused = 0.0, 0, 0

    def opens(self, ticket: Ticket) -> float:
        """Return when the next is due; infinity while as many are under way as may be."""
        if self._under_way and self._under_way + 1 > self._window.level:
            return NOT_BY_TIME
        return max(self._due, self._last + 1 / (_CATCHING_UP * self._current))

    def enter(self, ticket: Ticket, now: float) -> None:
        """Count one more under way."""
        if ticket.told is None and not self._under_way:
            self._measure_from(now)
        interval = 1 / self._current
        self._due = max(self._due, now - max(self._slack, interval)) + interval
        self._last = now
        self._under_way += 1
        self._sent += 1
        ticket.sent, ticket.beside = self._sent, self._under_way

    def leave(
        self, ticket: Ticket, now: float, tokens: int | None, error: BaseException | None
    ) -> None:
        """Learn from how it ended."""
        if isinstance(error, RateLimitError):
            self._learn(ticket, now, error.retry_after or 0.0)
        elif error is None:
            self._count(ticket)
        self._under_way -= 1

    @property
    def _current(self) -> float:
        """Requests per second."""
        return min(self._rate.level, _FIRST_RATE + _GROWTH * self._answered)

    def _count(self, ticket: Ticket) -> None:
        self._answered += 1
        self._most = max(self._most, ticket.beside)
        self._pause = 0.0
        # Nothing is learned of a limit that was not reached.
        if self._under_way >= self._window.level - 1:
            self._window.answered()
        elif ticket.told is not None and self._rate.level < math.inf:
            self._rate.answered()

    def _learn(self, ticket: Ticket, now: float, retry_after: float) -> None:
        self._refused += 1
        if ticket.sent <= self._first:
            # It went before the last lesson, and teaches the same.
            return
        accepted = self._sent - self._first - self._refused
        if accepted > 0:
            self._lower(ticket, accepted, now - self._since)
        self._slack = retry_after
        self._pause = min(2 * self._pause, _LONGEST_PAUSE) or 1 / self._current
        self._due = now if retry_after else now + self._pause
        self._measure_from(now)

    def _lower(self, ticket: Ticket, accepted: int, seconds: float) -> None:
        current = self._current
        measured = accepted / seconds if seconds else current
        if self._rate.level == math.inf:
            # The bucket was full: no rate is known yet.
            self._rate.lower(min(measured, current) / 2)
        elif accepted >= _ENOUGH:
            self._rate.lower(min(measured, current) * _MARGIN)
        else:
            self._rate.lower(max(min(measured, current) * _MARGIN, current / 2))
        if ticket.beside > self._most:
            self._window.lower(max(1.0, ticket.beside - 1.0))
        self._most *= 0.7

    def _measure_from(self, now: float) -> None:
        self._since, self._first, self._refused = now, self._sent, 0
