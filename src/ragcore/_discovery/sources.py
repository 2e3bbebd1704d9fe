"""Where plugins come from: entry points, before any of them is loaded."""

from __future__ import annotations

import importlib.metadata
import re
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import NoReturn

import attrs

from ragcore.hookspecs import ENTRY_POINT_GROUP

ALLOW, DENY = "RAGCORE_PLUGINS", "RAGCORE_DISABLE_PLUGINS"


@attrs.frozen
class Source:
    """Where a plugin comes from: an entry point, without the work of loading it."""

    distribution: str
    version: str
    entry_point: str
    load: Callable[[], object]


def normalised(name: str) -> str:
    """Return a distribution's name as all its spellings become."""
    return re.sub(r"[-_.]+", "-", name).lower()


def entry_points() -> Iterator[Source]:
    """List what is installed; one unreadable distribution does not hide the others."""
    try:
        found = list(importlib.metadata.entry_points(group=ENTRY_POINT_GROUP))
    except Exception:  # noqa: BLE001  # one unreadable entry_points.txt, and none can be listed
        yield from _one_by_one()
        return
    for entry_point in found:
        yield _source(entry_point, entry_point.dist)


def _one_by_one() -> Iterator[Source]:
    seen = set()
    for distribution in importlib.metadata.distributions():
        name = normalised(_name_of(distribution))
        if name in seen:
            continue
        seen.add(name)
        try:
            for entry_point in distribution.entry_points.select(group=ENTRY_POINT_GROUP):
                yield _source(entry_point, distribution)
        except Exception as exc:  # noqa: BLE001  # what importlib raises here it does not document
            yield Source(_name_of(distribution), "", "entry_points.txt", partial(_unreadable, exc))


def _unreadable(exc: Exception) -> NoReturn:
    raise ValueError("its entry_points.txt can't be read") from exc


def _name_of(distribution: importlib.metadata.Distribution | None) -> str:
    # A distribution whose METADATA is gone has no name, whatever its annotation says.
    return (distribution and distribution.metadata["Name"]) or "unknown"


def _source(
    entry_point: importlib.metadata.EntryPoint, distribution: importlib.metadata.Distribution | None
) -> Source:
    version = distribution and distribution.metadata["Version"]
    return Source(_name_of(distribution), version or "", entry_point.name, entry_point.load)


def _listed(variable: str | None) -> set[str]:
    return {normalised(name.strip()) for name in (variable or "").split(",") if name.strip()}


def switch(source: Source, environ: Mapping[str, str]) -> str | None:
    """Return the variable in *environ* that switches *source* off; None if it is to be loaded."""
    name = normalised(source.distribution)
    if name in _listed(environ.get(DENY)):
        return DENY
    allowed = _listed(environ.get(ALLOW))
    return ALLOW if allowed and name not in allowed else None
