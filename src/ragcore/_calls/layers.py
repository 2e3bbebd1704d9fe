"""
The seam: what stands around a call, and around each of its attempts.

A **step** is entered to ask, and left when the answer has been read. A **layer** wraps a step. One
kind of layer serves completion, streams and embedding: to try again is to enter again.
"""

from __future__ import annotations

import asyncio
import functools
import inspect
import logging
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, Literal

from ragcore._calls.exchange import Exchange
from ragcore._calls.scheme import Scheme
from ragcore._discovery.code import code_in_thread
from ragcore._discovery.loading import registry
from ragcore._records import Completion, Embeddings
from ragcore.errors import PluginError, RequestTimeoutError, TransientError

_log = logging.getLogger("ragcore")

Step = Callable[[Exchange], AbstractAsyncContextManager[Any]]
Wrap = Callable[[Step], Step]


def layered(step: Step, wraps: Sequence[Wrap]) -> Step:
    """Put *wraps* around *step*; the first is the outermost."""
    return functools.reduce(lambda inner, wrap: wrap(inner), reversed(wraps), step)


async def installed_layers(around: Literal["call", "attempt"]) -> list[Wrap]:
    """
    Return what installed plugins put around calls, or attempts; the first is the outermost.

    Raises:
        PluginError: The code of one can't be imported.
    """
    wraps: list[Wrap] = []
    for distribution, layer in registry().layers:
        if layer.around == around:
            wrap = await code_in_thread(layer.wrap, distribution)
            wraps.append(functools.partial(_checked, wrap, distribution))
    return wraps


def _checked(wrap: Wrap, distribution: str, step: Step) -> Step:
    wrapped = wrap(step)
    if not callable(wrapped) or inspect.iscoroutine(wrapped):
        raise PluginError(
            f"{distribution}: its layer returned a {type(wrapped).__name__}, not a step; ask its "
            "authors to mend it."
        )
    return wrapped


class Around(AbstractAsyncContextManager[Any]):
    """A step around another: the host's layers, which have their say while it is entered."""

    __slots__ = ("exchange", "inner", "step")

    def __init__(self, step: Step, exchange: Exchange) -> None:
        self.step = step
        self.exchange = exchange
        self.inner: AbstractAsyncContextManager[Any] | None = None

    @classmethod
    def layer(cls, step: Step) -> Step:
        """Put this around *step*."""
        return functools.partial(cls, step)

    async def enter(self) -> Any:
        """Enter the step within; a failed attempt to has left nothing to leave, and no answer."""
        self.exchange.answer = None
        inner = self.step(self.exchange)
        answer = await inner.__aenter__()
        self.inner = inner
        return answer

    async def __aexit__(self, *raised: Any) -> bool | None:  # noqa: PYI036
        assert self.inner is not None  # noqa: S101  # it was entered
        return await self.inner.__aexit__(*raised)


class Edge(Around):
    """Names the model in errors of the steps within, and keeps secrets out of them."""

    __slots__ = ()

    async def __aenter__(self) -> Any:
        with self.exchange.opening.at_the_edge(self.exchange.attempts):
            return await self.enter()


class Answering(Around):
    """Makes of what came back what was asked for; a stream does so itself, when it was read."""

    __slots__ = ()

    async def __aenter__(self) -> Any:
        exchange = self.exchange
        answer = await self.enter()
        if exchange.streams:
            return answer
        with exchange.opening.at_the_edge(exchange.attempts):
            return exchange.finished(answer)


class Logged(Around):
    """Writes one line a call into the log: who answered, how it went, and none of what was said."""

    __slots__ = ()

    async def __aenter__(self) -> Any:
        try:
            return await self.enter()
        except BaseException as exc:
            self._log(exc)
            raise

    async def __aexit__(self, *raised: Any) -> bool | None:  # noqa: PYI036
        try:
            return await super().__aexit__(*raised)
        finally:
            self._log(raised[1])

    def _log(self, exc: BaseException | None) -> None:
        if not _log.isEnabledFor(logging.INFO):
            return
        exchange = self.exchange
        attempts = exchange.attempts.count
        _log.info(
            "%s: %s after %.2f s, %d attempt%s",
            exchange.opening.reference,
            _outcome(exchange.answer, exc),
            exchange.deadline.elapsed,
            attempts,
            "" if attempts == 1 else "s",
        )


def _outcome(answer: Completion | Embeddings | None, exc: BaseException | None) -> str:
    if answer is None:
        return "left before the end" if exc is None else type(exc).__name__
    usage = answer.usage
    cost = f", {usage.input_tokens} + {usage.output_tokens} tokens" if usage else ""
    if isinstance(answer, Completion):
        return f"answered ({answer.finish_reason}){cost}"
    return f"embedded {len(answer.vectors)} texts{cost}"


@asynccontextmanager
async def elsewhere(step: Step, exchange: Exchange, call: Exchange) -> AsyncIterator[Any]:
    """Ask another model by *exchange* what a *call* asks; what comes of it is the call's."""
    try:
        async with step(exchange) as answer:
            call.answer = exchange.answer
            yield answer
        # A stream has been read meanwhile.
        call.answer = exchange.answer
    finally:
        call.attempts.queued += exchange.attempts.queued


class Timed(Around):
    """Gives one attempt no more than the time that an attempt may take."""

    __slots__ = ()

    async def __aenter__(self) -> Any:
        seconds, limit = self._limit()
        if seconds is None:
            return await self.enter()
        try:
            async with asyncio.timeout(seconds) as scope:
                return await self.enter()
        except TimeoutError as exc:
            if not scope.expired():
                raise RequestTimeoutError(str(exc) or "the attempt timed out") from exc
            raise RequestTimeoutError(
                f"no answer within {seconds:g} s, the limit of {limit}"
            ) from self.exchange.attempts.last_error

    def _limit(self) -> tuple[float | None, str]:
        """Return the seconds that the attempt has, and what they are for."""
        exchange = self.exchange
        attempt = exchange.request.attempt_timeout
        first = exchange.opening.retry.first_chunk_timeout if exchange.streams else None
        if first is None or (attempt is not None and attempt <= first):
            return attempt, "one attempt"
        return first, "a stream's first chunk"


class Schemed(Around):
    """Looks at what an address speaks where the first attempt fails, or takes long."""

    __slots__ = ()

    async def __aenter__(self) -> Any:
        scheme = self.exchange.opening.scheme
        if scheme.is_settled:
            return await self.enter()
        try:
            answer = await self._watched(scheme)
        except (TransientError, TimeoutError) as exc:
            if not (scheme.is_settled or getattr(exc, "status", None)):
                await scheme.look()
            if scheme.other is None:
                raise
            raise scheme.error from exc
        scheme.is_settled = True
        return answer

    async def _watched(self, scheme: Scheme) -> Any:
        if scheme.address.startswith("http:"):
            # What speaks TLS does not wait for more.
            return await self.enter()
        async with asyncio.timeout(None) as attempt:
            looking = asyncio.create_task(scheme.look_later(attempt))
            try:
                return await self.enter()
            finally:
                looking.cancel()
