"""
What the SDK raises and the server says -> ragcore's errors.

Ollama sends no codes, only a status and a sentence, and in a stream the sentence alone:
https://docs.ollama.com/api/errors.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from functools import partial
from typing import Any

import attrs
import httpx
import ollama

from lightrag_ollama._host import is_cloud
from ragcore import (
    AuthenticationError,
    ContextLengthError,
    InvalidRequestError,
    NotFoundError,
    ProviderError,
    RagcoreError,
    UnavailableError,
    UnsupportedError,
)
from ragcore.wire import Phrase, described, reported, said, translating, transport_error


@attrs.frozen
class Asked:
    """Who was asked for what: what a message has to name."""

    address: str
    model_name: str


def translated(asked: Asked) -> AbstractContextManager[None]:
    """Raise ragcore's errors where a request fails; only the SDK's work belongs in the block."""
    return translating({kind: partial(row, asked) for kind, row in ROWS.items()}, asked.address)


# --- what the server says -------------------------------------------------------------------

_UNSUPPORTED = re.compile(r"(?i)does(n't| not) support|missing data required for image input")
_ANY = (InvalidRequestError, UnavailableError)
_PHRASES = (
    # A request that the server can never serve, though it says 500: another attempt is in vain.
    Phrase("requires more system memory|unsupported value: nan", ProviderError, _ANY),
    Phrase(
        "context (length|window|size)|exceed_context_size|prompt( is)? too long"
        "|input is too (large|long)",
        ContextLengthError,
        _ANY,
        cure="send less, or raise num_ctx= up to what the model was made for",
    ),
)


def refused(
    asked: Asked, body: object, status: int | None = None, headers: Mapping[str, str] | None = None
) -> RagcoreError:
    """Return the error that *body* describes; without a *status*, as in a stream, by its words."""
    sentence, _ = said(body)
    if _UNSUPPORTED.search(sentence):
        return UnsupportedError(f"ollama:{asked.model_name}: {asked.address} says: {sentence}")
    error = reported(
        body,
        status,
        headers=headers,
        address=asked.address,
        more_phrases=_PHRASES,
        # In a stream what fails is the computation, which may go well next time.
        unknown=UnavailableError,
    )
    match error:
        case NotFoundError():
            error.args = (_not_found(asked, sentence),)
        case AuthenticationError():
            error.args = (f"{error.args[0]}; {_sign_in(asked)}",)
    return error


def _not_found(asked: Asked, sentence: str) -> str:
    if "model" not in sentence.lower():
        return (
            f"there is no Ollama API at {asked.address} ({sentence or 'nothing was said'}): host= "
            "(OLLAMA_HOST) is the server's address, without /api or /v1"
        )
    cure = "" if is_cloud(asked.address) else f"; fetch it with: ollama pull {asked.model_name}"
    return f"{asked.address} has no model {asked.model_name!r} ({sentence}){cure}"


def _sign_in(asked: Asked) -> str:
    if is_cloud(asked.address):
        return "pass api_key= or set OLLAMA_API_KEY, with a key of https://ollama.com/settings/keys"
    return "pass api_key= (OLLAMA_API_KEY); for a cloud model on a local server: ollama signin"


# --- what the SDK raises --------------------------------------------------------------------


def _unreachable(asked: Asked, exc: Exception) -> RagcoreError:
    error = transport_error(exc, asked.address) or UnavailableError(described(exc))
    if isinstance(error, UnavailableError):
        cure = (
            "check the network and the proxy"
            if is_cloud(asked.address)
            else "start it with 'ollama serve', or say where it is by host= (OLLAMA_HOST)"
        )
        error.args = (f"{error.args[0]}; {cure}",)
    return error


def _response(asked: Asked, exc: ollama.ResponseError) -> RagcoreError:
    return refused(asked, exc.error, exc.status_code)


def _impossible(asked: Asked, exc: Exception) -> RagcoreError:
    return InvalidRequestError(f"{asked.address} can't be asked: {described(exc)}")


# What has no row is the network's.
ROWS: dict[type[Exception], Callable[[Asked, Any], RagcoreError]] = {
    ollama.ResponseError: _response,
    ollama.RequestError: _impossible,
    httpx.ConnectError: _unreachable,
    httpx.ProxyError: _unreachable,
}
