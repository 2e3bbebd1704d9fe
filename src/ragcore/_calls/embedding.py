"""The host's side of embedding: batches, order, and checks of what comes back."""

from __future__ import annotations

import asyncio
import functools
import inspect
import sys
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import TYPE_CHECKING, Any, Protocol

import attrs

from ragcore._calls.characters import check_text
from ragcore._calls.exchange import Exchange
from ragcore._calls.layers import Step
from ragcore._calls.model import Model
from ragcore._calls.opening import Opening
from ragcore._calls.persist import Persisting
from ragcore._records import (
    EmbeddingRequest,
    Embeddings,
    InputType,
    Timings,
    Truncate,
    Usage,
)
from ragcore.errors import (
    ContextLengthError,
    InvalidRequestError,
    OptionsError,
    ProviderError,
    RequestTooLargeError,
)
from ragcore.hookspecs import EmbeddingProvider
from ragcore.options import BindingOptions, Prefixes

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

_INPUT_TYPES, _TRUNCATES = ("query", "document"), ("error", "end")


class Texts(Protocol):
    """A sequence of ``str`` that is not one ``str``, whose characters would be taken for texts."""

    # A str takes nothing but a str here.
    def __contains__(self, value: object, /) -> bool: ...
    def __iter__(self) -> Iterator[str]: ...


class EmbeddingModel(Model[EmbeddingProvider]):
    """
    A model that embeds; made by :func:`ragcore.embedding`.

    Safe to use from many tasks of its event loop at once.
    """

    _method = "embed"

    @functools.cached_property
    def _described(self) -> tuple[int | None, int | None]:
        return self._opening.described()

    @property
    def dimensions(self) -> int | None:
        """Length of a vector, as asked for or as the provider knows it; None where unknown."""
        asked: int | None = self._opening.host.dimensions
        return asked or self._described[0]

    @property
    def max_tokens(self) -> int | None:
        """Tokens of the longest text that the model reads; None where unknown."""
        return self._described[1]

    async def embed(
        self,
        texts: Texts,
        *,
        input_type: InputType = "document",
        truncate: Truncate = "error",
        dimensions: int | None = None,
        timeout: float | None = None,  # noqa: ASYNC109  # the deadline of all attempts together
        priority: int = 0,
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
            priority: Its place in the line where :class:`ragcore.Limits` have calls wait: the least
                number goes first.
            options: Options of the provider with ``scope="call"``.

        Returns:
            float32, shape ``(len(texts), dimensions)``; row *i* is ``texts[i]``.

        Raises:
            ContextLengthError: A text is too long; *positions* says which; nothing was returned.
            InvalidRequestError: A text holds a lone surrogate, or the service refuses one.
            ProviderError: It did not deliver; the subclass says why.
            OptionsError: An option is unknown or invalid; all problems at once.
            RuntimeError: The model is closed.
        """
        deadline = self._deadline(timeout)
        asked = AskedEmbedding(_checked_texts(texts), input_type, truncate, dimensions, options)
        exchange = self._begun(asked, deadline, priority)
        if not asked.texts:
            return _nothing()
        async with self._call(exchange) as found:
            if not isinstance(found, Embeddings):
                raise self._opening.wrong_type("a layer", found, "Embeddings")
            is_own = found is exchange.answer
            return found if is_own else attrs.evolve(found, timings=exchange.timings())

    def _attempt(self, exchange: Exchange) -> AbstractAsyncContextManager[Any]:
        return _embedded(self._backend, exchange)

    def _ring(self, attempt: Step) -> Step:
        return Batches(Persisting.layer(attempt)).all


@attrs.frozen
class AskedEmbedding:
    """
    What a caller asked for, before anybody knows which model is to answer.

    Attributes:
        options: The call's own options of the provider.
    """

    texts: tuple[str, ...]
    input_type: InputType
    truncate: Truncate
    dimensions: int | None
    options: Mapping[str, Any]

    def fitted(self, opening: Opening[Any]) -> tuple[EmbeddingRequest, tuple[()]]:
        """
        Return the request as the model of *opening* takes it.

        Raises:
            UnsupportedError: The model can't choose the length of its vectors.
            OptionsError: An option is unknown or invalid; all problems at once.
        """
        _one_of("input_type", self.input_type, _INPUT_TYPES)
        _one_of("truncate", self.truncate, _TRUNCATES)
        options = opening.with_options_of_call(self.options)
        request = EmbeddingRequest(
            self._prefixed(options),
            input_type=self.input_type,
            dimensions=self._length(opening),
            truncate=self.truncate,
            options=options,
            attempt_timeout=opening.retry.attempt_timeout,
        )
        return request, ()

    def _prefixed(self, options: BindingOptions) -> tuple[str, ...]:
        if not isinstance(options, Prefixes):
            return self.texts
        is_query = self.input_type == "query"
        prefix = options.query_prefix if is_query else options.document_prefix
        return tuple(prefix + text for text in self.texts) if prefix else self.texts

    def _length(self, opening: Opening[Any]) -> int | None:
        asked = opening.host.dimensions if self.dimensions is None else self.dimensions
        if asked is not None and (
            isinstance(asked, bool) or not isinstance(asked, int) or asked < 1
        ):
            raise OptionsError(f"dimensions: {asked!r} is not a whole number above 0")
        if asked is None or opening.capabilities.dimensions:
            return asked
        opening.refuse("dimensions", "the model's vectors have one length only")
        return None

    def finished(self, found: Embeddings, exchange: Exchange) -> Embeddings:
        """Return *found* with the timings of *exchange*."""
        return attrs.evolve(found, timings=exchange.timings())


# --- all requests of a call -----------------------------------------------------------------


@attrs.frozen
class Batches:
    """
    Embeds the texts of a call in as many requests as it takes, some at once.

    Attributes:
        part: The step of one request, with its attempts.
    """

    part: Step

    @asynccontextmanager
    async def all(self, exchange: Exchange) -> AsyncIterator[Embeddings]:
        """Embed the texts of *exchange*; its answer is theirs, in their order."""
        request = exchange.request
        assert isinstance(request, EmbeddingRequest)  # noqa: S101  # whatever layers have done
        slices = _slices_of(request, exchange.opening)
        if len(slices) == 1:
            yield await self._batch(exchange, request, 0)
            return
        requests = {start: _cut(request, start, end) for start, end in slices}
        parts = await self._several(exchange, requests)
        with exchange.opening.at_the_edge():
            joined = _joined(parts)
        yield joined

    async def _several(
        self, exchange: Exchange, requests: Mapping[int, EmbeddingRequest]
    ) -> list[Embeddings]:
        """Embed *requests*, each by the position of its first text."""
        left = iter(requests.items())
        parts: dict[int, Embeddings] = {}

        async def work() -> None:
            for start, request in left:
                parts[start] = await self._batch(exchange, request, start)

        workers = min(exchange.opening.host.max_concurrency, len(requests))
        tasks = [asyncio.create_task(work()) for _ in range(workers)]
        try:
            await asyncio.gather(*tasks)
            return [parts[start] for start in requests]
        finally:
            # The first failure ends the call: what the others ask for would be thrown away.
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)

    async def _batch(self, exchange: Exchange, request: EmbeddingRequest, start: int) -> Embeddings:
        """Embed the texts of one request, halved where it is too large; the first is *start*."""
        try:
            return await self._request(exchange, request, start)
        except (ContextLengthError, RequestTooLargeError) as exc:
            count = len(request.texts)
            if exc.positions or count == 1:
                exc.positions = exc.positions or (start,)
                raise
        halves = (0, count // 2), (count // 2, count)
        parts = [
            await self._batch(exchange, _cut(request, *half), start + half[0]) for half in halves
        ]
        return _joined(parts)

    async def _request(
        self, exchange: Exchange, request: EmbeddingRequest, start: int
    ) -> Embeddings:
        part = exchange.part(request)
        try:
            with exchange.opening.at_the_edge(part.attempts):
                async with self.part(part) as answer:
                    found = _checked(answer, request)
        except InvalidRequestError as exc:
            exc.positions = tuple(start + position for position in exc.positions)
            raise
        finally:
            exchange.attempts.add(part.attempts)
        return attrs.evolve(
            found, truncated=tuple(start + position for position in found.truncated)
        )


def _slices_of(request: EmbeddingRequest, opening: Opening[Any]) -> list[tuple[int, int]]:
    sizes = (opening.host.batch_size, opening.capabilities.max_batch)
    most = min((size for size in sizes if size), default=None)
    return _slices(request.texts, most, opening.capabilities.max_batch_tokens)


def _cut(request: EmbeddingRequest, start: int, end: int) -> EmbeddingRequest:
    return attrs.evolve(request, texts=request.texts[start:end])


def _joined(parts: list[Embeddings]) -> Embeddings:
    import numpy as np

    lengths = {part.vectors.shape[1] for part in parts}
    if len(lengths) > 1:
        raise ProviderError(f"vectors of different lengths came back: {sorted(lengths)}")
    usages = [part.usage for part in parts if part.usage is not None]
    return Embeddings(
        np.concatenate([part.vectors for part in parts]),
        usage=sum(usages[1:], usages[0]) if len(usages) == len(parts) else None,
        truncated=tuple(position for part in parts for position in part.truncated),
        model=parts[0].model,
    )


@asynccontextmanager
async def _embedded(backend: Any, exchange: Exchange) -> AsyncIterator[Embeddings]:
    """Ask *backend* once."""
    embedding = backend.embed(exchange.request)
    if not inspect.isawaitable(embedding):
        raise exchange.opening.wrong_type("embed", embedding, "an awaitable")
    found = await embedding
    if not isinstance(found, Embeddings):
        raise exchange.opening.wrong_type("embed", found)
    exchange.answer = found
    yield found


def _checked(found: Embeddings, request: EmbeddingRequest) -> Embeddings:
    if found.truncated and request.truncate == "error":
        raise ContextLengthError("texts were cut unasked", positions=found.truncated)
    vectors = _checked_vectors(found.vectors, len(request.texts))
    if request.dimensions not in (None, vectors.shape[1]):
        raise ProviderError(
            f"vectors of length {vectors.shape[1]} came back, not {request.dimensions} as asked"
        )
    return attrs.evolve(found, vectors=vectors)


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


def _checked_texts(texts: object) -> tuple[str, ...]:
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
