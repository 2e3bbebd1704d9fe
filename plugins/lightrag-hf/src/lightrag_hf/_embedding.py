"""Embeds with a model on this machine."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from lightrag_hf._connect import Hub
from lightrag_hf._encoder import Encoder, load
from lightrag_hf._errors import translated
from lightrag_hf._loading import model_key, shared
from lightrag_hf._reading import Reading
from lightrag_hf.options import HFEmbeddingOptions
from ragcore import (
    ContextLengthError,
    EmbeddingRequest,
    Embeddings,
    InvalidRequestError,
    Usage,
)


@asynccontextmanager
async def open_embedding(
    client: Hub, model_name: str, options: HFEmbeddingOptions
) -> AsyncIterator[HFEmbedding]:
    """
    Load the model, or find it loaded, and lend it.

    Raises:
        ProviderError, OptionsError, UnsupportedError: As :func:`lightrag_hf._encoder.load`.
    """
    key = model_key("embedding", client, model_name, options)
    loaded = shared(
        key, lambda: load(client, model_name, options), Encoder.close, options.keep_alive
    )
    async with loaded as encoder:
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
        reading = await self._read(request)
        self._check(reading, request)
        with translated(self._model_name):
            vectors = await asyncio.wrap_future(self._encoder.forward.submit(reading.rows))
        tokens = sum(len(row.ids) for row in reading.rows)
        return Embeddings(
            vectors, usage=Usage(tokens), truncated=reading.cut, model=self._model_name
        )

    async def _read(self, request: EmbeddingRequest) -> Reading:
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(
            self._encoder.reading, self._encoder.reader.read, request.texts, request.input_type
        )

    def _check(self, reading: Reading, request: EmbeddingRequest) -> None:
        if reading.cut and request.truncate == "error":
            raise ContextLengthError(
                f"More than the {self._encoder.reader.max_length} tokens that "
                f"{self._model_name!r} reads; split these texts, or pass truncate='end'.",
                positions=reading.cut,
            )
        if silent := [at for at, row in enumerate(reading.rows) if not row.ids]:
            raise InvalidRequestError(
                f"{self._model_name!r} reads no token in these texts; leave them out.",
                positions=silent,
            )
