"""What the servers behind the addresses say -> ragcore's errors."""

from __future__ import annotations

import httpx2

from ragcore import ProviderError
from ragcore.wire import is_lost, misdirected, reported

ADDRESS_OPTION = "base_url"


def refused(response: httpx2.Response) -> ProviderError:
    """Return the error that an answer other than a success describes."""
    error = reported(response.content, response.status_code, headers=response.headers)
    return misdirected(error, *place_of(response)) if is_lost(error) else error


def place_of(response: httpx2.Response) -> tuple[str, str]:
    """Return what was asked, and the option that says it: for errors of strange answers."""
    return str(response.url), ADDRESS_OPTION
