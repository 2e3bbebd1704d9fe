"""What users make: a budget."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any, Literal

from ragcore._limits.capacity import Learned
from ragcore._limits.gauges import AtOnce, Gauge, PerMinute
from ragcore._limits.line import Line
from ragcore.errors import OptionsError


class Limits:
    """
    A budget of calls; each model it is passed to draws on it.

    ::

        limits = ragcore.Limits(concurrency=8, requests_per_minute=500)
        async with ragcore.completion("openai:gpt-4o-mini", limits=limits) as model:
            ...

    One instance is one budget, in all event loops and threads of a process. Who has to wait waits
    in a line: by the call's ``priority``, then in the order in which calls were made. When a
    service answers 429 with ``Retry-After``, everybody waits until then.

    Args:
        concurrency: Attempts under way at once; a stream is under way until it is closed.
            ``"auto"`` finds what the service takes, at once and per second, from what it refuses.
        requests_per_minute: Attempts in any 60 seconds.
        tokens_per_minute: Tokens of requests and answers in any 60 seconds: estimated before, a
            quarter of the characters and *max_output_tokens* where it is set, and corrected by what
            the service says afterwards.

    Raises:
        OptionsError: A limit is no number above 0, or there is none.
    """

    def __init__(
        self,
        concurrency: int | Literal["auto"] | None = None,
        *,
        requests_per_minute: float | None = None,
        tokens_per_minute: float | None = None,
    ) -> None:
        self.concurrency: int | Literal["auto"] | None = concurrency
        self.requests_per_minute: float | None = requests_per_minute
        self.tokens_per_minute: float | None = tokens_per_minute
        self._check()
        self._made: tuple[int, Line] = self._make()

    @property
    def line(self) -> Line:
        """Where attempts wait; a forked process has its own, since it can't wake its parent's."""
        if self._made[0] != os.getpid():
            self._made = self._make()
        return self._made[1]

    def __repr__(self) -> str:
        given = ", ".join(f"{name}={value!r}" for name, value in self._given().items())
        return f"Limits({given})"

    def __deepcopy__(self, memo: dict[int, Any]) -> Limits:
        # LightRAG copies what it is handed; a copy would be another budget.
        return self

    def _given(self) -> dict[str, Any]:
        values = {
            "concurrency": self.concurrency,
            "requests_per_minute": self.requests_per_minute,
            "tokens_per_minute": self.tokens_per_minute,
        }
        return {name: value for name, value in values.items() if value is not None}

    def _check(self) -> None:
        given = self._given()
        if not given:
            raise OptionsError(
                "Limits() limits nothing: pass concurrency= (a number, or 'auto'), "
                "requests_per_minute= or tokens_per_minute="
            )
        problems = [problem for name in given if (problem := _problem(name, given[name]))]
        if problems:
            raise OptionsError("\n".join(problems), problems=problems)

    def _make(self) -> tuple[int, Line]:
        return os.getpid(), Line([*self._gauges()])

    def _gauges(self) -> Iterator[Gauge]:
        if self.concurrency == "auto":
            yield Learned()
        elif self.concurrency is not None:
            yield AtOnce(self.concurrency)
        if self.requests_per_minute is not None:
            yield PerMinute(self.requests_per_minute)
        if self.tokens_per_minute is not None:
            yield PerMinute(self.tokens_per_minute, of_tokens=True)


def _problem(name: str, value: object) -> str | None:
    if name == "concurrency":
        is_good = value == "auto" or (type(value) is int and value >= 1)
        wanted = "'auto' or a whole number, 1 or more"
    else:
        is_good = type(value) in (int, float) and 1 <= value < float("inf")  # type: ignore[operator]
        wanted = "a number, 1 or more"
    return None if is_good else f"{name}: {value!r} is not {wanted}"
