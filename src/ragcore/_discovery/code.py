"""Imports the code that a record names, off the event loop's thread."""

from __future__ import annotations

import asyncio
import functools
import importlib
from operator import attrgetter
from typing import Any

from ragcore._discovery.foreign import SetAside, run_foreign
from ragcore.errors import PluginError


@functools.cache
def code(reference: str, distribution: str) -> Any:
    """
    Return what ``"package.module:attribute"`` names; blocks while it is imported.

    Raises:
        PluginError: It can't be imported; names *distribution* and the cure.
    """
    module, _, attribute = reference.partition(":")
    cure = f"Reinstall it with all it needs: pip install --upgrade --force-reinstall {distribution}"
    try:
        return run_foreign(lambda: attrgetter(attribute)(importlib.import_module(module)), cure)
    except SetAside as exc:
        raise PluginError(
            f"{distribution} can't be used: {exc.reason} (while importing {reference}). {exc.cure}"
        ) from exc.__cause__


async def code_in_thread(reference: str, distribution: str) -> Any:
    """Like :func:`code`, without blocking the event loop."""
    return await asyncio.to_thread(code, reference, distribution)
