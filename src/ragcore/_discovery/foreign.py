"""Runs other people's code, of which anything can be expected."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


class SetAside(Exception):  # noqa: N818  # not an error of anybody's: it carries the reason
    """Why a plugin can't be used, and what helps."""

    def __init__(self, reason: str, cure: str) -> None:
        super().__init__(reason)
        self.reason = reason.rstrip(".")
        self.cure = cure


def run_foreign(call: Callable[[], T], cure: str, doing: str = "") -> T:
    """
    Run other people's code, of which anything can be expected.

    Raises:
        SetAside: It raised, or tried to end the process; the reason begins with *doing*.
    """
    try:
        return call()
    except (SetAside, KeyboardInterrupt):
        raise
    except BaseException as exc:  # extension modules panic with classes of their own
        raise SetAside(f"{doing}{type(exc).__name__}: {_text_of(exc)}", cure) from exc


def _text_of(exc: BaseException) -> str:
    try:
        return str(exc) or "no message"
    except Exception:  # noqa: BLE001  # a broken __str__ must not hide who is broken
        return "its message can't be shown"
