"""The base of all option classes."""

from __future__ import annotations

import copy
import inspect
from collections.abc import Hashable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Self, cast, dataclass_transform

import attrs

from ragcore.options import _dataclass_style, _reading
from ragcore.options._declaration import OptionField, fields_of, help_of, option
from ragcore.options._reading import Sources
from ragcore.options._secrets import refuse_to_travel

if TYPE_CHECKING:
    import argparse


@dataclass_transform(kw_only_default=True, frozen_default=True, field_specifiers=(option,))
class BindingOptions:
    """
    Base of all option classes; ``binding=`` names the group and begins its variables.

    Subclasses are frozen attrs classes with keyword arguments only; a bad value is an
    :class:`OptionsError` that lists all problems at once. A subclass without ``binding=`` is
    a mixin: its fields are inherited, and it can't be instantiated. ``any_of=`` names options of
    which one at least has to be set, such as different credentials.

    A class written as LightRAG's are, a ``@dataclass`` with ``_binding_name`` and ``_help``, works
    as well; the defaults of its fields are what instances have and what the help says, but as in
    LightRAG they are not sent.
    """

    __attrs_attrs__: ClassVar[Any] = ()
    _binding_name: ClassVar[str] = ""
    _help: ClassVar[Mapping[str, str]] = {}
    _any_of: ClassVar[tuple[str, ...]] = ()

    def __init_subclass__(
        cls, *, binding: str = "", any_of: tuple[str, ...] = (), **kwargs: Any
    ) -> None:
        super().__init_subclass__(**kwargs)
        if taken := [name for name in inspect.get_annotations(cls) if _is_taken(name)]:
            raise TypeError(f"{cls.__name__}: an option can't be named {', '.join(taken)}.")
        if "__slots__" in vars(cls):
            raise TypeError(f"{cls.__name__}: options can't have slots: leave out slots=True.")
        with _dataclass_style.adopted(cls):
            attrs.define(
                cls,
                frozen=True,
                slots=False,
                kw_only=True,
                auto_attribs=True,
                init=False,
            )
        for name in ("__setattr__", "__delattr__"):
            # Inherited from here; @dataclass(frozen=True) has its own.
            delattr(cls, name)
        cls._binding_name = binding or vars(cls).get("_binding_name", "")
        cls._any_of = tuple(any_of) or cls._any_of
        known = {one.name for one in attrs.fields(cast("Any", cls))}
        if strange := [name for name in cls._any_of if name not in known]:
            raise TypeError(f"{cls.__name__}: any_of= names no option: {', '.join(strange)}.")
        if "__init__" not in vars(cls):
            # Its own, so that neither @dataclass nor a dataclass that is mixed in has another.
            setattr(cls, "__init__", BindingOptions.__init__)  # noqa: B010  # mypy has no other way
        cls._help = {one.name: help_of(cls, one) for one in attrs.fields(cast("Any", cls))}

    def __init__(self, /, *nameless: Any, **values: Any) -> None:
        name = type(self).__name__
        if not self._binding_name:
            raise TypeError(f"{name} is a mixin: subclass it with binding='…' or _binding_name.")
        if nameless:
            raise TypeError(f"{name} takes keywords only: write {name}(option=value).")
        _reading.fill(self, values)

    if not TYPE_CHECKING:
        # Type checkers know by frozen_default.

        def __setattr__(self, name: str, value: object) -> None:
            raise attrs.exceptions.FrozenInstanceError

        def __delattr__(self, name: str) -> None:
            raise attrs.exceptions.FrozenInstanceError

    def __getstate__(self) -> object:
        given = _reading.given(self)
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
        given = _reading.given(self)
        return {f.name: getattr(self, f.name) for f in self.fields() if f.name in given}

    @classmethod
    def add_args(cls, parser: argparse.ArgumentParser) -> None:
        """
        Add a flag for each option to *parser*, in LightRAG's spelling and with dashes.

        What the environment sets is the flag's default. A value that is none is reported when the
        options are taken out, by :meth:`options_dict`, with all others.
        """
        from ragcore.options import _flags

        _flags.add(parser, cls)

    @classmethod
    def options_dict(cls, args: argparse.Namespace) -> dict[str, Any]:
        """
        Return what *args*, parsed with the flags of :meth:`add_args`, sets of this group.

        Raises:
            OptionsError: With every problem of the group.
        """
        return _reading.settings(cls, Sources(environ={}, flags=vars(args)))

    @classmethod
    def options_dict_for_role(
        cls,
        args: argparse.Namespace,
        role: str,
        is_cross_provider: bool = False,  # LightRAG passes it by position
    ) -> dict[str, Any]:
        """
        Return what is set for one of LightRAG's roles: its own variables go over *args*.

        Args:
            args: Parsed with the flags of :meth:`add_args`.
            role: ``"extract"``, ``"keyword"``, ``"query"`` or ``"vlm"``; its variables are
                ``EXTRACT_OPENAI_LLM_TEMPERATURE`` and so on.
            is_cross_provider: The role has another provider than *args* is about, so that only its
                own variables count.

        Raises:
            OptionsError: With every problem of the group.
        """
        flags = {} if is_cross_provider else vars(args)
        return _reading.settings(cls, Sources(flags=flags, role=role, only_role=True))

    @classmethod
    def args_env_name_type_value(cls) -> Iterator[dict[str, Any]]:
        """Yield ``argname``, ``env_name``, ``type``, ``default`` and ``help`` of each flag."""
        from ragcore.options import _flags

        return _flags.described(cls)

    @classmethod
    def generate_dot_env_sample(cls) -> str:
        """
        Return a ``.env`` file with every option as a comment.

        The base's own has those of all classes there are, of installed plugins too.
        """
        from ragcore._discovery import loading
        from ragcore.options import _sample

        if cls is BindingOptions:
            # Imports them; that each of their classes is known here is all that is wanted.
            loading.registry()
        return _sample.sample([cls] if cls.binding() else _option_classes(cls))

    @classmethod
    def json_schema(cls) -> dict[str, Any]:
        """
        Return the JSON Schema (draft 2020-12) of what keywords take.

        Options that are keywords only hold objects, and are left out. A class with checks of its
        own adds them here.
        """
        from ragcore.options import _schema

        return _schema.schema(cls)


def _is_taken(name: str) -> bool:
    return hasattr(BindingOptions, name) and not name.startswith("_")


def _option_classes(base: type[BindingOptions]) -> list[type[BindingOptions]]:
    found: list[type[BindingOptions]] = []
    for one in base.__subclasses__():
        found += [one] if one.binding() else []
        found += _option_classes(one)
    return found
