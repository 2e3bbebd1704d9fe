"""How an answer is told to LightRAG: in one piece, or as a stream that nobody will close."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Iterator
from typing import Any, Self

import attrs

from ragcore._calls.owner import Owner
from ragcore._calls.stream import CompletionStream
from ragcore._records import Completion, Usage
from ragcore.errors import TruncatedResponseError
from ragcore.lightrag._engine import engines_own

_log = logging.getLogger("ragcore")

_CUT = {"length": "by the token limit", "content_filter": "by a content filter"}


@attrs.define
class Telling:
    """What LightRAG gets to know of one answer; reasoning between ``<think>`` and ``</think>``."""

    reference: str
    shows_reasoning: bool
    token_tracker: Any
    _is_thinking: bool = attrs.field(default=False, init=False)

    def whole(self, answer: Completion) -> str:
        """Return all of *answer*, in the class that says whether it was cut."""
        self.account(answer)
        text = self.piece(answer.reasoning, answer.text) + self.ending()
        return text if answer.finish_reason == "stop" else engines_own("TruncatedResponse")(text)

    def piece(self, reasoning: str, text: str) -> str:
        """Return what to tell of a piece of an answer; it may be empty."""
        told = ""
        if self.shows_reasoning and reasoning:
            told = reasoning if self._is_thinking else f"<think>{reasoning}"
            self._is_thinking = True
        return told + self.ending() + text if text else told

    def ending(self) -> str:
        """Return what is missing if the reasoning is over."""
        ending = "</think>" if self._is_thinking else ""
        self._is_thinking = False
        return ending

    def account(self, answer: Completion) -> None:
        """Count what *answer* cost, and log that it was cut, if it was."""
        count(self.token_tracker, answer.usage)
        if answer.finish_reason != "stop":
            _log.warning("%s: the answer was cut %s", self.reference, _CUT[answer.finish_reason])


def count(token_tracker: Any, usage: Usage | None) -> None:
    """Add *usage* to LightRAG's *token_tracker*, if there are both."""
    if token_tracker is not None and usage is not None:
        token_tracker.add_usage(
            {
                "prompt_tokens": usage.input_tokens,
                "completion_tokens": usage.output_tokens,
                "total_tokens": usage.total_tokens,
            }
        )


@contextlib.contextmanager
def engines_errors() -> Iterator[None]:
    """Raise LightRAG's own error for what it tells apart."""
    try:
        yield
    except TruncatedResponseError as exc:
        raise engines_own("EmptyTruncatedResponseError")(str(exc)) from exc


async def begun(owner: Owner[CompletionStream], telling: Telling) -> Pieces:
    """Return a stream whose first piece is here: what goes wrong before belongs to the call."""
    pieces = Pieces(owner, telling)
    await pieces.begin()
    return pieces


@attrs.define(eq=False)
class Pieces:
    """
    A streamed answer: an asynchronous iterator of non-empty ``str``.

    LightRAG reads it in other tasks than it was made in, perhaps not to its end or not at all, and
    never closes it; so it lets go of the connection when it ends, fails, or is dropped.
    """

    _owner: Owner[CompletionStream]
    _telling: Telling
    _loop: asyncio.AbstractEventLoop = attrs.field(factory=asyncio.get_running_loop, init=False)
    _first: str | None = attrs.field(default=None, init=False)
    _is_over: bool = attrs.field(default=False, init=False)

    async def begin(self) -> None:
        """Wait for the first piece, and keep it."""
        self._first = await anext(self)

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> str:
        if self._first is not None:
            piece, self._first = self._first, None
            return piece
        if self._is_over:
            raise StopAsyncIteration
        try:
            with engines_errors():
                return await self._read()
        except BaseException:
            await self.aclose()
            raise

    async def aclose(self) -> None:
        """Let go of the connection; nothing more comes."""
        self._first, self._is_over = None, True
        await self._owner.release()

    def __del__(self) -> None:
        # Runs in any thread. A loop that is closed has ended the owner already.
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._owner.end)

    async def _read(self) -> str:
        stream = await self._owner.value()
        async for chunk in stream:
            if piece := self._telling.piece(chunk.reasoning, chunk.text):
                return piece
        if ending := self._telling.ending():
            return ending
        self._telling.account(stream.completion)
        raise StopAsyncIteration
