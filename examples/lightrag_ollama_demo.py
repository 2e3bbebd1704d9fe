"""
Ask LightRAG about a document, with models of Ollama.

::

    ollama pull qwen3:8b && ollama pull bge-m3
    python examples/lightrag_ollama_demo.py

Another server: OLLAMA_HOST. Another model: LLM_MODEL; one of the cloud, such as gpt-oss:120b-cloud,
needs OLLAMA_API_KEY, and is asked there while the vectors stay on the server.
"""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

from lightrag import LightRAG, QueryParam

from lightrag_ollama import ollama_embed, ollama_model_complete
from ragcore.lightrag import tokenizer

DOCUMENT = Path(__file__).with_name("eddystone.md")
QUESTION = "How did John Smeaton make his tower withstand the sea?"
MODEL = os.getenv("LLM_MODEL", "qwen3:8b")


async def main() -> None:
    """Insert the document, and answer the question in each mode."""
    rag = LightRAG(
        working_dir="eddystone-ollama",
        llm_model_func=ollama_model_complete,
        llm_model_name=MODEL,
        # Ollama's own default cuts LightRAG's prompts.
        llm_model_kwargs={"options": {"num_ctx": 32768}},
        embedding_func=ollama_embed,
        tokenizer=tokenizer(f"ollama:{MODEL}"),  # LightRAG's own one needs a download
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
