"""
What services have in common, for the authors of plugins.

What comes in: exceptions, statuses, headers and texts as services send them. What goes out: the
errors, seconds and texts of ragcore. May be imported by plugins, and by the host's own calls.
"""

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
