"""
What Hugging Face's libraries and torch raise -> ragcore's errors.

Rows are found by the names of classes, so that none of these libraries is imported here.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from contextlib import AbstractContextManager
from functools import partial
from typing import Any

from ragcore import (
    NotFoundError,
    OptionsError,
    PluginError,
    ProviderError,
    RagcoreError,
    UnavailableError,
    UnsupportedError,
    http_error,
)
from ragcore.wire import described, translating, transport_error

_SIGN_IN = "pass token= or set HF_TOKEN"


def translated(model_name: str) -> AbstractContextManager[None]:
    """Raise ragcore's errors where fetching, loading or running *model_name* fails."""
    return translating({name: partial(row, model_name) for name, row in _ROWS.items()})


def translation(model_name: str, exc: BaseException) -> RagcoreError:
    """Return what *exc* is called in ragcore, by the nearest of its classes that has a row."""
    names = (kind.__name__ for kind in type(exc).__mro__)
    row = next((_ROWS[name] for name in names if name in _ROWS), _failed)
    return row(model_name, exc) or _failed(model_name, exc)


def is_out_of_memory(exc: BaseException) -> bool:
    """Tell whether a device, or the machine, has no memory left for what was computed."""
    torch = sys.modules.get("torch")
    if isinstance(exc, MemoryError) or (torch and isinstance(exc, torch.OutOfMemoryError)):
        return True
    # CPU, XPU and MPS allocators raise plain RuntimeErrors.
    return isinstance(exc, RuntimeError) and any(words in str(exc).lower() for words in _NO_MEMORY)


_NO_MEMORY = ("out of memory", "can't allocate memory", "not enough memory")


# --- what the hub says ----------------------------------------------------------------------


def _answered(exc: Any, message: str) -> RagcoreError:
    """Return the error that the status of the hub's answer stands for."""
    return http_error(exc.response.status_code, message, headers=exc.response.headers)


def _gated(model_name: str, exc: Any) -> RagcoreError:
    page = f"accept its terms at https://huggingface.co/{model_name}"
    if exc.response.status_code == _FORBIDDEN:
        return _answered(
            exc,
            f"the token may not read the gated model {model_name!r}: {page}, with the account that "
            "the token belongs to",
        )
    return _answered(
        exc,
        f"the model {model_name!r} is gated and no valid token was sent: {page}, then {_SIGN_IN}",
    )


def _unknown_model(model_name: str, exc: Any) -> RagcoreError:
    # To who is not signed in, the hub answers 401.
    return NotFoundError(
        f"the hub shows no model {model_name!r}; check the name (ORGANISATION/NAME; a folder here "
        f"begins with './', '/' or '~'); if the model is private, {_SIGN_IN}",
        status=exc.response.status_code,
    )


def _unknown_revision(model_name: str, exc: Any) -> RagcoreError:
    response = getattr(exc, "response", None)
    return NotFoundError(
        f"the model {model_name!r} has no such revision or file; check revision= "
        f"({described(exc)})",
        status=getattr(response, "status_code", None),
    )


def _disabled(model_name: str, exc: Any) -> RagcoreError:
    return _answered(exc, f"the hub has disabled the model {model_name!r}; use another one")


def _by_status(model_name: str, exc: Any) -> RagcoreError:
    match exc.response.status_code:
        case 401:
            what = f"the hub refuses the token for {model_name!r}; {_SIGN_IN} to a valid one"
        case 403:
            what = f"the token may not read {model_name!r}; give it read access in its settings"
        case 429:
            what = f"too many requests for {model_name!r}; a token raises the limit: {_SIGN_IN}"
        case int(status) if status < _SERVER_ERROR:
            what = f"the hub refuses the request for {model_name!r}"
        case _:
            what = f"the hub failed while {model_name!r} was fetched"
    return _answered(exc, f"{what} ({described(exc)})")


_FORBIDDEN = 403
_SERVER_ERROR = 500


def _not_local(model_name: str, exc: BaseException) -> RagcoreError:
    """Say why a model that is not in the cache could not be fetched."""
    cause = exc.__cause__
    return _offline(model_name, exc) if cause is None else translation(model_name, cause)


def _offline(model_name: str, _: BaseException) -> RagcoreError:
    return NotFoundError(
        f"the model {model_name!r} is not (completely) on this machine, and offline is set; fetch "
        "it once without offline= and HF_HUB_OFFLINE, or name its folder"
    )


def _unreachable(model_name: str, exc: BaseException) -> RagcoreError:
    why = transport_error(exc) or described(exc)
    return UnavailableError(
        f"the model {model_name!r} is not on this machine, and the hub can't be reached ({why}); "
        "check the network and endpoint= (HF_ENDPOINT), or name a folder"
    )


def _no_name(model_name: str, exc: BaseException) -> RagcoreError:
    return NotFoundError(
        f"{model_name!r} is no folder here and can't be a model of the hub ({described(exc)}); "
        "write ORGANISATION/NAME, or a path that exists or begins with './', '/' or '~'"
    )


# --- what goes wrong on this machine --------------------------------------------------------


def _damaged(model_name: str, exc: BaseException) -> RagcoreError:
    return ProviderError(
        f"a file of {model_name!r} is damaged ({described(exc)}); fetch the model again"
    )


def _missing_package(model_name: str, exc: BaseException) -> RagcoreError:
    return PluginError(f"the model {model_name!r} needs a package that is missing: {exc}")


def _unreadable(model_name: str, exc: BaseException) -> RagcoreError:
    return NotFoundError(
        f"the files of {model_name!r} can't be used: {exc}; fetch the model again, whole"
    )


def _no_weights_alone(model_name: str, exc: BaseException) -> RagcoreError:
    return ProviderError(
        f"a .bin file of {model_name!r} is damaged, or holds more than weights, which could run "
        "code and is not loaded; fetch the model again, as safetensors where it has them"
    )


def _unloadable(model_name: str, exc: BaseException) -> RagcoreError:
    if "trust_remote_code" in str(exc):
        return OptionsError(
            f"the model {model_name!r} brings Python code of its own; if you trust it, pass "
            "trust_remote_code=True"
        )
    return UnsupportedError(f"transformers can't load the model {model_name!r}: {described(exc)}")


def _beyond_its_tables(model_name: str, exc: BaseException) -> RagcoreError:
    return ProviderError(
        f"{model_name!r} has no weights for a token or a position ({described(exc)}): tokenizer "
        "and weights are of different models; fetch both again, from one revision"
    )


def _of_the_tokenizer(model_name: str, exc: BaseException) -> RagcoreError | None:
    # The tokenizers package raises plain ones.
    if type(exc) is not Exception:
        return None
    return ProviderError(
        f"the tokenizer of {model_name!r} failed ({exc}); put the tokenizer.json of the original "
        "model into its folder"
    )


def _failed(model_name: str, exc: BaseException) -> RagcoreError:
    if is_out_of_memory(exc):
        return ProviderError(
            f"not enough memory for {model_name!r} ({described(exc)}); use shorter texts, a "
            "smaller dtype=, quantization=, or another device="
        )
    if "ignore_mismatched_sizes" in str(exc):
        return UnsupportedError(
            f"the weights of {model_name!r} have other shapes than its config.json says; fetch "
            "both again, from one revision"
        )
    return ProviderError(f"the model {model_name!r} failed: {described(exc)}")


def overflow(model_name: str) -> ProviderError:
    """Return the error of a model whose numbers are none."""
    return ProviderError(
        f"{model_name!r} computed something that is no number; dtype='float32' or 'bfloat16' has "
        "the range that float16 lacks"
    )


_ROWS: dict[str, Callable[[str, Any], RagcoreError | None]] = {
    "GatedRepoError": _gated,
    "RepositoryNotFoundError": _unknown_model,
    "RevisionNotFoundError": _unknown_revision,
    "RemoteEntryNotFoundError": _unknown_revision,
    "EntryNotFoundError": _unknown_revision,
    "DisabledRepoError": _disabled,
    "HfHubHTTPError": _by_status,
    "LocalEntryNotFoundError": _not_local,
    "OfflineModeIsEnabled": _offline,
    "HFValidationError": _no_name,
    "XetDownloadError": _unreachable,
    "HTTPError": _unreachable,  # httpx2's
    "SafetensorError": _damaged,
    "JSONDecodeError": _damaged,
    "EOFError": _no_weights_alone,
    "UnpicklingError": _no_weights_alone,
    "StrictDataclassError": _unloadable,
    "ImportError": _missing_package,
    "OSError": _unreadable,
    "ValueError": _unloadable,
    "KeyError": _unloadable,
    "IndexError": _beyond_its_tables,
    "AttributeError": _failed,
    "TypeError": _failed,
    "RuntimeError": _failed,
    "MemoryError": _failed,
    "Exception": _of_the_tokenizer,
}
