"""The line in which attempts wait for their turn, across event loops and threads."""

from __future__ import annotations

import asyncio
import heapq
import itertools
import math
import threading
from collections.abc import Sequence
from contextlib import suppress

from ragcore._limits.gauges import Gauge, Held
from ragcore._limits.ticket import Ticket
from ragcore.errors import RateLimitError

# A timer may ring so many seconds early.
_TOLERANCE = 1e-6


class Line:
    """
    Lets attempts go one after another, as *gauges* allow it: by priority, then by their number.

    Nothing in it belongs to a loop: whoever changes something wakes others on their own loops.
    """

    def __init__(self, gauges: Sequence[Gauge]) -> None:
        self._held = Held()
        self._gauges: tuple[Gauge, ...] = (self._held, *gauges)
        self._waiting: list[Ticket] = []
        self._lock = threading.Lock()
        self._numbers = itertools.count()
        self._alarm: tuple[Ticket, float] | None = None

    def number(self) -> int:
        """Return the next number; a call keeps its own when it tries again."""
        return next(self._numbers)

    async def enter(self, ticket: Ticket) -> None:
        """
        Wait for the turn of *ticket*.

        Raises:
            RateLimitError: The service has asked all to wait longer than its caller does.
        """
        with self._lock:
            self._refuse_late(ticket)
            heapq.heappush(self._waiting, ticket)
            let_in = self._advance(ticket.loop.time())
            if not ticket.is_in:
                ticket.told = ticket.loop.create_future()
        self._tell(let_in)
        if ticket.told is not None:
            await self._turn_of(ticket, ticket.told)

    async def _turn_of(self, ticket: Ticket, told: asyncio.Future[None]) -> None:
        try:
            await told
        except BaseException:
            self._give_up(ticket)
            raise

    def leave(
        self,
        ticket: Ticket,
        *,
        tokens: int | None = None,
        error: BaseException | None = None,
    ) -> None:
        """
        End *ticket*, which was under way.

        Args:
            ticket: What :meth:`enter` has let in.
            tokens: That it took, where it is known.
            error: What it raised.
        """
        now = ticket.loop.time()
        with self._lock:
            ticket.is_in = False
            until = self._held.until
            for gauge in self._gauges:
                gauge.leave(ticket, now, tokens, error)
            late = self._late() if self._held.until > until else []
            let_in = self._advance(now)
        self._tell(let_in)
        self._tell(late, self._too_late(now))

    def _give_up(self, ticket: Ticket) -> None:
        with self._lock:
            ticket.is_gone = True
            let_in = self._advance(ticket.loop.time())
        self._tell(let_in)
        # Its turn may have come in the same moment.
        if ticket.is_in:
            self.leave(ticket)

    def _advance(self, now: float) -> list[Ticket]:
        """Let in whose turn it is, and see to it that somebody looks again in time."""
        let_in: list[Ticket] = []
        while self._waiting:
            head = self._waiting[0]
            if head.waits:
                opens = max(gauge.opens(head) for gauge in self._gauges)
                if opens > now + _TOLERANCE:
                    self._look_again(head, opens)
                    break
                self._let_in(head, now)
                let_in.append(head)
            heapq.heappop(self._waiting)
        return let_in

    def _let_in(self, ticket: Ticket, now: float) -> None:
        ticket.is_in, ticket.behind = True, len(self._waiting) - 1
        for gauge in self._gauges:
            gauge.enter(ticket, now)

    def _look_again(self, head: Ticket, at: float) -> None:
        if at == math.inf or self._alarm == (head, at):
            return
        self._alarm = (head, at)
        _on_loop(head.loop, head.loop.call_at, at, self._ring, head.loop)

    def _ring(self, loop: asyncio.AbstractEventLoop) -> None:
        with self._lock:
            let_in = self._advance(loop.time())
        self._tell(let_in)

    def _tell(self, tickets: list[Ticket], error: RateLimitError | None = None) -> None:
        for ticket in tickets:
            if ticket.told is None:
                continue
            try:
                _on_loop(ticket.loop, _settle, ticket.told, error)
            except RuntimeError:
                # Its loop has just been closed by another thread.
                if ticket.is_in:
                    self.leave(ticket)

    # --- who is told to wait for too long -----------------------------------------------------

    def _refuse_late(self, ticket: Ticket) -> None:
        if ticket.latest < self._held.until:
            raise self._too_late(ticket.loop.time())

    def _late(self) -> list[Ticket]:
        late = [one for one in self._waiting if one.latest < self._held.until and one.waits]
        for ticket in late:
            ticket.is_gone = True
        return late

    def _too_late(self, now: float) -> RateLimitError:
        left = max(0.0, self._held.until - now)
        return RateLimitError(
            f"the service asked all calls of this budget to wait, for another {left:.3g} s",
            retry_after=left,
        )


def _settle(told: asyncio.Future[None], error: RateLimitError | None) -> None:
    if told.done():
        return
    if error is None:
        told.set_result(None)
    else:
        told.set_exception(error)


def _on_loop(loop: asyncio.AbstractEventLoop, call: object, *arguments: object) -> None:
    """Call it here if *loop* runs here, else there."""
    running = None
    with suppress(RuntimeError):
        running = asyncio.get_running_loop()
    if running is loop:
        call(*arguments)  # type: ignore[operator]
    else:
        loop.call_soon_threadsafe(call, *arguments)  # type: ignore[arg-type]
