"""The migration page names what there is: imports, exceptions, variables, tests."""

from __future__ import annotations

import ast
import functools
import importlib
import re
from importlib.util import find_spec
from pathlib import Path

import pytest

import ragcore
from ragcore.lightrag import VARIABLES

ROOT = Path(__file__).parent.parent
PAGE = (ROOT / "docs" / "how-to" / "migrate-from-lightrag.md").read_text(encoding="utf-8")
DEFECTS = 59


def rows_under(heading: str) -> list[list[str]]:
    """Return the cells of each row of the table under *heading*."""
    section = PAGE.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    _, _, *rows = (line for line in section.splitlines() if line.startswith("|"))
    return [[cell.strip() for cell in row.strip("|").split(" | ")] for row in rows]


IMPORTS = re.findall(r"`from (\w[\w.]*) import ([\w, ]+)`", PAGE)
TESTS = re.findall(r"`([\w/.-]+\.py)::(\w+)`", PAGE)


@functools.cache
def functions_in(path: str) -> set[str]:
    """Return the names of all functions in a file, those of classes included."""
    tree = ast.parse((ROOT / path).read_text(encoding="utf-8"))
    kinds = ast.FunctionDef | ast.AsyncFunctionDef
    return {node.name for node in ast.walk(tree) if isinstance(node, kinds)}


@pytest.mark.parametrize(("module", "names"), IMPORTS)
def test_an_import_works(module: str, names: str) -> None:
    """Each name of the line is in the module."""
    if find_spec(module.partition(".")[0]) is None:
        pytest.skip(f"{module} is not installed")
    found = importlib.import_module(module)

    assert [name for name in names.split(", ") if not hasattr(found, name)] == []


def test_each_name_of_lightrags_is_on_the_page() -> None:
    """Every public function of the six modules that the plugins stand for."""
    spec = find_spec("lightrag")
    if spec is None or spec.origin is None:
        pytest.skip("LightRAG is not installed")
    named = {name for _, names in IMPORTS for name in names.split(", ")}
    modules = ("openai", "azure_openai", "ollama", "hf", "anthropic", "bedrock")
    sources = [Path(spec.origin).parent / "llm" / f"{module}.py" for module in modules]
    theirs = {
        node.name
        for source in sources
        for node in ast.parse(source.read_text("utf-8")).body
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name[0] != "_"
    }

    assert theirs <= named


def test_exceptions_are_ours() -> None:
    """Each that the right column names is in the tree."""
    named = {name for _, ours in rows_under("Exceptions") for name in re.findall(r"\w+Error", ours)}

    assert named
    assert [name for name in named if not hasattr(ragcore, name)] == []


def test_each_variable_of_lightrags_is_on_the_page() -> None:
    """Those of ``from_env``, in the table."""
    told = {
        name
        for variables, *_ in rows_under("From the environment")
        for name in re.findall(r"[A-Z][A-Z0-9_]+", variables)
    }

    ours = {name for group in VARIABLES for one in group.fields() for name in one.variables}
    assert ours <= told


def test_each_defect_has_a_test() -> None:
    """They are numbered, and every test that is named exists."""
    rows = rows_under("The defects of LightRAG 1.5.7's model layer, one by one")

    assert [int(number) for number, *_ in rows] == list(range(1, DEFECTS + 1))
    assert all("::test_" in shown for *_, shown in rows)


@pytest.mark.parametrize(("path", "name"), sorted(set(TESTS)))
def test_a_test_exists(path: str, name: str) -> None:
    """At the place that the page says."""
    assert name in functions_in(path)
