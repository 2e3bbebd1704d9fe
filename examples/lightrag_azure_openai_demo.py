"""
Ask LightRAG about a document, with deployments of Azure OpenAI.

::

    export AZURE_OPENAI_ENDPOINT=https://YOUR-RESOURCE.openai.azure.com AZURE_OPENAI_API_KEY=…
    export AZURE_OPENAI_DEPLOYMENT=YOUR-DEPLOYMENT-OF-gpt-4o-mini
    export AZURE_EMBEDDING_ENDPOINT=$AZURE_OPENAI_ENDPOINT
    export AZURE_EMBEDDING_API_KEY=$AZURE_OPENAI_API_KEY
    export AZURE_EMBEDDING_DEPLOYMENT=YOUR-DEPLOYMENT-OF-text-embedding-3-small
    python examples/lightrag_azure_openai_demo.py

Another version of the API: AZURE_OPENAI_API_VERSION and AZURE_EMBEDDING_API_VERSION.
"""

from __future__ import annotations

import asyncio
from pathlib import Path

from lightrag import LightRAG, QueryParam

from lightrag_openai import azure_openai_complete, azure_openai_embed
from ragcore.lightrag import tokenizer

DOCUMENT = Path(__file__).with_name("eddystone.md")
QUESTION = "How did John Smeaton make his tower withstand the sea?"


async def main() -> None:
    """Insert the document, and answer the question in each mode."""
    rag = LightRAG(
        working_dir="eddystone-azure",
        llm_model_func=azure_openai_complete,
        embedding_func=azure_openai_embed,
        tokenizer=tokenizer("azure:gpt-4o-mini"),  # LightRAG's own one needs a download
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
