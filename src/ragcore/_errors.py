"""Where a provider's error enters the host: it is named, counted, and its traceback cut."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from ragcore._retry import Attempts
from ragcore.errors import ProviderError


@contextmanager
def at_the_edge(provider: str, model: str, attempts: Attempts | None = None) -> Iterator[None]:
    """Say in any :class:`ProviderError` that passes who it was, and after how many attempts."""
    try:
        yield
    except ProviderError as exc:
        exc.provider = exc.provider or provider
        exc.model = exc.model or model
        if attempts is not None:
            exc.attempts = attempts.count or None
        _cut(exc)
        raise


def _cut(exc: BaseException) -> None:
    """Drop the tracebacks of an error's causes: frames of an SDK hold keys in their locals."""
    seen: set[int] = set()
    cause = exc.__cause__ or exc.__context__
    while cause is not None and id(cause) not in seen:
        seen.add(id(cause))
        cause.__traceback__ = None
        cause = cause.__cause__ or cause.__context__
