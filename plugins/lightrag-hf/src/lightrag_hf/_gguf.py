"""GGUF files, converted to what transformers loads quickly."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import torch
from transformers import (
    AutoModelForCausalLM,
    AutoTokenizer,
    GgufConfig,
    modeling_gguf_pytorch_utils,
)

from lightrag_hf._errors import is_out_of_memory
from lightrag_hf._kept import kept
from lightrag_hf._progress import Progress, building
from lightrag_hf._weights import whole_model
from ragcore import UnsupportedError

# As llama.cpp names the parts.
_PART = re.compile(r"-\d{5}-of-(?!00001)\d{5}\.gguf$")

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

    Converted once: for a model of 135 million parameters that takes 16 s, where what was kept
    is loaded in half a second.

    Raises:
        UnsupportedError: The file is damaged, or of a kind that transformers doesn't know.
    """
    return kept(file, str(dtype).removeprefix("torch."), partial(_convert, file, dtype))


def converted_tokenizer(file: Path) -> Path:
    """Return a folder with the tokenizer in *file*; blocks, and raises, as :func:`converted`."""
    return kept(file, "tokenizer", partial(_convert, file, None))


def _convert(file: Path, dtype: torch.dtype | None, folder: Path) -> None:
    """Save the tokenizer in *file* into *folder*, and the weights if they are to have a *dtype*."""
    _require_one_file(file)
    try:
        with building(), _progress():
            if dtype is not None:
                _model(file, dtype).save_pretrained(folder)
            found = AutoTokenizer.from_pretrained(file.parent, gguf_file=file.name)
            found.save_pretrained(folder)
    except _UNREADABLE as exc:
        if is_out_of_memory(exc):
            raise
        raise UnsupportedError(
            f"{str(file)!r} can't be read as a GGUF file ({exc}); if it is damaged, fetch it "
            "again; if transformers does not know its kind, name the model's safetensors folder"
        ) from exc


def _require_one_file(file: Path) -> None:
    if _PART.search(file.name):
        raise UnsupportedError(
            f"{str(file)!r} is a part of a split model, which transformers can't put together; "
            "merge the parts with llama.cpp (llama-gguf-split --merge FIRST-PART WHOLE), or name "
            "the model's safetensors folder"
        )


def _model(file: Path, dtype: torch.dtype) -> Any:
    return whole_model(
        AutoModelForCausalLM,
        str(file),
        file.parent,
        gguf_file=file.name,
        quantization_config=GgufConfig(dequantize=True),
        dtype=dtype,
    )


@contextmanager
def _progress() -> Iterator[None]:
    """Show the conversion as other progress is shown; its bar has no hook of its own."""
    module: Any = modeling_gguf_pytorch_utils
    bar, module.tqdm = module.tqdm, Progress
    try:
        yield
    finally:
        module.tqdm = bar
