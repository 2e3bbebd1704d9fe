"""Nothing of whoever runs the tests is used: no key, no endpoint."""

from __future__ import annotations

import os

import pytest

from lightrag_openai._rows import ROWS

_OURS = ("OPENAI_", "AZURE_", *(f"{row.binding.upper()}_" for row in ROWS))


@pytest.fixture(autouse=True)
def _bare_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in os.environ:
        if name.startswith(_OURS):
            monkeypatch.delenv(name)
