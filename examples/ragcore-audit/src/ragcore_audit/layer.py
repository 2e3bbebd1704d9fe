"""The layer: one line a call, when it is over."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ragcore import Completion, CompletionRequest, Exchange, Step
from ragcore.options import read
from ragcore_audit import AuditOptions


def wrap(step: Step) -> Step:
    """Return *step* with a line written after it; *step* itself if no file is named."""
    [options] = read([AuditOptions], {})
    assert isinstance(options, AuditOptions)  # noqa: S101  # one class was read
    file = options.file
    if file is None:
        return step

    @asynccontextmanager
    async def audited(exchange: Exchange) -> AsyncIterator[Any]:
        outcome = "left"
        try:
            async with step(exchange) as answer:
                yield answer
        except BaseException as exc:
            outcome = type(exc).__name__
            raise
        finally:
            _write(file, _line(exchange, outcome) | (_content(exchange) if options.content else {}))

    return audited


def _line(exchange: Exchange, outcome: str) -> dict[str, Any]:
    answer, attempts = exchange.answer, exchange.attempts
    usage = answer.usage if answer else None
    if answer is not None:
        outcome = answer.finish_reason if isinstance(answer, Completion) else "embedded"
    return {
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "model": exchange.opening.reference,
        "task": "completion" if isinstance(exchange.request, CompletionRequest) else "embedding",
        "attempts": attempts.count,
        "seconds": round(exchange.deadline.elapsed, 3),
        "outcome": outcome,
        "input_tokens": usage.input_tokens if usage else None,
        "output_tokens": usage.output_tokens if usage else None,
    }


def _content(exchange: Exchange) -> dict[str, Any]:
    request, answer = exchange.request, exchange.answer
    if isinstance(request, CompletionRequest):
        asked = [message.content for message in request.messages]
    else:
        asked = list(request.texts)
    content: dict[str, Any] = {"asked": [exchange.opening.redacted(text) for text in asked]}
    if isinstance(answer, Completion):
        content["answered"] = exchange.opening.redacted(answer.text)
    return content


def _write(file: Path, line: dict[str, Any]) -> None:
    with file.open("a", encoding="utf-8") as lines:
        lines.write(json.dumps(line, ensure_ascii=False) + "\n")
