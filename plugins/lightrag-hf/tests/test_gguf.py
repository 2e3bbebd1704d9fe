"""Tests of GGUF files, converted once and kept."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from transformers import AutoTokenizer

from lightrag_hf import _gguf
from lightrag_hf._gguf import cache_folder, converted
from ragcore import UnsupportedError


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[Path]:
    """Count conversions, which here take no time, and return what was converted."""
    files: list[Path] = []

    def convert(file: Path, folder: Path, dtype: torch.dtype) -> None:
        files.append(file)
        folder.mkdir()
        (folder / "model.safetensors").write_bytes(file.read_bytes())

    monkeypatch.setattr(_gguf, "_convert", convert)
    monkeypatch.setenv("RAGCORE_CACHE_DIR", str(tmp_path / "cache"))
    return files


@pytest.fixture
def gguf(tmp_path: Path) -> Path:
    """Return a file that passes for a model."""
    path = tmp_path / "tiny.Q4_1.gguf"
    path.write_bytes(b"weights")
    return path


def test_a_file_is_converted_once(made: list[Path], gguf: Path) -> None:
    """The second time, what was kept is used."""
    folder = converted(gguf, torch.float32)

    assert converted(gguf, torch.float32) == folder
    assert made == [gguf]
    assert folder.parent == cache_folder()


def test_each_number_type_is_kept_apart(made: list[Path], gguf: Path) -> None:
    """Weights in another type are another conversion."""
    assert converted(gguf, torch.float32) != converted(gguf, torch.bfloat16)


def test_a_changed_file_is_converted_again(made: list[Path], gguf: Path) -> None:
    """What was kept of a file that was since replaced is not used."""
    old = converted(gguf, torch.float32)
    gguf.write_bytes(b"other weights")

    assert converted(gguf, torch.float32) != old


@pytest.mark.parametrize("harm", ["cut", "lost", "unmarked"])
def test_a_broken_folder_is_made_again(made: list[Path], gguf: Path, harm: str) -> None:
    """A folder that lacks something is no model."""
    folder = converted(gguf, torch.float32)
    match harm:
        case "cut":
            (folder / "model.safetensors").write_bytes(b"weig")
        case "lost":
            (folder / "model.safetensors").unlink()
        case "unmarked":
            (folder / "ragcore.json").unlink()

    converted(gguf, torch.float32)

    assert (folder / "model.safetensors").read_bytes() == b"weights"


def test_a_conversion_that_fails_leaves_nothing_behind(
    monkeypatch: pytest.MonkeyPatch, made: list[Path], gguf: Path
) -> None:
    """What was begun is removed, and the next try begins anew."""
    with monkeypatch.context() as patch:
        patch.setattr(_gguf, "_convert", lambda *_: 1 / 0)
        with pytest.raises(UnsupportedError):
            converted(gguf, torch.float32)

    assert [path for path in cache_folder().iterdir() if path.is_dir()] == []
    assert converted(gguf, torch.float32).is_dir()


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


CONVERT = """
import sys, time
from pathlib import Path
import torch
from lightrag_hf import _gguf

def convert(file, folder, dtype):
    print("converted")
    time.sleep(1)
    folder.mkdir()
    (folder / "model.safetensors").write_bytes(file.read_bytes())

_gguf._convert = convert
folder = _gguf.converted(Path(sys.argv[1]), torch.float32)
print((folder / "model.safetensors").read_text())
"""


def test_processes_that_ask_at_once_convert_once(tmp_path: Path, gguf: Path) -> None:
    """One converts, the others wait and use what it made."""
    processes = [
        subprocess.Popen(  # noqa: S603  # our own interpreter
            [sys.executable, "-c", CONVERT, str(gguf)],
            env=os.environ | {"RAGCORE_CACHE_DIR": str(tmp_path / "cache")},
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(3)
    ]
    said = [process.communicate(timeout=120)[0].split() for process in processes]

    assert sorted(said) == [["converted", "weights"], ["weights"], ["weights"]]


def test_the_chat_template_survives(model_cache: Path, smollm2_gguf: Path) -> None:
    """The real model's tokenizer comes out of the file whole."""
    folder = converted(smollm2_gguf, torch.float32)
    tokenizer = AutoTokenizer.from_pretrained(folder)

    assert "SmolLM" in tokenizer.chat_template
    assert tokenizer.decode(tokenizer.encode("Grüße, 世界!")) == "Grüße, 世界!"
