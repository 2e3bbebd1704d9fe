"""Where a provider's error enters the host: it is named, counted, and its traceback cut."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from ragcore._calls.attempts import Attempts
from ragcore.errors import ProviderError, RagcoreError
from ragcore.options import Secret, without
from ragcore.wire import described, transport_error

if TYPE_CHECKING:
    from ragcore._calls.setup import Setup


class AtTheEdge:
    """
    Says in any :class:`ProviderError` that passes who it was, and after how many attempts.

    Services quote a key that they refuse: *secrets* are taken out of what they say. Options that
    are in doubt are named, as *setup* knows them. What the network raises, the built-in
    :exc:`TimeoutError` among it, becomes ragcore's own error, and so does whatever else a plugin
    lets through, which is not tried again.
    """

    __slots__ = ("_attempts", "_distribution", "_model", "_provider", "_secrets", "_setup")

    def __init__(
        self,
        distribution: str,
        provider: str,
        model: str | None,
        secrets: Iterable[Secret] = (),
        attempts: Attempts | None = None,
        *,
        setup: Setup | None = None,
    ) -> None:
        self._distribution = distribution
        self._provider = provider
        self._model = model
        self._secrets = secrets
        self._attempts = attempts
        self._setup = setup

    def __enter__(self) -> None:
        pass

    def __exit__(self, _: object, exc: BaseException | None, __: object) -> None:
        if isinstance(exc, ProviderError):
            self.tell(exc)
        elif isinstance(exc, Exception) and not isinstance(exc, RagcoreError | AssertionError):
            # An assertion that fails belongs to a test.
            error = transport_error(exc) or ProviderError(
                f"{self._distribution} failed in a way that it does not tell: {described(exc)}"
            )
            error.__cause__ = exc
            self.tell(error)
            # Requests, which exceptions carry, show keys: none stays in the locals of a frame.
            del exc
            raise error

    def tell(self, exc: ProviderError) -> None:
        """Say in *exc* what is known here, and nothing that must not be known elsewhere."""
        if exc.provider is None and self._setup and exc.args:
            # What has a provider was told before.
            exc.args = ("; ".join([str(exc.args[0]), *self._setup.doubts(exc)]), *exc.args[1:])
        exc.provider = exc.provider or self._provider
        exc.model = exc.model or self._model
        if self._attempts is not None:
            exc.attempts = self._attempts.count or None
        _cut(exc)
        _redact(exc, self._secrets)


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
    for name, value in vars(exc).items():
        if isinstance(value, str):
            setattr(exc, name, without(value, values))
    if any(value in _shown(cause) for value in values for cause in _causes(exc)):
        # It says what it keeps elsewhere; ours says the same.
        exc.__cause__ = exc.__context__ = None


def _shown(cause: BaseException) -> str:
    try:
        return f"{cause} {vars(cause)}"
    except Exception:  # noqa: BLE001  # somebody else's repr
        return ""


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
