"""``tokenizer``: what LightRAG counts and cuts text by."""

from __future__ import annotations

import contextlib
import functools
from typing import Any

from ragcore._calls.opening import Opening, resolve_completion, resolve_embedding
from ragcore.errors import UnsupportedError
from ragcore.lightrag._engine import engines_own


def tokenizer(reference: str, **options: Any) -> Any:
    """
    Make LightRAG's ``tokenizer`` out of a model's, so that it does not download one.

    Args:
        reference: ``"provider:model"``.
        options: As in :func:`ragcore.embedding`, or :func:`ragcore.completion` for a provider that
            does not embed.

    Returns:
        LightRAG's own ``Tokenizer``, safe to use from several threads. What it decodes of a slice
        of an encoding is a literal piece of the text: LightRAG keeps it as the text of a chunk.

    Raises:
        UnsupportedError: The provider brings no tokenizer.
        UnknownProviderError: Nothing installed goes by that name.
        PluginError: The plugin is broken.
        OptionsError: Options are missing, unknown or invalid; all problems at once.
    """
    opening = _opening(reference, options)
    return _class()(opening.model_name, opening.tokenizer())


def _opening(reference: str, options: dict[str, Any]) -> Opening[Any]:
    for resolve in (resolve_embedding, resolve_completion):
        # Not every provider has both tasks.
        with contextlib.suppress(UnsupportedError):
            opening: Opening[Any] = resolve(reference, options)
            if opening.provider.tokenizer is not None:
                return opening
    raise UnsupportedError(f"{reference}: the provider brings no tokenizer.")


@functools.cache
def _class() -> Any:
    # LightRAG copies it with every query; one that serves many threads can serve all copies.
    return type("Tokenizer", (engines_own("Tokenizer"),), {"__deepcopy__": lambda self, _: self})
