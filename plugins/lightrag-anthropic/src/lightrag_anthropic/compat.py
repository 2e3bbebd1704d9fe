"""
The functions of ``lightrag.llm.anthropic``, under their names.

A program changes its import line; answers, options and errors are ragcore's. The address and the
key that no argument says come from Anthropic's own variables.
"""

from __future__ import annotations

import asyncio
import typing
from collections.abc import Callable, Coroutine, Mapping, Sequence
from typing import Any, NoReturn

from ragcore import NotFoundError, UnsupportedError
from ragcore.lightrag import DropIn

_ANTHROPIC = DropIn("anthropic")

anthropic_complete = _ANTHROPIC.completes("anthropic_complete")


async def anthropic_complete_if_cache(  # noqa: PLR0917  # LightRAG's signature
    model: str,
    prompt: str,
    system_prompt: str | None = None,
    history_messages: Sequence[Mapping[str, Any]] | None = None,
    enable_cot: bool = False,
    base_url: str | None = None,
    api_key: str | None = None,
    image_inputs: Sequence[Any] | None = None,
    **kwargs: Any,
) -> Any:
    """
    Complete *prompt* with a model of Anthropic, or of a server at *base_url* that speaks its API.

    Returns:
        As :func:`ragcore.lightrag.llm_model_func`'s function.
    """
    return await _ANTHROPIC.complete(
        model,
        prompt,
        system_prompt=system_prompt,
        history_messages=history_messages,
        enable_cot=enable_cot,
        base_url=base_url,
        api_key=api_key,
        image_inputs=image_inputs,
        **kwargs,
    )


def _retired(name: str, model: str, family: str) -> Callable[..., Coroutine[Any, Any, NoReturn]]:
    """
    Make the function of a model that the service has no more.

    It raises what the service itself would answer, so a program that handles a missing model goes
    on handling it, and says what there is instead.
    """

    async def refuse(
        prompt: str,
        system_prompt: str | None = None,
        history_messages: Sequence[Mapping[str, Any]] | None = None,
        enable_cot: bool = False,
        **kwargs: Any,
    ) -> NoReturn:
        todays = " or ".join(await asyncio.to_thread(_newest, family))
        raise NotFoundError(
            f"{name}: {model} is retired; name a model of today, such as {todays}, by "
            "anthropic_complete_if_cache(MODEL, …), or by anthropic_complete and "
            "LightRAG(llm_model_name=MODEL)",
            provider="anthropic",
            model=model,
        )

    refuse.__name__ = refuse.__qualname__ = name
    return refuse


claude_3_opus_complete = _retired("claude_3_opus_complete", "claude-3-opus-20240229", "opus")
claude_3_sonnet_complete = _retired(
    "claude_3_sonnet_complete", "claude-3-sonnet-20240229", "sonnet"
)
claude_3_haiku_complete = _retired("claude_3_haiku_complete", "claude-3-haiku-20240307", "haiku")


def _newest(family: str) -> list[str]:
    """Return the two newest models of a family that the SDK knows; blocks while it is imported."""
    from anthropic.types import Model

    # The SDK lists the newest first; the last of them are those about to retire.
    named, _ = typing.get_args(Model)
    return [model for model in typing.get_args(named) if f"-{family}-" in model][:2]


def anthropic_embed(*args: Any, **kwargs: Any) -> NoReturn:
    """Refuse: Anthropic has no embeddings, and LightRAG's function of that name asks Voyage AI."""
    raise UnsupportedError(
        "anthropic_embed: Anthropic has no embeddings; LightRAG's own "
        "lightrag.llm.voyageai.voyageai_embed asks Voyage AI, as this function did; "
        "ragcore.lightrag.embedding_func() takes any provider that embeds"
    )
