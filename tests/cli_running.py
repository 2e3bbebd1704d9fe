"""Runs the command line in-process, with one small plugin and nothing else."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import pytest
from click.testing import CliRunner, Result

from ragcore import (
    BindingOptions,
    Capabilities,
    CompletionProvider,
    EmbeddingProvider,
    Secret,
    hookimpl,
    option,
)
from ragcore.cli import main
from ragcore.testing import plugin

ADDRESS = "https://acme.example"


class AcmeOptions(BindingOptions, binding="acme", any_of=("api_key", "token")):
    """Whose account it is."""

    api_key: Secret | None = option(
        "Key.", default=None, secret=True, env=("ACME_API_KEY", "ACME_KEY")
    )
    token: Secret | None = option("Token.", default=None, secret=True, env="ACME_TOKEN")
    base_url: str = option("Where.", default=ADDRESS, env=("ACME_BASE_URL", "ACME_URL"))
    gateway: str | None = option("Where else.", default=None)
    default_headers: dict[str, str] | None = option("HTTP headers.", default=None)
    client: Any = option("A client of yours.", default=None, env=None)

    def __attrs_post_init__(self) -> None:
        if self.api_key is not None and " " in self.api_key.get():
            raise ValueError(f"api_key: {self.api_key.get()} has a space")


class AcmeLLMOptions(BindingOptions, binding="acme_llm"):
    """How it answers."""

    temperature: float | None = option(
        "Randomness.", default=None, scope="call", minimum=0, maximum=2, provider_default=0.7
    )
    top_k: int | None = option("How many; [bold] is no markup.", default=None)
    stop: list[str] | None = option("Where to stop.", default=None)
    mode: Literal["fast", "good"] = option("Which.", default="good")


class AcmeEmbeddingOptions(BindingOptions, binding="acme_embedding"):
    """How it embeds."""

    size: int = option("How long vectors are.")


class Acme:
    """A plugin that completes and embeds; nothing of it is ever opened."""

    @hookimpl
    def ragcore_completion_providers(self) -> Iterator[CompletionProvider]:
        yield CompletionProvider(
            name="acme",
            aliases=("acme_cloud",),
            connection=AcmeOptions,
            options=AcmeLLMOptions,
            connect="acme:connect",
            backend="acme:Backend",
            capabilities=Capabilities(json_schema=True, context_window=4096),
        )

    @hookimpl
    def ragcore_embedding_providers(self) -> Iterator[EmbeddingProvider]:
        yield EmbeddingProvider(
            name="acme",
            connection=AcmeOptions,
            options=AcmeEmbeddingOptions,
            connect="acme:connect",
            backend="acme:Backend",
        )


class Broken:
    """A plugin that can't be used."""

    @hookimpl
    def ragcore_completion_providers(self) -> Iterator[CompletionProvider]:
        raise RuntimeError("no luck")


def run(*arguments: str) -> Result:
    """Run ``ragcore`` with *arguments*; what it does not catch is a failure of the test."""
    return CliRunner().invoke(main, arguments, catch_exceptions=False, prog_name="ragcore")


@contextmanager
def only_acme(monkeypatch: pytest.MonkeyPatch, folder: Path) -> Iterator[None]:
    """Have :class:`Acme` alone, in *folder*, and none of its variables."""
    monkeypatch.setenv("RAGCORE_PLUGINS", "acme-plugin,broken-plugin")
    monkeypatch.chdir(folder)
    with plugin(Acme(), distribution="acme-plugin"):
        yield
