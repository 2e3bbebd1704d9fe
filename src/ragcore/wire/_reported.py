"""The error that a service describes in a body."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from ragcore.errors import ProviderError
from ragcore.wire._http_error import kind_of, kind_of_status, made
from ragcore.wire._phrases import Phrase, phrase_in
from ragcore.wire._said import codes_of, leaves, shortened, words_of

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


def reported(
    body: object,
    status: int | None = None,
    *,
    headers: Mapping[str, str] | None = None,
    address: str | None = None,
    codes: Mapping[str, type[ProviderError]] | None = None,
    more_phrases: Iterable[Phrase] = (),
    unknown: type[ProviderError] = ProviderError,
) -> ProviderError:
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
    message = _message(words, status, headers or {}, phrase)
    message = f"{address}: {message}" if address else message
    error = made(phrase.kind if phrase else kind or unknown, message, status, headers)
    return _completed(error, body)


def misdirected(error: ProviderError, address: str, option: str) -> ProviderError:
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


def _status_in(codes: tuple[str, ...]) -> int | None:
    numbers = (int(code) for code in codes if re.fullmatch(r"[45]\d\d", code))
    named = (_STATUS_OF_CODE[code] for code in codes if code in _STATUS_OF_CODE)
    return next(numbers, None) or next(named, None)


def _kind(
    told: tuple[str, ...], status: int | None, codes: Mapping[str, type[ProviderError]]
) -> type[ProviderError] | None:
    own = next((codes[code] for code in told if code in codes), None)
    # OpenAI and its like have many codes of it: billing_not_active, billing_hard_limit_reached …
    known = ("billing_error" if "billing" in code else code for code in told)
    return own or kind_of(known) or (kind_of_status(status) if status else None)


def _message(
    words: str, status: int | None, headers: Mapping[str, str], phrase: Phrase | None
) -> str:
    said = shortened(words) or f"the service answered {status or 'with an error'} and said no more"
    place = next((to for name, to in headers.items() if name.lower() == "location"), None)
    if status in _REDIRECTS and place:
        return f"{said}; the service moved to {place[:_LONGEST_PLACE]}: name that address"
    return f"{said}; {phrase.cure}" if phrase and phrase.cure else said


def _completed(error: ProviderError, body: object) -> ProviderError:
    found = dict(reversed([*leaves(body)]))
    request_id = found.get("request_id", found.get("requestId"))
    error.request_id = error.request_id or (str(request_id) if request_id else None)
    # Gemini's RetryInfo; the Hub's estimate for a model that is being loaded.
    wait = str(found.get("retryDelay", found.get("estimated_time", ""))).removesuffix("s")
    if error.retry_after is None and re.fullmatch(r"\d{1,9}(\.\d+)?", wait):
        error.retry_after = float(wait)
    return error
