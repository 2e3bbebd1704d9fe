"""
What Hugging Face's libraries and torch raise -> ragcore's errors.

Rows are tried from the top. No row needs torch or transformers to be imported: who could not
raise an exception has not been imported either.
"""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from ragcore import (
    AuthenticationError,
    InvalidRequestError,
    NotFoundError,
    OptionsError,
    PermissionDeniedError,
    PluginError,
    ProviderError,
    RagcoreError,
    RateLimitError,
    UnavailableError,
    UnsupportedError,
)

Translation = Callable[[str, BaseException], RagcoreError]

_SIGN_IN = "pass token= or set HF_TOKEN"


@contextmanager
def translated(model_name: str) -> Iterator[None]:
    """Raise ragcore's errors where fetching, loading or running *model_name* fails."""
    try:
        yield
    except tuple(kind for kind, _ in _rows()) as exc:
        if isinstance(exc, RagcoreError):
            raise
        raise translation(model_name, exc) from exc


def translation(model_name: str, exc: BaseException) -> RagcoreError:
    """Return what *exc* is called in ragcore, by the first row that knows its class."""
    if is_out_of_memory(exc):
        return _out_of_memory(model_name, exc)
    known = (translate for kind, translate in _rows() if isinstance(exc, kind))
    return next(known, _failed)(model_name, exc)


def is_out_of_memory(exc: BaseException) -> bool:
    """Tell whether a device, or the machine, has no memory left for what was computed."""
    torch = sys.modules.get("torch")
    if isinstance(exc, MemoryError) or (torch and isinstance(exc, torch.OutOfMemoryError)):
        return True
    # CPU, XPU and MPS allocators raise plain RuntimeErrors.
    return isinstance(exc, RuntimeError) and any(words in str(exc).lower() for words in _NO_MEMORY)


_NO_MEMORY = ("out of memory", "can't allocate memory", "not enough memory")


@functools.cache
def _rows() -> tuple[tuple[type[BaseException], Translation], ...]:
    import httpx2
    from huggingface_hub import errors as hub
    from safetensors import SafetensorError

    return (
        (hub.GatedRepoError, _gated),
        (hub.RepositoryNotFoundError, _unknown_model),
        (hub.RevisionNotFoundError, _unknown_revision),
        (hub.RemoteEntryNotFoundError, _unknown_revision),
        (hub.DisabledRepoError, _disabled),
        (hub.HfHubHTTPError, _by_status),
        (hub.LocalEntryNotFoundError, _not_local),
        (hub.EntryNotFoundError, _unknown_revision),
        (hub.OfflineModeIsEnabled, _offline),
        (hub.HFValidationError, _no_name),
        (hub.XetDownloadError, _unreachable),
        (httpx2.HTTPError, _unreachable),
        (SafetensorError, _damaged),
        (MemoryError, _out_of_memory),
        (ImportError, _missing_package),
        (OSError, _unreadable),
        (ValueError, _unloadable),
        (KeyError, _unloadable),
        (RuntimeError, _failed),
    )


def _gated(model_name: str, exc: BaseException) -> RagcoreError:
    page = f"accept its terms at https://huggingface.co/{model_name}"
    if _status(exc) == _FORBIDDEN:
        return PermissionDeniedError(
            f"The token may not read the gated model {model_name!r}: {page}, with the account "
            "that the token belongs to.",
            status=_status(exc),
        )
    return AuthenticationError(
        f"The model {model_name!r} is gated and no valid token was sent: {page}, then {_SIGN_IN}.",
        status=_status(exc),
    )


def _unknown_model(model_name: str, exc: BaseException) -> RagcoreError:
    return NotFoundError(
        f"The hub shows no model {model_name!r}. Check the name (ORGANISATION/NAME; a folder here "
        f"begins with './', '/' or '~'); if the model is private, {_SIGN_IN}.",
        status=_status(exc),
    )


def _unknown_revision(model_name: str, exc: BaseException) -> RagcoreError:
    return NotFoundError(
        f"The model {model_name!r} has no such revision or file; check revision=. ({_line(exc)})",
        status=_status(exc),
    )


def _disabled(model_name: str, exc: BaseException) -> RagcoreError:
    return PermissionDeniedError(
        f"The hub has disabled the model {model_name!r}; use another one.", status=_status(exc)
    )


def _by_status(model_name: str, exc: BaseException) -> RagcoreError:
    match status := _status(exc):
        case 401:
            return AuthenticationError(
                f"The hub refuses the token for {model_name!r}: {_SIGN_IN} to a valid one.",
                status=status,
            )
        case 403:
            return PermissionDeniedError(
                f"The token may not read {model_name!r}: give it read access in the account's "
                "settings.",
                status=status,
            )
        case 429:
            return RateLimitError(
                f"The hub answers too many requests for {model_name!r}; a token raises the limit: "
                f"{_SIGN_IN}.",
                status=status,
                retry_after=_retry_after(exc),
            )
        case int() if status < _SERVER_ERROR:
            return InvalidRequestError(
                f"The hub refuses the request for {model_name!r}: {_line(exc)}", status=status
            )
    return UnavailableError(
        f"The hub failed while {model_name!r} was fetched: {_line(exc)}", status=status
    )


def _not_local(model_name: str, exc: BaseException) -> RagcoreError:
    """Say why a model that is not in the cache could not be fetched."""
    cause = exc.__cause__
    if cause is None:
        return _offline(model_name, exc)
    return translation(model_name, cause)


def _offline(model_name: str, _: BaseException) -> RagcoreError:
    return NotFoundError(
        f"The model {model_name!r} is not (completely) on this machine, and offline is set: "
        "fetch it once without offline= and HF_HUB_OFFLINE, or name its folder."
    )


def _unreachable(model_name: str, exc: BaseException) -> RagcoreError:
    return UnavailableError(
        f"The model {model_name!r} is not on this machine, and the hub can't be reached "
        f"({_line(exc)}). Check the network and endpoint= (HF_ENDPOINT), or name a folder."
    )


def _no_name(model_name: str, exc: BaseException) -> RagcoreError:
    return NotFoundError(
        f"{model_name!r} is no folder here and can't be a model of the hub ({_line(exc)}). "
        "Write ORGANISATION/NAME, or a path that exists or begins with './', '/' or '~'."
    )


def _damaged(model_name: str, exc: BaseException) -> RagcoreError:
    return ProviderError(
        f"A file with weights of {model_name!r} is damaged ({_line(exc)}); fetch the model again."
    )


def _out_of_memory(model_name: str, exc: BaseException) -> RagcoreError:
    return ProviderError(
        f"Not enough memory for {model_name!r} ({_line(exc)}). Use shorter texts, a smaller "
        "dtype=, quantization=, or another device=."
    )


def _missing_package(model_name: str, exc: BaseException) -> RagcoreError:
    return PluginError(f"The model {model_name!r} needs a package that is missing: {exc}")


def _unreadable(model_name: str, exc: BaseException) -> RagcoreError:
    return NotFoundError(f"The files of {model_name!r} can't be used: {exc}")


def _unloadable(model_name: str, exc: BaseException) -> RagcoreError:
    if "trust_remote_code" in str(exc):
        return OptionsError(
            f"The model {model_name!r} brings Python code of its own; if you trust it, pass "
            "trust_remote_code=True."
        )
    return UnsupportedError(f"transformers can't load the model {model_name!r}: {exc}")


def _failed(model_name: str, exc: BaseException) -> RagcoreError:
    return ProviderError(f"The model {model_name!r} failed: {_line(exc)}")


_FORBIDDEN = 403
_SERVER_ERROR = 500


def _status(exc: BaseException) -> int | None:
    response = getattr(exc, "response", None)
    return getattr(response, "status_code", None)


def _retry_after(exc: BaseException) -> float | None:
    response = getattr(exc, "response", None)
    seconds: str = response.headers.get("Retry-After", "") if response is not None else ""
    return float(seconds) if seconds.isdecimal() else None


def _line(exc: BaseException) -> str:
    lines = [line.strip() for line in str(exc).splitlines() if line.strip()]
    return f"{type(exc).__name__}: {lines[0]}" if lines else type(exc).__name__
