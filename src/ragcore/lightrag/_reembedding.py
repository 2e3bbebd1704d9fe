"""
Makes the vectors of an index anew, with another embedding.

What was embedded is stored beside each vector, so nothing else is needed: no document, and no
completion. New vectors are collected in a file of their own, so that a run that was interrupted is
gone on with; the files of the index are replaced when all vectors are there.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Self

import attrs

from ragcore._calls.attempts import Deadline
from ragcore.errors import OptionsError
from ragcore.lightrag._embedding import maker_of
from ragcore.lightrag._guard import unlike_stored
from ragcore.lightrag._identity import Identity, Maker, record, record_of, recorded
from ragcore.lightrag._index import Folder, Stored, packed_rows, unpacked_rows

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from ragcore.lightrag._engine import EmbeddingFunc

    Vectors = npt.NDArray[np.float32]

_COLLECTED = "ragcore_reembedding.jsonl"
# Texts of one call: what is lost at most when a run is interrupted.
_AT_ONCE = 64

Progress = Callable[[int, int], None]


@attrs.frozen
class Reembedded:
    """
    What has become of an index.

    Attributes:
        counts: New vectors, by what they stand for: ``chunks``, ``entities``, ``relations``.
        reference: ``"provider:model"`` of what has made them.
        dimensions: Length of a vector.
        resumed: Texts whose vectors an interrupted run had made already.
    """

    counts: Mapping[str, int]
    reference: str
    dimensions: int
    resumed: int


async def reembed(
    working_dir: str | os.PathLike[str],
    embed: EmbeddingFunc,
    *,
    workspace: str | None = None,
    force: bool = False,
    progress: Progress | None = None,
) -> Reembedded | None:
    """
    Make the vectors of LightRAG's index in *working_dir* anew.

    ::

        await reembed("rag", embedding_func("ollama:bge-m3"))

    Nothing else may use the index meanwhile. A run that was interrupted is gone on with by calling
    this again; until all new vectors are there, the files of the index are not touched.

    Args:
        working_dir: LightRAG's; the index is in files of its default vector storage.
        embed: What :func:`embedding_func` or :func:`from_env` has made. There is no deadline here
            but that of an attempt.
        workspace: LightRAG's; left out: WORKSPACE of the environment.
        force: Do it although the index is by that embedding already.
        progress: Called with how many texts have their vectors, and how many there are.

    Returns:
        What was done; None if there was nothing to do.

    Raises:
        OptionsError: There is no such index, it lacks the texts, or *embed* is somebody else's.
        ProviderError: The model did not deliver; what it has made until then is kept.
    """
    folder = Folder.of(working_dir, workspace)
    return await Reembedding(folder, maker_of(embed), progress).run(force=force)


@attrs.frozen(eq=False)
class Reembedding:
    """A run over the index in *folder*, with the embedding *maker*."""

    folder: Folder
    maker: Maker
    progress: Progress | None = None

    async def run(self, *, force: bool) -> Reembedded | None:
        """Make the vectors anew; as :func:`reembed`."""
        index = await asyncio.to_thread(_read, self.folder)
        now = await self.maker.probed(Deadline(None))
        if not force and await self._is_by(now):
            return None
        with Collected.opened(self.folder.path / _COLLECTED, now) as collected:
            resumed = await self._collect(index, collected)
            await asyncio.to_thread(self._replace, index, collected, now)
        counts = {kind: len(stored.texts()) for kind, stored in index.items()}
        return Reembedded(counts, now.reference, now.dimensions, resumed)

    async def _is_by(self, now: Identity) -> bool:
        """Say whether the index is by *now* already; if so, it is written down."""
        if self.folder.is_unfinished:
            return False
        if (then := await asyncio.to_thread(recorded, self.folder)) is not None:
            return not then.unlike(now)
        sample = await asyncio.to_thread(self.folder.sample)
        if sample is not None and await unlike_stored(sample, self.maker, Deadline(None)):
            return False
        await asyncio.to_thread(record, self.folder, now)
        return True

    async def _collect(self, index: Mapping[str, Stored], collected: Collected) -> int:
        """Make the vectors that are not there yet; return how many texts had theirs already."""
        texts = {text for stored in index.values() for text in stored.texts()}
        missing = [text for text in sorted(texts) if text not in collected]
        resumed = len(texts) - len(missing)
        for start in range(0, len(missing), _AT_ONCE):
            self._tell(resumed + start, len(texts))
            batch = missing[start : start + _AT_ONCE]
            vectors = await self.maker.embed(batch, input_type="document", deadline=Deadline(None))
            await asyncio.to_thread(collected.add, batch, vectors)
        self._tell(len(texts), len(texts))
        return resumed

    def _tell(self, done: int, count: int) -> None:
        if self.progress is not None:
            self.progress(done, count)

    def _replace(self, index: Mapping[str, Stored], collected: Collected, now: Identity) -> None:
        """
        Replace the files of *index*, each at once; the old ones are kept until all are new.

        Where that is interrupted, the old files say so, and the next run does it again.
        """
        for stored in index.values():
            vectors = collected.vectors_of(stored.texts(), now.dimensions)
            stored.with_vectors(vectors).write(_new(stored.path))
        _refuse_changed(index)
        for stored in index.values():
            self.folder.keep(stored.path)
        for stored in index.values():
            _new(stored.path).replace(stored.path)
        record(self.folder, now)
        self.folder.drop_kept()
        collected.path.unlink()


def _read(folder: Folder) -> dict[str, Stored]:
    index = {kind: Stored.read(path) for kind, path in folder.stores().items()}
    if not index:
        raise OptionsError(
            f"{folder.path} has no vectors of LightRAG's default storage. If another one has them, "
            "lightrag-rebuild-vdb, which comes with LightRAG, makes them anew; remove "
            f"{record_of(folder)} after that"
        )
    if old := [str(stored.path) for stored in index.values() if "" in stored.texts()]:
        raise OptionsError(
            f"{', '.join(old)}: texts of vectors are missing, as in files of an old LightRAG; "
            "lightrag-rebuild-vdb, which comes with LightRAG, makes them anew"
        )
    return index


def _refuse_changed(index: Mapping[str, Stored]) -> None:
    if changed := [str(stored.path) for stored in index.values() if stored.has_changed()]:
        raise OptionsError(
            f"{', '.join(changed)}: changed while new vectors were made; stop what uses the index, "
            "and run this again: the vectors are kept"
        )


def _new(path: Path) -> Path:
    return path.with_name(f"{path.name}.reembedded")


@attrs.define(eq=False)
class Collected:
    """
    New vectors in a file, which an interrupted run leaves to the next one.

    Its first line says what makes them; each other has the vector of a text.

    Attributes:
        path: Where they are written.
    """

    path: Path
    _file: IO[bytes]
    _vectors: dict[str, Vectors] = attrs.field(factory=dict)

    @classmethod
    @contextmanager
    def opened(cls, path: Path, now: Identity) -> Iterator[Self]:
        """Go on with the file in *path* if it is by *now*, else begin it."""
        with path.open("a+b") as file:
            collected = cls(path, file)
            if not collected._is_by(now):
                file.truncate(0)
                collected._write([now.as_json()])
            collected._read()
            yield collected

    def __contains__(self, text: str) -> bool:
        return _key(text) in self._vectors

    def add(self, texts: Sequence[str], vectors: Vectors) -> None:
        """Keep *vectors*, one for each of *texts*."""
        keys = [_key(text) for text in texts]
        self._vectors.update(zip(keys, vectors, strict=True))
        pairs = zip(keys, packed_rows(vectors), strict=True)
        self._write([{"text": key, "vector": vector} for key, vector in pairs])

    def vectors_of(self, texts: Sequence[str], dimensions: int) -> Vectors:
        """Return the vectors of *texts*, shape ``(len(texts), dimensions)``."""
        import numpy as np

        rows = [self._vectors[_key(text)] for text in texts]
        return np.array(rows, np.float32).reshape(len(texts), dimensions)

    def _is_by(self, now: Identity) -> bool:
        self._file.seek(0)
        try:
            then = Identity.from_json(json.loads(self._file.readline()))
        except ValueError:
            return False
        return not then.unlike(now)

    def _read(self) -> None:
        """Read what there is, and cut off a line that was not written to its end."""
        self._file.seek(0)
        end = len(self._file.readline())
        for line in self._file:
            if not line.endswith(b"\n"):
                break
            row = json.loads(line)
            self._vectors[row["text"]] = unpacked_rows([row["vector"]])[0]
            end += len(line)
        self._file.truncate(end)

    def _write(self, rows: Iterable[Any]) -> None:
        self._file.write(b"".join(json.dumps(row).encode() + b"\n" for row in rows))
        self._file.flush()


def _key(text: str) -> str:
    return hashlib.sha256(text.encode(errors="surrogatepass")).hexdigest()
