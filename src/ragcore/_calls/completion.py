"""The host's side of a completion."""

from __future__ import annotations

import inspect
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, TypeVar, overload

import attrs

from ragcore._calls.answers import AskedCompletion, wanted
from ragcore._calls.characters import mended
from ragcore._calls.entering import Entering
from ragcore._calls.exchange import Exchange
from ragcore._calls.fallback import Later, falling_back
from ragcore._calls.hedging import hedging
from ragcore._calls.ladder import Descending
from ragcore._calls.layers import Step, Wrap
from ragcore._calls.messages import Messages, conversation
from ragcore._calls.model import Model
from ragcore._calls.persist import Persisting
from ragcore._calls.stream import CompletionStream, next_chunk, pieces_of, without_thinking
from ragcore._records import Chunk, Completion, CompletionRequest, ParsedCompletion
from ragcore.errors import OptionsError, UnavailableError, UnsupportedError
from ragcore.hookspecs import CompletionProvider
from ragcore.wire import split_thinking

ParsedT = TypeVar("ParsedT")


class CompletionModel(Model[CompletionProvider]):
    """
    A model that completes; made by :func:`ragcore.completion`.

    Safe to use from many tasks of its event loop at once.
    """

    _method = "complete"

    @property
    def can_stream(self) -> bool:
        """Whether there is :meth:`stream`; without it answers come in one piece only."""
        return hasattr(self._backend, "stream")

    @overload
    async def complete(
        self,
        messages: Messages,
        *,
        response_format: type[ParsedT],
        system: str | None = None,
        max_output_tokens: int | None = None,
        timeout: float | None = None,  # noqa: ASYNC109
        priority: int = 0,
        **options: Any,
    ) -> ParsedCompletion[ParsedT]: ...

    @overload
    async def complete(
        self,
        messages: Messages,
        *,
        response_format: Any = None,
        system: str | None = None,
        max_output_tokens: int | None = None,
        timeout: float | None = None,  # noqa: ASYNC109
        priority: int = 0,
        **options: Any,
    ) -> Completion: ...

    async def complete(
        self,
        messages: Messages,
        *,
        response_format: Any = None,
        system: str | None = None,
        max_output_tokens: int | None = None,
        timeout: float | None = None,  # noqa: ASYNC109  # the deadline of all attempts together
        priority: int = 0,
        **options: Any,
    ) -> Completion:
        """
        Answer in one piece.

        Args:
            messages: A question, or a conversation; messages may be dicts with *role* and
                *content*.
            response_format: What the answer is to look like: :class:`ragcore.JSONObject`, a JSON
                Schema, a pydantic model, or an attrs class (extra ``msgspec``); of a class,
                ``answer.parsed`` holds the instance.
            system: How to behave; goes before *messages*.
            max_output_tokens: Upper bound of the answer, in tokens; None for the model's.
            timeout: Deadline in seconds, retries and waits included; 0 for none, None for the
                model's.
            priority: Its place in the line where :class:`ragcore.Limits` have calls wait: the least
                number goes first.
            options: Options of the provider with ``scope="call"``.

        Raises:
            ProviderError: It did not deliver; the subclass says why.
            UnsupportedError: The model can't do what was asked.
            OptionsError: An option is unknown or invalid; all problems at once.
            RuntimeError: The model is closed.
        """
        deadline = self._deadline(timeout)
        asked = self._asked(messages, system, response_format, max_output_tokens, options)
        exchange = self._begun(asked, deadline, priority)
        async with self._call(exchange) as answer:
            if not isinstance(answer, Completion):
                raise self._opening.wrong_type("a layer", answer, "a Completion")
            return answer if answer is exchange.answer else _timed(answer, exchange)

    def stream(
        self,
        messages: Messages,
        *,
        response_format: Any = None,
        system: str | None = None,
        max_output_tokens: int | None = None,
        timeout: float | None = None,
        priority: int = 0,
        **options: Any,
    ) -> AbstractAsyncContextManager[CompletionStream]:
        """
        Answer piece by piece; arguments and errors as in :meth:`complete`.

        ``async with`` returns when the first chunk is there, after retries if need be. Leaving the
        block releases the connection, whatever was read. ::

            async with model.stream("Tell me a story") as chunks:
                async for chunk in chunks:
                    print(chunk.text, end="")

        Raises:
            InterruptedStreamError: The stream broke off later; carries the text so far.
        """

        def begin() -> Exchange:
            deadline = self._deadline(timeout)
            asked = self._asked(messages, system, response_format, max_output_tokens, options)
            return self._begun(asked, deadline, priority, streams=True)

        return Entering(
            self._streamed(begin), "async with model.stream(…) as chunks: async for chunk in chunks"
        )

    @asynccontextmanager
    async def _streamed(self, begin: Callable[[], Exchange]) -> AsyncIterator[CompletionStream]:
        exchange = begin()
        if not self.can_stream:
            raise UnsupportedError(f"{self.reference}: can't stream; use complete().")
        async with self._call(exchange) as answer:
            stream = _as_stream(answer, exchange)
            try:
                yield stream
            finally:
                await stream.aclose()

    def _attempt(self, exchange: Exchange) -> AbstractAsyncContextManager[Any]:
        if not exchange.streams:
            return _Completed(self._backend, exchange)
        # A fallback's later model is asked for a stream whether or not it has any.
        backend = self._backend if self.can_stream else _InOnePiece(self._backend, exchange)
        return _Streamed(backend, exchange)

    def _ring(self, attempt: Step) -> Step:
        return Descending.layer(Persisting.layer(attempt))

    def _beside(self, later: Sequence[Later]) -> Sequence[Wrap]:
        hedge_after = self._opening.host.hedge_after
        return [
            *([hedging(hedge_after)] if hedge_after else []),
            *([falling_back(later)] if later else []),
        ]

    def _asked(
        self,
        messages: Messages,
        system: str | None,
        response_format: Any,
        max_output_tokens: int | None,
        options: Mapping[str, Any],
    ) -> AskedCompletion:
        if max_output_tokens is None:
            max_output_tokens = self._opening.host.max_output_tokens
        return AskedCompletion(
            messages=conversation(messages, system),
            wanted=wanted(response_format),
            max_output_tokens=_tokens(max_output_tokens),
            options=options,
        )


def _tokens(count: int | None) -> int | None:
    if count is not None and (isinstance(count, bool) or not isinstance(count, int) or count < 1):
        raise OptionsError(f"max_output_tokens: {count!r} is not a whole number above 0")
    return count


def _timed(answer: Completion, exchange: Exchange) -> Completion:
    """Return what a layer answered, with the time that it took this call."""
    return attrs.evolve(answer, timings=exchange.timings())


def _as_stream(answer: Any, exchange: Exchange) -> CompletionStream:
    """Return the stream that a layer has passed on, wrapped, or replaced by a whole answer."""
    if isinstance(answer, CompletionStream):
        return answer
    if isinstance(answer, Completion):
        return CompletionStream(exchange, pieces_of(answer))
    if isinstance(answer, AsyncIterator):
        return CompletionStream(exchange, answer)
    raise exchange.opening.wrong_type("a layer", answer, "a Completion or an iterator of chunks")


# --- one attempt ----------------------------------------------------------------------------


class _Completed(AbstractAsyncContextManager[Completion]):
    """An answer in one piece."""

    __slots__ = ("_backend", "_exchange")

    def __init__(self, backend: Any, exchange: Exchange) -> None:
        self._backend = backend
        self._exchange = exchange

    async def __aenter__(self) -> Completion:
        exchange = self._exchange
        answering = self._backend.complete(exchange.request)
        if not inspect.isawaitable(answering):
            raise exchange.opening.wrong_type("complete", answering, "an awaitable")
        answer = await answering
        if not isinstance(answer, Completion):
            raise exchange.opening.wrong_type("complete", answer)
        exchange.answer = _read(answer, exchange)
        return exchange.answer

    async def __aexit__(self, *_: object) -> None:
        pass


def _read(answer: Completion, exchange: Exchange) -> Completion:
    """Return *answer* in whole characters, and with its reasoning apart."""
    text, reasoning = mended(answer.text), mended(answer.reasoning)
    tags = exchange.opening.think_tags
    if tags and not reasoning:
        text, reasoning = split_thinking(text, opened=tags == "open" or _begins_within(text))
    if (text, reasoning) == (answer.text, answer.reasoning):
        return answer
    return attrs.evolve(answer, text=text, reasoning=reasoning)


def _begins_within(text: str) -> bool:
    """Whether a chat template has opened the reasoning that *text* closes, and not the model."""
    before, closed, _ = text.partition("</think>")
    return bool(closed) and "<think>" not in before


class _Streamed(AbstractAsyncContextManager[CompletionStream]):
    """An answer piece by piece, whose first one is here."""

    __slots__ = ("_backend", "_exchange", "_stream")

    def __init__(self, backend: Any, exchange: Exchange) -> None:
        self._backend = backend
        self._exchange = exchange
        self._stream: CompletionStream | None = None

    async def __aenter__(self) -> CompletionStream:
        exchange = self._exchange
        chunks = self._backend.stream(exchange.request)
        if not isinstance(chunks, AsyncGenerator):
            # It might be a coroutine, which would complain that nobody awaits it.
            getattr(chunks, "close", lambda: None)()
            raise exchange.opening.wrong_type("stream", chunks, "an async generator")
        if tags := exchange.opening.think_tags:
            chunks = without_thinking(chunks, opened=tags == "open")
        try:
            first = await _first_chunk(exchange, chunks)
        except BaseException:
            await chunks.aclose()
            raise
        self._stream = CompletionStream(exchange, chunks, first)
        return self._stream

    async def __aexit__(self, *_: object) -> None:
        if self._stream is not None:
            await self._stream.aclose()


class _InOnePiece:
    """A backend that can't stream, as one that can."""

    def __init__(self, backend: Any, exchange: Exchange) -> None:
        self._backend = backend
        self._exchange = exchange

    async def stream(self, _: CompletionRequest) -> AsyncGenerator[Chunk, None]:
        async with _Completed(self._backend, self._exchange) as answer:
            async for chunk in pieces_of(answer):
                yield chunk


async def _first_chunk(exchange: Exchange, chunks: AsyncGenerator[Chunk, None]) -> Chunk:
    """Return the first of *chunks*; a stream without any may have some in the next attempt."""
    first = await next_chunk(exchange, chunks)
    if first is None:
        raise UnavailableError("the stream ended before anything came")
    return first
