"""The chunks of one answer, and the whole of it when all are here."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from types import AsyncGeneratorType
from typing import Any, Self

import attrs

from ragcore._calls.characters import mended, whole_characters
from ragcore._calls.exchange import Exchange
from ragcore._records import Chunk, Completion
from ragcore.errors import InterruptedStreamError, RequestTimeoutError, TransientError
from ragcore.wire import ThinkingSplitter


class CompletionStream:
    """
    The chunks of one answer, to be read once with ``async for``.

    Attributes:
        completion: The whole answer, once all chunks are read.
    """

    def __init__(
        self,
        exchange: Exchange,
        chunks: AsyncIterator[Chunk],
        first: Chunk | None = None,
    ) -> None:
        self._exchange = exchange
        self._chunks = chunks
        self._next = first
        self._seen: list[Chunk] = []
        self._half = self._half_thought = ""
        self._completion: Completion | None = None
        self._watch = _Watch(exchange.deadline.at, exchange.opening.retry.idle_timeout)
        self._note(first)

    @property
    def completion(self) -> Completion:
        """The whole answer, with usage and timings."""
        if self._completion is None:
            raise RuntimeError("The answer is not complete yet: read all chunks first.")
        return self._completion

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Chunk:
        if self._completion is not None:
            raise StopAsyncIteration
        chunk, self._next = self._next, None
        if chunk is None:
            chunk = await self._read()
            self._note(chunk)
        if chunk is None:
            self._completion = self._finish()
            raise StopAsyncIteration
        if (
            self._half
            or self._half_thought
            or not (chunk.text.isascii() and chunk.reasoning.isascii())
        ):
            chunk = self._mended(chunk)
        self._seen.append(chunk)
        return chunk

    def _mended(self, chunk: Chunk) -> Chunk:
        """Return *chunk* in whole characters: a first half waits for the chunk with the second."""
        text, half = whole_characters(self._half + chunk.text)
        thought, half_thought = whole_characters(self._half_thought + chunk.reasoning)
        if chunk.finish_reason is not None:
            text, half = text + mended(half), ""
            thought, half_thought = thought + mended(half_thought), ""
        self._half, self._half_thought = half, half_thought
        return attrs.evolve(chunk, text=text, reasoning=thought)

    async def aclose(self) -> None:
        """Release the connection, as leaving the block does; who reads elsewhere is interrupted."""
        await self._watch.stop()
        # One that runs is being closed already, by a loop that ends.
        if isinstance(self._chunks, AsyncGeneratorType) and not self._chunks.ag_running:
            await self._chunks.aclose()

    def _note(self, chunk: Chunk | None) -> None:
        exchange = self._exchange
        if exchange.first_chunk is None and chunk is not None and (chunk.text or chunk.reasoning):
            exchange.first_chunk = exchange.deadline.elapsed

    async def _read(self) -> Chunk | None:
        exchange = self._exchange
        with exchange.opening.at_the_edge(exchange.attempts):
            try:
                with self._watch:
                    return await next_chunk(exchange, self._chunks)
            except _Stopped as stopped:
                raise self._stopped(stopped.why) from None
            except (TransientError, TimeoutError) as exc:
                said = exc.args[0] if exc.args else "the provider timed out"
                raise self._interrupted(f"the stream broke off: {said}") from exc
            except InterruptedStreamError as exc:
                exc.text = exc.text or self._text()
                raise

    def _stopped(self, why: str) -> InterruptedStreamError | RequestTimeoutError:
        if why == _DEADLINE:
            timeout = self._exchange.deadline.timeout or 0
            return RequestTimeoutError(f"no answer before the deadline of {timeout:g} s")
        if why == _SILENT:
            idle = self._exchange.opening.retry.idle_timeout or 0
            return self._interrupted(f"the stream broke off: nothing came for {idle:g} s")
        return self._interrupted("the stream was closed while it was being read")

    def _finish(self) -> Completion:
        reasons = [chunk.finish_reason for chunk in self._seen if chunk.finish_reason]
        usages = [chunk.usage for chunk in self._seen if chunk.usage]
        with self._exchange.opening.at_the_edge(self._exchange.attempts):
            if not reasons:
                raise self._interrupted("the stream ended without saying why")
            answer = Completion(
                text=self._text(),
                finish_reason=reasons[-1],
                usage=usages[-1] if usages else None,
                reasoning="".join(chunk.reasoning for chunk in self._seen),
            )
            finished: Completion = self._exchange.finished(answer)
            return finished

    def _interrupted(self, message: str) -> InterruptedStreamError:
        return InterruptedStreamError(message, text=self._text())

    def _text(self) -> str:
        return "".join(chunk.text for chunk in self._seen)


async def next_chunk(exchange: Exchange, chunks: AsyncIterator[Chunk]) -> Chunk | None:
    """Return the next of *chunks*; None at their end."""
    try:
        chunk = await anext(chunks)
    except StopAsyncIteration:
        return None
    if not isinstance(chunk, Chunk):
        raise exchange.opening.wrong_type("stream", chunk, "chunks")
    return chunk


async def pieces_of(answer: Completion) -> AsyncGenerator[Chunk, None]:
    """Yield *answer*, which came in one piece, as a stream."""
    yield Chunk(
        answer.text, answer.reasoning, finish_reason=answer.finish_reason, usage=answer.usage
    )


async def without_thinking(
    chunks: AsyncGenerator[Chunk, None], *, opened: bool
) -> AsyncGenerator[Chunk, None]:
    """Yield *chunks* with what stands between ``<think>`` and ``</think>`` as their reasoning."""
    splitter: ThinkingSplitter | None = ThinkingSplitter(opened=opened)
    async with aclosing(chunks):
        async for chunk in chunks:
            parted = chunk if splitter is None else _parted(chunk, splitter)
            if chunk.reasoning or chunk.finish_reason:
                # Thoughts that come apart are not in the text, whatever it begins with.
                splitter = None
            if parted != _NOTHING:
                yield parted
    if splitter is not None and any(held := splitter.end()):
        yield Chunk(*held)


_NOTHING = Chunk()


def _parted(chunk: Chunk, splitter: ThinkingSplitter) -> Chunk:
    text, thought = splitter.feed(chunk.text)
    if chunk.reasoning or chunk.finish_reason:
        held_text, held_thought = splitter.end()
        text, thought = text + held_text, thought + held_thought
    if text == chunk.text and not thought:
        return chunk
    return attrs.evolve(chunk, text=text, reasoning=chunk.reasoning + thought)


_DEADLINE, _CLOSED, _SILENT = "deadline", "closed", "silent"


class _Stopped(Exception):  # noqa: N818  # never leaves this module
    """Reading was interrupted by the watch."""

    def __init__(self, why: str) -> None:
        self.why = why


class _Watch:
    """
    Interrupts whoever reads: at the deadline, after a long silence, or when the stream is closed.

    One timer at a time: a timeout context for each chunk costs more than the chunk.
    """

    __slots__ = (
        "_at",
        "_cancelling",
        "_idle",
        "_left",
        "_loop",
        "_reader",
        "_since",
        "_timer",
        "_why",
    )

    def __init__(self, at: float | None, idle: float | None) -> None:
        self._at = _NEVER if at is None else at
        self._idle = idle or _NEVER
        self._loop = asyncio.get_running_loop()
        self._since = _NEVER
        self._reader: asyncio.Task[Any] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._left: asyncio.Event | None = None
        self._why = ""
        self._cancelling = 0

    def __enter__(self) -> None:
        if self._why:
            raise _Stopped(self._why)
        task = asyncio.current_task()
        assert task is not None  # noqa: S101  # a coroutine runs in one
        self._reader, self._cancelling = task, task.cancelling()
        self._since = self._loop.time()
        if self._timer is None:
            self._look_again()

    def __exit__(self, kind: object, exc: BaseException | None, traceback: object) -> None:
        reader, self._reader = self._reader, None
        if self._left is not None:
            self._left.set()
        if not self._why or reader is None:
            return
        is_ours = reader.uncancel() <= self._cancelling
        if is_ours and isinstance(exc, asyncio.CancelledError):
            raise _Stopped(self._why)

    async def stop(self) -> None:
        """Interrupt another task that is reading, and wait until it has left."""
        if self._timer is not None:
            self._timer.cancel()
        if self._reader is not None and self._reader is not asyncio.current_task():
            self._left = asyncio.Event()
            self._interrupt(_CLOSED)
            await self._left.wait()

    def _look_again(self) -> None:
        """Have the clock looked at when it may be time; chunks that came meanwhile put it off."""
        at = min(self._at, self._since + self._idle)
        self._timer = None if at == _NEVER else self._loop.call_at(at, self._look)

    def _look(self) -> None:
        self._timer = None
        now = self._loop.time()
        if now >= self._at:
            self._interrupt(_DEADLINE)
        elif self._reader is not None and now >= self._since + self._idle:
            self._interrupt(_SILENT)
        elif self._reader is not None:
            self._look_again()

    def _interrupt(self, why: str) -> None:
        self._why = why
        if self._reader is not None:
            self._reader.cancel()


_NEVER = float("inf")
