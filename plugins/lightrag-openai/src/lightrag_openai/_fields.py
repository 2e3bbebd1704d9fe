"""Fields that the answers of all APIs have, whatever stands in them."""

from __future__ import annotations

from typing import Any

from ragcore import Usage
from ragcore.wire import count

JSON = dict[str, Any]


def text_in(said: JSON, name: str) -> str:
    """Return the text of that *name*; empty if there is none."""
    text = said.get(name)
    return text if isinstance(text, str) else ""


def dicts_in(said: JSON, name: str) -> list[JSON]:
    """Return the objects in the list of that *name*; none if there is none."""
    found = said.get(name)
    return [one for one in found if isinstance(one, dict)] if isinstance(found, list) else []


def usage_in(answer: JSON, of_input: str, of_output: str) -> Usage | None:
    """Return the tokens that *answer* counts under these names; None if it counts none."""
    usage = answer.get("usage")
    put_in, put_out = count(usage, of_input), count(usage, of_output)
    if put_in is None and put_out is None:
        return None
    cached = count(usage, f"{of_input}_details", "cached_tokens")
    return Usage(
        put_in or 0,
        put_out or 0,
        # DeepSeek counts cached tokens at the top.
        cached_input_tokens=cached or count(usage, "prompt_cache_hit_tokens") or 0,
        reasoning_tokens=count(usage, f"{of_output}_details", "reasoning_tokens") or 0,
    )
