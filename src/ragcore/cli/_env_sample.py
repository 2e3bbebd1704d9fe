"""``ragcore env-sample``: a commented ``.env`` of what is installed."""

from __future__ import annotations

import click

from ragcore.cli._groups import all_groups, groups_named
from ragcore.cli._output import write_json
from ragcore.options import OptionField, entries, sample

_HEADER = """\
# Options of ragcore and its providers, made by: {command}
#
# Every option is a comment that says what holds anyway: take off the "#" and write your value. An
# empty value is "not set". The environment goes before this file, which only the command ragcore
# reads, from the folder where it runs. Keys stand here in clear text: keep them out of Git.
"""


def _as_data(field: OptionField, text: str) -> dict[str, str | bool]:
    return {
        "variable": field.variables[0],
        "value": text,
        "option": field.where,
        "secret": field.secret,
        "help": field.help,
    }


@click.command("env-sample")
@click.argument("bindings", metavar="[BINDING]...", nargs=-1)
@click.option("--json", "as_json", is_flag=True, help="Write JSON.")
def env_sample(*, bindings: tuple[str, ...], as_json: bool) -> None:
    """
    Write a commented .env.

    Of all options there are, or of those of each BINDING: a group of options, such as openai_llm,
    or a provider, with all its groups.
    """
    named = [group for name in bindings for group in groups_named(name)]
    groups = list(dict.fromkeys(named)) or all_groups()
    if as_json:
        write_json({"variables": [_as_data(field, text) for field, text in entries(groups)]})
        return
    header = _HEADER.format(command=" ".join(("ragcore env-sample", *bindings)))
    click.echo(f"{header}\n{sample(groups)}", nl=False)
