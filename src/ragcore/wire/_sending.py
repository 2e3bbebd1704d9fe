"""Sends a request again that met with a connection which its server had closed."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

ResponseT = TypeVar("ResponseT")

_HUNG_UP = ("RemoteProtocolError", "ReadError", "WriteError")
_ANSWERS = "receive_response_headers.complete"


async def sent(send: Callable[..., Awaitable[ResponseT]], request: Any, **how: Any) -> ResponseT:
    """
    Return what *send* returns for *request*.

    Servers close the connections that they keep: uvicorn after five seconds, llama.cpp after a
    stream. A request that meets with that is not read, and counts as no attempt.

    Args:
        send: ``AsyncClient.send`` of httpx or httpx2.
        request: Theirs; its extension "trace" is taken.
        how: Further arguments of *send*.
    """
    while True:
        way = request.extensions["trace"] = _Way()
        try:
            return await send(request, **how)
        except Exception as exc:
            if way.is_final or type(exc).__name__ not in _HUNG_UP:
                raise


class _Way:
    """Sees whether a request goes over a connection of its own, or is answered."""

    def __init__(self) -> None:
        self.is_final = False

    async def __call__(self, event: str, _: Any) -> None:
        if event.startswith("connection.connect_") or event.endswith(_ANSWERS):
            self.is_final = True
