"""What a user sets: where the API is and whose account it is, and how a model answers."""

from __future__ import annotations

from typing import Any, Literal

from ragcore import BindingOptions, Secret, option


class AnthropicOptions(BindingOptions, binding="anthropic"):
    """Where the Messages API is, and who asks; one of *api_key* and *auth_token* is needed."""

    api_key: Secret | None = option(
        "Key of your Anthropic account; goes before auth_token where the environment has both.",
        default=None,
        secret=True,
        unless=("auth_token",),
    )
    auth_token: Secret | None = option(
        "Bearer token, where a gateway or OAuth takes the place of a key.",
        default=None,
        secret=True,
        unless=("api_key",),
    )
    base_url: str | None = option(
        "Address of the API, without /v1; unset: https://api.anthropic.com.",
        default=None,
    )
    default_headers: dict[str, str] | None = option(
        'Headers sent with each request, such as {"anthropic-beta": "…"}.', default=None
    )
    max_connections: int | None = option(
        "Connections open at once; unset: 1000.", default=None, minimum=1
    )


class AnthropicLLMOptions(BindingOptions, binding="anthropic_llm"):
    """
    How a model answers.

    Source:
        https://platform.claude.com/docs/en/api/messages
    """

    max_tokens: int | None = option(
        "Longest answer in tokens, thinking included; the API needs a number: unset, 8192 is sent.",
        default=None,
        scope="call",
        minimum=1,
        same_as="max_output_tokens",
    )
    temperature: float | None = option("Randomness, 0 to 1.", default=None, scope="call")
    top_p: float | None = option(
        "Sample from the likeliest tokens that make up this probability, 0 to 1.",
        default=None,
        scope="call",
    )
    top_k: int | None = option(
        "Sample from this many of the likeliest tokens.", default=None, scope="call"
    )
    stop_sequences: list[str] | None = option(
        "Texts that end the answer; they are not part of it.", default=None, scope="call"
    )
    thinking: dict[str, Any] | None = option(
        'Whether to think first: {"type": "adaptive"}, {"type": "disabled"}, or '
        '{"type": "enabled", "budget_tokens": 2048}, in tokens and below max_tokens.',
        default=None,
        scope="call",
    )
    effort: Literal["low", "medium", "high", "xhigh", "max"] | None = option(
        "How much work goes into an answer.", default=None, scope="call"
    )
    service_tier: Literal["auto", "standard_only"] | None = option(
        "Whether reserved capacity may be used.", default=None, scope="call"
    )
    speed: Literal["standard", "fast"] | None = option(
        "How fast tokens come, on models that have a choice.", default=None, scope="call"
    )
    inference_geo: str | None = option(
        "Region in which the model runs; unset: the workspace's.", default=None, scope="call"
    )
    cache_control: dict[str, Any] | None = option(
        'Keep the prompt in the service\'s cache: {"type": "ephemeral", "ttl": "5m"}.',
        default=None,
        scope="call",
    )
    metadata: dict[str, Any] | None = option(
        'About the request: {"user_id": "…"}, an opaque name of the end user.',
        default=None,
        scope="call",
    )
    extra_body: dict[str, Any] | None = option(
        "Further fields of the request; they go over what the other options say.",
        default=None,
        scope="call",
    )
