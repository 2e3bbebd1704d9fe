"""``openai:MODEL``, ``azure:DEPLOYMENT``, and endpoints that speak OpenAI's API."""

from collections.abc import Iterator

from lightrag_openai._compatible import Compatible, compatible, provider_of, records
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
    for provider in _providers():
        yield from provider.ragcore_completion_providers()


@hookimpl
def ragcore_embedding_providers() -> Iterator[EmbeddingProvider]:
    """Offer those of them that embed."""
    for provider in _providers():
        yield from provider.ragcore_embedding_providers()


def _providers() -> Iterator[Compatible]:
    options = OpenAILLMOptions, OpenAIEmbeddingOptions
    yield records(OPENAI, "connect", (OpenAIOptions, OpenAIOptions), options)
    azure = AzureOpenAIOptions, AzureEmbeddingOptions
    yield records(AZURE, "connect_azure", azure, options, aliases=("azure_openai",))
    yield from map(provider_of, ROWS)
