"""
The functions of ``lightrag.llm.openai`` and ``lightrag.llm.azure_openai``, under their names.

A program changes its import line; answers, options and errors are ragcore's. Keys and addresses
that no argument says come from the variables of the provider that is asked.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ragcore.lightrag import DropIn, configured_model, declares

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import openai

_BOXES = ("client_configs", "openai_client_configs")
_OPENAI = DropIn("openai", boxes=_BOXES)
_NVIDIA = DropIn("nvidia", boxes=_BOXES)
_AZURE = DropIn(
    "azure",
    {
        "azure_ad_token": "ad_token",
        "azure_ad_token_provider": "ad_token_provider",
        "azure_deployment": "deployment",
        "azure_endpoint": "endpoint",
        "base_url": "endpoint",
    },
    _BOXES,
)

openai_complete = _OPENAI.completes("openai_complete", cot_last=True)
gpt_4o_complete = _OPENAI.completes("gpt_4o_complete", "gpt-4o")
gpt_4o_mini_complete = _OPENAI.completes("gpt_4o_mini_complete", "gpt-4o-mini")
nvidia_openai_complete = _NVIDIA.completes(
    "nvidia_openai_complete", "nvidia/llama-3.1-nemotron-70b-instruct"
)


async def openai_complete_if_cache(  # noqa: PLR0917  # LightRAG's signature
    model: str,
    prompt: str,
    system_prompt: str | None = None,
    history_messages: Sequence[Mapping[str, Any]] | None = None,
    enable_cot: bool = False,
    base_url: str | None = None,
    api_key: str | None = None,
    token_tracker: Any = None,
    stream: bool | None = None,
    timeout: float | None = None,  # noqa: ASYNC109  # LightRAG's signature
    keyword_extraction: bool = False,
    use_azure: bool = False,
    azure_deployment: str | None = None,
    api_version: str | None = None,
    image_inputs: Sequence[Any] | None = None,
    **kwargs: Any,
) -> Any:
    """
    Complete *prompt* with a model of OpenAI, of a server at *base_url*, or of Azure OpenAI.

    Returns:
        As :func:`ragcore.lightrag.llm_model_func`'s function.
    """
    of_azure = {"azure_deployment": azure_deployment, "api_version": api_version}
    return await (_AZURE if use_azure else _OPENAI).complete(
        model,
        prompt,
        system_prompt=system_prompt,
        history_messages=history_messages,
        enable_cot=enable_cot,
        base_url=base_url,
        api_key=api_key,
        token_tracker=token_tracker,
        stream=stream,
        timeout=timeout,
        keyword_extraction=keyword_extraction,
        image_inputs=image_inputs,
        **(of_azure if use_azure else {}),
        **kwargs,
    )


async def azure_openai_complete_if_cache(  # noqa: PLR0917  # LightRAG's signature
    model: str | None,
    prompt: str,
    system_prompt: str | None = None,
    history_messages: Sequence[Mapping[str, Any]] | None = None,
    enable_cot: bool = False,
    base_url: str | None = None,
    api_key: str | None = None,
    token_tracker: Any = None,
    stream: bool | None = None,
    timeout: float | None = None,  # noqa: ASYNC109  # LightRAG's signature
    api_version: str | None = None,
    keyword_extraction: bool = False,
    **kwargs: Any,
) -> Any:
    """
    Complete *prompt* with the deployment that AZURE_OPENAI_DEPLOYMENT names, else with *model*.

    Returns:
        As :func:`ragcore.lightrag.llm_model_func`'s function.
    """
    return await openai_complete_if_cache(
        _deployment("AZURE_OPENAI_DEPLOYMENT", model, "LLM_MODEL"),
        prompt,
        system_prompt,
        history_messages,
        enable_cot,
        base_url,
        api_key,
        token_tracker,
        stream,
        timeout,
        keyword_extraction,
        use_azure=True,
        api_version=api_version,
        **kwargs,
    )


async def azure_openai_complete(  # LightRAG's signature
    prompt: str,
    system_prompt: str | None = None,
    history_messages: Sequence[Mapping[str, Any]] | None = None,
    keyword_extraction: bool = False,
    entity_extraction: bool = False,
    **kwargs: Any,
) -> Any:
    """
    Complete *prompt* with the deployment of AZURE_OPENAI_DEPLOYMENT, else LightRAG's model.

    Returns:
        As :func:`ragcore.lightrag.llm_model_func`'s function.
    """
    named = os.environ.get("AZURE_OPENAI_DEPLOYMENT")
    return await azure_openai_complete_if_cache(
        named or configured_model(kwargs.get("hashing_kv")),
        prompt,
        system_prompt,
        history_messages,
        keyword_extraction=keyword_extraction,
        entity_extraction=entity_extraction,
        **kwargs,
    )


@declares(
    embedding_dim=1536,
    max_token_size=8192,
    model_name="text-embedding-3-small",
    send_dimensions=True,
    supports_asymmetric=True,
)
async def openai_embed(  # noqa: PLR0917  # LightRAG's signature
    texts: Sequence[str],
    model: str = "text-embedding-3-small",
    base_url: str | None = None,
    api_key: str | None = None,
    embedding_dim: int | None = None,
    max_token_size: int | None = None,
    client_configs: Mapping[str, Any] | None = None,
    token_tracker: Any = None,
    use_azure: bool = False,
    azure_deployment: str | None = None,
    api_version: str | None = None,
    context: str = "document",
    query_prefix: str | None = None,
    document_prefix: str | None = None,
    **kwargs: Any,
) -> npt.NDArray[np.float32]:
    """
    Embed *texts* with a model of OpenAI, of a server at *base_url*, or of Azure OpenAI.

    Returns:
        float32, shape ``(len(texts), dimensions)``; row *i* is ``texts[i]``.
    """
    of_azure = {"azure_deployment": azure_deployment, "api_version": api_version}
    return await (_AZURE if use_azure else _OPENAI).embed(
        model,
        texts,
        context=context,
        embedding_dim=embedding_dim,
        max_token_size=max_token_size,
        base_url=base_url,
        api_key=api_key,
        client_configs=client_configs,
        token_tracker=token_tracker,
        query_prefix=query_prefix,
        document_prefix=document_prefix,
        **(of_azure if use_azure else {}),
        **kwargs,
    )


@declares(
    embedding_dim=1536,
    max_token_size=8192,
    model_name="my-text-embedding-3-large-deployment",
    send_dimensions=True,
    supports_asymmetric=True,
)
async def azure_openai_embed(  # noqa: PLR0917  # LightRAG's signature
    texts: Sequence[str],
    model: str | None = None,
    base_url: str | None = None,
    api_key: str | None = None,
    embedding_dim: int | None = None,
    token_tracker: Any = None,
    client_configs: Mapping[str, Any] | None = None,
    api_version: str | None = None,
    context: str = "document",
    query_prefix: str | None = None,
    document_prefix: str | None = None,
    max_token_size: int | None = None,
    **kwargs: Any,
) -> npt.NDArray[np.float32]:
    """
    Embed *texts* with the deployment that AZURE_EMBEDDING_DEPLOYMENT names, else with *model*.

    Returns:
        float32, shape ``(len(texts), dimensions)``; row *i* is ``texts[i]``.
    """
    found: npt.NDArray[np.float32] = await openai_embed.func(
        texts,
        _deployment("AZURE_EMBEDDING_DEPLOYMENT", model, "EMBEDDING_MODEL"),
        base_url,
        api_key,
        embedding_dim,
        max_token_size,
        client_configs,
        token_tracker,
        use_azure=True,
        api_version=api_version,
        context=context,
        query_prefix=query_prefix,
        document_prefix=document_prefix,
        **kwargs,
    )
    return found


def _deployment(first: str, model: str | None, last: str) -> str:
    """Return the deployment to ask: of two variables and *model*, in LightRAG's order."""
    # "default" is the reference of the connection's own option, which then says what is missing.
    return os.environ.get(first) or model or os.environ.get(last) or "default"


def create_openai_async_client(  # noqa: PLR0917  # LightRAG's signature
    api_key: str | None = None,
    base_url: str | None = None,
    use_azure: bool = False,
    azure_deployment: str | None = None,
    api_version: str | None = None,
    timeout: float | None = None,
    client_configs: Mapping[str, Any] | None = None,
) -> openai.AsyncOpenAI:
    """
    Make a client of the SDK, which is yours to close; ragcore's own models need none.

    Returns:
        The SDK's client, without retries of its own unless *client_configs* asks for some.
    """
    import openai

    said = {"api_key": api_key, "timeout": timeout}
    if use_azure:
        said |= {
            "azure_endpoint": base_url,
            "azure_deployment": azure_deployment,
            "api_version": api_version,
        }
    else:
        said |= {"base_url": base_url}
    arguments = {
        "max_retries": 0,
        **(client_configs or {}),
        **{name: value for name, value in said.items() if value is not None},
    }
    return (openai.AsyncAzureOpenAI if use_azure else openai.AsyncOpenAI)(**arguments)
