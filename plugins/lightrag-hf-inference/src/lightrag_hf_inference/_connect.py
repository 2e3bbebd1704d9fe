"""Opens and closes the connections, and makes the SDK's clients on top of them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import aclosing, asynccontextmanager
from typing import Any

import attrs
import httpx2
from huggingface_hub import AsyncInferenceClient, get_token
from huggingface_hub.utils import build_hf_headers  # type: ignore[attr-defined]  # documented

from lightrag_hf_inference._errors import refused, translated
from lightrag_hf_inference.options import LOGGERS, MAX_CONNECTIONS, HFInferenceOptions
from ragcore import OptionsError, ProviderError, Secret
from ragcore.wire import drained, event_stream, redacted

ROUTER = "https://router.huggingface.co"

# Seconds; the host's deadline is the one that is meant to fire, these are for who sets none.
_TIMEOUT, _CONNECT_TIMEOUT = 600.0, 10.0


@attrs.frozen
class Account:
    """
    Who asks, where, and over which connections.

    Attributes:
        http: Shared by all calls.
        connection: What the user says of it.
        login: What ``hf auth login`` left on this machine; for the router alone.
    """

    http: httpx2.AsyncClient = attrs.field(repr=False)
    connection: HFInferenceOptions
    login: Secret | None

    def endpoint(self, model_name: str) -> str | None:
        """Return the address of the dedicated endpoint that serves *model_name*, if one does."""
        return self.connection.base_url or (model_name if is_address(model_name) else None)

    def inference(self, address: str | None) -> Inference:
        """Return a client of *address*, or of the router; closing it releases what it streams."""
        return Inference(self, address)

    def headers(self, address: str | None) -> dict[str, str]:
        """Return what tells *address*, or the router, who asks and who pays."""
        token = self.token_for(address)
        proof = {} if token is None else {"authorization": f"Bearer {token.get()}"}
        payer = self.connection.bill_to
        return proof if payer is None else {**proof, "x-hf-bill-to": payer}

    def token_for(self, address: str | None) -> Secret | None:
        """
        Return what proves to *address*, or to the router, who asks.

        Raises:
            OptionsError: The router needs a token that there is not.
        """
        if address is not None:
            return self.connection.token
        token = self.connection.token or self.login
        if token is None:
            raise OptionsError(
                "token: missing: pass token= or set HF_INFERENCE_TOKEN or HF_TOKEN "
                "@ hf_inference.token"
            )
        if not token.get().startswith("hf_"):
            raise OptionsError(
                "token: does not begin with hf_, so it is none of Hugging Face's; a provider's "
                "own key belongs to that provider's address (base_url=) @ hf_inference.token"
            )
        return token


class Inference(AsyncInferenceClient):
    """
    The SDK's client of one call, over connections that are not its own.

    By itself it opens a pool of its own without any timeout, follows redirects, sends the login of
    this machine to any address, returns bodies only, and keeps streams open until it is closed. It
    also takes U+2028 and its like, which JSON may hold as they are, for the end of a line (2.4).

    Attributes:
        answered: The headers of the latest answer.
    """

    def __init__(self, account: Account, address: str | None) -> None:
        token = account.token_for(address)
        super().__init__(
            model=address,
            provider="auto",
            # Without any it would look for one at each call, and might fetch it.
            token=token.get() if token else "-",
            timeout=_TIMEOUT,
        )
        self._http = account.http
        self._who = account.headers(address)
        self.answered = httpx2.Headers()

    async def _inner_post(self, request_parameters: Any, *, stream: bool = False) -> Any:
        headers = httpx2.Headers(request_parameters.headers)
        headers.pop("authorization", None)
        headers.update(self._who)
        response = await self.exit_stack.enter_async_context(
            self._http.stream(
                "POST", request_parameters.url, json=request_parameters.json, headers=headers
            )
        )
        self.answered = response.headers
        return _lines(response) if stream else await response.aread()


async def _lines(response: httpx2.Response) -> AsyncIterator[str]:
    """Yield the events of a stream as the SDK reads them."""
    pieces = response.aiter_bytes()
    async with aclosing(event_stream(pieces)) as events:
        async for event in events:
            if event.data == "[DONE]":
                break
            yield f"data: {event.data}"
    await drained(pieces)


@asynccontextmanager
async def connect(connection: HFInferenceOptions) -> AsyncIterator[Account]:
    """Yield the account that *connection* describes; nothing is asked of it yet."""
    most = connection.max_connections or MAX_CONNECTIONS
    login = None if connection.token else await asyncio.to_thread(_of_this_machine)
    # The SDK's first request fetches, for its user agent, a list from huggingface.co, and blocks
    # for up to 3 s (2.4; HF_HUB_DISABLE_TELEMETRY=1 spares it): in a thread it blocks nobody else.
    await asyncio.to_thread(build_hf_headers, token=False)
    with redacted(LOGGERS, login), translated():
        async with httpx2.AsyncClient(
            timeout=httpx2.Timeout(_TIMEOUT, connect=_CONNECT_TIMEOUT),
            limits=httpx2.Limits(max_connections=most, max_keepalive_connections=most),
            # A redirect could carry the token to another host.
            follow_redirects=False,
            event_hooks={"response": [_check]},
        ) as http:
            yield Account(http, connection, login)


async def list_models(account: Account) -> Iterable[str]:
    """Return the names of the chat models behind the router, or of the one at the endpoint."""
    base_url = account.connection.base_url
    address = base_url.rstrip("/").removesuffix("/v1") if base_url else None
    with translated():
        response = await account.http.get(
            f"{address or ROUTER}/v1/models", headers=account.headers(address)
        )
        models = response.json()
    match models:
        case {"data": [*known]}:
            return [str(model["id"]) for model in known]
    raise ProviderError(f"the service sent what is no list of models: {models!r:.200}")


def is_address(text: str) -> bool:
    """Tell a URL from a model's name."""
    return text.startswith(("http://", "https://"))


async def _check(response: httpx2.Response) -> None:
    if not response.is_success:
        await response.aread()
        raise refused(response)


def _of_this_machine() -> Secret | None:
    found = get_token()
    return Secret(found) if found else None
