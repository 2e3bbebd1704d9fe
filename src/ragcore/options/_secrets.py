"""Values that must not be shown."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NoReturn

# What is shorter may stand in a message by chance.
SHORTEST = 4


class Secret:
    """
    A value that no repr, format, log line or pickle shows.

    Read it with :meth:`get`, as late as possible.
    """

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        if not isinstance(value, str):
            raise TypeError("A secret is made from a str.")
        self._value = value

    def get(self) -> str:
        """Return the value itself."""
        return self._value

    def __repr__(self) -> str:
        return "Secret(…)"

    __str__ = __repr__

    def __format__(self, spec: str) -> str:
        return format(repr(self), spec)

    def __eq__(self, other: object) -> bool:
        return self._value == other._value if isinstance(other, Secret) else NotImplemented

    def __hash__(self) -> int:
        return hash((Secret, self._value))

    def __reduce__(self) -> NoReturn:
        refuse_to_travel()

    def __copy__(self) -> Secret:
        return self

    def __deepcopy__(self, memo: object) -> Secret:
        return self


class SecretDict(dict[str, Any]):
    """A dict with secrets among its values, such as HTTP headers; it shows its keys alone."""

    def __repr__(self) -> str:
        return "{" + ", ".join(f"{key!r}: …" for key in self) + "}"

    __str__ = __repr__

    def __reduce__(self) -> NoReturn:
        refuse_to_travel()

    def __copy__(self) -> SecretDict:
        return SecretDict(self)

    def __deepcopy__(self, memo: dict[int, Any]) -> SecretDict:
        return SecretDict(copy.deepcopy(dict(self), memo))


def secrets_in(value: Any) -> Iterator[Secret]:
    """Yield what is not to be shown of the value of a secret option."""
    match value:
        case Secret():
            yield value
            yield from map(Secret, _other_spellings(value.get()))
        case str():
            # A header says more than the key that a service would quote.
            yield from map(Secret, dict.fromkeys((value, *value.split())))
        case Mapping():
            yield from (secret for one in value.values() for secret in secrets_in(one))
        case list() | tuple():
            yield from (secret for one in value for secret in secrets_in(one))


def _other_spellings(text: str) -> set[str]:
    """Return how messages have *text*: without the line break that was copied with it, quoted."""
    return {text.strip(), repr(text)[1:-1]} - {text}


def without(text: str, values: Iterable[str]) -> str:
    """Return *text* with an ellipsis for each of *values*; none of them is empty."""
    for value in values:
        text = text.replace(value, "…")
    return text


def refuse_to_travel() -> NoReturn:
    """Raise what pickling a secret raises."""
    raise TypeError("A secret can't be pickled or copied out of the process; read it again there.")
