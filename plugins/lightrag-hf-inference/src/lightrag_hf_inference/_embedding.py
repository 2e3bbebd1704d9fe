"""
Feature extraction, of Hugging Face's own servers and of text-embeddings-inference.

Source:
    https://huggingface.co/docs/inference-providers/tasks/feature-extraction
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import httpx2
import numpy as np

from lightrag_hf_inference._connect import ROUTER, Account, headers_of_answers
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
        if self._endpoint is None and account.provider not in _PROVIDERS:
            raise UnsupportedError(
                f"provider: {account.provider!r} can't be asked for embeddings, only "
                f"{' and '.join(_PROVIDERS)} can; lightrag-openai knows some of the others by name"
            )
        self._address = self._endpoint or (
            f"{ROUTER}/hf-inference/models/{model_name}/pipeline/feature-extraction"
        )

    async def embed(self, request: EmbeddingRequest) -> Embeddings:
        """Embed; with ``truncate="end"`` the texts that are too long are found and cut."""
        texts = [_prefix(request) + text for text in request.texts]
        with headers_of_answers() as headers:
            if request.truncate == "error":
                vectors = await self._vectors(texts, request, truncate=False)
                return Embeddings(vectors, usage=_usage(headers))
            vectors, cut = await self._cut(texts, request, 0)
        return Embeddings(vectors, usage=_usage(headers), truncated=cut)

    async def _cut(
        self, texts: list[str], request: EmbeddingRequest, start: int
    ) -> tuple[Vectors, list[int]]:
        """Embed *texts* and say which were cut: those that the service refuses uncut."""
        try:
            return await self._vectors(texts, request, truncate=False), []
        except ContextLengthError:
            if len(texts) == 1:
                return await self._vectors(texts, request, truncate=True), [start]
        half = len(texts) // 2
        first, cut_first = await self._cut(texts[:half], request, start)
        second, cut_second = await self._cut(texts[half:], request, start + half)
        return np.concatenate([first, second]), cut_first + cut_second

    async def _vectors(
        self, texts: list[str], request: EmbeddingRequest, *, truncate: bool
    ) -> Vectors:
        options: HFInferenceEmbeddingOptions = request.options
        with translated():
            async with self._account.inference(self._endpoint) as client:
                try:
                    found = await client.feature_extraction(
                        texts,
                        model=self._address,
                        normalize=options.normalize,
                        prompt_name=_prompt_name(request),
                        truncate=truncate,
                        truncation_direction="right" if truncate else None,
                        dimensions=request.dimensions,
                    )
                except (ValueError, TypeError) as exc:
                    if isinstance(exc, httpx2.HTTPError):
                        raise
                    raise ProviderError(f"{_NO_VECTORS} ({exc})") from exc
        return _shaped(found, len(texts))


_NO_VECTORS = (
    "The service sent no table of vectors, one a text: if they are one a token, the model is "
    "served without pooling; serve it with text-embeddings-inference (--pooling mean, cls, …), "
    "or choose a model of sentence-transformers"
)


def _shaped(found: Vectors, count: int) -> Vectors:
    if found.ndim == 1 and count == 1:
        return found[np.newaxis, :]
    if found.ndim != 2:  # noqa: PLR2004
        raise ProviderError(f"{_NO_VECTORS} (shape {found.shape} for {count} texts)")
    return found


def _prefix(request: EmbeddingRequest) -> str:
    options: HFInferenceEmbeddingOptions = request.options
    query = request.input_type == "query"
    return (options.query_prefix if query else options.document_prefix) or ""


def _prompt_name(request: EmbeddingRequest) -> str | None:
    options: HFInferenceEmbeddingOptions = request.options
    query = request.input_type == "query"
    return options.query_prompt_name if query else options.document_prompt_name


def _usage(answers: list[httpx2.Headers]) -> Usage | None:
    """Add up what text-embeddings-inference says in its headers; others say nothing."""
    counts = [headers.get("x-compute-tokens", "") for headers in answers]
    if not counts or not all(count.isdecimal() for count in counts):
        return None
    return Usage(sum(map(int, counts)))
