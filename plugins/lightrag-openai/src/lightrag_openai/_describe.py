"""What is known of embedding models before one is asked."""

from __future__ import annotations

from lightrag_openai._endpoint import OPENAI, Endpoint, ModelSize
from ragcore import BindingOptions


def describe(model_name: str, options: BindingOptions, connection: BindingOptions) -> ModelSize:
    """Return the dimensions and the longest text in tokens; None where unknown."""
    row: Endpoint = getattr(connection, "row", OPENAI)
    return row.size_of(model_name)
