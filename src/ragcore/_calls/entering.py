"""What ``async with`` enters; other uses say what to write."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager
from typing import TYPE_CHECKING, Any, Generic, NoReturn, TypeVar

T_co = TypeVar("T_co", covariant=True)


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
        return await self._manager.__aenter__()

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
