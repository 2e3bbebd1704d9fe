"""What docs/reference/services.md says is kept by tests that are there."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs/reference/services.md").read_text("utf-8")


def test_every_row_names_tests_that_are_there() -> None:
    """A row without one would be a promise that nobody keeps."""
    rows = [line for line in PAGE.splitlines() if line.startswith("| ") and "kept by" not in line]
    folders = [
        ROOT / "tests",
        ROOT / "src/ragcore/testing/contracts",
        *ROOT.glob("plugins/*/tests"),
    ]
    text = "\n".join(file.read_text("utf-8") for one in folders for file in one.rglob("*.py"))
    there = set(re.findall(r"def (test_\w+)\(", text))
    named = [set(re.findall(r"`(test_\w+)`", row)) for row in rows]

    assert all(named)
    assert set().union(*named) - there == set()


def test_every_error_is_there() -> None:
    """Under the name that the page gives it."""
    import ragcore

    names = set(re.findall(r"`(\w+Error)`", PAGE)) - {"RuntimeError"}

    assert {name for name in names if not hasattr(ragcore, name)} == set()
