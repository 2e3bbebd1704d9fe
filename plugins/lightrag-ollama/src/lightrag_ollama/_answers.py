"""What a server answers, as JSON objects: a line each, or one."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any

import httpx

from lightrag_ollama._errors import Asked, refused
from ragcore.wire import drained, lines, misdirected, object_in, unlike

JSON = dict[str, Any]

_LONGEST_BODY = 2**16  # characters of what is no stream


async def whole(response: httpx.Response, asked: Asked) -> JSON:
    """Return the object that is all of *response*."""
    return _object_in(await response.aread(), asked)


async def parts(response: httpx.Response, asked: Asked) -> AsyncGenerator[JSON, None]:
    """Yield the objects of a stream, up to the one that says that it is done."""
    pieces = response.aiter_bytes()
    async with aclosing(lines(pieces)) as each:
        async for line in each:
            if line.strip() in ("", "null"):
                continue
            part = _object_in(line if _is_object(line) else await _joined(line, each), asked)
            yield part
            if part.get("done"):
                await drained(pieces)
                return


def strange(answer: object, wanted: str, asked: Asked) -> Exception:
    """Return the error that an *answer* stands for which is not what was *wanted*."""
    return misdirected(unlike(answer, wanted), asked.address, "host")


def _is_object(line: str) -> bool:
    """Whether *line* is no page, and no JSON that goes on in the next line."""
    return line.startswith("{") and line.strip() != "{"


async def _joined(first: str, rest: AsyncGenerator[str, None]) -> str:
    body = first
    async for line in rest:
        body += f"\n{line}"[: _LONGEST_BODY - len(body)]
    return body


def _object_in(body: str | bytes, asked: Asked) -> JSON:
    answer = object_in(body, "JSON object")
    if error := answer.get("error"):
        raise refused(asked, error)
    return answer
