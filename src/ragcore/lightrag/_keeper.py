"""
Keeps models open from one call of LightRAG's to the next.

LightRAG is handed functions, and never says that it is done with them. So somebody else owns what
they use: a task for each model, which ends with its event loop, upon :func:`aclose`, or at exit.
"""

from __future__ import annotations

import asyncio
import atexit
import functools
import os
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, Generic, TypeVar

import attrs

from ragcore._calls.completion import CompletionModel
from ragcore._calls.embedding import EmbeddingModel
from ragcore._calls.opening import Opening
from ragcore._calls.owner import Owner
from ragcore._calls.persist import Deadline
from ragcore.errors import RequestTimeoutError

ModelT = TypeVar("ModelT", CompletionModel, EmbeddingModel)
T = TypeVar("T")

OpenModel = Callable[[Opening[Any]], AbstractAsyncContextManager[ModelT]]


@attrs.define(eq=False)
class Kept(Generic[ModelT]):
    """A model that stays open, and what is being read from it."""

    opening: Opening[Any]
    open_model: OpenModel[ModelT]
    owner: Owner[ModelT] = attrs.field(init=False)
    streams: list[Owner[Any]] = attrs.field(factory=list, init=False)

    def serves(self, opening: Opening[Any]) -> bool:
        """Say whether this is *opening*'s model, and still open."""
        # Compared, not hashed: options may hold dicts.
        is_same = self.opening is opening or self.opening == opening
        return is_same and not self.owner.has_ended

    async def model(self) -> tuple[ModelT, float]:
        """
        Wait until the model is open; return it, and the seconds that the call has left.

        Raises:
            RequestTimeoutError: It took longer than the call has; the model goes on opening.
        """
        deadline = Deadline(self.opening.host.timeout)
        try:
            async with asyncio.timeout_at(deadline.at) as scope:
                model = await self.owner.value()
        except TimeoutError as exc:
            if not scope.expired():
                raise RequestTimeoutError(str(exc) or "opening the model timed out") from exc
            raise RequestTimeoutError(
                f"the model was not open within {deadline.timeout:g} s; "
                "it goes on opening, so a later call will find it",
                provider=self.opening.provider.name,
                model=self.opening.model_name,
            ) from None
        return model, _rounded(deadline)

    def stream(self, manager: AbstractAsyncContextManager[T]) -> Owner[T]:
        """Enter *manager*, to be left before the model is."""
        stream = Owner(manager)
        self.streams.append(stream)
        stream.when_ended(lambda: self.streams.remove(stream))
        return stream

    @asynccontextmanager
    async def opened(self) -> AsyncIterator[ModelT]:
        """Hold the model; what is being read from it is left first."""
        async with self.open_model(self.opening) as model:
            try:
                yield model
            finally:
                await _release_all(self.streams)


def _rounded(deadline: Deadline) -> float:
    """Return the seconds that are left, as a call takes them: without a deadline 0."""
    return max(0.1, round(deadline.left, 1)) if deadline.timeout else 0.0


_Here = tuple[int, asyncio.AbstractEventLoop]

# By process and loop. What a forked child inherits stays here unused: dropping it would have the
# child close its parent's models.
_kept: dict[_Here, list[Kept[Any]]] = {}


def _here() -> _Here:
    return os.getpid(), asyncio.get_running_loop()


def kept(opening: Opening[Any], open_model: OpenModel[ModelT]) -> Kept[ModelT]:
    """Return *opening*'s model on the running loop: one for all functions that were made alike."""
    _close_at_exit()
    for here in [here for here in _kept if here[1].is_closed()]:
        del _kept[here]
    models = _kept.setdefault(_here(), [])
    for model in models:
        if model.serves(opening):
            return model
    model = Kept(opening, open_model)
    model.owner = Owner(model.opened())
    model.owner.when_ended(lambda: _forget(model))
    models.append(model)
    return model


def _forget(model: Kept[Any]) -> None:
    models = _kept.get(_here(), [])
    if model in models:
        models.remove(model)
    if not models:
        _kept.pop(_here(), None)


async def aclose() -> None:
    """
    Close what the running event loop's functions hold open; the next call opens it again.

    Needed only where a loop goes on after LightRAG: models are closed with their loop.

    Raises:
        ExceptionGroup: Models that could not be closed; all were tried.
    """
    await _release_all([model.owner for model in _kept.pop(_here(), [])])


async def _release_all(owners: list[Owner[Any]]) -> None:
    outcomes = await asyncio.gather(*(o.release() for o in owners), return_exceptions=True)
    errors = [outcome for outcome in outcomes if isinstance(outcome, Exception)]
    if errors:
        raise ExceptionGroup("not everything could be closed", errors)


@functools.cache
def _close_at_exit() -> None:
    atexit.register(_close_stopped_loops)


def _close_stopped_loops() -> None:
    """Close what is held on loops that nobody ended, as LightRAG's synchronous functions leave."""
    for pid, loop in list(_kept):
        if pid == os.getpid() and not (loop.is_closed() or loop.is_running()):
            loop.run_until_complete(aclose())
