"""What an address and the values of a header look like."""

from __future__ import annotations

import re

# The patterns mean the same in JSON Schema.
_HOST = r"(?:\[[0-9A-Fa-f:.]+\]|[^\s/?#@:\[\]\\\x00-\x1f\x7f]+)"
_BELOW_65536 = (
    "[1-9][0-9]{0,3}|[1-5][0-9]{4}|6[0-4][0-9]{3}|65[0-4][0-9]{2}|655[0-2][0-9]|6553[0-5]"
)
_PATH = r"(?:/[^\s?#\\\x00-\x1f\x7f]*)?"
ADDRESS_PATTERN = rf"[Hh][Tt][Tt][Pp][Ss]?://{_HOST}(?::(?:{_BELOW_65536}))?{_PATH}"
ADDRESS_PROBLEM = (
    "is not http:// or https://, a host, and perhaps a port and a path; a key has an option of "
    "its own"
)

# RFC 9110, section 5: bytes beyond ASCII are opaque, and clients differ in what they do with them.
HEADER_PATTERN = r"[!-~](?:[\t -~]*[!-~])?"
HEADER_PROBLEM = (
    "is empty, or has characters that no HTTP header can carry; was a line break copied with it?"
)
HEADERS_PATTERN = r"(?:[!-~](?:[\t -~]*[!-~])?)?"
HEADERS_PROBLEM = "has characters that no HTTP header can carry"
HEADER_NAME_PATTERN = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"


def is_address(text: str) -> bool:
    """Say whether *text* is an address without a user, a password, a query and a fragment."""
    return re.fullmatch(ADDRESS_PATTERN, text) is not None


def is_header_value(text: str) -> bool:
    """Say whether an HTTP header can carry *text*."""
    return re.fullmatch(HEADER_PATTERN, text) is not None
