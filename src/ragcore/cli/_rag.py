"""``ragcore rag``: LightRAG's indexes, over any installed providers."""

from __future__ import annotations

import click

from ragcore.cli._lazy import LazyGroup


@click.group(cls=LazyGroup, lazy={"reembed": "ragcore.cli._reembed:reembed"})
def rag() -> None:
    """LightRAG's indexes, over any installed providers."""
