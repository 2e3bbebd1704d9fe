"""What services have in common, for the authors of plugins."""

from ragcore.wire._http_error import http_error
from ragcore.wire._redacted import redacted
from ragcore.wire._retry_after import retry_after
from ragcore.wire._thinking import ThinkingSplitter, split_thinking
from ragcore.wire._translating import translating

__all__ = [
    "ThinkingSplitter",
    "http_error",
    "redacted",
    "retry_after",
    "split_thinking",
    "translating",
]
