"""
What the SDK, the servers behind it and the HTTP library say -> ragcore's errors.

Source:
    https://huggingface.co/docs/inference-providers and the error types of
    text-generation-inference and text-embeddings-inference
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from typing import Any

import httpx2
from huggingface_hub import errors as hub

from ragcore import (
    ContextLengthError,
    InterruptedStreamError,
    InvalidRequestError,
    OptionsError,
    ProviderError,
    RagcoreError,
    RequestTimeoutError,
    UnavailableError,
    http_error,
    translating,
)


def translated() -> AbstractContextManager[None]:
    """Raise ragcore's errors where a request fails."""
    return translating(TABLE)


def reported(response: httpx2.Response) -> ProviderError:
    """Return the error that an HTTP answer describes, by whichever server's habit."""
    body = _decoded(response)
    error = _of_status(response.status_code, body, response.text, response.headers)
    loading = body.get("estimated_time")
    if error.retry_after is None and isinstance(loading, int | float) and loading >= 0:
        # A model that is being loaded; an estimate, which may be too low.
        error.retry_after = float(loading)
    return error


_UNPROCESSABLE = 422
_UNREADABLE = (400, 413, _UNPROCESSABLE)
_BACKEND_FAILED = 424  # text-generation-inference and text-embeddings-inference: try again

_TOO_LONG = re.compile(
    r"must have less than \d+ tokens|max_(new_)?tokens`? must be <=|context length|"
    r"maximum context|longer than the maximum|sequence length",
    re.IGNORECASE,
)
_TOO_MANY = re.compile(r"batch size", re.IGNORECASE)


def _of_status(
    status: int, body: Mapping[str, Any], text: str, headers: Mapping[str, str] | None
) -> ProviderError:
    message = _message(body) or text.strip()[:500] or f"the service answered {status}, no more"
    known = _by_wording(message) if status in _UNREADABLE else None
    codes = () if known is None else (_CODES[known],)
    if status == _BACKEND_FAILED:
        codes = ("overloaded_error",)
    error = http_error(status, message, headers=headers, codes=codes or _codes(body))
    if known is InvalidRequestError and type(error) is not known:
        return known(f"{message}; batch_size= sends fewer at once", status=status)
    return error


_CODES: dict[type[ProviderError], str] = {
    ContextLengthError: "context_length_exceeded",
    InvalidRequestError: "",
}


def _by_wording(message: str) -> type[ProviderError] | None:
    if _TOO_MANY.search(message):
        return InvalidRequestError
    return ContextLengthError if _TOO_LONG.search(message) else None


def _decoded(response: httpx2.Response) -> Mapping[str, Any]:
    try:
        body = response.json()
    except ValueError:
        return {}
    return body if isinstance(body, dict) else {}


def _message(body: Mapping[str, Any]) -> str:
    """Return what is wrong, from ``error`` (a text, a list or an object), or its like."""
    match body:
        case {"error": {"message": str(message)}}:
            return message
        case {"error": str(message)} | {"message": str(message)} | {"detail": str(message)}:
            return message
        case {"error": [*messages]}:
            return "; ".join(map(str, messages))
        case {"error": other} | {"detail": other}:
            return json.dumps(other)
    return ""


def _codes(body: Mapping[str, Any]) -> tuple[str | None, ...]:
    match body:
        case {"error": {**error}}:
            return tuple(str(error[name]) for name in ("code", "type") if error.get(name))
    kind = body.get("error_type")
    return (str(kind),) if kind else ()


# --- the table ------------------------------------------------------------------------------


def _by_status(exc: Any) -> RagcoreError:
    return reported(exc.response)


def _in_stream(exc: BaseException) -> RagcoreError:
    """Name an error that came after the status 200; what the SDK was told is its argument."""
    told = exc.args[0] if exc.args else None
    body = {"error": told}
    status = _status_of(told)
    return _of_status(status, body, str(exc), None)


def _status_of(told: object) -> int:
    if isinstance(told, Mapping):
        for name in ("http_status_code", "status", "code"):
            if str(told.get(name)).isdecimal() and int(str(told[name])) >= _LEAST:
                return int(str(told[name]))
        return _STATUS_OF_TYPE.get(str(told.get("type")), 500)
    return 500


_LEAST = 400
_STATUS_OF_TYPE = {"validation": 422, "invalid_request_error": 400, "rate_limit_error": 429}


def _overloaded(exc: BaseException) -> RagcoreError:
    return UnavailableError(f"The model is overloaded: {exc}")


def _invalid(exc: BaseException) -> RagcoreError:
    return _of_status(_UNPROCESSABLE, {"error": str(exc)}, str(exc), None)


def _incomplete(exc: BaseException) -> RagcoreError:
    return InterruptedStreamError(f"The model did not finish: {exc}")


def _failed(exc: BaseException) -> RagcoreError:
    return ProviderError(f"{type(exc).__name__}: {exc}")


def _too_slow(exc: BaseException) -> RagcoreError:
    return RequestTimeoutError(f"The service did not answer in time ({type(exc).__name__})")


def _unreachable(exc: BaseException) -> RagcoreError:
    return UnavailableError(f"The service can't be reached: {type(exc).__name__}: {exc}")


def _no_address(exc: BaseException) -> RagcoreError:
    return OptionsError(f"base_url: {exc} @ hf_inference.base_url")


def _offline(exc: BaseException) -> RagcoreError:
    return OptionsError(f"HF_HUB_OFFLINE is set, so nothing is asked of a service: {exc}")


def _undecodable(exc: BaseException) -> RagcoreError:
    return InterruptedStreamError(f"The service sent what can't be read: {exc}")


TABLE: dict[type[BaseException], Callable[[Any], RagcoreError]] = {
    hub.InferenceTimeoutError: _too_slow,
    hub.OverloadedError: _overloaded,
    hub.ValidationError: _invalid,
    hub.IncompleteGenerationError: _incomplete,
    hub.GenerationError: _failed,
    hub.UnknownError: _in_stream,
    hub.TextGenerationError: _in_stream,
    hub.InferenceEndpointTimeoutError: _too_slow,
    hub.InferenceEndpointError: _failed,
    hub.HfHubHTTPError: _by_status,
    hub.HFValidationError: _failed,
    hub.LocalTokenNotFoundError: _failed,
    hub.OfflineModeIsEnabled: _offline,
    httpx2.TimeoutException: _too_slow,
    httpx2.UnsupportedProtocol: _no_address,
    httpx2.InvalidURL: _no_address,
    httpx2.DecodingError: _undecodable,
    httpx2.HTTPError: _unreachable,
    json.JSONDecodeError: _undecodable,
    UnicodeDecodeError: _undecodable,
}
