"""Opens and closes the SDK's clients."""

from __future__ import annotations

import copy
from collections.abc import AsyncIterator, Generator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any, Self

import httpx
import ollama

from lightrag_ollama._errors import Asked, refused
from lightrag_ollama._host import (
    CLOUD,
    LOCAL,
    address_of,
    cloud_name,
    is_cloud,
    is_cloud_model,
    is_loopback,
)
from lightrag_ollama.options import OllamaOptions
from ragcore import OptionsError, PluginError, Secret
from ragcore.wire import sent

_CONNECT_SECONDS = 10.0
# While a model is loaded and reads its prompt the server says nothing, on a slow machine for
# minutes; a shorter limit is set by Retry(attempt_timeout=…).
_SILENCE_SECONDS = 1800.0


class Servers:
    """
    The servers of one connection: the one that is named, or this machine's and Ollama's cloud.

    The SDK knows a timeout for each client only, so there is one for each limit that is asked for;
    in practice that is one. They are opened when first needed.
    """

    def __init__(self, connection: OllamaOptions, opened: AsyncExitStack) -> None:
        self._named = address_of(connection.host) if connection.host else None
        self._api_key = connection.api_key
        self._opened = opened
        self._clients: dict[tuple[str, float], Client] = {}

    def address(self, model_name: str) -> str:
        """Return the URL of the server that is asked for a model."""
        return self._named or (CLOUD if is_cloud_model(model_name) else LOCAL)

    def is_cloud(self, model_name: str) -> bool:
        """Tell whether it is Ollama's cloud that is asked for a model."""
        return is_cloud(self.address(model_name))

    def name(self, model_name: str) -> str:
        """Return what the server that is asked for a model calls it."""
        return cloud_name(model_name) if self.is_cloud(model_name) else model_name

    def client(self, model_name: str, attempt_timeout: float | None = None) -> Client:
        """
        Return the client of the server that is asked for a model.

        Args:
            model_name: Decides between this machine and the cloud; empty: this machine.
            attempt_timeout: Seconds that the server may stay silent; None for a long time.
        """
        address, silence = self.address(model_name), attempt_timeout or _SILENCE_SECONDS
        if (address, silence) not in self._clients:
            client = _client(address, silence, self._key(address))
            self._opened.push_async_callback(client.close)
            self._clients[address, silence] = client
        return self._clients[address, silence]

    def _key(self, address: str) -> Secret | None:
        return self._api_key if self._named or is_cloud(address) else None


@asynccontextmanager
async def connect(connection: OllamaOptions) -> AsyncIterator[Servers]:
    """Yield the servers of *connection*, and close what was opened of them."""
    async with AsyncExitStack() as opened:
        yield Servers(connection, opened)


def _client(address: str, silence: float, key: Secret | None) -> Client:
    try:
        return Client(
            host=address,
            # Waiting for a free connection is no failure: the call's own deadline covers it.
            timeout=httpx.Timeout(silence, connect=_CONNECT_SECONDS, pool=None),
            # How many calls are under way is the caller's to limit. The pool looks through all its
            # idle connections with each call: a few are kept.
            limits=httpx.Limits(max_connections=None, max_keepalive_connections=20),
            auth=_Key(key),
            # A proxy of the environment is for other machines: it would look for ours on its own.
            trust_env=not is_loopback(address),
            # An authority of the environment may be that of our own, too.
            verify=httpx.create_ssl_context(),
            # Another host would get the prompt.
            follow_redirects=False,
        )
    except ImportError as exc:
        raise PluginError(f"the proxy of the environment needs a missing package: {exc}") from exc
    except (ValueError, httpx.InvalidURL) as exc:
        raise OptionsError(f"the proxy of the environment can't be used: {exc}") from exc


class Client(ollama.AsyncClient):
    """
    The SDK's client, which says what is sent; what comes back is read elsewhere.

    It hooks into the one method by which the SDK makes its requests. The SDK's records take texts
    for numbers, and drop what they don't know.

    Attributes:
        asked: Who is asked for what, for errors.
        beside: Fields of the request that the SDK does not know.
    """

    asked: Asked = Asked("", "")
    beside: Mapping[str, Any] = {}  # never written to

    def asking(self, asked: Asked, **beside: Any) -> Self:
        """Return this client, over the same connections, for *asked*, with the fields *beside*."""
        other = copy.copy(self)
        other.asked, other.beside = asked, beside
        return other

    async def _request(self, cls: Any, *args: Any, stream: bool = False, **kwargs: Any) -> Any:
        if "json" in kwargs:
            kwargs["json"] = {**kwargs["json"], **self.beside}
        response = await sent(
            self._client.send, self._client.build_request(*args, **kwargs), stream=True
        )
        if not response.is_success:
            raise refused(
                self.asked, await response.aread(), response.status_code, response.headers
            )
        return response


class _Key(httpx.Auth):
    """
    Sends this key, or none.

    The SDK would send ``OLLAMA_API_KEY`` of the environment to whatever host it talks to.
    """

    def __init__(self, key: Secret | None) -> None:
        self._key = key

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        request.headers.pop("Authorization", None)
        if self._key is not None and self._key.get():
            request.headers["Authorization"] = f"Bearer {self._key.get()}"
        yield request
