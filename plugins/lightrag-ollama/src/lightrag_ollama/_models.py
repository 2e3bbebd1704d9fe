"""Which models a server has."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from lightrag_ollama._answers import strange, whole
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
    return await _names(servers.client("").asking(Asked(servers.address(""), "")))


@asynccontextmanager
async def answering(
    servers: Servers, model_name: str, attempt_timeout: float | None, **beside: Any
) -> AsyncIterator[Client]:
    """
    Yield the client to ask for a model, and translate what goes wrong.

    Args:
        servers: Who may be asked.
        model_name: As the user says it.
        attempt_timeout: Seconds that the server may stay silent; None for a long time.
        beside: Fields of the request that the SDK does not know.

    Raises:
        NotFoundError: The server has no such model; names those that it has.
    """
    asked = Asked(servers.address(model_name), model_name)
    client = servers.client(model_name, attempt_timeout).asking(asked, **beside)
    try:
        with translated(asked):
            yield client
    except NotFoundError as exc:
        exc.args = (f"{exc.args[0]}{await _there(client)}",)
        raise


async def _names(client: Client) -> list[str]:
    with translated(client.asked):
        response: Any = await client.list()
        answer = await whole(response, client.asked)
    models = answer.get("models")
    if not isinstance(models, list):
        raise strange(answer, "list of models", client.asked)
    names = [model.get("model") for model in models if isinstance(model, dict)]
    return [name for name in names if isinstance(name, str) and name]


async def _there(client: Client) -> str:
    try:
        names = await _names(client)
    except (ProviderError, UnsupportedError):
        # What was asked for is missing all the same, and that is what has to be said.
        return ""
    more = f" and {len(names) - _MOST_NAMES} more" if len(names) > _MOST_NAMES else ""
    return f"; there are: {', '.join(names[:_MOST_NAMES]) or 'no models at all'}{more}"
