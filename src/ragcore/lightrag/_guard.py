"""Keeps an index from vectors that can't be compared with those it has."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Awaitable, Callable, Mapping
from concurrent.futures import Future

import attrs

from ragcore._calls.attempts import Deadline
from ragcore._records import InputType
from ragcore.errors import EmbeddingIdentityError
from ragcore.lightrag._identity import Identity, Maker, record, record_of, recorded, refusal
from ragcore.lightrag._index import Folder, Sample, cosines
from ragcore.lightrag._keeper import until

_log = logging.getLogger("ragcore")

# Stored vectors and those of the same texts: LightRAG may have cut these elsewhere.
_SAME_AS_STORED = 0.99

_LATE = "what made the vectors of the index was not found out within {:g} s"


@attrs.define(eq=False)
class Once:
    """Something that is done once in a process: by whoever asks first, the others wait."""

    _done: set[int] = attrs.field(factory=set, init=False)
    _under_way: dict[int, Future[None]] = attrs.field(factory=dict, init=False)

    async def do(self, act: Callable[[], Awaitable[bool]]) -> None:
        """
        Call *act* until it says that it is done; those who wait share its refusal.

        Calls may come from several event loops at once. A fork leaves it undone in the child.
        """
        process = os.getpid()
        while process not in self._done:
            ours: Future[None] = Future()
            ours.set_running_or_notify_cancel()  # those who wait and give up must not cancel it
            under_way = self._under_way.setdefault(process, ours)
            if under_way is not ours:
                await asyncio.wrap_future(under_way)
                continue
            try:
                if not await act():
                    return
                self._done.add(process)
            except EmbeddingIdentityError as exc:
                ours.set_exception(exc)
                raise
            finally:
                del self._under_way[process]
                if not ours.done():
                    ours.set_result(None)


@attrs.frozen(eq=False)
class Guard:
    """
    Lets an embedding at an index if it is what made its vectors, and writes down what it is.

    Attributes:
        folder: Where the index is.
        maker: The embedding.
    """

    folder: Folder
    maker: Maker
    _once: Once = attrs.field(factory=Once, init=False)

    def check_length(self) -> None:
        """
        Refuse vectors of another length at once: LightRAG fails at them before it embeds.

        Raises:
            EmbeddingIdentityError: Those of the index have another length.
        """
        then = recorded(self.folder)
        stored = then.dimensions if then else self.folder.dimensions()
        if stored in (None, self.maker.dimensions):
            return
        now = self.maker.identity()
        if then is not None:
            self._refuse_unlike(then, now)
        raise self._refusal(_not_recorded(stored), now, ["dimensions"])

    async def passed(self, input_type: InputType, deadline: Deadline) -> None:
        """
        Find out, in the first call, whether the vectors of the index can be compared with ours.

        Args:
            input_type: Of the call. Vectors of documents are stored after it, so what makes them
                is written down; with a query that is done only if others were compared.
            deadline: The call's.

        Raises:
            EmbeddingIdentityError: Another embedding has made the index.
            RequestTimeoutError: It took longer than the call has.
        """
        async with until(deadline, self.maker.opening, _LATE):
            await self._once.do(lambda: self._is_settled(input_type, deadline))

    async def _is_settled(self, input_type: InputType, deadline: Deadline) -> bool:
        """Find out; return whether it is written down now."""
        then = await asyncio.to_thread(self._begun)
        if then is not None:
            self._refuse_unlike(then, await self.maker.probed(deadline))
            return True
        sample = await asyncio.to_thread(self.folder.sample)
        if sample is None and input_type == "query":
            return False
        now = await self.maker.probed(deadline)
        if sample is not None and (unlike := await unlike_stored(sample, self.maker, deadline)):
            raise self._refusal(_not_recorded(sample.vectors.shape[1]), now, unlike)
        await asyncio.to_thread(self._write, now, is_compared=sample is not None)
        return True

    def _begun(self) -> Identity | None:
        """Return what is written down, if what needs no embedding does not speak against it."""
        if self.folder.is_unfinished:
            raise EmbeddingIdentityError(
                f"the vectors in {self.folder.path} are partly old and partly new, since what "
                "replaced them was interrupted; have it done:\n"
                f"  {self.maker.command(self.folder)}"
            )
        then = recorded(self.folder)
        if then is not None:
            self._refuse_unlike(then, self.maker.identity())
        return then

    def _refuse_unlike(self, then: Identity, now: Identity) -> None:
        if unlike := then.unlike(now):
            raise self._refusal(then.shown(), now, unlike)

    def _refusal(
        self, then: Mapping[str, str], now: Identity, unlike: list[str]
    ) -> EmbeddingIdentityError:
        return refusal(self.folder, then, now.shown(), unlike, self.maker.command(self.folder))

    def _write(self, now: Identity, *, is_compared: bool) -> None:
        if not is_compared:
            is_elsewhere = self.folder.has_documents()
            _log.log(
                logging.WARNING if is_elsewhere else logging.INFO,
                "%s: no vectors of LightRAG's default storage are there to compare with %s's own, "
                "and another storage's can't be; what embeds from now on is recorded",
                self.folder.path,
                now.reference,
            )
        try:
            record(self.folder, now)
        except OSError as exc:
            _log.warning(
                "%s can't be written (%s): another embedding will not be noticed",
                record_of(self.folder),
                exc,
            )


def _not_recorded(dimensions: int | None) -> dict[str, str]:
    return {"model": "not recorded", "dimensions": str(dimensions)}


async def unlike_stored(sample: Sample, maker: Maker, deadline: Deadline) -> list[str]:
    """Embed stored texts again, and say in what their vectors differ; in nothing if they agree."""
    if sample.vectors.shape[1] != maker.dimensions:
        return ["dimensions"]
    again = await maker.embed(sample.texts, input_type="document", deadline=deadline)
    least = min(cosines(sample.vectors, again))
    return [] if least >= _SAME_AS_STORED else [f"the vectors of stored texts (cosine {least:.3f})"]
