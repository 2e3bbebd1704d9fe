"""Options of one model on a command line: ``-o option=value``."""

from __future__ import annotations

import argparse
import difflib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NoReturn

import click

from ragcore.cli._environment import Environment
from ragcore.options import BindingOptions, OptionField, found


def keywords(
    groups: Sequence[type[BindingOptions]], given: Iterable[str], there: Environment
) -> dict[str, Any]:
    """
    Return the options of *groups*, those of one model, as a program would give them.

    Args:
        groups: Of connection, model and host.
        given: Each ``option=value``; they go before what *there* has.
        there: The environment, and a ``.env`` file.

    Raises:
        click.UsageError: An option is unknown, or not of that form.
        OptionsError: A value is invalid, or a key would go where an untrusted file says.
    """
    sources = there.sources(groups, flags=_parsed(given, groups))
    offers = (offer for group in groups for offer in found(group, {}, sources).values())
    return {offer.field.name: offer.value() for offer in offers}


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise click.UsageError(message)


def _parsed(given: Iterable[str], groups: Iterable[type[BindingOptions]]) -> dict[str, Any]:
    fields = {field.name: field for group in groups for field in group.fields() if field.flags}
    parser = _Parser(add_help=False, allow_abbrev=False)
    for group in groups:
        group.add_args(parser, environ={})
    return vars(parser.parse_args([_flag(one, fields) for one in given]))


def _flag(given: str, fields: Mapping[str, OptionField]) -> str:
    """Return *given*, ``option=value``, as the option's flag."""
    name, equals, value = given.partition("=")
    if not equals:
        raise click.UsageError(f"-o {name}: is not of the form option=value.")
    field = fields.get(name.replace("-", "_"))
    if field is None:
        close = difflib.get_close_matches(name, fields, n=1)
        cure = (
            f"Did you mean {close[0]!r}?" if close else f"There are: {', '.join(sorted(fields))}."
        )
        raise click.UsageError(f"-o {name}: no such option. {cure}")
    return f"{field.flags[0]}={value}"
