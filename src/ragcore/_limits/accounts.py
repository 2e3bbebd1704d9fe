"""The budgets that options ask for: one an account, in a process."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import Any

from ragcore._limits.limits import Limits

# A program may ask in the name of a thousand accounts: the oldest are forgotten.
_MOST = 256

_known: list[tuple[object, Limits]] = []
_lock = threading.Lock()


def limits_of_account(account: object, numbers: Mapping[str, Any]) -> Limits:
    """
    Return the budget of an *account* with such *numbers*; one for all who ask alike.

    Args:
        account: Compared by value.
        numbers: As :class:`Limits` takes them.
    """
    # Compared, not hashed: options may hold dicts.
    key = (account, numbers)
    with _lock:
        for known, limits in _known:
            if known == key:
                return limits
        limits = Limits(**numbers)
        _known.append((key, limits))
        del _known[:-_MOST]
        return limits
