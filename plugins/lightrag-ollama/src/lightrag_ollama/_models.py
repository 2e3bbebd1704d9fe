"""Which models a server has."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from lightrag_ollama._connect import Client, Servers
from lightrag_ollama._errors import Asked, translated
from ragcore import NotFoundError, ProviderError, UnsupportedError

_MOST_NAMES = 20


async def list_models(servers: Servers) -> list[str]:
    """
    Return the names of the models that the server has.

    Source:
        https://docs.ollama.com/api/tags
    """
    return await _names(servers.client(""), Asked(servers.address(""), ""))


@asynccontextmanager
async def answering(
    servers: Servers, model_name: str, attempt_timeout: float | None, *, streamed: bool = False
) -> AsyncIterator[Client]:
    """
    Yield the client to ask for a model, and translate what goes wrong.

    Raises:
        NotFoundError: The server has no such model; names those that it has.
    """
    asked = Asked(servers.address(model_name), model_name, streamed)
    client = servers.client(model_name, attempt_timeout)
    try:
        with translated(asked):
            yield client
    except NotFoundError as exc:
        exc.args = (f"{exc.args[0]}{await _there(client, asked)}",)
        raise


async def _names(client: Client, asked: Asked) -> list[str]:
    with translated(asked):
        found = await client.list()
    return [model.model for model in found.models if model.model]


async def _there(client: Client, asked: Asked) -> str:
    try:
        names = await _names(client, asked)
    except (ProviderError, UnsupportedError):
        # What was asked for is missing all the same, and that is what has to be said.
        return ""
    more = f" and {len(names) - _MOST_NAMES} more" if len(names) > _MOST_NAMES else ""
    return f"; there are: {', '.join(names[:_MOST_NAMES]) or 'no models at all'}{more}"
