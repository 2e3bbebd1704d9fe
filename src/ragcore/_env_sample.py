"""Options as lines of a ``.env`` file."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from ragcore._conversion import to_text
from ragcore._fields import OptionField, summary_of

if TYPE_CHECKING:
    from ragcore.options import BindingOptions

_WIDTH = 100
_PLAIN = re.compile(r"[\w./:@%+,=-]*", re.ASCII)
_NAMES = str.maketrans({"\n": r"\n", "\r": r"\r", "\t": r"\t", "\\": r"\\", '"': r"\""})


def sample(groups: Iterable[type[BindingOptions]]) -> str:
    """
    Return a ``.env`` file with every option of *groups* as a comment, each variable once.

    Without their ``#``, its lines set what holds anyway.
    """
    seen: set[str] = set()
    return "\n".join(text for group in groups if (text := _group(group, seen)))


def line(name: str, text: str) -> str:
    """Return the line by which ``python-dotenv`` reads *text* as the value of *name*."""
    return f"{name}={_quoted(text)}"


def _quoted(text: str) -> str:
    # What stands between ${ and } is replaced, whatever the quotes; an unnamed variable is not
    # set, and stands for its default.
    escaped = text.replace("${", "${:-$}{")
    if escaped.endswith("\\"):
        # A quote after it would not be the end.
        escaped = escaped[:-1] + "${:-\\}"
    if _PLAIN.fullmatch(escaped):
        return escaped
    if not set("'\\\r\n\t") & set(escaped):
        return f"'{escaped}'"
    body, tail = (escaped[:-5], escaped[-5:]) if escaped.endswith("${:-\\}") else (escaped, "")
    return f'"{body.translate(_NAMES)}{tail}"'


def _group(group: type[BindingOptions], seen: set[str]) -> str:
    entries = [
        entry
        for field in group.fields()
        if field.variables and field.variables[0] not in seen
        for entry in _entry(field)
    ]
    seen.update(field.variables[0] for field in group.fields() if field.variables)
    title = f"# --- {group.binding()}: {summary_of(group)}"
    return "\n".join([title.rstrip(": "), "", *entries]) if entries else ""


def _entry(field: OptionField) -> Iterator[str]:
    about = "; ".join(filter(None, (field.wanted, field.unset)))
    yield from textwrap.wrap(
        f"{field.help} ({about})".lstrip(),
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
