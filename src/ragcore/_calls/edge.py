"""Where a provider's error enters the host: it is named, counted, and its traceback cut."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from ragcore._calls.persist import Attempts
from ragcore.errors import ProviderError, RequestTimeoutError
from ragcore.options._secrets import Secret, without


@contextmanager
def at_the_edge(
    provider: str,
    model: str,
    attempts: Attempts | None = None,
    secrets: Iterable[Secret] = (),
) -> Iterator[None]:
    """
    Say in any :class:`ProviderError` that passes who it was, and after how many attempts.

    Services quote a key that they refuse: *secrets* are taken out of what they say.
    """
    try:
        with _own_timeouts():
            yield
    except ProviderError as exc:
        exc.provider = exc.provider or provider
        exc.model = exc.model or model
        if attempts is not None:
            exc.attempts = attempts.count or None
        _cut(exc)
        _redact(exc, secrets)
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
    for cause in _causes(exc):
        cause.__traceback__ = None


# A shorter one, such as the "none" of a local server, is a word and no secret.
_SHORTEST_SECRET = 8


def _redact(exc: BaseException, secrets: Iterable[Secret]) -> None:
    values = [value for value in (secret.get() for secret in secrets) if _is_secret(value)]
    for one in (exc, *_causes(exc)):
        if any(value in str(argument) for value in values for argument in one.args):
            one.args = tuple(_without(argument, values) for argument in one.args)
    if any(value in str(cause) for value in values for cause in _causes(exc)):
        # It says what it keeps elsewhere; ours says the same.
        exc.__cause__ = exc.__context__ = None


def _is_secret(value: str) -> bool:
    return len(value) >= _SHORTEST_SECRET


def _without(argument: object, values: list[str]) -> object:
    text = str(argument)
    shown = without(text, values)
    return argument if shown == text else shown


def _causes(exc: BaseException) -> Iterator[BaseException]:
    seen = {id(exc)}
    left = _behind(exc)
    while left:
        cause = left.pop()
        if id(cause) not in seen:
            seen.add(id(cause))
            yield cause
            left += _behind(cause)


def _behind(exc: BaseException) -> list[BaseException]:
    parts = exc.exceptions if isinstance(exc, BaseExceptionGroup) else ()
    return [one for one in (exc.__cause__, exc.__context__, *parts) if one is not None]
