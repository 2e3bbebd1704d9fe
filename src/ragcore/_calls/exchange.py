"""One call under way: who is asked for what, until when, and what came of it."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Any, Protocol

import attrs

from ragcore._calls.attempts import Attempts, Deadline
from ragcore._calls.opening import Opening
from ragcore._calls.rungs import Way
from ragcore._records import (
    Completion,
    CompletionRequest,
    EmbeddingRequest,
    Embeddings,
    Rung,
    Timings,
)


class Asked(Protocol):
    """What a caller asked for, before anybody knows which model is to answer."""

    def fitted(self, opening: Opening[Any]) -> tuple[Any, tuple[Way, ...]]:
        """Return the request as the model of *opening* takes it, and the ways to ask for JSON."""
        ...

    def finished(self, answer: Any, exchange: Exchange) -> Any:
        """Return *answer* checked and complete, with the timings of *exchange*."""
        ...


@attrs.define(eq=False)
class Exchange:
    """
    One call under way: who is asked for what, until when, and what came of it.

    Attributes:
        opening: The model that is asked: its *reference*, *provider*, *model_name*,
            *capabilities* and options.
        request: What its backend is handed. Layers may replace it.
        deadline: The time by which the call must be done.
        attempts: What became of the attempts so far.
        streams: Whether a completion is wanted piece by piece.
        wait_longest: Seconds that are worth waiting if the service asks for a wait: fewer where
            another model can be asked.
        priority: Where the call stands in the line of a budget; the least goes first.
        answer: The whole answer, once it is there; of a stream, once it was read to its end.
        tried: The models of a fallback that were asked, by their numbers, where two calls that are
            made at once share it.
    """

    opening: Opening[Any]
    request: CompletionRequest | EmbeddingRequest
    deadline: Deadline = attrs.field(kw_only=True)
    attempts: Attempts = attrs.field(factory=Attempts, kw_only=True)
    streams: bool = attrs.field(default=False, kw_only=True)
    wait_longest: float = attrs.field(default=float("inf"), kw_only=True)
    priority: int = attrs.field(default=0, kw_only=True)
    answer: Completion | Embeddings | None = attrs.field(default=None, kw_only=True)
    asked: Asked = attrs.field(kw_only=True, repr=False)
    ways: tuple[Way, ...] = attrs.field(default=(), kw_only=True, repr=False)
    tried: list[int] | None = attrs.field(default=None, kw_only=True, repr=False)
    first_chunk: float | None = attrs.field(default=None, kw_only=True, repr=False)

    @classmethod
    def begun(
        cls,
        opening: Opening[Any],
        asked: Asked,
        deadline: Deadline,
        *,
        streams: bool = False,
        priority: int = 0,
    ) -> Exchange:
        """Begin to ask the model of *opening* for what is *asked*."""
        request, ways = asked.fitted(opening)
        return cls(
            opening,
            request,
            deadline=deadline,
            streams=streams,
            priority=priority,
            asked=asked,
            ways=ways,
        )

    def elsewhere(self, opening: Opening[Any]) -> Exchange:
        """Begin to ask another model the same, until the same deadline."""
        exchange = Exchange.begun(
            opening, self.asked, self.deadline, streams=self.streams, priority=self.priority
        )
        exchange.attempts.call = self.attempts
        return exchange

    def beside(self) -> Exchange:
        """Return this call, to be made beside another one; its attempts count."""
        return attrs.evolve(self, attempts=Attempts(call=self.attempts), answer=None)

    def part(self, request: EmbeddingRequest) -> Exchange:
        """Return the part of this call that one *request* of several is; its attempts count."""
        return attrs.evolve(self, request=request, attempts=Attempts(), answer=None)

    def finished(self, answer: Any) -> Any:
        """Return *answer* checked, complete and with timings; it becomes the call's own."""
        # What does not pass is no answer.
        self.answer = None
        self.answer = self.asked.finished(answer, self)
        return self.answer

    @property
    def rung(self) -> Rung | None:
        """How JSON is asked for; None where it isn't."""
        return self.ways[0].rung if self.ways else None

    def timings(self) -> Timings:
        """Say where the time went, up to now."""
        total, attempts = self.deadline.elapsed, self.attempts.whole()
        return Timings(
            queued=attempts.queued,
            retrying=attempts.retrying,
            first_chunk=total if self.first_chunk is None else self.first_chunk,
            total=total,
            attempts=attempts.count,
        )


Step = Callable[[Exchange], AbstractAsyncContextManager[Any]]
