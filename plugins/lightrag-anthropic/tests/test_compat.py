"""LightRAG's functions for Anthropic, imported from here."""

from __future__ import annotations

import base64
from types import SimpleNamespace
from typing import Any

import pytest
from anthropic_double import ANTHROPIC, KEY, MODEL

import lightrag_anthropic
from lightrag_anthropic import (
    anthropic_complete,
    anthropic_complete_if_cache,
    anthropic_embed,
    claude_3_haiku_complete,
    claude_3_opus_complete,
    claude_3_sonnet_complete,
)
from ragcore import AuthenticationError, NotFoundError, UnsupportedError
from ragcore.testing.contracts import SECRET
from ragcore.testing.server import Answer, Failure


async def test_a_call_of_lightrags_is_a_request() -> None:
    """What its parameters say arrives: the conversation, images, limits, options."""
    picture = base64.b64encode(b"\x89PNG\r\n\x1a\n" + bytes(20)).decode()
    async with ANTHROPIC.serving(Answer("Goethe")) as service:
        answer = await anthropic_complete_if_cache(
            MODEL,
            "Who wrote Faust?",
            "Be brief.",
            [{"role": "user", "content": "Hello."}, {"role": "assistant", "content": "Yes?"}],
            False,
            service.url,
            KEY,
            [{"base64": picture, "mime_type": "image/png"}],
            max_tokens=20,
            temperature=0.5,
            hashing_kv=None,
            timeout=30,
        )

    [request] = service.requests
    assert answer == "Goethe"
    assert KEY in str(request.headers)
    assert (request.json["model"], request.json["max_tokens"]) == (MODEL, 20)
    assert request.json["temperature"] == 0.5
    assert "Be brief." in str(request.json["system"])
    *before, now = request.json["messages"]
    assert [turn["role"] for turn in before] == ["user", "assistant"]
    assert "Who wrote Faust?" in str(now["content"])
    assert picture in str(now["content"])


async def test_it_asks_lightrags_model_streams_and_counts() -> None:
    """Thoughts come first if they are wanted; a tracker, which the original chokes on, is told."""
    counted: list[dict[str, int]] = []
    cache = SimpleNamespace(global_config={"llm_model_name": MODEL})
    reply = Answer("Goethe", reasoning="Who indeed?", input_tokens=5, output_tokens=2)

    async with ANTHROPIC.serving(reply, reply) as service:
        account: dict[str, Any] = {"base_url": service.url, "api_key": KEY, "hashing_kv": cache}
        pieces = await anthropic_complete(
            "Who?",
            enable_cot=True,
            stream=True,
            token_tracker=SimpleNamespace(add_usage=counted.append),
            **account,
        )
        streamed = "".join([piece async for piece in pieces])
        whole = await anthropic_complete("Who?", None, None, True, **account)

    assert streamed == whole == "<think>Who indeed?</think>Goethe"
    assert service.requests[-1].json["model"] == MODEL
    assert counted == [{"prompt_tokens": 5, "completion_tokens": 2, "total_tokens": 7}]


@pytest.mark.parametrize(
    "wanted",
    [
        {"keyword_extraction": True},
        {"entity_extraction": True},
        {"response_format": {"type": "json_object"}},
    ],
)
async def test_json_is_asked_for(wanted: dict[str, Any]) -> None:
    """In words, since the API has JSON by schema only; the original asks nothing."""
    async with ANTHROPIC.serving(Answer("{}")) as service:
        await anthropic_complete_if_cache(
            MODEL, "Who?", base_url=service.url, api_key=KEY, **wanted
        )

    assert "JSON" in str(service.requests[-1].json)


async def test_an_answer_that_was_cut_says_so() -> None:
    """LightRAG keeps none such in its cache."""
    async with ANTHROPIC.serving(Answer("Goe", finish="length")) as service:
        cut = await anthropic_complete_if_cache(
            MODEL, "Who?", base_url=service.url, api_key=KEY, max_tokens=1
        )

    assert (cut, type(cut).__name__) == ("Goe", "TruncatedResponse")


@pytest.mark.parametrize(
    ("function", "named"),
    [
        (claude_3_opus_complete, "claude-opus-5"),
        (claude_3_sonnet_complete, "claude-sonnet-5"),
        (claude_3_haiku_complete, "claude-haiku-5"),
    ],
)
async def test_a_retired_model_is_not_there(function: Any, named: str) -> None:
    """What there is today is named, and nothing is asked."""
    with pytest.raises(NotFoundError, match=rf"is retired; .*{named}.*\[anthropic:claude-3-"):
        await function("Who?", "Be brief.", [], True, api_key=KEY)


async def test_errors_are_of_the_tree() -> None:
    """Not tenacity's RetryError, and after one request where waiting does not help."""
    async with ANTHROPIC.serving(Failure(401, "No such key.")) as service:
        with pytest.raises(AuthenticationError, match="No such key"):
            await anthropic_complete_if_cache(MODEL, "Who?", base_url=service.url, api_key=SECRET)

    assert len(service.requests) == 1


def test_there_are_no_embeddings() -> None:
    """The error says who has some."""
    with pytest.raises(UnsupportedError, match="voyageai_embed"):
        anthropic_embed(["one"])


def test_an_unknown_name_is_none() -> None:
    """The module serves the names that it lists."""
    with pytest.raises(AttributeError, match="has no attribute 'claude_2_complete'"):
        _ = lightrag_anthropic.claude_2_complete
