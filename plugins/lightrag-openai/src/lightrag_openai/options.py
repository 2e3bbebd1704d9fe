"""What a user sets: where the service is and who asks, how it answers and embeds."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Literal

from ragcore import BindingOptions, Secret, option
from ragcore.options import Pattern, Prefixes
from ragcore.wire import ADDRESS, HEADER, HEADERS, JSON

OPENAI_URL = "https://api.openai.com/v1"

TokenProvider = Callable[[], str | Awaitable[str]]


# Fields that every connection ends with.
DEFAULT_HEADERS = option(
    "HTTP headers sent with each request.", default=None, secret=True, check=HEADERS
)
MAX_CONNECTIONS = option(
    "Most connections open at once.", default=None, minimum=1, provider_default=1000
)
HTTP_CLIENT = option(
    "An httpx2.AsyncClient of your own, with its proxies and limits; you close it.",
    default=None,
    env=None,
)


class OpenAIOptions(
    BindingOptions,
    binding="openai",
    any_of=("api_key", "base_url", "default_headers", "http_client"),
):
    """An account of OpenAI, or a server that pretends to be OpenAI."""

    api_key: Secret | None = option("Key of the account.", default=None, secret=True, check=HEADER)
    base_url: str | None = option(
        "Base URL of the service.",
        default=None,
        check=ADDRESS,
        env=("OPENAI_BASE_URL", "OPENAI_API_BASE"),
        provider_default=OPENAI_URL,
    )
    organization: str | None = option(
        "Organization that pays, for accounts that belong to several.",
        default=None,
        check=HEADER,
        env=("OPENAI_ORG_ID", "OPENAI_ORGANIZATION"),
    )
    project: str | None = option(
        "Project that pays, for accounts that have several.",
        default=None,
        check=HEADER,
        env=("OPENAI_PROJECT_ID", "OPENAI_PROJECT"),
    )
    default_headers: dict[str, str] | None = DEFAULT_HEADERS
    max_connections: int | None = MAX_CONNECTIONS
    http_client: Any = HTTP_CLIENT


_CREDENTIALS = ("api_key", "ad_token", "ad_token_provider")
# The latest that is not a preview; Microsoft lists them under "API version lifecycle".
_DEFAULT_VERSION = "2024-10-21"
_VERSION = "Version of the API."
_VERSIONS = Pattern("[A-Za-z0-9._-]+", "is no version, such as 2024-10-21 or preview")
_DEPLOYMENT = "Deployment that the reference azure:default means."


class AzureConnection(BindingOptions, any_of=_CREDENTIALS):
    """A resource of Azure OpenAI; fields that both tasks have."""

    endpoint: str = option(
        "Address of the resource, such as https://NAME.openai.azure.com.", check=ADDRESS
    )
    api_key: Secret | None = option(
        "Key of the resource.", default=None, secret=True, unless=_CREDENTIALS, check=HEADER
    )
    ad_token: Secret | None = option(
        "Entra ID (Azure AD) token.", default=None, secret=True, unless=_CREDENTIALS, check=HEADER
    )
    ad_token_provider: TokenProvider | None = option(
        "Function that returns an Entra ID token, or an awaitable of one; called per request.",
        default=None,
        env=None,
    )
    deployment: str | None = option(
        "Deployment to ask, if the reference names the model it is of.", default=None, env=None
    )
    default_headers: dict[str, str] | None = DEFAULT_HEADERS
    max_connections: int | None = MAX_CONNECTIONS
    http_client: Any = HTTP_CLIENT


class AzureOpenAIOptions(AzureConnection, binding="azure_openai"):
    """A resource of Azure OpenAI that completes."""

    api_version: str = option(
        _VERSION,
        default=_DEFAULT_VERSION,
        check=_VERSIONS,
        env=("AZURE_OPENAI_API_VERSION", "OPENAI_API_VERSION"),
    )
    default_deployment: str | None = option(
        _DEPLOYMENT, default=None, env="AZURE_OPENAI_DEPLOYMENT", same_as="model"
    )


class AzureEmbeddingOptions(AzureConnection, binding="azure_embedding"):
    """A resource of Azure OpenAI that embeds; often another than the one that completes."""

    api_version: str = option(
        _VERSION,
        default=_DEFAULT_VERSION,
        check=_VERSIONS,
        env=("AZURE_EMBEDDING_API_VERSION", "AZURE_OPENAI_API_VERSION", "OPENAI_API_VERSION"),
    )
    default_deployment: str | None = option(
        _DEPLOYMENT, default=None, env="AZURE_EMBEDDING_DEPLOYMENT", same_as="model"
    )


def _call_option(help: str, **declared: Any) -> Any:  # noqa: A002  # as option() calls it
    """Declare an option that a single call may set, and that is not sent where nobody does."""
    return option(help, default=None, scope="call", **declared)


_TEMPERATURE = "Randomness; 0 takes the likeliest token, as far as the service can."
_TOP_P = "Sample among the likeliest tokens that add up to this probability."
_FREQUENCY_PENALTY = "Makes tokens less likely the more often they were there."
_PRESENCE_PENALTY = "Makes tokens less likely that were there at all."


class Sampling(BindingOptions):
    """How the next token is chosen; services differ in what they take."""

    temperature: float | None = _call_option(_TEMPERATURE)
    top_p: float | None = _call_option(_TOP_P)
    frequency_penalty: float | None = _call_option(_FREQUENCY_PENALTY)
    presence_penalty: float | None = _call_option(_PRESENCE_PENALTY)


class OpenAISampling(BindingOptions):
    """
    How a model of OpenAI chooses the next token.

    Source:
        https://platform.openai.com/docs/api-reference/chat/create
    """

    temperature: float | None = _call_option(_TEMPERATURE, minimum=0, maximum=2, provider_default=1)
    top_p: float | None = _call_option(_TOP_P, minimum=0, maximum=1, provider_default=1)
    frequency_penalty: float | None = _call_option(
        _FREQUENCY_PENALTY, minimum=-2, maximum=2, provider_default=0
    )
    presence_penalty: float | None = _call_option(
        _PRESENCE_PENALTY, minimum=-2, maximum=2, provider_default=0
    )


class ChatOptions(BindingOptions):
    """How a model answers, but for the choice of tokens; unset: the service's own default."""

    api: Literal["chat", "responses"] = option(
        "Which API is asked: Chat Completions, or OpenAI's Responses.", default="chat"
    )
    max_tokens: int | None = _call_option(
        "Longest answer in tokens, for services that know no max_completion_tokens.",
        minimum=1,
        same_as="max_output_tokens",
    )
    max_completion_tokens: int | None = _call_option(
        "Longest answer in tokens, reasoning included.", minimum=1, same_as="max_output_tokens"
    )
    stop: list[str] | None = _call_option("Texts that end the answer; they are not part of it.")
    seed: int | None = _call_option(
        "The same one gives the same answer, as far as the service can."
    )
    logit_bias: dict[str, int] | None = _call_option(
        "Makes tokens, named by their number, likelier or less so, -100 to 100."
    )
    reasoning_effort: str | None = _call_option(
        "How long to think first: none, minimal, low, medium, high, as the model knows."
    )
    reasoning_summary: Literal["auto", "concise", "detailed"] | None = _call_option(
        "How to show the reasoning; Responses API only."
    )
    verbosity: str | None = _call_option("How wordy: low, medium, high.")
    service_tier: str | None = _call_option(
        "Which processing to use: auto, default, flex, priority."
    )
    safety_identifier: str | None = _call_option(
        "Stands for your user where the service looks for abuse; hash it."
    )
    prompt_cache_key: str | None = _call_option(
        "Requests with the same one find each other's cached prompts."
    )
    user: str | None = _call_option("Older name of safety_identifier and prompt_cache_key.")
    store: bool | None = _call_option("Keep the answer at the service, for its evaluations.")
    metadata: dict[str, str] | None = _call_option("Labels of a stored answer.")
    extra_body: dict[str, Any] | None = _call_option(
        "Further fields of the request, as the service documents them.", check=JSON
    )


class OpenAILLMOptions(ChatOptions, OpenAISampling, binding="openai_llm"):
    """How a model of OpenAI or Azure OpenAI answers."""


class OpenAIResponsesLLMOptions(ChatOptions, OpenAISampling, binding="openai_responses_llm"):
    """How a model of OpenAI answers where LightRAG's binding is ``openai_responses``."""

    api: Literal["chat", "responses"] = option(
        "Which API is asked: Chat Completions, or OpenAI's Responses.", default="responses"
    )


class VectorOptions(Prefixes):
    """How texts become vectors; what is unset is the service's own default."""

    encoding_format: Literal["base64", "float"] | None = _call_option(
        "How vectors travel; as base64 they are a quarter as long.",
        provider_default="base64 where the service is known to send it",
    )
    input_types: dict[str, str] | None = _call_option(
        "What to send as input_type for 'query' and for 'document', where the service reads it, "
        'such as {"query": "query", "document": "passage"}.',
    )
    user: str | None = _call_option("Stands for your user; hash it.")
    extra_body: dict[str, Any] | None = _call_option(
        "Further fields of the request, as the service documents them.", check=JSON
    )


class OpenAIEmbeddingOptions(VectorOptions, binding="openai_embedding"):
    """How a model of OpenAI or Azure OpenAI embeds."""
