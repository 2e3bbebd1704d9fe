"""
Every option of every provider reaches the wire, or the call fails with its name.

The table in ``docs/reference/options-on-the-wire.md`` is what this finds; after a change, write it
anew with ``RAGCORE_WRITE_DOCS=1 nox -s tests -- tests/contract/test_options_on_the_wire.py``.
"""

from __future__ import annotations

import json
import os
import types
import typing
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import pytest

import ragcore
from contract.cases import CASES, INSTALLED
from ragcore import BindingOptions, RagcoreError
from ragcore._discovery.loading import registry
from ragcore.options import OptionField
from ragcore.testing.contracts import Case
from ragcore.testing.server import Answer, Request, Vectors

PAGE = Path(__file__).parents[2] / "docs/reference/options-on-the-wire.md"
HEAD = """\
# Options on the wire

What a request carries when an option is set, found by sending it to a double of the service.
Written by `tests/contract/test_options_on_the_wire.py`, which fails if an option changes nothing.
"""

# A value of the right type that the services' own rules refuse says nothing about the wire.
VALUES: dict[str, Any] = {
    "api": "responses",
    "keep_alive": "5m",
    "reasoning_effort": "high",
    "thinking": {"type": "enabled", "budget_tokens": 1024},
    "extra_body": {"x": 1},
    "extra_fields": {"x": 1},
}


def examples(field: OptionField) -> list[Any]:
    """Return values of its type; at least one is not the default."""
    if field.name in VALUES:
        return [VALUES[field.name]]
    return _of_type(field.type)


def _of_type(annotation: Any) -> list[Any]:
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin in (typing.Union, types.UnionType):
        kinds = (kind for kind in arguments if kind is not type(None))
        return [value for kind in kinds for value in _of_type(kind)]
    if origin is Literal:
        return list(arguments)
    simple: dict[Any, list[Any]] = {
        bool: [True, False],
        int: [3],
        float: [0.5],
        str: ["sample"],
        list: [["sample"]],
        dict: [{"x": 1}],
    }
    return simple[origin or annotation]


def task_options(case: Case, task: str) -> type[BindingOptions]:
    """Return the option class of one task."""
    found = registry()
    if task == "completion":
        return found.completion_provider(case.provider).options
    return found.embedding_provider(case.provider).options


async def sent(case: Case, task: str, options: dict[str, Any]) -> list[Request]:
    """Return what a double is sent with *options* set when the model is opened."""
    if task == "completion":
        async with case.serving(Answer("Goethe")) as service:
            keywords = case.to(service) | options
            async with ragcore.completion(case.reference, **keywords) as model:
                await model.complete("Who wrote Faust?")
            return service.requests
    rows = [[1.0, 0.0]]
    async with case.serving(Vectors(rows), Vectors(rows)) as service:
        keywords = case.to(service) | options
        async with ragcore.embedding(case.embedding_reference, **keywords) as model:
            for input_type in ("query", "document"):
                await model.embed(["Faust"], input_type=input_type)
        return service.requests


def flat(value: Any, path: str = "") -> Iterator[tuple[str, str]]:
    """Yield the leaves of *value*, each with its path."""
    if isinstance(value, dict) and value:
        for key, item in value.items():
            yield from flat(item, f"{path}.{key}" if path else str(key))
    elif isinstance(value, list) and value:
        for number, item in enumerate(value):
            yield from flat(item, f"{path}[{number}]")
    else:
        yield path, json.dumps(value)


def leaves(request: Request) -> set[tuple[str, str]]:
    """Return all that a request says, its path and its headers too."""
    told = set(flat(request.json)) if request.body else set()
    told |= {(f"header {n}", v) for n, v in request.headers.items() if n not in PASSING}
    return told | {("path", request.path)}


# Differ from request to request, or follow from the body.
PASSING = {
    "amz-sdk-invocation-id",
    "amz-sdk-request",
    "authorization",
    "content-length",
    "host",
    "x-amz-content-sha256",
    "x-amz-date",
    "x-stainless-read-timeout",
}


async def effect(case: Case, task: str, field: OptionField) -> str:
    """Return where an option goes: places in the request, or the error that names it."""
    plain = await sent(case, task, {})
    changed: set[str] = set()
    for value in examples(field):
        try:
            told = await sent(case, task, {field.name: value})
        except RagcoreError as exc:
            return refusal(field, exc)
        if len(plain) != len(told):
            return "number of requests"
        pairs = zip(plain, told, strict=True)
        changed |= {path for one, other in pairs for path, _ in leaves(one) ^ leaves(other)}
    if not changed:
        pytest.fail(f"{field.where} is dropped in silence")
    return ", ".join(f"`{path}`" for path in sorted(changed)[:4])


def refusal(field: OptionField, exc: RagcoreError) -> str:
    """Return what a refused option's row says; the error has to name it."""
    if field.name not in str(exc):
        pytest.fail(f"{field.where} fails without its name: {exc}")
    return f"refused: {type(exc).__name__}"


ROWS = [
    pytest.param(case, task, field, id=f"{case.provider}-{task}-{field.name}")
    for case in CASES
    if case.provider in INSTALLED
    for task, model in (("completion", case.model), ("embedding", case.embedding_model))
    if model
    for field in task_options(case, task).fields()
]


@pytest.mark.parametrize(("case", "task", "field"), ROWS)
async def test_an_option_reaches_the_wire_or_is_refused_by_name(
    case: Case, task: str, field: OptionField
) -> None:
    """Nothing that a user sets is dropped in silence; and the page tells where it goes."""
    row = f"| `{field.name}` | {await effect(case, task, field)} |"

    assert os.environ.get("RAGCORE_WRITE_DOCS") or row in section(case, task)


def section(case: Case, task: str) -> list[str]:
    """Return the rows that the page has for one task of a provider."""
    _, _, rest = PAGE.read_text("utf-8").partition(f"\n## {case.provider}: {task}\n")
    return rest.partition("\n## ")[0].splitlines()


async def test_the_page_tells_of_every_option() -> None:
    """And of nothing else; it is written here if that is asked for."""
    if os.environ.get("RAGCORE_WRITE_DOCS"):
        PAGE.write_text(await page(), "utf-8")
    told = [line for line in PAGE.read_text("utf-8").splitlines() if line.startswith("| `")]

    assert len(told) == len(ROWS)


async def page() -> str:
    """Find out where every option goes."""
    parts = [HEAD]
    title = ""
    for case, task, field in (row.values for row in ROWS):
        assert isinstance(case, Case)
        assert isinstance(field, OptionField)
        if title != (title := f"\n## {case.provider}: {task}\n"):
            parts += [title, "\n| option | where it goes |\n|---|---|\n"]
        parts.append(f"| `{field.name}` | {await effect(case, str(task), field)} |\n")
    return "".join(parts)
