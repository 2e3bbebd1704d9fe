"""Checks of what a user says of addresses, keys and headers."""

from __future__ import annotations

import json
from typing import Any

import attrs

from ragcore.options import Pattern

# The patterns mean the same in JSON Schema.
_HOST = r"(?:\[[0-9A-Fa-f:.]+\]|[^\s/?#@:\[\]\\\x00-\x1f\x7f]+)"
_BELOW_65536 = (
    "[1-9][0-9]{0,3}|[1-5][0-9]{4}|6[0-4][0-9]{3}|65[0-4][0-9]{2}|655[0-2][0-9]|6553[0-5]"
)
_PATH = r"(?:/[^\s?#\\\x00-\x1f\x7f]*)?"

ADDRESS = Pattern(
    rf"[Hh][Tt][Tt][Pp][Ss]?://{_HOST}(?::(?:{_BELOW_65536}))?{_PATH}",
    "is not http:// or https://, a host, and perhaps a port and a path; a key has an option of "
    "its own",
)

# RFC 9110, section 5: bytes beyond ASCII are opaque, and clients differ in what they do with them.
HEADER = Pattern(
    r"[!-~](?:[\t -~]*[!-~])?",
    "is empty, or has characters that no HTTP header can carry; was a line break copied with it?",
)
HEADERS = Pattern(
    r"(?:[!-~](?:[\t -~]*[!-~])?)?",
    "has names or values that no HTTP header can carry",
    names=r"[!#$%&'*+.^_`|~0-9A-Za-z-]+",
)


@attrs.frozen
class _JSON:
    """What a request in JSON can carry."""

    def problem(self, value: Any) -> str | None:
        """Return why *value* can't be sent; None if it can."""
        try:
            json.dumps(value, allow_nan=False, ensure_ascii=False).encode()
        except UnicodeEncodeError:
            return "holds half of a character (a lone surrogate), which is no text"
        except (TypeError, ValueError) as exc:
            return f"can't be put as JSON: {exc}"
        except RecursionError:
            return "can't be put as JSON: it is nested too deep"
        return None

    def schema(self) -> dict[str, Any]:
        """Return nothing: what JSON Schema describes is JSON."""
        return {}


JSON = _JSON()
