"""
Ask LightRAG about a document, with models of Amazon Bedrock.

::

    export AWS_REGION=us-east-1 AWS_ACCESS_KEY_ID=… AWS_SECRET_ACCESS_KEY=…
    python examples/lightrag_bedrock_demo.py

Profiles, roles and AWS_BEARER_TOKEN_BEDROCK do as well: the account is found as boto3 finds it.
Another model, an inference profile or an ARN: LLM_MODEL.
"""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

from lightrag import LightRAG, QueryParam

from lightrag_bedrock import bedrock_complete, bedrock_embed
from ragcore.lightrag import tokenizer

DOCUMENT = Path(__file__).with_name("eddystone.md")
QUESTION = "How did John Smeaton make his tower withstand the sea?"
MODEL = os.getenv("LLM_MODEL", "global.anthropic.claude-haiku-4-5-20251001-v1:0")


async def main() -> None:
    """Insert the document, and answer the question in each mode."""
    rag = LightRAG(
        working_dir="eddystone-bedrock",
        llm_model_func=bedrock_complete,
        llm_model_name=MODEL,
        embedding_func=bedrock_embed,
        tokenizer=tokenizer(f"bedrock:{MODEL}"),  # LightRAG's own one needs a download
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
