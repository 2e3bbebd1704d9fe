"""Opens and closes the connections, and makes the SDK's clients on top of them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from contextvars import ContextVar
from typing import Any, cast

import attrs
import httpx2
from huggingface_hub import AsyncInferenceClient, get_token
from huggingface_hub.utils import build_hf_headers  # type: ignore[attr-defined]  # documented

from lightrag_hf_inference._errors import reported, translated
from lightrag_hf_inference.options import MAX_CONNECTIONS, HFInferenceOptions
from ragcore import InvalidRequestError, OptionsError, ProviderError, Secret, redacted

ROUTER = "https://router.huggingface.co"

# Seconds; the host's deadline is the one that is meant to fire, this one is for who sets none.
_TIMEOUT = httpx2.Timeout(600.0, connect=10.0)
_LINGER = 1.0  # seconds that the end of a body may take after the end of the answer
_END = b"data: [DONE]"
_LOGGERS = ("huggingface_hub", "httpx2", "httpcore2")

_answered: ContextVar[list[httpx2.Headers] | None] = ContextVar("_answered", default=None)


@contextmanager
def headers_of_answers() -> Iterator[list[httpx2.Headers]]:
    """Yield a list that fills with the headers of what is answered: the SDK returns bodies only."""
    headers: list[httpx2.Headers] = []
    token = _answered.set(headers)
    try:
        yield headers
    finally:
        _answered.reset(token)


@attrs.frozen
class Account:
    """
    Who asks, where, and over which connections.

    Attributes:
        http: Shared by all calls.
        token: For the router and for an endpoint.
        login: What ``hf auth login`` left on this machine; for the router.
    """

    http: httpx2.AsyncClient = attrs.field(repr=False)
    token: Secret | None
    login: Secret | None
    base_url: str | None
    provider: str
    bill_to: str | None

    def endpoint(self, model_name: str) -> str | None:
        """Return the address of the dedicated endpoint that serves *model_name*, if one does."""
        if self.base_url is not None or is_address(model_name):
            return self.base_url or model_name
        return None

    def inference(self, address: str | None) -> AsyncInferenceClient:
        """
        Return a client of *address*, or of the router; closing it releases what it streams.

        Raises:
            OptionsError: The router needs a token that there is not.
        """
        return _Inference(self.http, address, self._token(address), self._headers(address))

    def headers(self, address: str | None) -> dict[str, str]:
        """Return what goes with a request that the SDK does not make."""
        token = self._token(address)
        proof = {} if token is None else {"authorization": f"Bearer {token.get()}"}
        return {**proof, **{k: v for k, v in self._headers(address).items() if v is not None}}

    def _token(self, address: str | None) -> Secret | None:
        if address is not None:
            return self.token
        token = self.token or self.login
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

    def _headers(self, address: str | None) -> dict[str, str | None]:
        headers: dict[str, str | None] = {}
        if self.bill_to is not None:
            headers["x-hf-bill-to"] = self.bill_to
        if self._token(address) is None:
            # Else the SDK sends what it finds on this machine, to any address.
            headers["authorization"] = None
        return headers


class _Inference(AsyncInferenceClient):
    """
    The SDK's client, over connections that are not its own.

    By itself it opens a pool of its own without any timeout, follows redirects, and keeps streams
    open until it is closed, which is why one is made for every call. It also takes U+2028 and its
    like, which JSON may hold as they are, for the end of a line (2.4).
    """

    def __init__(
        self,
        http: httpx2.AsyncClient,
        address: str | None,
        token: Secret | None,
        headers: dict[str, str | None],
    ) -> None:
        super().__init__(
            model=address,
            provider="auto",
            # Without any it would look for one at each call, and might fetch it.
            token=token.get() if token else "-",
            headers=cast(dict[str, str], headers),  # None takes a header away
            timeout=cast(Any, _TIMEOUT),
        )
        self._http = http

    async def _get_async_client(self) -> httpx2.AsyncClient:
        return self._http

    async def _inner_post(self, request_parameters: Any, *, stream: bool = False) -> Any:
        if not stream:
            return await super()._inner_post(request_parameters)
        response = await self.exit_stack.enter_async_context(
            self._http.stream(
                "POST",
                request_parameters.url,
                json=request_parameters.json,
                headers=request_parameters.headers,
            )
        )
        if response.is_error:
            raise reported(response)
        return _lines(response)


async def _lines(response: httpx2.Response) -> AsyncIterator[str]:
    pieces, held = response.aiter_bytes(), b""
    async for piece in pieces:
        *lines, held = (held + piece).split(b"\n")
        for line in lines:
            if line.strip() == _END:
                await _drain(pieces)
            yield line.decode().strip()
    yield held.decode().strip()


async def _drain(pieces: AsyncIterator[bytes]) -> None:
    """Read a body to its end, so that its connection can be used again."""
    with suppress(TimeoutError, httpx2.HTTPError):
        async with asyncio.timeout(_LINGER):
            async for _ in pieces:
                pass


@asynccontextmanager
async def connect(connection: HFInferenceOptions) -> AsyncIterator[Account]:
    """Yield the account that *connection* describes; nothing is asked of it yet."""
    _check(connection)
    most = connection.max_connections or MAX_CONNECTIONS
    login = None if connection.token else await asyncio.to_thread(_of_this_machine)
    # The SDK's first request fetches, for its user agent, a list from huggingface.co, and blocks
    # for up to 3 s (2.4; HF_HUB_DISABLE_TELEMETRY=1 spares it): in a thread it blocks nobody else.
    await asyncio.to_thread(build_hf_headers, token=False)
    with redacted(_LOGGERS, connection.token, login), translated():
        async with httpx2.AsyncClient(
            timeout=_TIMEOUT,
            limits=httpx2.Limits(max_connections=most, max_keepalive_connections=most),
            # A redirect could carry the token to another host.
            follow_redirects=False,
            event_hooks={"response": [_look_at]},
        ) as http:
            yield Account(
                http=http,
                token=connection.token,
                login=login,
                base_url=connection.base_url,
                provider=connection.provider,
                bill_to=connection.bill_to,
            )


async def list_models(account: Account) -> Iterable[str]:
    """Return the names of the chat models behind the router, or of the one at the endpoint."""
    address = account.base_url.rstrip("/").removesuffix("/v1") if account.base_url else None
    with translated():
        response = await account.http.get(
            f"{address or ROUTER}/v1/models", headers=account.headers(address)
        )
        if response.is_error:
            raise reported(response)
        models = response.json()
    match models:
        case {"data": [*known]}:
            return [str(model["id"]) for model in known]
    raise ProviderError(f"The service sent what is no list of models: {models!r:.200}")


def is_address(text: str) -> bool:
    """Tell a URL from a model's name."""
    return text.startswith(("http://", "https://"))


async def _look_at(response: httpx2.Response) -> None:
    answered = _answered.get()
    if answered is not None and response.is_success:
        answered.append(response.headers)
    if response.is_error:
        # The SDK makes its exception out of the body, and does not read that of a stream.
        await response.aread()
    elif response.is_redirect:
        raise InvalidRequestError(
            f"The service moved to {response.headers.get('location')}: name that address",
            status=response.status_code,
        )


def _check(connection: HFInferenceOptions) -> None:
    if connection.base_url is not None and not _is_open(connection.base_url):
        raise OptionsError(
            "base_url: is not http:// or https://, a host, and perhaps a port and a path; who "
            "asks is said by token= @ hf_inference.base_url"
        )
    token = connection.token.get() if connection.token else ""
    if not (token.isascii() and token.isprintable()):
        raise OptionsError(
            "token: has characters that no HTTP header can carry; was a line break copied with "
            "it? @ hf_inference.token"
        )


def _is_open(text: str) -> bool:
    """Say whether it is an address without a password, which would be in errors and the log."""
    try:
        url = httpx2.URL(text)
    except httpx2.InvalidURL:
        return False
    return url.scheme in ("http", "https") and bool(url.host) and not url.userinfo


def _of_this_machine() -> Secret | None:
    found = get_token()
    return Secret(found) if found else None
