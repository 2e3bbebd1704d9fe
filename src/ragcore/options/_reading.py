"""
Reads options: keyword > role environment > flag > environment > ``.env`` > default.

Each source is asked for each option; the strongest that has one is read, and only that one.
"""

from __future__ import annotations

import os
import typing
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Literal

import attrs

from ragcore.errors import OptionsError
from ragcore.options._checks import holds_half
from ragcore.options._declaration import OptionField
from ragcore.options._group import Group, GroupT, made, raise_all
from ragcore.options._nearest import nearest
from ragcore.options._types import Unconvertible, from_text, from_value, says_nothing

Origin = Literal["keyword", "bound", "role", "flag", "environment", ".env"]

_STRENGTH: tuple[Origin, ...] = typing.get_args(Origin)


@attrs.frozen
class Found:
    """
    What a source has for an option, not read yet.

    Attributes:
        name: What to call it in a message: the keyword, variable or flag.
        is_text: It is to be converted, and does not have the type yet.
    """

    field: OptionField
    origin: Origin
    name: str
    raw: Any = attrs.field(repr=False)
    is_text: bool

    @property
    def rank(self) -> int:
        """How strong the source is: 0 beats 1."""
        return _STRENGTH.index(self.origin)

    def value(self) -> Any:
        """
        Return it as the option takes it.

        Raises:
            OptionsError: It is not what the option takes.
        """
        if isinstance(self.raw, Invalid):
            raise OptionsError("\n".join(self.raw.problems), problems=self.raw.problems)
        try:
            value = self.field.checked(from_text if self.is_text else from_value, self.raw)
        except Unconvertible as exc:
            shown = "the value" if self.field.secret else self._shown()
            raise OptionsError(f"{self.name}: {shown} is not {exc} @ {self.field.where}") from None
        if holds_half(value):
            raise OptionsError(
                f"{self.name}: holds half of a character (a lone surrogate) @ {self.field.where}"
            )
        if problem := self.field.check and self.field.check.problem(value):
            raise OptionsError(f"{self.name}: {problem} @ {self.field.where}")
        return value

    def _shown(self) -> str:
        return repr(self.raw) if self.is_text else _in_a_line(self.raw)[:_SHOWN]


_SHOWN = 80


def _in_a_line(value: Any) -> str:
    try:
        return " ".join(repr(value).split())
    except Exception:  # noqa: BLE001  # somebody else's repr, and an int of 5,000 digits
        return f"a {type(value).__name__}"


@attrs.frozen
class Invalid:
    """Stands for a flag's value that is none, until options are taken out of the arguments."""

    problems: tuple[str, ...]


@attrs.frozen
class Bound:
    """
    A variable of another program's that an option is bound to.

    Attributes:
        variable: What messages call the option.
        value: What the variable says, as a keyword does; None if it says nothing.
    """

    variable: str
    value: Any = attrs.field(default=None, repr=False)


@attrs.frozen
class Sources:
    """
    Where options come from beside keywords.

    Attributes:
        environ: Variables; :data:`os.environ` unless others are given.
        dotenv: Variables of a ``.env`` file, which the environment's go before.
        flags: Parsed command-line arguments, by name.
        role: One of LightRAG's roles, whose own variables go before all others.
        only_role: Of the variables, those of the role alone are read.
        bound: What options are bound to, by their names; it goes before all but keywords.
    """

    environ: Mapping[str, str] = attrs.field(factory=lambda: os.environ, repr=False)
    dotenv: Mapping[str, str] = attrs.field(factory=dict, repr=False)
    flags: Mapping[str, Any] = attrs.field(factory=dict, repr=False)
    role: str | None = None
    only_role: bool = False
    bound: Mapping[str, Bound] = attrs.field(factory=dict)

    def strongest(self, field: OptionField, keywords: Mapping[str, Any]) -> Found | None:
        """Return what is to be read for *field*; None if nobody has set it."""
        return next(self._offers(field, keywords), None)

    def _offers(self, field: OptionField, keywords: Mapping[str, Any]) -> Iterator[Found]:
        if keywords.get(field.name) is not None:
            yield Found(field, "keyword", field.name, keywords[field.name], is_text=False)
        bound = self.bound.get(field.name)
        if bound and bound.value is not None:
            yield Found(field, "bound", bound.variable, bound.value, is_text=False)
        if self.role:
            yield from self._variables(field, "role", field.role_variables(self.role))
        if field.flags and self.flags.get(field.destination) is not None:
            flag = self.flags[field.destination]
            yield Found(field, "flag", field.flags[0], flag, is_text=False)
        if not self.only_role:
            yield from self._variables(field, "environment", field.variables)

    def _variables(
        self, field: OptionField, origin: Origin, names: tuple[str, ...]
    ) -> Iterator[Found]:
        below: Origin = ".env" if origin == "environment" else origin
        for layer, variables in ((origin, self.environ), (below, self.dotenv)):
            for name in names:
                text = variables.get(name)
                if text is not None and not says_nothing(field.type, text):
                    yield Found(field, layer, name, text, is_text=True)

    def said_of(self, problem: str) -> str:
        """Return *problem*, in which a class calls its options keywords, about what is bound."""
        for name, bound in self.bound.items():
            if problem.startswith(f"{name}: "):
                problem = bound.variable + problem.removeprefix(name)
            problem = problem.replace(f"pass {name}=", f"set {bound.variable}=")
            problem = problem.replace(f"{bound.variable}=,", f"{bound.variable},")
        return problem


def found(group: type[Group], keywords: Mapping[str, Any], sources: Sources) -> dict[str, Found]:
    """Return what there is to read for the options of *group*, by name."""
    offers = (sources.strongest(field, keywords) for field in group.fields())
    by_name = {offer.field.name: offer for offer in offers if offer is not None}
    return {name: offer for name, offer in by_name.items() if not _is_replaced(offer, by_name)}


def _is_replaced(offer: Found, offers: Mapping[str, Found]) -> bool:
    others = (offers[name] for name in offer.field.unless if name in offers)
    return any(other.rank < offer.rank for other in others if other is not offer)


def read(
    groups: Iterable[type[Group]],
    keywords: Mapping[str, Any],
    environ: Mapping[str, str] | None = None,
    *,
    sources: Sources | None = None,
    elsewhere: Mapping[str, str] | None = None,
) -> list[Any]:
    """
    Make one instance of each of *groups*.

    Args:
        groups: Their field names are disjoint, so a keyword belongs to one of them.
        keywords: Must have the declared types; None is "not set".
        environ: Read instead of :data:`os.environ`.
        sources: Read instead of the environment alone.
        elsewhere: Names that are no options here, and where they are to be said.

    Raises:
        OptionsError: With every problem of every group.
    """
    groups = list(groups)
    if sources is None:
        sources = Sources() if environ is None else Sources(environ=environ)
    problems = _unknown(groups, keywords, elsewhere)
    every: list[dict[str, Any]] = []
    for group in groups:
        offers = found(group, keywords, sources)
        values, bad = _values(offers)
        problems += [*bad, *_missing(group, offers, sources.bound)]
        every.append(values)
    raise_all(problems)
    instances = []
    for group, values in zip(groups, every, strict=True):
        try:
            instances.append(made(group, values))
        except OptionsError as exc:
            problems += map(sources.said_of, exc.problems)
    raise_all(problems)
    return instances


def settings(group: type[Group], sources: Sources) -> dict[str, Any]:
    """
    Return the options of *group* that are set, by name; none has to be.

    Raises:
        OptionsError: With every problem of the group.
    """
    values, problems = _values(found(group, {}, sources))
    raise_all(problems)
    return values


def checked(group: type[Group], keywords: Mapping[str, Any]) -> dict[str, Any]:
    """
    Return *keywords* as an instance of *group* has them, read from nothing else.

    Raises:
        OptionsError: With every problem.
    """
    offers = _said_by(keywords, group)
    values, bad = _values(offers)
    raise_all([*_unknown([group], keywords), *bad, *_missing(group, offers, {})])
    return values


def merge(
    base: GroupT,
    keywords: Mapping[str, Any],
    opening: Iterable[type[Group]] = (),
    elsewhere: Mapping[str, str] | None = None,
) -> GroupT:
    """
    Return *base* with the call-scoped options of *keywords* set; None leaves one as it is.

    Args:
        base: What the model has.
        keywords: What the call says.
        opening: The groups of other options that are set when a model is opened.
        elsewhere: Names that are no options, and where they are to be said.

    Raises:
        OptionsError: An option is unknown, is model-scoped, or has the wrong type.
    """
    if not keywords:
        return base
    group = type(base)
    offers = _said_by(keywords, group)
    values, bad = _values(offers)
    groups: list[type[Group]] = [group, *opening]
    of_the_model = [
        f"{field.name}: is set when the model is opened, not for a single call @ {field.where}"
        for each in groups
        for field in each.fields()
        if keywords.get(field.name) is not None and (each is not group or field.scope == "model")
    ]
    raise_all([*_unknown(groups, keywords, elsewhere, only_calls=True), *of_the_model, *bad])
    return made(group, base.asdict() | values)


def refuse_twice(options: Group, name: str) -> None:
    """
    Refuse options that say again what the call's *name* says.

    Raises:
        OptionsError: One is set.
    """
    twins = [field for field in options.fields() if field.same_as == name]
    raise_all(
        [
            f"{name}: {twin.name} is set too, and is the same; leave one out @ {twin.where}"
            for twin in twins
            if getattr(options, twin.name) is not None
        ]
    )


def _unknown(
    groups: Iterable[type[Group]],
    keywords: Mapping[str, Any],
    elsewhere: Mapping[str, str] | None = None,
    *,
    only_calls: bool = False,
) -> list[str]:
    known = {field.name: field for group in groups for field in group.fields()}
    offered = [name for name, field in known.items() if not only_calls or field.scope == "call"]
    problems = []
    for name in keywords:
        if name in known:
            continue
        if elsewhere and name in elsewhere:
            problems.append(f"{name}: {elsewhere[name]}")
            continue
        close = nearest(name, offered)
        cure = f"did you mean {close!r}?" if close else f"there are: {', '.join(sorted(offered))}"
        shown = name if name.isidentifier() else repr(name)
        problems.append(f"{shown}: unknown option; {cure}")
    return problems


def _said_by(keywords: Mapping[str, Any], group: type[Group]) -> dict[str, Found]:
    return {
        field.name: Found(field, "keyword", field.name, keywords[field.name], is_text=False)
        for field in group.fields()
        if keywords.get(field.name) is not None
    }


def _values(offers: Mapping[str, Found]) -> tuple[dict[str, Any], list[str]]:
    values: dict[str, Any] = {}
    problems: list[str] = []
    for name, offer in offers.items():
        try:
            values[name] = offer.value()
        except OptionsError as exc:
            problems += exc.problems
    return values, problems


def _missing(
    group: type[Group], offers: Mapping[str, Found], bound: Mapping[str, Bound]
) -> list[str]:
    fields = {field.name: field for field in group.fields()}
    required = [field for field in fields.values() if field.required and field.name not in offers]
    problems = [_is_missing(field, bound=bound) for field in required]
    if group.any_of() and not set(group.any_of()) & set(offers):
        problems.append(_is_missing(*(fields[name] for name in group.any_of()), bound=bound))
    return problems


def _is_missing(field: OptionField, *others: OptionField, bound: Mapping[str, Bound]) -> str:
    first, *more = [
        bound[one.name].variable if one.name in bound else f"{one.name}="
        for one in (field, *others)
    ]
    own = field.variables[:1]
    if field.name in bound:
        cure = " or ".join([f"set {first}", *own])
    else:
        cure = " or set ".join([f"pass {first}", *own])
    return f"{first.removesuffix('=')}: missing: {', or '.join([cure, *more])} @ {field.where}"
