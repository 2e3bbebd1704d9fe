"""What the OpenAI SDK raises -> ragcore's errors."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import aiohttp
import httpx2
import openai

from ragcore import (
    AuthenticationError,
    ContentFilterError,
    InvalidRequestError,
    OptionsError,
    ProviderError,
    RagcoreError,
    RequestTimeoutError,
    UnavailableError,
    http_error,
)

# The roots of what the SDK, its transports and its parser raise.
RAISED = (
    openai.OpenAIError,
    openai.InvalidWebhookSignatureError,
    httpx2.HTTPError,
    aiohttp.ClientError,
    json.JSONDecodeError,
)


@contextmanager
def translated() -> Iterator[None]:
    """Raise ragcore's errors where the SDK fails."""
    try:
        yield
    except RAISED as exc:
        raise translation(exc) from exc


def translation(exc: Exception) -> RagcoreError:
    """Return what *exc* is called in ragcore: the row of its class, or of the nearest above it."""
    names = (kind.__name__ for kind in type(exc).__mro__)
    return next(TABLE[name] for name in names if name in TABLE)(exc)


def reported(body: object, message: str = "", status: int | None = None) -> ProviderError:
    """
    Return the error that *body* reports, where no HTTP status did: in a stream, or with status 200.

    Args:
        body: What the service put under ``error``: an object or a text.
        message: For want of one in *body*.
        status: For want of one in *body*.
    """
    told = body if isinstance(body, Mapping) else {"message": body}
    code, kind = told.get("code"), told.get("type")
    message = str(told.get("message") or message or body)
    known = _status_of(code) or _STATUS_OF_TYPE.get(str(kind)) or _STATUS_OF_TYPE.get(str(code))
    error = http_error(
        known or status or _UNKNOWN, message, codes=_codes(str(code), str(kind), message)
    )
    if known is None and status is None:
        # Nothing says that trying again would help.
        error = error if type(error) is not InvalidRequestError else ProviderError(message)
        error.status = None
    return error


_UNKNOWN = 400
_STATUS_OF_TYPE = {
    "server_error": 500,
    "internal_server_error": 500,
    "internal_error": 500,
    "service_unavailable": 503,
    "overloaded": 503,
    "timeout": 504,
    "rate_limit_error": 429,
    "rate_limit_exceeded": 429,
    "authentication_error": 401,
    "permission_error": 403,
    "not_found_error": 404,
    "invalid_request_error": 400,
}


def _status_of(code: object) -> int | None:
    text = str(code)
    return int(text) if re.fullmatch(r"[45]\d\d", text) else None


def _by_status(exc: Any) -> RagcoreError:
    told = exc.body if isinstance(exc.body, Mapping) else {}
    told = told.get("error", told) if isinstance(told.get("error", told), Mapping) else told
    message = _message(told, exc)
    return http_error(
        exc.status_code,
        message,
        headers=exc.response.headers,
        codes=_codes(str(told.get("code")), str(told.get("type")), f"{message} {exc.body}"),
    )


def _message(told: Mapping[str, Any], exc: Exception) -> str:
    for key in ("message", "detail", "error", "msg"):
        if isinstance(told.get(key), str) and told[key]:
            return str(told[key])
    return str(exc)


# What services that know no code for it write instead.
_WORDS: tuple[tuple[str, str], ...] = (
    (r"insufficient_quota|exceeded your current quota|insufficient balance", "insufficient_quota"),
    (r"budget_exceeded|budget has been exceeded", "budget_exceeded"),
    (
        (
            r"maximum context length|exceeds? the (available )?context size|context_length_exceeded"
            r"|exceed_context_size|must have less than \d+ tokens|maximum input length"
            r"|too large to process|maximum sequence length|larger than the max"
        ),
        "context_length_exceeded",
    ),
    (r"ResponsibleAIPolicyViolation", "content_filter"),
)


def _codes(code: str, kind: str, text: str) -> tuple[str, ...]:
    """Return what the service says the error is: by its code, its type, and in words."""
    if "billing" in code or "billing" in kind:
        return ("billing_error",)
    said = tuple(meant for words, meant in _WORDS if re.search(words, text, re.IGNORECASE))
    # A rate limit's code says less than the words that there is no credit.
    return (*said, code, kind)


def _by_connection(exc: Any) -> RagcoreError:
    return UnavailableError(f"the connection failed: {_innermost(exc)}")


def _by_timeout(exc: Any) -> RagcoreError:
    # The aiohttp transport calls broken connections timeouts, too.
    chain = list(_chain(exc))
    broken = any(isinstance(one, aiohttp.ClientConnectionError) for one in chain)
    if broken and not any(isinstance(one, TimeoutError) for one in chain):
        return _by_connection(exc)
    return RequestTimeoutError("the service did not answer in time")


def _chain(exc: BaseException | None) -> Iterator[BaseException]:
    while exc is not None:
        yield exc
        exc = exc.__cause__ or exc.__context__


def _innermost(exc: BaseException) -> str:
    *_, last = _chain(exc)
    said = " ".join(str(last).split())
    return f"{type(last).__name__}: {said}" if said else type(last).__name__


def _in_stream(exc: Any) -> RagcoreError:
    return reported(exc.body, exc.message)


def _malformed(exc: Any) -> RagcoreError:
    return ProviderError(f"what the service answered can't be understood: {exc}")


def _generic(exc: Any) -> RagcoreError:
    return ProviderError(str(exc) or type(exc).__name__)


def _credentials(exc: Any) -> RagcoreError:
    return AuthenticationError(str(exc))


def _options(exc: Any) -> RagcoreError:
    return OptionsError(str(exc))


def _filtered(exc: Any) -> RagcoreError:
    return ContentFilterError(str(exc))


# Each class of the SDK has its row, so that a new one is noticed; by name, since not every release
# of the SDK has them all.
TABLE: dict[str, Callable[[Any], RagcoreError]] = {
    "APITimeoutError": _by_timeout,
    "APIConnectionError": _by_connection,
    "BadRequestError": _by_status,
    "AuthenticationError": _by_status,
    "OAuthError": _by_status,
    "PermissionDeniedError": _by_status,
    "NotFoundError": _by_status,
    "ConflictError": _by_status,
    "UnprocessableEntityError": _by_status,
    "RateLimitError": _by_status,
    "InternalServerError": _by_status,
    "APIStatusError": _by_status,
    "APIResponseValidationError": _malformed,
    "APIError": _in_stream,
    "LengthFinishReasonError": _malformed,
    "ContentFilterFinishReasonError": _filtered,
    "SubjectTokenProviderError": _credentials,
    "WebSocketConnectionClosedError": _by_connection,
    "WebSocketQueueFullError": _by_connection,
    "MutuallyExclusiveAuthError": _options,
    "InvalidWebhookSignatureError": _malformed,
    "MissingDependencyError": _generic,
    "StreamAlreadyConsumed": _generic,
    "APIRemovedInV1": _generic,
    "_AmbiguousModuleClientUsageError": _generic,
    "AgentOutputParseError": _generic,
    "AgentFilePreparationError": _generic,
    "AgentFileStagingError": _generic,
    "AgentTurnResultError": _generic,
    "OpenAIError": _generic,
    "TimeoutException": _by_timeout,
    "HTTPError": _by_connection,
    "ClientError": _by_connection,
    "JSONDecodeError": _malformed,
}
