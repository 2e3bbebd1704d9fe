"""
Keeps models open from one call of LightRAG's to the next, and calls within its patience.

LightRAG is handed functions, and never says that it is done with them. So somebody else owns what
they use: a task for each model, which ends with its event loop, upon :func:`ragcore.aclose`, or at
exit.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from typing import Any, Generic, TypeVar

import attrs

from ragcore._calls.attempts import Deadline
from ragcore._calls.completion import CompletionModel
from ragcore._calls.embedding import EmbeddingModel
from ragcore._calls.held import Open, borrowed, held
from ragcore._calls.opening import Opening, ProviderT
from ragcore._calls.owner import Owner
from ragcore.errors import RequestTimeoutError

ModelT = TypeVar("ModelT", CompletionModel, EmbeddingModel)
T = TypeVar("T")

# Priorities in the line of a budget: a user waits for an answer, and nobody for a document.
USERS, WORK = 0, 10

# LightRAG doubles its limits and adds to them; 30 years is a limit that no call reaches.
_FOR_EVER = 10**9


@attrs.frozen
class Keeper(Generic[ModelT]):
    """
    The models of one task, and the time that their calls have, in seconds.

    LightRAG gives up after twice what it allots to an attempt. Our deadline is before, so that our
    error, which says what went wrong, comes out.

    Attributes:
        open: What opens a model; models are shared by those who open them by the same.
        attempt: What LightRAG allots to one attempt unless it is told otherwise.
        deadline: What a call takes then at most, all attempts together.
    """

    open: Open[ModelT]
    attempt: float
    deadline: float

    def in_time(
        self, opening: Opening[ProviderT], attempt: int | None = None
    ) -> Opening[ProviderT]:
        """
        Return *opening* with a deadline that ends before LightRAG's own patience does.

        A deadline that somebody has set stands; beside *attempt*, the shorter one does. *attempt*
        is seconds for one attempt, 0 for no limit; None leaves that to the provider.
        """
        own = opening.host.timeout
        if attempt is None:
            host = attrs.evolve(opening.host, timeout=self.deadline if own is None else own)
            return attrs.evolve(opening, host=host)
        attempt = min(attempt, _FOR_EVER)
        limits = [limit for limit in (own, self.deadline * attempt / self.attempt) if limit]
        retry = attrs.evolve(opening.retry, attempt_timeout=attempt or None)
        host = attrs.evolve(opening.host, timeout=min(limits, default=0.0), retry=retry)
        return attrs.evolve(opening, host=host)

    @asynccontextmanager
    async def lent(
        self, opening: Opening[Any], deadline: Deadline | None = None
    ) -> AsyncIterator[tuple[ModelT, float]]:
        """
        Lend *opening*'s model on the running loop, and say which seconds the call has left.

        Without a *deadline* the call begins now.

        Raises:
            RequestTimeoutError: It took longer than the call has; the model goes on opening.
        """
        deadline = deadline or Deadline(opening.host.timeout)
        late = "the model was not open within {:g} s; it goes on opening, so a later call finds it"
        async with AsyncExitStack() as stack:
            async with until(deadline, opening, late):
                model = await stack.enter_async_context(self._borrowed(opening))
            # A call takes 0 for "without a deadline".
            yield model, max(0.1, round(deadline.left, 1)) if deadline.timeout else 0.0

    def reading(
        self, opening: Opening[Any], read: Callable[[ModelT], AbstractAsyncContextManager[T]]
    ) -> Owner[T]:
        """Enter what *read* makes of *opening*'s model; the model stays open until it is left."""

        @asynccontextmanager
        async def entered(_: None) -> AsyncIterator[T]:
            async with self._borrowed(opening) as model, read(model) as stream:
                yield stream

        return held(entered, None).owner

    def _borrowed(self, opening: Opening[Any]) -> AbstractAsyncContextManager[ModelT]:
        return borrowed(self.open, opening, keep_alive=None)


@asynccontextmanager
async def until(deadline: Deadline, opening: Opening[Any], late: str) -> AsyncIterator[None]:
    """
    End the block at *deadline*; *late* says what was not done in so many seconds.

    Raises:
        RequestTimeoutError: It took longer, or something in it timed out by itself.
    """
    try:
        async with asyncio.timeout_at(deadline.at) as scope:
            yield
    except TimeoutError as exc:
        if not scope.expired():
            raise RequestTimeoutError(str(exc) or "opening the model timed out") from exc
        raise RequestTimeoutError(
            late.format(deadline.timeout),
            provider=opening.provider.name,
            model=opening.model_name,
        ) from None


COMPLETIONS = Keeper(CompletionModel.opened, attempt=240.0, deadline=450.0)
EMBEDDINGS = Keeper(EmbeddingModel.opened, attempt=30.0, deadline=55.0)


def engines_limit(attempt: int | None) -> int | None:
    """Return what LightRAG is told for *attempt* seconds: it would take 0 for no time at all."""
    return None if attempt is None else min(attempt or _FOR_EVER, _FOR_EVER)
