"""``openai:MODEL``, ``azure:DEPLOYMENT``, and endpoints that speak OpenAI's API."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import attrs

from lightrag_openai._compatible import Compatible, compatible, provider_of, records
from lightrag_openai._endpoint import AZURE, OPENAI, Endpoint
from lightrag_openai._rows import ROWS
from lightrag_openai.options import (
    AzureEmbeddingOptions,
    AzureOpenAIOptions,
    OpenAIEmbeddingOptions,
    OpenAILLMOptions,
    OpenAIOptions,
    OpenAIResponsesLLMOptions,
)
from ragcore import CompletionProvider, EmbeddingProvider, hookimpl

if TYPE_CHECKING:
    from lightrag_openai.compat import (
        azure_openai_complete,
        azure_openai_complete_if_cache,
        azure_openai_embed,
        create_openai_async_client,
        gpt_4o_complete,
        gpt_4o_mini_complete,
        nvidia_openai_complete,
        openai_complete,
        openai_complete_if_cache,
        openai_embed,
    )

__all__ = [
    "AzureEmbeddingOptions",
    "AzureOpenAIOptions",
    "Compatible",
    "Endpoint",
    "OpenAIEmbeddingOptions",
    "OpenAILLMOptions",
    "OpenAIOptions",
    "OpenAIResponsesLLMOptions",
    "azure_openai_complete",
    "azure_openai_complete_if_cache",
    "azure_openai_embed",
    "compatible",
    "create_openai_async_client",
    "gpt_4o_complete",
    "gpt_4o_mini_complete",
    "nvidia_openai_complete",
    "openai_complete",
    "openai_complete_if_cache",
    "openai_embed",
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


def __getattr__(name: str) -> Any:
    # LightRAG's names need its bridge, which who lists providers does not.
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from lightrag_openai import compat

    return getattr(compat, name)


def _providers() -> Iterator[Compatible]:
    options = OpenAILLMOptions, OpenAIEmbeddingOptions
    yield records(OPENAI, "connect", (OpenAIOptions, OpenAIOptions), options)
    # LightRAG's name for the same account, asked by the Responses API.
    by_responses = attrs.evolve(OPENAI, name="openai-responses", embeds=False)
    accounts = OpenAIOptions, OpenAIOptions
    answers = OpenAIResponsesLLMOptions, OpenAIEmbeddingOptions
    yield records(by_responses, "connect", accounts, answers, aliases=("openai_responses",))
    azure = AzureOpenAIOptions, AzureEmbeddingOptions
    yield records(AZURE, "connect_azure", azure, options, aliases=("azure_openai",))
    yield from map(provider_of, ROWS)
