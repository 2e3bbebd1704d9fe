"""When a limit of a service is reset, by the headers that tell of limits."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from itertools import product

# Header names of OpenAI and its like, and of Anthropic.
_REMAINING = re.compile(r"(?:x-ratelimit-remaining-(.+)|anthropic-ratelimit-(.+)-remaining)")
_RESETS = ("x-ratelimit-reset-{}", "anthropic-ratelimit-{}-reset")

_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_PART = re.compile(r"([0-9]{1,9}(?:\.[0-9]{1,9})?)(ms|[smhd])")


def reset_after(headers: Mapping[str, str]) -> float | None:
    """
    Return in how many seconds the last of the limits that are used up is reset; None if none is.

    Args:
        headers: With names in lower case.

    Source:
        https://platform.openai.com/docs/guides/rate-limits and
        https://platform.claude.com/docs/en/api/rate-limits, read 2026-11-25.
    """
    return max(_resets(headers), default=None)


def _resets(headers: Mapping[str, str]) -> Iterator[float]:
    found = [(_REMAINING.fullmatch(name), value) for name, value in headers.items()]
    used_up = [match.group(1) or match.group(2) for match, left in found if match and left == "0"]
    for name, header in product(used_up, _RESETS):
        seconds = _seconds(headers.get(header.format(name), ""))
        if seconds is not None:
            yield seconds


def _seconds(text: str) -> float | None:
    """Read ``6m0s``, ``20ms``, or a time as Anthropic writes it."""
    if re.fullmatch(f"(?:{_PART.pattern})+", text):
        return sum(float(number) * _SECONDS[unit] for number, unit in _PART.findall(text))
    try:
        then = datetime.fromisoformat(text)
    except ValueError:
        return None
    now = datetime.now(UTC)
    return max(0.0, (then - now).total_seconds()) if then.tzinfo else None
