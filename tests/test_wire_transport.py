"""What goes wrong below HTTP has a name, whichever library was at it."""

from __future__ import annotations

import asyncio
import errno
import inspect
import json
import socket
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any

import aiohttp
import botocore.exceptions
import httpcore
import httpcore2
import httpx
import httpx2
import pytest
import trustme
import urllib3
import urllib3.exceptions

from ragcore import (
    InvalidRequestError,
    ProviderError,
    RequestTimeoutError,
    TransientError,
    UnavailableError,
)
from ragcore.wire import transport_error
from ragcore.wire._transport import _failure

# A wrong use of the library, an answer with a status, or a warning: no network exception.
NO_FAILURES = ("StreamError", "CookieConflict", "HTTPStatusError", "ClientResponseError")
ROOTS = (
    *(httpx.HTTPError, httpx.InvalidURL, httpx2.HTTPError, httpx2.InvalidURL),
    *(aiohttp.ClientError, urllib3.exceptions.HTTPError),
    *(botocore.exceptions.HTTPClientError, botocore.exceptions.ConnectionError),
)


def below(root: type[Exception]) -> list[type[Exception]]:
    children = [child for kind in type.__subclasses__(root) for child in below(kind)]
    return [root, *children] if is_failure(root) else children


def is_failure(kind: type[Exception]) -> bool:
    its_own = kind.__module__.partition(".")[0] in ("httpx", "httpx2", "aiohttp", "urllib3")
    named = not {base.__name__ for base in kind.__mro__} & set(NO_FAILURES)
    return named and (its_own or kind.__module__ == "botocore.exceptions")


def of_core(module: Any) -> list[type[Exception]]:
    found = [kind for _, kind in inspect.getmembers(module, inspect.isclass)]
    return [
        kind
        for kind in found
        if issubclass(kind, Exception) and kind.__name__ != "ConnectionNotAvailable"
    ]


KINDS = {kind for root in ROOTS for kind in below(root)}


@pytest.mark.parametrize("kind", sorted(KINDS, key=repr))
def test_every_failure_of_an_http_library_has_a_row(kind: type[Exception]) -> None:
    """One that a new release brings falls under its base's."""
    # Some say nothing of themselves without their arguments, so no message is made.
    assert _failure(kind.__new__(kind)) is not None


@pytest.mark.parametrize("kind", [*of_core(httpcore), *of_core(httpcore2)])
def test_what_lies_below_has_a_row(kind: type[Exception]) -> None:
    """Of either generation."""
    assert transport_error(kind("x")) is not None or kind.__name__ == "UnsupportedProtocol"


@pytest.mark.parametrize(
    ("exc", "kind", "message"),
    [
        (httpx.ConnectError("x"), UnavailableError, "can't reach the service: ConnectError: x"),
        (httpx2.ConnectTimeout("x"), RequestTimeoutError, "the service did not answer in time"),
        (httpx.PoolTimeout("x"), RequestTimeoutError, "did not answer in time: PoolTimeout"),
        (httpx2.ReadError(""), UnavailableError, "connection to the service broke: ReadError"),
        (httpx.DecodingError("x"), UnavailableError, "sent can't be read"),
        (httpx.UnsupportedProtocol("x"), InvalidRequestError, "can't be asked"),
        (httpx.TooManyRedirects("x"), InvalidRequestError, "can't be asked: TooManyRedirects"),
        (socket.gaierror(-2, "Name or service not known"), UnavailableError, "can't reach"),
        (ConnectionResetError(104, "reset"), UnavailableError, "connection to the service broke"),
        (TimeoutError(), RequestTimeoutError, "the service did not answer in time: TimeoutError"),
        (OSError(errno.ENETUNREACH, "x"), UnavailableError, "can't reach"),
        (ssl.SSLCertVerificationError("x"), ProviderError, "SSL_CERT_FILE"),
        (ssl.SSLEOFError("x"), UnavailableError, "broke"),
        (json.JSONDecodeError("x", "", 0), UnavailableError, "sent can't be read"),
        (UnicodeDecodeError("utf-8", b"", 0, 1, "x"), UnavailableError, "sent can't be read"),
        (asyncio.IncompleteReadError(b"", 2), UnavailableError, "broke"),
        (aiohttp.ServerDisconnectedError(), UnavailableError, "broke"),
        (aiohttp.ServerTimeoutError(), RequestTimeoutError, "in time"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else None,
)
def test_a_failure_has_a_class_and_begins_alike(
    exc: Exception, kind: type[ProviderError], message: str
) -> None:
    """Whichever library it is of."""
    error = transport_error(exc)

    assert type(error) is kind
    assert message in str(error)


@pytest.mark.parametrize(
    "exc",
    [
        KeyError("x"),
        ValueError("x"),
        FileNotFoundError(2, "x"),
        OSError("no such model on this machine"),
        httpx.HTTPStatusError(
            "x", request=httpx.Request("GET", "http://x"), response=httpx.Response(500)
        ),
        UnavailableError("said already"),
        asyncio.CancelledError(),
    ],
    ids=repr,
)
def test_what_is_no_failure_of_the_network(exc: BaseException) -> None:
    """Has no row, and is left to others."""
    assert transport_error(exc) is None


class SDKError(Exception):
    """What an SDK says for whatever happened."""


def raised(outer: BaseException, cause: BaseException | None) -> BaseException:
    outer.__cause__ = cause
    return outer


def test_what_happened_is_behind_what_an_sdk_says() -> None:
    """And both are told where they differ."""
    refused = ConnectionRefusedError(111, "refused")
    inner = raised(httpx.ConnectError("All connection attempts failed"), refused)
    error = transport_error(raised(SDKError("Connection error."), inner), "https://acme.example/v1")

    assert str(error) == (
        "can't reach https://acme.example/v1: ConnectError: All connection attempts failed "
        "(ConnectionRefusedError: [Errno 111] refused)"
    )


def test_a_broken_connection_that_a_transport_calls_a_timeout() -> None:
    """Is a broken connection."""
    broken = raised(httpx2.ReadTimeout("x"), aiohttp.ServerDisconnectedError())
    slow = raised(httpx2.ReadTimeout("x"), aiohttp.SocketTimeoutError())

    assert type(transport_error(broken)) is UnavailableError
    assert type(transport_error(slow)) is RequestTimeoutError


def test_one_of_several_attempts_stands_for_all() -> None:
    """A name may have several numbers."""
    several = ExceptionGroup("several", [ConnectionRefusedError(111, "refused")])
    error = transport_error(raised(httpx.ConnectError("failed"), raised(OSError("all"), several)))

    assert "ConnectionRefusedError" in str(error)


def test_a_mistake_while_a_failure_was_handled_is_a_mistake() -> None:
    """It is not dressed up as a failure of the network."""
    mistake = KeyError("x")
    mistake.__context__ = httpx.ConnectError("x")

    assert transport_error(mistake) is None


def test_the_address_is_looked_for_in_the_exception() -> None:
    """Without what may be secret in it."""
    request = httpx.Request("POST", "http://me:canary@acme.example:9/v1/chat?key=canary#x")
    error = transport_error(httpx.ConnectError("x", request=request))

    assert "reach http://acme.example:9/v1/chat: " in str(error)
    assert "canary" not in str(error)


async def ask_httpx(url: str) -> None:
    async with httpx.AsyncClient(timeout=0.5, trust_env=False) as client:
        await client.get(url)


async def ask_httpx2(url: str) -> None:
    async with httpx2.AsyncClient(timeout=0.5, trust_env=False) as client:
        await client.get(url)


async def ask_aiohttp(url: str) -> None:
    timeout = aiohttp.ClientTimeout(sock_connect=0.5, sock_read=0.5)
    async with aiohttp.ClientSession(timeout=timeout) as session, session.get(url) as response:
        await response.read()


async def ask_urllib3(url: str) -> None:
    with urllib3.PoolManager(timeout=0.5, retries=False) as pool:
        await asyncio.to_thread(pool.request, "GET", url)


Ask = Callable[[str], Any]
LIBRARIES = pytest.mark.parametrize("ask", [ask_httpx, ask_httpx2, ask_aiohttp, ask_urllib3])


@asynccontextmanager
async def server(answer: bytes | None, tls: ssl.SSLContext | None = None) -> AsyncIterator[int]:
    """Serve *answer* to whoever connects, and hang up; None says nothing."""
    under_way: set[asyncio.Task[Any] | None] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        under_way.add(asyncio.current_task())
        with suppress(OSError):
            await reader.read(1000)
            if answer is None:
                await reader.read(1000)
            writer.write(answer or b"")
            writer.close()
            await writer.wait_closed()

    async with await asyncio.start_server(serve, "127.0.0.1", 0, ssl=tls) as service:
        yield service.sockets[0].getsockname()[1]
        # A handshake that fails has no task.
        await asyncio.sleep(0.05)
        await asyncio.gather(*filter(None, under_way))


async def failure(ask: Ask, url: str) -> ProviderError:
    with pytest.raises(Exception) as caught:  # each library has its own
        await ask(url)
    error = transport_error(caught.value)
    assert error is not None
    return error


@LIBRARIES
async def test_nobody_there(ask: Ask, unused_tcp_port: int) -> None:
    """Says so, and may be there soon."""
    error = await failure(ask, f"http://127.0.0.1:{unused_tcp_port}/")

    assert type(error) is UnavailableError
    assert str(error).startswith("can't reach ")
    assert "refused" in str(error).lower() or "Connect call failed" in str(error)


@LIBRARIES
async def test_a_connection_that_breaks(ask: Ask) -> None:
    """Before the answer, or in it."""
    for answer in (b"", b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nshort"):
        async with server(answer) as port:
            error = await failure(ask, f"http://127.0.0.1:{port}/")

        assert type(error) is UnavailableError
        assert " broke: " in str(error)


@LIBRARIES
async def test_silence(ask: Ask) -> None:
    """Is a timeout of ours, which is none of Python's."""
    async with server(None) as port:
        error = await failure(ask, f"http://127.0.0.1:{port}/")

    assert type(error) is RequestTimeoutError
    assert " did not answer in time: " in str(error)


@LIBRARIES
async def test_a_certificate_that_is_not_trusted(ask: Ask) -> None:
    """Stays what it is: the cure is told, and nothing is tried again."""
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trustme.CA().issue_cert("127.0.0.1").configure_cert(tls)
    asyncio.get_running_loop().set_exception_handler(lambda *_: None)  # the server's side of it
    async with server(b"", tls) as port:
        error = await failure(ask, f"https://127.0.0.1:{port}/")

    assert not isinstance(error, TransientError)
    assert "SSL_CERT_FILE" in str(error)


@LIBRARIES
async def test_https_of_a_server_that_speaks_http(ask: Ask) -> None:
    """Is a wrong address, which no wait mends."""
    async with server(b"HTTP/1.1 400 Bad Request\r\n\r\n") as port:
        error = await failure(ask, f"https://127.0.0.1:{port}/")

    assert not isinstance(error, TransientError)
    assert "http://" in str(error)
