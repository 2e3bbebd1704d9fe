"""
Ask LightRAG about a document, with OpenAI or any service that speaks as OpenAI does.

::

    export OPENAI_API_KEY=…
    python examples/lightrag_openai_compatible_demo.py

DeepSeek answers, with its own key, and OpenAI embeds: DeepSeek has no embeddings::

    export LLM_BINDING_HOST=https://api.deepseek.com LLM_MODEL=deepseek-chat
    export LLM_BINDING_API_KEY=…

Upstage answers and embeds::

    export LLM_BINDING_HOST=https://api.upstage.ai/v1/solar LLM_MODEL=solar-mini
    export EMBEDDING_BINDING_HOST=$LLM_BINDING_HOST
    export EMBEDDING_MODEL=solar-embedding-1-large-query EMBEDDING_DIM=4096
    export LLM_BINDING_API_KEY=… EMBEDDING_BINDING_API_KEY=…
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from lightrag import LightRAG, QueryParam
from lightrag.utils import EmbeddingFunc

from lightrag_openai import openai_complete_if_cache, openai_embed
from ragcore.lightrag import tokenizer

DOCUMENT = Path(__file__).with_name("eddystone.md")
QUESTION = "How did John Smeaton make his tower withstand the sea?"
MODEL = os.getenv("LLM_MODEL", "gpt-4o-mini")


async def llm_model_func(
    prompt: str,
    system_prompt: str | None = None,
    history_messages: Sequence[Mapping[str, Any]] = (),
    **kwargs: Any,
) -> Any:
    """Complete *prompt*."""
    return await openai_complete_if_cache(
        MODEL,
        prompt,
        system_prompt=system_prompt,
        history_messages=history_messages,
        base_url=os.getenv("LLM_BINDING_HOST"),
        api_key=os.getenv("LLM_BINDING_API_KEY"),
        **kwargs,
    )


async def main() -> None:
    """Insert the document, and answer the question in each mode."""
    rag = LightRAG(
        working_dir="eddystone-openai",
        llm_model_func=llm_model_func,
        llm_model_name=MODEL,
        embedding_func=EmbeddingFunc(
            embedding_dim=int(os.getenv("EMBEDDING_DIM", "1536")),
            max_token_size=8192,
            func=lambda texts: openai_embed.func(
                texts,
                model=os.getenv("EMBEDDING_MODEL", "text-embedding-3-small"),
                base_url=os.getenv("EMBEDDING_BINDING_HOST"),
                api_key=os.getenv("EMBEDDING_BINDING_API_KEY"),
            ),
        ),
        tokenizer=tokenizer(f"openai:{MODEL}"),  # LightRAG's own one needs a download
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
