"""Tells LightRAG's ``TokenTracker`` what a call cost."""

from __future__ import annotations

from typing import Any

from ragcore._records import Usage


def count(token_tracker: Any, usage: Usage | None) -> None:
    """Add *usage* to *token_tracker*, if there are both."""
    if token_tracker is not None and usage is not None:
        token_tracker.add_usage(
            {
                "prompt_tokens": usage.input_tokens,
                "completion_tokens": usage.output_tokens,
                "total_tokens": usage.total_tokens,
            }
        )
