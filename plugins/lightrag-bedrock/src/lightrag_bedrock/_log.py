"""Keeps out of botocore's log the credentials that it fetches and refreshes by itself."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator
from contextlib import contextmanager

# Requests are logged with their headers, and answers of the services that give out credentials
# with their bodies: JSON, XML and the lines that are signed.
_NAMED = re.compile(
    r"""((?:secret_?access_?key|session_?token|access_?token|refresh_?token|"token"|bearer"""
    r"""|x-amz-security-token)\\?["']?[\s:=>]+b?\\?["']?)[^\s"'<,\\]+""",
    re.IGNORECASE,
)

_LOGGERS = ("botocore.auth", "botocore.endpoint", "botocore.parsers", "botocore.utils")


class _Masking(logging.Filter):
    """Replaces what follows the name of a credential."""

    def filter(self, record: logging.LogRecord) -> bool:
        message = record.getMessage()
        masked = mask(message)
        if masked != message:
            record.msg, record.args = masked, ()
        return True


def mask(text: str) -> str:
    """Return *text* without the values of credentials that it names."""
    return _NAMED.sub(r"\1…", text)


@contextmanager
def masked() -> Iterator[None]:
    """Have botocore log no credentials, whoever gave them, while the block lasts."""
    masking = _Masking()
    loggers = [logging.getLogger(name) for name in _LOGGERS]
    for logger in loggers:
        logger.addFilter(masking)
    try:
        yield
    finally:
        for logger in loggers:
            logger.removeFilter(masking)
