"""The client of a provider without a server: where to look for files."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import cast

import attrs

from lightrag_hf.options import HFOptions
from ragcore import Secret
from ragcore.options import read


@attrs.frozen
class Hub:
    """
    Where model files come from; it holds nothing open.

    Attributes:
        token: None: what ``hf auth login`` left on this machine, at huggingface.co only.
        cache_dir: None: huggingface_hub's own.
        endpoint: None: huggingface.co.
        offline: Only what is in *cache_dir*.
    """

    token: Secret | None = None
    cache_dir: Path | None = None
    endpoint: str | None = None
    offline: bool = False


def hub_of(connection: HFOptions) -> Hub:
    """Return the hub that *connection* describes."""
    return Hub(connection.token, connection.cache_dir, connection.endpoint, connection.offline)


def hub_from_environment() -> Hub:
    """Return the hub that ``HF_TOKEN`` and its like describe."""
    [connection] = read([HFOptions], {})
    return hub_of(cast(HFOptions, connection))


@asynccontextmanager
async def connect(connection: HFOptions) -> AsyncIterator[Hub]:
    """Yield the hub that *connection* describes; nothing is asked of it yet."""
    yield hub_of(connection)
