"""Secrets stay out of what SDKs write into the log."""

from __future__ import annotations

import logging
import pickle
import traceback
from typing import Any

import pytest

import ragcore
from ragcore import AuthenticationError, Retry, Secret, UnavailableError, redacted
from ragcore.testing import Script, scripted

KEY = "sk-canary"
CANARY = "sk-canary-0123456789"


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


@pytest.mark.parametrize("told", ["Invalid API Key", "no: api_key= is meant for another host"])
async def test_a_refused_key_is_named(told: str) -> None:
    """By its option and its variable, unless the plugin has said how one signs in."""
    options: dict[str, Any] = {"script": Script(AuthenticationError(told)), "api_key": CANARY}
    with scripted():
        async with ragcore.completion("scripted:any", **options) as model:
            with pytest.raises(AuthenticationError) as caught:
                await model.complete("Who?")

    named = "; is api_key= (SCRIPTED_API_KEY) right?"
    assert caught.value.args[0] == told + ("" if "api_key=" in told else named)


@pytest.mark.parametrize("streamed", [False, True])
async def test_a_service_that_quotes_the_key_is_not_quoted(streamed: bool) -> None:
    """Neither in the error nor in its cause, of which the traceback and the log are made."""
    refused = AuthenticationError(f"Incorrect API key: {CANARY}.")
    refused.__cause__ = ValueError(f"401: {CANARY}", {"key": CANARY})
    options: dict[str, Any] = {"script": Script(refused), "api_key": CANARY}
    with scripted():
        async with ragcore.completion("scripted:any", **options) as model:
            with pytest.raises(AuthenticationError, match="Incorrect API key: …") as caught:
                await (_streamed(model) if streamed else model.complete("Who?"))

    assert CANARY not in "".join(traceback.format_exception(caught.value))
    assert CANARY.encode() not in pickle.dumps(caught.value)


async def test_a_retry_that_is_logged_quotes_no_key(caplog: pytest.LogCaptureFixture) -> None:
    """What failed is written before the error comes out, if it ever does."""
    caplog.set_level("DEBUG")
    busy = UnavailableError(f"busy, {CANARY}")
    options: dict[str, Any] = {
        "script": Script(busy, "answer"),
        "api_key": CANARY,
        "retry": Retry(wait_max=0),
    }
    with scripted():
        async with ragcore.completion("scripted:any", **options) as model:
            await model.complete("Who?")
    told = [f"{record.getMessage()} {vars(record)}" for record in caplog.records]

    assert any("busy, …" in line for line in told)
    assert not any(CANARY in line for line in told)


@pytest.mark.parametrize("told", [CANARY, repr(f"{CANARY}\n"), f"b'{CANARY}\\n'"])
async def test_a_key_with_a_line_break_is_quoted_in_no_spelling(told: str) -> None:
    """Neither without it, nor as HTTP libraries quote a header that they refuse."""
    refused = AuthenticationError(f"refused, {told}")
    with scripted():
        options: dict[str, Any] = {"script": Script(refused), "api_key": f"{CANARY}\n"}
        async with ragcore.completion("scripted:any", **options) as model:
            with pytest.raises(AuthenticationError, match="refused, ") as caught:
                await model.complete("Who?")

    assert CANARY not in str(caught.value)


async def test_a_word_is_no_secret() -> None:
    """A local server's key may be any; its errors stay readable."""
    options: dict[str, Any] = {
        "script": Script(AuthenticationError("none of these")),
        "api_key": "none",
    }
    with scripted():
        async with ragcore.completion("scripted:any", **options) as model:
            with pytest.raises(AuthenticationError, match="none of these"):
                await model.complete("Who?")


async def _streamed(model: ragcore.CompletionModel) -> None:
    async with model.stream("Who?") as chunks:
        await anext(chunks)
