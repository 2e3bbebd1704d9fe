"""A provider, the double of its service, and how the one is led to the other."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any

import attrs

from ragcore import (
    AuthenticationError,
    InvalidRequestError,
    NotFoundError,
    PermissionDeniedError,
    ProviderError,
    RateLimitError,
    RequestTimeoutError,
    Retry,
    UnavailableError,
)
from ragcore.testing.server import Reply, Service

SECRET = "canary-of-this-provider"  # noqa: S105  # opens nothing
KINDS: dict[int, type[ProviderError]] = {
    400: InvalidRequestError,
    401: AuthenticationError,
    403: PermissionDeniedError,
    404: NotFoundError,
    408: RequestTimeoutError,
    429: RateLimitError,
    500: UnavailableError,
    503: UnavailableError,
}
_AT_ONCE = Retry(attempts=3, wait_initial=0, wait_max=0)


@attrs.frozen
class Case:
    """
    A provider and the double of its service.

    Attributes:
        provider: The name before the colon.
        double: Makes the double from its replies.
        options: Returns the keywords that lead to a running double, with :data:`SECRET` as the key.
        environment: Returns the variables that lead to it, with the same key.
        model: The model that completes; empty if none does.
        embedding_model: The model that embeds; empty if none does.
        statuses: Each status of an error that the service sends, and the number of requests that
            three attempts make of it: 3 where another attempt may help, else 1.
    """

    provider: str
    double: Callable[..., Service]
    options: Callable[[Service], dict[str, Any]]
    environment: Callable[[Service], dict[str, str]]
    model: str = ""
    embedding_model: str = ""
    statuses: Mapping[int, int] = attrs.field(
        default={400: 1, 401: 1, 403: 1, 404: 1, 408: 3, 429: 3, 500: 3, 503: 3}
    )

    @property
    def reference(self) -> str:
        """The reference of the model that completes."""
        return f"{self.provider}:{self.model}"

    @property
    def embedding_reference(self) -> str:
        """The reference of the model that embeds."""
        return f"{self.provider}:{self.embedding_model}"

    @asynccontextmanager
    async def serving(self, *replies: Reply) -> AsyncIterator[Service]:
        """Run the double, with *replies*."""
        async with self.double(*replies).running() as service:
            yield service

    def to(self, service: Service, **more: Any) -> dict[str, Any]:
        """Return the keywords that open a model of *service*, tried three times without waits."""
        return {"retry": _AT_ONCE, **self.options(service), **more}
