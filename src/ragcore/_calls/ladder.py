"""Asks for JSON in one way after another, until it comes."""

from __future__ import annotations

from typing import Any

import attrs

from ragcore._calls.layers import Around
from ragcore._calls.rungs import Format, json_in, repaired
from ragcore._records import Completion, CompletionRequest
from ragcore.errors import InvalidRequestError, ProviderError, UnsupportedError

# What refuses a way to ask; of the first, subclasses say that it was something else.
_REFUSALS = (InvalidRequestError, UnsupportedError)


class Descending(Around):
    """
    Enters the step within in each of the ways that the exchange has left, until JSON comes.

    The way that worked is remembered, so that the model is asked in that one the next time. A
    stream goes down when it is refused; what it says is handed on as it comes.
    """

    __slots__ = ()

    async def __aenter__(self) -> Any:
        begun = self.exchange.ways[:1]
        while (answer := await self._asked()) is None:
            self._go_down()
        if self.exchange.ways[:1] != begun:
            self.exchange.opening.remember(self.exchange.ways)
        return answer

    async def _asked(self) -> Any:
        """Return an answer; None if the next way is to be tried."""
        is_last = len(self.exchange.ways) <= 1
        try:
            answer = await self.enter()
        except _REFUSALS as exc:
            if is_last or type(exc) not in _REFUSALS:
                raise
            return None
        if not (self.exchange.ways and isinstance(answer, Completion)):
            return answer
        found = self._json_of(answer, is_last=is_last)
        if found is None:
            await self.__aexit__(None, None, None)
        return found

    def _json_of(self, answer: Completion, *, is_last: bool) -> Completion | None:
        """Return *answer* with its JSON alone, or one without any; None to try the next way."""
        exchange = self.exchange
        wanted = exchange.ways[-1].worded
        if wanted is None:
            return answer
        text = answer.text if answer.text.strip() else answer.reasoning
        found = json_in(text, wanted)
        if found is None and (answer.finish_reason != "stop" or (is_last and not text)):
            # It was cut, held back, or is empty, which is told as with any other answer.
            return answer
        if found is None and is_last:
            found = self._repaired(text, wanted)
        if found is None:
            return None
        exchange.answer = attrs.evolve(answer, text=found)
        return exchange.answer

    def _repaired(self, text: str, wanted: Format) -> str:
        exchange = self.exchange
        found = repaired(text, wanted)
        if found is None:
            with exchange.opening.at_the_edge(exchange.attempts):
                raise ProviderError(
                    f"no JSON came, however it was asked for; the answer begins {text[:80]!r}"
                )
        exchange.ways = (attrs.evolve(exchange.ways[0], rung="repaired"),)
        return found

    def _go_down(self) -> None:
        exchange = self.exchange
        before, exchange.ways = exchange.ways[0], exchange.ways[1:]
        request = exchange.request
        assert isinstance(request, CompletionRequest)  # noqa: S101  # embeddings have no ways
        exchange.request = exchange.ways[0].put(request, before)
