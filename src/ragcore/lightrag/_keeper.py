"""
Keeps models open from one call of LightRAG's to the next.

LightRAG is handed functions, and never says that it is done with them. So somebody else owns what
they use: a task for each model, which ends with its event loop, upon :func:`aclose`, or at exit.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, Generic, TypeVar

import attrs

from ragcore._calls.attempts import Deadline
from ragcore._calls.completion import CompletionModel
from ragcore._calls.embedding import EmbeddingModel
from ragcore._calls.held import Open, held, release_all, release_idle
from ragcore._calls.opening import Opening
from ragcore._calls.owner import Owner
from ragcore.errors import RequestTimeoutError
from ragcore.hookspecs import CompletionProvider, EmbeddingProvider

ModelT = TypeVar("ModelT", CompletionModel, EmbeddingModel)
T = TypeVar("T")


@attrs.frozen(eq=False)
class Kept(Generic[ModelT]):
    """A model that stays open, and what is being read from it."""

    model: ModelT
    streams: list[Owner[Any]] = attrs.field(factory=list)

    def stream(self, manager: AbstractAsyncContextManager[T]) -> Owner[T]:
        """Enter *manager*, to be left before the model is."""
        stream = Owner(manager)
        self.streams.append(stream)
        stream.when_ended(lambda: self.streams.remove(stream))
        return stream


@asynccontextmanager
async def _completion(opening: Opening[CompletionProvider]) -> AsyncIterator[Kept[CompletionModel]]:
    async with CompletionModel.opened(opening) as model, _kept(model) as kept:
        yield kept


@asynccontextmanager
async def _embedding(opening: Opening[EmbeddingProvider]) -> AsyncIterator[Kept[EmbeddingModel]]:
    async with EmbeddingModel.opened(opening) as model, _kept(model) as kept:
        yield kept


@asynccontextmanager
async def _kept(model: ModelT) -> AsyncIterator[Kept[ModelT]]:
    """Hold *model*; what is being read from it is left first."""
    kept = Kept(model)
    try:
        yield kept
    finally:
        await release_all(kept.streams)


async def kept_completion(
    opening: Opening[CompletionProvider],
) -> tuple[Kept[CompletionModel], float]:
    """Return *opening*'s model on the running loop, and the seconds that the call has left."""
    return await _opened(_completion, opening)


async def kept_embedding(opening: Opening[EmbeddingProvider]) -> tuple[Kept[EmbeddingModel], float]:
    """Return *opening*'s model on the running loop, and the seconds that the call has left."""
    return await _opened(_embedding, opening)


async def _opened(open_: Open[Kept[ModelT]], opening: Opening[Any]) -> tuple[Kept[ModelT], float]:
    """
    Wait until the model is open, which is one for all functions that were made alike.

    Raises:
        RequestTimeoutError: It took longer than the call has; the model goes on opening.
    """
    deadline = Deadline(opening.host.timeout)
    try:
        async with asyncio.timeout_at(deadline.at) as scope:
            kept = await held(open_, opening).owner.value()
    except TimeoutError as exc:
        if not scope.expired():
            raise RequestTimeoutError(str(exc) or "opening the model timed out") from exc
        raise RequestTimeoutError(
            f"the model was not open within {deadline.timeout:g} s; "
            "it goes on opening, so a later call will find it",
            provider=opening.provider.name,
            model=opening.model_name,
        ) from None
    return kept, _rounded(deadline)


def _rounded(deadline: Deadline) -> float:
    """Return the seconds that are left, as a call takes them: without a deadline 0."""
    return max(0.1, round(deadline.left, 1)) if deadline.timeout else 0.0


async def aclose() -> None:
    """
    Close what the running event loop's functions hold open; the next call opens it again.

    Clients that nobody uses any more are closed, too. Needed only where a loop goes on after
    LightRAG: models are closed with their loop.

    Raises:
        ExceptionGroup: Models that could not be closed; all were tried.
    """
    await release_idle()
