"""
A small HTTP server on loopback whose replies are scripted, down to how a connection breaks.

A double of a service is a subclass of :class:`Service`: it knows the paths and the format of that
service, and sends the same few replies in them. So one test can ask the doubles of all services.

::

    class AcmeService(Service):
        async def reply(self, request, reply, connection):
            match reply:
                case Answer():
                    await connection.respond(200, json.dumps({"text": reply.text}).encode())
                case Failure():
                    await connection.respond(reply.status, reply.message.encode(), reply.headers)
                case Broken():
                    await connection.begin({"Content-Type": "application/json"})
                    await connection.chunk(b'{"te')
                    await connection.break_off(reply.how)

    async with AcmeService(Failure(503), Answer("Goethe")).running() as service:
        ...  # ask service.url
    assert len(service.requests) == 2
"""

from __future__ import annotations

import asyncio
import json
import re
import ssl
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any, Literal, Self, cast

import attrs

from ragcore.testing._script import Delay


@attrs.frozen
class Request:
    """A request as it came; names of *headers* are in lower case, *connection* counts from 1."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes
    connection: int

    @property
    def json(self) -> Any:
        """The body, as JSON."""
        return json.loads(self.body)


@attrs.frozen
class Answer:
    """An answer to a question; *pieces* is how its text is cut where it is streamed."""

    text: str = "Goethe"
    reasoning: str = ""
    finish: Literal["stop", "length", "content_filter", "refusal"] = "stop"
    input_tokens: int = 7
    output_tokens: int = 2
    cached_input_tokens: int = 0
    reasoning_tokens: int = 0
    pieces: tuple[str, ...] = ()

    @property
    def cut(self) -> tuple[str, ...]:
        """The pieces; one for each word if *pieces* is empty."""
        return self.pieces or tuple(filter(None, re.split("(?= )", self.text)))


@attrs.frozen
class Vectors:
    """An answer to a request for embeddings: one row for each text."""

    rows: Sequence[Sequence[float]]
    input_tokens: int = 7
    order: tuple[int, ...] = ()
    """Order in which a service that numbers its rows sends them."""


@attrs.frozen
class Failure:
    """An error that the service reports, with its own *code* where it has one."""

    status: int
    message: str = "no"
    code: str = ""
    headers: dict[str, str] = attrs.field(factory=dict)
    in_stream: bool = False
    """Reported in the stream, after the first piece, instead of by the status."""


@attrs.frozen
class Broken:
    """
    An answer that does not come to its end; a stream breaks after *pieces*.

    ``reset`` aborts the connection, ``end`` closes it; ``unfinished`` ends the HTTP body properly
    but without what ends an answer of the service; ``stall`` sends nothing more; ``garbage`` sends
    a chunk that can't be parsed.
    """

    how: Literal["reset", "end", "unfinished", "stall", "garbage"]
    pieces: tuple[str, ...] = ("Goe",)


@attrs.frozen
class Raw:
    """An answer that is no service's format: these bytes, whatever was asked."""

    body: bytes
    content_type: str = "application/json"


Reply = Answer | Vectors | Failure | Broken


class Connection:
    """The connection on which a request is answered."""

    def __init__(self, writer: asyncio.StreamWriter) -> None:
        self._writer = writer

    async def respond(
        self, status: int, body: bytes, headers: dict[str, str] | None = None
    ) -> None:
        """Send an answer in one piece."""
        length = {"Content-Length": str(len(body))}
        await self._send(_head(status, length | (headers or {})) + body)

    async def begin(self, headers: dict[str, str]) -> None:
        """Begin a 200 whose body comes in chunks."""
        await self._send(_head(200, {"Transfer-Encoding": "chunked", **headers}))

    async def chunk(self, data: bytes) -> None:
        """Send one chunk."""
        await self._send(f"{len(data):x}\r\n".encode() + data + b"\r\n")

    async def finish(self) -> None:
        """Send the end of the body."""
        await self._send(b"0\r\n\r\n")

    async def break_off(self, how: str) -> None:
        """Stop in the middle of a body, as :class:`Broken` says."""
        if how == "reset":
            self._writer.transport.abort()
        elif how == "end":
            self._writer.close()
        elif how == "stall":
            await asyncio.sleep(3600)
        else:
            await self.finish()

    async def _send(self, data: bytes) -> None:
        self._writer.write(data)
        await self._writer.drain()


def _head(status: int, headers: dict[str, str]) -> bytes:
    lines = [f"HTTP/1.1 {status} X", *(f"{name}: {value}" for name, value in headers.items())]
    return "\r\n".join([*lines, "", ""]).encode()


class Service:
    """
    A double of a service; a subclass says what the replies look like on the wire.

    Args:
        replies: One for each request; the last one serves all further requests. A
            :class:`ragcore.testing.Delay` is a reply that comes late; a :class:`Raw` is sent as it
            is, past :meth:`reply`.

    Attributes:
        replies: The replies that are left.
        requests: The requests so far, in order.
        connections: The number of connections that were opened.
        left: The number of connections that the client closed while it was being answered.
        port: The port on loopback, while the service runs.
        hangs_up: Whether a second request on a connection finds it closed, though the answer to the
            first has not said so.
    """

    hangs_up: bool = False

    def __init__(self, *replies: Reply | Raw | Delay) -> None:
        self.replies: list[Reply | Raw | Delay] = list(replies)
        self.requests: list[Request] = []
        self.connections: int = 0
        self.left: int = 0
        self.port: int = 0
        self._tls = False

    @property
    def url(self) -> str:
        """The address of the service, without a path."""
        return f"http{'s' * self._tls}://localhost:{self.port}"

    @asynccontextmanager
    async def running(self, tls: ssl.SSLContext | None = None) -> AsyncIterator[Self]:
        """Serve on loopback for as long as the block runs."""
        self._tls = tls is not None
        server = await asyncio.start_server(self._serve, "localhost", 0, ssl=tls)
        self.port = server.sockets[0].getsockname()[1]
        tasks = self._tasks = set[asyncio.Task[None]]()
        try:
            yield self
        finally:
            server.close()
            for task in list(tasks):
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def was_asked(self) -> None:
        """Wait until a request has come, five seconds at most."""
        await _until(lambda: bool(self.requests))

    async def was_left(self) -> None:
        """Wait until the client has closed a connection unanswered, five seconds at most."""
        await _until(lambda: bool(self.left))

    def next_reply(self) -> Reply | Raw | Delay:
        """Take the next reply; the last one stays."""
        return self.replies.pop(0) if len(self.replies) > 1 else self.replies[0]

    async def reply(self, request: Request, reply: Reply, connection: Connection) -> None:
        """Send *reply* as the service would; for subclasses to write."""
        raise AssertionError(f"{type(self).__name__} does not know {request.path}: {reply}")

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = cast("asyncio.Task[None]", asyncio.current_task())
        self._tasks.add(task)
        self.connections += 1
        number, has_answered = self.connections, False
        try:
            while request := await _read(reader, number):
                if self.hangs_up and has_answered:
                    break
                self.requests.append(request)
                await self._answer(request, reader, writer)
                has_answered = True
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass
        finally:
            self._tasks.discard(task)
            writer.close()

    async def _reply(self, request: Request, connection: Connection) -> None:
        if request.method == "HEAD":
            await connection.respond(405, b"")
            return
        reply = self.next_reply()
        while isinstance(reply, Delay):
            await asyncio.sleep(reply.seconds)
            reply = reply.then
        if isinstance(reply, Raw):
            await connection.respond(200, reply.body, {"Content-Type": reply.content_type})
        else:
            await self.reply(request, reply, connection)

    async def _answer(
        self, request: Request, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        answering = asyncio.create_task(self._reply(request, Connection(writer)))
        try:
            while not answering.done():
                # Reading would take the next request away, and nothing else tells.
                if reader.at_eof() or reader.exception():
                    self.left += 1
                    raise ConnectionError
                await asyncio.wait([answering], timeout=0.005)
            answering.result()
        finally:
            answering.cancel()
            await asyncio.wait([answering])


async def _until(is_so: Callable[[], bool]) -> None:
    async with asyncio.timeout(5):
        # The server counts what it sees; nobody is told.
        while not is_so():  # noqa: ASYNC110
            await asyncio.sleep(0.005)


async def _read(reader: asyncio.StreamReader, connection: int) -> Request | None:
    head = await reader.readline()
    if b" HTTP/" not in head:
        # The end, or TLS, which servers without it hang up on.
        return None
    while not head.endswith(b"\r\n\r\n"):
        head += await reader.readuntil(b"\n")
    first, *lines = head.decode("latin-1").rstrip().split("\r\n")
    method, path, _ = first.split(" ")
    headers = {
        name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)
    }
    if "chunked" in headers.get("transfer-encoding", ""):
        body = b"".join([chunk async for chunk in _chunks(reader)])
    else:
        body = await reader.readexactly(int(headers.get("content-length", 0)))
    return Request(method, path, headers, body, connection)


async def _chunks(reader: asyncio.StreamReader) -> AsyncIterator[bytes]:
    while size := int((await reader.readline()).split(b";")[0], 16):
        yield await reader.readexactly(size)
        await reader.readline()
    await reader.readline()
