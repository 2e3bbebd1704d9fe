"""Importing costs little, and does nothing."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import Any

HEAVY = [
    "numpy",
    "torch",
    "transformers",
    "tokenizers",
    "safetensors",
    "accelerate",
    "sentence_transformers",
    "lightrag",
    "openai",
    "anthropic",
    "boto3",
    "botocore",
    "ollama",
    "huggingface_hub",
    "httpx",
    "httpx2",
    "aiohttp",
    "requests",
    "msgspec",
    "pydantic",
    "tiktoken",
    "click",
    "rich",
    "dotenv",
]


def loaded_after(code: str) -> list[str]:
    """Return which heavy modules a new interpreter has after *code*."""
    report = f"{code}\nimport sys, json; print(json.dumps(sorted(sys.modules)))"
    done = subprocess.run(  # noqa: S603  # our own code
        [sys.executable, "-c", report], capture_output=True, text=True, check=True
    )
    modules = {name.partition(".")[0] for name in json.loads(done.stdout)}
    return sorted(modules & set(HEAVY))


def test_import_loads_no_sdk() -> None:
    """Neither numpy nor any SDK, nor what an extra brings."""
    assert loaded_after("import ragcore") == []


def test_listing_providers_loads_no_sdk() -> None:
    """With every plugin that is installed here."""
    assert loaded_after("import ragcore; ragcore.providers()") == []


def test_completing_loads_no_numpy() -> None:
    """Who only completes does not pay for vectors."""
    code = """
import ragcore
from ragcore.testing import Script, scripted
with scripted(), ragcore.sync.completion("scripted:x", script=Script("Goethe")) as model:
    model.complete("Who?")
"""

    assert "numpy" not in loaded_after(code)


def test_import_starts_nothing() -> None:
    """No thread, no loop, no environment variable, no warning."""
    code = """
import os, sys, threading
before = dict(os.environ)
import ragcore, ragcore.testing
assert threading.active_count() == 1
assert dict(os.environ) == before
"""
    done = run(code, "-W", "error", "-X", "dev")

    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def run(code: str, *options: str) -> Any:
    return subprocess.run(  # noqa: S603  # our own code
        [sys.executable, *options, "-c", code],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "RAGCORE_PLUGINS": "none"},
    )


def test_optimised_python_works() -> None:
    """Nothing rests on an assert."""
    code = """
import ragcore
from ragcore.testing import Script, scripted
with scripted(), ragcore.sync.completion("scripted:x", script=Script("Goethe")) as model:
    print(model.complete("Who?").text)
"""
    done = subprocess.run(  # noqa: S603  # our own code
        [sys.executable, "-OO", "-c", code], capture_output=True, text=True, check=False
    )

    assert (done.stdout, done.stderr) == ("Goethe\n", "")
