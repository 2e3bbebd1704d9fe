"""``ragcore rag reembed``: makes the vectors of an index anew, with another model."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import click

from ragcore import lightrag
from ragcore._calls.opening import split_reference
from ragcore._discovery.host_options import HostEmbeddingOptions
from ragcore._discovery.loading import registry
from ragcore.cli._environment import env_file_options, environment
from ragcore.cli._model import keywords
from ragcore.cli._output import printable
from ragcore.errors import RagcoreError


@click.command()
@click.option(
    "--working-dir",
    required=True,
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="LightRAG's folder.",
)
@click.option("--workspace", help="LightRAG's workspace in it; left out: WORKSPACE.")
@click.option("-m", "--model", "reference", required=True, help="PROVIDER:MODEL that embeds now.")
@click.option("-o", "given", multiple=True, metavar="OPTION=VALUE", help="Option of the model.")
@click.option("--dimensions", type=click.IntRange(1), help="Length of a vector.")
@click.option("--force", is_flag=True, help="Even if the index is by that model already.")
@env_file_options
def reembed(
    *,
    working_dir: Path,
    workspace: str | None,
    reference: str,
    given: tuple[str, ...],
    dimensions: int | None,
    force: bool,
    env_file: Path | None,
    trust_env_file: bool,
) -> None:
    """
    Make the vectors of an index anew, with another embedding model.

    Of the texts that LightRAG has stored with them: chunks, entities and relations. Its default
    vector storage only, and nothing else may use the index meanwhile.

    What was interrupted is gone on with by the same command. Until all new vectors are there, the
    index stays as it is.
    """
    name, _ = split_reference(reference)
    provider = registry().embedding_provider(name)
    there = environment(env_file, is_trusted=trust_env_file)
    groups = [provider.connection, provider.options, HostEmbeddingOptions]
    options = keywords(groups, given, there)
    with _progress() as progress:
        done = asyncio.run(
            lightrag.reembed(
                working_dir,
                reference,
                workspace=workspace,
                dimensions=dimensions,
                force=force,
                progress=progress,
                **options,
            )
        )
    click.echo(printable(f"{working_dir}: {_told(reference, done)}"))


def _told(reference: str, done: lightrag.Reembedded | None) -> str:
    if done is None:
        return f"nothing to do: the vectors are by {reference} already (--force: make them anew)."
    counts = ", ".join(f"{count} {kind}" for kind, count in done.counts.items())
    resumed = f" (an interrupted run had made {done.resumed} of them)" if done.resumed else ""
    return f"vectors of {counts} are by {reference} now, {done.dimensions} numbers each{resumed}."


@contextmanager
def _progress() -> Iterator[Callable[[int, int], None]]:
    """Show what is done on a terminal; if it ends early, say how to go on."""
    from rich.console import Console
    from rich.progress import Progress

    console, last = Console(stderr=True), (0, 0)

    def show(done: int, count: int) -> None:
        nonlocal last
        last = done, count
        bar.update(task, completed=done, total=count)

    try:
        with Progress(console=console, disable=not console.is_terminal) as bar:
            task = bar.add_task("texts", total=None)
            yield show
    except (RagcoreError, KeyboardInterrupt):
        done, count = last
        if done:
            kept = f"The vectors of {done} of {count} texts are kept: the same command goes on."
            click.echo(kept, err=True)
        raise
