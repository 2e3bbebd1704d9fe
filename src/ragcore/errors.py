"""
Every error that ragcore raises on purpose.

::

    RagcoreError
    ├── UnknownProviderError        nothing installed goes by that name
    ├── PluginError                 a plugin is broken, or two claim one name
    ├── OptionsError                an option is missing, unknown or invalid
    ├── UnsupportedError            this model or provider can't do that
    ├── EmbeddingIdentityError      this index was made by another embedding
    └── ProviderError               asked, and did not deliver
        ├── TransientError          trying again may help
        │   ├── RateLimitError      too many requests
        │   ├── UnavailableError    overloaded, unreachable, model loading
        │   └── RequestTimeoutError too slow
        ├── AuthenticationError     no key, or a wrong one
        ├── PermissionDeniedError   the key is right and may not do this
        ├── NotFoundError           no such model or endpoint
        ├── InvalidRequestError     the service refuses what it was asked
        │   ├── ContextLengthError  more text than the model reads
        │   ├── RequestTooLargeError one request holds more than the service takes at once
        │   └── ContentFilterError  refused for what it says
        ├── QuotaExceededError      out of credit: waiting does not help
        ├── InterruptedStreamError  the stream broke off; carries the text so far
        ├── EmptyResponseError      an answer without content
        └── TruncatedResponseError  cut by the token limit before anything usable came

The class says whether retrying helps: the host tries again upon a
:class:`TransientError` and upon nothing else.

All can be made from one string, and survive pickling and copying; the SDK's exception,
which is the ``__cause__``, does not travel along. None is a subclass of the built-in
:exc:`TimeoutError`: schedulers, LightRAG's among them, take that for their own.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypedDict, Unpack


class RagcoreError(Exception):
    """The root: ``except RagcoreError`` catches all that ragcore raises on purpose."""


class UnknownProviderError(RagcoreError, LookupError):
    """Nothing installed goes by that name."""


class PluginError(RagcoreError):
    """A plugin is broken, or two claim one name."""


class OptionsError(RagcoreError, ValueError):
    """
    Options are missing, unknown or invalid.

    Attributes:
        problems: One line each, all that were found at once.
    """

    def __init__(self, message: str, *, problems: Sequence[str] = ()) -> None:
        super().__init__(message)
        self.problems: tuple[str, ...] = tuple(problems) or (message,)


class UnsupportedError(RagcoreError):
    """This model or provider can't do that."""


class EmbeddingIdentityError(RagcoreError):
    """This index was made by another embedding: its vectors can't be compared with these."""


class ErrorContext(TypedDict, total=False):
    """What any :class:`ProviderError` can carry; described there."""

    provider: str | None
    model: str | None
    status: int | None
    request_id: str | None
    retry_after: float | None
    attempts: int | None


class ProviderError(RagcoreError):
    """
    A provider was asked, and did not deliver.

    Attributes:
        provider: Its name; filled in by the host.
        model: The model's name; filled in by the host.
        status: HTTP status, where there was one.
        request_id: The service's identifier of the request, to quote to its support.
        retry_after: Seconds that the service asked to wait.
        attempts: How many were made, this one included; filled in by the host.
    """

    def __init__(
        self,
        message: str,
        *,
        provider: str | None = None,
        model: str | None = None,
        status: int | None = None,
        request_id: str | None = None,
        retry_after: float | None = None,
        attempts: int | None = None,
    ) -> None:
        super().__init__(message)
        self.provider = provider
        self.model = model
        self.status = status
        self.request_id = request_id
        self.retry_after = retry_after
        self.attempts = attempts

    def __str__(self) -> str:
        known = ", ".join(self._context())
        return f"{super().__str__()} [{known}]" if known else super().__str__()

    def _context(self) -> list[str]:
        context = []
        if self.provider is not None:
            context.append(f"{self.provider}:{self.model}" if self.model else self.provider)
        if self.status is not None:
            context.append(f"status {self.status}")
        if self.request_id is not None:
            context.append(f"request {self.request_id}")
        if self.retry_after is not None:
            context.append(f"retry after {self.retry_after:g} s")
        if self.attempts is not None and self.attempts > 1:
            context.append(f"{self.attempts} attempts")
        return context


class TransientError(ProviderError):
    """Trying again may help."""


class RateLimitError(TransientError):
    """Too many requests, or too many tokens, in too short a time."""


class UnavailableError(TransientError):
    """Overloaded, unreachable, or still loading the model."""


class RequestTimeoutError(TransientError):
    """Too slow: an attempt or the whole call ran into its limit. Not a :exc:`TimeoutError`."""


class AuthenticationError(ProviderError):
    """No key, or one that the service does not know."""


class PermissionDeniedError(ProviderError):
    """The key is known and may not do this."""


class NotFoundError(ProviderError):
    """No such model, deployment or endpoint."""


class InvalidRequestError(ProviderError):
    """
    The request can't be served as it is.

    Attributes:
        positions: Which of the texts or messages, counted from 0; empty if it is not about some.
    """

    def __init__(
        self, message: str, *, positions: Sequence[int] = (), **context: Unpack[ErrorContext]
    ) -> None:
        super().__init__(message, **context)
        self.positions: tuple[int, ...] = tuple(positions)

    def _context(self) -> list[str]:
        if not self.positions:
            return super()._context()
        shown = ", ".join(map(str, self.positions[:_POSITIONS_SHOWN]))
        more = len(self.positions) - _POSITIONS_SHOWN
        return [f"at {shown}" + (f" and {more} more" if more > 0 else ""), *super()._context()]


_POSITIONS_SHOWN = 10


class ContextLengthError(InvalidRequestError):
    """More text than the model reads."""


class RequestTooLargeError(InvalidRequestError):
    """One request holds more than the service takes at once: fewer texts, or less text, may go."""


class ContentFilterError(InvalidRequestError):
    """Refused for what the request, or the answer, says; nothing of the answer came."""


class QuotaExceededError(ProviderError):
    """Out of credit or over a budget: waiting does not help."""


class InterruptedStreamError(ProviderError):
    """
    A stream broke off, or ended without saying why.

    Attributes:
        text: What had come until then.
    """

    def __init__(self, message: str, *, text: str = "", **context: Unpack[ErrorContext]) -> None:
        super().__init__(message, **context)
        self.text = text


class EmptyResponseError(ProviderError):
    """The answer has no content, and the service gave no reason."""


class TruncatedResponseError(ProviderError):
    """The token limit cut the answer before anything usable came."""
