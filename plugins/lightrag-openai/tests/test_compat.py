"""LightRAG's functions for OpenAI and Azure OpenAI, imported from here."""

from __future__ import annotations

import base64
from typing import Any

import numpy as np
import openai
import pytest
from openai_double import OpenAI

import lightrag_openai
from lightrag_openai import (
    azure_openai_complete,
    azure_openai_complete_if_cache,
    azure_openai_embed,
    create_openai_async_client,
    gpt_4o_mini_complete,
    openai_complete_if_cache,
    openai_embed,
)
from ragcore import AuthenticationError, OptionsError, Retry
from ragcore.lightrag import from_env
from ragcore.testing.contracts import SECRET
from ragcore.testing.server import Answer, Failure, Vectors


def where(service: OpenAI) -> dict[str, Any]:
    return {"base_url": service.base_url, "api_key": SECRET}


async def test_a_call_of_lightrags_is_a_request() -> None:
    """What its parameters say arrives: the conversation, images, limits, options."""
    picture = base64.b64encode(b"\x89PNG\r\n\x1a\n" + bytes(20)).decode()
    async with OpenAI(Answer("Goethe")).running() as service:
        answer = await openai_complete_if_cache(
            "gpt-4o-mini",
            "Who wrote Faust?",
            system_prompt="Be brief.",
            history_messages=[{"role": "user", "content": "Hello."}],
            image_inputs=[{"base64": picture, "mime_type": "image/png"}],
            max_tokens=20,
            temperature=0.5,
            hashing_kv=None,
            **where(service),
        )

    [request] = service.requests
    assert answer == "Goethe"
    assert request.headers["authorization"] == f"Bearer {SECRET}"
    assert request.json["model"] == "gpt-4o-mini"
    assert request.json["temperature"] == 0.5
    assert request.json["max_completion_tokens"] == 20
    system, before, now = request.json["messages"]
    assert (system["content"], before["content"]) == ("Be brief.", "Hello.")
    assert now["content"][0]["text"] == "Who wrote Faust?"
    assert now["content"][1]["image_url"]["url"] == f"data:image/png;base64,{picture}"


async def test_it_streams_and_counts() -> None:
    """A stream is an asynchronous iterator; a tracker is told what it cost."""
    counted: list[dict[str, int]] = []

    class Tracker:
        add_usage = staticmethod(counted.append)

    async with OpenAI(Answer("Goethe", input_tokens=5, output_tokens=2)).running() as service:
        pieces = await gpt_4o_mini_complete(
            "Who?", stream=True, token_tracker=Tracker(), **where(service)
        )
        text = "".join([piece async for piece in pieces])

    assert text == "Goethe"
    assert service.requests[-1].json["model"] == "gpt-4o-mini"
    assert counted == [{"prompt_tokens": 5, "completion_tokens": 2, "total_tokens": 7}]


@pytest.mark.parametrize("flag", ["keyword_extraction", "entity_extraction"])
async def test_the_older_flags_ask_for_json(flag: str) -> None:
    """As response_format does."""
    async with OpenAI(Answer("{}")).running() as service:
        await openai_complete_if_cache("gpt-4o", "Who?", **{flag: True, **where(service)})

    assert service.requests[-1].json["response_format"] == {"type": "json_object"}


async def test_client_configs_are_options() -> None:
    """What stands beside them is stronger; what there is no option for is named."""
    configs = {"default_headers": {"X-Team": "blue"}, "base_url": "http://127.0.0.1:9/v1"}
    async with OpenAI(Answer("Goethe")).running() as service:
        await openai_complete_if_cache(
            "gpt-4o", "Who?", openai_client_configs=configs, **where(service)
        )
        with pytest.raises(OptionsError, match="max_retries: unknown option"):
            await openai_complete_if_cache(
                "gpt-4o", "Who?", openai_client_configs={"max_retries": 2}, **where(service)
            )

    [request] = service.requests
    assert request.headers["x-team"] == "blue"


async def test_lightrags_binding_of_the_responses_api_is_known() -> None:
    """The same account, its own options, another API."""
    async with OpenAI(Answer("Goethe")).running() as service:
        handed = from_env(
            {
                "LLM_BINDING": "openai_responses",
                "LLM_MODEL": "gpt-4o",
                "LLM_BINDING_HOST": service.base_url,
                "LLM_BINDING_API_KEY": SECRET,
                "OPENAI_RESPONSES_LLM_TEMPERATURE": "0.5",
                "OPENAI_LLM_TEMPERATURE": "1",
                "EMBEDDING_BINDING": "openai",
                "EMBEDDING_MODEL": "text-embedding-3-small",
                "OPENAI_API_KEY": SECRET,
            }
        )
        answer = await handed["llm_model_func"]("Who?")

    [request] = service.requests
    assert answer == "Goethe"
    assert request.path == "/v1/responses"
    assert request.json["temperature"] == 0.5


async def test_azures_deployment_goes_before_the_model(monkeypatch: pytest.MonkeyPatch) -> None:
    """AZURE_OPENAI_DEPLOYMENT, else the model that was said; the key goes into Azure's header."""
    async with OpenAI(*[Answer("Goethe")] * 4).running() as service:
        account: dict[str, Any] = {
            "base_url": service.url,
            "api_key": SECRET,
            "api_version": "2024-10-21",
        }
        await azure_openai_complete_if_cache("gpt-4o", "Who?", **account)
        await openai_complete_if_cache(
            "gpt-4o", "Who?", use_azure=True, azure_deployment="mine", **account
        )
        monkeypatch.setenv("AZURE_OPENAI_DEPLOYMENT", "from-the-environment")
        await azure_openai_complete_if_cache("gpt-4o", "Who?", **account)
        await azure_openai_complete("Who?", **account)

    asked = [request.path.split("/")[3] for request in service.requests]
    assert asked == ["gpt-4o", "mine", "from-the-environment", "from-the-environment"]
    assert {request.headers["api-key"] for request in service.requests} == {SECRET}
    assert "api-version=2024-10-21" in service.requests[0].path


async def test_texts_become_vectors() -> None:
    """The object is called, or its function; prefixes go before texts."""
    short = Vectors([[0.5, 1.5]])
    async with OpenAI(Vectors([[0.5] * 1536]), short, short).running() as service:
        called = await openai_embed(["one"], model="text-embedding-3-large", **where(service))
        plain = await openai_embed.func(
            ["one"], context="query", query_prefix="q: ", document_prefix="d: ", **where(service)
        )
        azure = await azure_openai_embed.func(
            ["one"], "a-deployment", service.url, SECRET, context="document"
        )

    assert called.shape == (1, 1536)
    np.testing.assert_array_equal([plain, azure], [[[0.5, 1.5]]] * 2)
    large, small, deployed = (request.json for request in service.requests)
    assert (large["model"], large["dimensions"]) == ("text-embedding-3-large", 1536)
    assert (small["model"], small["input"]) == ("text-embedding-3-small", ["q: one"])
    assert "dimensions" not in small
    assert service.requests[-1].path.startswith("/openai/deployments/a-deployment/embeddings")
    assert deployed["input"] == ["one"]


async def test_another_services_vectors_are_as_long_as_they_are() -> None:
    """Of a model that is not known, nobody asks for the length that OpenAI's has."""
    async with OpenAI(Vectors([[0.5] * 4096])).running() as service:
        found = await openai_embed(["one"], model="solar-embedding-1-large", **where(service))

    assert found.shape == (1, 4096)
    assert "dimensions" not in service.requests[-1].json


async def test_errors_are_of_the_tree() -> None:
    """Not tenacity's RetryError, and after one request where waiting does not help."""
    async with OpenAI(Failure(401, "No such key.")).running() as service:
        with pytest.raises(AuthenticationError, match="No such key"):
            await openai_complete_if_cache("m", "…", retry=Retry(attempts=3), **where(service))

    assert len(service.requests) == 1


async def test_a_client_of_the_sdk_is_the_callers() -> None:
    """It asks once, and is closed by who has asked for it."""
    plain = create_openai_async_client("k", "http://127.0.0.1:9/v1", timeout=5)
    azure = create_openai_async_client(
        "k", "http://127.0.0.1:9", use_azure=True, api_version="2024-10-21"
    )

    async with plain, azure:
        assert (plain.api_key, plain.max_retries, plain.timeout) == ("k", 0, 5)
        assert isinstance(azure, openai.AsyncAzureOpenAI)


def test_an_unknown_name_is_none() -> None:
    """The module serves the names that it lists."""
    with pytest.raises(AttributeError, match="has no attribute 'openai_compleat'"):
        _ = lightrag_openai.openai_compleat
