"""Amazon Bedrock: ``bedrock:MODEL``, where MODEL is an identifier, a profile or an ARN."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from lightrag_bedrock._families import capabilities_of
from lightrag_bedrock.options import (
    LOGGERS,
    BedrockEmbeddingOptions,
    BedrockLLMOptions,
    BedrockOptions,
)
from ragcore import Capabilities, CompletionProvider, EmbeddingProvider, Retry, hookimpl

if TYPE_CHECKING:
    from lightrag_bedrock.compat import (
        bedrock_complete,
        bedrock_complete_if_cache,
        bedrock_embed,
    )

__all__ = [
    "BedrockEmbeddingOptions",
    "BedrockLLMOptions",
    "BedrockOptions",
    "bedrock_complete",
    "bedrock_complete_if_cache",
    "bedrock_embed",
    "ragcore_completion_providers",
    "ragcore_embedding_providers",
]

# Bedrock throttles by requests and tokens a minute and never says when to come back: waits must
# add up to the better part of a minute before giving up makes sense.
_RETRY = Retry(attempts=6, wait_initial=1.0, wait_max=30.0)


@hookimpl
def ragcore_completion_providers() -> Iterator[CompletionProvider]:
    """Offer all models that speak Converse."""
    yield CompletionProvider(
        name="bedrock",
        aliases=("aws_bedrock",),
        connection=BedrockOptions,
        options=BedrockLLMOptions,
        connect="lightrag_bedrock._connect:connect",
        backend="lightrag_bedrock._completion:BedrockCompletion",
        # Which model can do what is in no API; what one can't do the service refuses by name.
        capabilities=Capabilities(json_schema=True, images=True, reasoning=True, think_tags=True),
        retry=_RETRY,
        loggers=LOGGERS,
        list_models="lightrag_bedrock._models:list_completion_models",
    )


@hookimpl
def ragcore_embedding_providers() -> Iterator[EmbeddingProvider]:
    """Offer the embedding models of Amazon Titan and Cohere."""
    yield EmbeddingProvider(
        name="bedrock",
        aliases=("aws_bedrock",),
        connection=BedrockOptions,
        options=BedrockEmbeddingOptions,
        connect="lightrag_bedrock._connect:connect",
        backend="lightrag_bedrock._embedding:BedrockEmbedding",
        capabilities=capabilities_of,
        retry=_RETRY,
        loggers=LOGGERS,
        list_models="lightrag_bedrock._models:list_embedding_models",
        describe="lightrag_bedrock._families:describe",
    )


def __getattr__(name: str) -> Any:
    # LightRAG's names need its bridge, which who lists providers does not.
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from lightrag_bedrock import compat

    return getattr(compat, name)
