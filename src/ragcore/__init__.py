"""
The model layer of a RAG system as a small plugin host.

``ragcore.completion("openai:gpt-4o-mini")`` and ``ragcore.embedding("hf:…")`` open a model of any
installed provider. :mod:`ragcore.hookspecs` is the page for authors of plugins,
:mod:`ragcore.lightrag` hands models to LightRAG.
"""

from ragcore import sync
from ragcore._calls.completion import CompletionModel
from ragcore._calls.embedding import EmbeddingModel
from ragcore._calls.exchange import Exchange
from ragcore._calls.layers import Step
from ragcore._calls.models import completion, embedding, list_models, providers
from ragcore._calls.stream import CompletionStream
from ragcore._discovery.registry import BrokenPlugin, Installed, ProviderInfo
from ragcore._records import (
    Capabilities,
    Chunk,
    Completion,
    CompletionRequest,
    EmbeddingRequest,
    Embeddings,
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
from ragcore.options import BindingOptions, option
from ragcore.options._secrets import Secret
from ragcore.wire._http_error import http_error
from ragcore.wire._redacted import redacted
from ragcore.wire._retry_after import retry_after
from ragcore.wire._thinking import ThinkingSplitter, split_thinking
from ragcore.wire._translating import translating

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
    "FinishReason",
    "Image",
    "InputType",
    "Installed",
    "InterruptedStreamError",
    "InvalidRequestError",
    "JSONObject",
    "JSONSchema",
    "Layer",
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
    "assistant",
    "completion",
    "embedding",
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
