"""
What was made out of GGUF files, kept in folders for the next time; imports no torch.

Several processes may ask at once: one makes the folder, the others wait for it. Of a file that
was changed, and where a folder is not complete, it is made again.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import re
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path

import platformdirs
from filelock import FileLock, Timeout

from lightrag_hf._loading import stop_if_exiting

_log = logging.getLogger("lightrag_hf")

_MANIFEST = "ragcore.json"
_SECONDS_BETWEEN_LOOKS = 0.5


def kept(file: Path, what: str, make: Callable[[Path], None]) -> Path:
    """
    Return the folder with what was made out of *file*; blocks.

    Args:
        file: A GGUF file.
        what: Tells apart what is made out of one file; part of the folder's name.
        make: Called with the folder, which is not there yet, if it has to be made.
    """
    folder = cache_folder() / f"{_name(file)}-{what}"
    folder.parent.mkdir(parents=True, exist_ok=True)
    with _locked(folder.with_suffix(".lock")):
        if not _is_complete(folder):
            _log.info("Converting %s, once; kept in %s", file, folder)
            _replace(folder, make)
    return folder


def all_kept(file: Path) -> list[Path]:
    """Return the complete folders of *file*."""
    return [folder for folder in cache_folder().glob(f"{_name(file)}-*") if _is_complete(folder)]


def cache_folder() -> Path:
    """Return where converted models are kept: ``RAGCORE_CACHE_DIR``, or the user's cache."""
    root = os.environ.get("RAGCORE_CACHE_DIR") or platformdirs.user_cache_dir("ragcore")
    return Path(root).expanduser() / "gguf"


def _name(file: Path) -> str:
    """Name *file* by all that the conversion depends on; without dots and wildcards."""
    status = file.stat()
    identity = [str(file.resolve()), status.st_size, status.st_mtime_ns, version("transformers")]
    digest = hashlib.sha256(json.dumps(identity).encode()).hexdigest()[:16]
    return f"{re.sub('[^A-Za-z0-9_-]', '_', file.stem)}-{digest}"


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    lock = FileLock(path)
    while not lock.is_locked:
        try:
            lock.acquire(timeout=_SECONDS_BETWEEN_LOOKS)
        except Timeout:
            stop_if_exiting()
    try:
        yield
    finally:
        lock.release()


def _is_complete(folder: Path) -> bool:
    try:
        sizes = json.loads((folder / _MANIFEST).read_text("utf-8"))
        return bool(sizes == _sizes(folder))
    except (OSError, ValueError):
        return False


def _sizes(folder: Path) -> dict[str, int]:
    files = (path for path in folder.iterdir() if path.name != _MANIFEST)
    return {path.name: path.stat().st_size for path in files}


def _replace(folder: Path, make: Callable[[Path], None]) -> None:
    """Put what *make* makes in the place of what is there."""
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix="unfinished-") as name:
        made = Path(name) / "made"
        make(made)
        (made / _MANIFEST).write_text(json.dumps(_sizes(made)), "utf-8")
        shutil.rmtree(folder, ignore_errors=True)
        made.replace(folder)
