"""What every model keeps, whatever its task."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from typing import Any, Generic, TypeVar

import pytest

from ragcore import CompletionModel, EmbeddingModel, RagcoreError

ModelT = TypeVar("ModelT", CompletionModel, EmbeddingModel)

SECRET = "canary-of-this-provider"  # noqa: S105  # opens nothing


class ModelContract(Generic[ModelT]):
    """
    What every model keeps, whatever its task.

    Attributes:
        asks: The ways to ask: functions that call a model and return its answer. An answer that
            says nothing is an error of the host's, so that it need not be looked at.
    """

    asks: tuple[Callable[..., Awaitable[Any]], ...]

    def opened(self, **options: Any) -> AbstractAsyncContextManager[ModelT]:
        """
        Return a model, not yet open, that answers any question, or embeds three texts.

        Args:
            options: Keywords of the model.
        """
        raise NotImplementedError(f"{type(self).__name__} says which model is asked: opened()")

    async def ask(self, model: ModelT) -> Any:
        """Ask *model* in the first way, and return its answer."""
        return await self.asks[0](model)

    async def test_a_cancelled_call_leaves_the_model_usable(self) -> None:
        """The call ends as cancelled, and another one is answered."""
        async with self.opened() as model:
            call = asyncio.create_task(self.ask(model))
            await asyncio.sleep(0)
            if call.cancel():  # else it is answered already
                with pytest.raises(asyncio.CancelledError):
                    await call
            await self.ask(model)

    def test_it_works_in_one_event_loop_after_another(self) -> None:
        """Nothing of the first loop is used in the second."""

        async def once() -> None:
            async with self.opened() as model:
                await self.ask(model)

        asyncio.run(once())
        asyncio.run(once())

    async def test_an_option_that_is_not_there_is_named(self) -> None:
        """A misspelt option is not dropped in silence; its error shows no key."""
        with pytest.raises(RagcoreError, match="no_such_option") as caught:
            async with self.opened(no_such_option=1):
                pass

        assert SECRET not in str(caught.value)
