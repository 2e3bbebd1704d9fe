"""Tests of what was made out of files, and is kept."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from lightrag_hf._kept import all_kept, cache_folder, kept

Keep = Callable[..., Path]


def copy(file: Path, folder: Path) -> None:
    """Make something out of *file*."""
    folder.mkdir()
    (folder / "model.safetensors").write_bytes(file.read_bytes())


@pytest.fixture
def made() -> list[Path]:
    """Return what was made, so far nothing."""
    return []


@pytest.fixture
def keep(made: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Keep:
    """Return what makes and keeps a copy of a file."""
    monkeypatch.setenv("RAGCORE_CACHE_DIR", str(tmp_path / "cache"))

    def keep(file: Path, what: str = "float32") -> Path:
        def make(folder: Path) -> None:
            made.append(file)
            copy(file, folder)

        return kept(file, what, make)

    return keep


@pytest.fixture
def gguf(tmp_path: Path) -> Path:
    """Return a file that passes for a model; its name has what is special in patterns."""
    path = tmp_path / "tiny [v1].Q4_1.gguf"
    path.write_bytes(b"weights")
    return path


def test_a_file_is_converted_once(keep: Keep, made: list[Path], gguf: Path) -> None:
    """The second time, what was kept is used."""
    folder = keep(gguf)

    assert keep(gguf) == folder
    assert made == [gguf]
    assert folder.parent == cache_folder()


def test_each_number_type_is_kept_apart(keep: Keep, gguf: Path) -> None:
    """Weights in another type are another conversion; both are found by the file."""
    folders = {keep(gguf), keep(gguf, "bfloat16")}

    assert len(folders) == 2
    assert set(all_kept(gguf)) == folders


def test_a_changed_file_is_converted_again(keep: Keep, gguf: Path) -> None:
    """What was kept of a file that was since replaced is not used."""
    old = keep(gguf)
    gguf.write_bytes(b"other weights")

    assert all_kept(gguf) == []
    assert keep(gguf) != old


@pytest.mark.parametrize("harm", ["cut", "lost", "unmarked"])
def test_a_broken_folder_is_made_again(keep: Keep, gguf: Path, harm: str) -> None:
    """A folder that lacks something is no model."""
    folder = keep(gguf)
    match harm:
        case "cut":
            (folder / "model.safetensors").write_bytes(b"weig")
        case "lost":
            (folder / "model.safetensors").unlink()
        case "unmarked":
            (folder / "ragcore.json").unlink()
    broken = all_kept(gguf)

    keep(gguf)

    assert broken == []
    assert (folder / "model.safetensors").read_bytes() == b"weights"


def test_a_conversion_that_fails_leaves_nothing_behind(keep: Keep, gguf: Path) -> None:
    """What was begun is removed, and the next try begins anew."""

    def fail(folder: Path) -> None:
        copy(gguf, folder)
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        kept(gguf, "float32", fail)

    assert [path for path in cache_folder().iterdir() if path.is_dir()] == []
    assert keep(gguf).is_dir()


CONVERT = """
import sys, time
from pathlib import Path
from lightrag_hf._kept import kept

file = Path(sys.argv[1])

def convert(folder):
    print("converted")
    time.sleep(1)
    folder.mkdir()
    (folder / "model.safetensors").write_bytes(file.read_bytes())

folder = kept(file, "float32", convert)
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
