"""Opens and closes the SDK's client."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager

import anthropic
import httpx2

from lightrag_anthropic._errors import translated
from lightrag_anthropic.options import BASE_URL, MAX_CONNECTIONS, AnthropicOptions
from ragcore import OptionsError, Secret, redacted

# Seconds; the host's deadline is the one that is meant to fire, this one is for who sets none.
# Between two pieces of an answer nothing may come for as long as a model thinks.
_TIMEOUT = httpx2.Timeout(600.0, connect=10.0)
_LOGGERS = ("anthropic", "httpx2", "httpcore2")


@asynccontextmanager
async def connect(connection: AnthropicOptions) -> AsyncIterator[anthropic.AsyncAnthropic]:
    """Yield a client that makes one attempt a call, with the credentials of *connection* alone."""
    key, token = _credentials(connection)
    headers = connection.default_headers or {}
    hidden = [Secret(value) for value in headers.values()]
    with redacted(_LOGGERS, connection.api_key, connection.auth_token, *hidden), translated():
        async with _client(connection, key, token) as client:
            # The SDK adds what ANTHROPIC_CUSTOM_HEADERS says, which may be another account's
            # Authorization, whatever it is given; there is no argument against it (2.12).
            client._custom_headers = dict(headers)  # noqa: SLF001
            if client.api_key is None and client.auth_token is None and not client.credentials:
                raise _missing()
            yield client


async def list_models(client: anthropic.AsyncAnthropic) -> Iterable[str]:
    """Return the names of the models that the account may use."""
    with translated():
        return [model.id async for model in client.models.list(limit=1000)]


def _client(
    connection: AnthropicOptions, key: Secret | None, token: Secret | None
) -> anthropic.AsyncAnthropic:
    most = connection.max_connections or MAX_CONNECTIONS
    return anthropic.AsyncAnthropic(
        api_key=key.get() if key else None,
        auth_token=token.get() if token else None,
        base_url=_base_url(connection, has_secret=bool(key or token)),
        max_retries=0,
        timeout=_TIMEOUT,
        http_client=anthropic.DefaultAsyncHttpxClient(
            timeout=_TIMEOUT,
            limits=httpx2.Limits(max_connections=most, max_keepalive_connections=min(most, 100)),
            # A redirect could carry a header with a key to another host.
            follow_redirects=False,
        ),
    )


def _credentials(connection: AnthropicOptions) -> tuple[Secret | None, Secret | None]:
    """Return a key or a token: of two that the environment has the key, as in the SDK."""
    key, token = connection.api_key, connection.auth_token
    for name, secret in (("api_key", key), ("auth_token", token)):
        if secret is not None and not secret.get():
            raise OptionsError(f"{name}: is empty @ anthropic.{name}")
        if secret is not None and not (secret.get().isascii() and secret.get().isprintable()):
            raise OptionsError(
                f"{name}: has characters that no HTTP header can carry; was a line break "
                f"copied with it? @ anthropic.{name}"
            )
    return key, None if key else token


def _base_url(connection: AnthropicOptions, *, has_secret: bool) -> str | None:
    if connection.base_url is None:
        # Without a key the SDK looks for a profile or a workload's identity on this machine;
        # these bring their own address.
        return BASE_URL if has_secret else None
    if not _is_address(connection.base_url):
        raise OptionsError(
            "base_url: is not http:// or https://, a host, and perhaps a port and a path; what "
            "else lets in is given as api_key= or default_headers= @ anthropic.base_url"
        )
    if not has_secret:
        # What is found on this machine is meant for Anthropic, not for any address.
        raise _missing()
    return connection.base_url


def _is_address(text: str) -> bool:
    """Say whether it is one without a password, which would be in the log."""
    try:
        url = httpx2.URL(text)
    except httpx2.InvalidURL:
        return False
    return url.scheme in ("http", "https") and bool(url.host) and not url.userinfo


def _missing() -> OptionsError:
    return OptionsError(
        "api_key: missing: pass api_key= or set ANTHROPIC_API_KEY, or auth_token= or "
        "ANTHROPIC_AUTH_TOKEN @ anthropic.api_key"
    )
