"""
Breaks off a blocking call of botocore, from another thread, by its socket.

botocore has no public way to a request's socket, so its pools of connections are replaced here by
ones that know which call uses them. Nothing else in this package touches what botocore keeps
private, and ``tests/test_sockets.py`` says when it moves.
"""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

from botocore.awsrequest import (
    AWSHTTPConnection,
    AWSHTTPConnectionPool,
    AWSHTTPSConnection,
    AWSHTTPSConnectionPool,
)
from urllib3.exceptions import ConnectTimeoutError, NewConnectionError, ProtocolError

if TYPE_CHECKING:
    from urllib3 import HTTPConnectionPool as _ConnectionPool
    from urllib3.connection import HTTPConnection as _Connection
else:
    # Mixins to urllib3's, which botocore's are.
    _Connection = _ConnectionPool = object


class BrokenOffError(Exception):
    """The call was broken off by its owner; botocore wraps this in an error of its own."""


class Call:
    """One blocking call, in a thread of its own."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._connection: _Breakable | None = None
        self.is_broken_off: bool = False

    @contextmanager
    def in_this_thread(self) -> Iterator[None]:
        """Have the connections that are used in this block belong to this call."""
        _here.call = self
        try:
            yield
        finally:
            _here.call = None

    def break_off(self) -> None:
        """End the call as soon as can be; one that is over is left alone."""
        with self._lock:
            self.is_broken_off = True
            if self._connection is not None:
                self._connection.shut()

    def take(self, connection: _Breakable) -> None:
        """Note the connection that the call waits for."""
        with self._lock:
            if self.is_broken_off:
                raise BrokenOffError("the call was broken off before it began")
            self._connection = connection

    def leave(self, connection: _Breakable) -> None:
        """Forget *connection*: others may use it from now on."""
        with self._lock:
            if self._connection is connection:
                self._connection = None


_here = threading.local()


class _Breakable(_Connection):
    """A connection that another thread can shut."""

    _call: Call | None = None
    _wire: socket.socket | None = None
    _is_kept = False

    def _new_conn(self) -> socket.socket:
        """Connect as urllib3 does, by a socket that another thread can shut meanwhile."""
        try:
            return self._connected()
        except TimeoutError as exc:
            message = f"no connection to {self.host} within {self.timeout} s"
            raise ConnectTimeoutError(self, message) from exc
        except OSError as exc:
            raise NewConnectionError(self, f"no connection to {self.host}: {exc}") from exc

    def _connected(self) -> socket.socket:
        # A look-up is the only part of a call that can't be broken off.
        failure = OSError("the name has no address")
        host = self._dns_host.strip("[]")
        for *kind, _, address in socket.getaddrinfo(host, self.port, type=socket.SOCK_STREAM):
            made = socket.socket(*kind)
            try:
                self._prepare(made)
                made.connect(address)
            except OSError as exc:
                made.close()
                failure = exc
            except BrokenOffError:
                made.close()
                raise
            else:
                return made
        raise failure

    def _prepare(self, made: socket.socket) -> None:
        self._let_go()
        # A duplicate: wrapping a socket in TLS takes its descriptor away from it.
        self._wire = made.dup()
        self._take()
        for option in self.socket_options or ():
            made.setsockopt(*option)
        made.settimeout(self.timeout)

    def request(self, *args: Any, **kwargs: Any) -> Any:
        self._take()
        _here.is_kept, self._is_kept = self._is_kept, True
        return super().request(*args, **kwargs)

    def close(self) -> None:
        super().close()
        self._is_kept = False
        self._let_go()

    def _let_go(self) -> None:
        self.leave()
        wire, self._wire = self._wire, None
        if wire is not None:
            wire.close()

    def shut(self) -> None:
        """Have whoever waits for this connection fail; called with the call's lock held."""
        if self._wire is not None:
            with suppress(OSError):  # it is closed already
                self._wire.shutdown(socket.SHUT_RDWR)

    def leave(self) -> None:
        """Belong to no call any more."""
        if self._call is not None:
            self._call.leave(self)
            self._call = None

    def _take(self) -> None:
        self._call = getattr(_here, "call", None)
        if self._call is not None:
            self._call.take(self)


class _HTTPConnection(_Breakable, AWSHTTPConnection):  # type: ignore[misc]  # botocore is untyped
    pass


class _HTTPSConnection(_Breakable, AWSHTTPSConnection):  # type: ignore[misc]  # botocore is untyped
    pass


class _LeavingPool(_ConnectionPool):
    """A pool in which a connection belongs to nobody; an answer that is cut is an error."""

    def urlopen(self, *args: Any, **kwargs: Any) -> Any:
        # botocore leaves the one off, and takes what came before a broken connection for the
        # answer; the other stumbles over its headers.
        kwargs |= {"enforce_content_length": True, "redirect": False}
        while True:
            try:
                return super().urlopen(*args, **kwargs)
            except ProtocolError:
                # Servers close connections that are kept: such a request was not read, and is no
                # attempt.
                if not _here.is_kept:
                    raise

    def _put_conn(self, conn: Any) -> None:
        if conn is not None:
            conn.leave()
        super()._put_conn(conn)


class _HTTPPool(_LeavingPool, AWSHTTPConnectionPool):  # type: ignore[misc]  # botocore is untyped
    ConnectionCls = _HTTPConnection


class _HTTPSPool(_LeavingPool, AWSHTTPSConnectionPool):  # type: ignore[misc]  # botocore is untyped
    ConnectionCls = _HTTPSConnection


def make_breakable(client: Any) -> None:
    """Have the connections of *client*, proxies' too, belong to the calls that use them."""
    pools = client._endpoint.http_session._pool_classes_by_scheme  # noqa: SLF001  # see above
    pools.update(http=_HTTPPool, https=_HTTPSPool)
