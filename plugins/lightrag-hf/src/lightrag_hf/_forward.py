"""A thread that computes for all calls that wait, rows of similar length together."""

from __future__ import annotations

import itertools
import logging
import threading
from collections.abc import Callable, Hashable, Sequence
from concurrent.futures import Future, InvalidStateError
from contextlib import suppress
from typing import Any

import attrs
import numpy as np
import numpy.typing as npt

from lightrag_hf._errors import is_out_of_memory

_log = logging.getLogger("lightrag_hf")

Vectors = npt.NDArray[np.float32]


@attrs.frozen
class Row:
    """
    A text as a model reads it.

    Attributes:
        ids: Tokens.
        types: Segment of each token; empty where the model has none.
        skipped: Tokens at the beginning that pooling leaves out.
        is_cut: Whether the text has more than this.
    """

    ids: Sequence[int]
    types: Sequence[int] = ()
    skipped: int = 0
    is_cut: bool = False


class _Call:
    """Rows that one caller waits for."""

    def __init__(self, count: int, arrival: int) -> None:
        self.arrival = arrival
        self.vectors: Future[Vectors] = Future()
        self._found: list[Any] = [None] * count
        self._missing = count

    def put(self, position: int, vector: npt.NDArray[np.float32]) -> None:
        self._found[position] = vector
        self._missing -= 1
        if self._missing == 0:
            # The caller may have left.
            with suppress(InvalidStateError):
                self.vectors.set_result(np.stack(self._found))

    def fail(self, exc: BaseException) -> None:
        with suppress(InvalidStateError):
            self.vectors.set_exception(exc)


@attrs.frozen(eq=False)
class _Waiting:
    row: Row
    call: _Call
    position: int

    @property
    def length(self) -> int:
        return len(self.row.ids)


class ForwardQueue:
    """
    Runs *compute* in a thread of its own, over batches of rows from any number of calls.

    Longest rows stand together, so little is padding; the batch with the row that has waited
    longest goes first, so nobody is overtaken for ever. When a batch does not fit into memory,
    batches are half as large from then on.

    Args:
        compute: ``rows -> vectors``, in the order of the rows.
        batch_tokens: Most tokens in a batch, padding included.
        recover: Called when memory has run out, before a smaller batch is tried.
        company: Rows share a batch only if it says the same of their lengths.
    """

    def __init__(
        self,
        compute: Callable[[Sequence[Row]], Vectors],
        batch_tokens: int,
        recover: Callable[[], None],
        company: Callable[[int], Hashable] = lambda _: None,
    ) -> None:
        self._compute = compute
        self._batch_tokens = batch_tokens
        self._recover = recover
        self._company = company
        self._waiting: list[_Waiting] = []
        self._arrivals = itertools.count()
        self._is_closed = False
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._work, name="lightrag-hf-embed", daemon=True)
        self._thread.start()

    def submit(self, rows: Sequence[Row]) -> Future[Vectors]:
        """Return the vectors of *rows*, when they are there; cancelling drops what is left."""
        with self._changed:
            if self._is_closed:
                raise _closed_error()
            call = _Call(len(rows), next(self._arrivals))
            self._add([_Waiting(row, call, at) for at, row in enumerate(rows)])
            self._changed.notify()
        return call.vectors

    def close(self) -> None:
        """Stop after the batch that is being computed; whoever waits is told."""
        with self._changed:
            self._is_closed = True
            self._changed.notify()
        self._thread.join()
        for waiting in self._waiting:
            waiting.call.fail(_closed_error())

    def _work(self) -> None:
        while batch := self._next_batch():
            # Memory is freed here, and not where it ran out: the traceback keeps tensors alive.
            if not self._is_done(batch):
                self._put_back(batch)

    def _is_done(self, batch: list[_Waiting]) -> bool:
        """Compute *batch*, or tell its calls why not; False if it does not fit into memory."""
        try:
            vectors = self._compute([waiting.row for waiting in batch])
        except BaseException as exc:  # noqa: BLE001  # raised again in the calls
            if len(batch) > 1 and is_out_of_memory(exc):
                return False
            for waiting in batch:
                waiting.call.fail(exc)
            return True
        for waiting, vector in zip(batch, vectors, strict=True):
            waiting.call.put(waiting.position, vector)
        return True

    def _put_back(self, batch: list[_Waiting]) -> None:
        self._recover()
        self._batch_tokens = min(self._batch_tokens, len(batch) // 2 * batch[0].length)
        _log.warning("Out of memory: batches are of %d tokens from now on", self._batch_tokens)
        with self._changed:
            self._add(batch)

    def _add(self, waiting: list[_Waiting]) -> None:
        self._waiting += waiting
        self._waiting.sort(key=lambda one: -one.length)

    def _next_batch(self) -> list[_Waiting]:
        """Return what to compute next, as soon as there is something; nothing when closed."""
        with self._changed:
            while not self._is_closed:
                self._waiting = [one for one in self._waiting if not one.call.vectors.done()]
                if self._waiting:
                    return self._take()
                self._changed.wait()
        return []

    def _take(self) -> list[_Waiting]:
        oldest = min(range(len(self._waiting)), key=lambda at: self._waiting[at].call.arrival)
        begin, end = 0, 0
        while end <= oldest:
            begin, end = end, self._end_of_batch(end)
        batch = self._waiting[begin:end]
        del self._waiting[begin:end]
        return batch

    def _end_of_batch(self, begin: int) -> int:
        longest = self._waiting[begin].length
        fitting = self._waiting[begin:][: max(1, self._batch_tokens // max(1, longest))]
        company = self._company(longest)
        together = itertools.takewhile(lambda one: self._company(one.length) == company, fitting)
        return begin + sum(1 for _ in together)


def _closed_error() -> RuntimeError:
    return RuntimeError("the model was closed while texts waited")
