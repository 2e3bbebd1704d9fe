"""Options as command-line flags, over :mod:`argparse`, as LightRAG's server has them."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import attrs

from ragcore.errors import OptionsError
from ragcore.options._declaration import OptionField
from ragcore.options._group import Group
from ragcore.options._reading import Found, Invalid, Sources
from ragcore.options._types import bare, is_list, item_of


def add(parser: argparse.ArgumentParser, group: type[Group], environ: Mapping[str, str]) -> None:
    """Add the flags of *group* to *parser*, but for those it has from another of one binding."""
    arguments = parser.add_argument_group(f"{group.binding()} binding options")
    sources = Sources(environ=environ)
    for field in group.fields():
        if field.flags and not _is_known(parser, field):
            default = sources.strongest(field, {})
            arguments.add_argument(
                *field.flags,
                action=_Flag,
                field=field,
                replaces=_replaced_by(field, group),
                dest=field.destination,
                default=argparse.SUPPRESS if default is None else _value_or_invalid(default),
                metavar=field.name.upper(),
                help=field.explained(f"variable: {field.variables[0]}").replace("%", "%%"),
            )


def _is_known(parser: argparse.ArgumentParser, field: OptionField) -> bool:
    # argparse has no public way to ask.
    known = parser._option_string_actions.get(field.flags[0])  # noqa: SLF001
    return isinstance(known, _Flag) and known.dest == field.destination


def _replaced_by(field: OptionField, group: type[Group]) -> tuple[str, ...]:
    others = (other for other in group.fields() if other.name != field.name)
    return tuple(other.destination for other in others if field.name in other.unless)


def described(group: type[Group]) -> Iterator[dict[str, Any]]:
    """Yield what LightRAG's classes say of each of their flags."""
    for field in group.fields():
        if field.flags:
            yield {
                "argname": field.flags[0].removeprefix("--"),
                "env_name": field.variables[0],
                "type": bare(field.type),
                "default": field.shown_default,
                "help": f"{field.binding} -- {field.help}",
            }


def _value_or_invalid(offer: Found) -> Any:
    try:
        return offer.value()
    except OptionsError as exc:
        return Invalid(tuple(exc.problems))


class _Listed(list[Any]):
    """What repeated flags have said so far; what the environment says is a list of another kind."""


class _Flag(argparse.Action):
    """Converts what follows a flag, and keeps what can't be for :meth:`options_dict` to report."""

    def __init__(
        self,
        option_strings: Sequence[str],
        *,
        field: OptionField,
        replaces: Sequence[str],
        **more: Any,
    ) -> None:
        super().__init__(option_strings, **more)
        self._field = field
        self._replaces = replaces

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: Any,
        option_string: str | None = None,
    ) -> None:
        name = option_string or self._field.flags[0]
        setattr(namespace, self.dest, self._joined(namespace, self._read(name, values)))
        for other in self._replaces:
            # What the environment has in its stead is weaker than a flag.
            if getattr(namespace, other, None) is parser.get_default(other):
                setattr(namespace, other, None)

    def _read(self, name: str, text: str) -> Any:
        field = self._field
        if is_list(bare(field.type)) and not text.lstrip().startswith("["):
            # Repeated flags bring an item each, and the check is for all; JSON brings them all.
            field = attrs.evolve(field, type=item_of(bare(field.type)), check=None)
            value = _value_or_invalid(Found(field, "flag", name, text, is_text=True))
            return value if isinstance(value, Invalid) else _Listed([value])
        value = _value_or_invalid(Found(field, "flag", name, text, is_text=True))
        return _Listed(value) if isinstance(value, list | tuple) else value

    def _joined(self, namespace: argparse.Namespace, value: Any) -> Any:
        before = getattr(namespace, self.dest, None)
        if before is self.default:
            return value
        match before, value:
            case _Listed(), _Listed():
                return _Listed([*before, *value])
            case Invalid(), Invalid() if is_list(bare(self._field.type)):
                return Invalid(before.problems + value.problems)
            case Invalid(), _Listed():
                return before
            case _:
                return value
