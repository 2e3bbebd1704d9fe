"""
The command ``ragcore``; each subcommand is a module, imported when it is called.

Exit status: 0, 1 for what went wrong, 2 for a command line that makes no sense, 130 for Ctrl-C.

What comes in: a command line, the environment, and a ``.env`` file. What goes out: tables, lines
and JSON on stdout, problems on stderr, and the exit status. May be imported by nobody but
``python -m ragcore`` and the entry point of the script.
"""

from __future__ import annotations

import sys
from typing import TextIO

import click

from ragcore.cli._lazy import LazyGroup
from ragcore.errors import RagcoreError

_COMMANDS = {
    "env-sample": "ragcore.cli._env_sample:env_sample",
    "options": "ragcore.cli._options:options",
    "providers": "ragcore.cli._providers:providers",
    "rag": "ragcore.cli._rag:rag",
}
_INTERRUPTED = 130  # 128 and the number of SIGINT, as shells have it


class _Main(LazyGroup):
    """Says in a line what went wrong in a command."""

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


@click.group(cls=_Main, lazy=_COMMANDS)
@click.version_option(
    package_name="lightrag-core", prog_name="ragcore", message="%(prog)s %(version)s"
)
def main() -> None:
    """Completion and embedding models of any provider: what there is, and what can be set."""
