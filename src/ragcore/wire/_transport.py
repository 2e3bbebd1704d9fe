"""
What an exception means: an SDK's, by a plugin's table, and the network's, by one table for all.

The network's rows name classes, so that nothing is imported.
"""

from __future__ import annotations

import errno
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from typing import Any, TypeVar

import attrs

from ragcore.errors import (
    InvalidRequestError,
    ProviderError,
    RagcoreError,
    RequestTimeoutError,
    TransientError,
    UnavailableError,
)
from ragcore.wire._said import described

Row = Callable[[Any], RagcoreError | None]
NameT = TypeVar("NameT", bound=type[BaseException] | str)


@attrs.frozen
class _Failure:
    """A class of error, the beginning of its message, and what to do, at its end."""

    error: type[ProviderError]
    words: str
    cure: str = ""


_UNREACHABLE = _Failure(UnavailableError, "can't reach {}")
_SLOW = _Failure(RequestTimeoutError, "{} did not answer in time")
_BROKEN = _Failure(UnavailableError, "the connection to {} broke")
_UNREADABLE = _Failure(UnavailableError, "what {} sent can't be read")
_REFUSED = _Failure(InvalidRequestError, "{} can't be asked")
_NO_TLS = _Failure(ProviderError, "{} does not speak TLS", "; is it at http://?")
_NOT_TRUSTED = _Failure(
    ProviderError,
    "the certificate of {} is not trusted",
    "; if it is your own, name the file of its authority in SSL_CERT_FILE",
)

# By package and class; httpx stands for httpx2, httpcore and httpcore2, too.
_ROWS: dict[_Failure | None, str] = {
    _UNREACHABLE: """
        httpx.ConnectError httpx.ProxyError aiohttp.ClientConnectorError
        aiohttp.ClientHttpProxyError urllib3.NewConnectionError urllib3.ProxyError
        botocore.ConnectionError builtins.ConnectionRefusedError socket.gaierror socket.herror
    """,
    _SLOW: """
        httpx.TimeoutException aiohttp.ServerTimeoutError urllib3.TimeoutError
        botocore.ConnectTimeoutError botocore.ReadTimeoutError builtins.TimeoutError
    """,
    _BROKEN: """
        httpx.HTTPError httpx.NetworkError httpx.ProtocolError aiohttp.ClientError
        aiohttp.PayloadEncodingError urllib3.HTTPError botocore.HTTPClientError
        botocore.IncompleteReadError botocore.SSLError http.HTTPException
        asyncio.IncompleteReadError builtins.ConnectionError ssl.SSLError
    """,
    _UNREADABLE: """
        httpx.DecodingError httpx.SSEError aiohttp.ContentTypeError aiohttp.ContentEncodingError
        aiohttp.HttpProcessingError urllib3.DecodeError json.JSONDecodeError
        builtins.UnicodeDecodeError zlib.error
    """,
    _REFUSED: """
        httpx.InvalidURL httpx.UnsupportedProtocol httpx.LocalProtocolError aiohttp.InvalidURL
        aiohttp.NonHttpUrlClientError urllib3.LocationValueError
        httpx.TooManyRedirects aiohttp.TooManyRedirects
    """,
    _NOT_TRUSTED: "ssl.SSLCertVerificationError urllib3.CertificateError",
    # An answer came: its status says what it is.
    None: "httpx.HTTPStatusError aiohttp.ClientResponseError",
}
_FAILURES = {name: failure for failure, names in _ROWS.items() for name in names.split()}
_SAME_AS_HTTPX = ("httpx2", "httpcore", "httpcore2")

# How OpenSSL, by its version, names an answer that is not TLS.
_NOT_TLS = ("WRONG_VERSION_NUMBER", "RECORD_LAYER_FAILURE", "HTTP_REQUEST")
_NO_ROUTE = (errno.ENETUNREACH, errno.EHOSTUNREACH, errno.ENETDOWN, errno.EADDRNOTAVAIL)
_DEEPEST = 20


class translating:  # noqa: N801  # reads as a function
    """
    Raise ragcore's errors where a block raises what has a row in *rows*, or the network's.

    For a plugin's ``_errors.py``. ragcore's own errors pass, and so do a cancellation and what has
    no row.

    Args:
        rows: By class, or by the name of one that not every release of an SDK has. Of the classes
            that an exception is an instance of, the nearest counts. A row is a function that makes
            the error, or None to let the exception pass, or the error's class. One that is worth
            another attempt is about the network: what really happened is looked for behind the
            exception.
        address: What is asked, for messages.
    """

    __slots__ = ("_address", "_rows")

    def __init__(self, rows: Mapping[NameT, Row], address: str | None = None) -> None:
        self._rows: Mapping[Any, Row] = rows
        self._address = address

    def __enter__(self) -> None:
        pass

    def __exit__(self, _: object, exc: BaseException | None, __: object) -> None:
        if not isinstance(exc, Exception) or isinstance(exc, RagcoreError):
            return
        error = _translation(exc, self._rows, self._address)
        if error is not None:
            error.__cause__ = exc
            # Requests, which exceptions carry, show keys: none stays in the locals of a frame.
            del exc
            raise error


def _translation(
    exc: Exception, rows: Mapping[Any, Row], address: str | None
) -> RagcoreError | None:
    keys = (key for kind in type(exc).__mro__ for key in (kind, kind.__name__))
    row = next((rows[key] for key in keys if key in rows), None)
    if row is None:
        return transport_error(exc, address)
    if not isinstance(row, type):
        return row(exc)
    behind = transport_error(exc, address) if issubclass(row, TransientError) else None
    return behind or row(described(exc))


def transport_error(exc: BaseException, address: str | None = None) -> ProviderError | None:
    """
    Return the error that a network exception, or one that was raised from it, stands for.

    SDKs say "connection error", and some transports call a broken connection a timeout: the class
    is that of the innermost exception that says what happened.

    Args:
        exc: Of httpx, httpcore, aiohttp, urllib3, botocore, ssl, socket, the built-in ones, or an
            SDK's with one of these as its cause.
        address: What was asked, for the message; else it is looked for in the exceptions.

    Returns:
        None if *exc* is no network exception.
    """
    chain = list(_chain(exc))
    found = [(one, failure) for one in chain if (failure := _failure(one))]
    if not found:
        return None
    (outer, _), (inner, failure) = found[0], found[-1]
    where = address or next(filter(None, map(_address, chain)), "the service")
    detail = described(outer)
    if str(getattr(inner, "strerror", None) or inner) not in detail:
        detail = f"{detail} ({described(inner)})"
    return failure.error(f"{failure.words.format(where)}: {detail}{failure.cure}")


def _chain(exc: BaseException | None) -> Iterator[BaseException]:
    for _ in range(_DEEPEST):
        if exc is None or isinstance(exc, RagcoreError):
            return
        yield exc
        exc = _behind(exc)


def _behind(exc: BaseException) -> BaseException | None:
    if isinstance(exc, BaseExceptionGroup):
        return exc.exceptions[0]
    # A mistake in code that was handling a network failure is a mistake.
    return exc.__cause__ or (exc.__context__ if _failure(exc) else None)


def _failure(exc: BaseException) -> _Failure | None:
    if getattr(exc, "reason", None) in _NOT_TLS:
        return _NO_TLS
    if isinstance(exc, OSError) and exc.errno in _NO_ROUTE:
        return _UNREACHABLE
    names = map(_name, type(exc).__mro__)
    return next((_FAILURES[name] for name in names if name in _FAILURES), None)


def _name(kind: type) -> str:
    package = kind.__module__.partition(".")[0]
    return f"{'httpx' if package in _SAME_AS_HTTPX else package}.{kind.__name__}"


def _endpoint(exc: BaseException) -> object:
    # botocore's fields of a message.
    fields = getattr(exc, "kwargs", None)
    return fields.get("endpoint_url") if isinstance(fields, dict) else None


def _address(exc: BaseException) -> str | None:
    """Return the URL of the request that *exc* carries, without what may be secret in it."""
    with suppress(RuntimeError):  # httpx, where nobody has said which request it was
        url = str(getattr(getattr(exc, "request", None), "url", _endpoint(exc)))
        if match := re.match(r"(https?://)(?:[^/?#]*@)?([^?#]*)", url):
            return match[1] + match[2]
    return None
