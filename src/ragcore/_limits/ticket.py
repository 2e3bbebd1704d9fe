"""One attempt in the line."""

from __future__ import annotations

import asyncio

import attrs


@attrs.define(eq=False)
class Ticket:
    """
    One attempt that waits, or is under way.

    Attributes:
        turn: Priority and number of its call; the least one is first.
        tokens: Tokens that it will take, as far as one can tell before.
        latest: When its caller gives up, in the loop's time.
        loop: Whose it is.
        told: Done when its turn has come; None where it did not have to wait.
        is_in: It is under way.
        is_gone: Nobody waits for it any more.
        sent: How many had gone before it, when it went.
        behind: How many waited when it went.
        is_saved: It caught up on what could have gone while all were held back.
        beside: How many were under way when it went, itself included.
    """

    turn: tuple[int, int]
    tokens: float
    latest: float
    loop: asyncio.AbstractEventLoop = attrs.field(factory=asyncio.get_running_loop)
    told: asyncio.Future[None] | None = None
    is_in: bool = False
    is_gone: bool = False
    sent: int = 0
    behind: int = 0
    is_saved: bool = False
    beside: int = 0

    @property
    def waits(self) -> bool:
        """Whether somebody may be told of its turn."""
        return not (self.is_gone or self.loop.is_closed())

    def __lt__(self, other: Ticket) -> bool:
        return self.turn < other.turn
