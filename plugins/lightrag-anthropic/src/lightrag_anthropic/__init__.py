"""Claude, by Anthropic's Messages API: ``anthropic:MODEL``."""

from collections.abc import Iterator

from lightrag_anthropic._models import capabilities
from lightrag_anthropic.options import AnthropicLLMOptions, AnthropicOptions
from ragcore import CompletionProvider, Retry, hookimpl

__all__ = ["AnthropicLLMOptions", "AnthropicOptions", "ragcore_completion_providers"]


@hookimpl
def ragcore_completion_providers() -> Iterator[CompletionProvider]:
    """Offer the models of the Messages API."""
    yield CompletionProvider(
        name="anthropic",
        connection=AnthropicOptions,
        options=AnthropicLLMOptions,
        connect="lightrag_anthropic._connect:connect",
        backend="lightrag_anthropic._completion:AnthropicCompletion",
        capabilities=capabilities,
        # Overload (529) passes within seconds, mostly; rate limits say when to come back.
        retry=Retry(attempts=4, wait_initial=1.0, wait_max=20.0),
        loggers=("anthropic", "httpx2", "httpcore2"),
        list_models="lightrag_anthropic._connect:list_models",
    )
