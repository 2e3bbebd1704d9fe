"""What the type of an option does not say of its values."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any, Protocol

import attrs

from ragcore.options._secrets import Secret


class Check(Protocol):
    """A rule for the values of one option, beside their type and range."""

    def problem(self, value: Any) -> str | None:
        """
        Return what is wrong with *value*, without showing it; None if nothing is.

        The text completes a message: ``"ACME_BASE_URL: "`` goes before it.
        """
        ...

    def schema(self) -> dict[str, Any]:
        """Return what the rule adds to the option's JSON Schema; nothing if none can say it."""
        ...


@attrs.frozen
class Pattern:
    r"""
    A regular expression that each text of an option matches from end to end.

    The texts are the value itself, the values of a dict, or the items of a list; what is no text is
    taken.

    Args:
        pattern: Means the same in Python and in JSON Schema (ECMA-262), where ``\w`` and ``\d``
            differ.
        problem: What a message says of a text that does not match.
        names: Regular expression that the keys of a dict match.
    """

    pattern: str
    _problem: str
    names: str | None = None

    def problem(self, value: Any) -> str | None:
        """Return what is wrong with *value*; None if nothing is."""
        names = value if self.names is not None and isinstance(value, Mapping) else ()
        fits = _all_match(self.pattern, _texts(value)) and _all_match(self.names or "", names)
        return None if fits else self._problem

    def schema(self) -> dict[str, Any]:
        """Return what JSON Schema says for it."""
        names = {} if self.names is None else {"propertyNames": {"pattern": _whole(self.names)}}
        return {"pattern": _whole(self.pattern), **names}


def holds_half(value: Any) -> bool:
    """Whether a text in *value* holds a lone surrogate: half of a character, which nobody sends."""
    names = [name for name in value if isinstance(name, str)] if isinstance(value, Mapping) else []
    texts = (text for text in (*names, *_texts(value)) if not text.isascii())
    return any("\ud800" <= character <= "\udfff" for text in texts for character in text)


def _texts(value: Any) -> list[str]:
    match value:
        case Mapping():
            parts: Iterable[Any] = value.values()
        case list() | tuple():
            parts = value
        case _:
            parts = (value,)
    plain = (part.get() if isinstance(part, Secret) else part for part in parts)
    return [part for part in plain if isinstance(part, str)]


def _all_match(pattern: str, texts: Iterable[str]) -> bool:
    return all(re.fullmatch(pattern, text) for text in texts)


def _whole(pattern: str) -> str:
    # $ is before a line break at the end, too.
    return rf"^(?:{pattern})(?![\s\S])"
