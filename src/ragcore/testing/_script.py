"""A provider that does what a script says."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from contextlib import AbstractContextManager, asynccontextmanager
from typing import Any

import attrs

from ragcore._discovery.loading import plugged
from ragcore._discovery.sources import Source
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
from ragcore.hookspecs import CompletionProvider, EmbeddingProvider, hookimpl
from ragcore.options import BindingOptions, Secret, option

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
    shared = {
        "name": name,
        "connection": ScriptedOptions,
        "connect": f"{__name__}:_connect",
        "backend": f"{__name__}:_ScriptedBackend",
        "capabilities": _ABLE if capabilities is None else capabilities,
        "retry": retry or Retry(),
    }
    return plugin(_ScriptedPlugin(shared), distribution=f"{name}-plugin")


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
    shared: dict[str, Any]

    @hookimpl
    def ragcore_completion_providers(self) -> Iterator[CompletionProvider]:
        yield CompletionProvider(options=ScriptedLLMOptions, **self.shared)

    @hookimpl
    def ragcore_embedding_providers(self) -> Iterator[EmbeddingProvider]:
        yield EmbeddingProvider(
            options=ScriptedEmbeddingOptions,
            describe=f"{__name__}:_describe",
            tokenizer=f"{__name__}:_tokenizer",
            **self.shared,
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
