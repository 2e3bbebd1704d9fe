"""
GGUF files, converted once and kept as safetensors.

Converting takes most of the time of a load: for a model of 135 million parameters 16 s, where
the kept one is loaded in half a second.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import platformdirs
import torch
import transformers
from filelock import FileLock, Timeout
from transformers import (
    AutoModelForCausalLM,
    AutoTokenizer,
    GgufConfig,
    modeling_gguf_pytorch_utils,
)

from lightrag_hf._errors import is_out_of_memory
from lightrag_hf._loading import stop_if_exiting
from lightrag_hf._progress import Progress, building
from ragcore import UnsupportedError

_log = logging.getLogger("lightrag_hf")

_MANIFEST = "ragcore.json"
_SECONDS_BETWEEN_LOOKS = 0.5

# What readers of a binary format raise upon a file that is broken, or not of that format.
_UNREADABLE = (
    ValueError,
    LookupError,
    TypeError,
    AttributeError,
    ArithmeticError,
    AssertionError,
    RuntimeError,
)


def converted(file: Path, dtype: torch.dtype) -> Path:
    """
    Return a folder with the model in *file*, its weights as *dtype*; blocks.

    Several processes may ask at once: one converts, the others wait for it. A file that was
    changed, and a folder that is not complete, are converted again.

    Raises:
        UnsupportedError: The file is damaged, or of a kind that transformers doesn't know.
    """
    folder = _folder(file, dtype)
    folder.parent.mkdir(parents=True, exist_ok=True)
    with _locked(folder.with_suffix(".lock")):
        if not _is_complete(folder):
            _log.info("Converting %s, once; kept in %s", file, folder)
            _replace(folder, file, dtype)
    return folder


def cache_folder() -> Path:
    """Return where converted models are kept: ``RAGCORE_CACHE_DIR``, or the user's cache."""
    root = os.environ.get("RAGCORE_CACHE_DIR") or platformdirs.user_cache_dir("ragcore")
    return Path(root).expanduser() / "gguf"


def _folder(file: Path, dtype: torch.dtype) -> Path:
    """Name a folder by what the conversion depends on."""
    file = file.resolve()
    status = file.stat()
    identity = [str(file), status.st_size, status.st_mtime_ns, str(dtype), transformers.__version__]
    digest = hashlib.sha256(json.dumps(identity).encode()).hexdigest()[:16]
    return cache_folder() / f"{file.stem}-{digest}".replace(".", "_")


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


def _replace(folder: Path, file: Path, dtype: torch.dtype) -> None:
    """Put the converted model in the place of what is there."""
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix="unfinished-") as name:
        made = Path(name) / "model"
        with _readable(file), building(), _progress():
            _convert(file, made, dtype)
        (made / _MANIFEST).write_text(json.dumps(_sizes(made)), "utf-8")
        shutil.rmtree(folder, ignore_errors=True)
        made.replace(folder)


def _convert(file: Path, folder: Path, dtype: torch.dtype) -> None:
    tokenizer = AutoTokenizer.from_pretrained(file.parent, gguf_file=file.name)
    model = AutoModelForCausalLM.from_pretrained(
        file.parent,
        gguf_file=file.name,
        quantization_config=GgufConfig(dequantize=True),
        dtype=dtype,
    )
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)


@contextmanager
def _progress() -> Iterator[None]:
    """Show the conversion as other progress is shown; its bar has no hook of its own."""
    module: Any = modeling_gguf_pytorch_utils
    bar, module.tqdm = module.tqdm, Progress
    try:
        yield
    finally:
        module.tqdm = bar


@contextmanager
def _readable(file: Path) -> Iterator[None]:
    try:
        yield
    except _UNREADABLE as exc:
        if is_out_of_memory(exc):
            raise
        raise UnsupportedError(
            f"{str(file)!r} can't be read as a GGUF file ({exc}). If it is damaged, fetch it "
            "again; if transformers does not know its kind, name the model's safetensors folder."
        ) from exc
