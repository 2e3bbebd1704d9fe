"""The two ways in which an engine's thread gets its calls done."""

from __future__ import annotations

import logging
import traceback
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import torch
import transformers
from torch import Tensor

from lightrag_hf._batch import Batch, cache_parameter, has_plain_cache, obstacle
from lightrag_hf._calls import Call, CallQueue, closed_error
from lightrag_hf._errors import is_out_of_memory, overflow, translation
from lightrag_hf._generate import generate, needs_generate
from lightrag_hf._rope import changing_ropes, reset_rope
from lightrag_hf._sampling import choose

_log = logging.getLogger("lightrag_hf")

# Rows of one forward pass. On 2 cores, throughput grows little beyond.
_MOST_ROWS = 32

# Prompts are read together up to so many tokens, padding included: longer ones gain nothing from
# company, and those who are answered already wait meanwhile.
_TOKENS_READ_TOGETHER = 2048


class SharedDecoding:
    """
    All calls share forward passes; they join and leave between any two.

    A pass that fails is tried again with half of its rows, until the row is found that fails
    alone, or until memory suffices. A row that has to leave meanwhile loses nothing but time:
    its tokens are read again when it is back.

    Long prompts are read a piece at a time, between the steps of the answers under way.
    """

    def __init__(self, open_batch: Callable[[], Batch], model_name: str) -> None:
        self._open_batch = open_batch
        self._model_name = model_name
        self._batch = open_batch()
        self._joining = open_batch()
        self._most_rows = _MOST_ROWS

    @property
    def is_busy(self) -> bool:
        """Whether there are calls in work that are not in the queue."""
        return bool(self._batch.rows or self._joining.rows)

    def abandon(self) -> Sequence[Call]:
        """Give up the calls in work and return them."""
        calls = [*self._batch.rows, *self._joining.rows]
        self._batch, self._joining = self._open_batch(), self._open_batch()
        return calls

    def turn(self, queue: CallQueue) -> None:
        """Do a bit of work: of calls in work, or of the first in *queue*."""
        if not self._joining.rows and (calls := self._next(queue)):
            self._joining.fill(calls)
        if self._joining.rows and (exc := _failure_of(self._read)):
            failed, self._joining = self._joining.rows, self._open_batch()
            self._recover(failed, len(self._batch.rows), exc, queue)
        if self._batch.rows and (exc := _failure_of(self._go_on)):
            failed, self._batch = self._batch.rows, self._open_batch()
            self._recover(failed, len(self._joining.rows), exc, queue)
        if queue.is_empty and not self.is_busy:
            self._most_rows = _MOST_ROWS

    def _next(self, queue: CallQueue) -> list[Call]:
        """Take from *queue* those who are to be read together."""
        joining: list[Call] = []
        room = self._most_rows - len(self._batch.rows)

        def is_fitting(call: Call) -> bool:
            longest = max(len(other.tokens) for other in [*joining, call])
            return not joining or longest * (len(joining) + 1) <= _TOKENS_READ_TOGETHER

        while len(joining) < room and (call := queue.take(is_fitting)):
            joining.append(call)
        return joining

    def _read(self) -> None:
        """Read a piece of the prompts that join; with the last one, they have."""
        if all(call.is_over for call in self._joining.rows):
            self._joining = self._open_batch()
            return
        logits = self._joining.read()
        if logits is not None:
            self._take(self._joining, logits)
            self._join()

    def _join(self) -> None:
        if not self._batch.rows:
            self._batch = self._joining
        elif self._joining.rows:
            self._batch.add(self._joining)
        self._joining = self._open_batch()

    def _go_on(self) -> None:
        self._batch.keep([not call.is_over for call in self._batch.rows])
        if self._batch.rows:
            self._take(self._batch, self._batch.step())

    def _take(self, batch: Batch, logits: Tensor) -> None:
        """Give each row its next token, and let those leave that are over."""
        is_sound = torch.isfinite(logits.amax(dim=-1))
        logits[~is_sound] = 0.0
        tokens = choose(logits, [(call.chooser(logits.device), call.tokens) for call in batch.rows])
        for call, token, is_good in zip(batch.rows, tokens, is_sound.tolist(), strict=True):
            if is_good:
                call.take(token)
            else:
                call.fail(overflow(self._model_name))
        batch.keep([not call.is_over for call in batch.rows])

    def _recover(
        self, failed: Sequence[Call], others: int, exc: Exception, queue: CallQueue
    ) -> None:
        """Give those of *failed*, who shared a pass, another chance, or the reason."""
        calls = [call for call in failed if not call.is_over]
        if len(calls) > 1 or (others and is_out_of_memory(exc)):
            self._most_rows = others + len(calls) // 2
            queue.put_back(calls)
        else:
            _fail(calls, self._model_name, exc)
            self._most_rows = _MOST_ROWS


class SingleDecoding:
    """Calls are answered one after the other, by ``generate()``: a turn answers a whole call."""

    is_busy = False

    def __init__(self, model: Any, model_name: str) -> None:
        self._model = model
        self._model_name = model_name
        self._has_changing_rope = bool(changing_ropes(model.config.to_dict()))

    def abandon(self) -> Sequence[Call]:
        return ()

    def turn(self, queue: CallQueue) -> None:
        call = queue.take()
        if call is None:
            return
        if self._has_changing_rope:
            reset_rope(self._model)
        answer = partial(generate, self._model, call, lambda: queue.is_closed)
        if exc := _failure_of(answer):
            _fail([call], self._model_name, exc)
        if not call.is_over:
            call.fail(closed_error())


def decoding(model: Any, model_name: str) -> SharedDecoding | SingleDecoding:
    """Return how *model* is run: many calls at once if it allows that, which tiny passes try."""
    foreign = needs_generate(model.generation_config)
    why = f"its settings have {', '.join(foreign)}" if foreign else obstacle(model)
    cache_name = None if why else cache_parameter(model)
    if cache_name is not None:
        return SharedDecoding(partial(Batch, model, cache_name), model_name)
    # With a plain cache, calls are expected to share passes: whoever waits longer should know why.
    level = logging.WARNING if has_plain_cache(model) else logging.INFO
    why = why or f"it fills no cache that it is given (transformers {transformers.__version__})"
    _log.log(level, "%s answers one call at a time: %s.", model_name, why)
    return SingleDecoding(model, model_name)


def _failure_of(work: Callable[[], None]) -> Exception | None:
    """Return what *work* raises, if it does."""
    try:
        work()
    except Exception as exc:  # noqa: BLE001  # whatever it is, somebody waits for an answer
        # An exception holds the tensors of the frames that it left.
        traceback.clear_frames(exc.__traceback__)
        return exc
    return None


def _fail(calls: Sequence[Call], model_name: str, exc: Exception) -> None:
    for call in calls:
        error = translation(model_name, exc)
        error.__cause__ = exc
        call.fail(error)
