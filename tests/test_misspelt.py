"""Variables that nobody reads, and that look like one that somebody does."""

from __future__ import annotations

import importlib.util
import logging
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import ragcore
from ragcore import BindingOptions, CompletionProvider, Secret, hookimpl, option
from ragcore._discovery import misspelt as module
from ragcore._discovery.misspelt import misspelt, tell_misspelt, tell_misspelt_once
from ragcore.lightrag import ROLES, VARIABLES
from ragcore.testing import Script, plugin, scripted

# What else is set on the machines of those who use this: the shell's, the SDKs', LightRAG's own.
_OTHERS = """
    PATH HOME USER SHELL LANG LC_ALL TERM PWD EDITOR VIRTUAL_ENV PYTHONPATH SSL_CERT_FILE
    HTTPS_PROXY NO_PROXY XDG_CACHE_HOME CUDA_VISIBLE_DEVICES NVIDIA_VISIBLE_DEVICES
    OMP_NUM_THREADS OPENAI_LOG OPENAI_ADMIN_KEY OPENAI_CUSTOM_HEADERS OPENAI_WEBHOOK_SECRET
    OPENAI_API_TYPE OPENAI_MODEL OPENAI_PROXY OPENAI_ADMIN_API_KEY AZURE_API_KEY AZURE_TENANT_ID
    ZAI_API_KEY TOGETHERAI_API_KEY GEMINI_API_KEY GOOGLE_API_KEY GOOGLE_CLOUD_PROJECT ACME_LOG
    ACME_HOME ACME_AWS_BASE_URL ACME_CUSTOM_HEADERS ACME_PROFILE AWS_PROFILE AWS_REGION
    AWS_DEFAULT_REGION AWS_DEFAULT_OUTPUT AWS_ACCESS_KEY_ID AWS_ENDPOINT_URL
    AWS_SECRET_ACCESS_KEY AWS_SESSION_TOKEN AWS_CONFIG_FILE AWS_CA_BUNDLE
    AWS_EC2_METADATA_DISABLED HF_HOME HF_DATASETS_CACHE HF_HUB_ENABLE_HF_TRANSFER
    HF_XET_HIGH_PERFORMANCE HF_TOKEN_PATH OLLAMA_MODELS OLLAMA_ORIGINS OLLAMA_KEEP_ALIVE
    OLLAMA_NUM_PARALLEL OLLAMA_DEBUG OLLAMA_EMULATING_MODEL_NAME OLLAMA_EMULATING_MODEL_TAG
    LIGHTRAG_API_KEY LIGHTRAG_RUNTIME_TARGET HOST PORT TIMEOUT WORKERS LOG_LEVEL LOG_DIR
    TOKEN_SECRET MAX_TOTAL_TOKENS MAX_ASYNC MAX_PARALLEL_INSERT MAX_GRAPH_NODES
    MAX_SOURCE_IDS_PER_ENTITY TOP_K RERANK_BINDING RERANK_MODEL RERANK_BINDING_HOST
    RERANK_BINDING_API_KEY RERANK_MAX_TOKENS_PER_DOC ENABLE_LLM_CACHE
    ENABLE_LLM_CACHE_FOR_EXTRACT LLM_BINDING LLM_MODEL LLM_BINDING_HOST LLM_TIMEOUT
    LLM_BINDING_API_KEY LLM_PROVIDER LLM_TEMPERATURE LLM_CACHE OPENAI_LLM_TOP_K
    EMBEDDING_BINDING EMBEDDING_MODEL EMBEDDING_DIM EMBEDDING_SEND_DIM EMBEDDING_TOKEN_LIMIT
    EMBEDDING_FUNC_MAX_ASYNC EMBEDDING_BATCH_NUM EMBEDDING_MAX_ASYNC EMBEDDING_PROVIDER
    EMBEDDING_MAX_TOKEN_SIZE VLM_PROCESS_ENABLE QUERY_TIMEOUT EXTRACT_TIMEOUT EXTRACT_LLM_MODEL
    QUERY_ACME_LLM_TEMPERATURE VLLM_PORT VLLM_EMBED_API_KEY VLLM_RERANK_PORT VLLM_USE_CPU
    RAGCORE_PLUGINS RAGCORE_DISABLE_PLUGINS RAGCORE_TIMEOUT
"""
OTHERS = _OTHERS.split()


class AcmeOptions(BindingOptions, binding="acme"):
    """Whose account it is."""

    api_key: Secret | None = option("Key.", default=None, secret=True)
    base_url: str | None = option("Where.", default=None)


class AcmeLLMOptions(BindingOptions, binding="acme_llm"):
    """How it answers."""

    temperature: float | None = option("Randomness.", default=None)


class Acme:
    @hookimpl
    def ragcore_completion_providers(self) -> Iterator[CompletionProvider]:
        yield CompletionProvider(
            name="acme",
            connection=AcmeOptions,
            options=AcmeLLMOptions,
            connect="acme:connect",
            backend="acme:Backend",
        )


@pytest.fixture(autouse=True)
def acme(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(module, "_told", set())
    tell_misspelt_once.cache_clear()
    with plugin(Acme()), scripted():
        yield


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("ACME_LLM_TEMPRATURE", "ACME_LLM_TEMPERATURE"),
        ("ACME_API_KEYS", "ACME_API_KEY"),
        ("ACME_APIKEY", "ACME_API_KEY"),
        ("ACME_BASEURL", "ACME_BASE_URL"),
        ("LLM_BINDNG", "LLM_BINDING"),
        ("LLM_MODLE", "LLM_MODEL"),
        ("EMBEDING_MODEL", "EMBEDDING_MODEL"),
        ("EXTRACT_ACME_LLM_TEMPRATURE", "EXTRACT_ACME_LLM_TEMPERATURE"),
        ("EXTRAC_LLM_MODEL", "EXTRACT_LLM_MODEL"),
        ("RAGCORE_TIMOUT", "RAGCORE_TIMEOUT"),
        ("RAGCORE_DISABLE_PLUGIN", "RAGCORE_DISABLE_PLUGINS"),
    ],
)
def test_a_misspelt_variable_is_found(name: str, meant: str) -> None:
    """In its first word, too, which says whose it is."""
    assert misspelt([*OTHERS, name], VARIABLES, ROLES) == {name: meant}


def test_what_belongs_to_others_is_left_alone() -> None:
    """The shell's, those of SDKs and of LightRAG, and all that an option reads."""
    assert misspelt(OTHERS, VARIABLES, ROLES) == {}


def test_the_engines_own_are_left_alone() -> None:
    """Whatever its sources write as a variable is written, may be one."""
    spec = importlib.util.find_spec("lightrag")
    if spec is None or not spec.submodule_search_locations:
        pytest.skip("LightRAG is not installed")
    sources = Path(spec.submodule_search_locations[0]).rglob("*.py")
    text = "\n".join(source.read_text("utf-8") for source in sources)
    names = set(re.findall(r"\b[A-Z]+(?:_[A-Z]+)+\b", text))

    assert "EMBEDDING_FUNC_MAX_ASYNC" in names
    assert misspelt(names, VARIABLES, ROLES) == {}


def test_it_is_told_once(caplog: pytest.LogCaptureFixture) -> None:
    """However often a function is made."""
    for _ in range(2):
        tell_misspelt(["ACME_API_KEYS"])

    assert caplog.messages == [
        "ACME_API_KEYS is set, and nothing reads it: did you mean ACME_API_KEY?"
    ]


async def test_it_is_told_when_a_model_is_opened(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The first time alone; a variable of somebody else's is not told."""
    monkeypatch.setenv("ACME_LLM_TEMPRATURE", "1")
    monkeypatch.setenv("ACME_HOME", "/opt/acme")
    caplog.set_level(logging.WARNING, "ragcore")
    for _ in range(2):
        async with ragcore.completion("scripted:any", script=Script()):
            pass

    assert [line for line in caplog.messages if "ACME" in line] == [
        "ACME_LLM_TEMPRATURE is set, and nothing reads it: did you mean ACME_LLM_TEMPERATURE?"
    ]
