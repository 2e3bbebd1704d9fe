"""An account that exists nowhere, and nothing of the one that runs the tests."""

import os
from typing import Any

import pytest

KEYS: dict[str, Any] = {
    "region": "us-east-1",
    "access_key_id": "AKIDTEST",
    "secret_access_key": "canary-secret-key",
}


@pytest.fixture(autouse=True)
def no_account(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Hide what this machine has of AWS, and keep off instances' metadata."""
    empty = tmp_path_factory.mktemp("aws")
    for name in list(os.environ):
        if name.startswith("AWS_"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(empty / "config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(empty / "credentials"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")


@pytest.fixture
def keys() -> dict[str, Any]:
    """Return keywords that name an account."""
    return dict(KEYS)
