"""The host's side of a completion."""

from __future__ import annotations

import inspect
from collections.abc import AsyncGenerator, AsyncIterator, Iterable
from contextlib import asynccontextmanager
from typing import Any

import attrs

from ragcore._calls import answers
from ragcore._calls.exchange import Call, Identity, Model
from ragcore._calls.messages import conversation
from ragcore._calls.stream import Asked, CompletionStream
from ragcore._records import Chunk, Completion, CompletionRequest, JSONObject, Message
from ragcore.errors import OptionsError, UnsupportedError
from ragcore.hookspecs import CompletionBackend
from ragcore.options import merge, refuse_twice


class CompletionModel(Model):
    """
    A model that completes; made by :func:`ragcore.completion`.

    Safe to use from many tasks of its event loop at once.
    """

    def __init__(self, backend: CompletionBackend, identity: Identity) -> None:
        super().__init__(identity)
        self._backend = backend

    @property
    def can_stream(self) -> bool:
        """Whether there is :meth:`stream`; without it answers come in one piece only."""
        return hasattr(self._backend, "stream")

    async def complete(
        self,
        messages: str | Message | Iterable[Message],
        *,
        system: str | None = None,
        response_format: Any = None,
        max_output_tokens: int | None = None,
        timeout: float | None = None,  # noqa: ASYNC109  # the deadline of all attempts together
        **options: Any,
    ) -> Completion:
        """
        Answer in one piece.

        Args:
            messages: A question, or a conversation.
            system: How to behave; goes before *messages*.
            response_format: What the answer is to look like: :class:`ragcore.JSONObject`, a JSON
                Schema, a pydantic model, or an attrs class (extra ``msgspec``); of a class,
                ``answer.parsed`` holds the instance.
            max_output_tokens: Upper bound of the answer, in tokens.
            timeout: Deadline in seconds, retries and waits included; 0 for none, None for the
                model's.
            options: Options of the provider with ``scope="call"``.

        Raises:
            ProviderError: It did not deliver; the subclass says why.
            UnsupportedError: The model can't do what was asked.
            OptionsError: An option is unknown or invalid; all problems at once.
        """
        call = Call(self._identity, timeout)
        asked = self._ask(messages, system, response_format, max_output_tokens, options)

        async def attempt() -> Completion:
            answering = self._backend.complete(asked.request)
            if not inspect.isawaitable(answering):
                raise self._identity.wrong_type("complete", answering, "an awaitable")
            answer = await answering
            if not isinstance(answer, Completion):
                raise self._identity.wrong_type("complete", answer)
            return answer

        answer = await call.persist(attempt)
        with self._identity.at_the_edge(call.attempts):
            return attrs.evolve(asked.finished(answer), timings=call.timings())

    @asynccontextmanager
    async def stream(
        self,
        messages: str | Message | Iterable[Message],
        *,
        system: str | None = None,
        response_format: Any = None,
        max_output_tokens: int | None = None,
        timeout: float | None = None,  # noqa: ASYNC109  # the deadline of all attempts together
        **options: Any,
    ) -> AsyncIterator[CompletionStream]:
        """
        Answer piece by piece; arguments and errors as in :meth:`complete`.

        ``async with`` returns when the first chunk is there, after retries if need be. Leaving the
        block releases the connection, whatever was read.

        Raises:
            InterruptedStreamError: The stream broke off later; carries the text so far.
        """
        call = Call(self._identity, timeout)
        asked = self._ask(messages, system, response_format, max_output_tokens, options)
        stream = getattr(self._backend, "stream", None)
        if stream is None:
            raise UnsupportedError(f"{self.reference}: can't stream; use complete().")

        async def attempt() -> tuple[AsyncGenerator[Chunk, None], Chunk | None]:
            chunks = stream(asked.request)
            if not isinstance(chunks, AsyncGenerator):
                # It might be a coroutine, which would complain that nobody awaits it.
                getattr(chunks, "close", lambda: None)()
                raise self._identity.wrong_type("stream", chunks, "an async generator")
            try:
                return chunks, await self._identity.next_chunk(chunks)
            except BaseException:
                await chunks.aclose()
                raise

        chunks, first = await call.persist(attempt)
        call.note(first)
        opened = CompletionStream(chunks, first, call, asked)
        try:
            yield opened
        finally:
            await opened.aclose()

    def _ask(
        self,
        messages: str | Message | Iterable[Message],
        system: str | None,
        response_format: Any,
        max_output_tokens: int | None,
        options: dict[str, Any],
    ) -> Asked:
        turns = conversation(messages, system)
        if not self.capabilities.images and any(turn.images for turn in turns):
            self._identity.refuse("images", "the model does not look at images")
            turns = tuple(attrs.evolve(turn, images=()) for turn in turns)
        turns, asked_format, wanted, rung = self._format(turns, response_format)
        merged = merge(self._identity.options, options)
        if max_output_tokens is not None:
            refuse_twice(merged, "max_output_tokens")
        request = CompletionRequest(
            messages=turns,
            options=merged,
            response_format=asked_format,
            max_output_tokens=_tokens(max_output_tokens),
            attempt_timeout=self._identity.retry.attempt_timeout,
        )
        return Asked(request, wanted, rung)

    def _format(
        self, turns: tuple[Message, ...], response_format: Any
    ) -> tuple[tuple[Message, ...], Any, answers.Wanted | None, Any]:
        wanted = answers.wanted(response_format)
        if wanted is None:
            return turns, None, None, None
        if answers.is_native(wanted.format, self.capabilities):
            return turns, wanted.format, wanted, "native"
        if self._identity.host.on_unsupported == "prompt":
            # Half of what was asked for is better than nothing of it.
            least = JSONObject()
            native = least if answers.is_native(least, self.capabilities) else None
            return answers.prompted(turns, wanted.format), native, wanted, "prompted"
        self._identity.refuse(
            "response_format",
            "the model can't be made to answer in JSON; on_unsupported='prompt' asks it in words",
        )
        return turns, None, None, None


def _tokens(count: int | None) -> int | None:
    if count is not None and (isinstance(count, bool) or not isinstance(count, int) or count < 1):
        raise OptionsError(f"max_output_tokens: {count!r} is not a whole number above 0")
    return count
