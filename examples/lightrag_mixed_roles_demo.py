"""
Ask LightRAG about a document: OpenAI extracts, Claude answers, Ollama embeds.

::

    export OPENAI_API_KEY=… ANTHROPIC_API_KEY=…
    ollama pull bge-m3
    python examples/lightrag_mixed_roles_demo.py

Any installed provider can have any role. Without a program's help, LightRAG's variables say the
same to ``ragcore.lightrag.from_env``: LLM_BINDING, EXTRACT_LLM_BINDING, EMBEDDING_BINDING, ….
"""

from __future__ import annotations

import asyncio
from pathlib import Path

from lightrag import LightRAG, QueryParam

from ragcore.lightrag import embedding_func, llm_model_func, role_llm_configs, tokenizer

DOCUMENT = Path(__file__).with_name("eddystone.md")
QUESTION = "How did John Smeaton make his tower withstand the sea?"
ANSWERS = "anthropic:claude-haiku-5-5"
EXTRACTS = "openai:gpt-4o-mini"
EMBEDS = "ollama:bge-m3"


async def main() -> None:
    """Insert the document, and answer the question in each mode."""
    rag = LightRAG(
        working_dir="eddystone-mixed-roles",
        llm_model_func=llm_model_func(ANSWERS),
        llm_model_name=ANSWERS,
        # The same text gives the same graph.
        role_llm_configs=role_llm_configs(
            extract=(EXTRACTS, {"temperature": 0}),
            keyword=(EXTRACTS, {"temperature": 0}),
        ),
        embedding_func=embedding_func(EMBEDS, dimensions=1024),
        tokenizer=tokenizer(EMBEDS),  # LightRAG's own one needs a download
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
