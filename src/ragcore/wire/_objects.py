"""Reads the JSON objects that a service streams as events, and the errors among them."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterable
from contextlib import aclosing
from typing import Any

from ragcore.errors import UnavailableError
from ragcore.wire._answers import object_in
from ragcore.wire._readers import drained, event_stream
from ragcore.wire._reported import reported

Object = dict[str, Any]

# Stands for ``[DONE]`` among the objects of a stream.
DONE: Object = {}


async def objects(pieces: AsyncIterable[bytes]) -> AsyncGenerator[Object, None]:
    """
    Yield what the events of a stream say, up to :data:`DONE` or the end of the body.

    A service that has not streamed its answer says all of it in one object.

    Args:
        pieces: The body, cut anywhere.

    Raises:
        ProviderError: An event reports an error, or is no JSON object.
    """
    async with aclosing(event_stream(pieces, whole=True)) as events:
        async for event in events:
            if event.data.lstrip().startswith("[DONE]"):
                yield DONE
                break
            if not event.says_nothing:
                yield without_error(object_in(event.data, "JSON object"))
    await drained(pieces)


def without_error(answer: Object) -> Object:
    """
    Return *answer*.

    Raises:
        ProviderError: It reports an error, as gateways do with status 200.
    """
    if error := answer.get("error"):
        # text-generation-inference names the kind beside the error.
        told = {"error": error, "error_type": answer.get("error_type")}
        raise reported(told, unknown=UnavailableError)
    return answer
