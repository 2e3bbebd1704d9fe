"""Retry-After, in the spellings that services use."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ragcore import retry_after

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
