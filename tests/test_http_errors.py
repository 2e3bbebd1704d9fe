"""What an HTTP status means."""

from __future__ import annotations

import pytest

import ragcore
from ragcore import http_error


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, ragcore.InvalidRequestError),
        (401, ragcore.AuthenticationError),
        (402, ragcore.QuotaExceededError),
        (403, ragcore.PermissionDeniedError),
        (404, ragcore.NotFoundError),
        (408, ragcore.RequestTimeoutError),
        (409, ragcore.UnavailableError),
        (413, ragcore.ContextLengthError),
        (422, ragcore.InvalidRequestError),
        (429, ragcore.RateLimitError),
        (500, ragcore.UnavailableError),
        (501, ragcore.InvalidRequestError),
        (503, ragcore.UnavailableError),
        (504, ragcore.RequestTimeoutError),
        (505, ragcore.InvalidRequestError),
        (510, ragcore.InvalidRequestError),
        (511, ragcore.InvalidRequestError),
        (529, ragcore.UnavailableError),
    ],
)
def test_a_status_names_an_error(status: int, kind: type[ragcore.ProviderError]) -> None:
    """Its class says whether trying again helps."""
    error = http_error(status, "no")

    assert type(error) is kind
    assert error.status == status


@pytest.mark.parametrize("code", ["insufficient_quota", "budget_exceeded", "billing_error"])
def test_a_permanent_429_is_no_matter_of_waiting(code: str) -> None:
    """A known code beats the status, wherever the service writes it."""
    assert type(http_error(429, "no", codes=(None, code))) is ragcore.QuotaExceededError
    assert type(http_error(429, "no", codes=("tokens", None))) is ragcore.RateLimitError


def test_headers_are_read() -> None:
    """In any case: when to come back, and what to quote to the support."""
    error = http_error(429, "slow", headers={"Retry-After": "7", "X-Request-ID": "req_1"})

    assert error.retry_after == 7
    assert error.request_id == "req_1"
    assert str(error) == "slow [status 429, request req_1, retry after 7 s]"
