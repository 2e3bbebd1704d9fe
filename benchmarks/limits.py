"""
How near calls come to what a service takes, and how many it has to refuse, over loopback.

::

    python benchmarks/limits.py

256 calls at once, by the plugin ``openai``, against a server that takes 50 requests a second (a
bucket of 50), or a rate that changes, or so many at once. Each with ``Limits("auto")`` and without
limits. Printed are the time beside the least possible one, the share of requests that were refused,
and the calls that failed.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import time
from collections.abc import Callable
from typing import Any

import attrs

import ragcore

BURST = 50

_ANSWER = {
    "id": "1",
    "object": "chat.completion",
    "created": 0,
    "model": "any",
    "choices": [
        {
            "index": 0,
            "finish_reason": "stop",
            "message": {"role": "assistant", "content": "Goethe"},
        }
    ],
    "usage": {"prompt_tokens": 5, "completion_tokens": 1, "total_tokens": 6},
}
_REFUSAL = {"error": {"message": "Rate limit reached", "code": "rate_limit_exceeded"}}


@attrs.define
class Service:
    """
    Takes *rate* requests per second, or *places* at once; answers after *latency* seconds.

    Both are functions of the seconds since the first request.
    """

    rate: Callable[[float], float] | None = None
    places: Callable[[float], int] | None = None
    latency: float = 0.02
    retry_after: str | None = None
    asked: int = 0
    refused: int = 0
    _taken: int = 0
    _left: float = BURST
    _began: float | None = None
    _at: float = 0.0

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer the requests of one connection."""
        while await _read(reader):
            self.asked += 1
            if self._takes():
                self._taken += 1
                await asyncio.sleep(self.latency)
                self._taken -= 1
                writer.write(_response("200 OK", _ANSWER))
            else:
                self.refused += 1
                more = f"retry-after: {self.retry_after}\r\n" if self.retry_after else ""
                writer.write(_response("429 Too Many Requests", _REFUSAL, more))
            await writer.drain()
        writer.close()

    def _takes(self) -> bool:
        now = time.monotonic()
        self._began = self._began or now
        seconds = now - self._began
        if self.places is not None:
            return self._taken < self.places(seconds)
        assert self.rate is not None
        self._left = min(BURST, self._left + (seconds - self._at) * self.rate(seconds))
        self._at = seconds
        if self._left < 1:
            return False
        self._left -= 1
        return True


async def _read(reader: asyncio.StreamReader) -> bool:
    try:
        head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
    except (asyncio.IncompleteReadError, ConnectionError):
        return False
    lengths = [line for line in head.split("\r\n") if line.startswith("content-length")]
    await reader.readexactly(int(lengths[0].split(":")[1]))
    return True


def _response(status: str, body: Any, more: str = "") -> bytes:
    content = json.dumps(body).encode()
    head = f"HTTP/1.1 {status}\r\ncontent-type: application/json\r\n{more}"
    return f"{head}content-length: {len(content)}\r\n\r\n".encode() + content


async def _measure(name: str, service: Service, ideal: float, calls: int, limits: Any) -> None:
    server = await asyncio.start_server(service.answer, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    url = f"http://127.0.0.1:{port}/v1"
    async with ragcore.completion("openai:any", api_key="k", base_url=url, limits=limits) as model:
        began = time.monotonic()
        found = await asyncio.gather(
            *(model.complete("Who wrote Faust?", timeout=0) for _ in range(calls)),
            return_exceptions=True,
        )
        seconds = time.monotonic() - began
    # Its connections are closed, so that the server is done with them.
    await ragcore.aclose()
    server.close()
    failed = sum(isinstance(one, Exception) for one in found)
    print(
        f"{name}, {'auto' if limits else 'no limits'}: {seconds:.2f} s, {seconds / ideal:.2f} x "
        f"the least; refused {service.refused / service.asked:.1%}, failed {failed} of {calls}"
    )


def _halved_then_doubled(seconds: float) -> float:
    return 50 if seconds < 5 else 25 if seconds < 10 else 100  # noqa: PLR2004


def _doubled(seconds: float) -> int:
    return 16 if seconds < 5 else 32  # noqa: PLR2004


_CASES: list[tuple[str, Callable[[], Service], float, int]] = [
    ("50 a second", lambda: Service(lambda _: 50), 4.12, 256),
    ("50 a second, Retry-After: 1", lambda: Service(lambda _: 50, retry_after="1"), 4.12, 256),
    ("50 a second, answers take 0.5 s", lambda: Service(lambda _: 50, latency=0.5), 4.62, 256),
    ("50, 25, 100 a second", lambda: Service(_halved_then_doubled), 15.75, 1000),
    ("16, 32 at once", lambda: Service(places=_doubled, latency=0.1), 8.75, 2000),
]


async def _main(with_none: bool) -> None:
    for name, service, ideal, calls in _CASES:
        await _measure(name, service(), ideal, calls, ragcore.Limits("auto"))
        if with_none:
            await _measure(name, service(), ideal, calls, None)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--auto-only", action="store_true", help="leave out calls without limits")
    asyncio.run(_main(not parser.parse_args().auto_only))
