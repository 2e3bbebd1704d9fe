"""
The functions of ``lightrag.llm.ollama``, under their names.

A program changes its import line; answers, options and errors are ragcore's. The host and the key
that no argument says come from Ollama's own variables.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from lightrag_ollama._host import CLOUD, is_cloud_model
from ragcore.lightrag import DropIn, configured_model, declares

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

_OLLAMA = DropIn("ollama", boxes=("options",))


async def ollama_model_if_cache(  # noqa: PLR0917  # LightRAG's signature
    model: str,
    prompt: str,
    system_prompt: str | None = None,
    history_messages: Sequence[Mapping[str, Any]] | None = None,
    enable_cot: bool = False,
    image_inputs: Sequence[Any] | None = None,
    token_tracker: Any = None,
    *,
    host: str | None = None,
    format: Any = None,  # noqa: A002  # Ollama's word
    response_format: Any = None,
    **kwargs: Any,
) -> Any:
    """
    Complete *prompt* with a model of Ollama.

    Returns:
        As :func:`ragcore.lightrag.llm_model_func`'s function.
    """
    return await _OLLAMA.complete(
        model,
        prompt,
        system_prompt=system_prompt,
        history_messages=history_messages,
        enable_cot=enable_cot,
        image_inputs=image_inputs,
        token_tracker=token_tracker,
        host=_host(host, model),
        response_format=_wanted(format) or response_format,
        **kwargs,
    )


# LightRAG's own name for it looks private, and is not.
_ollama_model_if_cache = ollama_model_if_cache


async def ollama_model_complete(  # noqa: PLR0917  # LightRAG's signature
    prompt: str,
    system_prompt: str | None = None,
    history_messages: Sequence[Mapping[str, Any]] | None = None,
    enable_cot: bool = False,
    keyword_extraction: bool = False,
    entity_extraction: bool = False,
    token_tracker: Any = None,
    **kwargs: Any,
) -> Any:
    """
    Complete *prompt* with LightRAG's model.

    Returns:
        As :func:`ragcore.lightrag.llm_model_func`'s function.
    """
    return await ollama_model_if_cache(
        configured_model(kwargs.get("hashing_kv")),
        prompt,
        system_prompt,
        history_messages,
        enable_cot,
        token_tracker=token_tracker,
        keyword_extraction=keyword_extraction,
        entity_extraction=entity_extraction,
        **kwargs,
    )


# The declared length is not asked for: it is that of one model, and others may be shorter.
@declares(
    embedding_dim=1024,
    max_token_size=8192,
    model_name="bge-m3:latest",
    supports_asymmetric=True,
)
async def ollama_embed(  # noqa: PLR0917  # LightRAG's signature
    texts: Sequence[str],
    embed_model: str = "bge-m3:latest",
    max_token_size: int | None = None,
    context: str = "document",
    query_prefix: str | None = None,
    document_prefix: str | None = None,
    embedding_dim: int | None = None,
    token_tracker: Any = None,
    *,
    host: str | None = None,
    **kwargs: Any,
) -> npt.NDArray[np.float32]:
    """
    Embed *texts* with a model of Ollama.

    Returns:
        float32, shape ``(len(texts), dimensions)``; row *i* is ``texts[i]``.
    """
    return await _OLLAMA.embed(
        embed_model,
        texts,
        max_token_size=max_token_size,
        context=context,
        query_prefix=query_prefix,
        document_prefix=document_prefix,
        embedding_dim=embedding_dim,
        token_tracker=token_tracker,
        host=_host(host, embed_model),
        **kwargs,
    )


def ensure_think_supported(options: Any, *, context: str = "") -> None:
    """Do nothing: each release of the SDK that this plugin can be installed with takes *think*."""


def _wanted(format: Any) -> Any:  # noqa: A002  # Ollama's word
    """Return what LightRAG calls response_format."""
    return {"type": "json_object"} if format == "json" else format


def _host(host: str | None, model: str) -> str | None:
    """Return where a model is asked: one of the cloud there, whatever OLLAMA_HOST says."""
    return host or (CLOUD if is_cloud_model(model) else None)
