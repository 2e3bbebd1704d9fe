"""Rows by name, rows that are classes, and the network's, which need none."""

from __future__ import annotations

import asyncio
import traceback
from typing import Any

import httpx
import pytest

from ragcore import (
    AuthenticationError,
    ProviderError,
    RagcoreError,
    RequestTimeoutError,
    UnavailableError,
)
from ragcore.wire import translating


class AcmeError(Exception):
    """The root of an SDK's."""


class AcmeTimeout(AcmeError):  # noqa: N818  # as SDKs do
    """What an SDK's transport says of much."""


class AcmeBudget(AcmeError):  # noqa: N818
    """What only some releases have."""


def failed(exc: Any) -> RagcoreError:
    return ProviderError(f"failed: {exc}")


ROWS: dict[type[BaseException] | str, Any] = {
    "AcmeBudget": AuthenticationError,
    AcmeTimeout: RequestTimeoutError,
    AcmeError: failed,
}


@pytest.mark.parametrize(
    ("raised", "kind", "message"),
    [
        (AcmeBudget("x"), AuthenticationError, "AcmeBudget: x"),
        (AcmeError("x"), ProviderError, "failed: x"),
        (AcmeTimeout("x"), RequestTimeoutError, "AcmeTimeout: x"),
        (httpx.ConnectError("x"), UnavailableError, "can't reach http://acme: ConnectError: x"),
    ],
)
def test_a_row_by_class_by_name_or_of_the_network(
    raised: Exception, kind: type[Exception], message: str
) -> None:
    """The nearest counts, and what was raised is the cause."""
    with pytest.raises(ProviderError) as caught, translating(ROWS, "http://acme"):
        raise raised

    assert type(caught.value) is kind
    assert str(caught.value) == message
    assert caught.value.__cause__ is raised


def test_what_really_happened_counts_where_another_attempt_may_help() -> None:
    """An SDK calls it a timeout."""
    with pytest.raises(UnavailableError, match="broke"), translating(ROWS):
        raise AcmeTimeout("x") from httpx.ReadError("x")


def test_what_a_function_says_is_not_doubted() -> None:
    """It has seen the exception."""
    with pytest.raises(ProviderError, match="failed: x"), translating(ROWS):
        raise AcmeError("x") from httpx.ReadError("x")


@pytest.mark.parametrize("raised", [asyncio.CancelledError, KeyboardInterrupt, GeneratorExit])
def test_a_cancellation_passes(raised: type[BaseException]) -> None:
    """Whatever the rows say."""
    with pytest.raises(raised), translating({BaseException: failed}):
        raise raised


class Carrying(httpx.ConnectError):
    """Shows the request, with its headers, wherever it is shown."""

    def __repr__(self) -> str:
        return "Carrying('Bearer sk-canary')"


def test_no_frame_keeps_the_request() -> None:
    """A traceback with locals shows no key that only the SDK's exception has."""
    with pytest.raises(UnavailableError) as caught, translating(ROWS):
        raise Carrying("x")
    error = caught.value
    error.__cause__ = error.__context__ = None
    error.__traceback__ = caught.tb.tb_next
    shown = traceback.TracebackException.from_exception(error, capture_locals=True)

    assert "__exit__" in "".join(shown.format())
    assert "sk-canary" not in "".join(shown.format())
