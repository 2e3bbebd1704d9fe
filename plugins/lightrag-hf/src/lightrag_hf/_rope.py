"""
Rotary positions whose frequencies depend on how long a forward pass is.

LongRoPE has one set of frequencies up to a border and another beyond; dynamic NTK has others for
each length beyond, and transformers keeps those of the longest pass for shorter ones that follow.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from lightrag_hf._limits import Config, kind_of, own_limit, ropes_of, text_part
from lightrag_hf._weights import touch

# What transformers calls the kind, and the longest pass with the frequencies of short ones.
ChangingRope = tuple[str, int]


def changing_ropes(config: Config) -> tuple[ChangingRope, ...]:
    """Return those ropes of the model with this configuration; none for most models."""
    return tuple(_changing_ropes(text_part(config)))


def rope_of_pass(ropes: tuple[ChangingRope, ...], length: int) -> tuple[int, ...]:
    """Return what the frequencies of a pass of *length* tokens depend on."""
    return tuple(
        max(length, border) if kind == "dynamic" else length > border for kind, border in ropes
    )


def reset_rope(model: Any) -> None:
    """Forget the frequencies of passes before: those of a short pass take their place."""
    touch(model)


def _changing_ropes(config: Config) -> Iterator[ChangingRope]:
    limit = own_limit(config)
    for rope in ropes_of(config):
        original = rope.get("original_max_position_embeddings")
        original = original or config.get("original_max_position_embeddings")
        match kind_of(rope):
            case "longrope" | "su" if original:
                yield "longrope", original
            # Hunyuan's have alpha, which takes the place of the length.
            case "dynamic" if limit and not rope.get("alpha"):
                yield "dynamic", limit
