"""Documents of files and folders, as text."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path

import attrs

_TEXT = frozenset({"csv", "html", "json", "log", "md", "mdx", "rst", "tex", "txt", "xml", "yaml"})


@attrs.frozen
class Document:
    """
    A document as it is indexed.

    Attributes:
        name: What sources of an answer are called; unlike all others of its command.
        text: Never blank.
    """

    name: str
    text: str = attrs.field(repr=False)


def documents_in(paths: Iterable[Path]) -> tuple[list[Document], list[str]]:
    """
    Read the files of *paths*; in folders, those that look like documents.

    Returns:
        The documents, and a line about each file that could not be read.
    """
    files = list(dict.fromkeys(file for path in paths for file in _files(path)))
    names = Counter(file.name for file in files)
    documents, problems = [], []
    for file in files:
        try:
            text = _text_of(file)
        except Exception as exc:  # noqa: BLE001  # each library for documents has errors of its own
            problems.append(f"{file}: can't be read: {exc}")
            continue
        if text.strip():
            # LightRAG knows documents by the names of their files alone.
            name = file.name if names[file.name] == 1 else "-".join(file.parts)
            documents.append(Document(name, text))
        else:
            problems.append(f"{file}: holds no text")
    return documents, problems


def _files(path: Path) -> Iterator[Path]:
    if not path.is_dir():
        yield path
        return
    suffixes = _TEXT | _suffixes_of_the_engine()
    for file in sorted(path.rglob("*")):
        parts = file.relative_to(path).parts
        is_hidden = any(part.startswith(".") for part in parts)
        if file.is_file() and not is_hidden and file.suffix.lower().lstrip(".") in suffixes:
            yield file


def _suffixes_of_the_engine() -> frozenset[str]:
    return frozenset({"pdf", "docx", "pptx", "xlsx"})


def _text_of(file: Path) -> str:
    """Return what *file* says; what is no text is read by LightRAG's own extractors."""
    from lightrag.parser.legacy.extractors import extract_text

    text: str = extract_text(file.read_bytes(), file.suffix)
    return text
