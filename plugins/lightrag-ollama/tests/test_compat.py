"""LightRAG's functions for Ollama, imported from here."""

from __future__ import annotations

import base64
from types import SimpleNamespace
from typing import Any

import numpy as np
import ollama
import pytest
from ollama_double import OLLAMA, OllamaService

import lightrag_ollama
from lightrag_ollama import (
    _ollama_model_if_cache,
    compat,
    ensure_think_supported,
    ollama_embed,
    ollama_model_complete,
)
from ragcore import NotFoundError, OptionsError
from ragcore.testing.server import Answer, Failure, Vectors

JSON = {"type": "json_object"}
SCHEMA = {"type": "object", "properties": {"a": {"type": "integer"}}}


async def sent(**arguments: Any) -> dict[str, Any]:
    """Return the request that a call makes."""
    async with OLLAMA.serving(Answer('{"a": 1}')) as service:
        await _ollama_model_if_cache("llama3.2", "Who?", host=service.url, **arguments)
    body: dict[str, Any] = service.requests[-1].json
    return body


async def test_a_call_of_lightrags_is_a_request() -> None:
    """What its parameters say arrives: the conversation, images, the key, how long to stay."""
    picture = base64.b64encode(b"\x89PNG\r\n\x1a\n" + bytes(20)).decode()
    cache = SimpleNamespace(global_config={"llm_model_name": "llama3.2"})
    async with OLLAMA.serving(Answer("Goethe")) as service:
        answer = await ollama_model_complete(
            "Who wrote Faust?",
            "Be brief.",
            [{"role": "user", "content": "Hello."}],
            hashing_kv=cache,
            image_inputs=[{"base64": picture, "mime_type": "image/png"}],
            host=service.url,
            api_key="k",
            timeout=0,
            keep_alive="10m",
            think="low",
        )

    [request] = service.requests
    assert answer == "Goethe"
    assert request.headers["authorization"] == "Bearer k"
    assert (request.json["model"], request.json["keep_alive"]) == ("llama3.2", "10m")
    assert request.json["think"] == "low"
    assert [message["content"] for message in request.json["messages"]] == [
        "Be brief.",
        "Hello.",
        "Who wrote Faust?",
    ]
    assert request.json["messages"][-1]["images"] == [picture]


async def test_it_streams_and_counts() -> None:
    """A stream is an asynchronous iterator; a tracker is told what it cost."""
    counted: list[dict[str, int]] = []
    tracker = SimpleNamespace(add_usage=counted.append)

    async with OLLAMA.serving(Answer("Goethe", input_tokens=5, output_tokens=2)) as service:
        pieces = await _ollama_model_if_cache(
            "llama3.2", "Who?", stream=True, token_tracker=tracker, host=service.url
        )
        text = "".join([piece async for piece in pieces])

    assert text == "Goethe"
    assert counted == [{"prompt_tokens": 5, "completion_tokens": 2, "total_tokens": 7}]


@pytest.mark.parametrize(
    ("arguments", "options"),
    [
        ({"max_tokens": 37}, {"num_predict": 37}),
        ({"max_tokens": 37, "options": {"seed": 1}}, {"seed": 1, "num_predict": 37}),
        ({"max_tokens": 37, "options": {"num_predict": -1}}, {"num_predict": -1}),
        ({"max_tokens": 37, "options": ollama.Options(num_predict=41)}, {"num_predict": 41}),
        ({"options": ollama.Options(temperature=0.5)}, {"temperature": 0.5}),
    ],
)
async def test_options_may_be_a_dict_or_the_sdks_object(
    arguments: dict[str, Any], options: dict[str, Any]
) -> None:
    """What they say of the longest answer goes before max_tokens."""
    assert (await sent(**arguments))["options"] == options


async def test_think_may_stand_among_the_options() -> None:
    """Ollama takes it beside them; the caller's dict is as it was."""
    options = {"think": False, "num_ctx": 4096}
    ensure_think_supported(options, context="query")
    body = await sent(options=options)

    assert (body["think"], body["options"]) == (False, {"num_ctx": 4096})
    assert options == {"think": False, "num_ctx": 4096}


@pytest.mark.parametrize(
    ("arguments", "wanted"),
    [
        ({"format": "json"}, "json"),
        ({"format": SCHEMA}, SCHEMA),
        ({"format": SCHEMA, "response_format": JSON}, SCHEMA),
        ({"response_format": JSON}, "json"),
        ({"response_format": SCHEMA}, SCHEMA),
        ({"keyword_extraction": True}, "json"),
        ({"entity_extraction": True}, "json"),
    ],
)
async def test_json_is_asked_for_in_either_word(arguments: dict[str, Any], wanted: Any) -> None:
    """Ollama's own goes before OpenAI's."""
    assert (await sent(**arguments))["format"] == wanted


@pytest.mark.parametrize("model", ["gpt-oss:120b-cloud", "glm-4.6:cloud"])
async def test_a_model_of_the_cloud_is_asked_there(
    model: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where OLLAMA_HOST names another server; a host that is said is meant."""
    cloud_replies, local_replies = [Answer("cloud")], [Answer("said"), Answer("local")]
    async with (
        OllamaService(*cloud_replies).running() as cloud,
        OllamaService(*local_replies).running() as local,
    ):
        monkeypatch.setattr(compat, "CLOUD", cloud.url)
        monkeypatch.setenv("OLLAMA_HOST", local.url)
        monkeypatch.setenv("OLLAMA_API_KEY", "k")
        answers = [
            await _ollama_model_if_cache(model, "Who?"),
            await _ollama_model_if_cache(model, "Who?", host=local.url),
            await _ollama_model_if_cache("llama3.2", "Who?"),
        ]

    assert cloud.requests[-1].headers["authorization"] == "Bearer k"
    assert answers == ["cloud", "said", "local"]


async def test_texts_become_vectors() -> None:
    """The object is called, or its function; what they are for decides the prefix."""
    counted: list[dict[str, int]] = []
    short = Vectors([[0.5, 1.5]], input_tokens=3)
    async with OLLAMA.serving(Vectors([[0.5] * 1024]), short) as service:
        called = await ollama_embed(["one"], host=service.url)
        plain = await ollama_embed.func(
            ["one"],
            embed_model="nomic-embed-text",
            context="query",
            query_prefix="q: ",
            document_prefix="d: ",
            options={"num_ctx": 4096},
            token_tracker=SimpleNamespace(add_usage=counted.append),
            host=service.url,
        )

    first, second = (request.json for request in service.requests)
    assert (called.shape, called.dtype) == ((1, 1024), np.float32)
    np.testing.assert_array_equal(plain, np.array([[0.5, 1.5]], np.float32))
    assert first["model"] == "bge-m3:latest"
    assert (second["model"], second["input"]) == ("nomic-embed-text", ["q: one"])
    assert second["options"] == {"num_ctx": 4096}
    assert "dimensions" not in first | second
    assert counted == [{"prompt_tokens": 3, "completion_tokens": 0, "total_tokens": 3}]


async def test_errors_are_of_the_tree() -> None:
    """What is said wrongly is named, and what the server says is the error."""
    with pytest.raises(OptionsError, match=r"options: 'num_ctx=1' is not a dict"):
        await _ollama_model_if_cache("llama3.2", "Who?", options="num_ctx=1")
    async with OLLAMA.serving(Failure(404, "model 'llama3.2' not found")) as service:
        with pytest.raises(NotFoundError, match="not found"):
            await _ollama_model_if_cache("llama3.2", "Who?", host=service.url)


def test_an_unknown_name_is_none() -> None:
    """The module serves the names that it lists."""
    with pytest.raises(AttributeError, match="has no attribute 'ollama_complete'"):
        _ = lightrag_ollama.ollama_complete
