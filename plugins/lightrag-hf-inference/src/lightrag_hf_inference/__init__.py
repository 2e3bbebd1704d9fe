"""Hugging Face's Inference API and dedicated endpoints: ``hf-inference:ORG/NAME`` or a URL."""

from collections.abc import Iterator

from lightrag_hf_inference.options import (
    LOGGERS,
    HFInferenceEmbeddingOptions,
    HFInferenceLLMOptions,
    HFInferenceOptions,
)
from ragcore import Capabilities, CompletionProvider, EmbeddingProvider, Retry, hookimpl

__all__ = [
    "HFInferenceEmbeddingOptions",
    "HFInferenceLLMOptions",
    "HFInferenceOptions",
    "ragcore_completion_providers",
    "ragcore_embedding_providers",
]

# A model that is loading says how long that takes, often too low a number, several times.
_RETRY = Retry(attempts=6, wait_initial=1.0, wait_max=30.0)

# text-embeddings-inference takes no more unless it is started with --max-client-batch-size.
_MAX_BATCH = 32

_CAN_COMPLETE = Capabilities(
    json_object=True, json_schema=True, images=True, reasoning=True, think_tags=True
)


@hookimpl
def ragcore_completion_providers() -> Iterator[CompletionProvider]:
    """Offer chat models; what one can't do, its server says."""
    yield CompletionProvider(
        name="hf-inference",
        connection=HFInferenceOptions,
        options=HFInferenceLLMOptions,
        connect="lightrag_hf_inference._connect:connect",
        backend="lightrag_hf_inference._completion:HFInferenceCompletion",
        capabilities=_CAN_COMPLETE,
        retry=_RETRY,
        loggers=LOGGERS,
        list_models="lightrag_hf_inference._connect:list_models",
    )


@hookimpl
def ragcore_embedding_providers() -> Iterator[EmbeddingProvider]:
    """Offer models of the task feature-extraction."""
    yield EmbeddingProvider(
        name="hf-inference",
        connection=HFInferenceOptions,
        options=HFInferenceEmbeddingOptions,
        connect="lightrag_hf_inference._connect:connect",
        backend="lightrag_hf_inference._embedding:HFInferenceEmbedding",
        capabilities=Capabilities(dimensions=True, input_type=True, max_batch=_MAX_BATCH),
        retry=_RETRY,
        loggers=LOGGERS,
        list_models="lightrag_hf_inference._connect:list_models",
    )
