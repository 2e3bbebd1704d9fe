"""Models that a command line names: by a reference, and by options of one model."""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Mapping, Sequence
from typing import Literal, NoReturn

import click

from ragcore._discovery.loading import registry
from ragcore.errors import OptionsError
from ragcore.options import BindingOptions, OptionField, nearest

Task = Literal["LLM", "EMBEDDING"]


def named(task: Task, reference: str | None, variables: Mapping[str, str]) -> dict[str, str]:
    """
    Return LightRAG's variables for the model *reference*, to go before *variables*.

    Where those name another provider, address and key are not the reference's.

    Raises:
        OptionsError: *reference* is not of the form PROVIDER:MODEL.
    """
    if reference is None:
        return {}
    provider, colon, model = reference.partition(":")
    if not (provider and colon and model):
        raise OptionsError(
            f"{reference!r} is not PROVIDER:MODEL, such as 'ollama:bge-m3' or 'openai:gpt-4o-mini'"
        )
    said = {f"{task}_BINDING": provider, f"{task}_MODEL": model}
    before = variables.get(f"{task}_BINDING") or provider
    if _provider(task, before) != _provider(task, provider):
        said |= {f"{task}_BINDING_HOST": "", f"{task}_BINDING_API_KEY": ""}
    return said


def _provider(task: Task, name: str) -> str:
    """Return the name of the provider that goes by *name*, perhaps an alias."""
    claim = registry().claims.get(("completion" if task == "LLM" else "embedding", name))
    return claim.record.name if claim else name


def flags(groups: Sequence[type[BindingOptions]], given: Iterable[str]) -> argparse.Namespace:
    """
    Return what flags of *groups* would say, for options that are *given* as ``option=value``.

    Raises:
        click.UsageError: An option is unknown, or not of that form.
    """
    fields = {field.name: field for group in groups for field in group.fields() if field.flags}
    parser = _Parser(add_help=False, allow_abbrev=False)
    for group in groups:
        group.add_args(parser, environ={})
    return parser.parse_args([_flag(one, fields) for one in given])


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise click.UsageError(message)


def _flag(given: str, fields: Mapping[str, OptionField]) -> str:
    """Return *given*, ``option=value``, as the option's flag."""
    name, equals, value = given.partition("=")
    if not equals:
        raise click.UsageError(f"-o {name}: is not of the form option=value.")
    field = fields.get(name.replace("-", "_"))
    if field is None:
        close = nearest(name, fields)
        cure = f"Did you mean {close!r}?" if close else f"There are: {', '.join(fields)}."
        raise click.UsageError(f"-o {name}: no such option. {cure}")
    return f"{field.flags[0]}={value}"
