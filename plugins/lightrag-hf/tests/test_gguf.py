"""Tests of GGUF files, converted once and kept."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from transformers import AutoTokenizer

from lightrag_hf._gguf import converted, converted_tokenizer
from lightrag_hf._tokenizer import open_tokenizer
from lightrag_hf.options import HFLLMOptions
from ragcore import UnsupportedError

TEXT = "Grüße, 世界! <|im_start|>\n\tfox"


@pytest.mark.parametrize("content", [b"", b"GGUF and then nothing of the kind", b"<html>"])
def test_a_file_that_is_no_gguf_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: bytes
) -> None:
    """The error names the file and what to do."""
    monkeypatch.setenv("RAGCORE_CACHE_DIR", str(tmp_path))
    path = tmp_path / "broken.gguf"
    path.write_bytes(content)

    with pytest.raises(UnsupportedError, match=r"broken\.gguf.*fetch it again"):
        converted(path, torch.float32)
    with pytest.raises(UnsupportedError, match=r"broken\.gguf.*fetch it again"):
        converted_tokenizer(path)


def test_the_chat_template_survives(model_cache: Path, smollm2_gguf: Path) -> None:
    """The real model's tokenizer comes out of the file whole."""
    folder = converted(smollm2_gguf, torch.float32)
    tokenizer = AutoTokenizer.from_pretrained(folder)

    assert "SmolLM" in tokenizer.chat_template
    assert tokenizer.decode(tokenizer.encode("Grüße, 世界!")) == "Grüße, 世界!"


OPEN = """
import sys
from lightrag_hf._tokenizer import open_tokenizer
from lightrag_hf.options import HFLLMOptions
tokenizer = open_tokenizer(sys.argv[1], HFLLMOptions())
print([int(token) for token in tokenizer.encode(sys.argv[2])])
print(sorted({"torch", "transformers"} & set(sys.modules)))
"""


def test_what_a_model_left_serves_as_tokenizer(model_cache: Path, smollm2_gguf: Path) -> None:
    """Once the model was converted, its tokenizer is opened without torch, and is the same."""
    wanted = AutoTokenizer.from_pretrained(converted(smollm2_gguf, torch.float32))

    opened = subprocess.run(  # noqa: S603  # our own interpreter
        [sys.executable, "-c", OPEN, str(smollm2_gguf), TEXT],
        env=os.environ | {"RAGCORE_CACHE_DIR": str(model_cache)},
        capture_output=True,
        text=True,
        check=True,
    )

    assert opened.stdout == f"{wanted.encode(TEXT)}\n[]\n"


def test_a_tokenizer_alone_is_converted_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, smollm2_gguf: Path
) -> None:
    """Who only counts tokens converts no weights, and the next finds what was kept."""
    monkeypatch.setenv("RAGCORE_CACHE_DIR", str(tmp_path))
    tokenizer = open_tokenizer(str(smollm2_gguf), HFLLMOptions())
    [folder] = (path for path in (tmp_path / "gguf").iterdir() if path.is_dir())
    made = (folder / "tokenizer.json").stat().st_mtime_ns

    again = open_tokenizer(str(smollm2_gguf), HFLLMOptions())

    assert tokenizer.decode(tokenizer.encode(TEXT)) == TEXT
    assert again.encode(TEXT) == tokenizer.encode(TEXT)
    assert (folder / "tokenizer.json").stat().st_mtime_ns == made
    assert list(folder.glob("*.safetensors")) == []
