"""What a model can do, as far as its name says."""

from __future__ import annotations

import re

from ragcore import Capabilities

# Structured outputs began with Sonnet 4.5 and Opus 4.1, thinking with Sonnet 3.7:
# https://platform.claude.com/docs/en/build-with-claude/structured-outputs
_NO_SCHEMA = re.compile(r"claude-(1|2|instant|3|(sonnet|opus|4-sonnet|4-opus)-(4-0$|4-2025|2025))")
_NO_THINKING = re.compile(r"claude-(1|2|instant|3-(haiku|sonnet|opus|5))")
_NO_IMAGES = re.compile(r"claude-(1|2|instant)")


def capabilities(model_name: str) -> Capabilities:
    """
    Return what *model_name* can do; of a name from elsewhere, what today's models can.

    There is no ``json_object``: the API has JSON by schema only.
    """
    return Capabilities(
        json_schema=not _NO_SCHEMA.match(model_name),
        images=not _NO_IMAGES.match(model_name),
        reasoning=not _NO_THINKING.match(model_name),
    )
