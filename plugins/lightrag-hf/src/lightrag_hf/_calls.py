"""A call on its way through an engine: from an event loop to the engine's thread and back."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import attrs

from lightrag_hf._sampling import Chooser, Sampling
from lightrag_hf._text import TextStream, Vocabulary
from ragcore import Chunk, FinishReason, InterruptedStreamError, Usage


@attrs.frozen(kw_only=True)
class Ask:
    """
    What is asked of an engine.

    Attributes:
        prompt: Tokens, at least one.
        max_tokens: Longest answer, at least 1.
        stop: Texts that end the answer and are not part of it.
        begun: Beginning of the answer, where the prompt ends with it.
    """

    prompt: Sequence[int]
    max_tokens: int
    sampling: Sampling = Sampling()
    stop: Sequence[str] = ()
    begun: str = ""


class Call:
    """
    One answer: what was asked, what there is of it, and who waits for it.

    Args:
        deliver: Called in the engine's thread; raises RuntimeError once nobody can read any more.

    Attributes:
        tokens: Prompt and answer; enough to go on with after the cache is lost.
        eos: Tokens that end the answer.
        is_cancelled: Nobody waits any more; set in any thread.
        is_over: Nothing more is to be generated.
    """

    def __init__(
        self,
        ask: Ask,
        vocabulary: Vocabulary,
        eos: frozenset[int],
        deliver: Callable[[Chunk | Exception], object],
    ) -> None:
        self.ask = ask
        self.tokens = list(ask.prompt)
        self.is_cancelled = False
        self._is_finished = False
        self._text = TextStream(vocabulary, ask.stop)
        self.eos = eos
        self._deliver = deliver
        self._chooser: Chooser | None = None

    @property
    def is_over(self) -> bool:
        return self._is_finished or self.is_cancelled

    @property
    def usage(self) -> Usage:
        """What it has cost so far; a token that ends the answer counts."""
        read = len(self.ask.prompt)
        return Usage(read, len(self.tokens) - read)

    def chooser(self, device: Any) -> Chooser:
        """Return what chooses its tokens, the same each time."""
        self._chooser = self._chooser or Chooser(self.ask.sampling, device)
        return self._chooser

    def take(self, token: int) -> None:
        """Go on by *token*: deliver its text, or the end."""
        self.tokens.append(token)
        if token in self.eos:
            self._finish("stop", self._text.end())
            return
        text = self._text.add(token)
        if self._text.is_stopped:
            self._finish("stop", text)
        elif self.usage.output_tokens >= self.ask.max_tokens:
            self.cut(text)
        elif text:
            self._send(Chunk(text))

    def cut(self, text: str = "") -> None:
        """Deliver *text*, what was held back, and the end."""
        text += self._text.end()
        self._finish("stop" if self._text.is_stopped else "length", text)

    def fail(self, error: Exception) -> None:
        """Deliver *error* instead of more text."""
        self._is_finished = True
        self._send(error)

    def _finish(self, reason: FinishReason, text: str) -> None:
        self._is_finished = True
        self._send(Chunk(text, finish_reason=reason, usage=self.usage))

    def _send(self, letter: Chunk | Exception) -> None:
        try:
            self._deliver(letter)
        except RuntimeError:
            # Its event loop was closed while it waited.
            self.is_cancelled = True


class CallQueue:
    """Calls that wait for an engine's thread; safe to use from any."""

    def __init__(self) -> None:
        self.is_closed = False
        self._calls: deque[Call] = deque()
        self._change = threading.Condition()

    def put(self, call: Call) -> None:
        """Append *call*; raise InterruptedStreamError once the queue is closed."""
        with self._change:
            if self.is_closed:
                raise closed_error()
            self._calls.append(call)
            self._change.notify()

    def put_back(self, calls: Iterable[Call]) -> None:
        """Put *calls* before all others, in their order."""
        with self._change:
            self._calls.extendleft(reversed(list(calls)))

    def take(self, is_fitting: Callable[[Call], bool] = lambda _: True) -> Call | None:
        """Remove the first call if it is fitting; None if there is none or it is not."""
        with self._change:
            while self._calls and self._calls[0].is_over:
                self._calls.popleft()
            if self._calls and is_fitting(self._calls[0]):
                return self._calls.popleft()
            return None

    def wait(self) -> None:
        """Sleep until there is a call, or the queue is closed."""
        with self._change:
            self._change.wait_for(lambda: self._calls or self.is_closed)

    def close(self) -> None:
        """Accept nothing more."""
        with self._change:
            self.is_closed = True
            self._change.notify_all()

    @property
    def is_empty(self) -> bool:
        return not self._calls


def closed_error() -> InterruptedStreamError:
    """Return what calls get that are under way when their model is closed."""
    return InterruptedStreamError("the model was closed before the answer was complete")
