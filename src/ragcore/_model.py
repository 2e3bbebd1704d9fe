"""The host's side of a call: what is the same whoever serves it."""

from __future__ import annotations

import asyncio
import copy
import inspect
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from typing import Any, Self, TypeVar

import attrs

from ragcore import _structured
from ragcore._errors import at_the_edge
from ragcore._host_options import HostOptions
from ragcore._messages import conversation
from ragcore._records import (
    Capabilities,
    Chunk,
    Completion,
    CompletionRequest,
    Message,
    Retry,
    Timings,
)
from ragcore._retry import Attempts, Deadline, persist, within
from ragcore.errors import (
    ContentFilterError,
    EmptyResponseError,
    InterruptedStreamError,
    OptionsError,
    PluginError,
    ProviderError,
    TransientError,
    TruncatedResponseError,
    UnsupportedError,
)
from ragcore.hookspecs import CompletionBackend
from ragcore.options import BindingOptions, merge, refuse_twice

T = TypeVar("T")

_log = logging.getLogger("ragcore")


@attrs.frozen
class Identity:
    """Whose model it is, and how it is called: what completion and embedding have in common."""

    provider: str
    model: str
    distribution: str
    capabilities: Capabilities
    options: BindingOptions
    host: HostOptions
    retry: Retry
    warned: set[str] = attrs.field(factory=set, repr=False, eq=False)

    @property
    def reference(self) -> str:
        """How users name it."""
        return f"{self.provider}:{self.model}"

    def refuse(self, option: str, why: str) -> None:
        """
        Say that the model can't do what *option* asks, as ``on_unsupported`` wants it said.

        Raises:
            UnsupportedError: Unless a line in the log was asked for.
        """
        if self.host.on_unsupported != "warn":
            raise UnsupportedError(f"{self.reference}: {option}: {why}.")
        if option not in self.warned:
            self.warned.add(option)
            _log.warning("%s: %s is left out: %s", self.reference, option, why)

    def wrong_type(self, method: str, found: object, wanted: str = "") -> PluginError:
        """Say that the plugin's *method* broke its contract."""
        but = f", not {wanted}" if wanted else ""
        return PluginError(
            f"{self.distribution}: {method}() returned a {type(found).__name__}{but}; "
            "ask its authors to mend it."
        )

    async def next_chunk(self, chunks: AsyncGenerator[Chunk, None]) -> Chunk | None:
        """Return the next of *chunks*; None at their end."""
        try:
            chunk = await anext(chunks)
        except StopAsyncIteration:
            return None
        if not isinstance(chunk, Chunk):
            raise self.wrong_type("stream", chunk, "chunks")
        return chunk


class Call:
    """One call under way: its deadline, its attempts and its clock."""

    def __init__(self, identity: Identity, timeout: float | None) -> None:
        _check_timeout(timeout)
        self.identity: Identity = identity
        self.deadline: Deadline = Deadline(identity.host.timeout if timeout is None else timeout)
        self.attempts: Attempts = Attempts()
        self._loop = asyncio.get_running_loop()
        self._began = self._loop.time()
        self._first_chunk: float | None = None
        self._parts = [self.attempts]

    async def persist(self, attempt: Callable[[], Awaitable[T]]) -> T:
        """Try *attempt* as often as it may be tried."""
        with at_the_edge(self.identity.provider, self.identity.model, self.attempts):
            return await persist(attempt, self.identity.retry, self.deadline, self.attempts)

    async def within(self, step: Callable[[], Awaitable[T]]) -> T:
        """Do *step* before the deadline, once."""
        with at_the_edge(self.identity.provider, self.identity.model, self.attempts):
            return await within(step, self.deadline)

    def branch(self) -> Call:
        """Return a part of this call with attempts of its own: one request of several."""
        part = copy.copy(self)
        part.attempts = Attempts()
        self._parts.append(part.attempts)
        return part

    def note(self, chunk: Chunk | None) -> None:
        """Note when the first content arrives."""
        if self._first_chunk is None and chunk is not None and (chunk.text or chunk.reasoning):
            self._first_chunk = self._loop.time() - self._began

    def timings(self) -> Timings:
        """Say where the time went, up to now."""
        total = self._loop.time() - self._began
        return Timings(
            retrying=max(part.retrying for part in self._parts),
            first_chunk=total if self._first_chunk is None else self._first_chunk,
            total=total,
            attempts=sum(part.count for part in self._parts),
        )


@attrs.frozen
class _Asked:
    """A request and what is to become of its answer."""

    request: CompletionRequest
    wanted: _structured.Wanted | None
    rung: Any

    def finished(self, answer: Completion) -> Completion:
        """Check *answer*, mark it, and parse it if a class was wanted."""
        _check_content(answer)
        answer = attrs.evolve(answer, structured=self.rung)
        if self.wanted is not None and self.wanted.parse is not None:
            return _structured.parsed(answer, self.wanted.parse)
        return answer


class CompletionModel:
    """
    A model that completes; made by :func:`ragcore.completion`.

    Safe to use from many tasks of its event loop at once.
    """

    def __init__(self, backend: CompletionBackend, identity: Identity) -> None:
        self._backend = backend
        self._identity = identity

    @property
    def reference(self) -> str:
        """``"provider:model"``."""
        return self._identity.reference

    @property
    def capabilities(self) -> Capabilities:
        """What the model can do."""
        return self._identity.capabilities

    @property
    def can_stream(self) -> bool:
        """Whether there is :meth:`stream`; without it answers come in one piece only."""
        return hasattr(self._backend, "stream")

    def __repr__(self) -> str:
        return f"<CompletionModel {self.reference}>"

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
        with at_the_edge(self._identity.provider, self._identity.model, call.attempts):
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
    ) -> _Asked:
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
        return _Asked(request, wanted, rung)

    def _format(
        self, turns: tuple[Message, ...], response_format: Any
    ) -> tuple[tuple[Message, ...], Any, _structured.Wanted | None, Any]:
        wanted = _structured.wanted(response_format)
        if wanted is None:
            return turns, None, None, None
        if _structured.is_native(wanted.format, self.capabilities):
            return turns, wanted.format, wanted, "native"
        if self._identity.host.on_unsupported == "prompt":
            return _structured.prompted(turns, wanted.format), None, wanted, "prompted"
        self._identity.refuse(
            "response_format",
            "the model can't be made to answer in JSON; on_unsupported='prompt' asks it in words",
        )
        return turns, None, None, None


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
        asked: _Asked,
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
        with at_the_edge(identity.provider, identity.model, self._call.attempts):
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


def _check_timeout(timeout: float | None) -> None:
    if timeout is None:
        return
    if isinstance(timeout, bool) or not isinstance(timeout, int | float) or not 0 <= timeout < _INF:
        raise OptionsError(f"timeout: {timeout!r} is not a number of seconds, 0 or more")


_INF = float("inf")


def _tokens(count: int | None) -> int | None:
    if count is not None and (isinstance(count, bool) or not isinstance(count, int) or count < 1):
        raise OptionsError(f"max_output_tokens: {count!r} is not a whole number above 0")
    return count


_NO_CONTENT: dict[str, tuple[type[ProviderError], str]] = {
    "stop": (EmptyResponseError, "the answer is empty"),
    "length": (TruncatedResponseError, "the token limit was reached before the answer began"),
    "content_filter": (ContentFilterError, "a content filter held the answer back"),
}


def _check_content(answer: Completion) -> None:
    if not answer.text:
        kind, message = _NO_CONTENT[answer.finish_reason]
        raise kind(message)
