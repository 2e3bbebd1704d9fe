"""
What the SDK and the servers behind it say -> ragcore's errors.

Source:
    https://huggingface.co/docs/inference-providers and the error types of
    text-generation-inference and text-embeddings-inference
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

import httpx2
from huggingface_hub import errors as hub

from ragcore import (
    InterruptedStreamError,
    OptionsError,
    ProviderError,
    RagcoreError,
    RequestTimeoutError,
    UnavailableError,
)
from ragcore.wire import described, reported, translating


def translated() -> AbstractContextManager[None]:
    """Raise ragcore's errors where a request fails."""
    return translating(TABLE)


def refused(response: httpx2.Response) -> ProviderError:
    """Return the error that an answer other than a success describes."""
    return reported(
        response.content,
        response.status_code,
        headers=response.headers,
        address=str(response.url),
    )


# The SDK makes a class of the "error_type" that came in a stream.
_TYPES = {hub.OverloadedError: "overloaded", hub.ValidationError: "validation"}


def _in_stream(exc: hub.TextGenerationError) -> RagcoreError:
    told = exc.args[0] if exc.args else None
    body = {"error": told, "error_type": _TYPES.get(type(exc))}
    return reported(body, unknown=UnavailableError)


def _incomplete(exc: hub.IncompleteGenerationError) -> RagcoreError:
    return InterruptedStreamError(f"the model did not finish: {described(exc)}")


def _offline(exc: hub.OfflineModeIsEnabled) -> RagcoreError:
    return OptionsError(f"HF_HUB_OFFLINE is set, so nothing is asked of a service: {exc}")


TABLE: dict[type[BaseException], Callable[[Any], RagcoreError]] = {
    hub.InferenceTimeoutError: RequestTimeoutError,
    hub.IncompleteGenerationError: _incomplete,
    hub.GenerationError: ProviderError,
    hub.TextGenerationError: _in_stream,
    hub.InferenceEndpointTimeoutError: RequestTimeoutError,
    hub.InferenceEndpointError: ProviderError,
    hub.HfHubHTTPError: lambda exc: refused(exc.response),
    hub.HFValidationError: ProviderError,
    hub.LocalTokenNotFoundError: ProviderError,
    hub.OfflineModeIsEnabled: _offline,
}
