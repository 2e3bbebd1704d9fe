"""``openai:MODEL``, ``azure:DEPLOYMENT``, and endpoints that speak OpenAI's API."""

from collections.abc import Iterator

from lightrag_openai._compatible import RETRY, Compatible, compatible, provider_of
from lightrag_openai._endpoint import AZURE, OPENAI, Endpoint
from lightrag_openai._rows import ROWS
from lightrag_openai.options import (
    AzureEmbeddingOptions,
    AzureOpenAIOptions,
    OpenAIEmbeddingOptions,
    OpenAILLMOptions,
    OpenAIOptions,
)
from ragcore import CompletionProvider, EmbeddingProvider, hookimpl

__all__ = [
    "AzureEmbeddingOptions",
    "AzureOpenAIOptions",
    "Compatible",
    "Endpoint",
    "OpenAIEmbeddingOptions",
    "OpenAILLMOptions",
    "OpenAIOptions",
    "compatible",
    "ragcore_completion_providers",
    "ragcore_embedding_providers",
]


@hookimpl
def ragcore_completion_providers() -> Iterator[CompletionProvider]:
    """Offer OpenAI, Azure OpenAI, and the compatible endpoints of the table."""
    yield CompletionProvider(
        name="openai",
        connection=OpenAIOptions,
        options=OpenAILLMOptions,
        connect="lightrag_openai._connect:connect",
        backend="lightrag_openai._completion:open_completion",
        capabilities=OPENAI.completion_capabilities,
        retry=RETRY,
        list_models="lightrag_openai._connect:list_models",
    )
    yield CompletionProvider(
        name="azure",
        aliases=("azure_openai",),
        connection=AzureOpenAIOptions,
        options=OpenAILLMOptions,
        connect="lightrag_openai._connect:connect_azure",
        backend="lightrag_openai._completion:open_completion",
        capabilities=AZURE.completion_capabilities,
        retry=RETRY,
        list_models="lightrag_openai._connect:list_models",
    )
    for row in ROWS:
        yield from provider_of(row).ragcore_completion_providers()


@hookimpl
def ragcore_embedding_providers() -> Iterator[EmbeddingProvider]:
    """Offer those of them that embed."""
    yield EmbeddingProvider(
        name="openai",
        connection=OpenAIOptions,
        options=OpenAIEmbeddingOptions,
        connect="lightrag_openai._connect:connect",
        backend="lightrag_openai._embedding:OpenAIEmbedding",
        capabilities=OPENAI.embedding_capabilities,
        retry=RETRY,
        list_models="lightrag_openai._connect:list_models",
        describe="lightrag_openai._describe:describe",
    )
    yield EmbeddingProvider(
        name="azure",
        aliases=("azure_openai",),
        connection=AzureEmbeddingOptions,
        options=OpenAIEmbeddingOptions,
        connect="lightrag_openai._connect:connect_azure",
        backend="lightrag_openai._embedding:OpenAIEmbedding",
        capabilities=AZURE.embedding_capabilities,
        retry=RETRY,
        list_models="lightrag_openai._connect:list_models",
        describe="lightrag_openai._describe:describe",
    )
    for row in ROWS:
        yield from provider_of(row).ragcore_embedding_providers()
