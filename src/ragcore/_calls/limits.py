"""The layer that has attempts wait for their turn, and the budgets that variables ask for."""

from __future__ import annotations

import asyncio
from typing import Any

from ragcore._calls.layers import Around
from ragcore._limits import Ticket
from ragcore._records import CompletionRequest, EmbeddingRequest

_CHARACTERS_OF_A_TOKEN = 4


class Limited(Around):
    """Waits for a slot before an attempt, and gives it back when the answer has been read."""

    __slots__ = ("line", "ticket")

    async def __aenter__(self) -> Any:
        exchange = self.exchange
        limits, attempts = exchange.opening.limits, exchange.attempts
        assert limits is not None  # noqa: S101  # without limits this layer is not there
        self.line = line = limits.line
        loop = asyncio.get_running_loop()
        began = loop.time()
        if attempts.number is None:
            attempts.number = line.number()
        self.ticket = Ticket(
            (exchange.priority, attempts.number),
            estimated_tokens(exchange.request),
            latest=began
            + min(
                exchange.deadline.left,
                exchange.opening.retry.wait_longest,
                exchange.wait_longest,
            ),
        )
        try:
            await line.enter(self.ticket)
        finally:
            attempts.queued += loop.time() - began
        try:
            return await self.enter()
        except BaseException as exc:
            line.leave(self.ticket, error=exc)
            raise

    async def __aexit__(self, *raised: Any) -> bool | None:  # noqa: PYI036
        try:
            return await super().__aexit__(*raised)
        finally:
            answer = self.exchange.answer
            tokens = answer.usage.total_tokens if answer and answer.usage else None
            self.line.leave(self.ticket, tokens=tokens, error=raised[1])


def estimated_tokens(request: CompletionRequest | EmbeddingRequest) -> float:
    """Return about how many tokens *request* and its answer take."""
    if isinstance(request, EmbeddingRequest):
        return sum(map(len, request.texts)) / _CHARACTERS_OF_A_TOKEN
    characters = sum(len(message.content) for message in request.messages)
    return characters / _CHARACTERS_OF_A_TOKEN + (request.max_output_tokens or 0)
