"""
Tells that an address wants the other of ``http://`` and ``https://``, after one attempt.

A server that does not speak TLS may wait for the rest of what it takes for a request, and one that
does may close without a word: that looks like an outage, which is tried again for a minute. So,
once for each model, and only at an address that the user has named, it is looked which of the two
the server speaks. Nothing is sent there but the beginning of a connection, or ``HEAD /``.
"""

from __future__ import annotations

import asyncio
import ssl
import urllib.request
from contextlib import suppress
from typing import Self
from urllib.parse import urlsplit

import attrs

from ragcore._calls.setup import Setup
from ragcore.errors import ProviderError

# Seconds: for the first answer, before it is looked; and for what is looked at.
_PATIENCE, _LIMIT = 0.5, 1.0
# What servers with TLS answer to who speaks without: that this is wrong, or where it is right.
_NO_ANSWERS = (b"3", b"400")
_DEFAULT_PORTS = {"http": 80, "https": 443}


@attrs.define(eq=False)
class Scheme:
    """
    Which scheme the server at an address speaks.

    Attributes:
        option: What messages call the option that has the address.
        is_settled: It is known to be the one that the address has, or nobody can say.
        other: The one that it is instead, if that was found.
    """

    address: str
    option: str
    is_settled: bool = False
    other: str | None = None

    @classmethod
    def of(cls, setup: Setup) -> Self:
        """Return that of the user's address; nothing is looked at where a proxy is asked."""
        address, is_direct = setup.address or "", False
        with suppress(ValueError):  # it is no URL
            url = urlsplit(address)
            has_scheme = url.scheme in _DEFAULT_PORTS and url.port != 0
            is_direct = has_scheme and not _has_proxy(url.scheme, url.hostname or "")
        return cls(address, setup.address_option, is_settled=not is_direct)

    @property
    def error(self) -> ProviderError:
        """What to raise where the other one is spoken."""
        speaks = "speaks TLS only" if self.other == "https" else "does not speak TLS"
        return ProviderError(
            f"{self.address} {speaks}: is {self.option} to begin with {self.other}://?"
        )

    async def look(self) -> None:
        """Find out what the server speaks."""
        self.is_settled = True
        url = urlsplit(self.address)
        host, port = url.hostname or "", url.port or _DEFAULT_PORTS[url.scheme]
        if await _speaks_tls(host, port):
            self.other = "https" if url.scheme == "http" else None
        elif url.scheme == "https" and await _speaks_http(host, port):
            self.other = "http"

    async def look_later(self, attempt: asyncio.Timeout) -> None:
        """Look when the first answer takes long, and end the *attempt* if that is in vain."""
        await asyncio.sleep(_PATIENCE)
        if self.is_settled:
            # Another call is looking.
            await asyncio.sleep(2 * _LIMIT)
        else:
            await self.look()
        if self.other:
            attempt.reschedule(asyncio.get_running_loop().time())


def _has_proxy(scheme: str, host: str) -> bool:
    proxies = urllib.request.getproxies()
    return bool(proxies.keys() & {scheme, "all"}) and not urllib.request.proxy_bypass(host)


async def _speaks_tls(host: str, port: int) -> bool:
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    # Whose certificate it is does not matter here; nothing is said to it.
    tls.check_hostname, tls.verify_mode = False, ssl.CERT_NONE
    with suppress(OSError, ValueError):  # TimeoutError and SSLError, too; names that are none
        async with asyncio.timeout(_LIMIT):
            _, writer = await asyncio.open_connection(host, port, ssl=tls)
        writer.close()
        return True
    return False


async def _speaks_http(host: str, port: int) -> bool:
    with suppress(OSError, ValueError):
        async with asyncio.timeout(_LIMIT):
            reader, writer = await asyncio.open_connection(host, port)
            writer.write(f"HEAD / HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode())
            version, _, status = (await reader.readline()).partition(b" ")
            writer.close()
            return version.startswith(b"HTTP/") and not status.startswith(_NO_ANSWERS)
    return False
