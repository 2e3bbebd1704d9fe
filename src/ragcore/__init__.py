"""
The model layer of a RAG system as a small plugin host.

``ragcore.completion("openai:gpt-4o-mini")`` and ``ragcore.embedding("hf:…")`` open a model of any
installed provider. :mod:`ragcore.hookspecs` is the page for authors of plugins,
:mod:`ragcore.lightrag` hands models to LightRAG.

What comes in: a reference, options, and what to complete or embed. What goes out: models, their
answers, and errors. May be imported by applications and plugins; nothing inside imports it.
"""

from ragcore import sync
from ragcore._calls.completion import CompletionModel
from ragcore._calls.embedding import EmbeddingModel
from ragcore._calls.exchange import Exchange
from ragcore._calls.fallback import fallback
from ragcore._calls.held import aclose
from ragcore._calls.layers import Step
from ragcore._calls.models import completion, embedding, list_models, providers
from ragcore._calls.stream import CompletionStream
from ragcore._discovery.registry import BrokenPlugin, Installed, ProviderInfo
from ragcore._limits import Limits
from ragcore._records import (
    Capabilities,
    Chunk,
    Completion,
    CompletionRequest,
    EmbeddingRequest,
    Embeddings,
    Fallback,
    FinishReason,
    Image,
    InputType,
    JSONObject,
    JSONSchema,
    Message,
    ParsedCompletion,
    Retry,
    Role,
    Timings,
    Truncate,
    Usage,
    assistant,
    system,
    user,
)
from ragcore.errors import (
    AuthenticationError,
    ContentFilterError,
    ContextLengthError,
    EmbeddingIdentityError,
    EmptyResponseError,
    InterruptedStreamError,
    InvalidRequestError,
    NotFoundError,
    OptionsError,
    PermissionDeniedError,
    PluginError,
    ProviderError,
    QuotaExceededError,
    RagcoreError,
    RateLimitError,
    RequestTimeoutError,
    RequestTooLargeError,
    TransientError,
    TruncatedResponseError,
    UnavailableError,
    UnknownProviderError,
    UnsupportedError,
)
from ragcore.hookspecs import (
    CompletionBackend,
    CompletionProvider,
    EmbeddingBackend,
    EmbeddingProvider,
    Layer,
    StreamingBackend,
    Tokenizer,
    hookimpl,
)
from ragcore.options import BindingOptions, Secret, option
from ragcore.wire import (
    ThinkingSplitter,
    http_error,
    redacted,
    retry_after,
    split_thinking,
    translating,
)

__all__ = [
    "AuthenticationError",
    "BindingOptions",
    "BrokenPlugin",
    "Capabilities",
    "Chunk",
    "Completion",
    "CompletionBackend",
    "CompletionModel",
    "CompletionProvider",
    "CompletionRequest",
    "CompletionStream",
    "ContentFilterError",
    "ContextLengthError",
    "EmbeddingBackend",
    "EmbeddingIdentityError",
    "EmbeddingModel",
    "EmbeddingProvider",
    "EmbeddingRequest",
    "Embeddings",
    "EmptyResponseError",
    "Exchange",
    "Fallback",
    "FinishReason",
    "Image",
    "InputType",
    "Installed",
    "InterruptedStreamError",
    "InvalidRequestError",
    "JSONObject",
    "JSONSchema",
    "Layer",
    "Limits",
    "Message",
    "NotFoundError",
    "OptionsError",
    "ParsedCompletion",
    "PermissionDeniedError",
    "PluginError",
    "ProviderError",
    "ProviderInfo",
    "QuotaExceededError",
    "RagcoreError",
    "RateLimitError",
    "RequestTimeoutError",
    "RequestTooLargeError",
    "Retry",
    "Role",
    "Secret",
    "Step",
    "StreamingBackend",
    "ThinkingSplitter",
    "Timings",
    "Tokenizer",
    "TransientError",
    "Truncate",
    "TruncatedResponseError",
    "UnavailableError",
    "UnknownProviderError",
    "UnsupportedError",
    "Usage",
    "aclose",
    "assistant",
    "completion",
    "embedding",
    "fallback",
    "hookimpl",
    "http_error",
    "list_models",
    "option",
    "providers",
    "redacted",
    "retry_after",
    "split_thinking",
    "sync",
    "system",
    "translating",
    "user",
]
