"""``ragcore options``: every option, what holds for it, and its JSON Schema."""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn

import click

from ragcore._discovery.misspelt import in_words, misspelt
from ragcore.cli._environment import env_file_options, environment, is_confidential
from ragcore.cli._explanation import Explained, explain
from ragcore.cli._groups import Group, all_groups, groups_named
from ragcore.cli._output import is_terminal, printable, write_json, write_table
from ragcore.lightrag import ROLES, VARIABLES
from ragcore.options import OptionField, nearest, summary_of, to_json

_TITLES = ("option", "takes", "default", "scope", "variables", "flags", "help")
_STACKS = ((0, 3), (1, 2), (6, 4, 5))


@click.command(context_settings={"ignore_unknown_options": True})
@click.argument("arguments", metavar="[BINDING] [FLAGS]...", nargs=-1, type=click.UNPROCESSED)
@click.option("--json", "as_json", is_flag=True, help="Write JSON.")
@click.option("--json-schema", is_flag=True, help="Write a JSON Schema (draft 2020-12).")
@click.option("--explain", "explains", is_flag=True, help="Say what holds, and who says so.")
@click.option("--role", type=click.Choice(ROLES), help="Explain what holds for this role.")
@env_file_options
def options(
    *,
    arguments: tuple[str, ...],
    as_json: bool,
    json_schema: bool,
    explains: bool,
    role: str | None,
    env_file: Path | None,
    trust_env_file: bool,
) -> None:
    """
    List what can be set, and what is.

    Of all there is, or of BINDING: a group of options, such as openai_llm, or a provider, with all
    its groups. Where both have one name, such as openai, it is the provider.

    With --explain, FLAGS such as --openai-llm-temperature 0.2 set options. Of keys it says only
    whether they are set. The exit status is 1 if a value is invalid. Variables that nothing reads,
    and that look like one that something does, are told on stderr; with --json, under "misspelt".

    --json-schema writes the schema of one group; of several, an object of schemas by binding.
    """
    binding, flags = _split(arguments)
    groups = groups_named(binding) if binding else all_groups()
    if explains and json_schema:
        raise click.UsageError("--explain and --json-schema don't go together.")
    if explains:
        from_flags = _parsed(flags, groups)
        there = environment(env_file, is_trusted=trust_env_file)
        sources = there.unchecked_sources(flags=from_flags, role=role)
        explanations = [(group, *explain(group, there, sources)) for group in groups]
        names = {**sources.dotenv, **sources.environ}
        _write_explained(explanations, misspelt(names, VARIABLES, ROLES), as_json=as_json)
        return
    if flags or role or env_file or trust_env_file:
        raise click.UsageError("What sets options, or says where they are set, needs --explain.")
    if json_schema:
        write_json(_schemas(groups))
    elif as_json:
        write_json({"groups": [_group_as_data(group) for group in groups]})
    else:
        _write_groups(groups)


def _split(arguments: Sequence[str]) -> tuple[str, Sequence[str]]:
    if arguments and not arguments[0].startswith("-"):
        return arguments[0], arguments[1:]
    return "", arguments


# --- flags ----------------------------------------------------------------------------------


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise click.UsageError(message)


def _parsed(arguments: Sequence[str], groups: Iterable[Group]) -> dict[str, Any]:
    parser = _Parser(add_help=False, allow_abbrev=False, conflict_handler="resolve")
    for group in groups:
        group.add_args(parser, environ={})
    parsed, unknown = parser.parse_known_args(arguments)
    if unknown:
        known = [flag for group in groups for field in group.fields() for flag in field.flags]
        raise click.UsageError(_unknown_flag(unknown, known))
    return vars(parsed)


def _unknown_flag(unknown: Sequence[str], known: Sequence[str]) -> str:
    # What follows a misspelt flag may be a key.
    flags = [one.partition("=")[0] for one in unknown if one.startswith("--")]
    if not flags:
        return "A value belongs to no flag; BINDING comes first, and there is one."
    close = nearest(flags[0], known)
    cure = f"Did you mean {close}?" if close else "It may belong to a group that is not shown."
    return f"No such flag: {flags[0]}. {cure}"


# --- what can be set ------------------------------------------------------------------------


def _write_groups(groups: Iterable[Group]) -> None:
    for group in groups:
        _write_heading(group)
        write_table(_TITLES, [_row(field) for field in group.fields()], _STACKS)
        click.echo()


def _write_heading(group: Group) -> None:
    click.echo(printable(f"{group.binding()}: {summary_of(group)}".rstrip(": ")))


def _row(field: OptionField) -> tuple[str, ...]:
    return (
        _name(field),
        field.wanted,
        _default(field),
        field.scope,
        ", ".join(field.variables) or "keyword only",
        ", ".join(field.flags),
        field.help,
    )


def _name(field: OptionField) -> str:
    # The heading names the binding, and a terminal has few columns; a line for grep stands alone.
    return field.name if is_terminal() else field.where


def _default(field: OptionField) -> str:
    if field.secret and not field.required:
        return "unset" if field.default is None else "set"
    return field.unset.removeprefix("default: ") or "unset"


def _group_as_data(group: Group) -> dict[str, Any]:
    return {
        "binding": group.binding(),
        "summary": summary_of(group),
        "any_of": list(group.any_of()),
        "options": [_as_data(field) for field in group.fields()],
    }


def _as_data(field: OptionField) -> dict[str, Any]:
    has_default = not (field.required or field.default is None or is_confidential(field))
    return {
        "name": field.name,
        "type": field.kind,
        "minimum": field.minimum,
        "maximum": field.maximum,
        "required": field.required,
        "default": to_json(field.default) if has_default else None,
        "provider_default": to_json(field.provider_default),
        "variables": list(field.variables),
        "flags": list(field.flags),
        "scope": field.scope,
        "secret": field.secret,
        "help": field.help,
    }


def _schemas(groups: Sequence[Group]) -> dict[str, Any]:
    if len(groups) == 1:
        return groups[0].json_schema()
    return {group.binding(): group.json_schema() for group in groups}


# --- what holds -----------------------------------------------------------------------------


def _write_explained(
    explanations: Sequence[tuple[Group, list[Explained], list[str]]],
    misspelt: Mapping[str, str],
    *,
    as_json: bool,
) -> None:
    problems = [problem for _, _, found in explanations for problem in found]
    problems = list(dict.fromkeys(problems))
    if as_json:
        groups = [_explained_as_data(group, explained) for group, explained, _ in explanations]
        write_json({"groups": groups, "problems": problems, "misspelt": misspelt})
    else:
        for group, explained, _ in explanations:
            _write_heading(group)
            rows = [(_name(one.field), one.text, one.said_by) for one in explained]
            write_table(("option", "value", "from"), rows, ((0,), (1,), (2,)))
            click.echo()
        for problem in problems:
            click.echo(f"Error: {printable(problem)}", err=True)
        for name, meant in misspelt.items():
            click.echo(f"Warning: {printable(in_words(name, meant))}", err=True)
    if problems:
        click.get_current_context().exit(1)


def _explained_as_data(group: Group, explained: Iterable[Explained]) -> dict[str, Any]:
    return {
        "binding": group.binding(),
        "options": [
            {
                "name": one.field.name,
                "value": one.value,
                "origin": one.origin,
                "source": one.source,
                "file": one.file,
                "invalid": one.is_invalid,
                "secret": one.field.secret,
            }
            for one in explained
        ],
    }
