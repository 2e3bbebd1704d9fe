"""Embeds with a model on this machine."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import numpy as np

from lightrag_hf._encoder import Encoder
from lightrag_hf._errors import overflow, translated
from lightrag_hf._forward import Row, Vectors
from lightrag_hf._models import lent_encoder
from lightrag_hf.options import HFEmbeddingOptions, HFOptions
from ragcore import (
    ContextLengthError,
    EmbeddingRequest,
    Embeddings,
    InvalidRequestError,
    Usage,
)


@asynccontextmanager
async def open_embedding(
    client: HFOptions, model_name: str, options: HFEmbeddingOptions
) -> AsyncIterator[HFEmbedding]:
    """Lend a model that embeds; raises as :func:`lightrag_hf._models.lent_encoder`."""
    async with lent_encoder(client, model_name, options) as encoder:
        yield HFEmbedding(encoder, model_name)


class HFEmbedding:
    """One model's side of :class:`ragcore.EmbeddingBackend`."""

    def __init__(self, encoder: Encoder, model_name: str) -> None:
        self._encoder = encoder
        self._model_name = model_name

    async def embed(self, request: EmbeddingRequest) -> Embeddings:
        """
        Embed ``request.texts``; calls at the same time share forward passes.

        Raises:
            ContextLengthError: A text is too long and ``request.truncate == "error"``.
            InvalidRequestError: A text has no token, not even a mark at its end.
            ProviderError: A single text does not fit into memory.
        """
        loop, encoder = asyncio.get_running_loop(), self._encoder
        with translated(self._model_name):
            rows = await loop.run_in_executor(
                encoder.reading, encoder.reader.read, request.texts, request.input_type
            )
        cut = tuple(at for at, row in enumerate(rows) if row.is_cut)
        self._check(rows, () if request.truncate == "end" else cut)
        with translated(self._model_name):
            vectors = await asyncio.wrap_future(encoder.forward.submit(rows))
        if not np.isfinite(vectors).all():
            raise overflow(self._model_name)
        if request.dimensions is not None:
            vectors = self._cut(vectors, request.dimensions)
        usage = Usage(sum(len(row.ids) for row in rows))
        return Embeddings(vectors, usage=usage, truncated=cut, model=self._model_name)

    def _cut(self, vectors: Vectors, dimensions: int) -> Vectors:
        """Keep the first numbers of each, which is what Matryoshka models are trained for."""
        own = vectors.shape[1]
        if dimensions > own:
            raise InvalidRequestError(
                f"dimensions: the vectors of {self._model_name!r} have {own}, and can be cut to "
                f"less, not to {dimensions}"
            )
        if dimensions == own:
            return vectors
        cut = vectors[:, :dimensions]
        if not self._encoder.is_normalised:
            return cut
        lengths = np.linalg.norm(cut, axis=1, keepdims=True)
        unit: Vectors = cut / np.maximum(lengths, np.finfo(np.float32).tiny)
        return unit

    def _check(self, rows: Sequence[Row], too_long: Sequence[int]) -> None:
        if too_long:
            raise ContextLengthError(
                f"more than the {self._encoder.reader.max_length} tokens that "
                f"{self._model_name!r} reads; split these texts, or pass truncate='end'",
                positions=too_long,
            )
        if silent := [at for at, row in enumerate(rows) if not row.ids]:
            raise InvalidRequestError(
                f"{self._model_name!r} reads no token in these texts; leave them out",
                positions=silent,
            )
