"""
CPU time that a call takes, and a streamed chunk: the host's share, and with an SDK under it.

::

    python benchmarks/call_overhead.py                     # this tree
    python benchmarks/call_overhead.py --against ../older  # beside another checkout, in turn

Two cases. ``scripted``: a provider that answers at once, so that all that is measured is the
host's. ``openai``: the plugin and its SDK against a server of another process on loopback. Rounds
of both trees alternate; printed are medians of the rounds and their ratio.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
CALLS, CHUNKS = 300, 2000


async def _per_unit(work: Callable[[], Awaitable[None]], units: int) -> float:
    """Return microseconds of CPU time of this process for each of *units*."""
    began = time.process_time()
    await work()
    return (time.process_time() - began) / units * 1e6


async def _measured(model: Any, chunks: int) -> dict[str, float]:
    async def one_by_one() -> None:
        for _ in range(CALLS):
            await model.complete("Who wrote Faust?")

    async def at_once() -> None:
        for _ in range(CALLS // 60):
            await asyncio.gather(*(model.complete("Who wrote Faust?") for _ in range(60)))

    async def streamed() -> None:
        async with model.stream("Tell me a story", timeout=600) as stream:
            async for _ in stream:
                pass

    # Connections are opened, and modules imported.
    await one_by_one()
    await at_once()
    return {
        "completion": await _per_unit(one_by_one, CALLS),
        "completion, 60 at once": await _per_unit(at_once, CALLS),
        "streamed chunk": await _per_unit(streamed, chunks),
    }


async def _scripted() -> dict[str, float]:
    import ragcore
    from ragcore.testing import Script, scripted

    def answer(request: Any) -> Any:
        is_story = "story" in request.messages[0].content
        end = ragcore.Chunk(finish_reason="stop")
        return [*(ragcore.Chunk("a ") for _ in range(CHUNKS)), end] if is_story else "Goethe"

    with scripted():
        script = Script(forever=answer)
        async with ragcore.completion("scripted:any", script=script) as model:
            return await _measured(model, CHUNKS)


async def _openai(url: str) -> dict[str, float]:
    import ragcore

    async with ragcore.completion("openai:any", api_key="k", base_url=url) as model:
        return await _measured(model, CHUNKS)


# --- the server -----------------------------------------------------------------------------

_WHOLE = {
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


def _event(delta: dict[str, str], reason: str | None) -> bytes:
    choice = {"index": 0, "delta": delta, "finish_reason": reason}
    chunk = {
        "id": "1",
        "object": "chat.completion.chunk",
        "created": 0,
        "model": "any",
        "choices": [choice],
    }
    return b"data: " + json.dumps(chunk).encode() + b"\n\n"


_STREAM = b"".join(_event({"content": "a "}, None) for _ in range(CHUNKS)) + (
    _event({}, "stop") + b"data: [DONE]\n\n"
)


async def _head(reader: asyncio.StreamReader) -> bytes:
    try:
        return await reader.readuntil(b"\r\n\r\n")
    except (asyncio.IncompleteReadError, ConnectionError):
        return b""


async def _serve() -> None:
    """Answer as OpenAI's API does until standard input is closed."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while asked := await _head(reader):
            lines = asked.decode().lower().split("\r\n")
            length = next(int(x.split(":")[1]) for x in lines if x.startswith("content-length"))
            is_stream = b'"stream":true' in (await reader.readexactly(length)).replace(b" ", b"")
            body = _STREAM if is_stream else json.dumps(_WHOLE).encode()
            kind = "text/event-stream" if is_stream else "application/json"
            head = f"HTTP/1.1 200 OK\r\ncontent-type: {kind}\r\ncontent-length: {len(body)}\r\n\r\n"
            writer.write(head.encode() + body)
            await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await asyncio.to_thread(sys.stdin.read)


# --- both trees in turn ---------------------------------------------------------------------


def _round(tree: Path, case: str, port: str) -> dict[str, float]:
    path = [tree / "src", *tree.glob("plugins/*/src")]
    done = subprocess.run(
        [sys.executable, __file__, "--case", case, "--port", port],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(map(str, path))},
        capture_output=True,
        text=True,
        check=True,
    )
    measured: dict[str, float] = json.loads(done.stdout)
    return measured


def _compare(trees: list[Path], rounds: int, port: str) -> None:
    for case in ("scripted", "openai"):
        seen: dict[tuple[Path, str], list[float]] = {}
        for _ in range(rounds):
            for tree in trees:
                for name, value in _round(tree, case, port).items():
                    seen.setdefault((tree, name), []).append(value)
        for name in dict.fromkeys(name for _, name in seen):
            medians = [statistics.median(seen[tree, name]) for tree in trees]
            ratio = f", {medians[0] / medians[-1]:.2f} x" if len(trees) > 1 else ""
            shown = " against ".join(f"{median:.1f}" for median in medians)
            print(f"{case}: {name}: {shown} us{ratio}")


def main() -> None:
    """Measure this tree, or what the arguments say."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--against", type=Path, help="another checkout")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--case", choices=["scripted", "openai", "server"])
    parser.add_argument("--port", default="0")
    given = parser.parse_args()
    match given.case:
        case "server":
            asyncio.run(_serve())
        case "scripted":
            print(json.dumps(asyncio.run(_scripted())))
        case "openai":
            print(json.dumps(asyncio.run(_openai(f"http://127.0.0.1:{given.port}/v1"))))
        case None:
            with subprocess.Popen(
                [sys.executable, __file__, "--case", "server"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            ) as server:
                assert server.stdin
                assert server.stdout
                port = server.stdout.readline().strip()
                _compare([ROOT, *([given.against] if given.against else [])], given.rounds, port)
                server.stdin.close()


if __name__ == "__main__":
    main()
