"""``ragcore rag reembed``: makes the vectors of an index anew, with another model."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click

from ragcore import lightrag
from ragcore._discovery.loading import registry
from ragcore.cli._environment import Environment, env_file_options, environment
from ragcore.cli._model import flags, named
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
@click.option(
    *("-m", "--model", "-e", "--embedding", "reference"),
    metavar="PROVIDER:MODEL",
    help="Who embeds now; left out: as LightRAG's variables say.",
)
@click.option("-o", "given", multiple=True, metavar="OPTION=VALUE", help="Option of that model.")
@click.option("--dimensions", type=click.IntRange(1), help="Length of a vector.")
@click.option("--force", is_flag=True, help="Even if the index is by that model already.")
@env_file_options
def reembed(
    *,
    working_dir: Path,
    workspace: str | None,
    reference: str | None,
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
    there = environment(env_file, is_trusted=trust_env_file)
    embed = _embedding(there, reference, given, dimensions)
    if workspace is None:
        workspace = there.variables().get("WORKSPACE", "")
    with _progress() as progress:
        work = lightrag.reembed(
            working_dir, embed, workspace=workspace, force=force, progress=progress
        )
        done = asyncio.run(work)
    click.echo(printable(f"{working_dir}: {_told(done)}"))


def _embedding(
    there: Environment, reference: str | None, given: Sequence[str], dimensions: int | None
) -> Any:
    """Return what LightRAG would be handed."""
    variables = there.variables()
    if reference is None:
        if given or dimensions:
            raise click.UsageError("-o and --dimensions go with -m.")
        return lightrag.embedding_from_env(variables, check=there.problems)
    variables |= named("EMBEDDING", reference, variables)
    provider = registry().embedding_provider(variables["EMBEDDING_BINDING"])
    if dimensions is not None:
        can_choose = provider.capabilities_of(variables["EMBEDDING_MODEL"]).dimensions
        variables |= {"EMBEDDING_DIM": str(dimensions), "EMBEDDING_SEND_DIM": str(can_choose)}
    said = flags([provider.connection, provider.options], given)
    return lightrag.embedding_from_env(variables, flags=said, check=there.problems)


def _told(done: lightrag.Reembedded | None) -> str:
    if done is None:
        return "nothing to do: the vectors are by that embedding already (--force: make them anew)."
    counts = ", ".join(f"{count} {kind}" for kind, count in done.counts.items())
    resumed = f" (an interrupted run had made {done.resumed} of them)" if done.resumed else ""
    numbers = f"{done.dimensions} numbers each"
    return f"vectors of {counts} are by {done.reference} now, {numbers}{resumed}."


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
