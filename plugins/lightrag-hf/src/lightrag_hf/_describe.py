"""Sizes of an embedding model, from its small configuration files."""

from __future__ import annotations

from lightrag_hf import _files
from lightrag_hf._sentence_transformers import dimensions_of, read_recipe
from lightrag_hf.options import HFEmbeddingOptions, HFOptions


def describe(
    model_name: str, options: HFEmbeddingOptions, *, connection: HFOptions | None = None
) -> tuple[int | None, int | None]:
    """
    Return dimensions of a vector and tokens of a text, each None where the files do not say.

    Raises:
        ProviderError: As :func:`lightrag_hf._files.configuration`.
        UnsupportedError: The model's sentence-transformers files ask for what is not done here.
    """
    files = _files.configuration(connection or HFOptions(), model_name, options.revision)
    if files.gguf:
        return None, None
    recipe = read_recipe(files.folder, options)
    return dimensions_of(recipe), recipe.max_length
