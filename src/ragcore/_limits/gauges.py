"""What says when the next attempt may go. Times are in seconds of the loop."""

from __future__ import annotations

import math
from collections import deque
from typing import Protocol

from ragcore._limits.ticket import Ticket
from ragcore.errors import RateLimitError

AT_ONCE, NOT_BY_TIME = -math.inf, math.inf

# Seconds that all are held back at most, whatever a service asks for.
LONGEST_HOLD = 300.0


class Gauge(Protocol):
    """One limit."""

    def opens(self, ticket: Ticket) -> float:
        """Return when *ticket* may go; infinity if that depends on others' end."""
        ...

    def enter(self, ticket: Ticket, now: float) -> None:
        """Count *ticket*, which goes now."""
        ...

    def leave(
        self, ticket: Ticket, now: float, tokens: int | None, error: BaseException | None
    ) -> None:
        """Count that *ticket* has ended: with *tokens*, where it is known, or an *error*."""
        ...


class Held:
    """
    Nobody goes before the service allows it.

    Attributes:
        until: When it does.
    """

    def __init__(self) -> None:
        self.until: float = AT_ONCE

    def opens(self, ticket: Ticket) -> float:
        """Return when the service allows the next."""
        return self.until

    def enter(self, ticket: Ticket, now: float) -> None:
        """Count nothing."""

    def leave(
        self, ticket: Ticket, now: float, tokens: int | None, error: BaseException | None
    ) -> None:
        """Obey what a refusal asks for."""
        if isinstance(error, RateLimitError) and error.retry_after:
            self.until = max(self.until, now + min(error.retry_after, LONGEST_HOLD))


class AtOnce:
    """So many under way at once."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._under_way = 0

    def opens(self, ticket: Ticket) -> float:
        """Return whether there is a slot."""
        return AT_ONCE if self._under_way < self._most else NOT_BY_TIME

    def enter(self, ticket: Ticket, now: float) -> None:
        """Take a slot."""
        self._under_way += 1

    def leave(
        self, ticket: Ticket, now: float, tokens: int | None, error: BaseException | None
    ) -> None:
        """Give it back."""
        self._under_way -= 1


class PerMinute:
    """No more than so much in any 60 seconds, of requests or of tokens."""

    def __init__(self, most: float, *, of_tokens: bool = False) -> None:
        self._most = most
        self._of_tokens = of_tokens
        self._spent: deque[tuple[float, Ticket]] = deque()
        self._amounts: dict[Ticket, float] = {}
        self._sum = 0.0

    def opens(self, ticket: Ticket) -> float:
        """Return when enough of what was spent is a minute old."""
        excess = self._sum + self._amount(ticket) - self._most
        opens = AT_ONCE
        for at, spent in self._spent:
            # What alone is above the limit goes once nothing else counts.
            if excess <= 0:
                break
            opens = at + _MINUTE
            excess -= self._amounts[spent]
        return opens

    def enter(self, ticket: Ticket, now: float) -> None:
        """Spend what *ticket* seems to take."""
        while self._spent and self._spent[0][0] + _MINUTE <= now + _TOLERANCE:
            self._sum -= self._amounts.pop(self._spent.popleft()[1])
        self._spent.append((now, ticket))
        self._spend(ticket, self._amount(ticket))

    def leave(
        self, ticket: Ticket, now: float, tokens: int | None, error: BaseException | None
    ) -> None:
        """Correct what was spent, where it is known now."""
        if self._of_tokens and tokens is not None and ticket in self._amounts:
            self._spend(ticket, tokens)

    def _amount(self, ticket: Ticket) -> float:
        return ticket.tokens if self._of_tokens else 1

    def _spend(self, ticket: Ticket, amount: float) -> None:
        self._sum += amount - self._amounts.get(ticket, 0)
        self._amounts[ticket] = amount


_MINUTE = 60.0
_TOLERANCE = 1e-6
