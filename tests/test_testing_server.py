"""The servers that other tests stand on do what they say."""

from __future__ import annotations

import asyncio

import pytest

from ragcore.testing import Delay, FakeClock
from ragcore.testing.server import Answer, Broken, Connection, Raw, Reply, Request, Service


class Echo(Service):
    async def reply(self, request: Request, reply: Reply, connection: Connection) -> None:
        match reply:
            case Answer():
                await connection.respond(200, reply.text.encode())
            case Broken():
                await connection.begin({})
                await connection.chunk(b"Goe")
                await connection.break_off(reply.how)
            case _:
                raise AssertionError(reply)


async def ask(service: Service, requests: int = 1) -> bytes:
    reader, writer = await asyncio.open_connection("localhost", service.port)
    try:
        for _ in range(requests):
            writer.write(b"POST /x HTTP/1.1\r\nContent-Length: 2\r\n\r\n{}")
        return await asyncio.wait_for(reader.read(1000), 5)
    finally:
        writer.close()


async def test_requests_are_noted_and_answered() -> None:
    """With what came, on which connection."""
    async with Echo(Answer("hello")).running() as service:
        told = await ask(service)

    assert told.endswith(b"\r\n\r\nhello")
    assert service.requests[0].path == "/x"
    assert service.requests[0].json == {}
    assert service.connections == 1


@pytest.mark.parametrize("how", ["end", "unfinished"])
async def test_a_body_can_be_broken_off(how: str) -> None:
    """After what was said, without its end or with it."""
    reply = Broken("end") if how == "end" else Broken("unfinished")
    async with Echo(reply).running() as service:
        told = b""
        reader, writer = await asyncio.open_connection("localhost", service.port)
        writer.write(b"POST /x HTTP/1.1\r\n\r\n")
        while b"Goe\r\n" not in told:
            told += await reader.read(1000)
        if how == "end":
            told += await reader.read()
        writer.close()

    assert (b"0\r\n\r\n" in told) <= (how == "unfinished")


async def test_a_raw_reply_is_sent_as_it_is() -> None:
    """Past the format of the service."""
    async with Echo(Raw(b"<html>", "text/html")).running() as service:
        told = await ask(service)

    assert b"Content-Type: text/html" in told
    assert told.endswith(b"\r\n\r\n<html>")


async def test_a_server_that_hangs_up_answers_one_request_of_a_connection() -> None:
    """The second is not read."""
    async with Echo(Answer("hello")).running() as service:
        service.hangs_up = True
        await ask(service, requests=2)

    assert (service.connections, len(service.requests)) == (1, 1)


async def test_a_client_that_leaves_is_noticed() -> None:
    """While it was being answered."""
    async with Echo(Broken("stall")).running() as service:
        _, writer = await asyncio.open_connection("localhost", service.port)
        writer.write(b"POST /x HTTP/1.1\r\n\r\n")
        while not service.requests:
            await asyncio.sleep(0.01)
        writer.close()
        while not service.left:
            await asyncio.sleep(0.01)

    assert service.left == 1


def test_a_reply_can_come_late() -> None:
    """A reply with a delay takes its time, on a clock that need not wait for it."""

    async def late() -> bytes:
        async with Echo(Delay(3, Answer("late"))).running() as service:
            return await ask(service)

    with FakeClock() as clock:
        told = clock.run(late())

    assert told.endswith(b"late")
    assert clock.time == pytest.approx(3)


async def test_a_test_can_wait_for_what_comes() -> None:
    """For the first request, and for a client that leaves."""
    async with Echo(Broken("stall")).running() as service:
        _, writer = await asyncio.open_connection("localhost", service.port)
        writer.write(b"POST /x HTTP/1.1\r\n\r\n")
        await service.was_asked()
        requests, left = len(service.requests), service.left
        writer.close()
        await service.was_left()

    assert (requests, left, service.left) == (1, 0, 1)
