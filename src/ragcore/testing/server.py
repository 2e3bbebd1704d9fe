"""
A small HTTP server whose replies are scripted, down to how a connection breaks.

Services' doubles are built on it: each knows the paths and the format of one service, and turns
the same few replies into them, so that one test can ask them all.
"""

from __future__ import annotations

import asyncio
import json
import ssl
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any, Literal, Self, cast

import attrs


@attrs.frozen
class Request:
    """What came over the wire."""

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
    """An answer of the service; *pieces* is how its text is cut where it is streamed."""

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
        """The pieces; one for each word if nothing else was said."""
        words = self.text.split(" ")
        spaced = [words[0], *(f" {word}" for word in words[1:])]
        return self.pieces or tuple(piece for piece in spaced if piece)


@attrs.frozen
class Vectors:
    """An answer to a request for embeddings: one row a text."""

    rows: Sequence[Sequence[float]]
    input_tokens: int = 7
    order: tuple[int, ...] = ()
    """In which the rows are sent, where the service numbers them."""


@attrs.frozen
class Failure:
    """An error that the service reports."""

    status: int
    message: str = "no"
    code: str = ""
    headers: dict[str, str] = attrs.field(factory=dict)
    in_stream: bool = False
    """Reported in the stream, after the first piece, instead of by the status."""


@attrs.frozen
class Broken:
    """
    An answer that does not come to its end, cut after *pieces*.

    ``reset`` and ``end`` close the connection, rudely and politely; ``unfinished`` ends the body as
    it should, without the service's own end; ``stall`` says nothing more; ``garbage`` sends a chunk
    that can't be parsed.
    """

    how: Literal["reset", "end", "unfinished", "stall", "garbage"]
    pieces: tuple[str, ...] = ("Goe",)


Reply = Answer | Vectors | Failure | Broken


class Connection:
    """The writing half of one connection."""

    def __init__(self, writer: asyncio.StreamWriter) -> None:
        self._writer = writer

    async def respond(
        self, status: int, body: bytes, headers: dict[str, str] | None = None
    ) -> None:
        """Send an answer in one piece."""
        self._head(status, {"Content-Length": str(len(body)), **(headers or {})})
        self._writer.write(body)
        await self._writer.drain()

    async def begin(self, headers: dict[str, str]) -> None:
        """Begin an answer that comes in chunks."""
        self._head(200, {"Transfer-Encoding": "chunked", **headers})
        await self._writer.drain()

    async def chunk(self, data: bytes) -> None:
        """Send one chunk."""
        self._writer.write(f"{len(data):x}\r\n".encode() + data + b"\r\n")
        await self._writer.drain()

    async def finish(self) -> None:
        """Send the end of the body."""
        self._writer.write(b"0\r\n\r\n")
        await self._writer.drain()

    async def break_off(self, how: str) -> None:
        """Stop as *how* says, in the middle of a body."""
        if how == "reset":
            self._writer.transport.abort()
        elif how == "end":
            self._writer.close()
        elif how == "stall":
            await asyncio.sleep(3600)
        else:
            await self.finish()

    def _head(self, status: int, headers: dict[str, str]) -> None:
        lines = [f"HTTP/1.1 {status} X", *(f"{name}: {value}" for name, value in headers.items())]
        self._writer.write("\r\n".join([*lines, "", ""]).encode())


class Service:
    """
    A service's double. Subclasses say how its replies look on the wire.

    Attributes:
        replies: Taken one a request; the last one stays.
        requests: All that came, in order.
        connections: How many were opened.
        left: How many connections the client closed while it was being answered.
    """

    def __init__(self, *replies: Reply) -> None:
        self.replies = list(replies)
        self.requests: list[Request] = []
        self.connections = 0
        self.left = 0
        self.port = 0
        self._tls = False

    @property
    def url(self) -> str:
        """Where it is, without a path."""
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

    def next_reply(self) -> Reply:
        """Take the next reply; the last one stays."""
        return self.replies.pop(0) if len(self.replies) > 1 else self.replies[0]

    async def reply(self, request: Request, reply: Reply, connection: Connection) -> None:
        """Send *reply* as the service would; for subclasses to write."""
        raise AssertionError(f"{type(self).__name__} does not know {request.path}: {reply}")

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = cast("asyncio.Task[None]", asyncio.current_task())
        self._tasks.add(task)
        self.connections += 1
        number = self.connections
        try:
            while request := await _read(reader, number):
                self.requests.append(request)
                await self._answer(request, reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass
        finally:
            self._tasks.discard(task)
            writer.close()

    async def _answer(
        self, request: Request, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        answering = asyncio.create_task(self.reply(request, self.next_reply(), Connection(writer)))
        gone = asyncio.create_task(_gone(reader))
        try:
            await asyncio.wait([answering, gone], return_when=asyncio.FIRST_COMPLETED)
            if not answering.done():
                self.left += 1
                raise ConnectionError
            answering.result()
        finally:
            answering.cancel()
            gone.cancel()
            await asyncio.wait([answering, gone])


async def _gone(reader: asyncio.StreamReader) -> None:
    """Wait until the client has closed the connection."""
    # Reading would take the next request away, and nothing else tells.
    while not reader.at_eof() and not reader.exception():  # noqa: ASYNC110
        await asyncio.sleep(0.005)


async def _read(reader: asyncio.StreamReader, connection: int) -> Request | None:
    try:
        head = await reader.readuntil(b"\r\n\r\n")
    except asyncio.IncompleteReadError:
        return None
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
