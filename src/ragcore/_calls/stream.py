"""The chunks of one answer, and what becomes of them when all are here."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from typing import Self

import attrs

from ragcore._calls import answers
from ragcore._calls.exchange import Call
from ragcore._records import Chunk, Completion, CompletionRequest, Rung
from ragcore.errors import (
    ContentFilterError,
    EmptyResponseError,
    InterruptedStreamError,
    ProviderError,
    TransientError,
    TruncatedResponseError,
)


@attrs.frozen
class Asked:
    """A request and what is to become of its answer."""

    request: CompletionRequest
    wanted: answers.Wanted | None
    rung: Rung | None

    def finished(self, answer: Completion) -> Completion:
        """Check *answer*, mark it, and parse it if a class was wanted."""
        _check_content(answer)
        answer = attrs.evolve(answer, structured=self.rung)
        if self.wanted is not None and self.wanted.parse is not None:
            return answers.parsed(answer, self.wanted.parse)
        return answer


class CompletionStream:
    """
    The chunks of one answer, to be read once with ``async for``.

    Attributes:
        completion: The whole answer, once all chunks are read.
    """

    def __init__(
        self,
        chunks: AsyncGenerator[Chunk, None],
        first: Chunk | None,
        call: Call,
        asked: Asked,
    ) -> None:
        self._chunks = chunks
        self._next = first
        self._call = call
        self._asked = asked
        self._seen: list[Chunk] = []
        self._completion: Completion | None = None
        self._waiting: asyncio.Timeout | None = None
        self._idle = asyncio.Event()

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
            chunk = await self._read() if self._seen else None
        if chunk is None:
            self._completion = self._finish()
            raise StopAsyncIteration
        self._seen.append(chunk)
        return chunk

    async def _read(self) -> Chunk | None:
        try:
            return await self._call.within(self._awaited)
        except TransientError as exc:
            if self._call.deadline.left <= 0:
                raise
            raise self._interrupted(f"the stream broke off: {exc.args[0]}") from exc
        except InterruptedStreamError as exc:
            exc.text = exc.text or self._text()
            raise

    async def _awaited(self) -> Chunk | None:
        self._idle.clear()
        try:
            async with asyncio.timeout(None) as self._waiting:
                chunk = await self._call.identity.next_chunk(self._chunks)
        except TimeoutError:
            if self._waiting is None or not self._waiting.expired():
                raise
            raise self._interrupted("the stream was closed while it was being read") from None
        finally:
            self._waiting = None
            self._idle.set()
        self._call.note(chunk)
        return chunk

    async def aclose(self) -> None:
        """Release the connection, as leaving the block does; who reads elsewhere is interrupted."""
        if self._waiting is not None and self._waiting.when() is None:
            self._waiting.reschedule(asyncio.get_running_loop().time())
            await self._idle.wait()
        await self._chunks.aclose()

    def _finish(self) -> Completion:
        reasons = [chunk.finish_reason for chunk in self._seen if chunk.finish_reason]
        if not reasons:
            raise self._interrupted("the stream ended without saying why")
        usages = [chunk.usage for chunk in self._seen if chunk.usage]
        answer = Completion(
            text=self._text(),
            finish_reason=reasons[-1],
            usage=usages[-1] if usages else None,
            reasoning="".join(chunk.reasoning for chunk in self._seen),
            timings=self._call.timings(),
        )
        identity = self._call.identity
        with identity.at_the_edge(self._call.attempts):
            return self._asked.finished(answer)

    def _interrupted(self, message: str) -> InterruptedStreamError:
        identity = self._call.identity
        return InterruptedStreamError(
            message,
            text=self._text(),
            provider=identity.provider,
            model=identity.model,
            attempts=self._call.attempts.count,
        )

    def _text(self) -> str:
        return "".join(chunk.text for chunk in self._seen)


_NO_CONTENT: dict[str, tuple[type[ProviderError], str]] = {
    "stop": (EmptyResponseError, "the answer is empty"),
    "length": (TruncatedResponseError, "the token limit was reached before the answer began"),
    "content_filter": (ContentFilterError, "a content filter held the answer back"),
}


def _check_content(answer: Completion) -> None:
    if not answer.text:
        kind, message = _NO_CONTENT[answer.finish_reason]
        raise kind(message)
