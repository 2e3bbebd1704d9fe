"""Local Hugging Face models: ``hf:ORG/NAME`` of the hub, ``hf:FOLDER``, ``hf:FOLDER/FILE.gguf``."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from lightrag_hf.options import LOGGERS, HFEmbeddingOptions, HFLLMOptions, HFOptions
from ragcore import Capabilities, CompletionProvider, EmbeddingProvider, Retry, hookimpl

if TYPE_CHECKING:
    from lightrag_hf.compat import (
        hf_embed,
        hf_model_complete,
        hf_model_if_cache,
        initialize_hf_model,
    )

__all__ = [
    "HFEmbeddingOptions",
    "HFLLMOptions",
    "HFOptions",
    "hf_embed",
    "hf_model_complete",
    "hf_model_if_cache",
    "initialize_hf_model",
    "ragcore_completion_providers",
    "ragcore_embedding_providers",
]

# What can pass here is a hub that does not answer; a model in memory fails for good or not at all.
# A stream may be silent for as long as this machine computes.
_RETRY = Retry(attempts=2, wait_initial=1.0, wait_max=5.0, idle_timeout=None)


@hookimpl
def ragcore_completion_providers() -> Iterator[CompletionProvider]:
    """Offer causal language models."""
    yield CompletionProvider(
        name="hf",
        connection=HFOptions,
        options=HFLLMOptions,
        connect="lightrag_hf._connect:connect",
        backend="lightrag_hf._completion:open_completion",
        capabilities=Capabilities(think_tags=True),
        retry=_RETRY,
        loggers=LOGGERS,
        tokenizer="lightrag_hf._tokenizer:open_tokenizer",
    )


@hookimpl
def ragcore_embedding_providers() -> Iterator[EmbeddingProvider]:
    """Offer encoders, and decoders that were trained to embed."""
    yield EmbeddingProvider(
        name="hf",
        connection=HFOptions,
        options=HFEmbeddingOptions,
        connect="lightrag_hf._connect:connect",
        backend="lightrag_hf._embedding:open_embedding",
        capabilities=Capabilities(dimensions=True, input_type=True),
        retry=_RETRY,
        loggers=LOGGERS,
        tokenizer="lightrag_hf._tokenizer:open_tokenizer",
        describe="lightrag_hf._describe:describe",
        identity="lightrag_hf._describe:identity",
    )


def __getattr__(name: str) -> Any:
    # LightRAG's names need its bridge, which who lists providers does not.
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from lightrag_hf import compat

    return getattr(compat, name)
