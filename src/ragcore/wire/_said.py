"""A service's own words about an error, out of whatever it sends."""

from __future__ import annotations

import html
import json
import re
import string
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from itertools import islice

_LONGEST = 500  # characters of a message
# An error's body can be of any size and depth: what is looked at has an end.
_LONGEST_JSON = 200_000
_LONGEST_TEXT = 8_000
_DEEPEST = 8
_WIDEST = 50

# "raw" is OpenRouter's, for what the service behind it says; "loc" names FastAPI's field.
_WORDS = (
    *("message", "Message", "msg", "detail", "error", "errors", "error_description"),
    *("status_msg", "raw", "loc"),
)
_CODES = (
    *("error_code", "code", "Code", "reason", "quotaId", "type", "error_type", "status"),
    *("http_status_code", "status_code", "statusCode"),
)
_OF_A_KEY = string.ascii_letters + string.digits + "-._~+/="


def said(body: object) -> tuple[str, tuple[str, ...]]:
    """
    Return what a service says is wrong, and the codes that it gives.

    Args:
        body: The answer, decoded or not: an object, a list, a text, JSON in a text, bytes, a page.

    Returns:
        The message, one line of at most 500 characters, empty if there is none; and every code,
        type, reason and status in *body*, as text.
    """
    return shortened(words_of(body)), codes_of(body)


def described(exc: BaseException) -> str:
    """Return the name of an exception's class and what it says, in one line."""
    line = shortened(_line(str(exc)))
    return f"{type(exc).__name__}: {line}" if line else type(exc).__name__


def shortened(text: str) -> str:
    """Return the beginning of *text*, cut where no key is torn: half a key can't be redacted."""
    return text if len(text) <= _LONGEST else text[:_LONGEST].rstrip(_OF_A_KEY) + "…"


def words_of(body: object) -> str:
    """Return the message in *body*, one line of any length."""
    body = _decoded(body)
    if not isinstance(body, Mapping | list):
        return "" if body is None else _line(str(body))
    found = [_line(value) for name, value in leaves(body) if name in _WORDS and type(value) is str]
    return "; ".join(dict.fromkeys(filter(None, found))) or _shown(body)


def codes_of(body: object) -> tuple[str, ...]:
    """Return the codes in *body*, those of the most telling names first."""
    found = [(_CODES.index(name), str(code)) for name, code in leaves(body) if name in _CODES]
    return tuple(code[:_LONGEST] for _, code in sorted(found, key=lambda one: one[0]))


def leaves(body: object) -> Iterator[tuple[str, str | float]]:
    """Yield the texts and numbers in *body* with their names, the outermost first."""
    level = [("", _decoded(body))]
    for _ in range(_DEEPEST):
        for name, value in level:
            if isinstance(value, str | int | float) and not isinstance(value, bool):
                yield name, value
        parts = [pair for name, part in level for pair in _parts(name, part)]
        level = [(name, _decoded(part)) for name, part in parts[:_WIDEST]]


def _parts(name: str, part: object) -> Iterable[tuple[str, object]]:
    if isinstance(part, Mapping):
        # What was asked, which some repeat, says nothing about the error.
        return [pair for pair in islice(part.items(), _WIDEST) if pair[0] != "input"]
    return [(name, one) for one in part[:_WIDEST]] if isinstance(part, list) else []


def _shown(body: object) -> str:
    try:
        return _line(json.dumps(body, default=str, ensure_ascii=False)) if body else ""
    except (ValueError, RecursionError):
        return "JSON that is nested too deep"


def _decoded(body: object) -> object:
    if isinstance(body, bytes | bytearray):
        body = body[:_LONGEST_JSON].decode(errors="replace")
    if isinstance(body, str) and len(body) <= _LONGEST_JSON and body.lstrip()[:1] in ("{", "["):
        with suppress(ValueError, RecursionError):
            return json.loads(body)
    return body


_MARKUP = re.compile(r"(?is)<(script|style)\b.*?</\1\s*>|<[^<>]*>")


def _line(text: str) -> str:
    text = text[:_LONGEST_TEXT]
    if text.lstrip().startswith("<"):
        text = html.unescape(_MARKUP.sub(" ", text))
    # A message is printed and logged: it holds nothing that UTF-8 can't carry.
    return " ".join(text.encode(errors="replace").decode().split())
