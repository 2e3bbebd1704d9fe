"""Turns an SDK's exceptions into ragcore's, by a table."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from ragcore.errors import RagcoreError, TransientError
from ragcore.wire._said import described
from ragcore.wire._transport import transport_error

Row = Callable[[Any], RagcoreError]
NameT = TypeVar("NameT", bound=type[BaseException] | str)


class translating:  # noqa: N801  # reads as a function
    """
    Raise ragcore's errors where a block raises what has a row in *rows*, or the network's.

    For a plugin's ``_errors.py``. ragcore's own errors pass, and so do a cancellation and what has
    no row.

    Args:
        rows: By class, or by the name of one that not every release of an SDK has. Of the classes
            that an exception is an instance of, the nearest counts. A row is a function that makes
            the error, or the error's class. One that is worth another attempt is about the
            network: what really happened is looked for behind the exception.
        address: What is asked, for messages.
    """

    __slots__ = ("_address", "_rows")

    def __init__(self, rows: Mapping[NameT, Row], address: str | None = None) -> None:
        self._rows: Mapping[Any, Row] = rows
        self._address = address

    def __enter__(self) -> None:
        pass

    def __exit__(self, _: object, exc: BaseException | None, __: object) -> None:
        if not isinstance(exc, Exception) or isinstance(exc, RagcoreError):
            return
        error = _translation(exc, self._rows, self._address)
        if error is not None:
            error.__cause__ = exc
            # Requests, which exceptions carry, show keys: none stays in the locals of a frame.
            del exc
            raise error


def _translation(
    exc: Exception, rows: Mapping[Any, Row], address: str | None
) -> RagcoreError | None:
    keys = (key for kind in type(exc).__mro__ for key in (kind, kind.__name__))
    row = next((rows[key] for key in keys if key in rows), None)
    if row is None:
        return transport_error(exc, address)
    if not isinstance(row, type):
        return row(exc)
    behind = transport_error(exc, address) if issubclass(row, TransientError) else None
    return behind or row(described(exc))
