"""An SDK's exceptions become ragcore's, by a table."""

from __future__ import annotations

import pytest

from ragcore import OptionsError, ProviderError, RagcoreError, UnavailableError, translating


def unavailable(exc: BaseException) -> RagcoreError:
    return UnavailableError(f"down: {exc}")


def failed(exc: BaseException) -> RagcoreError:
    return ProviderError(f"failed: {exc}")


TABLE = {OSError: failed, ConnectionError: unavailable, ValueError: failed}


@pytest.mark.parametrize(
    ("raised", "kind", "told"),
    [
        (ConnectionError("x"), UnavailableError, "down: x"),
        (ConnectionResetError("x"), UnavailableError, "down: x"),
        (FileNotFoundError("x"), ProviderError, "failed: x"),
    ],
)
def test_the_nearest_class_counts(raised: Exception, kind: type[Exception], told: str) -> None:
    """Whatever the order of the rows, and with what was raised as the cause."""
    with pytest.raises(ProviderError, match=told) as caught, translating(TABLE):
        raise raised

    assert type(caught.value) is kind
    assert caught.value.__cause__ is raised


def test_what_has_no_row_passes() -> None:
    """It is a mistake in the plugin, and looks like one."""
    with pytest.raises(KeyError), translating(TABLE):
        raise KeyError("x")


def test_our_own_errors_pass() -> None:
    """Though some are ValueErrors, which the table has a row for."""
    with pytest.raises(OptionsError, match="said already"), translating(TABLE):
        raise OptionsError("said already")
