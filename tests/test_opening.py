"""Opening models: what is told to who writes it wrongly, and what a model knows of itself."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

import ragcore
from ragcore import (
    CompletionProvider,
    OptionsError,
    RateLimitError,
    Retry,
    UnsupportedError,
    Usage,
    hookimpl,
)
from ragcore._calls.opening import resolve_completion
from ragcore.testing import FakeClock, Script, embeddings, plugin, scripted
from ragcore.testing._script import ScriptedLLMOptions, ScriptedOptions


@pytest.fixture(autouse=True)
def provider() -> Iterator[None]:
    with scripted():
        yield


# --- written wrongly ------------------------------------------------------------------------


@pytest.mark.parametrize("opening", [ragcore.completion, ragcore.embedding])
async def test_awaiting_instead_of_entering_says_what_to_write(opening: Any) -> None:
    """The line is in the message."""
    with pytest.raises(TypeError, match=r"write: async with ragcore\.\w+\(…\) as model"):
        await opening("scripted:any")


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("scripted/org/large", "scripted:org/large"),
        ("org/large", "openai:gpt-4o-mini"),
        (None, "openai:gpt-4o-mini"),
    ],
)
async def test_a_reference_that_is_none_says_how_one_looks(written: Any, meant: str) -> None:
    """Of a provider that is there, as it was meant."""
    with pytest.raises(
        OptionsError, match=f"is not a reference: PROVIDER:MODEL, such as '{meant}'"
    ):
        async with ragcore.completion(written):
            pass


@pytest.mark.parametrize("use", ["complete", "stream", "embed"])
def test_a_forgotten_async_with_says_what_to_write(use: str) -> None:
    """A model that is not open has no methods."""
    with pytest.raises(
        AttributeError, match=r"not open yet; write: async with ragcore\.completion"
    ):
        getattr(ragcore.completion("scripted:any"), use)


def test_a_forgotten_async_says_what_to_write() -> None:
    """`with` is for ragcore.sync."""
    with pytest.raises(TypeError, match="asynchronous; write: async with"):
        ragcore.completion("scripted:any").__enter__()  # type: ignore[attr-defined]  # as written


async def test_a_stream_that_is_not_entered_says_what_to_write() -> None:
    """Read at once, or awaited."""
    async with ragcore.completion("scripted:any", script=Script()) as model:
        with pytest.raises(TypeError, match=r"write: async with model\.stream\(…\) as chunks"):
            async for _ in model.stream("Who?"):  # type: ignore[attr-defined]  # as written
                pass
        with pytest.raises(TypeError, match=r"write: async with model\.stream\(…\) as chunks"):
            await model.stream("Who?")  # type: ignore[misc]  # as written


async def test_a_closed_model_says_so() -> None:
    """By its reference, whatever it is asked."""
    async with ragcore.completion("scripted:any", script=Script()) as model:
        pass
    async with ragcore.embedding("scripted:any", script=Script()) as embedder:
        pass

    closed = "scripted:any is closed: call it within the block that opened it"
    with pytest.raises(RuntimeError, match=closed):
        await model.complete("Who?")
    with pytest.raises(RuntimeError, match=closed):
        await model.stream("Who?").__aenter__()
    with pytest.raises(RuntimeError, match=closed):
        await embedder.embed(["a"])
    with pytest.raises(RuntimeError, match=closed):
        await model.list_models()


async def test_messages_may_be_dicts() -> None:
    """As other libraries and LightRAG have them; with all that a Message checks."""
    script = Script("Goethe")
    async with ragcore.completion("scripted:any", script=script) as model:
        await model.complete([{"role": "user", "content": "Who?"}, ragcore.assistant("You.")])
        with pytest.raises(ValueError, match="role"):
            await model.complete([{"role": "tool", "content": "Who?"}])

    (request,) = script.requests
    assert request.messages == (ragcore.user("Who?"), ragcore.assistant("You."))  # type: ignore[union-attr]


# --- what a model knows ---------------------------------------------------------------------


async def test_an_embedding_model_knows_its_vectors() -> None:
    """As the provider describes them, or as asked for."""
    async with ragcore.embedding("scripted:any", script=Script()) as model:
        assert (model.dimensions, model.max_tokens) == (8, None)
    async with ragcore.embedding("scripted:any", script=Script(), dimensions=4) as model:
        assert model.dimensions == 4


async def test_a_model_has_its_tokenizer() -> None:
    """Where the provider brings one; else that is said."""
    async with ragcore.embedding("scripted:any", script=Script()) as model:
        assert model.tokenizer.decode(model.tokenizer.encode("Goethe")) == "Goethe"
    async with ragcore.completion("scripted:any", script=Script()) as completer:
        with pytest.raises(UnsupportedError, match="brings no tokenizer"):
            _ = completer.tokenizer


async def test_answers_are_no_longer_than_the_model_was_opened_for() -> None:
    """`max_output_tokens` of the opening holds for each call that says nothing else."""
    script = Script("Goethe", "Goethe")
    async with ragcore.completion("scripted:any", script=script, max_output_tokens=9) as model:
        await model.complete("Who?")
        await model.complete("Who?", max_output_tokens=5)

    assert [r.max_output_tokens for r in script.requests] == [9, 5]  # type: ignore[union-attr]


# --- the models of an account ---------------------------------------------------------------


class Listing:
    """A provider that lists models as its script says."""

    @hookimpl
    def ragcore_completion_providers(self) -> Iterator[CompletionProvider]:
        yield CompletionProvider(
            name="listing",
            connection=ScriptedOptions,
            options=ScriptedLLMOptions,
            connect=f"{__name__}:connect_listing",
            backend="ragcore.testing._script:_ScriptedBackend",
            retry=Retry(attempts=2, wait_initial=0),
            list_models=f"{__name__}:list_models",
        )


@asynccontextmanager
async def connect_listing(connection: ScriptedOptions) -> AsyncIterator[Script]:
    yield connection.script


async def list_models(script: Script) -> list[str]:
    step = script.next_step(ragcore.EmbeddingRequest(()))
    if isinstance(step, Exception):
        raise step
    return list(step)


@pytest.fixture
def listing() -> Iterator[None]:
    with plugin(Listing(), distribution="listing"):
        yield


@pytest.mark.usefixtures("listing")
async def test_models_are_listed_without_one() -> None:
    """By the provider's name; a failure that may pass is tried again."""
    script = Script(RateLimitError("slow down"), ["b", "a"])

    assert await ragcore.list_models("listing", script=script) == ("b", "a")
    assert len(script.requests) == 2


@pytest.mark.usefixtures("listing")
async def test_a_model_lists_its_like() -> None:
    """By the client that it has."""
    async with ragcore.completion("listing:any", script=Script(["a"])) as model:
        assert await model.list_models() == ("a",)


@pytest.mark.usefixtures("listing")
def test_models_are_listed_without_a_loop() -> None:
    """As everything of ragcore.sync."""
    with ragcore.sync.completion("listing:any", script=Script(["a"])) as model:
        assert model.list_models() == ("a",)
    assert ragcore.sync.list_models("listing", script=Script(["b"])) == ("b",)


async def test_a_provider_that_does_not_list_says_so() -> None:
    """So do a name that nothing has, and an option that nothing takes."""
    with pytest.raises(UnsupportedError, match="scripted: the provider does not list its models"):
        await ragcore.list_models("scripted", script=Script())
    with pytest.raises(ragcore.UnknownProviderError, match="No provider 'nobody'"):
        await ragcore.list_models("nobody")
    with pytest.raises(ragcore.OptionsError, match="scrip: unknown option; did you mean 'script'"):
        await ragcore.list_models("scripted", scrip=Script())


# --- the log --------------------------------------------------------------------------------


def told(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [r.getMessage() for r in caplog.records if r.name == "ragcore"]


def test_each_call_is_a_line_of_the_log(caplog: pytest.LogCaptureFixture) -> None:
    """Who, how it ended, tokens, seconds and attempts; nothing that was said."""
    caplog.set_level(logging.INFO, "ragcore")
    stream = ["Goe", ragcore.Chunk("the", finish_reason="length", usage=Usage(3, 2))]

    async def calls() -> None:
        script = Script("Goethe", stream, ["Goe", "the"], embeddings)
        async with ragcore.completion("scripted:a", script=script) as model:
            await model.complete("Who wrote Faust?")
            async with model.stream("Who wrote Faust?") as chunks:
                [chunk async for chunk in chunks]
            async with model.stream("Who wrote Faust?") as chunks:
                await anext(chunks)
        async with ragcore.embedding("scripted:b", script=script) as embedder:
            await embedder.embed(["Faust"])

    with FakeClock() as clock:
        clock.run(calls())

    assert told(caplog) == [
        "scripted:a: answered (stop) after 0.00 s, 1 attempt",
        "scripted:a: answered (length), 3 + 2 tokens after 0.00 s, 1 attempt",
        "scripted:a: left before the end after 0.00 s, 1 attempt",
        "scripted:b: embedded 1 texts, 5 + 0 tokens after 0.00 s, 1 attempt",
    ]


# --- persistence ----------------------------------------------------------------------------


async def test_persistence_comes_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """In parts; `retry=` beats them all."""
    monkeypatch.setenv("RAGCORE_RETRY_ATTEMPTS", "2")
    monkeypatch.setenv("RAGCORE_RETRY_WAIT_INITIAL", "0")
    script = Script(forever=lambda _: RateLimitError("slow down"))
    async with ragcore.completion("scripted:any", script=script) as model:
        with pytest.raises(RateLimitError):
            await model.complete("Who?")
    assert len(script.requests) == 2

    async with ragcore.completion("scripted:any", script=script, retry=Retry(1)) as model:
        with pytest.raises(RateLimitError):
            await model.complete("Who?")
    assert len(script.requests) == 3


def test_half_of_a_character_names_no_model() -> None:
    """No service can be asked for it."""
    with pytest.raises(OptionsError, match=r"'scripted:m\\ud800' holds half of a character"):
        resolve_completion("scripted:m\ud800", {})
