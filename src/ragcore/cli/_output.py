"""What commands write: tables for people, lines for ``grep``, JSON for programs."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Sequence
from typing import Any

import click

_GAP = "  "


def write_json(data: Any) -> None:
    """Write *data* as JSON that any encoding has."""
    click.echo(json.dumps(data, indent=2, default=str))


def write_table(
    titles: Sequence[str],
    rows: Iterable[Sequence[str]],
    stacks: Sequence[Sequence[int]],
) -> None:
    """
    Write a table without cutting anything off.

    A terminal gets cells that are folded; everything else one line per row, in all its length.

    Args:
        titles: Of the columns.
        rows: Each with a cell for each title.
        stacks: Columns by number, those of one inner sequence on top of each other in a terminal.
    """
    escaped = [tuple(map(printable, row)) for row in rows]
    if is_terminal():
        _write_folded(titles, escaped, stacks)
    else:
        _write_lines(titles, escaped)


def is_terminal() -> bool:
    """Say whether somebody looks at what is written."""
    return sys.stdout.isatty()


def printable(text: str) -> str:
    """Return *text* in one line, and without what a terminal would take for a command."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def _write_lines(titles: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    table = [titles, *rows]
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    for row in table:
        cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        click.echo(_GAP.join(cells).rstrip())


def _write_folded(
    titles: Sequence[str], rows: Sequence[Sequence[str]], stacks: Sequence[Sequence[int]]
) -> None:
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    is_stacked = len(stacks) < len(titles)
    table = Table(box=SIMPLE_HEAD, pad_edge=False, leading=1 if is_stacked else 0)
    for stack in stacks:
        table.add_column(Text("\n".join(titles[number] for number in stack)), overflow="fold")
    for row in rows:
        # Not as str: rich would take [brackets] for markup.
        cells = ("\n".join(row[number] for number in stack if row[number]) for stack in stacks)
        table.add_row(*map(Text, cells))
    Console(highlight=False).print(table)
