"""A provider out of one row."""

from __future__ import annotations

import pytest
from openai_double import OpenAI

import ragcore
from lightrag_openai import compatible
from lightrag_openai._rows import ROWS
from ragcore import OptionsError, RateLimitError, Retry, Secret
from ragcore.testing import plugin
from ragcore.testing.server import Answer, Failure, Vectors

NAMES = [
    "deepseek",
    "upstage",
    "openrouter",
    "groq",
    "together",
    "mistral",
    "xai",
    "nvidia",
    "vllm",
    "lmstudio",
    "llamacpp",
    "tgi",
    "tei",
]


async def test_a_third_party_makes_a_provider_out_of_a_row(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """With a name, variables and errors of its own; the object is the plugin."""
    async with OpenAI(Answer(), Vectors([[1.0]]), Failure(429)).running() as service:
        acme = compatible("acme-ai", base_url=service.base_url, api_key_env="ACME_KEY")
        monkeypatch.setenv("ACME_KEY", "of-acme")
        monkeypatch.setenv("ACME_AI_LLM_TEMPERATURE", "0.25")
        monkeypatch.setenv("OPENAI_LLM_TEMPERATURE", "2")
        with plugin(acme, distribution="acme-plugin"):
            async with ragcore.completion("acme-ai:large", retry=Retry(attempts=1)) as model:
                answer = await model.complete("Who?")
                async with ragcore.embedding("acme-ai:small") as embedding:
                    await embedding.embed(["a"])
                with pytest.raises(RateLimitError) as caught:
                    await model.complete("Who?")

    assert answer.text == "Goethe"
    assert service.requests[0].headers["authorization"] == "Bearer of-acme"
    assert service.requests[0].json["temperature"] == 0.25
    assert str(caught.value).startswith("no [acme-ai:large, status 429")


async def test_a_row_without_an_address_asks_for_one() -> None:
    """With the variable that says it."""
    acme = compatible("acme", needs_key=False)
    with (
        plugin(acme, distribution="acme-plugin"),
        pytest.raises(OptionsError, match="ACME_BASE_URL"),
    ):
        async with ragcore.completion("acme:a"):
            pass


async def test_a_key_that_is_missing_is_named() -> None:
    """By its variable."""
    with pytest.raises(OptionsError, match="DEEPSEEK_API_KEY"):
        async with ragcore.completion("deepseek:deepseek-chat"):
            pass


def test_the_rows_that_were_promised_are_there() -> None:
    """And are offered by the plugin."""
    offered = {info.name: info for info in ragcore.providers().providers}

    assert [row.name for row in ROWS] == NAMES
    assert set(NAMES) <= set(offered)
    assert offered["tei"].tasks == ("embedding",)
    assert offered["deepseek"].tasks == ("completion",)


def test_dimensions_are_known_before_anything_is_asked() -> None:
    """From the table, by name."""
    from lightrag_openai._describe import describe
    from lightrag_openai.options import OpenAIEmbeddingOptions, OpenAIOptions

    connection = OpenAIOptions(api_key=Secret("k"))
    options = OpenAIEmbeddingOptions()

    assert describe("text-embedding-3-large", options, connection) == (3072, 8192)
    assert describe("something", options, connection) == (None, None)
