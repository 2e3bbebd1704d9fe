"""``ragcore rag``: LightRAG over any installed providers; documents go in, answers come out."""

from __future__ import annotations

import asyncio
import importlib.util
import logging
import os
import re
from collections.abc import AsyncIterator, Callable, Container, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Literal, TypeVar, get_args

import attrs
import click

from ragcore.cli._documents import Document, documents_in
from ragcore.cli._environment import Environment, env_file_options, environment
from ragcore.cli._model import named
from ragcore.cli._output import is_terminal, printable
from ragcore.cli._reembed import reembed

Mode = Literal["naive", "local", "global", "hybrid", "mix", "bypass"]
Command = TypeVar("Command", bound=Callable[..., object])

# Where LightRAG puts an index unless it is told otherwise.
_WORKING_DIR = Path("rag_storage")
_LOOK_EVERY = 0.3  # seconds
# How LightRAG's modules read a setting; their names are nowhere else.
_READ = re.compile(r'get_env_value\(\s*"([A-Z0-9_]+)"')
_WHERE_OR_WHO = {"DIR", "ENDPOINT", "FILE", "HOST", "KEY", "PATH", "TOKEN", "URI", "URL", "USER"}


@click.group()
def rag() -> None:
    """
    Index documents with LightRAG, and ask about them, over any installed providers.

    LightRAG's own variables say who completes and who embeds (LLM_BINDING, LLM_MODEL,
    EMBEDDING_BINDING, EMBEDDING_MODEL, …), in the environment or in .env; --model and --embedding
    go before them.
    """


rag.add_command(reembed)


def engine_options(command: Command) -> Command:
    """Give *command* the options that say which index, and which models."""
    decorators = [
        click.option(
            "--working-dir",
            type=click.Path(file_okay=False, path_type=Path),
            default=_WORKING_DIR,
            show_default=True,
            help="Folder of the index.",
        ),
        click.option("-m", "--model", metavar="PROVIDER:MODEL", help="Who completes."),
        click.option("-e", "--embedding", metavar="PROVIDER:MODEL", help="Who embeds."),
    ]
    for decorate in reversed(decorators):
        command = decorate(command)
    return env_file_options(command)


@rag.command()
@click.argument(
    "paths", nargs=-1, required=True, type=click.Path(exists=True, path_type=Path), metavar="PATH…"
)
@engine_options
def index(*, paths: tuple[Path, ...], working_dir: Path, **said: Any) -> None:
    """
    Index documents: files, and all files in folders that LightRAG can read.

    What is indexed already is left alone, and what failed is tried again. Exit status 1 if a
    document could not be read or indexed; the others are.
    """
    handed = _handed(working_dir, **said)
    documents, unreadable = documents_in(paths)
    for problem in unreadable:
        click.echo(printable(problem), err=True)
    if not documents:
        raise click.ClickException("there is nothing to index")
    tally = asyncio.run(_index(working_dir, handed, documents))
    if tally.failed or unreadable:
        raise SystemExit(1)


@rag.command()
@click.argument("question")
@click.option(
    "--mode",
    type=click.Choice(get_args(Mode)),
    default="mix",
    show_default=True,
    help="How LightRAG looks for what to answer from.",
)
@engine_options
def ask(*, question: str, mode: Mode, working_dir: Path, **said: Any) -> None:
    """Answer a question from the index; the answer comes as it is made, then its sources."""
    if not working_dir.is_dir():
        raise click.ClickException(
            f"there is no index in {str(working_dir)!r}: ragcore rag index PATH makes one, "
            "--working-dir names another"
        )
    asyncio.run(_ask(working_dir, _handed(working_dir, **said), question, mode))


# --- what LightRAG is handed ----------------------------------------------------------------


def _handed(
    working_dir: Path,
    *,
    model: str | None,
    embedding: str | None,
    env_file: Path | None,
    trust_env_file: bool,
) -> dict[str, Any]:
    """Return LightRAG's arguments for the models that flags and variables name."""
    if importlib.util.find_spec("lightrag") is None:
        raise click.ClickException("LightRAG is not installed: pip install lightrag-hku")
    found = environment(env_file, is_trusted=trust_env_file)
    _tell_the_engine(found)
    from ragcore.lightrag import from_env

    variables = found.variables()
    said = named("LLM", model, variables) | named("EMBEDDING", embedding, variables)
    return from_env(variables | said, check=found.problems, working_dir=working_dir)


def _tell_the_engine(found: Environment) -> None:
    """
    Have LightRAG read the settings of its own that a file has, and nothing else of it.

    LightRAG would put all of a ``.env`` into the process's environment, where SDKs look for
    addresses, which a file of somebody else's is not to say.
    """
    os.environ["PYTHON_DOTENV_DISABLED"] = "1"
    allowed = found.file.values if found.is_trusted else _engines_settings()
    for name, text in found.file.values.items():
        if name in allowed:
            os.environ.setdefault(name, text)


def _engines_settings() -> set[str]:
    """Return the variables that LightRAG itself reads, without those that say where or who."""
    spec = importlib.util.find_spec("lightrag")
    assert spec is not None  # noqa: S101  # it is installed
    folders = map(Path, spec.submodule_search_locations or ())
    sources = (file.read_text("utf-8") for folder in folders for file in folder.glob("*.py"))
    names = {name for source in sources for name in _READ.findall(source)}
    return {name for name in names if not _WHERE_OR_WHO & set(name.split("_"))}


@asynccontextmanager
async def _engine(working_dir: Path, handed: Mapping[str, Any]) -> AsyncIterator[Any]:
    # What goes wrong is told by the command; LightRAG's lines would be between those of the bar.
    logging.disable(logging.INFO)
    logging.getLogger("lightrag").setLevel(logging.CRITICAL)
    from lightrag import LightRAG

    engine = LightRAG(working_dir=str(working_dir), **handed)
    await engine.initialize_storages()
    try:
        yield engine
    finally:
        await engine.finalize_storages()


# --- index ----------------------------------------------------------------------------------


async def _index(working_dir: Path, handed: Mapping[str, Any], documents: list[Document]) -> _Tally:
    """Index *documents*, and say what became of them."""
    names = {document.name for document in documents}
    # What can't embed here is told once, and not of each document.
    await handed["embedding_func"]([working_dir.name], context="query")
    async with _engine(working_dir, handed) as engine:
        known = _processed(await _outcomes(engine, names))
        track = await engine.apipeline_enqueue_documents(
            [document.text for document in documents],
            file_paths=[document.name for document in documents],
        )
        work = asyncio.create_task(engine.apipeline_process_enqueue_documents())
        await _watched(work, engine, track, len(documents))
        outcomes = await _outcomes(engine, names)
    failed = {
        name: one.error_msg or _status(one)
        for name, one in outcomes.items()
        if _status(one) != "processed"
    }
    tally = _Tally(len(_processed(outcomes) - known), len(known), failed)
    tally.tell(str(working_dir))
    return tally


async def _watched(work: asyncio.Task[None], engine: Any, track: str, count: int) -> None:
    """Show how many of *count* documents are done until *work* is."""
    from rich.console import Console
    from rich.progress import MofNCompleteColumn, Progress

    columns = (*Progress.get_default_columns(), MofNCompleteColumn())
    with Progress(*columns, console=Console(stderr=True), disable=not is_terminal()) as progress:
        task = progress.add_task("Indexing", total=count)
        while not work.done():
            await asyncio.wait([work], timeout=_LOOK_EVERY)
            outcomes = await engine.aget_docs_by_track_id(track)
            done = sum(_status(one) in ("processed", "failed") for one in outcomes.values())
            progress.update(task, completed=done)
    await work


async def _outcomes(engine: Any, names: Container[str]) -> dict[str, Any]:
    """Return what has become of the documents of these *names*, by name."""
    from lightrag.base import DocStatus

    found = await engine.doc_status.get_docs_by_statuses(list(DocStatus))
    return {
        one.file_path: one
        for one in found.values()
        if one.file_path in names and not (one.metadata or {}).get("is_duplicate")
    }


def _processed(outcomes: Mapping[str, Any]) -> set[str]:
    return {name for name, one in outcomes.items() if _status(one) == "processed"}


def _status(outcome: Any) -> str:
    return str(getattr(outcome.status, "value", outcome.status))


@attrs.frozen
class _Tally:
    """
    What became of documents.

    Attributes:
        indexed: How many are in the index now.
        known: How many were there already.
        failed: Why the others are not, by name.
    """

    indexed: int
    known: int
    failed: Mapping[str, str]

    def tell(self, folder: str) -> None:
        for name, reason in self.failed.items():
            click.echo(printable(f"{name}: {reason}"), err=True)
        documents = "1 document" if self.indexed == 1 else f"{self.indexed} documents"
        known = f", {self.known} were there already" if self.known else ""
        failed = f", {len(self.failed)} failed" if self.failed else ""
        click.echo(f"Indexed {documents} in {folder}{known}{failed}.")


# --- ask ------------------------------------------------------------------------------------


async def _ask(working_dir: Path, handed: Mapping[str, Any], question: str, mode: Mode) -> None:
    from lightrag import QueryParam

    async with _engine(working_dir, handed) as engine:
        found = await engine.aquery_llm(question, QueryParam(mode=mode, stream=True))
        answer = found["llm_response"]
        if answer["response_iterator"] is not None:
            async for piece in answer["response_iterator"]:
                click.echo(piece, nl=False)
            click.echo()
        elif answer["content"] is not None and found["status"] == "success":
            click.echo(answer["content"])
        else:
            raise click.ClickException(answer["content"] or found["message"])
    references = (found.get("data") or {}).get("references") or []
    names = dict.fromkeys(reference["file_path"] for reference in references)
    if names:
        click.echo("\nSources")
    for name in names:
        click.echo(f"- {printable(name)}")
