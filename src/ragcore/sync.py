"""
The same API without an event loop.

One daemon thread runs one event loop for all; it starts with the first use and is closed at exit.
Works inside a running loop, too: that loop waits meanwhile. ::

    with ragcore.sync.completion("openai:gpt-4o-mini") as model:
        print(model.complete("Who wrote Faust?").text)

        with model.stream("Tell me a story") as chunks:
            for chunk in chunks:
                print(chunk.text, end="")
"""

from __future__ import annotations

import asyncio
import atexit
import os
import threading
from collections.abc import Coroutine, Iterator
from contextlib import AbstractAsyncContextManager, contextmanager
from typing import Any, Generic, TypeVar

from ragcore._calls import models
from ragcore._calls.completion import CompletionModel as AsyncCompletionModel
from ragcore._calls.embedding import EmbeddingModel as AsyncEmbeddingModel
from ragcore._calls.owner import Owner
from ragcore._calls.stream import CompletionStream as AsyncCompletionStream
from ragcore._records import Capabilities, Chunk, Completion, Embeddings, Fallback
from ragcore.hookspecs import Tokenizer

T = TypeVar("T")
ModelT = TypeVar("ModelT", AsyncCompletionModel, AsyncEmbeddingModel)


@contextmanager
def completion(reference: str | Fallback, **options: Any) -> Iterator[CompletionModel]:
    """Open a model that completes; see :func:`ragcore.completion`."""
    with _held(models.completion(reference, **options)) as model:
        yield CompletionModel(model)


@contextmanager
def embedding(reference: str, **options: Any) -> Iterator[EmbeddingModel]:
    """Open a model that embeds; see :func:`ragcore.embedding`."""
    with _held(models.embedding(reference, **options)) as model:
        yield EmbeddingModel(model)


def list_models(provider: str, **options: Any) -> tuple[str, ...]:
    """Return the names of an account's models; see :func:`ragcore.list_models`."""
    return _wait(models.list_models(provider, **options))


class _Model(Generic[ModelT]):
    """What a model says of itself, whatever it does."""

    def __init__(self, model: ModelT) -> None:
        self._model: ModelT = model
        self.reference: str = model.reference
        self.capabilities: Capabilities = model.capabilities

    @property
    def tokenizer(self) -> Tokenizer:
        """The model's tokenizer; see :attr:`ragcore.CompletionModel.tokenizer`."""
        return self._model.tokenizer

    def list_models(self) -> tuple[str, ...]:
        """Return the names of the account's models."""
        return _wait(self._model.list_models())


class CompletionModel(_Model[AsyncCompletionModel]):
    """A model that completes; safe to use from many threads at once."""

    def complete(self, messages: Any, **arguments: Any) -> Completion:
        """Answer in one piece; see :meth:`ragcore.CompletionModel.complete`."""
        answer: Completion = _wait(self._model.complete(messages, **arguments))
        return answer

    @contextmanager
    def stream(self, messages: Any, **arguments: Any) -> Iterator[CompletionStream]:
        """Answer piece by piece; see :meth:`ragcore.CompletionModel.stream`."""
        with _held(self._model.stream(messages, **arguments)) as chunks:
            yield CompletionStream(chunks)


class CompletionStream:
    """The chunks of one answer, to be read once with ``for``."""

    def __init__(self, chunks: AsyncCompletionStream) -> None:
        self._chunks = chunks

    @property
    def completion(self) -> Completion:
        """The whole answer, once all chunks are read."""
        return self._chunks.completion

    def __iter__(self) -> Iterator[Chunk]:
        while (chunk := _wait(_next(self._chunks))) is not None:
            yield chunk


class EmbeddingModel(_Model[AsyncEmbeddingModel]):
    """A model that embeds; safe to use from many threads at once."""

    @property
    def dimensions(self) -> int | None:
        """Length of a vector; see :attr:`ragcore.EmbeddingModel.dimensions`."""
        return self._model.dimensions

    @property
    def max_tokens(self) -> int | None:
        """Tokens of the longest text that the model reads; None where unknown."""
        return self._model.max_tokens

    def embed(self, texts: Any, **arguments: Any) -> Embeddings:
        """Embed *texts*; see :meth:`ragcore.EmbeddingModel.embed`."""
        return _wait(self._model.embed(texts, **arguments))


async def _next(chunks: AsyncCompletionStream) -> Chunk | None:
    return await anext(chunks, None)


@contextmanager
def _held(manager: AbstractAsyncContextManager[T]) -> Iterator[T]:
    """Enter *manager* on the loop's thread, in a task of its own, and leave it there."""
    owner = _wait(_owner(manager))
    try:
        yield _wait(owner.value())
    finally:
        # The loop's end has left it, where a block is left only when the interpreter ends.
        if not _running().loop.is_closed():
            _wait(owner.release())


async def _owner(manager: AbstractAsyncContextManager[T]) -> Owner[T]:
    return Owner(manager)


# --- the loop -------------------------------------------------------------------------------


class _Background:
    """An event loop in a daemon thread."""

    def __init__(self) -> None:
        self.pid = os.getpid()
        self.loop = asyncio.new_event_loop()
        self._closed = asyncio.Event()
        self._thread = threading.Thread(target=self._run, name="ragcore-sync", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        # Not asyncio.Runner: it ends executors by a new thread, which Python 3.12 refuses at exit.
        asyncio.set_event_loop(self.loop)
        self.loop.run_until_complete(self._until_closed())
        self.loop.close()

    async def _until_closed(self) -> None:
        await self._closed.wait()
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)
        await self.loop.shutdown_asyncgens()

    @property
    def is_current(self) -> bool:
        """Whether the caller is on the loop's thread."""
        return threading.current_thread() is self._thread

    def close(self) -> None:
        """End the loop, and with it all tasks on it; waits for them."""
        if self.pid == os.getpid() and self._thread.is_alive():
            self.loop.call_soon_threadsafe(self._closed.set)
            self._thread.join()


_lock = threading.Lock()
_background: _Background | None = None


def _start_afresh() -> None:
    # A forked child has its parent's loop and not the thread, and a lock that nobody may release.
    global _lock, _background  # one loop per process is the point
    _lock, _background = threading.Lock(), None


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_start_afresh)


def _running() -> _Background:
    global _background  # noqa: PLW0603  # one loop per process is the point
    with _lock:
        if _background is None:
            _background = _Background()
            atexit.register(_background.close)
        return _background


def _wait(coroutine: Coroutine[Any, Any, T]) -> T:
    """Run *coroutine* on the loop, in the caller's context; an interrupt cancels it."""
    background = _running()
    if background.is_current:
        coroutine.close()
        raise RuntimeError("ragcore.sync can't be used on its own loop: use the async API there.")
    # Hands the caller's context variables on, and a cancellation to the task.
    future = asyncio.run_coroutine_threadsafe(coroutine, background.loop)
    try:
        return future.result()
    except BaseException:
        future.cancel()
        raise
