"""
Feature extraction, of Hugging Face's own servers and of text-embeddings-inference.

Source:
    https://huggingface.co/docs/inference-providers/tasks/feature-extraction
"""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

import attrs

from lightrag_hf_inference._connect import ROUTER, Account
from lightrag_hf_inference._errors import place_of
from lightrag_hf_inference.options import HFInferenceEmbeddingOptions
from ragcore import (
    ContextLengthError,
    EmbeddingRequest,
    Embeddings,
    OptionsError,
    ProviderError,
    UnsupportedError,
    Usage,
)
from ragcore.wire import counted, decoded, table, unlike, vector

# The router's other providers embed in formats of their own, which need a look-up of each model.
_PROVIDERS = ("auto", "hf-inference")


class HFInferenceEmbedding:
    """One attempt at embedding, over the account's connections."""

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
        self._url = self._endpoint or _router_address(model_name)

    async def embed(self, request: EmbeddingRequest) -> Embeddings:
        """Embed; a single text that is too long is cut by the server if the request says so."""
        try:
            return await self._embedded(request)
        except ContextLengthError:
            if request.truncate == "error" or len(request.texts) > 1:
                raise
        return attrs.evolve(await self._embedded(request, cuts=True), truncated=(0,))

    async def _embedded(self, request: EmbeddingRequest, *, cuts: bool = False) -> Embeddings:
        body = {
            "inputs": list(request.texts),
            "normalize": request.options.normalize,
            "prompt_name": _prompt_name(request),
            "truncate": cuts,
            "truncation_direction": "right" if cuts else None,
            "dimensions": request.dimensions,
        }
        async with self._account.asked(self._url, self._endpoint, body) as response:
            place = place_of(response)
            found = decoded(await response.aread(), *place)
        if not isinstance(found, list) or not found:
            raise unlike(found, "list of vectors", *place)
        texts = len(request.texts)
        # What text-embeddings-inference says in its headers; others say nothing.
        tokens = counted(response.headers, "x-compute-tokens")
        return Embeddings(
            table([*map(vector, _rows(found, texts))], texts),
            usage=None if tokens is None else Usage(tokens),
        )


def _router_address(model_name: str) -> str:
    """
    Return where the router serves *model_name*.

    Raises:
        OptionsError: It would lead to another place.
    """
    if {"", ".", ".."} & set(model_name.split("/")):
        raise OptionsError(f"hf-inference: {model_name!r} can't be the name of a model")
    return f"{ROUTER}/hf-inference/models/{quote(model_name)}/pipeline/feature-extraction"


_NO_VECTORS = (
    "the service sent no table of vectors, one a text: if they are one a token, the model is "
    "served without pooling; serve it with text-embeddings-inference (--pooling mean, cls, …), "
    "or choose a model of sentence-transformers"
)


def _rows(found: list[Any], count: int) -> list[Any]:
    """Return what should be a vector a text: some endpoints answer one text without its table."""
    are_tables = [isinstance(row, list) and any(isinstance(x, list) for x in row) for row in found]
    if any(are_tables) or (count > 1 and not any(isinstance(row, list) for row in found)):
        raise ProviderError(f"{_NO_VECTORS} ({len(found)} came for {count} texts)")
    return found if isinstance(found[0], list) else [found]


def _prompt_name(request: EmbeddingRequest) -> str | None:
    options: HFInferenceEmbeddingOptions = request.options
    query = request.input_type == "query"
    return options.query_prompt_name if query else options.document_prompt_name
