"""Opens and closes the SDK's client."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from typing import Any

import anthropic
import httpx2

from lightrag_anthropic._errors import translated
from lightrag_anthropic.options import BASE_URL, MAX_CONNECTIONS, AnthropicOptions
from ragcore import OptionsError
from ragcore.wire import sent

# The host's limits hold for all but this: nobody is there who has not answered by then.
_TIMEOUT = httpx2.Timeout(None, connect=10.0)  # seconds


@asynccontextmanager
async def connect(connection: AnthropicOptions) -> AsyncIterator[anthropic.AsyncAnthropic]:
    """Yield a client that makes one attempt a call, with the credentials of *connection* alone."""
    with translated():
        async with _client(connection) as client:
            # The SDK adds what ANTHROPIC_CUSTOM_HEADERS says, which may be another account's
            # Authorization, whatever it is given; there is no argument against it (2.12).
            client._custom_headers = dict(connection.default_headers or {})  # noqa: SLF001
            if client.api_key is None and client.auth_token is None and not client.credentials:
                raise _missing()
            yield client


async def list_models(client: anthropic.AsyncAnthropic) -> Iterable[str]:
    """Return the names of the models that the account may use."""
    with translated():
        return [model.id async for model in client.models.list(limit=1000)]


def _client(connection: AnthropicOptions) -> anthropic.AsyncAnthropic:
    key, token = connection.api_key, connection.auth_token
    most = connection.max_connections or MAX_CONNECTIONS
    return anthropic.AsyncAnthropic(
        api_key=key.get() if key else None,
        # The environment can have both: the key counts, as in the SDK.
        auth_token=token.get() if token and not key else None,
        base_url=_base_url(connection),
        max_retries=0,
        timeout=_TIMEOUT,
        http_client=_HTTPClient(
            limits=httpx2.Limits(max_connections=most, max_keepalive_connections=min(most, 100)),
            # A redirect could carry a header with a key to another host.
            follow_redirects=False,
        ),
    )


class _HTTPClient(anthropic.DefaultAsyncHttpxClient):
    """The SDK's, which sends again what a connection has lost that the server had closed."""

    async def send(self, request: httpx2.Request, **how: Any) -> httpx2.Response:
        return await sent(super().send, request, **how)


def _base_url(connection: AnthropicOptions) -> str | None:
    if connection.api_key or connection.auth_token:
        return connection.base_url or BASE_URL
    if connection.base_url:
        # What is found on this machine is meant for Anthropic, not for any address.
        raise _missing()
    # The SDK looks for a profile or a workload's identity on this machine; these bring their own
    # address.
    return None


def _missing() -> OptionsError:
    return OptionsError(
        "api_key: missing: pass api_key= or set ANTHROPIC_API_KEY, or auth_token= or "
        "ANTHROPIC_AUTH_TOKEN @ anthropic.api_key"
    )
