"""Writes each call of any provider as a line of JSON."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from ragcore import BindingOptions, Layer, hookimpl, option


class AuditOptions(BindingOptions, binding="audit"):
    """What is written, and where."""

    file: Path | None = option("File that lines are added to.", default=None)
    content: bool = option("Whether what was asked and answered is written, too.", default=False)


@hookimpl
def ragcore_options() -> Iterator[type[BindingOptions]]:
    """Have the options listed with all others."""
    yield AuditOptions


@hookimpl
def ragcore_layers() -> Iterator[Layer]:
    """Put the audit around every call."""
    yield Layer(name="audit", around="call", wrap="ragcore_audit.layer:wrap")
