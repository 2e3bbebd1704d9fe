"""LightRAG as its own variables describe it: from_env() and role_llm_configs()."""

from __future__ import annotations

import argparse
import asyncio
import copy
import dataclasses
import inspect
import json
import logging
import os
import re
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

import ragcore
import ragcore.testing
from ragcore import (
    BindingOptions,
    Capabilities,
    Completion,
    CompletionProvider,
    CompletionRequest,
    EmbeddingProvider,
    EmbeddingRequest,
    Embeddings,
    NotFoundError,
    OptionsError,
    PluginError,
    RequestTimeoutError,
    Retry,
    Secret,
    UnknownProviderError,
    UnsupportedError,
    hookimpl,
    option,
)
from ragcore.lightrag import from_env, role_llm_configs
from ragcore.lightrag._variables import EmbeddingVariables, LLMVariables
from ragcore.testing import FakeClock

ROLES = ("extract", "keyword", "query", "vlm")
KEY = "canary-0123456789"


# --- providers ------------------------------------------------------------------------------


class AcmeOptions(BindingOptions, binding="acme"):
    """A provider with one address and one key."""

    base_url: str | None = option("Where.", default=None)
    api_key: Secret | None = option("Who.", default=None, secret=True, unless=("token",))
    token: Secret | None = option("Who, too.", default=None, secret=True, unless=("api_key",))

    def __attrs_post_init__(self) -> None:
        if self.base_url and not self.base_url.startswith("http"):
            raise ValueError("base_url: is no address; pass base_url=https://…")


class AcmeLLMOptions(BindingOptions, binding="acme_llm"):
    """How it answers."""

    temperature: float | None = option("Randomness.", default=None, scope="call")


class AcmeEmbeddingOptions(BindingOptions, binding="acme_embedding"):
    """How it embeds."""

    query_prefix: str | None = option("Before queries.", default=None)
    document_prefix: str | None = option("Before documents.", default=None)
    encoding_format: str | None = option("On the wire.", default=None)


class ZenithOptions(BindingOptions, binding="zenith"):
    """A provider with another name for an address, and for a key."""

    host: str | None = option("Where.", default=None)
    token: Secret | None = option("Who.", default=None, secret=True)
    headers: dict[str, str] | None = option("Also who.", default=None, secret=True)


class LocalOptions(BindingOptions, binding="local"):
    """A provider without an address, and with several secrets."""

    secret_id: Secret | None = option("One half.", default=None, secret=True)
    secret_key: Secret | None = option("The other half.", default=None, secret=True)


@dataclass
class OldOptions(BindingOptions):
    """As LightRAG writes them."""

    _binding_name: ClassVar[str] = "old"
    _help: ClassVar[dict[str, str]] = {"api_key": "Who."}

    api_key: str = ""


class PlainEmbeddingOptions(BindingOptions, binding="plain_embedding"):
    """Nothing to say of queries and documents."""


@attrs.frozen
class Seen:
    """What a backend was handed."""

    provider: str
    model: str
    connection: Any
    options: Any
    request: CompletionRequest | EmbeddingRequest


SEEN: list[Seen] = []
KEYWORDS = '{"high_level_keywords": ["programs"], "low_level_keywords": ["Ada Lovelace"]}'


@asynccontextmanager
async def connect(connection: BindingOptions) -> AsyncIterator[BindingOptions]:
    yield connection


@attrs.frozen
class Backend:
    connection: Any
    model: str
    options: Any

    def _note(self, request: Any) -> None:
        options = request.options
        SEEN.append(Seen(self.connection.binding(), self.model, self.connection, options, request))

    async def complete(self, request: CompletionRequest) -> Completion:
        self._note(request)
        if request.messages[-1].content == "sleep":
            await asyncio.sleep(10**7)
        return Completion(KEYWORDS if self.model == "keywords" else self.model)

    async def embed(self, request: EmbeddingRequest) -> Embeddings:
        self._note(request)
        if request.texts == ("sleep",):
            await asyncio.sleep(10**7)
        return ragcore.testing.embeddings(request)


def describe(model_name: str, options: object) -> tuple[int | None, int | None]:
    if model_name == "nowhere":
        raise NotFoundError("There is no folder 'nowhere'.")
    return (8, 100) if model_name.startswith("known") else (None, None)


def capabilities(model_name: str) -> Capabilities:
    return Capabilities(dimensions="flexible" in model_name, input_type="two-sided" in model_name)


class Plugin:
    """Three providers: acme, zenith and local."""

    @hookimpl
    def ragcore_completion_providers(self) -> Iterator[CompletionProvider]:
        for name, connection in CONNECTIONS.items():
            yield CompletionProvider(
                name=name,
                aliases=(f"{name}_alias",),
                connection=connection,
                options=AcmeLLMOptions,
                connect=f"{__name__}:connect",
                backend=f"{__name__}:Backend",
                retry=Retry(attempts=7, wait_initial=0.0, wait_max=0.0),
            )

    @hookimpl
    def ragcore_embedding_providers(self) -> Iterator[EmbeddingProvider]:
        for name, connection in CONNECTIONS.items():
            yield EmbeddingProvider(
                name=name,
                aliases=(f"{name}_alias",),
                connection=connection,
                options=PlainEmbeddingOptions if name == "local" else AcmeEmbeddingOptions,
                connect=f"{__name__}:connect",
                backend=f"{__name__}:Backend",
                describe=f"{__name__}:describe",
                capabilities=capabilities,
                retry=Retry(attempts=7, wait_initial=0.0, wait_max=0.0),
            )


CONNECTIONS: dict[str, type[BindingOptions]] = {
    "acme": AcmeOptions,
    "zenith": ZenithOptions,
    "local": LocalOptions,
}

BASE = {
    "LLM_BINDING": "acme",
    "LLM_MODEL": "large",
    "EMBEDDING_BINDING": "acme",
    "EMBEDDING_MODEL": "known",
}


@pytest.fixture(autouse=True)
def _plugged(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    # What from_env() must not read, since every test hands it an environment.
    monkeypatch.setenv("LLM_BINDING", "of-the-process")
    monkeypatch.setenv("ACME_API_KEY", "key-of-the-process")
    SEEN.clear()
    with ragcore.testing.plugin(Plugin(), distribution="acme"):
        yield


async def asked(func: Any, prompt: str = "Who?") -> Seen:
    """Return what a completion function hands its backend."""
    await func(prompt)
    return SEEN[-1]


async def embedded(made: dict[str, Any], **arguments: Any) -> Seen:
    """Return what the embedding function hands its backend."""
    await made["embedding_func"](["one"], **arguments)
    return SEEN[-1]


async def role(made: dict[str, Any], name: str) -> Seen:
    return await asked(made["role_llm_configs"][name].func)


def problems(environ: dict[str, str]) -> list[str]:
    """Return what is wrong with *environ*."""
    with pytest.raises(OptionsError) as caught:
        from_env(environ)
    assert "\n".join(caught.value.problems) == str(caught.value)
    return list(caught.value.problems)


def secret(value: Secret | None) -> str | None:
    return None if value is None else value.get()


# --- who is asked ---------------------------------------------------------------------------


async def test_the_base_binding_is_for_all_roles() -> None:
    """Provider and model; the name of the model is LightRAG's own."""
    made = from_env(BASE)
    models = {(await role(made, name)).model for name in ROLES}
    base = await asked(made["llm_model_func"])

    assert made["llm_model_name"] == "large"
    assert (base.provider, base.model, models) == ("acme", "large", {"large"})
    assert (await embedded(made)).model == "known"


async def test_nothing_but_what_is_set_is_returned() -> None:
    """Neither limits that nobody set, nor what users pass themselves."""
    assert set(from_env(BASE)) == {
        "llm_model_func",
        "llm_model_name",
        "role_llm_configs",
        "embedding_func",
        "tokenizer",
    }


def test_the_tokenizer_is_that_of_a_model_that_has_one() -> None:
    """Of the one that embeds, or that completes; else the stand-in, and nothing is downloaded."""
    made = from_env(BASE)["tokenizer"]

    assert type(made).__name__ == "Tokenizer"
    assert made.decode(made.encode("Grüße")[:3]) in "Grüße"


async def test_an_alias_is_a_binding() -> None:
    """LightRAG's names are aliases of ours; a role that says the name itself has the same one."""
    environ = {**BASE, "LLM_BINDING": "acme_alias", "QUERY_LLM_BINDING": "acme"}
    made = from_env({**environ, "LLM_BINDING_API_KEY": KEY})

    assert secret((await role(made, "query")).connection.api_key) == KEY
    assert made["role_llm_configs"]["extract"].metadata["binding"] == "acme_alias"


async def test_a_role_has_its_own_model() -> None:
    """The other roles keep the base's."""
    made = from_env({**BASE, "EXTRACT_LLM_MODEL": "small", "VLM_LLM_MODEL": "sighted"})
    models = {name: (await role(made, name)).model for name in ROLES}

    assert models == {"extract": "small", "keyword": "large", "query": "large", "vlm": "sighted"}


def test_the_cache_is_told_whose_answers_they_are() -> None:
    """Binding, model and host of each role, and no key."""
    environ = {
        **BASE,
        "LLM_BINDING_HOST": "http://base",
        "LLM_BINDING_API_KEY": KEY,
        "QUERY_LLM_BINDING": "zenith",
        "QUERY_LLM_MODEL": "peak",
        "ZENITH_HOST": "http://own",
        "VLM_LLM_BINDING": "local",
        "VLM_LLM_MODEL": "near",
    }
    configs = from_env(environ)["role_llm_configs"]
    metadata = {name: config.metadata for name, config in configs.items()}

    base = {"binding": "acme", "model": "large", "host": "http://base"}
    assert metadata["extract"] == metadata["keyword"] == base
    assert metadata["query"] == {"binding": "zenith", "model": "peak", "host": "http://own"}
    assert metadata["vlm"] == {"binding": "local", "model": "near", "host": None}
    assert all(config.kwargs == {} for config in configs.values())


def test_a_password_in_an_address_is_not_told() -> None:
    """LightRAG logs it."""
    made = from_env({**BASE, "LLM_BINDING_HOST": f"http://me:{KEY}@llm/v1"})

    assert made["role_llm_configs"]["query"].metadata["host"] == "http://llm/v1"
    assert opened(made["llm_model_func"]).connection.base_url == f"http://me:{KEY}@llm/v1"


@pytest.mark.parametrize("address", [f"me:{KEY}@llm:1", f"me:half@{KEY}@llm:1", f"{KEY}@llm:1"])
def test_an_address_without_a_scheme_tells_no_password_either(address: str) -> None:
    """Ollama's may be written so."""
    made = from_env({**BASE, "LLM_BINDING": "zenith", "LLM_BINDING_HOST": address})

    assert made["role_llm_configs"]["query"].metadata["host"] == "llm:1"


async def test_ollama_is_what_nobody_has_to_name() -> None:
    """LightRAG's defaults, whose names stay out of the names of collections."""
    made = from_env({})

    assert made["llm_model_name"] == "mistral-nemo:latest"
    assert made["role_llm_configs"]["query"].metadata["binding"] == "ollama"
    assert made["embedding_func"].model_name is None
    assert made["embedding_func"].embedding_dim == 1024


@pytest.mark.parametrize(
    ("binding", "dimensions"), [("openai", 1536), ("ollama", 1024), ("bedrock", 1024)]
)
def test_embedding_has_lightrags_default_models(binding: str, dimensions: int) -> None:
    """Without EMBEDDING_MODEL, collections have no model in their names."""
    environ = {"EMBEDDING_BINDING": binding, "EMBEDDING_BINDING_API_KEY": "k", "AWS_REGION": "x"}
    made = from_env({**BASE, "EMBEDDING_MODEL": "", **environ})["embedding_func"]

    assert (made.model_name, made.embedding_dim) == (None, dimensions)


def test_embedding_model_is_the_name_in_collections() -> None:
    """As it stands, so that an index that LightRAG's server has made stays in use."""
    environ = {**BASE, "EMBEDDING_MODEL": "known:tagged"}

    assert from_env(environ)["embedding_func"].model_name == "known:tagged"


def test_openai_ollama_is_two_providers() -> None:
    """LightRAG's name for OpenAI's answers and Ollama's vectors, whatever EMBEDDING_BINDING is."""
    environ = {**BASE, "LLM_BINDING": "openai-ollama", "LLM_BINDING_API_KEY": KEY}
    made = from_env({**environ, "EMBEDDING_MODEL": "bge-m3", "EXTRACT_LLM_BINDING": "openai"})

    assert made["role_llm_configs"]["extract"].metadata["binding"] == "openai"
    assert made["embedding_func"].embedding_dim == 1024


@pytest.mark.parametrize("name", ["LLM_MODEL", "EMBEDDING_MODEL"])
def test_a_model_has_to_be_named(name: str) -> None:
    """Where LightRAG has no default that would be right."""
    assert problems({**BASE, name: ""}) == [f"{name}: missing: set it to the model of acme"]


# --- where, and with which key --------------------------------------------------------------


async def test_the_bindings_address_and_key_go_to_the_binding() -> None:
    """Whatever the provider itself calls them."""
    environ = {"LLM_BINDING_HOST": "http://llm", "LLM_BINDING_API_KEY": KEY}
    acme = await asked(from_env({**BASE, **environ})["llm_model_func"])
    made = from_env({**BASE, **environ, "LLM_BINDING": "zenith"})
    zenith = await asked(made["llm_model_func"])
    other = await embedded(made)

    assert (acme.connection.base_url, secret(acme.connection.api_key)) == ("http://llm", KEY)
    assert (zenith.connection.host, secret(zenith.connection.token)) == ("http://llm", KEY)
    assert other.connection.asdict() == {}


async def test_the_providers_own_variables_speak_where_lightrags_do_not() -> None:
    """OPENAI_API_KEY and its kind; LightRAG's go before them."""
    own = {"ACME_BASE_URL": "http://own", "ACME_API_KEY": "own"}
    unsaid = await asked(from_env({**BASE, **own})["llm_model_func"])
    said = await asked(from_env({**BASE, **own, "LLM_BINDING_API_KEY": KEY})["llm_model_func"])

    assert (unsaid.connection.base_url, secret(unsaid.connection.api_key)) == ("http://own", "own")
    assert (said.connection.base_url, secret(said.connection.api_key)) == ("http://own", KEY)


@pytest.mark.parametrize("address", ["DEFAULT_BEDROCK_ENDPOINT", "DEFAULT_GEMINI_ENDPOINT", ""])
async def test_lightrags_placeholders_are_no_addresses(address: str) -> None:
    """They mean the one that the SDK knows."""
    made = from_env({**BASE, "LLM_BINDING_HOST": address, "EMBEDDING_BINDING_HOST": address})

    assert (await asked(made["llm_model_func"])).connection.base_url is None
    assert (await embedded(made)).connection.base_url is None


def test_an_address_that_a_provider_has_no_use_for_is_an_error() -> None:
    """It would be asked elsewhere than the user thinks."""
    environ = {**BASE, "LLM_BINDING": "local", "LLM_BINDING_HOST": "http://llm"}

    assert problems(environ) == [
        "LLM_BINDING_HOST: local has no address that could be set; unset it"
    ]


async def test_a_key_goes_to_a_class_in_lightrags_style(monkeypatch: pytest.MonkeyPatch) -> None:
    """There, it is a text."""
    monkeypatch.setitem(CONNECTIONS, "local", OldOptions)
    with ragcore.testing.plugin(Plugin(), distribution="acme"):
        made = from_env({**BASE, "LLM_BINDING": "local", "LLM_BINDING_API_KEY": KEY})

        assert (await asked(made["llm_model_func"])).connection.api_key == KEY


def test_a_key_that_a_provider_has_no_use_for_is_told(caplog: pytest.LogCaptureFixture) -> None:
    """Once, and not used, as LightRAG does with Bedrock."""
    from_env({**BASE, "LLM_BINDING": "local", "LLM_BINDING_API_KEY": KEY})
    [record] = caplog.records

    assert record.levelno == logging.WARNING
    assert record.message.startswith("LLM_BINDING_API_KEY is not used: local has no single key")
    assert KEY not in caplog.text


async def test_a_role_of_the_same_provider_inherits_the_account() -> None:
    """Unless it has its own, in LightRAG's words or in the provider's."""
    environ = {
        **BASE,
        "LLM_BINDING_HOST": "http://llm",
        "LLM_BINDING_API_KEY": KEY,
        "KEYWORD_LLM_BINDING_API_KEY": "lightrags",
        "QUERY_ACME_API_KEY": "providers",
        "VLM_ACME_TOKEN": "another",
    }
    made = from_env(environ)
    accounts = {name: (await role(made, name)).connection for name in ROLES}
    keys = {name: (secret(a.api_key), secret(a.token)) for name, a in accounts.items()}

    assert {account.base_url for account in accounts.values()} == {"http://llm"}
    assert keys["extract"] == (KEY, None)
    assert keys["keyword"] == ("lightrags", None)
    assert keys["query"] == ("providers", None)
    assert keys["vlm"] == (None, "another")


async def test_a_role_of_another_provider_inherits_nothing() -> None:
    """Neither address nor key; its own, or its provider's, lead to it."""
    environ = {
        **BASE,
        "LLM_BINDING_HOST": "http://llm",
        "LLM_BINDING_API_KEY": KEY,
        "KEYWORD_LLM_BINDING": "zenith",
        "KEYWORD_LLM_MODEL": "peak",
        "QUERY_LLM_BINDING": "zenith",
        "QUERY_LLM_MODEL": "peak",
        "QUERY_LLM_BINDING_HOST": "http://role",
        "QUERY_LLM_BINDING_API_KEY": "role",
        "ZENITH_TOKEN": "own",
    }
    made = from_env(environ)
    keyword, query = (await role(made, "keyword")), (await role(made, "query"))

    assert keyword.connection.asdict() == {"token": Secret("own")}
    assert (query.connection.host, secret(query.connection.token)) == ("http://role", "role")
    assert query.model == "peak"


def test_a_role_has_its_own_aws_account() -> None:
    """By LightRAG's variables for it, beside one for the others."""
    its = {"REGION": "us-west-2", "ACCESS_KEY_ID": "id", "SECRET_ACCESS_KEY": KEY}
    environ = {
        **BASE,
        "LLM_BINDING": "bedrock",
        "AWS_REGION": "us-east-1",
        "QUERY_AWS_REGION": "None",
        **{f"VLM_AWS_{name}": text for name, text in its.items()},
    }
    configs = from_env(environ)["role_llm_configs"]
    vlm, query = (opened(configs[name].func).connection for name in ("vlm", "query"))

    assert (vlm.region, secret(vlm.access_key_id), secret(vlm.secret_access_key)) == (
        "us-west-2",
        "id",
        KEY,
    )
    assert (query.region, query.access_key_id) == ("us-east-1", None)


def test_half_of_a_roles_aws_account_is_told() -> None:
    """By the variable of the half that is missing."""
    environ = {**BASE, "LLM_BINDING": "bedrock", "VLM_AWS_ACCESS_KEY_ID": "id"}
    found = problems(environ)

    assert len(found) == 1
    assert found[0].startswith("VLM_AWS_SECRET_ACCESS_KEY: missing, and goes with its other half")


def test_a_role_of_another_provider_names_its_model() -> None:
    """The base's would be another provider's."""
    environ = {**BASE, "QUERY_LLM_BINDING": "zenith", "VLM_LLM_BINDING": "ollama"}

    assert problems(environ) == [
        "QUERY_LLM_MODEL: missing: set it to the model of zenith",
        "VLM_LLM_MODEL: missing: set it to the model of ollama",
    ]


ACCOUNTS = [
    # What is set beside LLM_BINDING_HOST=http://llm and LLM_BINDING_API_KEY=llm, and what holds.
    ({}, ("http://llm", "llm")),
    ({"EMBEDDING_BINDING_API_KEY": "mine"}, ("http://llm", "mine")),
    ({"EMBEDDING_BINDING_HOST": "http://mine"}, ("http://mine", None)),
    (
        {"EMBEDDING_BINDING_HOST": "http://mine", "EMBEDDING_BINDING_API_KEY": "mine"},
        ("http://mine", "mine"),
    ),
    ({"EMBEDDING_BINDING_HOST": "http://mine", "ACME_API_KEY": "own"}, ("http://mine", "own")),
    ({"LLM_BINDING_HOST": ""}, (None, "llm")),
    ({"LLM_BINDING": "zenith"}, (None, None)),
    ({"LLM_BINDING": "zenith", "ACME_API_KEY": "own"}, (None, "own")),
]


@pytest.mark.parametrize(("more", "account"), ACCOUNTS)
async def test_embedding_shares_the_account_of_the_same_provider(
    more: dict[str, str], account: tuple[str | None, str | None]
) -> None:
    """And that of no other; a key goes only where it was meant for."""
    llm = {"LLM_BINDING_HOST": "http://llm", "LLM_BINDING_API_KEY": "llm"}
    seen = await embedded(from_env({**BASE, **llm, **more}))

    assert (seen.connection.base_url, secret(seen.connection.api_key)) == account


async def test_azures_own_variables_for_embedding_go_before_what_is_inherited() -> None:
    """There one provider has two resources, often."""
    environ = {
        "LLM_BINDING": "azure_openai",
        "LLM_MODEL": "gpt",
        "LLM_BINDING_HOST": "https://llm.openai.azure.com",
        "LLM_BINDING_API_KEY": KEY,
        "EMBEDDING_BINDING": "azure_openai",
        "EMBEDDING_MODEL": "vectors",
        "EMBEDDING_DIM": "8",
        "AZURE_EMBEDDING_ENDPOINT": "https://embedding.openai.azure.com",
    }

    assert problems(environ)[0].startswith("EMBEDDING_BINDING_API_KEY: missing")
    from_env({**environ, "AZURE_EMBEDDING_API_KEY": "own"})
    from_env({**environ, "AZURE_EMBEDDING_ENDPOINT": ""})


def test_azures_deployment_stands_for_a_model_that_nobody_names() -> None:
    """As in LightRAG; a model that somebody names goes before it, for all and for a role."""
    environ = {
        "LLM_BINDING": "azure_openai",
        "LLM_BINDING_HOST": "https://llm.openai.azure.com",
        "LLM_BINDING_API_KEY": KEY,
        "AZURE_OPENAI_DEPLOYMENT": "mine",
        "QUERY_AZURE_OPENAI_DEPLOYMENT": "asks",
        "EXTRACT_LLM_MODEL": "extracts",
        "EMBEDDING_BINDING": "azure_openai",
        "AZURE_EMBEDDING_DEPLOYMENT": "vectors",
        "EMBEDDING_DIM": "8",
    }
    made = from_env(environ)
    models = {role: made["role_llm_configs"][role].metadata["model"] for role in ROLES}

    assert made["llm_model_name"] == "mine"
    assert models == {"extract": "extracts", "keyword": "mine", "query": "asks", "vlm": "mine"}
    assert made["embedding_func"].model_name is None
    assert from_env({**environ, "LLM_MODEL": "named"})["llm_model_name"] == "named"


def test_none_is_not_set() -> None:
    """The word that LightRAG reads so, for all and for a role."""
    environ = {
        **BASE,
        "QUERY_LLM_BINDING": "None",
        "QUERY_LLM_MODEL": "None",
        "QUERY_LLM_TIMEOUT": "None",
        "EMBEDDING_DIM": "None",
        "EMBEDDING_TOKEN_LIMIT": "None",
        "EMBEDDING_QUERY_PREFIX": "None",
    }
    made = from_env(environ)

    assert made["role_llm_configs"]["query"].metadata["model"] == "large"
    assert made["role_llm_configs"]["query"].timeout is None
    assert made["embedding_func"].max_token_size == 100


# --- options --------------------------------------------------------------------------------


def parsed(*flags: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    AcmeLLMOptions.add_args(parser)
    AcmeEmbeddingOptions.add_args(parser)
    return parser.parse_args(flags)


async def test_a_roles_variables_go_over_flags_and_these_over_the_others() -> None:
    """As everywhere."""
    environ = {**BASE, "ACME_LLM_TEMPERATURE": "0.1", "QUERY_ACME_LLM_TEMPERATURE": "0.3"}
    made = from_env(environ, flags=parsed("--acme-llm-temperature", "0.2"))
    without = from_env(environ)

    assert (await role(made, "extract")).options.temperature == 0.2
    assert (await role(made, "query")).options.temperature == 0.3
    assert (await asked(made["llm_model_func"])).options.temperature == 0.2
    assert (await role(without, "extract")).options.temperature == 0.1


async def test_flags_are_for_embedding_too() -> None:
    """Those of the provider that embeds."""
    made = from_env(BASE, flags=parsed("--acme-embedding-query-prefix", "q: "))

    assert (await embedded(made)).options.query_prefix == "q: "
    assert made["embedding_func"].supports_asymmetric


async def test_flags_are_the_base_bindings() -> None:
    """A role of another provider does not inherit them, not even where both share a class."""
    environ = {**BASE, "QUERY_LLM_BINDING": "zenith", "QUERY_LLM_MODEL": "peak"}
    made = from_env(environ, flags=parsed("--acme-llm-temperature=0.2"))

    assert (await role(made, "query")).options.temperature is None


async def test_variables_of_a_shared_class_are_the_base_bindings() -> None:
    """As with Azure for a role beside OpenAI, whose options would be refused there."""
    environ = {
        **BASE,
        "ACME_LLM_TEMPERATURE": "0.2",
        "QUERY_LLM_BINDING": "zenith",
        "QUERY_LLM_MODEL": "peak",
        "VLM_LLM_BINDING": "zenith",
        "VLM_LLM_MODEL": "peak",
        "VLM_ACME_LLM_TEMPERATURE": "0.3",
    }
    made = from_env(environ)

    assert (await role(made, "extract")).options.temperature == 0.2
    assert (await role(made, "query")).options.temperature is None
    assert (await role(made, "vlm")).options.temperature == 0.3


def test_a_bad_flag_is_told_with_the_rest() -> None:
    """It is kept as it was written until somebody reads it."""
    with pytest.raises(OptionsError) as caught:
        from_env({**BASE, "LLM_TIMEOUT": "soon"}, flags=parsed("--acme-llm-temperature=hot"))

    assert [problem.partition(":")[0] for problem in caught.value.problems] == [
        "LLM_TIMEOUT",
        "--acme-llm-temperature",
    ]


# --- what is wrong --------------------------------------------------------------------------


def test_all_problems_come_at_once() -> None:
    """Of all roles and both tasks, each once and with its variable."""
    environ = {
        **BASE,
        "LLM_TIMEOUT": "soon",
        "MAX_ASYNC": "0",
        "QUERY_LLM_BINDING": "zenit",
        "EXTRACT_LLM_BINDING": "zenith",
        "VLM_LLM_TIMEOUT": "-1",
        "ACME_LLM_TEMPERATURE": "warm",
        "KEYWORD_ACME_LLM_TEMPERATURE": "hot",
        "EMBEDDING_DIM": "none",
        "EMBEDDING_ASYMMETRIC": "perhaps",
        "EMBEDDING_MODEL": "",
        "EMBEDDING_BATCH_NUM": "0",
    }

    assert sorted(problem.partition(":")[0] for problem in problems(environ)) == [
        "ACME_LLM_TEMPERATURE",
        "EMBEDDING_ASYMMETRIC",
        "EMBEDDING_BATCH_NUM",
        "EMBEDDING_DIM",
        "EMBEDDING_MODEL",
        "EXTRACT_LLM_MODEL",
        "KEYWORD_ACME_LLM_TEMPERATURE",
        "LLM_TIMEOUT",
        "MAX_ASYNC",
        "QUERY_LLM_BINDING",
        "VLM_LLM_TIMEOUT",
    ]


def test_what_is_missing_is_asked_for_by_its_variables() -> None:
    """LightRAG's, and the provider's own."""
    found = problems({**BASE, "LLM_BINDING": "openai"})

    assert len(found) == 1
    assert found[0].startswith(
        "LLM_BINDING_API_KEY: missing: set LLM_BINDING_API_KEY or OPENAI_API_KEY"
    )


def test_what_a_provider_refuses_is_told_about_the_variable() -> None:
    """And not about a keyword that nobody wrote."""
    host = {"LLM_BINDING_HOST": "llm", "EMBEDDING_BINDING_HOST": "embedding"}

    assert problems({**BASE, **host, "QUERY_LLM_BINDING_HOST": "query"}) == [
        f"{name}: is no address; set {name}=https://… @ acme"
        for name in ("LLM_BINDING_HOST", "QUERY_LLM_BINDING_HOST", "EMBEDDING_BINDING_HOST")
    ]


VALUES = (
    st.sampled_from(["", "0", "1", "-1", "true", "None", "NO_PREFIX", "acme:x", "1e999"])
    | st.text()
)
BINDINGS = st.sampled_from([*CONNECTIONS, "acme_alias", "nobody", "None", "openai-ollama", ""])
ANYTHING = st.fixed_dictionaries(
    {},
    optional={
        f"{prefix}{name}": BINDINGS if name.endswith("_BINDING") else VALUES
        for prefix in ("", "QUERY_")
        for group in (LLMVariables, EmbeddingVariables)
        for field in group.fields()
        for name in field.variables
    },
)


def told(environ: dict[str, str]) -> list[str]:
    """Return what is wrong with *environ*, if anything is; another exception is not caught."""
    try:
        from_env(environ)
    except OptionsError as exc:
        return list(exc.problems)
    except (UnknownProviderError, UnsupportedError) as exc:
        return [str(exc)]
    return []


@given(ANYTHING)
def test_whatever_stands_in_the_variables_is_taken_or_told(environ: dict[str, str]) -> None:
    """Each problem once, and beginning with its variable."""
    with ragcore.testing.plugin(Plugin(), distribution="acme"):
        found = told({**BASE, **environ})

    assert len(set(found)) == len(found)
    assert [one for one in found if not re.match("(QUERY_)?(LLM|EMBEDDING|MAX)_", one)] == []


def test_a_model_that_is_not_there_is_told_with_the_rest() -> None:
    """Where the provider looks at its files; alone, it keeps its class."""
    environ = {**BASE, "EMBEDDING_MODEL": "nowhere"}

    assert [one.partition(":")[0] for one in problems({**environ, "LLM_TIMEOUT": "soon"})] == [
        "LLM_TIMEOUT",
        "EMBEDDING_MODEL",
    ]
    with pytest.raises(NotFoundError, match=r"^EMBEDDING_MODEL: There is no folder"):
        from_env(environ)


def test_an_unknown_provider_alone_keeps_its_class() -> None:
    """It names the variable, and what was perhaps meant."""
    with pytest.raises(UnknownProviderError, match=r"^LLM_BINDING: No provider 'acm' .*'acme'"):
        from_env({**BASE, "LLM_BINDING": "acm"})
    with pytest.raises(UnknownProviderError, match=r"^VLM_LLM_BINDING: No provider 'anthropi'"):
        from_env({**BASE, "VLM_LLM_BINDING": "anthropi"})


def test_a_provider_without_the_task_keeps_its_class() -> None:
    """As when it is asked for by its name."""
    with pytest.raises(UnsupportedError, match=r"^EMBEDDING_BINDING: Provider 'anthropic' has no"):
        from_env({**BASE, "EMBEDDING_BINDING": "anthropic"})


def test_a_broken_plugin_alone_keeps_its_class() -> None:
    """With the reason and the cure."""

    class Broken:
        @hookimpl
        def ragcore_completion_providers(self) -> Iterator[CompletionProvider]:
            raise RuntimeError("rusty")

    with (
        ragcore.testing.plugin(Broken(), distribution="rusty"),
        pytest.raises(PluginError, match=r"^LLM_BINDING: .*rusty"),
    ):
        from_env({**BASE, "LLM_BINDING": "rusty"})


def test_keys_are_shown_nowhere() -> None:
    """Neither in what is returned, nor in what is wrong."""
    keys = dict.fromkeys(("LLM_BINDING_API_KEY", "EMBEDDING_BINDING_API_KEY"), KEY)
    environ = {**BASE, **keys, "QUERY_LLM_BINDING_API_KEY": KEY, "ACME_TOKEN": KEY}
    made = from_env(environ)
    shown = repr(made) + repr(dataclasses.asdict(made["role_llm_configs"]["query"]))

    assert KEY not in shown
    assert KEY not in "".join(problems({**environ, "LLM_TIMEOUT": "soon", "LLM_MODEL": ""}))


# --- limits ---------------------------------------------------------------------------------


async def test_a_timeout_is_that_of_one_attempt() -> None:
    """All else about retrying stays the provider's."""
    environ = {**BASE, "LLM_TIMEOUT": "60", "QUERY_LLM_TIMEOUT": "7", "EMBEDDING_TIMEOUT": "5"}
    made = from_env(environ)
    configs = made["role_llm_configs"]

    assert (await asked(made["llm_model_func"])).request.attempt_timeout == 60
    assert (await role(made, "query")).request.attempt_timeout == 7
    assert (await embedded(made)).request.attempt_timeout == 5
    assert (made["default_llm_timeout"], made["default_embedding_timeout"]) == (60, 5)
    assert (configs["extract"].timeout, configs["query"].timeout) == (60, 7)


def gives_up_after(environ: dict[str, str], name: str = "llm_model_func") -> float:
    """Return the seconds that a call takes which gets no answer."""
    func = from_env({**BASE, **environ})[name]
    with FakeClock() as clock:
        with pytest.raises(RequestTimeoutError):
            clock.run(func(["sleep"] if name == "embedding_func" else "sleep"))
        return clock.time


@pytest.mark.parametrize(
    ("environ", "seconds"),
    [
        ({}, 450),
        ({"LLM_TIMEOUT": "240"}, 450),
        ({"LLM_TIMEOUT": "8"}, 15),
        ({"LLM_TIMEOUT": "8", "RAGCORE_TIMEOUT": "9"}, 9),
        ({"LLM_TIMEOUT": "8", "RAGCORE_TIMEOUT": "1000"}, 15),
        ({"LLM_TIMEOUT": "0", "RAGCORE_TIMEOUT": "1000"}, 1000),
        ({"RAGCORE_TIMEOUT": "1000"}, 1000),
    ],
)
def test_the_deadline_is_before_the_engines(environ: dict[str, str], seconds: float) -> None:
    """Which is after twice LLM_TIMEOUT; RAGCORE_TIMEOUT shortens it."""
    assert gives_up_after(environ) == pytest.approx(seconds, abs=1)


@pytest.mark.parametrize(("timeout", "seconds"), [("", 55), ("30", 55), ("12", 22)])
def test_embedding_has_its_own_deadline(timeout: str, seconds: float) -> None:
    """Before twice EMBEDDING_TIMEOUT is over."""
    found = gives_up_after({"EMBEDDING_TIMEOUT": timeout}, "embedding_func")

    assert found == pytest.approx(seconds, abs=1)


async def test_zero_is_no_timeout() -> None:
    """Ours; and the engine, which would give up at once, gets a limit that it never reaches."""
    made = from_env({**BASE, "LLM_TIMEOUT": "0", "EMBEDDING_TIMEOUT": "0", "VLM_LLM_TIMEOUT": "3"})
    configs = made["role_llm_configs"]
    years = 365 * 24 * 3600

    assert (await asked(made["llm_model_func"])).request.attempt_timeout is None
    assert made["default_llm_timeout"] > 10 * years
    assert made["default_embedding_timeout"] > 10 * years
    assert (configs["query"].timeout > 10 * years, configs["vlm"].timeout) == (True, 3)


async def test_a_timeout_that_is_never_reached_is_any_number() -> None:
    """One that no clock can hold, too."""
    made = from_env({**BASE, "LLM_TIMEOUT": "9" * 400, "EMBEDDING_TIMEOUT": "9" * 400})

    await asked(made["llm_model_func"])
    await embedded(made)
    assert (
        made["default_llm_timeout"] == from_env({**BASE, "LLM_TIMEOUT": "0"})["default_llm_timeout"]
    )


def test_without_a_timeout_nothing_ends_a_call() -> None:
    """Half a year, and still waiting."""
    func = from_env({**BASE, "LLM_TIMEOUT": "0"})["llm_model_func"]

    async def wait() -> None:
        async with asyncio.timeout(10**6):
            await func("sleep")

    with FakeClock() as clock:
        with pytest.raises(TimeoutError):
            clock.run(wait())
        assert clock.time >= 10**6


def test_how_much_is_asked_at_once() -> None:
    """For all and for a role; MAX_ASYNC is the older name."""
    environ = {
        "MAX_ASYNC": "5",
        "EXTRACT_MAX_ASYNC_LLM": "9",
        "EMBEDDING_FUNC_MAX_ASYNC": "6",
        "EMBEDDING_BATCH_NUM": "7",
    }
    made = from_env({**BASE, **environ})
    newer = from_env({**BASE, **environ, "MAX_ASYNC_LLM": "4"})

    assert made["llm_model_max_async"] == 5
    assert newer["llm_model_max_async"] == 4
    assert made["role_llm_configs"]["extract"].max_async == 9
    assert (made["embedding_func_max_async"], made["embedding_batch_num"]) == (6, 7)


# --- embedding ------------------------------------------------------------------------------


async def test_the_service_is_asked_for_a_length_only_if_that_is_said() -> None:
    """EMBEDDING_SEND_DIM; EMBEDDING_DIM alone says how long vectors are."""
    environ = {**BASE, "EMBEDDING_MODEL": "flexible", "EMBEDDING_DIM": "8"}
    silent = await embedded(from_env(environ))
    made = from_env({**environ, "EMBEDDING_SEND_DIM": "true", "EMBEDDING_DIM": "16"})
    asking = await embedded(made)

    assert silent.request.dimensions is None  # type: ignore[union-attr]  # it embeds
    assert asking.request.dimensions == 16  # type: ignore[union-attr]  # it embeds
    assert (made["embedding_func"].embedding_dim, made["embedding_func"].send_dimensions) == (
        16,
        True,
    )


@pytest.mark.parametrize(
    ("environ", "problem"),
    [
        ({"EMBEDDING_MODEL": "new"}, "EMBEDDING_DIM: .*; set EMBEDDING_DIM$"),
        ({"EMBEDDING_DIM": "9"}, "EMBEDDING_DIM: the vectors of acme:known have 8, not 9$"),
        (
            {"EMBEDDING_MODEL": "known-flexible", "EMBEDDING_DIM": "9"},
            "EMBEDDING_DIM: .* have 8, not 9; EMBEDDING_SEND_DIM=True asks for it$",
        ),
        ({"EMBEDDING_SEND_DIM": "yes"}, "EMBEDDING_SEND_DIM: acme:known has vectors of one length"),
    ],
)
def test_a_wrong_length_is_told(environ: dict[str, str], problem: str) -> None:
    """Before an index is made with it."""
    with pytest.raises(OptionsError, match=problem) as caught:
        from_env({**BASE, **environ})

    assert len(caught.value.problems) == 1


@pytest.mark.parametrize(("limit", "tokens"), [("50", 50), ("0", 100), ("", 100)])
def test_the_longest_text_is_what_the_user_says(limit: str, tokens: int) -> None:
    """Or else what the provider knows."""
    made = from_env({**BASE, "EMBEDDING_TOKEN_LIMIT": limit})

    assert made["embedding_func"].max_token_size == tokens


@pytest.mark.parametrize(("text", "encoding"), [("true", "base64"), ("false", "float"), ("", None)])
async def test_how_vectors_travel(text: str, encoding: str | None) -> None:
    """Where the provider has a choice; elsewhere there is nothing to do."""
    environ = {**BASE, "EMBEDDING_USE_BASE64": text}
    from_env({**environ, "EMBEDDING_BINDING": "local"})

    assert (await embedded(from_env(environ))).options.encoding_format == encoding


BOTH = {"EMBEDDING_QUERY_PREFIX": "query: ", "EMBEDDING_DOCUMENT_PREFIX": "NO_PREFIX"}


async def test_prefixes_are_put_where_they_are_asked_for() -> None:
    """EMBEDDING_ASYMMETRIC=true; NO_PREFIX is deliberately none."""
    made = from_env({**BASE, **BOTH, "EMBEDDING_ASYMMETRIC": "true"})
    seen = await embedded(made, context="query")

    assert made["embedding_func"].supports_asymmetric
    assert (seen.options.query_prefix, seen.options.document_prefix) == ("query: ", "")
    assert seen.request.input_type == "query"  # type: ignore[union-attr]  # it embeds


@pytest.mark.parametrize("asymmetric", ["", "false"])
async def test_prefixes_are_not_used_unasked(
    asymmetric: str, caplog: pytest.LogCaptureFixture
) -> None:
    """An index that was made without them would be searched with them; the log says so."""
    made = from_env({**BASE, **BOTH, "EMBEDDING_ASYMMETRIC": asymmetric})
    seen = await embedded(made, context="query")

    assert not made["embedding_func"].supports_asymmetric
    assert seen.options.query_prefix is None
    assert f"EMBEDDING_ASYMMETRIC is {asymmetric or 'unset'}" in caplog.text


@pytest.mark.parametrize(
    ("environ", "is_asymmetric"),
    [
        ({"EMBEDDING_MODEL": "known-two-sided"}, True),
        ({"EMBEDDING_MODEL": "known-two-sided", "EMBEDDING_ASYMMETRIC": "true"}, True),
        ({"EMBEDDING_MODEL": "known-two-sided", "EMBEDDING_ASYMMETRIC": "false"}, False),
        ({"ACME_EMBEDDING_QUERY_PREFIX": "q"}, True),
        ({"ACME_EMBEDDING_QUERY_PREFIX": "q", "EMBEDDING_ASYMMETRIC": "true"}, True),
        ({}, False),
    ],
)
def test_a_model_that_tells_queries_by_itself_needs_no_prefix(
    environ: dict[str, str], is_asymmetric: bool
) -> None:
    """Nor one whose provider was given prefixes; false is false."""
    assert from_env({**BASE, **environ})["embedding_func"].supports_asymmetric is is_asymmetric


@pytest.mark.parametrize(
    ("environ", "problem"),
    [
        ({}, "EMBEDDING_ASYMMETRIC: acme makes no difference .*; set EMBEDDING_QUERY_PREFIX and"),
        ({"EMBEDDING_BINDING": "local"}, "EMBEDDING_ASYMMETRIC: local .* documents; unset it"),
        (BOTH | {"EMBEDDING_QUERY_PREFIX": ""}, "^EMBEDDING_QUERY_PREFIX: empty; write NO_PREFIX"),
        ({"EMBEDDING_QUERY_PREFIX": "q"}, "^EMBEDDING_DOCUMENT_PREFIX: missing: .* NO_PREFIX"),
        (BOTH | {"EMBEDDING_QUERY_PREFIX": "NO_PREFIX"}, "are NO_PREFIX: nothing would differ"),
    ],
)
def test_a_difference_that_would_be_none_is_an_error(environ: dict[str, str], problem: str) -> None:
    """With the cure, as in LightRAG."""
    with pytest.raises(OptionsError, match=problem) as caught:
        from_env({**BASE, "EMBEDDING_ASYMMETRIC": "true", **environ})

    assert len(caught.value.problems) == 1


# --- any provider ---------------------------------------------------------------------------

TASKS = [(info.name, task) for info in ragcore.providers().providers for task in info.tasks]
COMPLETING = [name for name, task in TASKS if task == "completion"]
EMBEDDING = [name for name, task in TASKS if task == "embedding"]
ADDRESS = "http://127.0.0.1:1"


def opened(func: Any) -> Any:
    """Return what *func* opens its model by."""
    return inspect.getclosurevars(func).nonlocals["opening"]


def account(connection: BindingOptions) -> dict[str, str]:
    """Return what of *connection* the tests below have set."""
    values = connection.asdict().items()
    texts = {n: v.get() if isinstance(v, Secret) else v for n, v in values}
    return {name: text for name, text in texts.items() if text in (ADDRESS, KEY)}


ACCOUNTS_OF = {
    "azure": {"endpoint": ADDRESS, "api_key": KEY},
    "bedrock": {"endpoint_url": ADDRESS},
    "hf": {"endpoint": ADDRESS, "token": KEY},
    "hf-inference": {"base_url": ADDRESS, "token": KEY},
    "ollama": {"host": ADDRESS, "api_key": KEY},
    "parrot": {},
}


@pytest.mark.parametrize("name", COMPLETING)
def test_any_provider_is_a_binding(name: str) -> None:
    """With LightRAG's address and key, if it has any use for them; for a role, too."""
    host = {} if name == "parrot" else {"LLM_BINDING_HOST": ADDRESS}
    its = {"LLM_BINDING": name, "LLM_MODEL": "any", "LLM_BINDING_API_KEY": KEY, **host}
    base = from_env({**BASE, **its})
    made = from_env({**BASE, **{f"VLM_{variable}": text for variable, text in its.items()}})
    functions = [base["llm_model_func"], made["role_llm_configs"]["vlm"].func]

    for opening in map(opened, functions):
        assert (opening.provider.name, opening.model_name) == (name, "any")
        assert account(opening.connection) == ACCOUNTS_OF.get(
            name, {"base_url": ADDRESS, "api_key": KEY}
        )
    assert account(opened(made["llm_model_func"]).connection) == {}


@pytest.mark.parametrize("name", EMBEDDING)
def test_any_provider_is_an_embedding_binding(name: str, tmp_path: Path) -> None:
    """With LightRAG's address and key, if it has any use for them."""
    (tmp_path / "config.json").write_text('{"model_type": "bert", "hidden_size": 64}')
    host = {} if name == "parrot" else {"EMBEDDING_BINDING_HOST": ADDRESS}
    its = {
        "EMBEDDING_BINDING": name,
        "EMBEDDING_MODEL": str(tmp_path) if name == "hf" else "any",
        "EMBEDDING_DIM": "64",
        "EMBEDDING_BINDING_API_KEY": KEY,
        **host,
    }
    made = from_env({**BASE, **its})
    opening = opened(made["embedding_func"].func)

    assert opening.provider.name == name
    assert made["embedding_func"].embedding_dim == 64
    assert account(opening.connection) == ACCOUNTS_OF.get(
        name, {"base_url": ADDRESS, "api_key": KEY}
    )
    assert account(opened(made["llm_model_func"]).connection) == {}


# --- LightRAG -------------------------------------------------------------------------------

# As its documentation and its setup write them.
ENVIRONMENTS: dict[str, dict[str, str]] = {
    "ollama": {
        "LLM_BINDING": "ollama",
        "LLM_MODEL": "qwen3.5:9b",
        "LLM_BINDING_HOST": "http://localhost:11434",
        "OLLAMA_LLM_NUM_CTX": "32768",
        "EMBEDDING_BINDING": "ollama",
        "EMBEDDING_BINDING_HOST": "http://localhost:11434",
        "EMBEDDING_MODEL": "qwen3-embedding:0.6b",
        "EMBEDDING_DIM": "1024",
        "OLLAMA_EMBEDDING_NUM_CTX": "8192",
        "MAX_ASYNC": "4",
        "LLM_TIMEOUT": "180",
        "EMBEDDING_TIMEOUT": "30",
    },
    "openai": {
        "LLM_BINDING": "openai",
        "LLM_MODEL": "gpt-5.4-mini",
        "LLM_BINDING_HOST": "https://api.openai.com/v1",
        "LLM_BINDING_API_KEY": "your_api_key",
        "OPENAI_LLM_REASONING_EFFORT": "minimal",
        "OPENAI_LLM_MAX_COMPLETION_TOKENS": "9000",
        "OPENAI_LLM_EXTRA_BODY": '{"chat_template_kwargs": {"enable_thinking": false}}',
        "EMBEDDING_BINDING": "openai",
        "EMBEDDING_BINDING_HOST": "https://api.openai.com/v1",
        "EMBEDDING_BINDING_API_KEY": "your_api_key",
        "EMBEDDING_MODEL": "text-embedding-3-large",
        "EMBEDDING_DIM": "3072",
        "EMBEDDING_SEND_DIM": "false",
        "EMBEDDING_TOKEN_LIMIT": "8192",
        "MAX_ASYNC_LLM": "8",
        "EMBEDDING_FUNC_MAX_ASYNC": "16",
        "EMBEDDING_BATCH_NUM": "32",
    },
    "openrouter": {
        "LLM_BINDING": "openai",
        "LLM_MODEL": "google/gemini-2.5-flash",
        "LLM_BINDING_HOST": "https://openrouter.ai/api/v1",
        "LLM_BINDING_API_KEY": "your_api_key",
        "EMBEDDING_BINDING": "ollama",
        "EMBEDDING_BINDING_HOST": "http://localhost:11434",
    },
    "azure_openai": {
        "LLM_BINDING": "azure_openai",
        "LLM_BINDING_HOST": "https://xxxx.openai.azure.com/",
        "LLM_BINDING_API_KEY": "your_api_key",
        "LLM_MODEL": "my-gpt-mini-deployment",
        "AZURE_OPENAI_API_VERSION": "2024-08-01-preview",
        "EMBEDDING_BINDING": "azure_openai",
        "EMBEDDING_MODEL": "my-text-embedding-3-large-deployment",
        "EMBEDDING_DIM": "3072",
        "EMBEDDING_BINDING_HOST": "https://xxxx.openai.azure.com/",
        "EMBEDDING_BINDING_API_KEY": "your_api_key",
    },
    "bedrock": {
        "LLM_BINDING": "bedrock",
        "LLM_MODEL": "anthropic.claude-3-5-sonnet-20241022-v2:0",
        "LLM_BINDING_HOST": "DEFAULT_BEDROCK_ENDPOINT",
        "AWS_REGION": "us-east-1",
        "AWS_ACCESS_KEY_ID": "your_id",
        "AWS_SECRET_ACCESS_KEY": "your_key",
        "BEDROCK_LLM_TEMPERATURE": "1.0",
        "EMBEDDING_BINDING": "bedrock",
        "EMBEDDING_BINDING_HOST": "DEFAULT_BEDROCK_ENDPOINT",
        "EMBEDDING_MODEL": "amazon.titan-embed-text-v2:0",
        "EMBEDDING_DIM": "1024",
    },
    "roles": {
        "LLM_BINDING": "openai",
        "LLM_MODEL": "gpt-5.4-mini",
        "LLM_BINDING_HOST": "https://api.openai.com/v1",
        "LLM_BINDING_API_KEY": "your_api_key",
        "LLM_TIMEOUT": "240",
        "MAX_ASYNC_LLM": "4",
        "EXTRACT_LLM_BINDING": "ollama",
        "EXTRACT_LLM_MODEL": "qwen3:14b",
        "EXTRACT_LLM_BINDING_HOST": "http://localhost:11434",
        "EXTRACT_LLM_BINDING_API_KEY": "ollama",
        "EXTRACT_MAX_ASYNC_LLM": "2",
        "EXTRACT_OLLAMA_LLM_NUM_CTX": "16384",
        "QUERY_LLM_MODEL": "gpt-5.4",
        "QUERY_LLM_TIMEOUT": "480",
        "QUERY_OPENAI_LLM_REASONING_EFFORT": "medium",
        "KEYWORD_LLM_BINDING": "None",
        "VLM_LLM_BINDING": "bedrock",
        "VLM_LLM_MODEL": "anthropic.claude-sonnet-4-20250514-v1:0",
        "VLM_LLM_BINDING_HOST": "DEFAULT_BEDROCK_ENDPOINT",
        "VLM_AWS_REGION": "us-west-2",
        "EMBEDDING_BINDING": "ollama",
        "EMBEDDING_BINDING_HOST": "http://localhost:11434",
    },
    "openai-ollama": {
        "LLM_BINDING": "openai-ollama",
        "LLM_MODEL": "gpt-5.4-mini",
        "LLM_BINDING_HOST": "https://api.openai.com/v1",
        "LLM_BINDING_API_KEY": "your_api_key",
        "EMBEDDING_BINDING": "openai",
        "EMBEDDING_MODEL": "bge-m3:latest",
        "EMBEDDING_DIM": "1024",
    },
}

LIGHTRAGS_READING = """
import json, os, sys
environments = json.loads(sys.argv.pop())
from lightrag.api.config import parse_args

def of_role(args, role):
    own = lambda name: getattr(args, f"{role}_llm_{name}")
    return {
        "binding": own("binding") or args.llm_binding,
        "model": own("model") or args.llm_model,
        "host": own("binding_host") or args.llm_binding_host,
        "timeout": own("timeout") or args.llm_timeout,
        "max_async": own("max_async") or args.max_async,
    }

def read(environment):
    before = dict(os.environ)
    os.environ.update(environment)
    args = parse_args()
    os.environ.clear()
    os.environ.update(before)
    return {
        "roles": {role: of_role(args, role) for role in ("extract", "keyword", "query", "vlm")},
        "model": args.llm_model,
        "embedding_model": args.embedding_model,
        "limits": [args.llm_timeout, args.embedding_timeout, args.max_async,
                   args.embedding_func_max_async, args.embedding_batch_num],
    }

print(json.dumps({name: read(environment) for name, environment in environments.items()}))
"""


def our_reading(environment: dict[str, str]) -> dict[str, Any]:
    """Return what LightRAG would have; its defaults where we leave them to it."""
    made = from_env(environment)
    limits = {
        "default_llm_timeout": 240,
        "default_embedding_timeout": 30,
        "llm_model_max_async": 4,
        "embedding_func_max_async": 8,
        "embedding_batch_num": 10,
    }
    roles = {
        name: config.metadata
        | {
            "host": config.metadata["host"] or "DEFAULT_BEDROCK_ENDPOINT",
            "timeout": config.timeout or made.get("default_llm_timeout", 240),
            "max_async": config.max_async or made.get("llm_model_max_async", 4),
        }
        for name, config in made["role_llm_configs"].items()
    }
    return {
        "roles": roles,
        "model": made["llm_model_name"],
        "embedding_model": made["embedding_func"].model_name,
        "limits": [made.get(name, default) for name, default in limits.items()],
    }


def test_lightrag_reads_the_same_environments_alike(tmp_path: Path) -> None:
    """Its server's own parser: bindings, models, addresses and limits of all roles."""
    ended = subprocess.run(  # noqa: S603  # our own program
        [sys.executable, "-c", LIGHTRAGS_READING, json.dumps(ENVIRONMENTS)],
        capture_output=True,
        text=True,
        check=True,
        cwd=tmp_path,
        env={"PATH": os.environ["PATH"], "HOME": str(tmp_path)},
    )
    theirs = json.loads(ended.stdout)

    assert {name: our_reading(one) for name, one in ENVIRONMENTS.items()} == theirs


ENGINE = """
import asyncio, json, logging, sys, tempfile
import ragcore.testing
from lightrag import LightRAG, QueryParam
from lightrag.utils import Tokenizer
from ragcore.lightrag import from_env
from test_lightrag_env import BASE, Plugin, SEEN

logging.disable(logging.WARNING)
environment = {
    **BASE,
    "EXTRACT_LLM_BINDING": "zenith", "EXTRACT_LLM_MODEL": "extractor",
    "KEYWORD_LLM_MODEL": "keywords", "QUERY_LLM_MODEL": "answerer", "VLM_LLM_MODEL": "looker",
    "LLM_TIMEOUT": "0", "QUERY_LLM_TIMEOUT": "30", "EMBEDDING_TIMEOUT": "0",
    "MAX_ASYNC": "2", "EMBEDDING_FUNC_MAX_ASYNC": "3", "EMBEDDING_BATCH_NUM": "4",
    "EMBEDDING_ASYMMETRIC": "true",
    "EMBEDDING_QUERY_PREFIX": "query: ", "EMBEDDING_DOCUMENT_PREFIX": "NO_PREFIX",
}

def seen():
    found = {(one.provider, one.model, getattr(one.request, "input_type", "")) for one in SEEN}
    SEEN.clear()
    return sorted(found)

async def main(folder):
    handed = from_env(environment)
    handed["tokenizer"] = Tokenizer("characters", ragcore.testing.CharacterTokenizer())
    rag = LightRAG(**handed, working_dir=folder)
    await rag.initialize_storages()
    await rag.ainsert("Ada Lovelace wrote the first program.")
    print(json.dumps(["insert", *seen()]))
    await rag.ainsert_custom_kg({
        "chunks": [{"content": "Ada wrote.", "source_id": "1", "file_path": "a.md"}],
        "entities": [{"entity_name": "Ada Lovelace", "entity_type": "person",
                      "description": "Wrote programs.", "source_id": "1"}],
        "relationships": [],
    })
    seen()
    param = QueryParam(mode="local", enable_rerank=False)
    answer = await rag.aquery("Who wrote the first program?", param)
    print(json.dumps(["query", *seen()]))
    assert answer == "answerer", answer
    await rag.role_llm_funcs["vlm"]("Look.")
    print(json.dumps(["look", *seen()]))
    print(json.dumps([rag.llm_model_max_async, rag.embedding_func_max_async,
                      rag.embedding_batch_num]))
    await rag.finalize_storages()

with ragcore.testing.plugin(Plugin(), distribution="acme"), tempfile.TemporaryDirectory() as folder:
    asyncio.run(main(folder))
"""


def test_the_real_engine_asks_each_roles_model() -> None:
    """Indexing, keywords, answers and images; without a timeout it does not give up at once."""
    ended = subprocess.run(  # noqa: S603  # our own program
        [sys.executable, "-W", "error", "-c", ENGINE],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parent)},
    )

    assert (ended.stderr, ended.returncode) == ("", 0)
    assert [json.loads(line) for line in ended.stdout.splitlines()] == [
        ["insert", ["acme", "known", "document"], ["zenith", "extractor", ""]],
        ["query", ["acme", "answerer", ""], ["acme", "keywords", ""], ["acme", "known", "query"]],
        ["look", ["acme", "looker", ""]],
        [2, 3, 4],
    ]


# --- roles of programs ----------------------------------------------------------------------


async def test_a_program_gives_roles_models() -> None:
    """Those that it names, with options; their variables count."""
    configs = role_llm_configs(
        extract="acme:small", query=("zenith_alias:peak", {"temperature": 0.5, "token": KEY})
    )
    query = await asked(configs["query"].func)

    assert set(configs) == {"extract", "query"}
    assert (query.model, query.options.temperature) == ("peak", 0.5)
    assert secret(query.connection.token) == KEY
    assert configs["query"].metadata == {"binding": "zenith_alias", "model": "peak", "host": None}
    assert (configs["query"].kwargs, configs["query"].timeout) == ({}, None)


async def test_a_roles_variables_count_for_it_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """EXTRACT_…; a keyword goes before them."""
    monkeypatch.setenv("EXTRACT_ACME_LLM_TEMPERATURE", "0.7")
    configs = role_llm_configs(extract="acme:small", keyword="acme:small")
    keyword = role_llm_configs(extract=("acme:small", {"temperature": 0.1}))

    assert (await asked(configs["extract"].func)).options.temperature == 0.7
    assert (await asked(configs["keyword"].func)).options.temperature is None
    assert (await asked(keyword["extract"].func)).options.temperature == 0.1


def test_all_problems_of_all_roles_come_at_once() -> None:
    """Each with its role; a provider that is all that is wrong keeps its class."""
    with pytest.raises(OptionsError) as caught:
        role_llm_configs(extract=("acme:a", {"temperature": "hot"}), vlm=("acme:b", {"x": 1}))
    with pytest.raises(UnknownProviderError, match=r"^query: No provider 'acm'"):
        role_llm_configs(query="acm:a")

    assert [problem[:20] for problem in caught.value.problems] == [
        "extract: temperature",
        "vlm: x: unknown opti",
    ]


@pytest.mark.parametrize("model", [5, ("acme:a", KEY), ("acme:a", {}, KEY)])
def test_what_is_no_model_is_told(model: Any) -> None:
    """With the role, and without what it holds, which may be a key."""
    with pytest.raises(OptionsError, match=r"^extract: neither .*, nor a tuple") as told:
        role_llm_configs(extract=model)

    assert KEY not in str(told.value)


def test_lightrag_may_copy_what_it_is_handed() -> None:
    """It does so on every query."""
    made = from_env(BASE)
    copied = copy.deepcopy({**made, "roles": role_llm_configs(extract="acme:a")})

    assert copied["llm_model_func"] is made["llm_model_func"]
    assert copied["embedding_func"].func is made["embedding_func"].func
    for name, config in made["role_llm_configs"].items():
        assert dataclasses.asdict(config)["func"] is copied["role_llm_configs"][name].func
