"""Guards of what is public: names, documentation, hooks."""

from __future__ import annotations

import ast
import importlib
import inspect
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

import ragcore
import ragcore.testing
from ragcore import hookspecs

MODULES = [
    importlib.import_module(f"ragcore{name}")
    for name in (
        "",
        ".errors",
        ".hookspecs",
        ".lightrag",
        ".options",
        ".sync",
        ".testing",
        ".testing.contracts",
        ".testing.server",
        ".wire",
    )
]
HOOKS = [name for name in vars(hookspecs) if name.startswith("ragcore_")]


def test_all_is_all_that_is_public() -> None:
    """Sorted, complete, and nothing else."""
    public = {
        name
        for name, value in vars(ragcore).items()
        if not name.startswith("_") and (name == "sync" or not isinstance(value, ModuleType))
    }

    assert sorted(public) == ragcore.__all__


def test_the_package_says_that_it_is_typed() -> None:
    """Type checkers look for the marker."""
    assert ragcore.__file__ is not None
    assert Path(ragcore.__file__).with_name("py.typed").exists()


def own(module: ModuleType) -> Iterator[tuple[str, Any]]:
    """Yield the public classes and functions that *module* defines, and their public members."""
    names = getattr(module, "__all__", vars(module))
    for name in names:
        thing = getattr(module, name)
        defined = str(getattr(thing, "__module__", "")).startswith(module.__name__)
        if name.startswith("_") or not defined or not callable(thing):
            continue
        yield f"{module.__name__}.{name}", thing
        if inspect.isclass(thing):
            yield from members(f"{module.__name__}.{name}", thing)


def members(path: str, cls: type) -> Iterator[tuple[str, Any]]:
    for name, member in vars(cls).items():
        is_code = callable(member) or isinstance(member, property | classmethod | staticmethod)
        if is_code and not name.startswith("_"):
            yield f"{path}.{name}", member


PUBLIC = dict(pair for module in MODULES for pair in own(module))


def test_there_is_something_to_guard() -> None:
    """The walk below finds classes, functions and their methods."""
    assert {
        "ragcore.completion",
        "ragcore.fallback",
        "ragcore.CompletionModel.stream",
        "ragcore.lightrag.llm_model_func",
        "ragcore.sync.CompletionModel.complete",
        "ragcore.testing.FakeClock.run",
        "ragcore.testing.contracts.CompletionContract.test_it_answers",
        "ragcore.testing.server.Connection.chunk",
        "ragcore.Image.from_path",
    } <= set(PUBLIC)


@pytest.mark.parametrize("path", PUBLIC)
def test_every_public_thing_is_documented(path: str) -> None:
    """With a sentence that begins large and ends."""
    first = (inspect.getdoc(PUBLIC[path]) or "").partition("\n\n")[0]

    assert first.endswith((".", ":", "::"))
    assert first[0].isupper() or first.startswith(("``", '"', "float32"))


@pytest.mark.parametrize("hook", HOOKS)
def test_every_hook_is_explained(hook: str) -> None:
    """When it is called, and one example that compiles."""
    doc = inspect.getdoc(getattr(hookspecs, hook)) or ""
    example = inspect.cleandoc(doc.partition("::\n")[2])

    assert "Called once" in doc
    assert f"def {hook}" in example
    ast.parse(example)


@pytest.mark.parametrize("hook", HOOKS)
def test_every_hook_is_called_by_a_test(hook: str) -> None:
    """A hook that no test implements is a promise nobody keeps."""
    tests = Path(__file__).with_name("test_plugins.py").read_text()
    implementations = [
        node.name for node in ast.walk(ast.parse(tests)) if isinstance(node, ast.FunctionDef)
    ]

    assert hook in implementations


def test_the_page_for_authors_is_a_plugin_that_compiles() -> None:
    """The first thing a plugin author copies."""
    page = inspect.getdoc(hookspecs) or ""
    example = inspect.cleandoc(
        page.partition("A complete one::\n")[2].partition("The plugin makes")[0]
    )

    tree = ast.parse(example)

    names = {node.name for node in ast.walk(tree) if hasattr(node, "name")}
    assert {"AcmeOptions", "ragcore_completion_providers", "connect", "AcmeCompletion"} <= names


def test_the_page_for_authors_works(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Taken from the docstring as it stands, with an SDK made up for it."""
    page = inspect.getdoc(hookspecs) or ""
    example = inspect.cleandoc(
        page.partition("A complete one::\n")[2].partition("The plugin makes")[0]
    )
    _, module, client = example.split("# ragcore_acme/")
    package = tmp_path / "ragcore_acme"
    package.mkdir()
    (package / "__init__.py").write_text("# " + module)
    (package / "client.py").write_text("# " + client)
    (tmp_path / "acme_sdk.py").write_text(SDK)
    monkeypatch.syspath_prepend(tmp_path)
    plugin = importlib.import_module("ragcore_acme")

    with (
        ragcore.testing.plugin(plugin, distribution="acme"),
        ragcore.sync.completion("acme:large", api_key="k") as model,
    ):
        answer = model.complete("Who wrote Faust?")

    assert answer.text == "large: Who wrote Faust? (k)"


SDK = """
from types import SimpleNamespace

class TooManyRequests(Exception):
    seconds = 1

class Client:
    def __init__(self, key, retries):
        self.key = key

    async def __aenter__(self):
        return self

    async def __aexit__(self, *error):
        pass

    async def chat(self, model, text):
        return SimpleNamespace(text=f"{model}: {text} ({self.key})")
"""
