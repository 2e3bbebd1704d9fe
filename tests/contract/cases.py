"""
One row a provider: how it is asked, and the double that answers.

A provider's tests run where its plugin is installed. A row and a double are all that a further
provider needs.
"""

from __future__ import annotations

import importlib
import importlib.util
import ssl
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any

import attrs
import pytest

from ragcore import Retry
from ragcore.testing.server import Reply, Service

SECRET = "canary-of-this-provider"
AT_ONCE = Retry(attempts=3, wait_initial=0, wait_max=0)


@attrs.frozen
class Case:
    """
    A provider and its double.

    Attributes:
        package: Import name of the plugin.
        double: ``"module:class"`` of the double.
        model: What is asked, for completion and for embedding.
        options: For a double, the keywords that lead to it; with the key :data:`SECRET`.
        environment: For a double, the variables that lead to it, with the same key.
        completes: Whether it completes.
        embeds: Whether it embeds.
        json_object: Whether it makes answers JSON objects.
        json_schema: Whether it makes answers fit a schema.
        images: Whether it takes images.
        image_urls: Whether it takes their addresses.
        reasoning: Whether the double shows reasoning.
        reports_in_stream: Whether an error can be reported inside a stream.
        numbers_vectors: Whether vectors carry numbers.
        statuses: Each that the service sends, and how many requests three attempts make of it.
    """

    provider: str
    package: str
    double: str
    options: Callable[[Service], dict[str, Any]]
    environment: Callable[[Service], Mapping[str, str]] = lambda _: {}
    embedding_options: Callable[[Service], dict[str, Any]] | None = None
    model: str = "any-model"
    embedding_model: str = "any-model"
    completes: bool = True
    embeds: bool = True
    json_object: bool = True
    json_schema: bool = True
    images: bool = True
    image_urls: bool = True
    reasoning: bool = True
    reports_in_stream: bool = True
    numbers_vectors: bool = False
    statuses: tuple[tuple[int, int], ...] = (
        (400, 1),
        (401, 1),
        (403, 1),
        (404, 1),
        (408, 3),
        (429, 3),
        (500, 3),
        (503, 3),
    )
    tls: Callable[[], ssl.SSLContext] | None = None

    @property
    def reference(self) -> str:
        """Of what completes."""
        return f"{self.provider}:{self.model}"

    @property
    def embedding_reference(self) -> str:
        """Of what embeds."""
        return f"{self.provider}:{self.embedding_model}"

    @property
    def is_installed(self) -> bool:
        """Whether its plugin, and its double, are here."""
        modules = (self.package, self.double.partition(":")[0])
        return all(importlib.util.find_spec(name) is not None for name in modules)

    @asynccontextmanager
    async def serving(self, *replies: Reply) -> AsyncIterator[Service]:
        """Run the double, with *replies*."""
        module, _, name = self.double.partition(":")
        service: Service = getattr(importlib.import_module(module), name)(*replies)
        async with service.running(self.tls() if self.tls else None):
            yield service

    def to(self, service: Service, **more: Any) -> dict[str, Any]:
        """Return the keywords that complete with *service*."""
        return self.options(service) | {"retry": AT_ONCE} | more

    def to_embed(self, service: Service, **more: Any) -> dict[str, Any]:
        """Return the keywords that embed with *service*."""
        return (self.embedding_options or self.options)(service) | {"retry": AT_ONCE} | more


def _openai(service: Service) -> dict[str, Any]:
    return {"api_key": SECRET, "base_url": f"{service.url}/v1"}


def _azure(service: Service) -> dict[str, Any]:
    return {"api_key": SECRET, "endpoint": service.url}


CASES = [
    Case(
        "openai",
        "lightrag_openai",
        "openai_double:OpenAI",
        _openai,
        lambda s: {"OPENAI_API_KEY": SECRET, "OPENAI_BASE_URL": f"{s.url}/v1"},
        numbers_vectors=True,
    ),
    Case(
        "azure",
        "lightrag_openai",
        "openai_double:AzureOpenAI",
        _azure,
        lambda s: {"AZURE_OPENAI_API_KEY": SECRET, "AZURE_OPENAI_ENDPOINT": s.url},
        numbers_vectors=True,
    ),
    Case(
        "llamacpp",
        "lightrag_openai",
        "openai_double:OpenAI",
        _openai,
        lambda s: {"LLAMACPP_API_KEY": SECRET, "LLAMACPP_BASE_URL": f"{s.url}/v1"},
        numbers_vectors=True,
    ),
    Case(
        "deepseek",
        "lightrag_openai",
        "openai_double:OpenAI",
        _openai,
        lambda s: {"DEEPSEEK_API_KEY": SECRET, "DEEPSEEK_BASE_URL": f"{s.url}/v1"},
        embeds=False,
        json_schema=False,
        images=False,
    ),
    Case(
        "anthropic",
        "lightrag_anthropic",
        "anthropic_double:AnthropicService",
        lambda s: {"api_key": SECRET, "base_url": s.url},
        lambda s: {"ANTHROPIC_API_KEY": SECRET, "ANTHROPIC_BASE_URL": s.url},
        model="claude-haiku-5-5",
        embeds=False,
        json_object=False,
    ),
    Case(
        "ollama",
        "lightrag_ollama",
        "ollama_double:OllamaService",
        lambda s: {"api_key": SECRET, "host": s.url},
        lambda s: {"OLLAMA_API_KEY": SECRET, "OLLAMA_HOST": s.url},
        model="llama3.2",
        embedding_model="all-minilm",
        image_urls=False,
    ),
    Case(
        "bedrock",
        "lightrag_bedrock",
        "bedrock_double:Bedrock",
        lambda s: {
            "access_key_id": "AKIDTEST",
            "secret_access_key": SECRET,
            "region": "us-east-1",
            "endpoint_url": s.url,
        },
        lambda s: {
            "AWS_ACCESS_KEY_ID": "AKIDTEST",
            "AWS_SECRET_ACCESS_KEY": SECRET,
            "AWS_REGION": "us-east-1",
            "AWS_ENDPOINT_URL_BEDROCK_RUNTIME": s.url,
        },
        model="anthropic.claude-haiku-4-5-20251001-v1:0",
        embedding_model="cohere.embed-english-v3",
        json_object=False,
        image_urls=False,
        # The service's own statuses say other things than HTTP's.
        statuses=((400, 1), (403, 1), (404, 1), (429, 3), (500, 3), (503, 3)),
    ),
    Case(
        "hf-inference",
        "lightrag_hf_inference",
        "hf_inference_double:HFInferenceService",
        lambda s: {"token": SECRET, "base_url": s.url},
        lambda s: {"HF_INFERENCE_TOKEN": SECRET, "HF_INFERENCE_BASE_URL": s.url},
        model="meta-llama/Llama-3.1-8B-Instruct",
        embedding_model="BAAI/bge-small-en-v1.5",
    ),
]


def cases(
    wanted: Callable[[Case], bool] = lambda case: case.completes,
) -> pytest.MarkDecorator:
    """Parametrise a test over the installed providers that it is about."""
    rows = [
        pytest.param(
            case,
            id=case.provider,
            marks=() if case.is_installed else pytest.mark.skip(f"{case.package} is not installed"),
        )
        for case in CASES
        if wanted(case)
    ]
    return pytest.mark.parametrize("case", rows)
