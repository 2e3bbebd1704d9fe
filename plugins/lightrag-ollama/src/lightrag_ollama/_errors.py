"""
What the SDK and its HTTP library raise -> ragcore's errors.

Rows are tried from the top. Ollama sends no codes, only a status and a sentence, and in a stream
the sentence alone: https://docs.ollama.com/api/errors.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import attrs
import httpx
import ollama

from lightrag_ollama._host import is_cloud
from ragcore import (
    InterruptedStreamError,
    InvalidRequestError,
    NotFoundError,
    ProviderError,
    RagcoreError,
    RequestTimeoutError,
    UnavailableError,
    UnsupportedError,
    http_error,
)


@attrs.frozen
class Asked:
    """Who was asked for what: what a message has to name."""

    address: str
    model_name: str
    streamed: bool = False


@contextmanager
def translated(asked: Asked) -> Iterator[None]:
    """Raise ragcore's errors where a request fails; only the SDK's work belongs in the block."""
    try:
        yield
    except tuple(kind for kind, _ in ROWS) as exc:
        translate = next(translate for kind, translate in ROWS if isinstance(exc, kind))
        raise translate(asked, exc) from exc


def _response(asked: Asked, exc: ollama.ResponseError) -> RagcoreError:
    said, status = _sentence(exc.error), exc.status_code
    if status == _UNKNOWN_STATUS:
        # An error in a stream; what fails there is the computation, which may go well next time.
        status = next((code for words, code in _STATUS_IN_STREAM if words.search(said)), 500)
    if status == _NOT_FOUND:
        return _not_found(asked, said)
    if _UNSUPPORTED.search(said):
        return UnsupportedError(f"ollama:{asked.model_name}: {asked.address} says: {said}.")
    if _FOR_GOOD.search(said):
        return ProviderError(f"{asked.address}: {said}", status=status)
    code = next((code for words, code in _CODES if words.search(said)), None)
    cure = _sign_in(asked) if status == _UNAUTHORIZED else _CURES.get(code or "", "")
    message = f"{asked.address}: {said}{cure}"
    return http_error(status, message, headers=_headers(exc), codes=(code,))


_UNKNOWN_STATUS = -1
_UNAUTHORIZED = 401
_NOT_FOUND = 404
_LONGEST_SENTENCE = 500

_UNSUPPORTED = re.compile(r"(?i)does(n't| not) support|missing data required for image input")
# A request that the server can never serve, though it says 500: another attempt is in vain.
_FOR_GOOD = re.compile(r"(?i)requires more system memory|unsupported value: nan")
_CODES = (
    (
        re.compile(
            r"(?i)context (length|window|size)|exceed_context_size|prompt( is)? too long"
            r"|input is too (large|long)"
        ),
        "context_length_exceeded",
    ),
    # "you have reached your weekly usage limit": waiting a few seconds does not help.
    (re.compile(r"(?i)usage limit"), "insufficient_quota"),
)
_CURES = {
    "context_length_exceeded": "; send less, or raise num_ctx= up to what the model was made for",
}
_STATUS_IN_STREAM = (
    (re.compile(r"(?i)unauthorized"), _UNAUTHORIZED),
    (re.compile(r"(?i)model.*not found"), _NOT_FOUND),
    (re.compile(r"(?i)too many requests|rate limit|usage limit"), 429),
)


def _sentence(error: object) -> str:
    """Return what the server says, or a proxy before it: one line, not a page."""
    if isinstance(error, str) and error.startswith("{"):
        # What the process that runs the model says is passed on as it is.
        with suppress(ValueError):
            error = json.loads(error)
    while isinstance(error, dict):
        error = error.get("error") or error.get("message") or str(error)
    line = " ".join(str(error).split())
    return line[:_LONGEST_SENTENCE] or "no reason was given"


def _headers(exc: BaseException) -> httpx.Headers | None:
    # The SDK leaves them out; they are in the exception that it was handling.
    behind = exc.__context__
    return behind.response.headers if isinstance(behind, httpx.HTTPStatusError) else None


def _not_found(asked: Asked, said: str) -> NotFoundError:
    if said.startswith("<") or "page not found" in said or said == "no reason was given":
        return NotFoundError(
            f"There is no Ollama API at {asked.address}: host= (OLLAMA_HOST) is the server's "
            "address, without /api or /v1.",
            status=_NOT_FOUND,
        )
    cure = "" if is_cloud(asked.address) else f" Fetch it with: ollama pull {asked.model_name}."
    return NotFoundError(
        f"{asked.address} has no model {asked.model_name!r} ({said}).{cure}", status=_NOT_FOUND
    )


def _sign_in(asked: Asked) -> str:
    if is_cloud(asked.address):
        return (
            "; pass api_key= or set OLLAMA_API_KEY, with a key of https://ollama.com/settings/keys"
        )
    return "; pass api_key= (OLLAMA_API_KEY); for a cloud model on a local server: ollama signin"


def _unreachable(asked: Asked, exc: Exception) -> RagcoreError:
    cure = (
        "check the network and the proxy"
        if is_cloud(asked.address)
        else "start it with 'ollama serve', or say where it is by host= (OLLAMA_HOST)"
    )
    # The SDK's word for it says nothing; what it was handling does.
    detail = _line(exc.__context__ or exc)
    return UnavailableError(f"No Ollama server answers at {asked.address} ({detail}): {cure}.")


def _too_slow(asked: Asked, exc: Exception) -> RagcoreError:
    return RequestTimeoutError(f"{asked.address} was silent for too long ({_kind(exc)}).")


def _broken(asked: Asked, exc: Exception) -> RagcoreError:
    return UnavailableError(f"The connection to {asked.address} broke ({_line(exc)}).")


def _refused(asked: Asked, exc: Exception) -> RagcoreError:
    return InvalidRequestError(f"The request can't be sent to {asked.address} ({_line(exc)}).")


def _failed(asked: Asked, exc: Exception) -> RagcoreError:
    return ProviderError(f"The request to {asked.address} failed ({_line(exc)}).")


def _malformed(asked: Asked, exc: Exception) -> RagcoreError:
    kind = InterruptedStreamError if asked.streamed else ProviderError
    return kind(f"What {asked.address} sent can't be understood ({_line(exc)}).")


def _kind(exc: BaseException) -> str:
    return type(exc).__name__


def _line(exc: BaseException) -> str:
    said = " ".join(str(exc).split())[:_LONGEST_SENTENCE]
    return f"{_kind(exc)}: {said}" if said else _kind(exc)


ROWS: tuple[tuple[type[Exception], Callable[[Asked, Any], RagcoreError]], ...] = (
    (ollama.ResponseError, _response),
    (ollama.RequestError, _refused),
    (httpx.ConnectError, _unreachable),
    (httpx.ConnectTimeout, _unreachable),
    (httpx.ProxyError, _unreachable),
    (ConnectionError, _unreachable),  # the SDK's word for httpx.ConnectError
    (httpx.TimeoutException, _too_slow),
    (httpx.UnsupportedProtocol, _refused),
    (httpx.LocalProtocolError, _refused),
    (httpx.TransportError, _broken),
    (httpx.HTTPError, _failed),
    (httpx.InvalidURL, _refused),
    (httpx.CookieConflict, _failed),
    (httpx.StreamError, _failed),
    # JSON that is none, or no object, or lacks a field: json, then the SDK's own code, then its
    # records (pydantic's ValidationError is a ValueError).
    (ValueError, _malformed),
    (AttributeError, _malformed),
    (TypeError, _malformed),
)
