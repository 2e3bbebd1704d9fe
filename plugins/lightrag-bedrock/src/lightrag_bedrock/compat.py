"""
The functions of ``lightrag.llm.bedrock``, under their names.

A program changes its import line; answers, options and errors are ragcore's. The account that no
argument names is found as boto3 finds it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ragcore.lightrag import DropIn, declares

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

_BEDROCK = DropIn(
    "bedrock",
    {
        "aws_access_key_id": "access_key_id",
        "aws_region": "region",
        "aws_secret_access_key": "secret_access_key",
        "aws_session_token": "session_token",
        "max_completion_tokens": "max_tokens",
    },
    left_out=frozenset(
        {
            "frequency_penalty",
            "logprobs",
            "n",
            "presence_penalty",
            "seed",
            "tool_choice",
            "tools",
            "top_logprobs",
        }
    ),
)

bedrock_complete = _BEDROCK.completes("bedrock_complete", cot_last=True)


async def bedrock_complete_if_cache(  # noqa: PLR0917  # LightRAG's signature
    model: str,
    prompt: str,
    system_prompt: str | None = None,
    history_messages: Sequence[Mapping[str, Any]] | None = None,
    enable_cot: bool = False,
    aws_access_key_id: str | None = None,
    aws_secret_access_key: str | None = None,
    aws_session_token: str | None = None,
    aws_region: str | None = None,
    api_key: str | None = None,
    endpoint_url: str | None = None,
    image_inputs: Sequence[Any] | None = None,
    timeout: float | None = None,  # noqa: ASYNC109  # LightRAG's signature
    **kwargs: Any,
) -> Any:
    """
    Complete *prompt* with a model of Amazon Bedrock.

    *api_key* is one of Amazon Bedrock's own, for where no AWS keys are given; LightRAG's function
    ignores it.

    Returns:
        As :func:`ragcore.lightrag.llm_model_func`'s function.
    """
    return await _BEDROCK.complete(
        model,
        prompt,
        system_prompt=system_prompt,
        history_messages=history_messages,
        enable_cot=enable_cot,
        aws_access_key_id=aws_access_key_id,
        aws_secret_access_key=aws_secret_access_key,
        aws_session_token=aws_session_token,
        aws_region=aws_region,
        bearer_token=_bearer(api_key, aws_access_key_id),
        endpoint_url=_address(endpoint_url),
        image_inputs=image_inputs,
        timeout=timeout,
        **kwargs,
    )


@declares(
    embedding_dim=1024,
    max_token_size=8192,
    model_name="amazon.titan-embed-text-v2:0",
    send_dimensions=True,
    supports_asymmetric=True,
)
async def bedrock_embed(  # noqa: PLR0917  # LightRAG's signature
    texts: Sequence[str],
    model: str = "amazon.titan-embed-text-v2:0",
    aws_access_key_id: str | None = None,
    aws_secret_access_key: str | None = None,
    aws_session_token: str | None = None,
    aws_region: str | None = None,
    api_key: str | None = None,
    endpoint_url: str | None = None,
    context: str = "document",
    embedding_dim: int | None = None,
    max_token_size: int | None = None,
    **kwargs: Any,
) -> npt.NDArray[np.float32]:
    """
    Embed *texts* with a model of Amazon Bedrock.

    *api_key* is as in :func:`bedrock_complete_if_cache`. *context* is for Cohere's models, which
    tell queries from documents; LightRAG's function embeds both as documents.

    Returns:
        float32, shape ``(len(texts), dimensions)``; row *i* is ``texts[i]``.
    """
    return await _BEDROCK.embed(
        model,
        texts,
        context=context,
        embedding_dim=embedding_dim,
        max_token_size=max_token_size,
        aws_access_key_id=aws_access_key_id,
        aws_secret_access_key=aws_secret_access_key,
        aws_session_token=aws_session_token,
        aws_region=aws_region,
        bearer_token=_bearer(api_key, aws_access_key_id),
        endpoint_url=_address(endpoint_url),
        **kwargs,
    )


def _bearer(api_key: str | None, aws_access_key_id: str | None) -> str | None:
    """Return the API key; AWS keys go before it."""
    return None if aws_access_key_id else api_key


def _address(endpoint_url: str | None) -> str | None:
    """Return where the service is; LightRAG has a word for the region's own address."""
    return None if endpoint_url == "DEFAULT_BEDROCK_ENDPOINT" else endpoint_url
