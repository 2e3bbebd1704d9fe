"""Functions under LightRAG's names, whichever plugin has them."""

from __future__ import annotations

import dataclasses
import gc
import inspect
import tracemalloc
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import lightrag.utils
import numpy as np
import pytest

from ragcore import (
    Capabilities,
    Chunk,
    Completion,
    CompletionRequest,
    EmbeddingRequest,
    OptionsError,
)
from ragcore.lightrag import DropIn, aclose, configured_model, declares
from ragcore.testing import DIMENSIONS, Script, scripted

ACME = DropIn(
    "scripted",
    {"key": "api_key", "num_predict": "max_tokens"},
    ("options",),
    left_out=frozenset({"tools"}),
)
acme_complete = ACME.completes("acme_complete")


@declares(embedding_dim=DIMENSIONS, max_token_size=100, supports_asymmetric=True)
async def acme_embed(
    texts: list[str],
    model: str = "any",
    embedding_dim: int | None = None,
    max_token_size: int | None = None,
    context: str = "document",
    **arguments: Any,
) -> Any:
    return await ACME.embed(
        model,
        texts,
        context=context,
        embedding_dim=embedding_dim,
        max_token_size=max_token_size,
        **arguments,
    )


@pytest.fixture(autouse=True)
def provider() -> Iterator[None]:
    with scripted():
        yield


async def test_a_call_brings_what_opens_its_model_and_what_it_asks() -> None:
    """In LightRAG's words or ours, beside one another or in a dict; None is not set."""
    script = Script("Goethe")

    answer = await ACME.complete(
        "large",
        "Who wrote Faust?",
        script=script,
        system_prompt="Be brief.",
        history_messages=[{"role": "user", "content": "Hello."}],
        key="k",
        temperature=None,
        options={"num_ctx": 8192, "seed": 7, "temperature": 0.5, "num_predict": 20},
        seed=8,
        hashing_kv=object(),
        timeout=9,
    )

    [request] = script.requests
    assert answer == "Goethe"
    assert isinstance(request, CompletionRequest)
    assert [message.content for message in request.messages] == [
        "Be brief.",
        "Hello.",
        "Who wrote Faust?",
    ]
    assert request.max_output_tokens == 20
    assert request.options.asdict() == {"num_ctx": 8192, "seed": 8, "temperature": 0.5}


async def test_a_call_streams_as_llm_model_func_does() -> None:
    """An asynchronous iterator of str."""
    script = Script(["Goe", "the", Chunk(finish_reason="stop")])

    pieces = await ACME.complete("any", "Who?", script=script, stream=True)

    assert [piece async for piece in pieces] == ["Goe", "the"]


@pytest.mark.parametrize("cot_last", [False, True])
async def test_flags_may_be_given_by_position(cot_last: bool) -> None:
    """LightRAG's functions have them in one of two orders."""
    script = Script(Completion("{}", reasoning="Well …"), Completion("Goethe", reasoning="Well …"))
    complete = ACME.completes("acme_complete", "any", cot_last=cot_last)
    asks_for_json = (True, False, False) if cot_last else (False, True, False)
    shows_thoughts = (False, False, True) if cot_last else (True, False, False)

    plain = await complete("Who?", None, [], *asks_for_json, script=script)
    thoughtful = await complete("Who?", None, [], *shows_thoughts, script=script)

    assert (plain, thoughtful) == ("{}", "<think>Well …</think>Goethe")


async def test_what_says_nothing_is_not_set(caplog: pytest.LogCaptureFixture) -> None:
    """None and an empty text; what LightRAG's own function drops is left out, and said once."""
    script = Script(forever="Goethe")
    arguments: dict[str, Any] = {"key": "", "options": {"seed": None}, "num_ctx": None, "tools": []}

    for _ in range(2):
        await ACME.complete("any", "Who?", script=script, **arguments)

    request = script.requests[-1]
    assert isinstance(request, CompletionRequest)
    assert request.options.asdict() == {}
    assert caplog.text.count("tools is left out") == 1


@pytest.mark.parametrize("options", ["num_ctx=1", 5, [1, 2]])
async def test_a_box_holds_a_dict(options: Any) -> None:
    """Or what can be made one."""
    with pytest.raises(OptionsError, match=r"options: .* is not a dict of options"):
        await ACME.complete("any", "Who?", script=Script(), options=options)


async def test_an_unknown_argument_is_named() -> None:
    """Beside all else that is wrong with what opens the model."""
    with pytest.raises(OptionsError, match=r"(?s)temprature: .*\?.*num_ctx: 'many' is"):
        await ACME.complete("any", "…", script=Script(), temprature=1, num_ctx="many")


async def test_the_model_is_the_one_that_the_engine_is_set_to(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Its configuration comes with each call; LLM_MODEL is the next to be asked."""
    monkeypatch.delenv("LLM_MODEL", raising=False)
    cache = SimpleNamespace(global_config={"llm_model_name": "configured"})
    assert configured_model(cache) == "configured"
    with pytest.raises(OptionsError, match=r"llm_model_name= .*LLM_MODEL"):
        await acme_complete("Who?", script=Script())

    monkeypatch.setenv("LLM_MODEL", "from-the-environment")
    assert configured_model() == "from-the-environment"
    assert await acme_complete("Who?", script=Script(Completion("Goethe"))) == "Goethe"
    assert acme_complete.__name__ == "acme_complete"


async def test_an_embedding_is_the_engines_own() -> None:
    """With what LightRAG reads of it, and a function that tells queries from documents."""
    script = Script(forever=lambda request: None)

    assert isinstance(acme_embed, lightrag.utils.EmbeddingFunc)
    assert (acme_embed.embedding_dim, acme_embed.max_token_size) == (DIMENSIONS, 100)
    assert "max_token_size" in inspect.signature(acme_embed.func).parameters
    vectors = await acme_embed.func(["one", "two"], script=script, context="query")
    assert (vectors.shape, vectors.dtype) == ((2, DIMENSIONS), np.float32)
    [request] = script.requests
    assert isinstance(request, EmbeddingRequest)
    assert (request.input_type, request.dimensions) == ("query", None)


@pytest.mark.parametrize(
    ("can_choose", "declared", "asked"),
    [
        (True, DIMENSIONS - 1, DIMENSIONS - 1),
        (True, DIMENSIONS + 1, None),
        (False, DIMENSIONS - 1, None),
    ],
)
async def test_called_directly_it_asks_for_the_declared_length(
    can_choose: bool, declared: int, asked: int | None
) -> None:
    """Where the model can choose and has it; else it returns the vectors that the model has."""
    embed = dataclasses.replace(acme_embed, embedding_dim=declared, send_dimensions=True)
    script = Script(forever=lambda request: None)

    with scripted(Capabilities(dimensions=can_choose)):
        vectors = await embed(["one"], script=script)
        if can_choose:
            await embed.func(["one"], script=script, embedding_dim=DIMENSIONS + 1)

    lengths = [each.dimensions for each in script.requests if isinstance(each, EmbeddingRequest)]
    assert lengths == [asked, *[DIMENSIONS + 1] * can_choose]
    assert vectors.shape == (1, asked or DIMENSIONS)


async def test_a_text_is_cut_to_max_token_size(caplog: pytest.LogCaptureFixture) -> None:
    """By the model's own tokens, with a line in the log."""
    script = Script(forever=lambda request: None)
    declared = dataclasses.replace(acme_embed, max_token_size=5)

    await acme_embed.func(["a" * 30, "b" * 9], script=script, max_token_size=10)
    await declared(["a" * 30], script=script)

    said, direct = script.requests
    assert isinstance(said, EmbeddingRequest)
    assert isinstance(direct, EmbeddingRequest)
    assert said.texts == ("a" * 10, "b" * 9)
    assert direct.texts == ("a" * 5,)
    assert "1 of 2 texts" in caplog.text


async def test_a_thousand_accounts_leave_nothing() -> None:
    """What nobody uses is closed, and memory is flat."""
    script = Script(forever="Goethe")

    async def ask(number: int) -> None:
        await ACME.complete("any", "Who?", script=script, key=f"key-{number}")
        script.requests.clear()

    for number in range(100):
        await ask(number)
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        for number in range(100, 1000):
            await ask(number)
        gc.collect()
        grown = tracemalloc.get_traced_memory()[0] - before
    finally:
        tracemalloc.stop()

    assert script.opened == 1000
    assert script.opened - script.closed <= 20
    assert grown < 500_000
    await aclose()
    assert script.closed == 1000
