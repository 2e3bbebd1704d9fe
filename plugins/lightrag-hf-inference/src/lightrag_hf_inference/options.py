"""What a user sets: where models are served and who asks, how they answer and embed."""

from __future__ import annotations

from typing import Any

from ragcore import BindingOptions, Secret, option
from ragcore.options import Prefixes
from ragcore.wire import ADDRESS, HEADER, JSON

MAX_CONNECTIONS = 100
LOGGERS = ("huggingface_hub", "httpx2", "httpcore2")


class HFInferenceOptions(BindingOptions, binding="hf_inference"):
    """Where models are served, and who asks."""

    token: Secret | None = option(
        "Access token of your Hugging Face account.",
        default=None,
        provider_default="what 'hf auth login' left on this machine, for Hugging Face's own "
        "address only",
        env=("HF_INFERENCE_TOKEN", "HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"),
        secret=True,
        check=HEADER,
    )
    base_url: str | None = option(
        "Address of a dedicated endpoint, or of a TGI or TEI server.",
        default=None,
        provider_default="Hugging Face's router, https://router.huggingface.co",
        check=ADDRESS,
    )
    provider: str = option(
        "Who serves the model behind the router, such as auto, hf-inference or together.",
        default="auto",
    )
    bill_to: str | None = option(
        "Organisation that pays, instead of you.", default=None, check=HEADER
    )
    max_connections: int | None = option(
        "Most connections open at once.",
        default=None,
        minimum=1,
        provider_default=MAX_CONNECTIONS,
    )


class HFInferenceLLMOptions(BindingOptions, binding="hf_inference_llm"):
    """
    How a model answers.

    Source:
        https://huggingface.co/docs/inference-providers/tasks/chat-completion
    """

    max_tokens: int | None = option(
        "Longest answer in tokens.",
        default=None,
        scope="call",
        minimum=1,
        provider_default="the server's own limit",
        same_as="max_output_tokens",
    )
    temperature: float | None = option(
        "Randomness.", default=None, scope="call", minimum=0, maximum=2
    )
    top_p: float | None = option(
        "Sample among the likeliest tokens that add up to this probability, 0 to 1.",
        default=None,
        scope="call",
    )
    frequency_penalty: float | None = option(
        "Makes tokens less likely the more often they were there.",
        default=None,
        scope="call",
        minimum=-2,
        maximum=2,
    )
    presence_penalty: float | None = option(
        "Makes tokens less likely that were there at all.",
        default=None,
        scope="call",
        minimum=-2,
        maximum=2,
    )
    seed: int | None = option(
        "The same one gives the same answer, as far as the server can.", default=None, scope="call"
    )
    stop: list[str] | None = option(
        "Texts that end the answer, at most 4.", default=None, scope="call"
    )
    extra_body: dict[str, Any] | None = option(
        "Further fields of the request; they go over what the other options say.",
        default=None,
        scope="call",
        check=JSON,
    )


class HFInferenceEmbeddingOptions(Prefixes, binding="hf_inference_embedding"):
    """
    How a model embeds.

    Source:
        https://huggingface.co/docs/inference-providers/tasks/feature-extraction
    """

    normalize: bool | None = option(
        "Scale vectors to length 1.",
        default=None,
        scope="call",
        provider_default="as the server does",
    )
    query_prompt_name: str | None = option(
        "Which of the model's prompts goes before queries, such as query.", default=None
    )
    document_prompt_name: str | None = option(
        "Which of the model's prompts goes before documents, such as passage.", default=None
    )
