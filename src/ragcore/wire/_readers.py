"""Reads streams of events and of lines, however their bytes are cut into pieces."""

from __future__ import annotations

import asyncio
import codecs
import io
from collections.abc import AsyncGenerator, AsyncIterable
from contextlib import aclosing, suppress

import attrs

from ragcore.errors import InterruptedStreamError, UnavailableError
from ragcore.wire._reported import reported

_LONGEST_LINE = 2**24  # characters
_LONGEST_BODY = 2**16  # characters of what is no stream
_LINGER = 1.0  # seconds
_PINGS = frozenset(("ping", "keepalive", "keep-alive", "keep_alive", "heartbeat"))


@attrs.frozen
class Event:
    """An event of a stream: its data, and its type, if it has one."""

    data: str
    event: str = ""

    @property
    def says_nothing(self) -> bool:
        """Whether it is only a sign of life: blank, ``null``, or a ping."""
        return self.event in _PINGS or self.data.strip() in ("", "null")


async def event_stream(
    pieces: AsyncIterable[bytes], *, empty: bool = False
) -> AsyncGenerator[Event, None]:
    """
    Yield the events of a ``text/event-stream``.

    Unlike a browser, this takes the end of the body for the end of an event: services forget the
    empty line, and half an event is no JSON.

    Args:
        pieces: The body, cut anywhere.
        empty: Yield events, too, that have a type and no data, which the standard drops: where
            types have a meaning, something is missing.

    Raises:
        ProviderError: JSON or a page came in place of events, or after them: what it says.
        InterruptedStreamError: A line is longer than 16 million characters.

    Source:
        https://html.spec.whatwg.org/multipage/server-sent-events.html, section 9.2.6
    """
    reading = _Events(empty=empty)
    async with aclosing(_split(pieces, translate=True)) as each:
        async for line in each:
            if event := reading.read(line):
                yield event
    if event := reading.end():
        yield event
    if reading.stray:
        raise reported(reading.stray, unknown=UnavailableError)


def lines(pieces: AsyncIterable[bytes]) -> AsyncGenerator[str, None]:
    r"""
    Yield the lines of a body, without their ``\n``: empty ones, and the last if it has no end.

    Only ``\n`` ends a line: U+0085, U+2028 and their like are content. A byte order mark is
    dropped. Bytes that are no UTF-8 become U+FFFD: inside JSON they can only stand in a text.

    Raises:
        InterruptedStreamError: A line is longer than 16 million characters.
    """
    return _split(pieces, translate=False)


async def drained(pieces: AsyncIterable[object]) -> None:
    """Read what is left after the end of an answer, so that its connection can be used again."""
    # The answer is complete, whatever becomes of its connection.
    with suppress(Exception):
        async with asyncio.timeout(_LINGER):
            async for _ in pieces:
                pass


async def _split(pieces: AsyncIterable[bytes], *, translate: bool) -> AsyncGenerator[str, None]:
    # "utf-8-sig" would drop half a byte order mark, too.
    utf8 = codecs.getincrementaldecoder("utf-8")("replace")
    decoder = io.IncrementalNewlineDecoder(utf8, translate=True) if translate else utf8
    held: list[str] = []
    size, mark = 0, "\ufeff"
    async for piece in pieces:
        if text := decoder.decode(piece):
            text, mark = text.removeprefix(mark), ""
        *complete, rest = text.split("\n")
        for line in complete:
            yield "".join((*held, line))
            held, size = [], 0
        held.append(rest)
        size += len(rest)
        if size > _LONGEST_LINE:
            raise InterruptedStreamError(f"a line of the stream exceeds {_LONGEST_LINE} characters")
    for line in "".join((*held, decoder.decode(b"", final=True))).split("\n"):
        if line:
            yield line


class _Events:
    """The event that is being read; *stray* is what is no field of any."""

    def __init__(self, *, empty: bool) -> None:
        self.stray = ""
        self._takes_empty = empty
        self._data: list[str] = []
        self._event = ""

    def read(self, line: str) -> Event | None:
        """Return the event that *line* ends, if it does."""
        if self.stray or line.lstrip().startswith(("{", "[{", "<")):
            if len(self.stray) < _LONGEST_BODY:
                self.stray += f"{line[:_LONGEST_BODY]}\n"
        elif line:
            self._take(*line.split(":", 1))
        else:
            return self.end()
        return None

    def end(self) -> Event | None:
        """Return the event, if it is one, and begin the next."""
        data, event = "\n".join(self._data), self._event
        self._data, self._event = [], ""
        is_event = data or (event and self._takes_empty)
        return Event(data, event) if is_event else None

    def _take(self, name: str, value: str = "") -> None:
        # No service can go on where a stream broke, so "id" and "retry" say nothing here.
        if name == "data":
            self._data.append(value.removeprefix(" "))
        elif name == "event":
            self._event = value.removeprefix(" ")
        elif name not in ("", "id", "retry") and value.lstrip().startswith("{"):
            # An error under a name of its own, or a piece whose beginning is damaged.
            self.stray += value
