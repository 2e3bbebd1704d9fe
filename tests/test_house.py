"""Guards of the house: who may import whom, how packages are documented, what lies at the top."""

from __future__ import annotations

import ast
import graphlib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SOURCES = {"ragcore": ROOT / "src"} | {
    path.parent.name: path for path in sorted(ROOT.glob("plugins/*/src"))
}

Graph = Mapping[str, set[str]]


def modules_in(source: Path) -> dict[str, Path]:
    """Return the files under *source* by the names of their modules."""
    return {_name(path.relative_to(source)): path for path in sorted(source.rglob("*.py"))}


def _name(path: Path) -> str:
    parts = path.with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


FILES = {name: path for source in SOURCES.values() for name, path in modules_in(source).items()}


def imported_by(module: str) -> Iterator[tuple[str, str]]:
    """Yield each module that *module* imports anywhere in its file, with the name it takes."""
    for node in ast.walk(ast.parse(FILES[module].read_text("utf-8"))):
        match node:
            case ast.Import(names):
                yield from ((name.name, "") for name in names)
            case ast.ImportFrom(str(start), names, 0):
                yield from (_taken(start, name.name) for name in names)
            case ast.ImportFrom():
                pytest.fail(f"{module} has a relative import")


def _taken(start: str, name: str) -> tuple[str, str]:
    submodule = f"{start}.{name}"
    return (submodule, "") if submodule in FILES else (start, name)


IMPORTS = {module: set(imported_by(module)) for module in FILES}


def graph_of(modules: Iterable[str]) -> Graph:
    """Return which of *modules* import which of them."""
    known = set(modules)
    return {one: {to for to, _ in IMPORTS[one] if to in known} for one in known}


def circle_in(graph: Graph) -> list[str]:
    """Return one circle of *graph*; nothing if there is none."""
    try:
        graphlib.TopologicalSorter(graph).prepare()
    except graphlib.CycleError as exc:
        return list(exc.args[1])
    return []


def distribution_of(module: str) -> str:
    """Return whose *module* is; empty for somebody else's."""
    path = FILES.get(module)
    return next((name for name, src in SOURCES.items() if path and path.is_relative_to(src)), "")


# --- imports --------------------------------------------------------------------------------


def test_the_graph_knows_every_way_to_import() -> None:
    """An import in a function, for type checkers alone, or of a module from its package counts."""
    assert ("ragcore.options._flags", "") in IMPORTS["ragcore.options._binding_options"]
    assert ("ragcore.lightrag._engine", "EmbeddingFunc") in IMPORTS["ragcore.lightrag._embedding"]
    assert ("ragcore.options", "BindingOptions") in IMPORTS["ragcore.hookspecs"]
    assert circle_in({"a": {"b"}, "b": {"c"}, "c": {"a"}}) != []


@pytest.mark.parametrize("distribution", SOURCES)
def test_no_circle_runs_between_files(distribution: str) -> None:
    """Each file can be read after those it imports."""
    own = modules_in(SOURCES[distribution])

    assert circle_in(graph_of(own)) == []


def test_no_circle_runs_between_the_packages_of_the_host() -> None:
    """A package, or a module beside them, can be read after those it imports."""
    packages: dict[str, set[str]] = {}
    for module, imported in graph_of(modules_in(SOURCES["ragcore"])).items():
        packages.setdefault(_room(module), set()).update(map(_room, imported))

    assert circle_in({room: others - {room} for room, others in packages.items()}) == []


def _room(module: str) -> str:
    return ".".join(module.split(".")[:2])


def test_the_host_imports_no_plugin_and_no_plugin_another() -> None:
    """A distribution imports itself, the host, and what others publish."""
    strangers = [
        f"{module} -> {to}"
        for module, imported in IMPORTS.items()
        for to, _ in imported
        if distribution_of(to) not in ("", "ragcore", distribution_of(module))
    ]

    assert strangers == []


def test_what_is_private_is_imported_inside_its_package_alone() -> None:
    """A name that begins with an underscore belongs to the package, or module, it stands in."""
    trespasses = [
        f"{module} -> {to}"
        for module, imported in IMPORTS.items()
        for to, name in imported
        if distribution_of(to) and not _may_see(module, f"{to}.{name}".rstrip("."))
    ]

    assert trespasses == []


def _may_see(module: str, path: str) -> bool:
    parts = path.split(".")
    private = [number for number, part in enumerate(parts) if part.startswith("_")]
    packages = [parts[:number] for number in private if not parts[number].startswith("__")]
    return all(module.split(".")[: len(package)] == package for package in packages)


# --- what there is --------------------------------------------------------------------------


def test_few_modules_lie_at_the_top() -> None:
    """The rest has rooms."""
    top = [path.stem for path in (ROOT / "src/ragcore").glob("*.py") if path.stem != "__init__"]

    assert len(top) <= 6, sorted(top)


PACKAGES = [name for name, path in FILES.items() if path.name == "__init__.py"]


@pytest.mark.parametrize("package", [name for name in PACKAGES if name.startswith("ragcore")])
def test_a_package_says_what_it_is_for(package: str) -> None:
    """Its docstring says what comes in, what goes out, and who may import it."""
    about = ast.get_docstring(ast.parse(FILES[package].read_text("utf-8"))) or ""
    phrases = ("What comes in:", "What goes out:", "May be imported by")

    assert [phrase for phrase in phrases if phrase not in " ".join(about.split())] == []
