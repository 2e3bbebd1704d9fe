"""Keeps secrets out of what SDKs write into the log."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import partial

from ragcore.options import Secret, secrets_in, without


@contextmanager
def redacted(loggers: Iterable[str], *secrets: Secret | None) -> Iterator[None]:
    """
    Have what *loggers*, and those below them that exist, write without *secrets*.

    For a plugin's ``connect``, around its client.

    Args:
        loggers: Names of the SDK's loggers, and of its HTTP library's.
        secrets: None of them counts as a secret if it is None.
    """
    values = [one.get() for secret in secrets for one in secrets_in(secret) if one.get()]
    redact = partial(_redact, values=values)
    found = [logging.getLogger(name) for name in _with_children(loggers)] if values else []
    for logger in found:
        logger.addFilter(redact)
    try:
        yield
    finally:
        for logger in found:
            logger.removeFilter(redact)


def _redact(record: logging.LogRecord, values: Iterable[str]) -> bool:
    message = record.getMessage()
    redacted = without(message, values)
    if redacted != message:
        record.msg, record.args = redacted, ()
    if record.exc_info and not record.exc_text:
        record.exc_text = logging.Formatter().formatException(record.exc_info)
    if record.exc_text:
        record.exc_text = without(record.exc_text, values)
    return True


def _with_children(names: Iterable[str]) -> set[str]:
    # A filter of a logger sees what is logged there, not what comes up from below.
    known = list(logging.Logger.manager.loggerDict)
    return {
        one for name in names for one in (name, *(k for k in known if k.startswith(f"{name}.")))
    }
