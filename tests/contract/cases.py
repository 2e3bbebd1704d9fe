"""
The services of all plugins, for tests that compare them with one another.

Each plugin's own tests have the double of its service, and a case for each provider; a test of a
provider whose plugin is not installed is skipped.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable

import pytest

import ragcore
from ragcore.testing.contracts import Case

DOUBLES = ("openai", "anthropic", "ollama", "bedrock", "hf_inference")
CASES: list[Case] = [
    case for name in DOUBLES for case in importlib.import_module(f"{name}_double").CASES
]
INSTALLED = {info.name for info in ragcore.providers().providers}


def cases(wanted: Callable[[Case], object] = lambda case: case.model) -> pytest.MarkDecorator:
    """Parametrise a test over the *wanted* providers, which are all that complete if not said."""
    rows = [
        pytest.param(case, id=case.provider, marks=skipped(case)) for case in CASES if wanted(case)
    ]
    return pytest.mark.parametrize("case", rows)


def skipped(*needed: Case) -> tuple[pytest.MarkDecorator, ...]:
    """Return the marks of a test that needs the plugins of *needed*."""
    missing = [case.provider for case in needed if case.provider not in INSTALLED]
    return (pytest.mark.skip(f"{', '.join(missing)}: not installed"),) if missing else ()
