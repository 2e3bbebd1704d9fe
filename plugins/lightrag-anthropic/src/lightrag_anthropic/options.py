"""What a user sets: where the API is and whose account it is, and how a model answers."""

from __future__ import annotations

from typing import Any, Literal

from ragcore import BindingOptions, Secret, option
from ragcore.wire import ADDRESS, HEADER, HEADERS, JSON

BASE_URL = "https://api.anthropic.com"
MAX_CONNECTIONS = 1000
# The API has no default. Every model that is not retired may say this much.
MAX_TOKENS = 8192


class AnthropicOptions(BindingOptions, binding="anthropic"):
    """Where the Messages API is, and who asks; one of *api_key* and *auth_token* is needed."""

    api_key: Secret | None = option(
        "Key of your Anthropic account; goes before auth_token where the environment has both.",
        default=None,
        secret=True,
        unless=("auth_token",),
        check=HEADER,
    )
    auth_token: Secret | None = option(
        "Bearer token, where a gateway or OAuth takes the place of a key.",
        default=None,
        secret=True,
        unless=("api_key",),
        check=HEADER,
    )
    base_url: str | None = option(
        "Address of the API, without /v1.", default=None, provider_default=BASE_URL, check=ADDRESS
    )
    default_headers: dict[str, str] | None = option(
        'HTTP headers sent with each request, such as {"anthropic-beta": "…"}.',
        default=None,
        secret=True,
        check=HEADERS,
    )
    max_connections: int | None = option(
        "Most connections open at once.", default=None, minimum=1, provider_default=MAX_CONNECTIONS
    )


class AnthropicLLMOptions(BindingOptions, binding="anthropic_llm"):
    """
    How a model answers.

    Source:
        https://platform.claude.com/docs/en/api/messages
    """

    max_tokens: int | None = option(
        "Longest answer in tokens, thinking included; the API needs a number.",
        default=None,
        scope="call",
        minimum=1,
        provider_default=MAX_TOKENS,
        same_as="max_output_tokens",
    )
    temperature: float | None = option(
        "Randomness; 0 takes the likeliest token, as far as the service can.",
        default=None,
        scope="call",
        minimum=0,
        maximum=1,
        provider_default=1,
    )
    top_p: float | None = option(
        "Sample among the likeliest tokens that add up to this probability.",
        default=None,
        scope="call",
        minimum=0,
        maximum=1,
    )
    top_k: int | None = option(
        "Sample among so many of the likeliest tokens.", default=None, scope="call", minimum=0
    )
    stop_sequences: list[str] | None = option(
        "Texts that end the answer; they are not part of it.", default=None, scope="call"
    )
    thinking: dict[str, Any] | None = option(
        'Whether to think first: {"type": "adaptive"}, {"type": "disabled"}, or '
        '{"type": "enabled", "budget_tokens": 2048}, in tokens and below max_tokens.',
        default=None,
        scope="call",
        check=JSON,
    )
    effort: Literal["low", "medium", "high", "xhigh", "max"] | None = option(
        "How much work goes into an answer.", default=None, scope="call", provider_default="high"
    )
    service_tier: Literal["auto", "standard_only"] | None = option(
        "Whether reserved capacity may be used.",
        default=None,
        scope="call",
        provider_default="auto",
    )
    speed: Literal["standard", "fast"] | None = option(
        "How fast tokens come, on models that have a choice.", default=None, scope="call"
    )
    inference_geo: str | None = option(
        "Region in which the model runs.",
        default=None,
        scope="call",
        provider_default="the workspace's",
    )
    cache_control: dict[str, Any] | None = option(
        'Keep the prompt in the service\'s cache: {"type": "ephemeral", "ttl": "5m"}.',
        default=None,
        scope="call",
        check=JSON,
    )
    metadata: dict[str, Any] | None = option(
        'About the request: {"user_id": "…"}, an opaque name of the end user.',
        default=None,
        scope="call",
        check=JSON,
    )
    extra_body: dict[str, Any] | None = option(
        "Further fields of the request; they go over what the other options say.",
        default=None,
        scope="call",
        check=JSON,
    )
