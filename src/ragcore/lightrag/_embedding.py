"""``embedding_func``: what LightRAG makes its vectors by."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from ragcore._connect import Opening, embedding_model, resolve_embedding
from ragcore._embedding import EmbeddingModel
from ragcore._records import Embeddings
from ragcore.errors import OptionsError
from ragcore.hookspecs import EmbeddingProvider
from ragcore.lightrag._engine import found
from ragcore.lightrag._keeper import impatient, kept
from ragcore.lightrag._usage import count

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from ragcore.lightrag._engine import EmbeddingFunc

_log = logging.getLogger("ragcore")

# LightRAG gives up after 2 x EMBEDDING_TIMEOUT, 60 s, and its callers after half of that.
_TIMEOUT = 55.0


def embedding_func(
    reference: str,
    *,
    dimensions: int | None = None,
    max_tokens: int | None = None,
    model_name: str | None = None,
    **options: Any,
) -> EmbeddingFunc:
    """
    Make LightRAG's ``embedding_func`` out of a model.

    Nothing is opened yet; the first call opens the model. A text that is longer than the model
    reads is cut at its end, with a line in the log: LightRAG counts by another tokenizer.

    Args:
        reference: ``"provider:model"``.
        dimensions: Length of a vector. Asked of a model that can choose; needed where the provider
            does not know it.
        max_tokens: Tokens of the longest text, which LightRAG splits by; else as the provider says.
        model_name: Part of the names of LightRAG's collections: keep it, and an existing index
            stays in use. Else what *reference* says after the colon.
        options: As in :func:`ragcore.embedding`. Here *timeout* is 55 seconds if it is not set,
            which ends before LightRAG's own patience does.

    Returns:
        LightRAG's own ``EmbeddingFunc``; its vectors are float32, ``(len(texts), dimensions)``.

    Raises:
        UnknownProviderError: Nothing installed goes by that name.
        PluginError: The plugin is broken.
        OptionsError: Options are missing, unknown or invalid, or *dimensions* is needed.
    """
    opening = impatient(resolve_embedding(reference, options), _TIMEOUT)
    capabilities = opening.provider.capabilities_of(opening.model_name)
    known, known_max_tokens = _described(opening)
    length = _length(reference, dimensions, known, can_choose=capabilities.dimensions)

    async def embed(
        texts: Sequence[str],
        *,
        context: Any = "document",
        embedding_dim: int | None = None,
        token_tracker: Any = None,
        **options: Any,
    ) -> npt.NDArray[np.float32]:
        model, left = await kept(opening, embedding_model).model()
        arguments = {
            "input_type": context,
            "truncate": "end",
            "dimensions": embedding_dim or dimensions if capabilities.dimensions else None,
            "timeout": left,
            **options,
        }
        answer = await model.embed(texts, **arguments)
        _warn_if_cut(model, answer, len(texts))
        count(token_tracker, answer.usage)
        return _of_length(embedding_dim or length, answer, model)

    made: EmbeddingFunc = found("EmbeddingFunc")(
        embedding_dim=length,
        func=embed,
        max_token_size=max_tokens or known_max_tokens,
        model_name=model_name or opening.model_name,
        supports_asymmetric=capabilities.input_type,
    )
    return made


def _length(reference: str, asked: int | None, known: int | None, *, can_choose: bool) -> int:
    length = asked or known
    if length is None:
        raise OptionsError(
            f"dimensions: {reference} does not say how long its vectors are; pass dimensions="
        )
    if not can_choose and known not in (None, length):
        raise OptionsError(f"dimensions: the vectors of {reference} have {known}, not {length}")
    return length


def _described(opening: Opening[EmbeddingProvider]) -> tuple[int | None, int | None]:
    if opening.provider.describe is None:
        return None, None
    dimensions, max_tokens = opening.ask(opening.provider.describe)
    return dimensions, max_tokens


def _warn_if_cut(model: EmbeddingModel, answer: Embeddings, count: int) -> None:
    if answer.truncated:
        _log.warning(
            "%s: %d of %d texts are longer than the model reads; their ends were cut off",
            model.reference,
            len(answer.truncated),
            count,
        )


def _of_length(length: int, answer: Embeddings, model: EmbeddingModel) -> npt.NDArray[np.float32]:
    if not len(answer.vectors):
        return answer.vectors.reshape(0, length)
    actual = answer.vectors.shape[1]
    if actual != length:
        raise OptionsError(f"dimensions: {model.reference} made vectors of {actual}, not {length}")
    return answer.vectors
