"""
The command ``ragcore``; each subcommand is a module, imported when it is called.

Exit status: 0, 1 for what went wrong, 2 for a command line that makes no sense, 130 for Ctrl-C.

What comes in: a command line, the environment, and a ``.env`` file. What goes out: tables, lines
and JSON on stdout, problems on stderr, and the exit status. May be imported by nobody but
``python -m ragcore`` and the entry point of the script.
"""

from __future__ import annotations

import importlib
import sys
from typing import TextIO

import click

from ragcore.errors import RagcoreError
from ragcore.options import nearest

_COMMANDS = {
    "env-sample": "ragcore.cli._env_sample:env_sample",
    "options": "ragcore.cli._options:options",
    "providers": "ragcore.cli._providers:providers",
    "rag": "ragcore.cli._rag:rag",
}
_INTERRUPTED = 130  # 128 and the number of SIGINT, as shells have it


class _Commands(click.Group):
    """Imports a command's module when it is wanted, and says in a line what went wrong in it."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _COMMANDS:
            return None
        module, _, attribute = _COMMANDS[cmd_name].partition(":")
        command: click.Command = getattr(importlib.import_module(module), attribute)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        close = nearest(args[0], _COMMANDS)
        if close and args[0] not in _COMMANDS:
            ctx.fail(f"No such command {args[0]!r}. Did you mean {close!r}?")
        return super().resolve_command(ctx, args)

    def invoke(self, ctx: click.Context) -> object:
        _escape_what_cannot_be_written(sys.stdout)
        _escape_what_cannot_be_written(sys.stderr)
        try:
            return super().invoke(ctx)
        except RagcoreError as exc:
            raise click.ClickException(str(exc)) from exc
        except KeyboardInterrupt:
            ctx.exit(_INTERRUPTED)


def _escape_what_cannot_be_written(stream: TextIO) -> None:
    # Help has dots and dashes that not every encoding has.
    if hasattr(stream, "reconfigure"):
        stream.reconfigure(errors="backslashreplace")


@click.group(cls=_Commands)
@click.version_option(
    package_name="lightrag-core", prog_name="ragcore", message="%(prog)s %(version)s"
)
def main() -> None:
    """Completion and embedding models of any provider: what there is, and what can be set."""
