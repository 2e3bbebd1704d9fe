"""
What the SDK and its HTTP library raise -> ragcore's errors.

Source:
    https://platform.claude.com/docs/en/api/errors
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from typing import Any

import anthropic
import httpx2

from ragcore import (
    AuthenticationError,
    ContentFilterError,
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


def reported(body: Any, status: int, headers: Mapping[str, str] | None = None) -> ProviderError:
    """
    Return the error that the service describes in *body*.

    Args:
        body: What it sent, decoded.
        status: Of the answer; 200 where the error came in a stream, whose type then says more.
        headers: Of the answer.
    """
    detail = _mapping(_mapping(body).get("error"))
    kind, message = detail.get("type"), detail.get("message")
    code = _mapping(detail.get("details")).get("error_code")
    message = message if isinstance(message, str) and message else _shown(body, status)
    if status < _FAILED:
        status = _STATUS_OF_TYPE.get(str(kind), 500)
    if status == _BAD_REQUEST and (known := _by_wording(message)):
        error: ProviderError = known(message, status=status)
    else:
        error = http_error(status, message, headers=headers, codes=_codes(kind, code, message))
    error.request_id = _request_id(body, headers)
    return error


_FAILED = 400
_BAD_REQUEST = 400

_STATUS_OF_TYPE = {
    "invalid_request_error": 400,
    "authentication_error": 401,
    "billing_error": 402,
    "permission_error": 403,
    "not_found_error": 404,
    "request_too_large": 413,
    "rate_limit_error": 429,
    "api_error": 500,
    "timeout_error": 504,
    "overloaded_error": 529,
}

# Money, whatever the status: to wait does not help.
_OUT_OF_CREDIT = (
    "contract_spend_limit_reached",
    "enforced_spend_limit_reached",
    "linked_organization_billing_unavailable",
    "linked_organization_spend_limit_reached",
    "organization_on_hold",
    "user_profile_billing_not_authorized",
    "user_profile_not_billable",
)

# These three have no code of their own, only a wording.
_TOO_LONG = ("prompt is too long", "exceed context limit", "context window")
_FILTERED = ("content filtering policy",)
_NO_CREDIT = ("credit balance is too low",)


def _by_wording(message: str) -> type[InvalidRequestError] | None:
    if any(words in message.lower() for words in _TOO_LONG):
        return ContextLengthError
    if any(words in message.lower() for words in _FILTERED):
        return ContentFilterError
    return None


def _codes(kind: object, code: object, message: str) -> tuple[str | None, ...]:
    if code in _OUT_OF_CREDIT or any(words in message.lower() for words in _NO_CREDIT):
        return ("billing_error",)
    return tuple(str(name) for name in (code, kind) if name)


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _shown(body: object, status: int) -> str:
    text = body if isinstance(body, str) else json.dumps(body) if body else ""
    return text.strip()[:500] or f"the service answered {status} and said nothing"


def _request_id(body: object, headers: Mapping[str, str] | None) -> str | None:
    told = (headers or {}).get("request-id") or _mapping(body).get("request_id")
    return str(told) if told else None


# --- the table ------------------------------------------------------------------------------


def _by_status(exc: Any) -> RagcoreError:
    return reported(exc.body, exc.status_code, exc.response.headers)


def _no_credentials(exc: Exception) -> RagcoreError:
    return AuthenticationError(f"The credentials of this machine can't be used: {exc}")


def _unreachable(exc: Exception) -> RagcoreError:
    # The SDK says "Connection error."; what happened is what it was raised from.
    cause = exc.__cause__ or exc
    return UnavailableError(f"The service can't be reached: {type(cause).__name__}: {cause}")


def _too_slow(exc: Exception) -> RagcoreError:
    return RequestTimeoutError(f"The service did not answer in time ({type(exc).__name__})")


def _no_address(exc: Exception) -> RagcoreError:
    return OptionsError(f"base_url: {exc} @ anthropic.base_url")


def _failed(exc: Exception) -> RagcoreError:
    return ProviderError(f"{type(exc).__name__}: {exc}")


def _undecodable(exc: Exception) -> RagcoreError:
    return InterruptedStreamError(f"The service sent what can't be read: {exc}")


TABLE: dict[type[BaseException], Callable[[Any], RagcoreError]] = {
    anthropic.APIStatusError: _by_status,
    anthropic.APITimeoutError: _too_slow,
    anthropic.APIConnectionError: _unreachable,
    anthropic.APIResponseValidationError: _failed,
    anthropic.APIWebhookValidationError: _failed,
    anthropic.APIError: _failed,
    anthropic.CredentialsError: _no_credentials,
    anthropic.RetryableError: _unreachable,
    anthropic.AnthropicError: _failed,
    # A body that breaks off is not the SDK's to translate.
    httpx2.TimeoutException: _too_slow,
    httpx2.UnsupportedProtocol: _no_address,
    httpx2.InvalidURL: _no_address,
    httpx2.DecodingError: _undecodable,
    httpx2.HTTPError: _unreachable,
    json.JSONDecodeError: _undecodable,
    UnicodeDecodeError: _undecodable,
}
