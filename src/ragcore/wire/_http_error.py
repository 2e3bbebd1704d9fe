"""What an HTTP status means: one table, for every provider that speaks HTTP."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from ragcore.errors import (
    AuthenticationError,
    ContentFilterError,
    ContextLengthError,
    InvalidRequestError,
    NotFoundError,
    PermissionDeniedError,
    ProviderError,
    QuotaExceededError,
    RateLimitError,
    RequestTimeoutError,
    RequestTooLargeError,
    UnavailableError,
)
from ragcore.wire._retry_after import retry_after

_BY_STATUS: dict[int, type[ProviderError]] = {
    401: AuthenticationError,
    402: QuotaExceededError,
    403: PermissionDeniedError,
    404: NotFoundError,
    408: RequestTimeoutError,
    409: UnavailableError,
    413: ContextLengthError,
    424: UnavailableError,  # text-generation-inference, -embeddings- and Bedrock: the model failed
    425: UnavailableError,
    429: RateLimitError,
    504: RequestTimeoutError,
}

# What services write as code or type of an error, whatever status they send with it.
_BY_CODE: dict[str, type[ProviderError]] = {
    "billing_error": QuotaExceededError,
    "billing_hard_limit_reached": QuotaExceededError,
    "budget_exceeded": QuotaExceededError,
    "content_filter": ContentFilterError,
    "content_policy_violation": ContentFilterError,
    "context_length_exceeded": ContextLengthError,
    "insufficient_quota": QuotaExceededError,
    "invalid_api_key": AuthenticationError,
    "max_tokens_per_request": RequestTooLargeError,
    "model_not_found": NotFoundError,
    "overloaded_error": UnavailableError,
    "rate_limit_exceeded": RateLimitError,
    "string_above_max_length": ContextLengthError,
}

_REQUEST_IDS = ("x-request-id", "request-id", "x-amzn-requestid", "apim-request-id")


def http_error(
    status: int,
    message: str,
    *,
    headers: Mapping[str, str] | None = None,
    codes: tuple[str | None, ...] = (),
) -> ProviderError:
    """
    Return the error that an HTTP answer stands for.

    Args:
        status: 300 or above.
        message: What the service says is wrong.
        headers: Of the answer; ``Retry-After`` and the request's identifier are read.
        codes: What the service gives as code or type of the error. A known one beats the status:
            a 429 with ``insufficient_quota`` is no matter of waiting.
    """
    kind = kind_of(codes) or kind_of_status(status)
    return made(kind, message, status, headers)


def kind_of(codes: Iterable[str | None]) -> type[ProviderError] | None:
    """Return the class of the first of *codes* that is known."""
    return next((_BY_CODE[code] for code in codes if code in _BY_CODE), None)


def kind_of_status(status: int) -> type[ProviderError]:
    """Return the class of *status*; of one that has no row, by its hundred."""
    # 529 is how Anthropic says "overloaded", 52x how gateways say "unreachable".
    others = UnavailableError if status >= 500 else InvalidRequestError  # noqa: PLR2004
    return _BY_STATUS.get(status, others)


def made(
    kind: type[ProviderError], message: str, status: int | None, headers: Mapping[str, str] | None
) -> ProviderError:
    """Return an error of *kind* with what *headers* say of the request."""
    given = {name.lower(): value for name, value in (headers or {}).items()}
    return kind(
        message,
        status=status,
        request_id=next((given[name] for name in _REQUEST_IDS if name in given), None),
        retry_after=retry_after(given),
    )
