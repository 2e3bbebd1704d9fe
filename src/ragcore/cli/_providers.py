"""``ragcore providers``: what is installed, what it can do, and what is broken."""

from __future__ import annotations

from typing import Any

import attrs
import click

from ragcore._discovery.loading import registry
from ragcore._discovery.registry import BrokenPlugin, ProviderInfo
from ragcore._records import Capabilities
from ragcore.cli._output import printable, write_json, write_table

_TITLES = ("provider", "tasks", "distribution", "capabilities", "aliases")
_STACKS = ((0, 4), (1,), (2,), (3,))
_WORDS = {
    "json_object": "JSON",
    "json_schema": "JSON Schema",
    "images": "images",
    "reasoning": "reasoning",
    "think_tags": "reasoning in <think> tags",
    "dimensions": "dimensions as asked",
    "input_type": "queries unlike documents",
    "max_batch": "batches of {}",
    "max_batch_tokens": "batches of {} tokens",
    "context_window": "context of {} tokens",
    "max_output_tokens": "answers of {} tokens",
}


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Write JSON.")
def providers(*, as_json: bool) -> None:
    """
    List what is installed, and what is broken or switched off.

    Broken plugins, each with the reason and the cure, are listed on stderr; with --json, under
    "broken". They don't change the exit status. Nor does what a variable switches off.
    """
    installed = registry().installed()
    aliases = _aliases()
    if as_json:
        write_json(
            {
                "providers": [_as_data(one, aliases[one.name]) for one in installed.providers],
                "broken": [attrs.asdict(one) for one in installed.broken],
            }
        )
        return
    if installed.providers:
        rows = [_row(one, aliases[one.name]) for one in installed.providers]
        write_table(_TITLES, rows, _STACKS)
    else:
        click.echo("No provider is installed; there is pip install lightrag-openai.", err=True)
    for broken in installed.broken:
        click.echo(_broken_line(broken), err=True)
    for line in registry().what_is_off():
        click.echo(line, err=True)


def _aliases() -> dict[str, tuple[str, ...]]:
    found: dict[str, dict[str, None]] = {}
    for claim in registry().claims.values():
        found.setdefault(claim.record.name, {}).update(dict.fromkeys(claim.record.aliases))
    return {name: tuple(aliases) for name, aliases in found.items()}


def in_words(capabilities: Capabilities) -> str:
    """Return what *capabilities* says is there, for people."""
    there = attrs.asdict(capabilities, filter=lambda _, value: bool(value))
    return ", ".join(_WORDS[name].format(value) for name, value in there.items())


def _row(info: ProviderInfo, aliases: tuple[str, ...]) -> tuple[str, ...]:
    return (
        info.name,
        ", ".join(info.tasks),
        f"{info.distribution} {info.version}".rstrip(),
        in_words(info.capabilities),
        ", ".join(aliases),
    )


def _as_data(info: ProviderInfo, aliases: tuple[str, ...]) -> dict[str, Any]:
    return {
        "name": info.name,
        "aliases": list(aliases),
        "tasks": list(info.tasks),
        "distribution": info.distribution,
        "version": info.version,
        "capabilities": attrs.asdict(info.capabilities),
        "options": [group.binding() for group in info.options],
    }


def _broken_line(plugin: BrokenPlugin) -> str:
    return f"Broken: {printable(str(plugin))}"
