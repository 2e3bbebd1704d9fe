"""
A group of options: a class that declares them, and instances that hold their values.

What reads, writes and documents options builds on this.
"""

from __future__ import annotations

import copy
import inspect
from collections.abc import Hashable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Self, TypeVar, cast

import attrs

from ragcore.errors import OptionsError
from ragcore.options import _dataclass_style
from ragcore.options._declaration import OptionField, fields_of, help_of
from ragcore.options._secrets import SHORTEST, refuse_to_travel, secrets_in, without

_GIVEN = "_given"


class Group:
    """The base of all that has options; :class:`BindingOptions` adds the ways to set them."""

    __attrs_attrs__: ClassVar[Any] = ()
    _binding_name: ClassVar[str] = ""
    _help: ClassVar[Mapping[str, str]] = {}
    _any_of: ClassVar[tuple[str, ...]] = ()

    if not TYPE_CHECKING:
        # Type checkers know by frozen_default.

        def __setattr__(self, name: str, value: object) -> None:
            raise attrs.exceptions.FrozenInstanceError

        def __delattr__(self, name: str) -> None:
            raise attrs.exceptions.FrozenInstanceError

    def __getstate__(self) -> object:
        given = given_to(self)
        if any(field.secret and field.name in given for field in self.fields()):
            refuse_to_travel()
        return vars(self)

    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        made = type(self).__new__(type(self))
        vars(made).update(copy.deepcopy(vars(self), memo))
        return made

    @classmethod
    def binding(cls) -> str:
        """Return the name of the group, which begins its variables; empty for a mixin."""
        return cls._binding_name

    @classmethod
    def fields(cls) -> tuple[OptionField, ...]:
        """Return what is declared, inherited fields first."""
        return fields_of(cast("Hashable", cls))

    @classmethod
    def any_of(cls) -> tuple[str, ...]:
        """Return the options of which one at least has to be set; empty for none."""
        return cls._any_of

    def asdict(self) -> dict[str, Any]:
        """
        Return what was set, by keyword, variable or flag; defaults are left out.

        LightRAG's method of that name returns every field.
        """
        given = given_to(self)
        return {f.name: getattr(self, f.name) for f in self.fields() if f.name in given}


def adopt(cls: type[Group], base: type[Group], binding: str, any_of: tuple[str, ...]) -> None:
    """
    Make *cls*, a new subclass of *base*, a frozen attrs class of the options that it declares.

    Raises:
        TypeError: It can't be one.
    """
    if taken := [name for name in inspect.get_annotations(cls) if _is_taken(base, name)]:
        raise TypeError(f"{cls.__name__}: an option can't be named {', '.join(taken)}.")
    if "__slots__" in vars(cls):
        raise TypeError(f"{cls.__name__}: options can't have slots: leave out slots=True.")
    with _dataclass_style.adopted(cls):
        attrs.define(cls, frozen=True, slots=False, kw_only=True, auto_attribs=True, init=False)
    for name in ("__setattr__", "__delattr__"):
        # Inherited from here; @dataclass(frozen=True) has its own.
        delattr(cls, name)
    cls._binding_name = binding or vars(cls).get("_binding_name", "")
    cls._any_of = tuple(any_of) or cls._any_of
    attributes = attrs.fields(cast("Any", cls))
    known = {one.name for one in attributes}
    if strange := [name for name in cls._any_of if name not in known]:
        raise TypeError(f"{cls.__name__}: any_of= names no option: {', '.join(strange)}.")
    if "__init__" not in vars(cls):
        # Its own, so that neither @dataclass nor a dataclass that is mixed in has another.
        setattr(cls, "__init__", base.__init__)  # noqa: B010  # mypy has no other way
    cls._help = {one.name: help_of(cls, one) for one in attributes}


def _is_taken(base: type[Group], name: str) -> bool:
    return hasattr(base, name) and not name.startswith("_")


# --- instances ------------------------------------------------------------------------------


GroupT = TypeVar("GroupT", bound=Group)


def made(group: type[GroupT], values: Mapping[str, Any]) -> GroupT:
    """
    Return an instance of *group* whose options are *values*; each has its type.

    Raises:
        OptionsError: The class itself has something against them.
    """
    instance = group.__new__(group)
    fill(instance, values)
    return instance


def fill(instance: Group, values: Mapping[str, Any]) -> None:
    """
    Set the options of *instance* to *values*; each has its type.

    Raises:
        OptionsError: The class itself has something against them.
    """
    # An attribute would be an option; and which were given makes no two instances differ.
    object.__setattr__(instance, _GIVEN, frozenset(values))
    if problems := _objections(instance, values):
        hidden = _told_nowhere(instance.fields(), values)
        raise_all([without(problem, hidden) for problem in problems])


def given_to(instance: Group) -> frozenset[str]:
    """Return the names of the options of *instance* that were set, to whatever value."""
    names: frozenset[str] = vars(instance)[_GIVEN]
    return names


def raise_all(problems: list[str]) -> None:
    """Raise one OptionsError about all *problems*, if there are any."""
    if problems:
        problems = list(dict.fromkeys(problems))
        raise OptionsError("\n".join(problems), problems=problems)


def _objections(instance: Group, values: Mapping[str, Any]) -> list[str]:
    """Return what a validator of the class, or a check across its fields, says of *values*."""
    try:
        instance.__attrs_init__(**values)  # type: ignore[attr-defined]  # written by attrs
        if check := getattr(instance, "__post_init__", None):
            # A dataclass's.
            check()
    except OptionsError as exc:
        return list(exc.problems)
    except (TypeError, ValueError) as exc:
        # Told without it as the cause, and without what else attrs's hold: it quotes what it got.
        said = exc.args[0] if exc.args else type(exc).__name__
        return [f"{said} @ {instance.binding()}"]
    return []


def _told_nowhere(fields: Iterable[OptionField], values: Mapping[str, Any]) -> list[str]:
    given = (values.get(field.name) for field in fields if field.secret)
    secrets = (secret.get() for value in given for secret in secrets_in(value))
    return [secret for secret in secrets if len(secret) >= SHORTEST]
