"""
Embeds by ``/api/embed``.

Source:
    https://docs.ollama.com/api/embed
"""

from __future__ import annotations

from collections.abc import Sequence

import attrs
import numpy as np
import numpy.typing as npt

from lightrag_ollama._connect import Servers
from lightrag_ollama._models import answering
from lightrag_ollama.options import OllamaEmbeddingOptions, entries
from ragcore import ContextLengthError, EmbeddingRequest, Embeddings, ProviderError, Usage

# No model that Ollama offers for embedding reads fewer tokens, and a text has no more tokens than
# bytes, and two that mark its ends.
_SMALLEST_CONTEXT = 128
_MARKS = 2


@attrs.frozen(eq=False)
class _Part:
    """What one request brought."""

    vectors: npt.NDArray[np.float32]
    input_tokens: int | None
    model: str | None
    truncated: tuple[int, ...] = ()


class OllamaEmbedding:
    """
    One model.

    The service cuts texts without saying which. So it is asked not to cut, and where it refuses,
    the texts are halved until those are alone that are too long: one request if none is, and else
    some more.
    """

    def __init__(self, servers: Servers, model_name: str, options: OllamaEmbeddingOptions) -> None:
        self._servers = servers
        self._model_name = model_name

    async def embed(self, request: EmbeddingRequest) -> Embeddings:
        """Embed the texts, each after the prefix for its *input_type*."""
        texts = _prefixed(request)
        if request.truncate == "end" and all(_fits(text, request) for text in texts):
            # Servers differ in how they refuse; where nothing can be cut that need not matter.
            return _joined([await self._ask(request, texts, truncate=True)])
        return _joined(await self._parts(request, texts, 0))

    async def _parts(
        self, request: EmbeddingRequest, texts: Sequence[str], start: int
    ) -> list[_Part]:
        """Embed *texts*, the first of which is number *start* of the request."""
        try:
            return [await self._ask(request, texts, truncate=False)]
        except ContextLengthError as exc:
            if len(texts) == 1:
                if request.truncate == "error":
                    exc.positions = (start,)
                    raise
                cut = await self._ask(request, texts, truncate=True)
                return [attrs.evolve(cut, truncated=(start,))]
        middle = len(texts) // 2
        first = await self._parts(request, texts[:middle], start)
        return first + await self._parts(request, texts[middle:], start + middle)

    async def _ask(
        self, request: EmbeddingRequest, texts: Sequence[str], *, truncate: bool
    ) -> _Part:
        options: OllamaEmbeddingOptions = request.options
        limit = request.attempt_timeout
        async with answering(self._servers, self._model_name, limit) as client:
            found = await client.embed(
                self._servers.name(self._model_name),
                texts,
                truncate=truncate,
                # A dict: the SDK's own Options drops what it does not know, min_p for one.
                options=entries(options) or None,
                keep_alive=options.keep_alive,
                dimensions=request.dimensions,
            )
        vectors = _array(found.embeddings)
        if len(vectors) != len(texts):
            raise ProviderError(f"{len(vectors)} vectors came back for {len(texts)} texts.")
        return _Part(vectors, found.prompt_eval_count, found.model)


def _prefixed(request: EmbeddingRequest) -> list[str]:
    options: OllamaEmbeddingOptions = request.options
    is_query = request.input_type == "query"
    prefix = options.query_prefix if is_query else options.document_prefix
    return [f"{prefix or ''}{text}" for text in request.texts]


def _fits(text: str, request: EmbeddingRequest) -> bool:
    options: OllamaEmbeddingOptions = request.options
    context = min(options.num_ctx or _SMALLEST_CONTEXT, _SMALLEST_CONTEXT)
    return len(text.encode()) + _MARKS <= context


def _array(rows: Sequence[Sequence[float]]) -> npt.NDArray[np.float32]:
    try:
        # What overflows becomes infinity, which the host refuses.
        with np.errstate(over="ignore"):
            return np.array(rows, dtype=np.float32)
    except ValueError as exc:
        raise ProviderError(f"The vectors that came back differ in length: {exc}") from exc


def _joined(parts: list[_Part]) -> Embeddings:
    lengths = {part.vectors.shape[1:] for part in parts}
    if len(lengths) > 1:
        raise ProviderError(f"Vectors of different lengths came back: {sorted(lengths)}.")
    counts = [part.input_tokens for part in parts if part.input_tokens is not None]
    return Embeddings(
        vectors=np.concatenate([part.vectors for part in parts]),
        usage=Usage(sum(counts)) if len(counts) == len(parts) else None,
        truncated=[position for part in parts for position in part.truncated],
        model=parts[0].model,
    )
