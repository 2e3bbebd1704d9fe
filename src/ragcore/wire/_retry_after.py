"""What a service's response says about when to come back."""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import UTC, datetime


def retry_after(headers: Mapping[str, str] | None) -> float | None:
    """
    Return how many seconds a response asks to wait; None if it does not say.

    For authors of plugins: ``RateLimitError(str(exc), retry_after=retry_after(response.headers))``.
    Whatever can't be understood counts as not said.

    Args:
        headers: Of the response, in any case. ``retry-after-ms`` is read first, then
            ``Retry-After``, in seconds or as an HTTP date.

    Returns:
        0 or more. A date counts from the response's own ``Date``, which knows the server's clock,
        or from now.

    Source:
        RFC 9110, section 10.2.3; ``retry-after-ms`` is OpenAI's and Azure's.
    """
    found = {str(name).lower(): str(value).strip() for name, value in (headers or {}).items()}
    if (milliseconds := _number(found.get("retry-after-ms", ""))) is not None:
        return milliseconds / 1000
    asked = found.get("retry-after", "")
    seconds = _number(asked)
    return _until(asked, found.get("date", "")) if seconds is None else seconds


def _number(text: str) -> float | None:
    try:
        number = float(text)
    except ValueError:
        return None
    return number if math.isfinite(number) and number >= 0 else None


def _until(text: str, now: str) -> float | None:
    then = _date(text)
    if then is None:
        return None
    return max(0.0, (then - (_date(now) or datetime.now(UTC))).total_seconds())


def _date(text: str) -> datetime | None:
    from email.utils import parsedate_to_datetime

    try:
        date = parsedate_to_datetime(text)
        return date.replace(tzinfo=UTC) if date.tzinfo is None else date.astimezone(UTC)
    except (ValueError, TypeError, OverflowError):
        return None
