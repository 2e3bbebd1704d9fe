"""The base of all option classes."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, TypeVar, dataclass_transform

from ragcore.options import _reading
from ragcore.options._declaration import option
from ragcore.options._group import Group, adopt, fill
from ragcore.options._reading import Sources

if TYPE_CHECKING:
    import argparse


@dataclass_transform(kw_only_default=True, frozen_default=True, field_specifiers=(option,))
class BindingOptions(Group):
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

    def __init_subclass__(
        cls, *, binding: str = "", any_of: tuple[str, ...] = (), **kwargs: Any
    ) -> None:
        super().__init_subclass__(**kwargs)
        adopt(cls, BindingOptions, binding, any_of)

    def __init__(self, /, *nameless: Any, **values: Any) -> None:
        name = type(self).__name__
        if not self.binding():
            raise TypeError(f"{name} is a mixin: subclass it with binding='…' or _binding_name.")
        if nameless:
            raise TypeError(f"{name} takes keywords only: write {name}(option=value).")
        fill(self, _reading.checked(type(self), values))

    @classmethod
    def add_args(
        cls, parser: argparse.ArgumentParser, environ: Mapping[str, str] | None = None
    ) -> None:
        """
        Add a flag for each option to *parser*, in LightRAG's spelling and with dashes.

        A flag of the same binding that is there already stays. A value that is none is reported
        when the options are taken out, by :meth:`options_dict`, with all others.

        Args:
            parser: An option that is not set leaves nothing among its arguments.
            environ: What flags default to; :data:`os.environ` unless another is given.
        """
        from ragcore.options import _flags

        _flags.add(parser, cls, os.environ if environ is None else environ)

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
        from ragcore.options import _sample

        if cls is BindingOptions:
            for load in _loaders:
                load()
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


Loader = TypeVar("Loader", bound=Callable[[], object])

_loaders: list[Callable[[], object]] = []


def imports_classes(load: Loader) -> Loader:
    """Have *load*, which imports option classes of others, called before all are listed."""
    _loaders.append(load)
    return load


def _option_classes(base: type[BindingOptions]) -> list[type[BindingOptions]]:
    found: list[type[BindingOptions]] = []
    for one in base.__subclasses__():
        found += [one] if one.binding() else []
        found += _option_classes(one)
    return found
