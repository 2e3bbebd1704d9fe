"""``embedding_func``: what LightRAG makes its vectors by."""

from __future__ import annotations

import asyncio
import logging
import os
import weakref
from collections.abc import Awaitable, Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import attrs

from ragcore._calls.attempts import Deadline
from ragcore._calls.opening import Opening, resolve_embedding
from ragcore._records import InputType
from ragcore.errors import OptionsError
from ragcore.hookspecs import EmbeddingProvider
from ragcore.lightrag._engine import engines_own
from ragcore.lightrag._guard import Guard
from ragcore.lightrag._identity import Maker
from ragcore.lightrag._index import Folder
from ragcore.lightrag._keeper import EMBEDDINGS, USERS, WORK
from ragcore.lightrag._telling import count
from ragcore.lightrag._tokenizer import counting
from ragcore.options import BindingOptions, raise_all

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from ragcore.lightrag._engine import EmbeddingFunc

_log = logging.getLogger("ragcore")

EmbeddingFunction = Callable[..., Awaitable[Any]]

# What providers call the texts before queries and before documents.
# What the functions make their vectors by, which LightRAG copies, and takes no more of.
_MAKERS: weakref.WeakKeyDictionary[EmbeddingFunction, Maker] = weakref.WeakKeyDictionary()

_PREFIXES = (("query_prefix", "document_prefix"), ("query_prompt", "document_prompt"))


def embedding_func(
    reference: str,
    *,
    dimensions: int | None = None,
    max_tokens: int | None = None,
    model_name: str | None = None,
    send_dimensions: bool | None = None,
    working_dir: str | os.PathLike[str] | None = None,
    workspace: str | None = None,
    **options: Any,
) -> EmbeddingFunc:
    """
    Make LightRAG's ``embedding_func`` out of a model.

    Nothing is opened yet; the first call opens the model. A text that is longer than the model
    reads is cut at its end, with a line in the log: LightRAG counts by another tokenizer.

    With *working_dir*, it is written there what makes the index's vectors, and the first call
    refuses to embed for an index that was made by another embedding. Where nothing is written yet,
    some of what LightRAG's default storage has is embedded again, and compared.

    Args:
        reference: ``"provider:model"``.
        dimensions: Length of a vector; needed where the provider does not know it.
        max_tokens: Tokens of the longest text, which LightRAG splits by; else as the provider says.
        model_name: Part of the names of LightRAG's collections: keep it, and an existing index
            stays in use. Else what *reference* says after the colon.
        send_dimensions: Whether the service is asked for vectors of that length. Left out: a model
            that can choose is.
        working_dir: LightRAG's, if the index is to be kept from other vectors than its own.
        workspace: LightRAG's; left out: WORKSPACE of the environment, as LightRAG has it.
        options: As in :func:`ragcore.embedding`. Here *timeout* is 55 seconds if it is not set,
            which ends before LightRAG's own patience does.

    Returns:
        LightRAG's own ``EmbeddingFunc``; its vectors are float32, ``(len(texts), dimensions)``.

    Raises:
        UnknownProviderError: Nothing installed goes by that name.
        PluginError: The plugin is broken.
        OptionsError: Options are missing, unknown or invalid, or *dimensions* is needed.
        ProviderError: The files of a local model are out of reach, or are not those of a model.
        EmbeddingIdentityError: The vectors in *working_dir* have another length. The first call
            raises it for all other differences.
    """
    _refuse_no_counts(dimensions=dimensions, max_tokens=max_tokens)
    opening = EMBEDDINGS.in_time(resolve_embedding(reference, options))
    return embedding(
        opening,
        dimensions=dimensions,
        max_tokens=max_tokens,
        model_name=model_name or opening.model_name,
        send_dimensions=send_dimensions,
        folder=None if working_dir is None else Folder.of(working_dir, workspace),
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
    """How messages name the length of a vector, what says it, and that it is asked for."""

    dimensions: str = "dimensions"
    cure: str = "pass dimensions="
    send_dimensions: str = "send_dimensions"


_KEYWORDS = Words()


def embedding(
    opening: Opening[EmbeddingProvider],
    *,
    dimensions: int | None = None,
    max_tokens: int | None = None,
    model_name: str | None = None,
    send_dimensions: bool | None = None,
    asymmetric: bool | None = None,
    folder: Folder | None = None,
    words: Words = _KEYWORDS,
) -> EmbeddingFunc:
    """
    Make LightRAG's object out of what opens the model; arguments as in :func:`embedding_func`.

    *asymmetric* says whether the model is told queries from documents; None leaves that to it.

    Raises:
        OptionsError: *dimensions* is needed, is another than the model has, or can't be sent.
        EmbeddingIdentityError: The vectors in *folder* have another length.
    """
    maker = _maker(
        opening,
        dimensions=dimensions,
        max_tokens=max_tokens,
        send_dimensions=send_dimensions,
        asymmetric=asymmetric,
        words=words,
    )
    guard = None if folder is None else Guard(folder, maker)
    if guard is not None:
        guard.check_length()
    made: EmbeddingFunc = engines_own("EmbeddingFunc")(
        embedding_dim=maker.dimensions,
        func=_function(maker, guard, sends=_sends(opening, send_dimensions, words)),
        max_token_size=maker.max_tokens,
        send_dimensions=bool(send_dimensions),
        model_name=model_name,
        supports_asymmetric=maker.is_asymmetric,
    )
    return made


def _maker(
    opening: Opening[EmbeddingProvider],
    *,
    dimensions: int | None = None,
    max_tokens: int | None = None,
    send_dimensions: bool | None = None,
    asymmetric: bool | None = None,
    words: Words = _KEYWORDS,
) -> Maker:
    """Settle what vectors *opening*'s model makes; arguments and errors as in :func:`embedding`."""
    sends = _sends(opening, send_dimensions, words)
    known, known_max_tokens = opening.described()
    length = dimensions or known
    if length is None:
        raise OptionsError(
            f"{words.dimensions}: {opening.reference} does not say how long its vectors are; "
            f"{words.cure}"
        )
    if not sends and known not in (None, length):
        raise _of_another_length(opening, known, length, words)
    asked, longest = dimensions if sends else None, max_tokens or known_max_tokens

    async def embed(
        texts: Sequence[str], *, input_type: InputType, deadline: Deadline
    ) -> npt.NDArray[np.float32]:
        sizes = {"dimensions": asked, "max_token_size": longest}
        vectors = await vectors_of(
            texts, opening, deadline=deadline, input_type=input_type, **sizes
        )
        return _of_length(length, vectors, opening)

    both = is_asymmetric(opening) if asymmetric is None else asymmetric
    return Maker(opening, length, asked, longest, both, embed)


def _function(maker: Maker, guard: Guard | None, *, sends: bool) -> EmbeddingFunction:
    """Make the function that LightRAG calls; a closure, which it can copy."""
    opening = maker.opening

    async def embed(
        texts: Sequence[str],
        *,
        context: Any = "document",
        embedding_dim: int | None = None,
        max_token_size: int | None = None,
        token_tracker: Any = None,
        **options: Any,
    ) -> npt.NDArray[np.float32]:
        deadline = Deadline(opening.host.timeout)
        if guard is not None:
            await guard.passed(context, deadline)
        vectors = await vectors_of(
            texts,
            opening,
            deadline=deadline,
            max_token_size=max_token_size,
            token_tracker=token_tracker,
            input_type=context,
            dimensions=(embedding_dim or maker.asked) if sends else None,
            **options,
        )
        return _of_length(embedding_dim or maker.dimensions, vectors, opening)

    _MAKERS[embed] = maker
    return embed


def maker_of(embed: EmbeddingFunc) -> Maker:
    """
    Return what *embed* makes its vectors by.

    Raises:
        OptionsError: It was made by somebody else.
    """
    maker = _MAKERS.get(embed.func)
    if maker is None:
        raise OptionsError("embed: was not made by embedding_func() or from_env() of ragcore")
    return maker


async def vectors_of(
    texts: Sequence[str],
    opening: Opening[EmbeddingProvider],
    *,
    deadline: Deadline | None = None,
    max_token_size: int | None = None,
    token_tracker: Any = None,
    **arguments: Any,
) -> npt.NDArray[np.float32]:
    """
    Embed *texts*; what is too long is cut with a line in the log, and the cost is counted.

    Args:
        texts: May be empty.
        opening: What opens the model.
        deadline: The call's, if it has begun already.
        max_token_size: Tokens to cut a text to, where anything here counts the model's tokens; what
            the model reads is the limit in any case.
        token_tracker: LightRAG's.
        arguments: As in :meth:`ragcore.EmbeddingModel.embed`.
    """
    async with EMBEDDINGS.lent(opening, deadline) as (model, left):
        shorter = await _shortened(texts, opening, max_token_size)
        priority = USERS if arguments.get("input_type") == "query" else WORK
        defaults = {"timeout": left, "truncate": "end", "priority": priority}
        answer = await model.embed(shorter, **{**defaults, **arguments})
    cut = {*answer.truncated, *_changed(texts, shorter)}
    _warn_if_cut(opening, len(cut), len(texts))
    count(token_tracker, answer.usage)
    return answer.vectors


def _sends(opening: Opening[EmbeddingProvider], send_dimensions: bool | None, words: Words) -> bool:
    can_choose = opening.capabilities.dimensions
    if send_dimensions and not can_choose:
        raise OptionsError(
            f"{words.send_dimensions}: {opening.reference} has vectors of one length "
            "only; leave it out"
        )
    return can_choose if send_dimensions is None else send_dimensions


def _of_another_length(
    opening: Opening[EmbeddingProvider], known: int | None, length: int, words: Words
) -> OptionsError:
    can_choose = opening.capabilities.dimensions
    cure = f"; {words.send_dimensions}=True asks for it" if can_choose else ""
    return OptionsError(
        f"{words.dimensions}: the vectors of {opening.reference} have {known}, not {length}{cure}"
    )


def is_asymmetric(opening: Opening[EmbeddingProvider]) -> bool:
    """Say whether it matters what a text is embedded as: by the model's nature, or by a prefix."""
    names = prefix_fields(opening.provider.options)
    has_prefix = any(getattr(opening.options, name) for name in names)
    return has_prefix or opening.capabilities.input_type


def prefix_fields(options: type[BindingOptions]) -> tuple[str, ...]:
    """Return the options that put a text before queries and before documents; or nothing."""
    names = {field.name for field in options.fields()}
    return next((pair for pair in _PREFIXES if names.issuperset(pair)), ())


async def _shortened(
    texts: Sequence[str], opening: Opening[EmbeddingProvider], most: int | None
) -> Sequence[str]:
    # A text has no more tokens than bytes.
    if not most or all(len(text) * 4 <= most for text in texts if isinstance(text, str)):
        return texts
    return await asyncio.to_thread(_cut_to, most, texts, opening)


def _cut_to(most: int, texts: Sequence[str], opening: Opening[EmbeddingProvider]) -> Sequence[str]:
    tokenizer = counting(opening)
    return texts if tokenizer is None else [_beginning(text, most, tokenizer) for text in texts]


def _beginning(text: Any, most: int, tokenizer: Any) -> Any:
    if not isinstance(text, str):
        return text  # which the model refuses, by its position
    tokens = tokenizer.encode(text)
    return text if len(tokens) <= most else tokenizer.decode(tokens[:most])


def _changed(texts: Sequence[str], others: Sequence[str]) -> Iterator[int]:
    return (
        position
        for position, (text, other) in enumerate(zip(texts, others, strict=True))
        if text is not other
    )


def _warn_if_cut(opening: Opening[EmbeddingProvider], cut: int, count: int) -> None:
    if cut:
        _log.warning(
            "%s: %d of %d texts are longer than the model reads; their ends were cut off",
            opening.reference,
            cut,
            count,
        )


def _of_length(
    length: int, vectors: npt.NDArray[np.float32], opening: Opening[EmbeddingProvider]
) -> npt.NDArray[np.float32]:
    if not len(vectors):
        return vectors.reshape(0, length)
    actual = vectors.shape[1]
    if actual != length:
        raise OptionsError(
            f"dimensions: {opening.reference} made vectors of {actual}, not {length}"
        )
    return vectors
