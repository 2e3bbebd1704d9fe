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
_FIRST_RATE, _GROWTH = 100.0, 2.0

# How much below the measured rate one stays: a little, so that what was spent comes back.
_MARGIN = 0.98

# Answers that say enough of a rate.
_ENOUGH = 4

# Answers before more is tried; then, between one step and the next. Or so many seconds: after a
# bad time answers are rare.
_PATIENCE, _LONGEST_PATIENCE, _BETWEEN_STEPS = 32.0, 64.0, 10.0
_LONG_ENOUGH = 30.0
_FIRST_STEP, _LONGEST_STEP = 0.1, 1.0

# Where a refusal would hold the last ones back for longer than they take, answers count for less.
_WEIGHT_OF_THE_LAST = 0.25

# What was saved while all were held back is spent so many times faster than the rate.
_CATCHING_UP = 4.0

# How much is saved next time of what was accepted, where it was too much.
_SAVED_AGAIN = 0.8

# Requests that a pause is long, where a refusal does not say when to come back and no rate is
# known; and the longest one, in seconds.
_PAUSE, _LONGEST_PAUSE = 8.0, 20.0


# After so many lessons of how many there may be at once, and none of a rate, there is no rate.
_SURE_OF_WINDOW = 2


class Ceiling:
    """
    A level that refusals lower and answers raise: by a little at first, then by more.

    Attributes:
        level: Infinity until something was refused.
    """

    def __init__(self) -> None:
        self.level: float = math.inf
        self._patience = _PATIENCE
        self._answers = 0.0
        self._step = _FIRST_STEP
        # When, and after which request, it was changed: what went before says nothing of it.
        self._changed, self._after = 0.0, 0

    def lower(self, level: float, now: float, sent: int, *, roughly: bool = False) -> None:
        """
        Set it to *level*; who tried in vain to raise it waits longer for the next time.

        Args:
            level: The new one.
            now: The time.
            sent: How many requests have gone so far.
            roughly: It is no more than a guess.
        """
        tried = self._step > _FIRST_STEP
        self._patience = min(2 * self._patience, _LONGEST_PATIENCE) if tried else _PATIENCE
        if roughly:
            self._patience = _BETWEEN_STEPS
        self._answers, self._step = 0.0, _FIRST_STEP
        self.level, self._changed, self._after = level, now, sent

    def rest(self, until: float) -> None:
        """Have time count from *until* on, when answers can come again."""
        self._changed = until

    def answered(self, ticket: Ticket, now: float, sent: int, weight: float) -> None:
        """Count the answer to *ticket*, which waited for this, by its *weight*."""
        if ticket.sent <= self._after:
            return
        self._answers += weight
        if self._answers >= self._patience or now - self._changed >= _LONG_ENOUGH:
            self.level *= 1 + self._step
            self._step = min(2 * self._step, _LONGEST_STEP)
            self._answers = self._patience - _BETWEEN_STEPS
            self._changed, self._after = now, sent


class Learned:
    """A limit that finds itself."""

    def __init__(self) -> None:
        self._rate = Ceiling()
        self._window = Ceiling()
        self._is_known = False
        self._lessons = 0
        self._under_way = 0
        self._sent = 0
        self._answered = 0
        # The most that were under way when one was accepted.
        self._most = 0.0
        # When the next is due at an even rate, when the last has gone, and when the pause ends.
        self._due = self._last = self._resumes = -math.inf
        # Seconds whose requests may be caught up on, and the most of these that were accepted.
        self._slack, self._most_saved = 0.0, math.inf
        self._is_catching_up = False
        self._pause = 0.0
        # Since when, and since which request, what is accepted is measured.
        self._since, self._first = 0.0, 0

    def opens(self, ticket: Ticket) -> float:
        """Return when the next is due; infinity while as many are under way as may be."""
        if self._under_way and self._under_way + 1 > self._window.level:
            return NOT_BY_TIME
        return max(self._due, self._resumes, self._last + 1 / (_CATCHING_UP * self._current))

    def enter(self, ticket: Ticket, now: float) -> None:
        """Count one more under way."""
        if ticket.told is None and not self._under_way:
            self._measure_from(now)
        interval = 1 / self._current
        slack = min(self._slack, self._most_saved * interval)
        self._due = max(self._due, now - max(slack, interval))
        ticket.is_saved = self._due + 2 * interval < now
        if self._is_catching_up and not ticket.is_saved and slack < self._slack:
            # More flowed into the bucket than it holds: what was saved tells no rate.
            self._measure_from(now)
        self._is_catching_up = ticket.is_saved
        self._due += interval
        self._last = now
        self._under_way += 1
        self._sent += 1
        ticket.sent, ticket.beside = self._sent, self._under_way

    def leave(
        self, ticket: Ticket, now: float, tokens: int | None, error: BaseException | None
    ) -> None:
        """Learn from how it ended."""
        if isinstance(error, RateLimitError):
            # What went before the last lesson teaches the same.
            if ticket.sent > self._first:
                self._learn(ticket, now, error.retry_after or 0.0)
        elif error is None:
            self._count(ticket, now)
        self._under_way -= 1

    @property
    def _current(self) -> float:
        """Requests per second."""
        return min(self._rate.level, _FIRST_RATE + _GROWTH * self._answered)

    def _count(self, ticket: Ticket, now: float) -> None:
        self._answered += 1
        self._most = max(self._most, ticket.beside)
        if ticket.sent > self._first:
            self._pause = 0.0
        if ticket.told is None:
            # It did not have to wait: nothing is learned of a limit that was not reached.
            return
        weight = 1.0 if ticket.behind >= 2 * self._current * self._slack else _WEIGHT_OF_THE_LAST
        if self._under_way >= self._window.level - 1:
            self._window.answered(ticket, now, self._sent, weight)
        elif self._rate.level < math.inf:
            self._rate.answered(ticket, now, self._sent, weight)

    def _learn(self, ticket: Ticket, now: float, retry_after: float) -> None:
        accepted = self._sent - self._first - 1
        if accepted > 0:
            self._lower(ticket, accepted, now)
            self._pause = 0.0
        pause = (1.0 if self._is_known else _PAUSE) / self._current
        self._pause = min(2 * self._pause, _LONGEST_PAUSE) or pause
        self._slack = retry_after or (0.0 if self._is_known else self._pause)
        self._resumes = now + self._pause * (not retry_after)
        self._due = now + 1 / self._current if self._slack else self._resumes
        for ceiling in (self._rate, self._window):
            ceiling.rest(max(self._resumes, now + retry_after))
        self._measure_from(now)

    def _lower(self, ticket: Ticket, accepted: int, now: float) -> None:
        self._lessons += 1
        if self._is_of_window(ticket):
            # The others were taken.
            self._most = ticket.beside - 1.0
            self._window.lower(max(1.0, self._most), now, self._sent)
        elif self._is_known and ticket.is_saved and accepted < self._most_saved:
            self._most_saved = accepted * _SAVED_AGAIN
        else:
            self._lower_rate(accepted, now)
            self._most *= 0.7

    def _is_of_window(self, ticket: Ticket) -> bool:
        has_no_rate = self._rate.level == math.inf
        if has_no_rate and self._lessons > _SURE_OF_WINDOW:
            return True
        # Before a rate is known, requests come in heaps that say little.
        is_full = self._is_known and ticket.beside >= self._window.level - 1
        return (has_no_rate or is_full) and ticket.beside > self._most

    def _lower_rate(self, accepted: int, now: float) -> None:
        current, seconds = self._current, now - self._since
        is_enough = accepted >= _ENOUGH
        measured = min(current, accepted / seconds if seconds else current)
        if self._lessons == 1:
            # The bucket was full: no rate is known yet.
            self._rate.lower(measured / 2, now, self._sent, roughly=not is_enough)
            return
        # What few answers tell may be half of the truth, and what one tells, anything.
        least = 0.0 if is_enough else current / (4 if accepted > 1 else 2)
        self._rate.lower(max(measured * _MARGIN, least), now, self._sent)
        self._is_known = self._is_known or is_enough

    def _measure_from(self, now: float) -> None:
        self._since, self._first = now, self._sent
