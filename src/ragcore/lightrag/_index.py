"""
An index as LightRAG's default storages keep it: files in a folder.

Source:
    ``lightrag/kg/nano_vector_db_impl.py`` of lightrag-hku 1.5.7, and ``nano_vectordb`` 0.0.4.
"""

from __future__ import annotations

import base64
import contextlib
import json
import os
import re
import shutil
import zlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Self

import attrs

from ragcore.errors import OptionsError

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Vectors = npt.NDArray[np.float32]

# What a vector stands for, and the file of these.
STORES = {
    "chunks": "vdb_chunks.json",
    "entities": "vdb_entities.json",
    "relations": "vdb_relationships.json",
}
_KEPT = ".before-reembed"
_SAMPLE = 3
_BEGINNING = re.compile(rb'\s*\{\s*"embedding_dim":\s*(\d+)')
_DONE = re.compile(rb'"status":\s*"processed"')


@attrs.frozen(eq=False)
class Sample:
    """
    Some of what is stored.

    Attributes:
        texts: What was embedded.
        vectors: What came of it, shape ``(len(texts), dimensions)``.
    """

    texts: Sequence[str]
    vectors: Vectors


@attrs.frozen
class Folder:
    """
    Where LightRAG keeps an index.

    Attributes:
        working_dir: As LightRAG is told.
        workspace: The part of *working_dir* that is this index; empty for all of it.
    """

    working_dir: Path
    workspace: str = ""

    @classmethod
    def of(cls, working_dir: str | os.PathLike[str], workspace: str | None) -> Self:
        """
        Return the folder; without a *workspace* the environment names it, as LightRAG has it.

        Raises:
            OptionsError: *workspace* is no name of a folder.
        """
        name = os.environ.get("WORKSPACE", "") if workspace is None else workspace
        if name in {".", ".."} or "/" in name or "\\" in name:
            raise OptionsError(f"workspace: {name!r} is not the name of a folder in {working_dir}")
        return cls(Path(working_dir), name)

    @property
    def path(self) -> Path:
        """Where the files are."""
        return self.working_dir / self.workspace

    def stores(self) -> dict[str, Path]:
        """Return the files of vectors that there are, by what their vectors stand for."""
        paths = {kind: self.path / name for kind, name in STORES.items()}
        return {kind: path for kind, path in paths.items() if path.is_file()}

    @property
    def is_unfinished(self) -> bool:
        """Whether files of vectors are partly old and partly new: old ones are kept until then."""
        return any(path.exists() for path in self._kept())

    def keep(self, path: Path) -> None:
        """Keep the file in *path*, which is to be replaced."""
        kept = path.with_name(path.name + _KEPT)
        if not kept.exists():
            try:
                kept.hardlink_to(path)
            except OSError:  # not every file system has links
                shutil.copy2(path, kept)

    def drop_kept(self) -> None:
        """Remove the files that were kept."""
        for path in self._kept():
            path.unlink(missing_ok=True)

    def _kept(self) -> list[Path]:
        return [self.path / f"{name}{_KEPT}" for name in STORES.values()]

    def dimensions(self) -> int | None:
        """Return the length of the stored vectors, from the beginning of a file; None if unsaid."""
        for path in self.stores().values():
            with path.open("rb") as file:
                if found := _BEGINNING.match(file.read(100)):
                    return int(found[1])
        return None

    def sample(self) -> Sample | None:
        """
        Return some stored texts, the shortest, and their vectors; None if there are none.

        Short ones, since a long one may have been cut at another place.

        Raises:
            OptionsError: A file is not one of the storage.
        """
        for path in self.stores().values():
            stored = Stored.read(path)
            texts = stored.texts()
            rows = [row for row, text in enumerate(texts) if text]
            shortest = sorted(rows, key=lambda row: len(texts[row]))[:_SAMPLE]
            if shortest:
                return Sample([texts[row] for row in shortest], stored.vectors()[shortest])
        return None

    def has_documents(self) -> bool:
        """Say whether documents are done, wherever their vectors are."""
        path = self.path / "kv_store_doc_status.json"
        return path.is_file() and _DONE.search(path.read_bytes()) is not None


@attrs.frozen(eq=False)
class Stored:
    """
    A file of vectors.

    Attributes:
        path: Where it is.
        content: What is in it: ``embedding_dim``, ``data`` and ``matrix``, and what else there is.
        state: Of the file when it was read.
    """

    path: Path
    content: dict[str, Any]
    state: tuple[int, int]

    @classmethod
    def read(cls, path: Path) -> Self:
        """
        Read all of *path*.

        Raises:
            OptionsError: It is not a file of the storage.
        """
        state = _state(path)
        try:
            stored = cls(path, json.loads(path.read_text("utf-8")), state)
            rows, vectors = len(stored.texts()), len(stored.vectors())
        except (ValueError, KeyError, TypeError, AttributeError) as exc:
            problem = f"{path} is not a file of LightRAG's default storage: {exc}"
            raise OptionsError(problem) from exc
        if rows != vectors:
            raise OptionsError(f"{path} has {vectors} vectors for {rows} rows")
        return stored

    def has_changed(self) -> bool:
        """Say whether somebody has written the file since it was read."""
        return _state(self.path) != self.state

    def texts(self) -> list[str]:
        """Return what was embedded, row by row; nothing where an old LightRAG did not keep it."""
        return [row.get("content") or "" for row in self.content["data"]]

    def vectors(self) -> Vectors:
        """Return the vectors, of unit length, shape ``(rows, dimensions)``."""
        import numpy as np

        numbers = np.frombuffer(base64.b64decode(self.content["matrix"]), np.float32)
        return numbers.reshape(-1, self.content["embedding_dim"])

    def with_vectors(self, vectors: Vectors) -> Self:
        """Return it with other *vectors*, shape ``(rows, dimensions)``, one for each row."""
        matrix = base64.b64encode(_unit_length(vectors).tobytes()).decode()
        pairs = zip(self.content["data"], vectors, strict=True)
        rows = [row | {"vector": _packed(vector)} for row, vector in pairs]
        changed = {"embedding_dim": vectors.shape[1], "data": rows, "matrix": matrix}
        return attrs.evolve(self, content=self.content | changed)

    def write(self, path: Path) -> None:
        """Write it to *path*, as the storage itself does."""
        write(path, lambda file: json.dump(self.content, file, ensure_ascii=False))


def _state(path: Path) -> tuple[int, int]:
    found = path.stat()
    return found.st_mtime_ns, found.st_size


def write(path: Path, fill: Callable[[IO[str]], object]) -> None:
    """Have *fill* write a file that is at *path* when it is whole, and on the disk."""
    # Not to be taken for a file of the storage, and no other process's.
    draft = path.with_name(f"{path.name}.tmp.{os.getpid()}")
    try:
        with draft.open("w", encoding="utf-8") as file:
            fill(file)
            file.flush()
            os.fsync(file.fileno())
        if path.exists():
            shutil.copymode(path, draft)
        draft.replace(path)
    finally:
        with contextlib.suppress(FileNotFoundError):
            draft.unlink()


def cosines(ones: Vectors, others: Vectors) -> Iterator[float]:
    """Yield the cosine of each pair of rows; two vectors of zeros are alike."""
    import numpy as np

    for one, other in zip(ones.astype(np.float64), others.astype(np.float64), strict=True):
        lengths = float(np.linalg.norm(one) * np.linalg.norm(other))
        yield float(one @ other) / lengths if lengths else float(not one.any() and not other.any())


def _unit_length(vectors: Vectors) -> Vectors:
    import numpy as np

    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return (vectors / np.where(lengths == 0, 1, lengths)).astype(np.float32)


def _packed(vector: Vectors) -> str:
    import numpy as np

    return base64.b64encode(zlib.compress(vector.astype(np.float16).tobytes())).decode()


def packed_rows(vectors: Vectors) -> Sequence[str]:
    """Return each of *vectors* as text."""
    return [base64.b64encode(vector.tobytes()).decode() for vector in vectors]


def unpacked_rows(texts: Sequence[str]) -> Vectors:
    """Return the vectors that :func:`packed_rows` has made text of."""
    import numpy as np

    return np.array([np.frombuffer(base64.b64decode(text), np.float32) for text in texts])
