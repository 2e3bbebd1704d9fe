"""Turns an SDK's exceptions into ragcore's, by a table."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, TypeVar

from ragcore.errors import RagcoreError, TransientError
from ragcore.wire._said import described
from ragcore.wire._transport import transport_error

Row = Callable[[Any], RagcoreError]
NameT = TypeVar("NameT", bound=type[BaseException] | str)


@contextmanager
def translating(rows: Mapping[NameT, Row], address: str | None = None) -> Iterator[None]:
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
    try:
        yield
    except RagcoreError:
        raise
    except Exception as exc:
        # Classes that are named may not be imported here, so none can be caught.
        error = _translation(exc, dict[Any, Row](rows), address)
        if error is None:
            raise
        raise error from exc


def _translation(exc: Exception, rows: dict[Any, Row], address: str | None) -> RagcoreError | None:
    keys = (key for kind in type(exc).__mro__ for key in (kind, kind.__name__))
    row = next((rows[key] for key in keys if key in rows), None)
    if row is None:
        return transport_error(exc, address)
    if not isinstance(row, type):
        return row(exc)
    behind = transport_error(exc, address) if issubclass(row, TransientError) else None
    return behind or row(described(exc))
