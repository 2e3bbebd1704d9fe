"""Where a provider's error enters the host: it is named, counted, and its traceback cut."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from ragcore._retry import Attempts
from ragcore.errors import ProviderError, RequestTimeoutError


@contextmanager
def at_the_edge(provider: str, model: str, attempts: Attempts | None = None) -> Iterator[None]:
    """Say in any :class:`ProviderError` that passes who it was, and after how many attempts."""
    try:
        with _own_timeouts():
            yield
    except ProviderError as exc:
        exc.provider = exc.provider or provider
        exc.model = exc.model or model
        if attempts is not None:
            exc.attempts = attempts.count or None
        _cut(exc)
        raise


@contextmanager
def _own_timeouts() -> Iterator[None]:
    """Translate the built-in error, which schedulers would take for their own."""
    try:
        yield
    except TimeoutError as exc:
        raise RequestTimeoutError(str(exc) or "the provider timed out") from exc


def _cut(exc: BaseException) -> None:
    """Drop the tracebacks of an error's causes: frames of an SDK hold keys in their locals."""
    seen = {id(exc)}
    left = _behind(exc)
    while left:
        cause = left.pop()
        if id(cause) not in seen:
            seen.add(id(cause))
            cause.__traceback__ = None
            left += _behind(cause)


def _behind(exc: BaseException) -> list[BaseException]:
    parts = exc.exceptions if isinstance(exc, BaseExceptionGroup) else ()
    return [one for one in (exc.__cause__, exc.__context__, *parts) if one is not None]
