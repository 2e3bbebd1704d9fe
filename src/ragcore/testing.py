"""
Fakes for tests: a provider that does what a script says, and a clock that doesn't wait.

::

    from ragcore.testing import FakeClock, Script, scripted

    def test_waits_as_told():
        script = Script(RateLimitError("slow down", retry_after=30), "Goethe")

        async def ask():
            async with ragcore.completion("scripted:any", script=script) as model:
                return await model.complete("Who wrote Faust?")

        with scripted(), FakeClock() as clock:
            assert clock.run(ask()).text == "Goethe"
            assert clock.time >= 30
"""

from __future__ import annotations

import asyncio
import hashlib
import selectors
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Coroutine, Iterator
from contextlib import AbstractContextManager, asynccontextmanager
from types import TracebackType
from typing import Any, Self, TypeVar

import attrs

from ragcore._plugins import plugged
from ragcore._records import (
    Capabilities,
    Chunk,
    Completion,
    CompletionRequest,
    EmbeddingRequest,
    Embeddings,
    Retry,
    Usage,
)
from ragcore._secrets import Secret
from ragcore._sources import Source
from ragcore.hookspecs import CompletionProvider, EmbeddingProvider, hookimpl
from ragcore.options import BindingOptions, option

T = TypeVar("T")

DIMENSIONS = 8


@attrs.frozen
class Delay:
    """A step that takes *seconds* before it does what *then* says."""

    seconds: float
    then: Any = ""


class Script:
    """
    What a scripted provider does, attempt by attempt.

    Args:
        steps: For one attempt each: a str or :class:`ragcore.Completion` to answer with, an
            exception to raise, a :class:`Delay`, a list of chunks (str, :class:`ragcore.Chunk`,
            exceptions and delays) to stream, an :class:`ragcore.Embeddings`, or a function of the
            request that returns one of these.
        forever: The step for every attempt after *steps*; without it one more is an
            AssertionError.

    Attributes:
        requests: What the attempts were handed, in order.
        opened: How many clients were opened.
        closed: How many were closed again.
        abandoned: How many streams were closed before their end.
    """

    def __init__(self, *steps: Any, forever: Any = None) -> None:
        self._steps = list(steps)
        self._forever = forever
        self.requests: list[CompletionRequest | EmbeddingRequest] = []
        self.opened = 0
        self.closed = 0
        self.abandoned = 0

    def next_step(self, request: CompletionRequest | EmbeddingRequest) -> Any:
        """Note *request* and return what to do with it."""
        self.requests.append(request)
        if not self._steps and self._forever is None:
            raise AssertionError(f"the script has no step for attempt {len(self.requests)}")
        step = self._steps.pop(0) if self._steps else self._forever
        return step(request) if callable(step) else step


class ScriptedOptions(BindingOptions, binding="scripted"):
    """Which script, and a secret for tests that look for leaks."""

    script: Script = option("What to do.", env=None)
    api_key: Secret | None = option("Not used.", default=None, secret=True)


class ScriptedLLMOptions(BindingOptions, binding="scripted_llm"):
    """A few options of the usual kinds."""

    temperature: float | None = option("Randomness.", default=None, scope="call")
    seed: int | None = option("For repeatable answers.", default=None, scope="call")
    stop: list[str] | None = option("Where to stop.", default=None, scope="call")
    num_ctx: int | None = option("Context window, in tokens.", default=None)


class ScriptedEmbeddingOptions(BindingOptions, binding="scripted_embedding"):
    """Where vectors start."""

    prefix: str = option("Put before each text.", default="")


def plugin(implementation: object, *, distribution: str = "test") -> AbstractContextManager[None]:
    """
    Have *implementation*, a module or object with hooks, as an installed plugin.

    Args:
        implementation: What an entry point would name.
        distribution: The package it pretends to come from.
    """
    return plugged(Source(distribution, "0", distribution, lambda: implementation))


def scripted(
    capabilities: Capabilities | None = None,
    retry: Retry | None = None,
    *,
    name: str = "scripted",
) -> AbstractContextManager[None]:
    """
    Have a provider whose models do what ``script=`` says, for as long as the block runs.

    Args:
        capabilities: What its models can do; everything, if not given.
        retry: Its default persistence.
        name: What stands before the colon.
    """
    able = _ABLE if capabilities is None else capabilities
    return plugin(_ScriptedPlugin(name, able, retry or Retry()), distribution=f"{name}-plugin")


_ABLE = Capabilities(
    json_object=True,
    json_schema=True,
    images=True,
    reasoning=True,
    dimensions=True,
    input_type=True,
)


@attrs.frozen
class _ScriptedPlugin:
    name: str
    capabilities: Capabilities
    retry: Retry

    @hookimpl
    def ragcore_completion_providers(self) -> Iterator[CompletionProvider]:
        yield CompletionProvider(
            name=self.name,
            connection=ScriptedOptions,
            options=ScriptedLLMOptions,
            connect="ragcore.testing:_connect",
            backend="ragcore.testing:_ScriptedBackend",
            capabilities=self.capabilities,
            retry=self.retry,
        )

    @hookimpl
    def ragcore_embedding_providers(self) -> Iterator[EmbeddingProvider]:
        yield EmbeddingProvider(
            name=self.name,
            connection=ScriptedOptions,
            options=ScriptedEmbeddingOptions,
            connect="ragcore.testing:_connect",
            backend="ragcore.testing:_ScriptedBackend",
            describe="ragcore.testing:_describe",
            tokenizer="ragcore.testing:_tokenizer",
            capabilities=self.capabilities,
            retry=self.retry,
        )


@asynccontextmanager
async def _connect(connection: ScriptedOptions) -> AsyncIterator[Script]:
    connection.script.opened += 1
    try:
        yield connection.script
    finally:
        connection.script.closed += 1


class _ScriptedBackend:
    def __init__(self, script: Script, *_: object) -> None:
        self._script = script

    async def complete(self, request: CompletionRequest) -> Completion:
        step = await _reached(self._script.next_step(request))
        return Completion(step) if isinstance(step, str) else step

    async def stream(self, request: CompletionRequest) -> AsyncGenerator[Chunk, None]:
        step = self._script.next_step(request)
        pieces = step if isinstance(step, list) else [step, Chunk(finish_reason="stop")]
        try:
            for piece in pieces:
                reached = await _reached(piece)
                yield Chunk(reached) if isinstance(reached, str) else reached
        except GeneratorExit:
            self._script.abandoned += 1
            raise

    async def embed(self, request: EmbeddingRequest) -> Embeddings:
        step = await _reached(self._script.next_step(request))
        return step if step is not None and not isinstance(step, str) else embeddings(request)


async def _reached(step: Any) -> Any:
    while isinstance(step, Delay):
        await asyncio.sleep(step.seconds)
        step = step.then
    if isinstance(step, BaseException):
        raise step
    return step


def embeddings(request: EmbeddingRequest) -> Embeddings:
    """Return made-up vectors that depend on each text alone; a script's step for embedding."""
    import numpy as np

    digests = [hashlib.sha256(text.encode()).digest() for text in request.texts]
    length = request.dimensions or DIMENSIONS
    rows = [np.frombuffer(digest * length, np.uint8)[:length] for digest in digests]
    return Embeddings(np.array(rows, np.float32), usage=Usage(sum(map(len, request.texts))))


def _describe(*_: object) -> tuple[int | None, int | None]:
    return DIMENSIONS, None


def _tokenizer(*_: object) -> CharacterTokenizer:
    return CharacterTokenizer()


class CharacterTokenizer:
    """A :class:`ragcore.Tokenizer` whose tokens are code points."""

    def encode(self, text: str) -> list[int]:
        """Return the code points of *text*."""
        return [ord(character) for character in text]

    def decode(self, tokens: list[int]) -> str:
        """Return the text of code points."""
        return "".join(map(chr, tokens))


# --- time -----------------------------------------------------------------------------------


class FakeClock:
    """
    An event loop that never waits: when nothing is left to do, time jumps to the next timer.

    Work in threads is real, and waited for. Use as a context manager::

        with FakeClock() as clock:
            clock.run(call())
            assert clock.time == 30.0

    Attributes:
        time: Seconds since the clock was made.
    """

    def __init__(self) -> None:
        self._loop = _FakeClockLoop()
        self._runner = asyncio.Runner(loop_factory=lambda: self._loop)

    @property
    def time(self) -> float:
        """Seconds since the clock was made."""
        return self._loop.time()

    def run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Run *coroutine* to its end and return what it returns."""
        return self._runner.run(coroutine)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._runner.close()


class _FakeClockLoop(asyncio.SelectorEventLoop):
    def __init__(self) -> None:
        self._now = 0.0
        self._threads = 0
        super().__init__(_JumpingSelector(self))

    def time(self) -> float:
        return self._now

    def jump(self, seconds: float) -> None:
        self._now += seconds

    @property
    def has_threads(self) -> bool:
        return self._threads > 0

    def run_in_executor(  # type: ignore[override]  # typeshed's is generic over the arguments
        self, executor: Any, func: Callable[..., T], *args: Any
    ) -> Awaitable[T]:
        self._threads += 1
        future = super().run_in_executor(executor, func, *args)
        future.add_done_callback(self._thread_ended)
        return future

    async def shutdown_default_executor(self, *args: Any, **kwargs: Any) -> None:
        # From Python 3.12 on with a timeout, which would jump ahead of the threads.
        self._threads += 1
        try:
            await super().shutdown_default_executor(*args, **kwargs)
        finally:
            self._threads -= 1

    def _thread_ended(self, _: Any) -> None:
        self._threads -= 1


class _JumpingSelector(selectors.DefaultSelector):
    def __init__(self, loop: _FakeClockLoop) -> None:
        super().__init__()
        self._loop = loop

    def select(self, timeout: float | None = None) -> Any:
        if timeout is None or timeout <= 0 or self._loop.has_threads:
            # A thread at work takes real time, in which the fake one stands still.
            return super().select(timeout if timeout is None or timeout <= 0 else 0.05)
        if ready := super().select(0):
            return ready
        self._loop.jump(timeout)
        return []
