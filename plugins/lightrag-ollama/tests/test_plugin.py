"""What the plugin offers, before anything is asked."""

from __future__ import annotations

import subprocess
import sys

from ollama_double import OllamaService

import ragcore
from lightrag_ollama import capabilities
from lightrag_ollama._connect import connect
from lightrag_ollama._models import list_models
from lightrag_ollama.options import OllamaOptions
from ragcore.testing.server import Answer


def test_loading_the_plugin_imports_no_sdk() -> None:
    """Nor anything else that takes long."""
    code = (
        "import sys, lightrag_ollama, ragcore; ragcore.providers();"
        "print([name for name in ('ollama', 'httpx', 'pydantic', 'numpy') if name in sys.modules])"
    )
    ran = subprocess.run(  # noqa: S603
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )

    assert ran.stdout.strip() == "[]"


def test_the_provider_is_installed() -> None:
    """For both tasks."""
    [ollama] = [found for found in ragcore.providers().providers if found.name == "ollama"]

    assert set(ollama.tasks) == {"completion", "embedding"}
    assert ollama.distribution == "lightrag-ollama"


def test_capabilities_follow_the_name() -> None:
    """The cloud does not follow a format."""
    here, cloud = capabilities("llama3.2"), capabilities("gpt-oss:120b-cloud")

    assert (here.json_object, here.json_schema) == (True, True)
    assert (cloud.json_object, cloud.json_schema) == (False, False)


async def test_models_are_listed() -> None:
    """Those that the server has."""
    async with (
        OllamaService(Answer()).running() as service,
        connect(OllamaOptions(host=service.url)) as servers,
    ):
        names = list(await list_models(servers))

    assert names == ["llama3.2:latest", "all-minilm:latest"]
