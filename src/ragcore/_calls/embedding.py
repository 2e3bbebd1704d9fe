"""The host's side of embedding: batches, order, and checks of what comes back."""

from __future__ import annotations

import asyncio
import inspect
import sys
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import attrs

from ragcore._calls.exchange import Call, Identity, Model
from ragcore._calls.messages import check_text
from ragcore._discovery.host_options import HostEmbeddingOptions
from ragcore._records import (
    EmbeddingRequest,
    Embeddings,
    InputType,
    Timings,
    Truncate,
    Usage,
)
from ragcore.errors import ContextLengthError, InvalidRequestError, OptionsError, ProviderError
from ragcore.hookspecs import EmbeddingBackend
from ragcore.options import merge

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

_INPUT_TYPES, _TRUNCATES = ("query", "document"), ("error", "end")


class EmbeddingModel(Model):
    """
    A model that embeds; made by :func:`ragcore.embedding`.

    Safe to use from many tasks of its event loop at once.
    """

    def __init__(
        self, backend: EmbeddingBackend, identity: Identity, host: HostEmbeddingOptions
    ) -> None:
        super().__init__(identity)
        self._backend = backend
        self._host = host

    async def embed(
        self,
        texts: Sequence[str],
        *,
        input_type: InputType = "document",
        truncate: Truncate = "error",
        dimensions: int | None = None,
        timeout: float | None = None,  # noqa: ASYNC109  # the deadline of all attempts together
        **options: Any,
    ) -> Embeddings:
        """
        Embed *texts*, in as many requests as the provider needs.

        Args:
            texts: May be empty: then nothing is asked, and the vectors have shape ``(0, 0)``.
            input_type: ``"query"`` for what is asked, ``"document"`` for what is searched; a
                symmetric model ignores it.
            truncate: ``"error"`` refuses a text that is longer than the model reads; ``"end"``
                cuts it and says so in ``truncated``.
            dimensions: Length of a vector, for models that can choose; None for the model's.
            timeout: Deadline in seconds, retries and waits included; 0 for none, None for the
                model's.
            options: Options of the provider with ``scope="call"``.

        Returns:
            float32, shape ``(len(texts), dimensions)``; row *i* is ``texts[i]``.

        Raises:
            ContextLengthError: A text is too long; *positions* says which; nothing was returned.
            InvalidRequestError: A text holds a lone surrogate, or the service refuses one.
            ProviderError: It did not deliver; the subclass says why.
            OptionsError: An option is unknown or invalid; all problems at once.
        """
        call = Call(self._identity, timeout)
        texts = _checked_texts(texts)
        _one_of("input_type", input_type, _INPUT_TYPES)
        _one_of("truncate", truncate, _TRUNCATES)
        request = EmbeddingRequest(
            texts=texts,
            input_type=input_type,
            dimensions=self._dimensions(dimensions),
            truncate=truncate,
            options=merge(self._identity.options, options),
            attempt_timeout=self._identity.retry.attempt_timeout,
        )
        if not texts:
            return _nothing()
        parts = await self._all(request, call)
        return attrs.evolve(self._joined(parts), timings=call.timings())

    def _dimensions(self, asked: int | None) -> int | None:
        asked = self._host.dimensions if asked is None else asked
        if asked is not None and (
            isinstance(asked, bool) or not isinstance(asked, int) or asked < 1
        ):
            raise OptionsError(f"dimensions: {asked!r} is not a whole number above 0")
        if asked is None or self.capabilities.dimensions:
            return asked
        self._identity.refuse("dimensions", "the model's vectors have one length only")
        return None

    async def _all(self, request: EmbeddingRequest, call: Call) -> list[Embeddings]:
        slices = _slices(request.texts, self._most_texts(), self.capabilities.max_batch_tokens)
        if len(slices) == 1:
            return [await self._batch(request, 0, call)]
        left = iter(slices)
        parts: dict[int, Embeddings] = {}

        async def work() -> None:
            for start, end in left:
                part = attrs.evolve(request, texts=request.texts[start:end])
                parts[start] = await self._batch(part, start, call)

        workers = min(self._host.max_concurrency, len(slices))
        tasks = [asyncio.create_task(work()) for _ in range(workers)]
        try:
            await asyncio.gather(*tasks)
            return [parts[start] for start, _ in slices]
        finally:
            # The first failure ends the call: what the others ask for would be thrown away.
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)

    def _most_texts(self) -> int | None:
        sizes = (self._host.batch_size, self.capabilities.max_batch)
        return min((size for size in sizes if size), default=None)

    async def _batch(self, request: EmbeddingRequest, start: int, call: Call) -> Embeddings:
        """Embed one request's texts; positions count from *start* on."""
        single = call.branch()
        try:
            with self._identity.at_the_edge(single.attempts):
                found = await single.persist(lambda: self._attempt(request))
                found = self._checked(found, request)
        except InvalidRequestError as exc:
            exc.positions = tuple(start + position for position in exc.positions)
            raise
        return attrs.evolve(
            found, truncated=tuple(start + position for position in found.truncated)
        )

    async def _attempt(self, request: EmbeddingRequest) -> Embeddings:
        embedding = self._backend.embed(request)
        if not inspect.isawaitable(embedding):
            raise self._identity.wrong_type("embed", embedding, "an awaitable")
        found = await embedding
        if not isinstance(found, Embeddings):
            raise self._identity.wrong_type("embed", found)
        return found

    def _checked(self, found: Embeddings, request: EmbeddingRequest) -> Embeddings:
        if found.truncated and request.truncate == "error":
            raise ContextLengthError("texts were cut unasked", positions=found.truncated)
        vectors = _checked_vectors(found.vectors, len(request.texts))
        if request.dimensions not in (None, vectors.shape[1]):
            raise ProviderError(
                f"vectors of length {vectors.shape[1]} came back, not {request.dimensions} as asked"
            )
        return attrs.evolve(found, vectors=vectors)

    def _joined(self, parts: list[Embeddings]) -> Embeddings:
        import numpy as np

        lengths = {part.vectors.shape[1] for part in parts}
        if len(lengths) > 1:
            raise ProviderError(
                f"vectors of different lengths came back: {sorted(lengths)}",
                provider=self._identity.provider,
                model=self._identity.model,
            )
        usages = [part.usage for part in parts if part.usage is not None]
        return Embeddings(
            vectors=np.concatenate([part.vectors for part in parts]),
            usage=sum(usages[1:], usages[0]) if len(usages) == len(parts) else None,
            truncated=tuple(position for part in parts for position in part.truncated),
            model=parts[0].model,
        )


def _slices(
    texts: Sequence[str], most_texts: int | None, most_tokens: int | None
) -> list[tuple[int, int]]:
    """Cut *texts* into requests: beginnings and ends."""
    most_texts, most_tokens = most_texts or len(texts), most_tokens or sys.maxsize
    slices, start, tokens = [], 0, 0
    for position, text in enumerate(texts):
        # Nobody can count a service's tokens here; a text has no more of them than bytes.
        size = len(text.encode())
        if position - start == most_texts or (position > start and tokens + size > most_tokens):
            slices.append((start, position))
            start, tokens = position, 0
        tokens += size
    return [*slices, (start, len(texts))]


def _checked_texts(texts: Sequence[str]) -> tuple[str, ...]:
    if isinstance(texts, str) or not isinstance(texts, Iterable):
        raise OptionsError(f"texts: a {type(texts).__name__} was given; pass a list of str")
    texts = tuple(texts)
    for position, text in enumerate(texts):
        if not isinstance(text, str):
            raise OptionsError(f"texts: number {position} is a {type(text).__name__}, not a str")
    check_text(texts, "text")
    return texts


def _one_of(name: str, value: str, choices: tuple[str, ...]) -> None:
    if value not in choices:
        raise OptionsError(f"{name}: {value!r} is not one of {', '.join(map(repr, choices))}")


def _nothing() -> Embeddings:
    import numpy as np

    return Embeddings(np.empty((0, 0), np.float32), usage=Usage(0), timings=Timings(attempts=0))


def _checked_vectors(vectors: object, count: int) -> npt.NDArray[np.float32]:
    import numpy as np

    try:
        # What overflows becomes infinity, which is found below.
        with np.errstate(over="ignore"):
            array = np.asarray(vectors, dtype=np.float32)
    except (TypeError, ValueError) as exc:
        raise ProviderError(f"what came back is no table of numbers: {exc}") from exc
    if array.ndim != 2 or not array.shape[1]:  # noqa: PLR2004
        raise ProviderError(f"what came back has the shape {array.shape}, not (texts, dimensions)")
    if len(array) != count:
        raise ProviderError(f"{len(array)} vectors came back for {count} texts")
    bad = np.flatnonzero(~np.isfinite(array).all(axis=1))
    if bad.size:
        raise ProviderError(f"vector {bad[0]} holds NaN or infinity ({bad.size} such vectors)")
    return array
