"""
The functions of ``lightrag.llm.hf``, under their names.

A program changes its import line; answers, options and errors are ragcore's. Device, number type
and the like, which no argument says, come from this plugin's variables.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from lightrag_hf.options import HFLLMOptions, HFOptions
from ragcore import OptionsError
from ragcore.lightrag import DropIn, declares
from ragcore.options import read

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

_HF = DropIn("hf")

hf_model_complete = _HF.completes("hf_model_complete", cot_last=True)


async def hf_model_if_cache(
    model: str,
    prompt: str,
    system_prompt: str | None = None,
    history_messages: Sequence[Mapping[str, Any]] | None = None,
    enable_cot: bool = False,
    **kwargs: Any,
) -> Any:
    """
    Complete *prompt* with a model on this machine.

    Returns:
        As :func:`ragcore.lightrag.llm_model_func`'s function.
    """
    return await _HF.complete(
        model,
        prompt,
        system_prompt=system_prompt,
        history_messages=history_messages,
        enable_cot=enable_cot,
        **kwargs,
    )


def initialize_hf_model(model_name: str) -> tuple[Any, Any]:
    """
    Return a model that completes, and its tokenizer; blocks while they are loaded.

    It is the copy that :func:`hf_model_complete` asks. It stays loaded for as long as any model of
    this plugin does: HF_LLM_KEEP_ALIVE seconds after it was last used.

    Raises:
        ProviderError: The model's files are out of reach.
        OptionsError: An option of the environment does not suit this machine.
        UnsupportedError: It is no model that completes.
    """
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(lambda: asyncio.run(_loaded(model_name))).result()


async def _loaded(model_name: str) -> tuple[Any, Any]:
    from lightrag_hf._models import lent_engine

    hub, options = read([HFOptions, HFLLMOptions], {})
    async with lent_engine(hub, model_name, options) as engine:
        model, tokenizer = engine.model, engine.tokenizer
        if tokenizer.pad_token is None:
            tokenizer.pad_token = tokenizer.eos_token
        return model, tokenizer


@declares(
    embedding_dim=1024,
    max_token_size=8192,
    model_name="hf_embedding_model",
    supports_asymmetric=True,
)
async def hf_embed(  # noqa: PLR0917  # LightRAG's signature
    texts: Sequence[str],
    tokenizer: Any,
    embed_model: Any,
    context: str = "document",
    query_prefix: str | None = None,
    document_prefix: str | None = None,
    max_token_size: int | None = None,
) -> npt.NDArray[np.float32]:
    """
    Embed *texts* with a model and a tokenizer that the caller has loaded.

    Returns:
        Mean over tokens, not normalised: float32, shape ``(len(texts), width)``; row *i* is
        ``texts[i]``.

    Raises:
        ProviderError: The model failed, or a text does not fit into memory.
        UnsupportedError: The model returns no hidden states.
    """
    from lightrag_hf._foreign import vectors_of

    if isinstance(texts, str):
        raise OptionsError(f"texts: {texts!r:.80} is a str; pass a list of str")
    prefix = {"query": query_prefix, "document": document_prefix}.get(context) or ""
    return await vectors_of(
        [prefix + text for text in texts], tokenizer, embed_model, max_token_size
    )
