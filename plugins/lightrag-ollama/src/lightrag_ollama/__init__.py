"""Ollama: models of a server of your own, and of Ollama's cloud."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from lightrag_ollama._host import is_cloud_model
from lightrag_ollama.options import OllamaEmbeddingOptions, OllamaLLMOptions, OllamaOptions
from ragcore import Capabilities, CompletionProvider, EmbeddingProvider, Retry, hookimpl

if TYPE_CHECKING:
    from lightrag_ollama.compat import ensure_think_supported, ollama_embed, ollama_model_complete
    from lightrag_ollama.compat import ollama_model_if_cache as _ollama_model_if_cache

__all__ = [
    "OllamaEmbeddingOptions",
    "OllamaLLMOptions",
    "OllamaOptions",
    "_ollama_model_if_cache",
    "ensure_think_supported",
    "ollama_embed",
    "ollama_model_complete",
    "ragcore_completion_providers",
    "ragcore_embedding_providers",
]

# A full queue (503) empties at the pace of answers, and a model that was not loaded in time (500)
# goes on loading: both take seconds, where a hosted service is back in fractions of one.
_RETRY = Retry(attempts=4, wait_initial=1.0, wait_max=20.0)

_LOGGERS = ("ollama", "httpx", "httpcore")

# Texts of one request are embedded side by side by the server; more of them gain nothing, and
# lose more when the request has to be made again.
_MAX_BATCH = 64


def capabilities(model_name: str) -> Capabilities:
    """
    Return what a model can do, as far as its name says.

    Whether it looks at images and thinks is the server's to say: it refuses what a model can't do.
    Ollama's cloud takes ``format`` and does not follow it
    (https://docs.ollama.com/capabilities/structured-outputs, 2026-11-22), so that there the host
    has to ask in words.
    """
    follows_format = not is_cloud_model(model_name)
    return Capabilities(
        json_object=follows_format,
        json_schema=follows_format,
        images=True,
        reasoning=True,
        # Models whose template Ollama does not know write their thoughts into the text.
        think_tags=True,
    )


@hookimpl
def ragcore_completion_providers() -> Iterator[CompletionProvider]:
    """Offer what answers by ``/api/chat``."""
    yield CompletionProvider(
        name="ollama",
        connection=OllamaOptions,
        options=OllamaLLMOptions,
        connect="lightrag_ollama._connect:connect",
        backend="lightrag_ollama._completion:OllamaCompletion",
        capabilities=capabilities,
        retry=_RETRY,
        loggers=_LOGGERS,
        list_models="lightrag_ollama._models:list_models",
    )


@hookimpl
def ragcore_embedding_providers() -> Iterator[EmbeddingProvider]:
    """Offer what embeds by ``/api/embed``."""
    yield EmbeddingProvider(
        name="ollama",
        connection=OllamaOptions,
        options=OllamaEmbeddingOptions,
        connect="lightrag_ollama._connect:connect",
        backend="lightrag_ollama._embedding:OllamaEmbedding",
        capabilities=Capabilities(dimensions=True, max_batch=_MAX_BATCH),
        retry=_RETRY,
        loggers=_LOGGERS,
        list_models="lightrag_ollama._models:list_models",
        describe="lightrag_ollama._describe:describe",
    )


def __getattr__(name: str) -> Any:
    # LightRAG's names need its bridge, which who lists providers does not.
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from lightrag_ollama import compat

    return getattr(compat, name)
