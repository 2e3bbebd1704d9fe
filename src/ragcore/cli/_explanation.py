"""What holds for each option, and who says so."""

from __future__ import annotations

import re
from typing import Any, Literal

import attrs

from ragcore.cli._environment import Environment, is_confidential
from ragcore.errors import OptionsError
from ragcore.lightrag import VARIABLES, unknown_bindings
from ragcore.options import (
    SHORTEST,
    BindingOptions,
    Found,
    OptionField,
    Origin,
    Secret,
    Sources,
    found,
    read,
    to_json,
    to_text,
    without,
)

# Up to the last @ before the path: a password may hold one.
_PASSWORD = re.compile(r"""(?<=://)[^/?#\s"']+(?=@)""")


@attrs.frozen
class Explained:
    """
    What holds for one option.

    Attributes:
        value: As JSON has it; of a key only ``"set"`` or ``"unset"``, None for any other that is
            unset, and for one that is invalid.
        source: The flag or variable that says so; None for a default and for what is unset.
        file: The ``.env`` file that the variable stands in.
        is_invalid: The source has something, and it can't be read.
    """

    field: OptionField
    value: Any
    origin: Origin | Literal["default", "unset"]
    source: str | None = None
    file: str | None = None
    is_invalid: bool = False

    @property
    def text(self) -> str:
        """The value, as one writes it."""
        if self.is_invalid:
            return "invalid"
        return "-" if self.value is None else to_text(self.value)

    @property
    def said_by(self) -> str:
        """Who says so, in words."""
        if self.source is None:
            return "unset, required" if self._is_missing else self.origin
        if self.file:
            return f"{self.file}: {self.source}"
        return f"flag {self.source}" if self.origin == "flag" else self.source

    @property
    def _is_missing(self) -> bool:
        return self.origin == "unset" and self.field.required


def explain(
    group: type[BindingOptions], environment: Environment, sources: Sources
) -> tuple[list[Explained], list[str]]:
    """Say what holds for the options of *group*, and what is wrong with them."""
    offers = found(group, {}, sources)
    explained: list[Explained] = []
    problems = environment.problems([group], sources)
    for field in group.fields():
        if field.name not in offers:
            explained.append(_unset(field))
            continue
        one, bad = _set(offers[field.name], environment, sources)
        explained.append(one)
        problems += bad
    if offers and not problems:
        problems = _problems_together(group, offers, sources)
    if group in VARIABLES:
        problems += unknown_bindings(offers.values())
    return explained, [_without_keys(problem, offers) for problem in problems]


def _unset(field: OptionField) -> Explained:
    if field.required or field.default is None:
        return Explained(field, "unset" if is_confidential(field) else None, "unset")
    return Explained(field, _shown(field, field.default), "default")


def _set(offer: Found, environment: Environment, sources: Sources) -> tuple[Explained, list[str]]:
    file = environment.file.name if environment.file.has(offer) else None
    invalid = Explained(offer.field, None, offer.origin, offer.name, file, is_invalid=True)
    if file and not environment.is_trusted and offer.name in environment.file.borrowing:
        # Already among the problems of its group.
        return invalid, []
    try:
        value = _shown(offer.field, offer.value())
    except OptionsError as exc:
        return invalid, _reasons(offer, exc)
    return attrs.evolve(invalid, value=value, is_invalid=False), []


def _reasons(offer: Found, error: OptionsError) -> list[str]:
    field = offer.field
    if is_confidential(field) and not field.secret:
        # Of these the message quotes what it can't read.
        return [f"{offer.name}: the value is not {field.wanted} @ {field.where}"]
    return list(error.problems)


def _shown(field: OptionField, value: Any) -> Any:
    if is_confidential(field):
        return "set"
    return _without_passwords(to_json(value))


def _without_passwords(value: Any) -> Any:
    match value:
        case str():
            return _PASSWORD.sub("…", value)
        case list():
            return [_without_passwords(one) for one in value]
        case dict():
            return {name: _without_passwords(one) for name, one in value.items()}
    return value


def _problems_together(
    group: type[BindingOptions], offers: dict[str, Found], sources: Sources
) -> list[str]:
    """Return what the class itself has against values that are valid one by one."""
    if not _is_complete(group, offers):
        return []
    try:
        read([group], {}, sources=sources)
    except OptionsError as exc:
        return list(exc.problems)
    return []


def _is_complete(group: type[BindingOptions], offers: dict[str, Found]) -> bool:
    # Explaining is not opening: nobody has to have set up every provider.
    required = {field.name for field in group.fields() if field.required}
    any_of = set(group.any_of())
    return required <= set(offers) and (not any_of or bool(any_of & set(offers)))


def _without_keys(problem: str, offers: dict[str, Found]) -> str:
    # Checks of a class are its author's code.
    confidential = (offer.raw for offer in offers.values() if is_confidential(offer.field))
    raw = (one.get() if isinstance(one, Secret) else one for one in confidential)
    keys = [one for one in raw if isinstance(one, str) and len(one) >= SHORTEST]
    return _PASSWORD.sub("…", without(problem, keys))
