"""
Feature extraction, of Hugging Face's own servers and of text-embeddings-inference.

Source:
    https://huggingface.co/docs/inference-providers/tasks/feature-extraction
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import attrs
import numpy as np

from lightrag_hf_inference._connect import ROUTER, Account
from lightrag_hf_inference._errors import translated
from lightrag_hf_inference.options import HFInferenceEmbeddingOptions
from ragcore import (
    ContextLengthError,
    EmbeddingRequest,
    Embeddings,
    ProviderError,
    UnsupportedError,
    Usage,
)

if TYPE_CHECKING:
    import numpy.typing as npt

    Vectors = npt.NDArray[np.float32]

# The router's other providers embed in formats of their own, which need a look-up of each model.
_PROVIDERS = ("auto", "hf-inference")


class HFInferenceEmbedding:
    """One attempt at embedding, by a client of its own over the account's connections."""

    def __init__(
        self, account: Account, model_name: str, options: HFInferenceEmbeddingOptions
    ) -> None:
        self._account = account
        self._endpoint = account.endpoint(model_name)
        if self._endpoint is None and account.connection.provider not in _PROVIDERS:
            raise UnsupportedError(
                f"provider: {account.connection.provider!r} can't be asked for embeddings, only "
                f"{' and '.join(_PROVIDERS)} can; lightrag-openai knows some of the others by name"
            )
        self._address = self._endpoint or (
            f"{ROUTER}/hf-inference/models/{model_name}/pipeline/feature-extraction"
        )

    async def embed(self, request: EmbeddingRequest) -> Embeddings:
        """Embed; a single text that is too long is cut by the server if the request says so."""
        try:
            return await self._embedded(request)
        except ContextLengthError:
            if request.truncate == "error" or len(request.texts) > 1:
                raise
        return attrs.evolve(await self._embedded(request, cuts=True), truncated=(0,))

    async def _embedded(self, request: EmbeddingRequest, *, cuts: bool = False) -> Embeddings:
        options: HFInferenceEmbeddingOptions = request.options
        with translated():
            async with self._account.inference(self._endpoint) as client:
                try:
                    found = await client.feature_extraction(
                        list(request.texts),
                        model=self._address,
                        normalize=options.normalize,
                        prompt_name=_prompt_name(request),
                        truncate=cuts,
                        truncation_direction="right" if cuts else None,
                        dimensions=request.dimensions,
                    )
                except (ValueError, TypeError) as exc:
                    raise ProviderError(f"{_NO_VECTORS} ({exc})") from exc
        return Embeddings(_shaped(found, len(request.texts)), usage=_usage(client.answered))


_NO_VECTORS = (
    "the service sent no table of vectors, one a text: if they are one a token, the model is "
    "served without pooling; serve it with text-embeddings-inference (--pooling mean, cls, …), "
    "or choose a model of sentence-transformers"
)


def _shaped(found: Vectors, count: int) -> Vectors:
    if found.ndim == 1 and count == 1:
        return found[np.newaxis, :]
    if found.ndim != 2:  # noqa: PLR2004
        raise ProviderError(f"{_NO_VECTORS} (shape {found.shape} for {count} texts)")
    return found


def _prompt_name(request: EmbeddingRequest) -> str | None:
    options: HFInferenceEmbeddingOptions = request.options
    query = request.input_type == "query"
    return options.query_prompt_name if query else options.document_prompt_name


def _usage(headers: Mapping[str, str]) -> Usage | None:
    """Return what text-embeddings-inference says in its headers; others say nothing."""
    tokens = headers.get("x-compute-tokens", "")
    return Usage(int(tokens)) if tokens.isdecimal() else None
