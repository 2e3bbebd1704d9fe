"""
Opens and closes the SDK's client.

The SDK would fill in what it is not given from the variables of OpenAI, whoever's host is asked:
here everything is said, or taken back after.
"""

from __future__ import annotations

import asyncio
import functools
import os
import ssl
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import aiohttp
import httpx2
from openai import (
    DEFAULT_CONNECTION_LIMITS,
    DEFAULT_TIMEOUT,
    AsyncAzureOpenAI,
    AsyncOpenAI,
    DefaultAioHttpClient,
    Omit,
)

from lightrag_openai._client import Client, is_new
from lightrag_openai._compatible import CompatibleOptions
from lightrag_openai._endpoint import AZURE, OPENAI, Endpoint
from lightrag_openai.options import (
    AzureConnection,
    AzureEmbeddingOptions,
    AzureOpenAIOptions,
    OpenAIOptions,
)
from ragcore import Secret
from ragcore.wire import unlike

# The SDK looks for nothing that is given, and takes an empty one for credentials.
_NOT_AMBIENT: dict[str, Any] = {"admin_api_key": "", "organization": "", "project": ""}

# The host's limits hold for all but this: nobody is there who has not answered by then.
_CONNECT_TIMEOUT = 10.0  # seconds
_LONGEST_HEADER = 2**16  # bytes; aiohttp by itself reads 8,190


@asynccontextmanager
async def connect(connection: OpenAIOptions) -> AsyncIterator[Client]:
    """Open a client of OpenAI, or of a server at ``base_url``."""
    keys = [name for name in _ambient_headers() if name.lower() == "authorization"]
    async with _opened(connection, OPENAI, keys) as client:
        client.sdk.organization, client.sdk.project = connection.organization, connection.project
        yield client


def connect_compatible(connection: CompatibleOptions) -> AbstractAsyncContextManager[Client]:
    """Open a client of the endpoint that the row of *connection* describes."""
    return _opened(connection, connection.row, _ambient_headers())


@asynccontextmanager
async def connect_azure(
    connection: AzureOpenAIOptions | AzureEmbeddingOptions,
) -> AsyncIterator[Client]:
    """Open a client of a resource of Azure OpenAI."""
    async with _http_client(connection) as http_client:
        sdk = AsyncAzureOpenAI(
            azure_endpoint=connection.endpoint,
            api_version=connection.api_version,
            **_credentials(connection),
            **_NOT_AMBIENT,
            max_retries=0,
            default_headers=_headers(connection.default_headers, _ambient_headers()),
            http_client=http_client,
        )
        _settle(sdk)
        yield Client(
            sdk,
            AZURE,
            deployment=connection.deployment,
            default_deployment=connection.default_deployment,
        )


@asynccontextmanager
async def _opened(
    connection: OpenAIOptions | CompatibleOptions, row: Endpoint, unwanted: Iterable[str]
) -> AsyncIterator[Client]:
    """Open a client of *row*'s service, which is not sent the *unwanted* headers."""
    api_key = connection.api_key
    async with _http_client(connection) as http_client:
        sdk = AsyncOpenAI(
            api_key=api_key.get() if api_key else "",
            **_NOT_AMBIENT,
            base_url=connection.base_url or row.base_url,
            max_retries=0,
            default_headers=_headers(connection.default_headers, unwanted, api_key),
            http_client=http_client,
        )
        _settle(sdk)
        yield Client(sdk, row, _no_key(connection))


async def list_models(client: Client) -> Iterable[str]:
    """Return the names of the models that the account may use."""
    answer = await client.models()
    models = answer.get("data")
    if not isinstance(models, list):
        raise unlike(answer, "list of models", *client.place)
    return [str(model["id"]) for model in models if isinstance(model, dict) and "id" in model]


def _settle(sdk: AsyncOpenAI) -> None:
    """Take back what the SDK has set by itself: from the environment, and limits of time."""
    sdk.admin_api_key = sdk.organization = sdk.project = sdk.webhook_secret = None
    if sdk.timeout == DEFAULT_TIMEOUT:
        sdk.timeout = httpx2.Timeout(None, connect=_CONNECT_TIMEOUT)


def _headers(
    given: Mapping[str, str] | None, unwanted: Iterable[str], api_key: Secret | None = None
) -> dict[str, Any]:
    """Return the *given* headers, and what keeps *unwanted* ones of the environment out."""
    given = given or {}
    taken = {name.lower() for name in given}
    # An ambient one would take the place of the key; to omit it would omit the key, too.
    key = f"Bearer {api_key.get()}" if api_key else Omit()
    kept_out = {
        name: key if name.lower() == "authorization" else Omit()
        for name in unwanted
        if name.lower() not in taken
    }
    return kept_out | dict(given)


def _no_key(connection: OpenAIOptions | CompatibleOptions) -> dict[str, Any]:
    """Return what tells the SDK, with each request, that no key is meant to be sent."""
    named = {name.lower() for name in connection.default_headers or {}}
    has_key = connection.api_key is not None or "authorization" in named
    return {} if has_key else {"Authorization": Omit()}


def _ambient_headers() -> list[str]:
    """Name the headers that the SDK would add from a variable of OpenAI's."""
    lines = os.environ.get("OPENAI_CUSTOM_HEADERS", "").split("\n")
    return [line.partition(":")[0].strip() for line in lines if ":" in line]


def _credentials(connection: AzureOpenAIOptions | AzureEmbeddingOptions) -> dict[str, Any]:
    # Of a token and a key that both come from the environment, the SDK, too, takes the token.
    if connection.ad_token_provider is not None:
        return {"azure_ad_token_provider": connection.ad_token_provider}
    if connection.ad_token is not None:
        return {"azure_ad_token": connection.ad_token.get()}
    return {"api_key": connection.api_key.get() if connection.api_key else ""}


@asynccontextmanager
async def _http_client(
    connection: OpenAIOptions | CompatibleOptions | AzureConnection,
) -> AsyncIterator[httpx2.AsyncClient]:
    """Yield the user's HTTP client, which stays open, or one of our own."""
    if connection.http_client is not None:
        yield connection.http_client
        return
    limits = _limits(connection.max_connections)
    # Certificates are read meanwhile, which takes long enough to hold up other calls.
    async with await asyncio.to_thread(DefaultAioHttpClient, limits=limits) as http_client:
        _adapt(http_client)
        yield http_client


def _adapt(http_client: Any) -> None:
    """Have *http_client*, the SDK's, read long headers, and say whether connections are reused."""
    # Neither the SDK nor httpx2 lets one say it, and a session of one's own would lack the proxies.
    transports = (http_client._transport, *http_client._mounts.values())  # noqa: SLF001
    for transport in transports:
        if transport is not None:
            transport.client = functools.partial(_session, transport.limits, transport.ssl_context)


def _session(limits: httpx2.Limits, tls: ssl.SSLContext) -> aiohttp.ClientSession:
    connector = _Connector(
        limit=limits.max_connections or 0, keepalive_timeout=limits.keepalive_expiry, ssl=tls
    )
    return aiohttp.ClientSession(
        connector=connector,
        max_line_size=_LONGEST_HEADER,
        max_field_size=_LONGEST_HEADER,
    )


class _Connector(aiohttp.TCPConnector):
    """Says of each request whether its connection is new; tracing would cost 5 % of a call."""

    async def connect(self, *args: Any, **kwargs: Any) -> Any:
        is_new.set(False)
        return await super().connect(*args, **kwargs)

    async def _create_connection(self, *args: Any, **kwargs: Any) -> Any:
        is_new.set(True)
        return await super()._create_connection(*args, **kwargs)


def _limits(max_connections: int | None) -> httpx2.Limits:
    if max_connections is None:
        return DEFAULT_CONNECTION_LIMITS
    return httpx2.Limits(max_connections=max_connections, max_keepalive_connections=max_connections)
