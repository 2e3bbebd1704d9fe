"""Retry-After, in the spellings that services use."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ragcore import UnavailableError, http_error, retry_after

NOON = "Sat, 21 Nov 2026 12:00:00 GMT"


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"Retry-After": "30"}, 30.0),
        ({"retry-after": " 1.5 "}, 1.5),
        ({"RETRY-AFTER": "0"}, 0.0),
        ({"retry-after-ms": "250"}, 0.25),
        ({"Retry-After-Ms": "250", "Retry-After": "1"}, 0.25),
        ({"retry-after-ms": "soon", "Retry-After": "1"}, 1.0),
        ({"Retry-After": "Sat, 21 Nov 2026 12:00:20 GMT", "Date": NOON}, 20.0),
        ({"Retry-After": "Saturday, 21-Nov-26 12:00:20 GMT", "Date": NOON}, 20.0),
        ({"Retry-After": "Sat Nov 21 12:00:20 2026", "Date": NOON}, 20.0),
        ({"Retry-After": "Sat, 21 Nov 2026 11:59:00 GMT", "date": NOON}, 0.0),
        ({"Retry-After": "Sat, 21 Nov 2026 13:00:00 +0100", "Date": NOON}, 0.0),
    ],
)
def test_what_is_said_is_read(headers: dict[str, str], seconds: float) -> None:
    """Seconds, milliseconds and dates; a date counts from the server's own clock."""
    assert retry_after(headers) == seconds


@pytest.mark.parametrize(
    "headers",
    [
        None,
        {},
        {"Retry-After": ""},
        {"Retry-After": "soon"},
        {"Retry-After": "-5"},
        {"Retry-After": "nan"},
        {"Retry-After": "inf"},
        {"Retry-After": "Sat, 99 Nov 2026 12:00:00 GMT"},
        {"retry-after-ms": "-1"},
        {"X-RateLimit-Reset": "5"},
    ],
)
def test_garbage_is_not_said(headers: dict[str, str] | None) -> None:
    """Whatever can't be understood, the host waits as it would have."""
    assert retry_after(headers) is None


@pytest.mark.parametrize("date", [{}, {"Date": "yesterday"}])
def test_a_date_counts_from_now_without_the_servers_clock(date: dict[str, str]) -> None:
    """Also where the server's `Date` is unreadable."""
    in_an_hour = format_datetime(datetime.now(UTC) + timedelta(hours=1), usegmt=True)

    seconds = retry_after({"Retry-After": in_an_hour, **date})

    assert seconds is not None
    assert 3000 < seconds <= 3600


@given(st.dictionaries(st.sampled_from(["Retry-After", "retry-after-ms", "Date"]), st.text()))
def test_nothing_makes_it_fail(headers: dict[str, str]) -> None:
    """Headers come from anywhere: the answer is None, or 0 or more."""
    seconds = retry_after(headers)

    assert seconds is None or seconds >= 0


# --- headers about limits -------------------------------------------------------------------

USED_UP: list[tuple[dict[str, str], float | None]] = [
    ({"x-ratelimit-remaining-requests": "0", "x-ratelimit-reset-requests": "120ms"}, 0.12),
    ({"X-RateLimit-Remaining-Tokens": "0", "X-RateLimit-Reset-Tokens": "6m0.5s"}, 360.5),
    ({"x-ratelimit-remaining-requests": "7", "x-ratelimit-reset-requests": "1d"}, None),
    ({"x-ratelimit-remaining-requests": "0"}, None),
    ({"x-ratelimit-remaining-requests": "0", "x-ratelimit-reset-requests": "soon"}, None),
    ({"x-ratelimit-remaining-requests": "0", "x-ratelimit-reset-requests": "1" * 5000}, None),
]


@pytest.mark.parametrize(("headers", "seconds"), USED_UP)
def test_a_limit_that_is_used_up_says_when_it_is_reset(
    headers: dict[str, str], seconds: float | None
) -> None:
    """Where a 429 has no Retry-After; limits that have something left are no matter."""
    assert http_error(429, "slow down", headers=headers).retry_after == seconds
    both = {**headers, "Retry-After": "2"}
    assert http_error(429, "slow down", headers=both).retry_after == 2


def test_the_last_limit_that_is_reset_counts() -> None:
    """As Anthropic tells of several, by a time."""
    soon, later = (datetime.now(UTC) + timedelta(seconds=n) for n in (10, 60))
    headers = {
        "anthropic-ratelimit-requests-remaining": "0",
        "anthropic-ratelimit-requests-reset": soon.isoformat(),
        "anthropic-ratelimit-input-tokens-remaining": "0",
        "anthropic-ratelimit-input-tokens-reset": later.strftime("%Y-%m-%dT%H:%M:%SZ"),
    }

    assert http_error(429, "slow down", headers=headers).retry_after == pytest.approx(60, abs=2)


def test_a_limit_says_nothing_of_other_errors() -> None:
    """A service that is down is not asked later because a limit is used up, too."""
    headers, _ = USED_UP[0]
    error = http_error(503, "down", headers=headers)

    assert isinstance(error, UnavailableError)
    assert error.retry_after is None
