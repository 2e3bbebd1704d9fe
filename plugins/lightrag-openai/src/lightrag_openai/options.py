"""What a user sets: where the service is and who asks, how it answers and embeds."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Literal

from ragcore import BindingOptions, Secret, option

TokenProvider = Callable[[], str | Awaitable[str]]

_HTTP_CLIENT = "An httpx2.AsyncClient of your own, with its proxies and limits; you close it."
_HEADERS = "HTTP headers sent with each request, as JSON."
_CONNECTIONS = "Most connections open at once; unset: the SDK's limit, 1000."


class OpenAIOptions(BindingOptions, binding="openai"):
    """An account of OpenAI, or a server that pretends to be OpenAI."""

    api_key: Secret | None = option("Key of the account.", default=None, secret=True)
    base_url: str | None = option(
        "Where the service is; unset: https://api.openai.com/v1.",
        default=None,
        env=("OPENAI_BASE_URL", "OPENAI_API_BASE"),
    )
    organization: str | None = option(
        "Organization that pays.", default=None, env=("OPENAI_ORG_ID", "OPENAI_ORGANIZATION")
    )
    project: str | None = option(
        "Project that pays.", default=None, env=("OPENAI_PROJECT_ID", "OPENAI_PROJECT")
    )
    default_headers: dict[str, str] | None = option(_HEADERS, default=None)
    max_connections: int | None = option(_CONNECTIONS, default=None, minimum=1)
    http_client: Any = option(_HTTP_CLIENT, default=None, env=None)

    def __attrs_post_init__(self) -> None:
        if not (self.api_key or self.base_url or self.default_headers or self.http_client):
            raise ValueError("api_key: missing: pass api_key= or set OPENAI_API_KEY")


class AzureConnection(BindingOptions):
    """A resource of Azure OpenAI; fields that both tasks have."""

    max_connections: int | None = option(_CONNECTIONS, default=None, minimum=1)
    default_headers: dict[str, str] | None = option(_HEADERS, default=None)
    deployment: str | None = option(
        "Deployment to ask, if the reference names the model it is of.", default=None, env=None
    )
    ad_token_provider: TokenProvider | None = option(
        "Function that returns an Entra ID token, or an awaitable of one; called per request.",
        default=None,
        env=None,
    )
    http_client: Any = option(_HTTP_CLIENT, default=None, env=None)


_CREDENTIALS = ("api_key", "ad_token", "ad_token_provider")
_ENDPOINT = "Address of the resource, such as https://NAME.openai.azure.com."
_KEY = "Key of the resource."
_TOKEN = "Entra ID (Azure AD) token."  # noqa: S105  # what it is, not one
_VERSION = "Version of the API."
_DEPLOYMENT = "Deployment that the reference azure:default means."
# The latest that is not a preview; Microsoft lists them under "API version lifecycle".
_DEFAULT_VERSION = "2024-10-21"


class AzureOpenAIOptions(AzureConnection, binding="azure_openai"):
    """A resource of Azure OpenAI that completes."""

    endpoint: str = option(_ENDPOINT)
    api_key: Secret | None = option(_KEY, default=None, secret=True, unless=_CREDENTIALS)
    ad_token: Secret | None = option(_TOKEN, default=None, secret=True, unless=_CREDENTIALS)
    api_version: str = option(
        _VERSION,
        default=_DEFAULT_VERSION,
        env=("AZURE_OPENAI_API_VERSION", "OPENAI_API_VERSION"),
    )
    default_deployment: str | None = option(
        _DEPLOYMENT, default=None, env="AZURE_OPENAI_DEPLOYMENT"
    )

    def __attrs_post_init__(self) -> None:
        if not (self.api_key or self.ad_token or self.ad_token_provider):
            raise ValueError(
                "api_key: missing: pass api_key= or set AZURE_OPENAI_API_KEY, "
                "or pass ad_token= or ad_token_provider="
            )


class AzureEmbeddingOptions(AzureConnection, binding="azure_embedding"):
    """A resource of Azure OpenAI that embeds; often another than the one that completes."""

    endpoint: str = option(_ENDPOINT)
    api_key: Secret | None = option(_KEY, default=None, secret=True, unless=_CREDENTIALS)
    ad_token: Secret | None = option(_TOKEN, default=None, secret=True, unless=_CREDENTIALS)
    api_version: str = option(
        _VERSION,
        default=_DEFAULT_VERSION,
        env=("AZURE_EMBEDDING_API_VERSION", "AZURE_OPENAI_API_VERSION", "OPENAI_API_VERSION"),
    )
    default_deployment: str | None = option(
        _DEPLOYMENT, default=None, env="AZURE_EMBEDDING_DEPLOYMENT"
    )

    def __attrs_post_init__(self) -> None:
        if not (self.api_key or self.ad_token or self.ad_token_provider):
            raise ValueError(
                "api_key: missing: pass api_key= or set AZURE_EMBEDDING_API_KEY, "
                "or pass ad_token= or ad_token_provider="
            )


class ChatOptions(BindingOptions):
    """How a model answers; what is unset is the service's own default."""

    api: Literal["chat", "responses"] = option(
        "Which API is asked: Chat Completions, or OpenAI's Responses.", default="chat"
    )
    temperature: float | None = option("Randomness, 0 to 2.", default=None, scope="call")
    top_p: float | None = option(
        "Sample among the likeliest tokens that add up to this probability, 0 to 1.",
        default=None,
        scope="call",
    )
    max_tokens: int | None = option(
        "Longest answer in tokens, for services that know no max_completion_tokens.",
        default=None,
        scope="call",
        minimum=1,
        same_as="max_output_tokens",
    )
    max_completion_tokens: int | None = option(
        "Longest answer in tokens, reasoning included.",
        default=None,
        scope="call",
        minimum=1,
        same_as="max_output_tokens",
    )
    frequency_penalty: float | None = option(
        "Makes tokens less likely the more often they were there, -2 to 2.",
        default=None,
        scope="call",
    )
    presence_penalty: float | None = option(
        "Makes tokens less likely that were there at all, -2 to 2.", default=None, scope="call"
    )
    stop: list[str] | None = option(
        "Texts that end the answer; they are not part of it.", default=None, scope="call"
    )
    seed: int | None = option(
        "The same one gives the same answer, as far as the service can.",
        default=None,
        scope="call",
    )
    logit_bias: dict[str, int] | None = option(
        "Makes tokens, named by their number, likelier or less so, -100 to 100.",
        default=None,
        scope="call",
    )
    reasoning_effort: str | None = option(
        "How long to think first: none, minimal, low, medium, high, as the model knows.",
        default=None,
        scope="call",
    )
    reasoning_summary: Literal["auto", "concise", "detailed"] | None = option(
        "How to show the reasoning; Responses API only.", default=None, scope="call"
    )
    verbosity: str | None = option("How wordy: low, medium, high.", default=None, scope="call")
    service_tier: str | None = option(
        "Which processing to use: auto, default, flex, priority.", default=None, scope="call"
    )
    safety_identifier: str | None = option(
        "Stands for your user where the service looks for abuse; hash it.",
        default=None,
        scope="call",
    )
    prompt_cache_key: str | None = option(
        "Requests with the same one find each other's cached prompts.", default=None, scope="call"
    )
    user: str | None = option(
        "Older name of safety_identifier and prompt_cache_key.", default=None, scope="call"
    )
    store: bool | None = option(
        "Keep the answer at the service, for its evaluations.", default=None, scope="call"
    )
    metadata: dict[str, str] | None = option(
        "Labels of a stored answer.", default=None, scope="call"
    )
    extra_body: dict[str, Any] | None = option(
        "Further fields of the request, as the service documents them.",
        default=None,
        scope="call",
    )


class OpenAILLMOptions(ChatOptions, binding="openai_llm"):
    """How a model of OpenAI or Azure OpenAI answers."""


class VectorOptions(BindingOptions):
    """How texts become vectors; what is unset is the service's own default."""

    encoding_format: Literal["base64", "float"] | None = option(
        "How vectors travel; unset: base64 (four times smaller) where the service is known for it.",
        default=None,
        scope="call",
    )
    query_prefix: str | None = option("Text put before each query.", default=None, scope="call")
    document_prefix: str | None = option(
        "Text put before each document.", default=None, scope="call"
    )
    input_types: dict[str, str] | None = option(
        "What to send as input_type for 'query' and for 'document', where the service reads it, "
        'such as {"query": "query", "document": "passage"}.',
        default=None,
        scope="call",
    )
    user: str | None = option("Stands for your user; hash it.", default=None, scope="call")
    extra_body: dict[str, Any] | None = option(
        "Further fields of the request, as the service documents them.",
        default=None,
        scope="call",
    )


class OpenAIEmbeddingOptions(VectorOptions, binding="openai_embedding"):
    """How a model of OpenAI or Azure OpenAI embeds."""
