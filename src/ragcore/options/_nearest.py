"""What somebody probably meant who wrote a name that nobody has."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

_LIKE = 0.6


def nearest(name: str, known: Iterable[str], likeness: float = _LIKE) -> str | None:
    """Return which of *known* is most like *name*; None if none is, by *likeness* of 0 to 1."""
    return next(iter(difflib.get_close_matches(name, sorted(known), n=1, cutoff=likeness)), None)
