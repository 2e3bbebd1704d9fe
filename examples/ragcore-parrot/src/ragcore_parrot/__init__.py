"""A provider that repeats what it hears, and embeds texts by the letters in them."""

from __future__ import annotations

import zlib
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from contextlib import asynccontextmanager

from ragcore import (
    BindingOptions,
    Chunk,
    Completion,
    CompletionProvider,
    CompletionRequest,
    EmbeddingProvider,
    EmbeddingRequest,
    Embeddings,
    FinishReason,
    NotFoundError,
    Usage,
    hookimpl,
    option,
)

DIMENSIONS = 64


class ParrotOptions(BindingOptions, binding="parrot"):
    """Where the parrot is."""

    cage: str = option("Which cage to ask in.", default="hall")


class ParrotLLMOptions(BindingOptions, binding="parrot_llm"):
    """How it talks."""

    times: int = option("How often it says it.", default=2, scope="call")


class ParrotEmbeddingOptions(BindingOptions, binding="parrot_embedding"):
    """How it listens."""

    letters: int = option("How many letters it hears at once.", default=3)


@hookimpl
def ragcore_completion_providers() -> Iterator[CompletionProvider]:
    """Offer to complete."""
    yield CompletionProvider(
        name="parrot",
        connection=ParrotOptions,
        options=ParrotLLMOptions,
        connect="ragcore_parrot:connect",
        backend="ragcore_parrot:ParrotCompletion",
    )


@hookimpl
def ragcore_embedding_providers() -> Iterator[EmbeddingProvider]:
    """Offer to embed."""
    yield EmbeddingProvider(
        name="parrot",
        connection=ParrotOptions,
        options=ParrotEmbeddingOptions,
        connect="ragcore_parrot:connect",
        backend="ragcore_parrot:ParrotEmbedding",
        describe="ragcore_parrot:describe",
    )


@asynccontextmanager
async def connect(connection: ParrotOptions) -> AsyncIterator[str]:
    """Open the cage; a plugin for a service opens its SDK's client here."""
    yield connection.cage


class ParrotCompletion:
    """One attempt at repeating."""

    def __init__(self, client: str, model_name: str, options: ParrotLLMOptions) -> None:
        if model_name not in ("grey", "green"):
            raise NotFoundError(f"there is no {model_name} parrot in the {client}: grey or green")

    async def complete(self, request: CompletionRequest) -> Completion:
        """Say it all at once."""
        words, reason = _repeated(request)
        return Completion(" ".join(words), finish_reason=reason, usage=Usage(1, len(words)))

    async def stream(self, request: CompletionRequest) -> AsyncGenerator[Chunk, None]:
        """Say it one by one."""
        words, reason = _repeated(request)
        for number, word in enumerate(words):
            yield Chunk(word if number == 0 else f" {word}")
        yield Chunk(finish_reason=reason)


def _repeated(request: CompletionRequest) -> tuple[list[str], FinishReason]:
    """Return what the parrot says, and why it says no more."""
    words = [f"{request.messages[-1].content}!"] * request.options.times
    limit = request.max_output_tokens
    if limit is None or len(words) <= limit:
        return words, "stop"
    return words[:limit], "length"


class ParrotEmbedding:
    """One attempt at listening."""

    def __init__(self, client: str, model_name: str, options: ParrotEmbeddingOptions) -> None:
        self._letters = options.letters

    async def embed(self, request: EmbeddingRequest) -> Embeddings:
        """
        Count which pieces of a few letters are in each text.

        Source:
            Feature hashing: Weinberger et al. 2009, arXiv:0902.2206.
        """
        import numpy as np

        vectors = np.zeros((len(request.texts), DIMENSIONS), np.float32)
        for row, text in zip(vectors, request.texts, strict=True):
            for start in range(max(1, len(text) - self._letters + 1)):
                piece = text[start : start + self._letters].lower()
                row[zlib.crc32(piece.encode()) % DIMENSIONS] += 1
        return Embeddings(vectors)


def describe(model_name: str, options: ParrotEmbeddingOptions) -> tuple[int, None]:
    """Say how long a vector is, and that no text is too long."""
    return DIMENSIONS, None
