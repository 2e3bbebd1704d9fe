"""What is known of embedding models without asking a server."""

from __future__ import annotations

from lightrag_ollama.options import OllamaEmbeddingOptions

# Dimensions and tokens, as the makers of each model give them; a name with a tag may be of another
# size, and is not guessed.
_KNOWN: dict[str, tuple[int, int]] = {
    "all-minilm": (384, 256),
    "bge-large": (1024, 512),
    "bge-m3": (1024, 8192),
    "embeddinggemma": (768, 2048),
    "mxbai-embed-large": (1024, 512),
    "nomic-embed-text": (768, 2048),
    "snowflake-arctic-embed2": (1024, 8192),
}


def describe(model_name: str, options: OllamaEmbeddingOptions) -> tuple[int | None, int | None]:
    """Return the dimensions of a model's vectors and how many tokens it reads, where known."""
    dimensions, tokens = _KNOWN.get(model_name.removesuffix(":latest"), (None, None))
    if tokens is not None and options.num_ctx is not None:
        tokens = min(tokens, options.num_ctx)
    return dimensions, tokens
