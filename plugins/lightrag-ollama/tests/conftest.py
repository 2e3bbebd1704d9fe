"""No test reads the settings of whoever runs it."""

from __future__ import annotations

import os

import pytest


@pytest.fixture(autouse=True)
def _no_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.startswith(("OLLAMA_", "RAGCORE_")) or name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)
