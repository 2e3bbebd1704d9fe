"""An address that wants the other of http:// and https:// is told after one attempt."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress

import pytest

from ragcore import BindingOptions, option
from ragcore._calls.scheme import Scheme
from ragcore._calls.setup import Setup
from ragcore.options import Sources

PATIENT = b"HTTP/1.1 405 Method Not Allowed\r\n\r\n"
Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


class AcmeOptions(BindingOptions, binding="acme"):
    """Where it is."""

    base_url: str | None = option("Where.", default=None)


def scheme_of(address: str | None) -> Scheme:
    """Return what is known of *address* before anybody has looked."""
    return Scheme.of(Setup.of(AcmeOptions(base_url=address), {"base_url": address}, Sources()))


def answering(answer: bytes) -> Serve:
    """Answer whole requests alone: of TLS it waits for the rest."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(answer)
            await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    return serve


@asynccontextmanager
async def listening(serve: Serve, tls: ssl.SSLContext | None = None) -> AsyncIterator[str]:
    """Serve on loopback, and yield the address without its scheme."""
    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=tls)
    try:
        yield f"127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"
    finally:
        server.close()


async def test_a_server_without_tls_is_found() -> None:
    """Though it waits for the end of what it takes for a request."""
    async with listening(answering(PATIENT)) as place:
        scheme = scheme_of(f"https://{place}")
        await scheme.look()

    assert scheme.other == "http"
    assert str(scheme.error) == (
        f"https://{place} does not speak TLS: is base_url= (ACME_BASE_URL) to begin with http://?"
    )


async def test_a_server_that_speaks_tls_only_is_found() -> None:
    """Though it hangs up without a word."""
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    pytest.importorskip("trustme").CA().issue_cert("localhost").configure_cert(tls)
    async with listening(answering(PATIENT), tls) as place:
        scheme = scheme_of(f"http://{place}")
        await scheme.look()
        right = scheme_of(f"https://{place}")
        await right.look()

    assert (scheme.other, right.other) == ("https", None)
    assert str(scheme.error) == (
        f"http://{place} speaks TLS only: is base_url= (ACME_BASE_URL) to begin with https://?"
    )


@pytest.mark.parametrize(
    "answer", [b"HTTP/1.1 400 Bad\r\n\r\n", b"HTTP/1.1 308 Moved\r\n\r\n", b""]
)
async def test_a_server_whose_tls_is_slow_is_not_accused(answer: bytes) -> None:
    """Those that speak it answer so to who asks without, or hang up."""
    async with listening(answering(answer)) as place:
        scheme = scheme_of(f"https://{place}")
        await scheme.look()

    assert scheme.other is None


async def in_vain(scheme: Scheme) -> bool:
    """Wait for nothing, as an attempt does, and say whether that was ended."""
    with suppress(TimeoutError):
        async with asyncio.timeout(None) as attempt:
            looking = asyncio.create_task(scheme.look_later(attempt))
            await asyncio.sleep(30)
    await looking
    return attempt.expired()


async def test_an_attempt_in_vain_is_ended() -> None:
    """As soon as it is known."""
    async with listening(answering(PATIENT)) as place:
        scheme = scheme_of(f"https://{place}")
        has_ended = await in_vain(scheme)

    assert has_ended
    assert scheme.other == "http"


async def test_many_calls_look_once() -> None:
    """All of them end when it is known."""
    connections = 0
    answer = answering(PATIENT)

    async def counting(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connections
        connections += 1
        await answer(reader, writer)

    async with listening(counting) as place:
        scheme = scheme_of(f"https://{place}")
        ended = await asyncio.gather(*(in_vain(scheme) for _ in range(5)))

    assert ended == [True] * 5
    assert connections == 2


@pytest.mark.parametrize(
    "address", [None, "localhost:1234", "ftp://localhost", "http://x:99999", "http://["]
)
def test_where_nothing_is_to_be_found_nobody_looks(address: str | None) -> None:
    """At the service's own address, and at what is no URL."""
    assert scheme_of(address).is_settled


def test_where_a_proxy_is_asked_nobody_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    """The server may be out of reach without it."""
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy.example:3128")
    monkeypatch.setenv("NO_PROXY", "localhost")

    assert scheme_of("https://example.org").is_settled
    assert not scheme_of("https://localhost:1").is_settled
