"""Which family an embedding model belongs to, and what that family can do."""

from __future__ import annotations

import re

from lightrag_bedrock.options import Family
from ragcore import Capabilities

# Profiles put a region before the name ("us.", "global."), ARNs much more: so the name is searched
# for, not split. "g1-text-02" is how Titan v1 was first called.
_NAMES: tuple[tuple[str, Family], ...] = (
    (r"titan-embed-image", "titan-image"),
    (r"titan-embed-text-v2", "titan-v2"),
    (r"titan-embed-(text-v1|g1-text)", "titan-v1"),
    (r"cohere\.embed-v4", "cohere-v4"),
    (r"cohere\.embed-(english|multilingual)", "cohere-v3"),
)

CAPABILITIES: dict[Family, Capabilities] = {
    "titan-v1": Capabilities(max_batch=1, context_window=8192),
    "titan-v2": Capabilities(max_batch=1, context_window=8192, dimensions=True),
    "titan-image": Capabilities(max_batch=1, context_window=256, dimensions=True),
    "cohere-v3": Capabilities(max_batch=96, context_window=512, input_type=True),
    "cohere-v4": Capabilities(
        max_batch=96, context_window=128_000, input_type=True, dimensions=True
    ),
}

# An ARN may hide any of them: one text a request suits all.
_UNKNOWN = Capabilities(max_batch=1, dimensions=True, input_type=True)

_DIMENSIONS: dict[Family, int | None] = {
    "titan-v1": 1536,
    "titan-v2": 1024,
    "titan-image": 1024,
    "cohere-v3": 1024,
    "cohere-v4": 1536,
}


def family_of(model_name: str) -> Family | None:
    """Return the family of *model_name*: an identifier, a profile or an ARN; None if unknown."""
    return next((family for name, family in _NAMES if re.search(name, model_name.lower())), None)


def capabilities_of(model_name: str) -> Capabilities:
    """Return what the embedding model of that name can do."""
    family = family_of(model_name)
    return _UNKNOWN if family is None else CAPABILITIES[family]


def describe(model_name: str, options: object) -> tuple[int | None, int | None]:
    """Return the length of the model's vectors and the most tokens of a text; None if unknown."""
    family = getattr(options, "family", None) or family_of(model_name)
    if family is None:
        return None, None
    return _DIMENSIONS[family], CAPABILITIES[family].context_window
