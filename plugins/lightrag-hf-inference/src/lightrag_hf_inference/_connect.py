"""Opens and closes the connections, and says to whom which token goes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import aclosing, asynccontextmanager
from typing import Any

import attrs
import httpx2
from huggingface_hub import get_token
from huggingface_hub.utils import build_hf_headers  # type: ignore[attr-defined]  # documented

from lightrag_hf_inference._errors import place_of, refused
from lightrag_hf_inference.options import LOGGERS, MAX_CONNECTIONS, HFInferenceOptions
from ragcore import OptionsError, Secret
from ragcore.wire import ADDRESS, object_in, redacted, sent, translating, unlike

ROUTER = "https://router.huggingface.co"

# The host's limits hold for all but this: nobody is there who has not answered by then.
_CONNECT_TIMEOUT = 10.0  # seconds


@attrs.frozen
class Account:
    """
    Who asks, where, and over which connections.

    Requests are written and answers are read here: the SDK's client opens a pool of its own without
    any timeout, follows redirects, sends the login of this machine to any address, and fails in
    many ways on what is no answer (2.4).

    Attributes:
        http: Shared by all calls.
        connection: What the user says of it.
        login: What ``hf auth login`` left on this machine; for the router alone.
    """

    http: httpx2.AsyncClient = attrs.field(repr=False)
    connection: HFInferenceOptions
    login: Secret | None

    def endpoint(self, model_name: str) -> str | None:
        """
        Return the address of the dedicated endpoint that serves *model_name*, if one does.

        Raises:
            OptionsError: *model_name* is meant as an address, and is none.
        """
        if self.connection.base_url is not None or not is_address(model_name):
            return self.connection.base_url
        if problem := ADDRESS.problem(model_name):
            raise OptionsError(f"the model's name {problem}")
        return model_name

    @asynccontextmanager
    async def asked(
        self, url: str, endpoint: str | None, body: Mapping[str, Any]
    ) -> AsyncIterator[httpx2.Response]:
        """
        Yield the answer to *body*, which has not been read.

        Args:
            url: Where to send it.
            endpoint: The address that the token is for; None for the router.
            body: What is None is left out.

        Raises:
            ProviderError: The service refused, or can't be reached.
        """
        said = {name: value for name, value in body.items() if value is not None}
        request = self.http.build_request("POST", url, json=said, headers=self._headers(endpoint))
        with translating({}):
            response = await sent(self.http.send, request, stream=True)
            async with aclosing(response):
                yield await _checked(response)

    async def models(self) -> httpx2.Response:
        """Return what the service says of its models."""
        base_url = self.connection.base_url
        address = base_url.rstrip("/").removesuffix("/v1") if base_url else None
        with translating({}):
            return await _checked(
                await self.http.get(
                    f"{address or ROUTER}/v1/models", headers=self._headers(address)
                )
            )

    def _headers(self, endpoint: str | None) -> dict[str, str]:
        """Return what tells *endpoint*, or the router, who asks and who pays."""
        token = self.token_for(endpoint)
        proof = {} if token is None else {"authorization": f"Bearer {token.get()}"}
        payer = self.connection.bill_to
        return proof if payer is None else {**proof, "x-hf-bill-to": payer}

    def token_for(self, endpoint: str | None) -> Secret | None:
        """
        Return what proves to *endpoint*, or to the router, who asks.

        Raises:
            OptionsError: The router needs a token that there is not.
        """
        if endpoint is not None:
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


@asynccontextmanager
async def connect(connection: HFInferenceOptions) -> AsyncIterator[Account]:
    """Yield the account that *connection* describes; nothing is asked of it yet."""
    most = connection.max_connections or MAX_CONNECTIONS
    login = None if connection.token else await asyncio.to_thread(_of_this_machine)
    # For its user agent the SDK fetches a list from huggingface.co, and blocks for up to 3 s (2.4;
    # HF_HUB_DISABLE_TELEMETRY=1 spares it): in a thread it blocks nobody else.
    agent = await asyncio.to_thread(build_hf_headers, token=False)
    with redacted(LOGGERS, login):
        async with httpx2.AsyncClient(
            headers=agent,
            timeout=httpx2.Timeout(None, connect=_CONNECT_TIMEOUT),
            limits=httpx2.Limits(max_connections=most, max_keepalive_connections=most),
            # A redirect could carry the token to another host.
            follow_redirects=False,
        ) as http:
            yield Account(http, connection, login)


async def list_models(account: Account) -> Iterable[str]:
    """Return the names of the chat models behind the router, or of the one at the endpoint."""
    response = await account.models()
    place = place_of(response)
    answer = object_in(response.content, "list of models", *place)
    models = answer.get("data")
    if not isinstance(models, list):
        raise unlike(answer, "list of models", *place)
    return [str(model["id"]) for model in models if isinstance(model, dict) and "id" in model]


def is_address(text: str) -> bool:
    """Tell a URL from a model's name."""
    return text.startswith(("http://", "https://"))


async def _checked(response: httpx2.Response) -> httpx2.Response:
    if not response.is_success:
        await response.aread()
        raise refused(response)
    return response


def _of_this_machine() -> Secret | None:
    found = get_token()
    return Secret(found) if found else None
