"""The options of who embeds with a text put before each text."""

from __future__ import annotations

from ragcore.options._binding_options import BindingOptions
from ragcore.options._declaration import option


class Prefixes(BindingOptions):
    """Texts that the host puts before those to embed, for an option class that inherits this."""

    query_prefix: str | None = option("Text put before each query.", default=None, scope="call")
    document_prefix: str | None = option(
        "Text put before each document.", default=None, scope="call"
    )
