"""Where a server is, as the ``ollama`` command understands ``OLLAMA_HOST``."""

from __future__ import annotations

import ipaddress
import re
from typing import Any

CLOUD = "https://ollama.com"
LOCAL = "http://127.0.0.1:11434"

_DEFAULT_PORTS = {"http": 80, "https": 443}
_OLLAMA_PORT = 11434
_LARGEST_PORT = 65535
_HOST_AND_PORT = re.compile(r"(?P<host>\[[^\]]*\]|[^:\[\]]*)(:(?P<port>[^:]*))?")


def is_cloud_model(model_name: str) -> bool:
    """Tell whether a model runs in Ollama's cloud, as its name says: ``…-cloud``, ``…:cloud``."""
    return model_name.endswith(("-cloud", ":cloud"))


def cloud_name(model_name: str) -> str:
    """
    Return what the cloud itself calls a model: the ending is for servers that pass requests on.

    Source:
        https://docs.ollama.com/cloud
    """
    return model_name.removesuffix("-cloud").removesuffix(":cloud")


def is_cloud(address: str) -> bool:
    """Tell whether *address*, as :func:`address_of` writes it, is Ollama's cloud."""
    return address.partition("://")[2].partition("/")[0] in ("ollama.com:443", "ollama.com")


def address_of(host: str) -> str:
    """
    Return the URL, with a port, that *host* stands for.

    Args:
        host: ``name``, ``name:port``, ``:port``, an IPv4 or IPv6 address, any of them after
            ``http://`` or ``https://`` and before a path. Where a server binds to all addresses
            (``0.0.0.0``, ``::``), it is asked on this machine's own.

    Raises:
        ValueError: It is none of these.

    Source:
        https://github.com/ollama/ollama/blob/main/envconfig/config.go, ``Host`` and
        ``ConnectableHost``; a port that is none is an error here, and not the default.
    """
    scheme, place = _scheme(host.strip().strip("\"'").strip())
    if "@" in place or "?" in place or "#" in place:
        raise ValueError(
            "only a scheme, a name, a port and a path are understood; a key is given as "
            "api_key= (OLLAMA_API_KEY)"
        )
    name_and_port, _, path = place.partition("/")
    name, port = _name_and_port(name_and_port)
    default = _DEFAULT_PORTS[scheme] if "://" in host else _OLLAMA_PORT
    if name == "ollama.com" and "://" not in host:
        scheme, default = "https", 443
    path = path.strip("/")
    return f"{scheme}://{_connectable(name)}:{_port(port, default)}{'/' if path else ''}{path}"


class _Host:
    """The rule that :func:`address_of` understands an option."""

    def problem(self, value: str) -> str | None:
        """Return what it does not understand; None if it understands all."""
        try:
            address_of(value)
        except ValueError as exc:
            return str(exc)
        return None

    def schema(self) -> dict[str, Any]:
        """Return nothing: no short pattern tells an IPv6 address."""
        return {}


HOST = _Host()


def is_loopback(address: str) -> bool:
    """Tell whether *address*, as :func:`address_of` writes it, is this machine."""
    name = address.partition("://")[2].partition("/")[0].rpartition(":")[0].strip("[]")
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return name == "localhost" or name.endswith(".localhost")


def _scheme(host: str) -> tuple[str, str]:
    scheme, found, place = host.partition("://")
    if not found:
        return "http", host
    if scheme.lower() not in _DEFAULT_PORTS:
        raise ValueError(f"{scheme!r} is not http or https")
    return scheme.lower(), place


def _name_and_port(text: str) -> tuple[str, str]:
    if _ip(text):
        return text, ""
    match = _HOST_AND_PORT.fullmatch(text)
    if match is None or any(character.isspace() for character in text):
        raise ValueError(f"{text!r} is not of the form name:port")
    return match["host"].lower(), match["port"] or ""


def _port(text: str, default: int) -> int:
    if not text:
        return default
    if not (text.isascii() and text.isdigit() and int(text) <= _LARGEST_PORT):
        raise ValueError(f"the port {text!r} is not a number from 0 to {_LARGEST_PORT}")
    return int(text)


def _connectable(name: str) -> str:
    if not name:
        return "127.0.0.1"
    number = _ip(name.strip("[]"))
    if number is None:
        if name.startswith("["):
            raise ValueError(f"{name!r} is not an IPv6 address")
        return name
    if number.is_unspecified:
        number = ipaddress.ip_address("127.0.0.1" if number.version == 4 else "::1")  # noqa: PLR2004
    return str(number) if number.version == 4 else f"[{number}]"  # noqa: PLR2004


def _ip(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(text)
    except ValueError:
        return None
