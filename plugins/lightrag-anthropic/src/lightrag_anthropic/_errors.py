"""
What the SDK raises and the service reports -> ragcore's errors.

Source:
    https://platform.claude.com/docs/en/api/errors
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from typing import Any

import anthropic
import httpx2

from ragcore import (
    AuthenticationError,
    ProviderError,
    QuotaExceededError,
    RagcoreError,
    RequestTimeoutError,
    UnavailableError,
    wire,
)

# Money, whatever the status: to wait does not help.
_CODES: dict[str, type[ProviderError]] = dict.fromkeys(
    (
        "contract_spend_limit_reached",
        "enforced_spend_limit_reached",
        "linked_organization_billing_unavailable",
        "linked_organization_spend_limit_reached",
        "organization_on_hold",
        "user_profile_billing_not_authorized",
        "user_profile_not_billable",
    ),
    QuotaExceededError,
)


def translated() -> AbstractContextManager[None]:
    """Raise ragcore's errors where a request fails."""
    return wire.translating(TABLE)


def reported(body: object, headers: Mapping[str, str], status: int | None = None) -> ProviderError:
    """Return the error that *body* describes; without a *status*, as in a stream, by its type."""
    return wire.reported(body, status, headers=headers, codes=_CODES, unknown=UnavailableError)


def misdirected(error: ProviderError, response: httpx2.Response) -> ProviderError:
    """Return *error*, which then also says which address was asked."""
    return wire.misdirected(error, str(response.url), "base_url")


def _by_status(exc: anthropic.APIStatusError) -> RagcoreError:
    error = reported(exc.body, exc.response.headers, exc.status_code)
    return misdirected(error, exc.response) if wire.is_lost(error) else error


def _no_credentials(exc: Exception) -> RagcoreError:
    return AuthenticationError(f"the credentials of this machine can't be used: {exc}")


TABLE: dict[type[BaseException], Callable[[Any], RagcoreError]] = {
    anthropic.APIStatusError: _by_status,
    anthropic.APITimeoutError: RequestTimeoutError,
    anthropic.APIConnectionError: UnavailableError,
    anthropic.APIResponseValidationError: ProviderError,
    anthropic.APIWebhookValidationError: ProviderError,
    anthropic.APIError: ProviderError,
    anthropic.CredentialsError: _no_credentials,
    anthropic.RetryableError: UnavailableError,
    anthropic.AnthropicError: ProviderError,
}
