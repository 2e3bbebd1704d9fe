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
    pieces: AsyncIterable[bytes], *, empty: bool = False, whole: bool = False
) -> AsyncGenerator[Event, None]:
    """
    Yield the events of a ``text/event-stream``.

    Unlike a browser, this takes the end of the body for the end of an event: services forget the
    empty line, and half an event is no JSON.

    Args:
        pieces: The body, cut anywhere.
        empty: Yield events, too, that have a type and no data, which the standard drops: where
            types have a meaning, something is missing.
        whole: Yield an object in JSON that came in place of all events, as gateways send that do
            not stream, as one event.

    Raises:
        ProviderError: JSON or a page came in place of events, or after them: what it says.
        InterruptedStreamError: A line is longer than 16 million characters.

    Source:
        https://html.spec.whatwg.org/multipage/server-sent-events.html, section 9.2.6
    """
    fields: dict[str, list[str]] = {}
    stray = ""
    is_first, longest = whole, _LONGEST_LINE if whole else _LONGEST_BODY
    async with aclosing(_split(pieces, translate=True)) as each:
        async for line in each:
            if stray or line.lstrip().startswith(("{", "[{", "<")):
                stray += f"{line}\n"[: longest - len(stray)]
            elif line:
                is_first, longest = False, _LONGEST_BODY
                stray += _taken(fields, line)
            else:
                if event := _event(fields, empty=empty):
                    yield event
                fields.clear()
    if event := _event(fields, empty=empty):
        yield event
    if stray and is_first and stray.lstrip().startswith("{"):
        yield Event(stray)
    elif stray:
        raise reported(stray, unknown=UnavailableError)


def _taken(fields: dict[str, list[str]], line: str) -> str:
    """Add what *line* says to *fields*; return what is JSON and no field of an event."""
    name, _, value = line.partition(":")
    # No service can go on where a stream broke, so "id" and "retry" say nothing here.
    if name in ("data", "event"):
        fields.setdefault(name, []).append(value.removeprefix(" "))
    # An error under a name of its own, or a piece whose beginning is damaged.
    is_stray = name not in ("", "data", "event", "id", "retry") and value.lstrip().startswith("{")
    return value if is_stray else ""


def _event(fields: dict[str, list[str]], *, empty: bool) -> Event | None:
    event = Event("\n".join(fields.get("data", ())), fields.get("event", [""])[-1])
    return event if event.data or (event.event and empty) else None


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
