"""Who is asked, who gets the key, and what is left open."""

from __future__ import annotations

import asyncio
import logging
import pickle

import pytest
from ollama_double import KEY, OllamaService, completion, embedding

import lightrag_ollama._connect
import ragcore
from lightrag_ollama import OllamaOptions
from lightrag_ollama._connect import Servers, connect
from ragcore import AuthenticationError, Secret
from ragcore.testing import Delay
from ragcore.testing.server import Answer, Failure, Vectors

OTHERS = (
    "OPENAI_API_KEY",
    "ANTHROPIC_API_KEY",
    "HF_TOKEN",
    "AZURE_OPENAI_API_KEY",
    "LLM_BINDING_API_KEY",
)


async def test_an_explicit_key_goes_to_the_named_host() -> None:
    """As a bearer token, for answers and vectors."""
    async with OllamaService(Answer(), Vectors([[1.0]])).running() as service:
        async with completion(service, api_key=KEY) as model:
            await model.complete("Who?")
        async with embedding(service, api_key=KEY) as vectors:
            await vectors.embed(["a"])

    assert [request.headers["authorization"] for request in service.requests] == [
        f"Bearer {KEY}"
    ] * 2


async def test_the_environment_names_host_and_key(monkeypatch: pytest.MonkeyPatch) -> None:
    """Together they are meant for each other."""
    async with OllamaService(Answer()).running() as service:
        monkeypatch.setenv("OLLAMA_HOST", f"localhost:{service.port}")
        monkeypatch.setenv("OLLAMA_API_KEY", KEY)
        async with ragcore.completion("ollama:llama3.2") as model:
            await model.complete("Who?")

    assert service.requests[0].headers["authorization"] == f"Bearer {KEY}"


async def test_the_server_that_nobody_named_gets_no_key(monkeypatch: pytest.MonkeyPatch) -> None:
    """The SDK would hand it the one of the environment."""
    monkeypatch.setenv("OLLAMA_API_KEY", KEY)
    async with OllamaService(Answer()).running() as service:
        monkeypatch.setattr(lightrag_ollama._connect, "LOCAL", service.url)
        async with ragcore.completion("ollama:llama3.2") as model:
            await model.complete("Who?")

    assert KEY.encode() not in service.requests[0].body
    assert KEY not in str(service.requests[0].headers)


@pytest.mark.parametrize(
    ("name", "there"), [("gpt-oss:120b-cloud", "gpt-oss:120b"), ("glm-5:cloud", "glm-5")]
)
async def test_cloud_models_are_asked_in_the_cloud_with_the_key(
    monkeypatch: pytest.MonkeyPatch, name: str, there: str
) -> None:
    """By the cloud's own names; unless a host is named, which passes them on."""
    monkeypatch.setenv("OLLAMA_API_KEY", KEY)
    async with (
        OllamaService(Answer()).running() as cloud,
        OllamaService(Answer()).running() as here,
    ):
        monkeypatch.setattr(lightrag_ollama._connect, "CLOUD", cloud.url)
        monkeypatch.setattr(lightrag_ollama._connect, "is_cloud", lambda url: url == cloud.url)
        monkeypatch.setattr(lightrag_ollama._connect, "LOCAL", here.url)
        async with ragcore.completion(f"ollama:{name}") as model:
            await model.complete("Who?")
        async with ragcore.completion("ollama:llama3.2") as model:
            await model.complete("Who?")
        async with ragcore.completion(f"ollama:{name}", host=here.url) as model:
            await model.complete("Who?")

    assert [request.json["model"] for request in cloud.requests] == [there]
    assert cloud.requests[0].headers["authorization"] == f"Bearer {KEY}"
    assert [request.json["model"] for request in here.requests] == ["llama3.2", name]


async def test_no_other_key_reaches_the_server(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever is in the environment."""
    for variable in OTHERS:
        monkeypatch.setenv(variable, f"canary-{variable}")
    async with OllamaService(Answer()).running() as service, completion(service) as model:
        await model.complete("Who?")

    assert "authorization" not in service.requests[0].headers
    assert "canary" not in str(service.requests[0])


async def test_a_key_is_nowhere_to_be_seen(caplog: pytest.LogCaptureFixture) -> None:
    """Not in the log at its most talkative, nor in an error, its repr or its pickle."""
    caplog.set_level(logging.DEBUG)
    async with (
        OllamaService(Failure(401, "bad key")).running() as service,
        completion(service, api_key=KEY) as model,
    ):
        with pytest.raises(AuthenticationError, match="OLLAMA_API_KEY") as caught:
            await model.complete("Who?")

    shown = [repr(model), str(caught.value), repr(caught.value), caplog.text]
    assert caplog.records
    assert not [text for text in shown if KEY in text]
    assert KEY.encode() not in pickle.dumps(caught.value)
    assert KEY not in repr(OllamaOptions(api_key=Secret(KEY)))


async def test_a_proxy_is_for_other_machines(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ours is asked directly; a remote one by the proxy of the environment."""
    async with OllamaService(Answer("by proxy")).running() as proxy:
        monkeypatch.setenv("HTTP_PROXY", proxy.url)
        async with (
            OllamaService(Answer("direct")).running() as service,
            completion(service) as model,
        ):
            here = await model.complete("Who?")
        async with completion(proxy, host="http://ollama.example:11434") as model:
            there = await model.complete("Who?")

    assert (here.text, there.text) == ("direct", "by proxy")
    assert [request.path for request in proxy.requests] == ["http://ollama.example:11434/api/chat"]


async def test_a_proxy_that_cannot_be_used_matters_to_other_machines_only(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Ours is asked all the same; for a remote one it is an error that says so."""
    monkeypatch.setenv("ALL_PROXY", "gopher://localhost:70")
    async with OllamaService(Answer()).running() as service:
        async with completion(service) as model:
            answer = await model.complete("Who?")
        async with completion(service, host="http://ollama.example") as model:
            with pytest.raises(ragcore.OptionsError, match="proxy"):
                await model.complete("Who?")

    assert answer.text == "Goethe"


async def test_a_limit_of_silence_is_always_set() -> None:
    """That of an attempt, or a long one."""
    async with connect(OllamaOptions(host="localhost")) as servers:
        limited = servers.client("llama3.2", 7.0)
        unlimited = servers.client("llama3.2")

        assert limited._client.timeout.read == 7.0
        assert unlimited._client.timeout.read is not None
        assert unlimited._client.timeout.connect is not None


async def test_what_was_opened_is_closed() -> None:
    """With the connection."""
    async with connect(OllamaOptions()) as servers:
        clients = [servers.client("llama3.2"), servers.client("glm-5:cloud")]
        assert servers.client("qwen3") is clients[0]

    assert [client._client.is_closed for client in clients] == [True, True]
    assert isinstance(servers, Servers)


async def test_a_few_idle_connections_are_kept() -> None:
    """Twenty; the pool looks through all of them with each call."""
    async with (
        OllamaService(Delay(0.3, Answer())).running() as service,
        completion(service) as model,
    ):
        for _ in range(2):
            await asyncio.gather(*(model.complete("Who?") for _ in range(30)))

    assert service.connections == 30 + 10
