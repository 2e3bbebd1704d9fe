"""Turns an SDK's exceptions into ragcore's, by a table."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, TypeVar

from ragcore.errors import RagcoreError

ExceptionT = TypeVar("ExceptionT", bound=BaseException)
Translate = Callable[[Any], RagcoreError]


@contextmanager
def translating(table: Mapping[type[ExceptionT], Translate]) -> Iterator[None]:
    """
    Raise ragcore's errors where a block raises what has a row in *table*.

    For a plugin's ``_errors.py``. Of the classes that an exception is an instance of, the nearest
    counts; ragcore's own errors pass.
    """
    try:
        yield
    except tuple(table) as exc:
        if isinstance(exc, RagcoreError):
            raise
        nearest = next(table[kind] for kind in type(exc).__mro__ if kind in table)
        raise nearest(exc) from exc
