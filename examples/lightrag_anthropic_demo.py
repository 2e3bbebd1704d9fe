"""
Ask LightRAG about a document, with Claude, and with vectors of Ollama: Anthropic makes none.

::

    export ANTHROPIC_API_KEY=…
    ollama pull bge-m3
    python examples/lightrag_anthropic_demo.py

Another model: LLM_MODEL. Another server that speaks Anthropic's API: ANTHROPIC_BASE_URL.
"""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

from lightrag import LightRAG, QueryParam

from lightrag_anthropic import anthropic_complete
from lightrag_ollama import ollama_embed
from ragcore.lightrag import tokenizer

DOCUMENT = Path(__file__).with_name("eddystone.md")
QUESTION = "How did John Smeaton make his tower withstand the sea?"
MODEL = os.getenv("LLM_MODEL", "claude-haiku-5-5")


async def main() -> None:
    """Insert the document, and answer the question in each mode."""
    rag = LightRAG(
        working_dir="eddystone-anthropic",
        llm_model_func=anthropic_complete,
        llm_model_name=MODEL,
        embedding_func=ollama_embed,
        tokenizer=tokenizer("ollama:bge-m3"),  # LightRAG's own one needs a download
    )
    await rag.initialize_storages()
    try:
        await rag.ainsert(DOCUMENT.read_text(encoding="utf-8"), file_paths=DOCUMENT.name)
        for mode in ("naive", "local", "global", "hybrid"):
            answer = await rag.aquery(QUESTION, QueryParam(mode=mode, enable_rerank=False))
            print(f"{mode}: {answer}\n")
    finally:
        await rag.finalize_storages()


if __name__ == "__main__":
    asyncio.run(main())
