"""What ``async with`` enters; other uses say what to write."""

from __future__ import annotations

import sys
from collections.abc import Callable, Coroutine, Generator
from contextlib import AbstractAsyncContextManager
from typing import TYPE_CHECKING, Any, Generic, NoReturn, TypeVar

T_co = TypeVar("T_co", covariant=True)


class unlisted(Generic[T_co]):  # noqa: N801  # reads as a function
    """
    Await *coroutine*, and keep the async generators that it begins from the event loop's list.

    A loop that ends closes all that are on its list at once: a generator then finds the one that it
    is reading, and would close itself, already closing, which asyncio prints. Those of a manager
    are closed by whoever leaves the manager.
    """

    def __init__(self, coroutine: Coroutine[Any, Any, T_co]) -> None:
        self._coroutine = coroutine

    def __await__(self) -> Generator[Any, Any, T_co]:
        step: Callable[[Any], Any] = self._coroutine.send
        told: Any = None
        while True:
            hooks = sys.get_asyncgen_hooks()
            sys.set_asyncgen_hooks(None, _left_to_its_owner)
            try:
                asked = step(told)
            except StopIteration as exc:
                result: T_co = exc.value
                return result
            finally:
                sys.set_asyncgen_hooks(*hooks)
            try:
                step, told = self._coroutine.send, (yield asked)
            except BaseException as exc:  # noqa: BLE001  # thrown in, and handed on
                step, told = self._coroutine.throw, exc


class Entering(AbstractAsyncContextManager[T_co], Generic[T_co]):
    """
    Enters *manager*, and says *how* to do so where it is awaited, read or used without.

    Args:
        manager: What to enter.
        how: The line to write.
    """

    def __init__(self, manager: AbstractAsyncContextManager[T_co], how: str) -> None:
        self._manager = manager
        self._how = how

    async def __aenter__(self) -> T_co:
        return await unlisted(self._manager.__aenter__())

    async def __aexit__(self, *raised: Any) -> bool | None:  # noqa: PYI036
        return await self._manager.__aexit__(*raised)

    if not TYPE_CHECKING:
        # Type checkers find these uses by themselves.

        def __await__(self) -> NoReturn:
            raise TypeError(f"This is not to be awaited; write: {self._how}")

        def __aiter__(self) -> NoReturn:
            raise TypeError(f"This is not open yet; write: {self._how}")

        def __enter__(self) -> NoReturn:
            raise TypeError(f"This is asynchronous; write: {self._how}")

        def __getattr__(self, name: str) -> Any:
            raise AttributeError(f"{name!r}: this is not open yet; write: {self._how}")


def _left_to_its_owner(generator: object) -> None:
    pass
