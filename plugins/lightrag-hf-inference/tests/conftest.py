"""No token from outside."""

from pathlib import Path

import pytest
from huggingface_hub import constants

_VARIABLES = ("HF_INFERENCE_TOKEN", "HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "HF_INFERENCE_BASE_URL")


@pytest.fixture(autouse=True)
def no_token(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Take away what the machine's own environment and login say."""
    for name in _VARIABLES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(tmp_path / "token"))
