"""The error that a service's answer stands for: by code, status and words."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime

from ragcore import errors
from ragcore.wire._phrases import Phrase, phrase_in
from ragcore.wire._resets import reset_after
from ragcore.wire._said import codes_of, leaves, shortened, words_of

_Kind = type[errors.ProviderError]
_Headers = Mapping[str, str] | None

_BY_STATUS: dict[int, _Kind] = {
    401: errors.AuthenticationError,
    402: errors.QuotaExceededError,
    403: errors.PermissionDeniedError,
    404: errors.NotFoundError,
    408: errors.RequestTimeoutError,
    409: errors.UnavailableError,
    413: errors.ContextLengthError,
    424: errors.UnavailableError,  # text-generation-inference, Bedrock: the model failed
    425: errors.UnavailableError,
    429: errors.RateLimitError,
    501: errors.InvalidRequestError,  # llama.cpp: not started with --embeddings
    504: errors.RequestTimeoutError,
    505: errors.InvalidRequestError,
    510: errors.InvalidRequestError,
    511: errors.InvalidRequestError,  # a network that wants one to sign in first
}

# What services write as code or type of an error, whatever status they send with it.
_BY_CODE: dict[str, _Kind] = {
    "billing_error": errors.QuotaExceededError,
    "billing_hard_limit_reached": errors.QuotaExceededError,
    "budget_exceeded": errors.QuotaExceededError,
    "content_filter": errors.ContentFilterError,
    "content_policy_violation": errors.ContentFilterError,
    "context_length_exceeded": errors.ContextLengthError,
    "insufficient_quota": errors.QuotaExceededError,
    "invalid_api_key": errors.AuthenticationError,
    "max_tokens_per_request": errors.RequestTooLargeError,
    "model_not_found": errors.NotFoundError,
    "overloaded_error": errors.UnavailableError,
    "rate_limit_exceeded": errors.RateLimitError,
    "string_above_max_length": errors.ContextLengthError,
}

_REQUEST_IDS = ("x-request-id", "request-id", "x-amzn-requestid", "apim-request-id")

# What OpenAI's, Anthropic's and Hugging Face's bodies say where the status was 200.
_CODES_OF_STATUS = {
    400: ("invalid_request_error",),
    401: ("authentication_error",),
    402: ("billing_error",),
    403: ("permission_error",),
    404: ("not_found_error",),
    413: ("request_too_large",),
    422: ("validation",),
    429: ("rate_limit_error", "rate_limit_exceeded"),
    500: ("api_error", "internal_error", "internal_server_error", "server_error"),
    503: ("overloaded", "service_unavailable"),
    504: ("timeout", "timeout_error"),
    529: ("overloaded_error",),
}
_STATUS_OF_CODE = {code: status for status, codes in _CODES_OF_STATUS.items() for code in codes}
_REDIRECTS = range(300, 400)
_LONGEST_PLACE = 200  # characters


def http_error(
    status: int,
    message: str,
    *,
    headers: Mapping[str, str] | None = None,
    codes: tuple[str | None, ...] = (),
) -> errors.ProviderError:
    """
    Return the error that an HTTP answer stands for.

    Args:
        status: 300 or above.
        message: What the service says is wrong.
        headers: Of the answer; ``Retry-After`` and the request's identifier are read.
        codes: What the service gives as code or type of the error. A known one beats the status:
            a 429 with ``insufficient_quota`` is no matter of waiting.
    """
    return _made(_of_code(codes) or _of_status(status), message, status, headers)


def reported(
    body: object,
    status: int | None = None,
    *,
    headers: Mapping[str, str] | None = None,
    address: str | None = None,
    codes: Mapping[str, type[errors.ProviderError]] | None = None,
    more_phrases: Iterable[Phrase] = (),
    unknown: type[errors.ProviderError] = errors.ProviderError,
) -> errors.ProviderError:
    """
    Return the error that *body* describes.

    The service's own codes decide, then its status; words make the class more exact.

    Args:
        body: What the service sent, in any shape that :func:`said` reads.
        status: Of the answer; None or below 300 where the error came in a stream or with 200, and
            the body has to say it.
        headers: Of the answer.
        address: What was asked; the message begins with it.
        codes: The service's codes, beside those that :func:`http_error` knows.
        more_phrases: The service's words, beside those that all have.
        unknown: The class where neither code, status nor words say what it is: whether trying
            again helps is not known then.
    """
    words, told = words_of(body), codes_of(body)
    if status is None or status < _REDIRECTS.start:
        status = _status_in(told)
    kind = _kind(told, status, codes or {})
    phrase = phrase_in((words, *told), kind, more_phrases)
    message = _message(words, status, headers, phrase)
    message = f"{address}: {message}" if address else message
    error = _made(phrase.kind if phrase else kind or unknown, message, status, headers)
    return _completed(error, body)


def misdirected(error: errors.ProviderError, address: str, option: str) -> errors.ProviderError:
    """
    Return *error*, which then also says where it came from: another server may have answered.

    Args:
        error: The answer is not what the service would say, such as a 404 that knows of no model.
        address: What was asked; what follows a ``?`` is left out.
        option: The user's option that holds the address.
    """
    asked = address.partition("?")[0]
    error.args = (f"{error.args[0]}; {asked} was asked: is {option}= right?", *error.args[1:])
    return error


def is_lost(error: errors.ProviderError) -> bool:
    """Whether *error* says that nothing is at an address, and not that a model is missing."""
    is_about_model = re.search("model|deployment", str(error.args[0]), re.IGNORECASE)
    return isinstance(error, errors.NotFoundError) and not is_about_model


def _status_in(codes: tuple[str, ...]) -> int | None:
    numbers = (int(code) for code in codes if re.fullmatch(r"[45]\d\d", code))
    named = (_STATUS_OF_CODE[code] for code in codes if code in _STATUS_OF_CODE)
    return next(numbers, None) or next(named, None)


def _kind(told: tuple[str, ...], status: int | None, codes: Mapping[str, _Kind]) -> _Kind | None:
    own = next((codes[code] for code in told if code in codes), None)
    # OpenAI and its like have many codes of it: billing_not_active, billing_hard_limit_reached …
    known = ("billing_error" if "billing" in code else code for code in told)
    return own or _of_code(known) or (_of_status(status) if status else None)


def _message(words: str, status: int | None, headers: _Headers, phrase: Phrase | None) -> str:
    said = shortened(words) or f"the service answered {status or 'with an error'} and said no more"
    place = _header(headers, "location")
    if status in _REDIRECTS and place:
        return f"{said}; the service moved to {place[:_LONGEST_PLACE]}: name that address"
    return f"{said}; {phrase.cure}" if phrase and phrase.cure else said


def _completed(error: errors.ProviderError, body: object) -> errors.ProviderError:
    found = dict(reversed([*leaves(body)]))
    request_id = found.get("request_id", found.get("requestId"))
    error.request_id = error.request_id or (str(request_id) if request_id else None)
    # Gemini's RetryInfo; the Hub's estimate for a model that is being loaded.
    wait = str(found.get("retryDelay", found.get("estimated_time", ""))).removesuffix("s")
    if error.retry_after is None:
        error.retry_after = _number(wait)
    return error


def _of_code(codes: Iterable[str | None]) -> _Kind | None:
    return next((_BY_CODE[code] for code in codes if code in _BY_CODE), None)


def _of_status(status: int) -> _Kind:
    # 529 is how Anthropic says "overloaded", 52x how gateways say "unreachable".
    others = errors.UnavailableError if status >= 500 else errors.InvalidRequestError  # noqa: PLR2004
    return _BY_STATUS.get(status, others)


def _made(kind: _Kind, message: str, status: int | None, headers: _Headers) -> errors.ProviderError:
    request_id = _header(headers, *_REQUEST_IDS) or None
    wait = retry_after(headers)
    if wait is None and kind is errors.RateLimitError:
        wait = reset_after(_lower(headers))
    return kind(message, status=status, request_id=request_id, retry_after=wait)


def retry_after(headers: Mapping[str, str] | None) -> float | None:
    """
    Return how many seconds a response asks to wait; None if it does not say.

    For authors of plugins: ``RateLimitError(str(exc), retry_after=retry_after(response.headers))``.
    Whatever can't be understood counts as not said.

    Args:
        headers: Of the response, in any case. ``retry-after-ms`` is read first, then
            ``Retry-After``, in seconds or as an HTTP date.

    Returns:
        0 or more. A date counts from the response's own ``Date``, which knows the server's clock,
        or from now.

    Source:
        RFC 9110, section 10.2.3; ``retry-after-ms`` is OpenAI's and Azure's.
    """
    if (milliseconds := _number(_header(headers, "retry-after-ms"))) is not None:
        return milliseconds / 1000
    asked = _header(headers, "retry-after")
    seconds = _number(asked)
    return _until(asked, _header(headers, "date")) if seconds is None else seconds


def _header(headers: _Headers, *names: str) -> str:
    found = _lower(headers)
    return next((found[name] for name in names if name in found), "")


def _lower(headers: _Headers) -> dict[str, str]:
    return {str(name).lower(): str(value).strip() for name, value in (headers or {}).items()}


def _number(text: str) -> float | None:
    try:
        number = float(text)
    except ValueError:
        return None
    return number if math.isfinite(number) and number >= 0 else None


def _until(text: str, now: str) -> float | None:
    then, start = _date(text), _date(now) or datetime.now(UTC)
    return max(0.0, (then - start).total_seconds()) if then else None


def _date(text: str) -> datetime | None:
    from email.utils import parsedate_to_datetime

    try:
        date = parsedate_to_datetime(text)
    except (ValueError, TypeError, OverflowError):
        return None
    return date if date.tzinfo else date.replace(tzinfo=UTC)
