"""Secrets stay out of what SDKs write into the log."""

from __future__ import annotations

import logging

import pytest

from ragcore import Secret, redacted

KEY = "sk-canary"


def test_a_secret_is_replaced_wherever_a_record_holds_it(caplog: pytest.LogCaptureFixture) -> None:
    """In the message, in its arguments, and in a traceback."""
    caplog.set_level("DEBUG")
    log = logging.getLogger("acme_sdk.http")
    with redacted(["acme_sdk"], Secret(KEY), None):
        log.debug("sending %s", {"Authorization": f"Bearer {KEY}"})
        log.debug(f"with {KEY}")  # noqa: G004  # as SDKs do
        try:
            int(KEY)
        except ValueError:
            logging.getLogger("acme_sdk").exception("failed")

    assert KEY not in caplog.text
    assert caplog.text.count("…") == 3


def test_what_is_not_secret_is_left_alone(caplog: pytest.LogCaptureFixture) -> None:
    """And after the block, everything is."""
    caplog.set_level("DEBUG")
    log = logging.getLogger("acme_sdk")
    with redacted(["acme_sdk"], Secret(KEY)):
        log.debug("sent %d bytes", 5)
    log.debug("sent %s", KEY)

    assert [record.getMessage() for record in caplog.records] == ["sent 5 bytes", f"sent {KEY}"]
    assert caplog.records[0].args == (5,)
