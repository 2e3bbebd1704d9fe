"""Options as lines of a ``.env`` file."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterable, Iterator

from ragcore.options._declaration import OptionField, summary_of
from ragcore.options._group import Group
from ragcore.options._types import to_text

_WIDTH = 100
_PLAIN = re.compile(r"[\w./:@%+,=-]*", re.ASCII)
_NAMES = str.maketrans({"\n": r"\n", "\r": r"\r", "\t": r"\t", "\\": r"\\", '"': r"\""})


def sample(groups: Iterable[type[Group]]) -> str:
    """
    Return a ``.env`` file with every option of *groups* as a comment, each variable once.

    Without their ``#``, its lines set what holds anyway.
    """
    return "\n".join(_paragraph(group, fields) for group, fields in _once(groups))


def entries(groups: Iterable[type[Group]]) -> Iterator[tuple[OptionField, str]]:
    """Yield the options that :func:`sample` has lines for, each with its value there."""
    for _, fields in _once(groups):
        for field in fields:
            yield field, _value(field)


def line(name: str, text: str) -> str:
    """Return the line by which ``python-dotenv`` reads *text* as the value of *name*."""
    return f"{name}={_quoted(text)}"


def _quoted(text: str) -> str:
    # What stands between ${ and } is replaced, whatever the quotes; an unnamed variable is not
    # set, and stands for its default.
    escaped = text.replace("${", "${:-$}{")
    if _PLAIN.fullmatch(escaped):
        return escaped
    if not set("'\\\r\n\t") & set(escaped):
        return f"'{escaped}'"
    # A quote after a backslash would not be the end.
    body, tail = (escaped[:-1], "${:-\\}") if escaped.endswith("\\") else (escaped, "")
    return f'"{body.translate(_NAMES)}{tail}"'


def _once(
    groups: Iterable[type[Group]],
) -> Iterator[tuple[type[Group], list[OptionField]]]:
    """Yield groups with those of their options whose variables no group before them has."""
    seen: set[str] = set()
    for group in groups:
        fields = [f for f in group.fields() if f.variables and f.variables[0] not in seen]
        seen.update(field.variables[0] for field in fields)
        if fields:
            yield group, fields


def _paragraph(group: type[Group], fields: Iterable[OptionField]) -> str:
    title = f"# --- {group.binding()}: {summary_of(group)}".rstrip(": ")
    return "\n".join([title, "", *(text for field in fields for text in _entry(field))])


def _entry(field: OptionField) -> Iterator[str]:
    yield from textwrap.wrap(
        field.explained(),
        _WIDTH,
        initial_indent="# ",
        subsequent_indent="# ",
        break_long_words=False,
        break_on_hyphens=False,
    )
    yield f"# {line(field.variables[0], _value(field))}"
    yield ""


def _value(field: OptionField) -> str:
    return "" if field.required or field.secret else to_text(field.default)
