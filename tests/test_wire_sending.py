"""A request is sent again where the connection that was kept for it had been closed."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import httpx
import httpx2
import pytest

from ragcore.testing.server import Answer, Broken, Connection, Reply, Request, Service
from ragcore.wire import sent


class Plain(Service):
    async def reply(self, request: Request, reply: Reply, connection: Connection) -> None:
        match reply:
            case Broken():
                await connection.break_off(reply.how)
            case _:
                await connection.respond(200, b"Goethe")


@pytest.fixture(params=[httpx.AsyncClient, httpx2.AsyncClient], ids=["httpx", "httpx2"])
async def client(request: pytest.FixtureRequest) -> AsyncIterator[Any]:
    async with request.param(trust_env=False) as client:
        yield client


async def ask(client: Any, service: Service) -> bytes:
    """Return the body of an answer."""
    response = await sent(client.send, client.build_request("POST", service.url), stream=True)
    body: bytes = await response.aread()
    return body


async def test_a_closed_connection_is_replaced(client: Any) -> None:
    """The server has not read the request that met with it."""
    async with Plain(Answer()).running() as service:
        service.hangs_up = True
        answers = [await ask(client, service) for _ in range(3)]

    assert answers == [b"Goethe"] * 3
    assert service.connections == len(service.requests) == 3


@pytest.mark.parametrize("how", ["end", "reset"])
async def test_a_server_that_hangs_up_on_a_new_connection_is_asked_once(
    client: Any, how: Any
) -> None:
    """Such a request was read: it is an attempt that failed."""
    async with Plain(Broken(how)).running() as service:
        with pytest.raises((httpx.TransportError, httpx2.TransportError)):
            await ask(client, service)

    assert len(service.requests) == 1
