"""What a user sets: which account, how a model answers, how it embeds."""

from __future__ import annotations

from typing import Any, Literal

from ragcore import BindingOptions, OptionsError, Secret, option
from ragcore.wire import ADDRESS, HEADER, JSON

LOGGERS = ("botocore", "boto3", "urllib3")

Family = Literal["titan-v1", "titan-v2", "titan-image", "cohere-v3", "cohere-v4"]

_KEYS = ("access_key_id", "secret_access_key")
_CREDENTIALS = (*_KEYS, "session", "bearer_token", "profile")


class BedrockOptions(BindingOptions, binding="aws"):
    """
    Which account, and where.

    Credentials that are not given here are found as boto3 finds them: environment, profile, SSO,
    web identity, container, instance.
    """

    region: str | None = option(
        "AWS region, such as us-east-1.",
        default=None,
        provider_default="the profile's",
        env=("AWS_REGION", "AWS_DEFAULT_REGION"),
    )
    profile: str | None = option(
        "Profile of the shared configuration files.",
        default=None,
        env="AWS_PROFILE",
        unless=("session", *_KEYS),
    )
    endpoint_url: str | None = option(
        "Address of the service.",
        default=None,
        env="AWS_ENDPOINT_URL_BEDROCK_RUNTIME",
        provider_default="the region's own",
        check=ADDRESS,
    )
    bearer_token: Secret | None = option(
        "Amazon Bedrock API key, used instead of AWS credentials.",
        default=None,
        env="AWS_BEARER_TOKEN_BEDROCK",
        secret=True,
        check=HEADER,
        unless=("session", *_KEYS),
    )
    max_connections: int = option(
        "Most requests under way at once; each takes a thread while it lasts.",
        default=64,
        minimum=1,
    )
    session: Any = option("A boto3.Session of yours, for its credentials.", default=None, env=None)
    access_key_id: Secret | None = option(
        "AWS access key; goes with secret_access_key.",
        default=None,
        env=None,
        role_env="AWS_ACCESS_KEY_ID",
        secret=True,
        check=HEADER,
        unless=_CREDENTIALS,
    )
    secret_access_key: Secret | None = option(
        "Secret of the AWS access key.",
        default=None,
        env=None,
        role_env="AWS_SECRET_ACCESS_KEY",
        secret=True,
        check=HEADER,
        unless=_CREDENTIALS,
    )
    session_token: Secret | None = option(
        "Session token of temporary AWS credentials.",
        default=None,
        env=None,
        role_env="AWS_SESSION_TOKEN",
        secret=True,
        check=HEADER,
        unless=_CREDENTIALS,
    )

    def __attrs_post_init__(self) -> None:
        missing = [name for name in _KEYS if getattr(self, name) is None]
        if len(missing) == 1:
            problem = (
                f"{missing[0]}: missing, and goes with its other half: pass {missing[0]}=, or set "
                f"AWS_{missing[0].upper()} with the role's prefix, as the other @ aws.{missing[0]}"
            )
            raise OptionsError(problem, problems=[problem])


class BedrockLLMOptions(BindingOptions, binding="bedrock_llm"):
    """How a model answers; what is unset is the model's own default."""

    temperature: float | None = option(
        "Randomness.", default=None, scope="call", minimum=0, maximum=1
    )
    max_tokens: int | None = option(
        "Longest answer in tokens.",
        default=None,
        scope="call",
        minimum=1,
        provider_default="as long as the model can",
        same_as="max_output_tokens",
    )
    top_p: float | None = option(
        "Sample among the likeliest tokens that add up to this probability.",
        default=None,
        scope="call",
        minimum=0,
        maximum=1,
    )
    stop_sequences: list[str] | None = option(
        "Texts that end the answer; they are not part of it.", default=None, scope="call"
    )
    extra_fields: dict[str, Any] | None = option(
        "Parameters of the model that Converse has no name for, such as thinking or top_k "
        "(additionalModelRequestFields).",
        default=None,
        scope="call",
        check=JSON,
    )
    effort: str | None = option(
        "How much the model takes pains, such as low, medium or high, for models that can choose.",
        default=None,
        scope="call",
    )
    guardrail_id: str | None = option(
        "Identifier or ARN of a guardrail; goes with guardrail_version.", default=None, scope="call"
    )
    guardrail_version: str | None = option(
        "Version of the guardrail: a number, or DRAFT.", default=None, scope="call"
    )
    guardrail_trace: Literal["enabled", "disabled", "enabled_full"] | None = option(
        "Whether the guardrail's findings are traced.", default=None, scope="call"
    )
    latency: Literal["standard", "optimized"] | None = option(
        "Which latency the model is served with.", default=None, scope="call"
    )
    service_tier: Literal["priority", "default", "flex", "reserved"] | None = option(
        "Which tier the request is served in.", default=None, scope="call"
    )
    request_metadata: dict[str, str] | None = option(
        "Names and values by which invocation logs can be filtered.", default=None, scope="call"
    )
    prompt_variables: dict[str, str] | None = option(
        "Variables of a managed prompt, where the model is a prompt's ARN.",
        default=None,
        scope="call",
    )


class BedrockEmbeddingOptions(BindingOptions, binding="bedrock_embedding"):
    """How a model embeds; what is unset is the model's own default."""

    family: Family | None = option(
        "Whose wire format the model speaks, where its name does not say, as in the ARN of an "
        "application inference profile.",
        default=None,
    )
    normalize: bool | None = option(
        "Scale vectors to length 1 (Titan v2 only).",
        default=None,
        scope="call",
        provider_default=True,
    )
    extra_fields: dict[str, Any] | None = option(
        "Further fields of the request's body, as the model documents them.",
        default=None,
        scope="call",
        check=JSON,
    )
