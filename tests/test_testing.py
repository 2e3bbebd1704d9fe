"""The fakes do what they say: other people's tests rest on them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

import ragcore
from ragcore import Capabilities, Chunk, Completion, Embeddings, Retry, Usage
from ragcore._calls.opening import resolve_embedding
from ragcore.testing import (
    DIMENSIONS,
    CharacterTokenizer,
    Delay,
    FakeClock,
    Script,
    embeddings,
    plugin,
    scripted,
)


@pytest.fixture(autouse=True)
def provider() -> Iterator[None]:
    with scripted():
        yield


async def answers(script: Script, count: int) -> list[Completion]:
    async with ragcore.completion("scripted:any", script=script) as model:
        return [await model.complete("hi") for _ in range(count)]


async def test_steps_are_taken_in_order() -> None:
    """A text, a record, a function; then what goes on for ever."""
    script = Script("a", Completion("b"), lambda request: request.messages[0].content, forever="z")

    assert [answer.text for answer in await answers(script, 5)] == ["a", "b", "hi", "z", "z"]
    assert len(script.requests) == 5


async def test_an_attempt_too_many_fails_the_test() -> None:
    """A retry nobody planned is found out."""
    with pytest.raises(AssertionError, match="no step for attempt 2"):
        await answers(Script("a"), 2)


async def test_exceptions_are_raised() -> None:
    """The very instance."""
    error = ragcore.AuthenticationError("x")

    with pytest.raises(ragcore.AuthenticationError) as caught:
        await answers(Script(error), 1)
    assert caught.value is error


def test_delays_take_fake_time() -> None:
    """An hour is over at once, and is an hour."""
    began = time.monotonic()

    with FakeClock() as clock:
        (answer,) = clock.run(answers(Script(Delay(1800, Delay(1800, "late"))), 1))

    assert answer.timings.total == clock.time == 3600
    assert time.monotonic() - began < 60


async def test_a_step_can_be_streamed() -> None:
    """A list chunk by chunk; anything else as one chunk and an end."""
    script = Script(["a", Chunk("b", finish_reason="length")], "whole")
    texts = []
    async with ragcore.completion("scripted:any", script=script) as model:
        for _ in range(2):
            async with model.stream("hi") as chunks:
                texts.append([chunk.text async for chunk in chunks])

    assert texts == [["a", "b"], ["whole", ""]]


async def test_an_embedding_can_be_scripted() -> None:
    """Or is made up out of each text alone."""
    given = Embeddings([[1.0, 2.0]], usage=Usage(7))  # type: ignore[arg-type]  # is converted
    script = Script(given, "", embeddings)
    async with ragcore.embedding("scripted:any", script=script) as model:
        first, second, third = [await model.embed(["a"]) for _ in range(3)]
        fourth = None

    assert first.vectors.tolist() == [[1.0, 2.0]]
    assert second.vectors.tolist() == third.vectors.tolist()
    assert second.vectors.shape == (1, DIMENSIONS)
    assert fourth is None


def test_a_provider_is_there_for_the_block_only() -> None:
    """Under the name, with the capabilities and the persistence that were asked for."""
    able = Capabilities(max_batch=3)
    with scripted(able, Retry(attempts=9), name="mine"):
        (info,) = [info for info in ragcore.providers().providers if info.name == "mine"]
        opening = resolve_embedding("mine:x", {"script": Script()})

    assert info.capabilities == able
    assert info.distribution == "mine-plugin"
    assert opening.retry == Retry(attempts=9)
    assert "mine" not in [info.name for info in ragcore.providers().providers]


async def test_the_innermost_of_a_name_counts() -> None:
    """A test may replace what its fixture plugged in."""
    with scripted(Capabilities()):
        async with ragcore.completion("scripted:x", script=Script()) as inner:
            assert inner.capabilities == Capabilities()
    async with ragcore.completion("scripted:x", script=Script()) as outer:
        assert outer.capabilities.images


def test_a_broken_implementation_is_reported() -> None:
    """`plugin()` is treated as an installed one."""
    with plugin(object(), distribution="empty"):
        broken = {plugin.distribution: plugin for plugin in ragcore.providers().broken}

    assert "it implements no hook" in str(broken["empty"])


def test_a_clock_orders_timers() -> None:
    """By time; those of one moment in the order in which they were set."""
    order = []

    async def note(seconds: float, name: str) -> None:
        await asyncio.sleep(seconds)
        order.append((name, asyncio.get_running_loop().time()))

    async def race() -> None:
        await asyncio.gather(note(5, "late"), note(1, "early"), note(5, "last"))

    with FakeClock() as clock:
        clock.run(race())
        clock.run(note(1, "after"))

    assert order == [("early", 1), ("late", 5), ("last", 5), ("after", 6)]


def test_a_clock_waits_for_threads() -> None:
    """Work in a thread is real; a timeout around it does not jump ahead."""

    def slow() -> str:
        time.sleep(0.7)
        return "done"

    async def work() -> str:
        async with asyncio.timeout(0.5):
            return await asyncio.to_thread(slow)

    with FakeClock() as clock:
        assert clock.run(work()) == "done"
        assert clock.time == 0


@given(text=st.text(), start=st.integers(0, 50), length=st.integers(0, 50))
def test_the_tokenizer_cuts_literal_pieces(text: str, start: int, length: int) -> None:
    """As a tokenizer's contract says."""
    tokenizer = CharacterTokenizer()

    tokens = tokenizer.encode(text)

    assert tokenizer.decode(tokens) == text
    assert tokenizer.decode(tokens[start : start + length]) == text[start : start + length]


def test_describe_and_tokenizer_are_there() -> None:
    """What the bridge asks of a provider."""
    opening = resolve_embedding("scripted:x", {"script": Script()})

    assert opening.provider.describe is not None
    assert opening.provider.tokenizer is not None
    assert opening.ask(opening.provider.describe) == (DIMENSIONS, None)
    assert opening.ask(opening.provider.tokenizer).decode([65]) == "A"
