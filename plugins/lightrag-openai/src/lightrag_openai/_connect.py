"""
Opens and closes the SDK's client.

The SDK would fill in what it is not given from the variables of OpenAI, whoever's host is asked:
here everything is said, or taken back after.
"""

from __future__ import annotations

import asyncio
import os
import re
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping
from contextlib import asynccontextmanager
from typing import Any, Protocol

import attrs
import httpx2
from openai import (
    DEFAULT_CONNECTION_LIMITS,
    AsyncAzureOpenAI,
    AsyncOpenAI,
    DefaultAioHttpClient,
    Omit,
)

from lightrag_openai._compatible import CompatibleOptions
from lightrag_openai._endpoint import AZURE, OPENAI, Endpoint
from lightrag_openai._errors import translated
from lightrag_openai.options import AzureEmbeddingOptions, AzureOpenAIOptions, OpenAIOptions
from ragcore import OptionsError, Secret, redacted

_LOGGERS = ("openai", "httpx2", "httpcore2", "aiohttp")
_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~\w-]+", re.ASCII)


@attrs.frozen(eq=False)
class Client:
    """
    The SDK's client, and what is particular to where it leads.

    Attributes:
        sdk: Shared by all models of the account.
        row: The service's ways.
        headers: What each request needs beside the SDK's own.
        deployment: Azure's, where the user named one beside the model.
        default_deployment: Azure's, for references that leave it open.
    """

    sdk: AsyncOpenAI
    row: Endpoint
    headers: Mapping[str, Any] = attrs.field(factory=dict)
    deployment: str | None = None
    default_deployment: str | None = None

    def name_of(self, model_name: str) -> str:
        """Return what *model_name* of a reference is called on the wire."""
        if model_name == "default" and self.default_deployment:
            model_name = self.default_deployment
        return self.deployment or model_name


class _Transport(Protocol):
    @property
    def max_connections(self) -> int | None: ...
    @property
    def http_client(self) -> Any: ...


@asynccontextmanager
async def connect(connection: OpenAIOptions) -> AsyncIterator[Client]:
    """Open a client of OpenAI, or of a server at ``base_url``."""
    base_url = connection.base_url or str(OPENAI.base_url)
    _check(connection, "base_url", base_url)
    async with _http_client(connection) as http_client:
        sdk = _sdk(
            connection.api_key, base_url, http_client, connection.default_headers, _ambient_keys()
        )
        sdk.organization, sdk.project = connection.organization, connection.project
        with redacted(_LOGGERS, connection.api_key, *_in(connection.default_headers)):
            yield Client(sdk, OPENAI, _no_key(connection))


@asynccontextmanager
async def connect_compatible(connection: CompatibleOptions) -> AsyncIterator[Client]:
    """Open a client of the endpoint that the row of *connection* describes."""
    row = connection.row
    base_url = connection.base_url or str(row.base_url)
    _check(connection, "base_url", base_url)
    async with _http_client(connection) as http_client:
        headers = connection.default_headers
        sdk = _sdk(connection.api_key, base_url, http_client, headers, _ambient_headers())
        with redacted(_LOGGERS, connection.api_key, *_in(connection.default_headers)):
            yield Client(sdk, row, _no_key(connection))


@asynccontextmanager
async def connect_azure(
    connection: AzureOpenAIOptions | AzureEmbeddingOptions,
) -> AsyncIterator[Client]:
    """Open a client of a resource of Azure OpenAI."""
    _check(connection, "endpoint", connection.endpoint)
    async with _http_client(connection) as http_client:
        sdk = AsyncAzureOpenAI(
            azure_endpoint=connection.endpoint,
            api_version=connection.api_version,
            **_credentials(connection),
            admin_api_key="",
            organization="",
            project="",
            max_retries=0,
            default_headers=_headers(connection.default_headers, _ambient_headers()),
            http_client=http_client,
        )
        _forget_ambient(sdk)
        hidden = (connection.api_key, connection.ad_token, *_in(connection.default_headers))
        with redacted(_LOGGERS, *hidden):
            yield Client(
                sdk,
                AZURE,
                deployment=connection.deployment,
                default_deployment=connection.default_deployment,
            )


async def list_models(client: Client) -> Iterable[str]:
    """Return the names of the models that the account may use."""
    with translated():
        return [model.id async for model in client.sdk.models.list(extra_headers=client.headers)]


def _sdk(
    api_key: Secret | None,
    base_url: str,
    http_client: httpx2.AsyncClient,
    default_headers: Mapping[str, str] | None,
    unwanted: Iterable[str],
) -> AsyncOpenAI:
    headers = _headers(default_headers, unwanted)
    if api_key is not None:
        # An ambient one would take the place of the key.
        headers |= {
            name: f"Bearer {api_key.get()}"
            for name, value in headers.items()
            if name.lower() == "authorization" and isinstance(value, Omit)
        }
    sdk = AsyncOpenAI(
        api_key=api_key.get() if api_key else "",
        # An empty one keeps the SDK from looking for one, and counts as credentials given.
        admin_api_key="",
        organization="",
        project="",
        base_url=base_url,
        max_retries=0,
        default_headers=headers,
        http_client=http_client,
    )
    _forget_ambient(sdk)
    return sdk


def _forget_ambient(sdk: AsyncOpenAI) -> None:
    sdk.admin_api_key = sdk.organization = sdk.project = sdk.webhook_secret = None


def _headers(given: Mapping[str, str] | None, unwanted: Iterable[str]) -> dict[str, Any]:
    given = given or {}
    taken = {name.lower() for name in given}
    return {name: Omit() for name in unwanted if name.lower() not in taken} | dict(given)


def _in(headers: Mapping[str, str] | None) -> list[Secret]:
    return [Secret(value) for value in (headers or {}).values()]


def _no_key(connection: OpenAIOptions | CompatibleOptions) -> dict[str, Any]:
    """Return what tells the SDK, with each request, that no key is meant to be sent."""
    named = {name.lower() for name in connection.default_headers or {}}
    has_key = connection.api_key is not None or "authorization" in named
    return {} if has_key else {"Authorization": Omit()}


def _ambient_headers() -> list[str]:
    """Name the headers that the SDK would add from a variable of OpenAI's."""
    lines = os.environ.get("OPENAI_CUSTOM_HEADERS", "").split("\n")
    return [line.partition(":")[0].strip() for line in lines if ":" in line]


def _ambient_keys() -> list[str]:
    return [name for name in _ambient_headers() if name.lower() == "authorization"]


def _credentials(connection: AzureOpenAIOptions | AzureEmbeddingOptions) -> dict[str, Any]:
    # Of a token and a key that both come from the environment, the SDK, too, takes the token.
    if connection.ad_token_provider is not None:
        return {"azure_ad_token_provider": connection.ad_token_provider}
    if connection.ad_token is not None:
        return {"azure_ad_token": connection.ad_token.get()}
    return {"api_key": connection.api_key.get() if connection.api_key else ""}


def _check(
    connection: OpenAIOptions | CompatibleOptions | AzureOpenAIOptions | AzureEmbeddingOptions,
    name: str,
    address: str,
) -> None:
    """
    Refuse what HTTP can't carry, which the SDK and its transport find out by various exceptions.

    Args:
        connection: Its keys and headers are looked at.
        name: Of the option that says *address*.
        address: May hold a password, so that no message shows it.

    Raises:
        OptionsError: With every problem.
    """
    binding = connection.binding()
    problems = [
        *(f"{option}: {problem} @ {binding}.{option}" for option, problem in _bad_keys(connection)),
        *(
            f"default_headers: {header!r} {problem} @ {binding}.default_headers"
            for header, problem in _bad_headers(connection.default_headers or {})
        ),
    ]
    if not _is_address(address, may_log_in=connection.http_client is not None):
        problems.append(
            f"{name}: is not http:// or https://, a host, and perhaps a port and a path; "
            f"what else lets in is given as api_key= or default_headers= @ {binding}.{name}"
        )
    if problems:
        raise OptionsError("\n".join(problems), problems=problems)


def _bad_keys(
    connection: OpenAIOptions | CompatibleOptions | AzureOpenAIOptions | AzureEmbeddingOptions,
) -> Iterator[tuple[str, str]]:
    for name in ("api_key", "ad_token"):
        key: Secret | None = getattr(connection, name, None)
        if key is not None and not key.get():
            yield name, "is empty; leave it out where no key is needed"
        elif key is not None and not _is_carried(key.get()):
            yield (
                name,
                "has characters that no HTTP header can carry; was a line break copied with it?",
            )


def _bad_headers(headers: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    for name, value in headers.items():
        if not _HEADER_NAME.fullmatch(name):
            yield name, "is no name of an HTTP header"
        elif not _is_carried(value):
            yield name, "has characters that no HTTP header can carry"


def _is_carried(text: str) -> bool:
    return text.isascii() and text.replace("\t", " ").isprintable()


def _is_address(text: str, *, may_log_in: bool) -> bool:
    try:
        url = httpx2.URL(text)
    except httpx2.InvalidURL:
        return False
    # Of a name and a password the SDK's own transport takes none.
    is_open = may_log_in or not url.userinfo
    return url.scheme in ("http", "https") and bool(url.host) and is_open and not url.query


@asynccontextmanager
async def _http_client(connection: _Transport) -> AsyncIterator[httpx2.AsyncClient]:
    """Yield the user's HTTP client, which stays open, or one of our own, with the SDK's timeout."""
    if connection.http_client is not None:
        yield connection.http_client
        return
    limits = _limits(connection.max_connections)
    # Certificates are read meanwhile, which takes long enough to hold up other calls.
    async with await asyncio.to_thread(DefaultAioHttpClient, limits=limits) as http_client:
        yield http_client


def _limits(max_connections: int | None) -> httpx2.Limits:
    if max_connections is None:
        return DEFAULT_CONNECTION_LIMITS
    return httpx2.Limits(max_connections=max_connections, max_keepalive_connections=max_connections)
