"""Claude, by Anthropic's Messages API: ``anthropic:MODEL``."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from lightrag_anthropic._models import capabilities
from lightrag_anthropic.options import AnthropicLLMOptions, AnthropicOptions
from ragcore import CompletionProvider, Retry, hookimpl

if TYPE_CHECKING:
    from lightrag_anthropic.compat import (
        anthropic_complete,
        anthropic_complete_if_cache,
        anthropic_embed,
        claude_3_haiku_complete,
        claude_3_opus_complete,
        claude_3_sonnet_complete,
    )

__all__ = [
    "AnthropicLLMOptions",
    "AnthropicOptions",
    "anthropic_complete",
    "anthropic_complete_if_cache",
    "anthropic_embed",
    "claude_3_haiku_complete",
    "claude_3_opus_complete",
    "claude_3_sonnet_complete",
    "ragcore_completion_providers",
]


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


def __getattr__(name: str) -> Any:
    # LightRAG's names need its bridge, which who lists providers does not.
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from lightrag_anthropic import compat

    return getattr(compat, name)
