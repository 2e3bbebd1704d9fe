"""What an embedding model's files say of its vectors: their length, and what decides about them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

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


def identity(
    model_name: str, options: HFEmbeddingOptions, *, connection: HFOptions | None = None
) -> dict[str, Any]:
    """
    Return what decides about the model's vectors, by name.

    ``weights`` is missing where the files do not say it: in a folder that no hub has filled.

    Raises:
        ProviderError: As :func:`lightrag_hf._files.configuration`.
        UnsupportedError: The model's sentence-transformers files ask for what is not done here.
    """
    files = _files.configuration(connection or HFOptions(), model_name, options.revision)
    if files.gguf:
        return {}
    recipe = read_recipe(files.folder, options)
    return {
        **_files.version_of(files.folder),
        "dtype": _dtype(recipe.transformer, options),
        "quantization": options.quantization,
        "pooling": "+".join(recipe.pooling),
        "normalize": recipe.is_normalised,
        "max_length": recipe.max_length,
        "query_prompt": recipe.prompt("query"),
        "document_prompt": recipe.prompt("document"),
    }


def _dtype(transformer: Path, options: HFEmbeddingOptions) -> str:
    """Return the number type that the weights went through: float32 holds what others hold."""
    config = _files.read_json(transformer / "config.json")
    stored = str(config.get("dtype") or config.get("torch_dtype") or "float32")
    return stored if options.dtype in {"auto", "float32"} else options.dtype
