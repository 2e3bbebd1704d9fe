"""The client of a provider without a server: the options that say where files come from."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from lightrag_hf.options import HFOptions


@asynccontextmanager
async def connect(connection: HFOptions) -> AsyncIterator[HFOptions]:
    """Yield *connection*; nothing is opened, and nothing is asked of the hub yet."""
    yield connection
