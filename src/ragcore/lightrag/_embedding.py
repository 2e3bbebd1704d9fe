"""``embedding_func``: what LightRAG makes its vectors by."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import attrs

from ragcore._calls.embedding import EmbeddingModel
from ragcore._calls.opening import Opening, resolve_embedding
from ragcore._records import Embeddings
from ragcore.errors import OptionsError
from ragcore.hookspecs import EmbeddingProvider
from ragcore.lightrag._asymmetry import is_asymmetric
from ragcore.lightrag._engine import found
from ragcore.lightrag._keeper import EMBEDDINGS
from ragcore.lightrag._telling import count
from ragcore.options import raise_all

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from ragcore.lightrag._engine import EmbeddingFunc

_log = logging.getLogger("ragcore")


def embedding_func(
    reference: str,
    *,
    dimensions: int | None = None,
    max_tokens: int | None = None,
    model_name: str | None = None,
    send_dimensions: bool | None = None,
    **options: Any,
) -> EmbeddingFunc:
    """
    Make LightRAG's ``embedding_func`` out of a model.

    Nothing is opened yet; the first call opens the model. A text that is longer than the model
    reads is cut at its end, with a line in the log: LightRAG counts by another tokenizer.

    Args:
        reference: ``"provider:model"``.
        dimensions: Length of a vector; needed where the provider does not know it.
        max_tokens: Tokens of the longest text, which LightRAG splits by; else as the provider says.
        model_name: Part of the names of LightRAG's collections: keep it, and an existing index
            stays in use. Else what *reference* says after the colon.
        send_dimensions: Whether the service is asked for vectors of that length. Left out: a model
            that can choose is.
        options: As in :func:`ragcore.embedding`. Here *timeout* is 55 seconds if it is not set,
            which ends before LightRAG's own patience does.

    Returns:
        LightRAG's own ``EmbeddingFunc``; its vectors are float32, ``(len(texts), dimensions)``.

    Raises:
        UnknownProviderError: Nothing installed goes by that name.
        PluginError: The plugin is broken.
        OptionsError: Options are missing, unknown or invalid, or *dimensions* is needed.
        ProviderError: The files of a local model are out of reach, or are not those of a model.
    """
    _refuse_no_counts(dimensions=dimensions, max_tokens=max_tokens)
    opening = EMBEDDINGS.in_time(resolve_embedding(reference, options))
    return embedder(
        opening,
        Asked(dimensions, send_dimensions, max_tokens, model_name or opening.model_name),
    )


def _refuse_no_counts(**counts: object) -> None:
    raise_all(
        [
            f"{name}: {count!r} is not a whole number, 1 or more"
            for name, count in counts.items()
            if count is not None and (type(count) is not int or count < 1)
        ]
    )


@attrs.frozen
class Words:
    """
    How messages name what is asked.

    Attributes:
        dimensions: The length of a vector.
        cure: What says it.
        send_dimensions: Whether the service is asked for it.
    """

    dimensions: str = "dimensions"
    cure: str = "pass dimensions="
    send_dimensions: str = "send_dimensions"


@attrs.frozen
class Asked:
    """
    What is said of an embedding beside its options.

    Attributes:
        dimensions: Length of a vector; None if the provider knows it.
        send_dimensions: Whether the service is asked for it; None if the model can choose.
        max_tokens: Tokens of the longest text; None if the provider knows them.
        model_name: Part of the names of LightRAG's collections; None leaves it out of them.
        is_asymmetric: Whether it is told queries from documents; None if that changes anything.
        words: How messages name it.
    """

    dimensions: int | None = None
    send_dimensions: bool | None = None
    max_tokens: int | None = None
    model_name: str | None = None
    is_asymmetric: bool | None = None
    words: Words = Words()


def embedder(opening: Opening[EmbeddingProvider], asked: Asked) -> EmbeddingFunc:
    """
    Make LightRAG's object out of what opens the model.

    Raises:
        OptionsError: *dimensions* is needed, is another than the model has, or can't be sent.
    """
    sends = _sends(opening, asked)
    known, known_max_tokens = opening.described()
    length = _length(opening, asked, known, sends=sends)

    async def embed(
        texts: Sequence[str],
        *,
        context: Any = "document",
        embedding_dim: int | None = None,
        token_tracker: Any = None,
        **options: Any,
    ) -> npt.NDArray[np.float32]:
        kept, left = await EMBEDDINGS.kept(opening)
        model = kept.model
        arguments = {
            "input_type": context,
            "truncate": "end",
            "dimensions": (embedding_dim or asked.dimensions) if sends else None,
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
        max_token_size=asked.max_tokens or known_max_tokens,
        send_dimensions=bool(asked.send_dimensions),
        model_name=asked.model_name,
        supports_asymmetric=(
            is_asymmetric(opening) if asked.is_asymmetric is None else asked.is_asymmetric
        ),
    )
    return made


def _sends(opening: Opening[EmbeddingProvider], asked: Asked) -> bool:
    can_choose = opening.capabilities.dimensions
    if asked.send_dimensions and not can_choose:
        raise OptionsError(
            f"{asked.words.send_dimensions}: {opening.reference} has vectors of one length "
            "only; leave it out"
        )
    return can_choose if asked.send_dimensions is None else asked.send_dimensions


def _length(
    opening: Opening[EmbeddingProvider], asked: Asked, known: int | None, *, sends: bool
) -> int:
    words, length = asked.words, asked.dimensions or known
    if length is None:
        raise OptionsError(
            f"{words.dimensions}: {opening.reference} does not say how long its vectors are; "
            f"{words.cure}"
        )
    if not sends and known not in (None, length):
        cure = (
            f"; {words.send_dimensions}=True asks for it" if opening.capabilities.dimensions else ""
        )
        raise OptionsError(
            f"{words.dimensions}: the vectors of {opening.reference} have {known}, "
            f"not {length}{cure}"
        )
    return length


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
