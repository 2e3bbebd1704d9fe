"""The page for authors says what is there, and its example works."""

from __future__ import annotations

import inspect
import textwrap
from typing import Any

import httpx
import pytest

import ragcore
from ragcore import wire
from ragcore.testing.server import (
    Answer,
    Broken,
    Connection,
    Failure,
    Reply,
    Request,
    Service,
)


class Acme(Service):
    """The service of the example."""

    async def reply(self, request: Request, reply: Reply, connection: Connection) -> None:
        match reply:
            case Failure():
                await connection.respond(reply.status, reply.message.encode())
            case Answer():
                said = (
                    f'data: {{"text": "{reply.text}"}}\n\ndata: {{"text": "", "end": "stop"}}\n\n'
                )
                await connection.respond(200, f"{said}data: [DONE]\n\n".encode())
            case Broken():
                await connection.respond(200, b'data: {"words": "?"}\n\n')


def example() -> dict[str, Any]:
    """Run the code blocks of the page, in their order."""
    page = inspect.getdoc(wire) or ""
    blocks = [part.split("\n\nand a stream")[0] for part in page.split("::\n\n")[1:]]
    names: dict[str, Any] = {}
    for block in blocks:
        exec(textwrap.dedent(block), names)  # noqa: S102  # it is ours
    return names


async def streamed(reply: Reply) -> list[ragcore.Chunk]:
    stream = example()["stream"]
    async with (
        Acme(reply).running() as service,
        httpx.AsyncClient(base_url=service.url, trust_env=False) as http,
    ):
        return [chunk async for chunk in stream(http, {})]


async def test_the_example_streams() -> None:
    """As a plugin written after it would."""
    assert await streamed(Answer("Goethe")) == [
        ragcore.Chunk("Goethe"),
        ragcore.Chunk(finish_reason="stop"),
    ]


@pytest.mark.parametrize(
    ("reply", "kind", "words"),
    [
        (Failure(400, '{"code": "out_of_acorns"}'), ragcore.QuotaExceededError, "/chat: "),
        (Failure(400, "far too nutty"), ragcore.ContentFilterError, "milder"),
        (Failure(503, "busy"), ragcore.UnavailableError, "busy"),
        (Broken("unfinished"), ragcore.InterruptedStreamError, "'text'"),
    ],
)
async def test_the_example_names_what_goes_wrong(
    reply: Reply, kind: type[Exception], words: str
) -> None:
    """By code, by words, by status and by exception."""
    with pytest.raises(ragcore.ProviderError, match=words) as caught:
        await streamed(reply)

    assert type(caught.value) is kind


def test_the_page_names_all_that_is_there() -> None:
    """And what it names is there."""
    for name in wire.__all__:
        assert name in (wire.__doc__ or ""), name
