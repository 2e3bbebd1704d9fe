"""Progress of what takes long: a bar on a terminal, log lines elsewhere."""

from __future__ import annotations

import gc
import io
import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from huggingface_hub.utils.tqdm import tqdm

from lightrag_hf._loading import one_at_a_time, stop_if_exiting

_log = logging.getLogger("lightrag_hf")

_SECONDS_BETWEEN_LINES = 5.0

_NEVER = 10**9


class Progress(tqdm):
    """What Hugging Face's libraries are given to show progress; takes the arguments of tqdm."""

    # The monitor is a thread that outlives the bars.
    monitor_interval = 0

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self.is_drawn = sys.stderr.isatty()
        if not self.is_drawn:
            kwargs |= {"file": io.StringIO(), "mininterval": _SECONDS_BETWEEN_LINES}
            kwargs["disable"] = bool(kwargs.get("disable"))
        super().__init__(*args, **kwargs)  # type: ignore[no-untyped-call]  # as it is there

    def __iter__(self) -> Iterator[Any]:
        for item in super().__iter__():
            stop_if_exiting()
            yield item

    def update(self, n: float | None = 1) -> bool | None:
        """Count *n* more; return whether that was shown."""
        stop_if_exiting()
        is_shown: bool | None = super().update(n)
        return is_shown

    def display(self, *args: Any, **kwargs: Any) -> None:
        """Draw the bar, or log a line."""
        if self.is_drawn:
            super().display(*args, **kwargs)
        elif self.n:
            _log.info("%s", self)


@contextmanager
def building() -> Iterator[None]:
    """
    Let transformers build a model, one at a time, and show its progress.

    It sets torch's default dtype for the whole process meanwhile.
    """
    from transformers.utils.logging import set_tqdm_hook

    with one_at_a_time(), _only_young_garbage_collected():
        previous = set_tqdm_hook(lambda _, args, kwargs: Progress(*args, **kwargs))
        try:
            yield
        finally:
            set_tqdm_hook(previous)


@contextmanager
def _only_young_garbage_collected() -> Iterator[None]:
    """
    Put off the search for garbage among all objects there are.

    Files are read into millions of them; to look through them again and again as they become
    more stops every thread for 0.4 s and takes a third of the time of a conversion.
    """
    young, middle, old = gc.get_threshold()
    gc.set_threshold(young, middle, _NEVER)
    try:
        yield
    finally:
        gc.set_threshold(young, middle, old)
