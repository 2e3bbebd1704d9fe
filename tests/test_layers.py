"""Layers of third parties: around calls and around attempts, whatever is asked."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager, contextmanager
from types import ModuleType
from typing import Any, Literal

import attrs
import pytest

import ragcore
from ragcore import (
    AuthenticationError,
    Chunk,
    Completion,
    Embeddings,
    Exchange,
    Layer,
    PluginError,
    Retry,
    Step,
    UnavailableError,
    Usage,
    hookimpl,
)
from ragcore._discovery.code import code
from ragcore.testing import Delay, FakeClock, Script, embeddings, plugin, scripted

STOP = Chunk(finish_reason="stop", usage=Usage(3, 2))
STREAM = ["Goe", "the", STOP]
WHOLE = Completion("Goethe", usage=Usage(3, 2))


@contextmanager
def layered(
    wrap: Callable[[Step], Any], around: Literal["call", "attempt"], *, name: str = "layers"
) -> Iterator[None]:
    """Have *wrap* as the layer of an installed plugin."""
    module = ModuleType(f"{name}_code")
    module.wrap = wrap  # type: ignore[attr-defined]  # a module has what one gives it

    class Plugin:
        @hookimpl
        def ragcore_layers(self) -> list[Layer]:
            return [Layer(name=name, around=around, wrap=f"{module.__name__}:wrap")]

    sys.modules[module.__name__] = module
    code.cache_clear()
    try:
        with plugin(Plugin(), distribution=name):
            yield
    finally:
        del sys.modules[module.__name__]
        code.cache_clear()


async def complete(script: Script, **options: Any) -> Any:
    async with ragcore.completion("scripted:any", script=script, **options) as model:
        return await model.complete("Who wrote Faust?")


async def stream(script: Script, **options: Any) -> Any:
    async with ragcore.completion("scripted:any", script=script, **options) as model:
        async with model.stream("Who wrote Faust?") as chunks:
            text = "".join([chunk.text async for chunk in chunks])
        assert text == chunks.completion.text
        return chunks.completion


async def embed(script: Script, **options: Any) -> Any:
    async with ragcore.embedding("scripted:any", script=script, **options) as model:
        return await model.embed(["a", "b"])


TASKS = [(complete, WHOLE), (stream, STREAM), (embed, embeddings)]
tasks = pytest.mark.parametrize(("ask", "answer"), TASKS)


@pytest.fixture(autouse=True)
def provider() -> Iterator[None]:
    with scripted(retry=Retry(attempts=2, wait_initial=0)):
        yield


# --- counting -------------------------------------------------------------------------------


class Tokens:
    """Counts the tokens of finished calls."""

    def __init__(self) -> None:
        self.total = 0

    def wrap(self, step: Step) -> Step:
        @asynccontextmanager
        async def counted(exchange: Exchange) -> AsyncIterator[Any]:
            async with step(exchange) as answer:
                yield answer
            if exchange.answer is not None and exchange.answer.usage is not None:
                self.total += exchange.answer.usage.total_tokens

        return counted


@tasks
@pytest.mark.parametrize("around", ["call", "attempt"])
async def test_a_layer_counts_tokens(ask: Any, answer: Any, around: Any) -> None:
    """Once an answer, whatever was tried before it."""
    tokens = Tokens()
    with layered(tokens.wrap, around):
        found = await ask(Script(UnavailableError("down"), answer))

    assert tokens.total == found.usage.total_tokens > 0
    assert found.timings.attempts == 2


async def test_a_stream_that_was_left_early_has_no_answer() -> None:
    """The layer is left all the same."""
    tokens = Tokens()
    script = Script(STREAM)
    with layered(tokens.wrap, "call"):
        async with (
            ragcore.completion("scripted:any", script=script) as model,
            model.stream("Who?") as chunks,
        ):
            await anext(chunks)

    assert tokens.total == 0
    assert script.abandoned == 1


async def test_an_attempt_of_an_embedding_is_one_of_its_requests() -> None:
    """Each has its own answer and its own attempts."""
    seen: list[tuple[int, int]] = []

    def wrap(step: Step) -> Step:
        @asynccontextmanager
        async def noted(exchange: Exchange) -> AsyncIterator[Any]:
            async with step(exchange) as found:
                yield found
            seen.append((len(exchange.request.texts), exchange.attempts.count))  # type: ignore[union-attr]

        return noted

    script = Script(UnavailableError("down"), forever=embeddings)
    with layered(wrap, "attempt"):
        async with ragcore.embedding(
            "scripted:any", script=script, batch_size=2, max_concurrency=1
        ) as model:
            await model.embed(["a", "b", "c"])

    assert seen == [(2, 2), (1, 1)]


# --- limiting -------------------------------------------------------------------------------


class Slots:
    """Lets so many attempts through at a time."""

    def __init__(self, count: int) -> None:
        self.free = asyncio.Semaphore(count)
        self.inside = self.most = 0

    def wrap(self, step: Step) -> Step:
        @asynccontextmanager
        async def limited(exchange: Exchange) -> AsyncIterator[Any]:
            began = asyncio.get_running_loop().time()
            async with self.free:
                exchange.attempts.queued += asyncio.get_running_loop().time() - began
                self.inside += 1
                self.most = max(self.most, self.inside)
                try:
                    async with step(exchange) as answer:
                        yield answer
                finally:
                    self.inside -= 1

        return limited


@tasks
def test_a_layer_lets_two_attempts_through(ask: Any, answer: Any) -> None:
    """The others wait for a slot, which their timings tell."""
    slots = Slots(2)
    slow = {complete: Delay(1, WHOLE), stream: [Delay(1, "Goethe"), STOP], embed: Delay(1, "")}

    async def several() -> list[Any]:
        return await asyncio.gather(*(ask(Script(slow[ask])) for _ in range(6)))

    with layered(slots.wrap, "attempt"), FakeClock() as clock:
        found = clock.run(several())

        assert clock.time == 3
    assert (slots.most, slots.inside) == (2, 0)
    assert sorted(one.timings.queued for one in found) == [0, 0, 1, 1, 2, 2]


@tasks
def test_a_retry_that_waits_holds_no_slot(ask: Any, answer: Any) -> None:
    """Another call goes through meanwhile."""
    slots = Slots(1)
    waiting = Script(ragcore.RateLimitError("slow down", retry_after=60), answer)

    async def both() -> float:
        first = asyncio.create_task(ask(waiting, retry=Retry(attempts=2, wait_initial=0)))
        await asyncio.sleep(1)
        await ask(Script(answer))
        done_at = asyncio.get_running_loop().time()
        await first
        return done_at

    with layered(slots.wrap, "attempt"), FakeClock() as clock:
        assert clock.run(both()) == 1
        assert clock.time == 60


async def test_a_stream_holds_its_slot_until_it_is_closed() -> None:
    """A layer is left when the answer has been read."""
    slots = Slots(1)
    with layered(slots.wrap, "attempt"):
        async with ragcore.completion("scripted:any", script=Script(STREAM)) as model:
            async with model.stream("Who?") as chunks:
                await anext(chunks)
                assert slots.inside == 1
            assert slots.inside == 0


@tasks
async def test_a_cancelled_call_gives_its_slot_back(ask: Any, answer: Any) -> None:
    """While it waits for an answer, and while it waits for the slot."""
    slots = Slots(1)
    with layered(slots.wrap, "attempt"):
        calls = [asyncio.create_task(ask(Script(Delay(60, answer)))) for _ in range(2)]
        while not slots.inside:
            await asyncio.sleep(0)
        for call in calls:
            call.cancel()
        await asyncio.gather(*calls, return_exceptions=True)

    assert slots.inside == 0
    assert not slots.free.locked()


# --- answering ------------------------------------------------------------------------------


def remembering(answers: dict[Any, Any]) -> Callable[[Step], Step]:
    """Answer from a dict what was answered before."""

    def wrap(step: Step) -> Step:
        @asynccontextmanager
        async def remembered(exchange: Exchange) -> AsyncIterator[Any]:
            key = repr((exchange.opening.reference, exchange.request))
            if key in answers:
                yield answers[key]
                return
            async with step(exchange) as answer:
                yield answer
            if exchange.answer is not None:
                answers[key] = exchange.answer

        return remembered

    return wrap


@tasks
async def test_a_layer_answers_from_a_dict(ask: Any, answer: Any) -> None:
    """The provider is asked once; a stream gets a whole answer piece by piece."""
    script = Script(answer)
    with layered(remembering({}), "call"):
        first, second = await ask(script), await ask(script)

    assert len(script.requests) == 1
    assert second.timings.attempts == 0
    if isinstance(first, Embeddings):
        assert (first.vectors == second.vectors).all()
    else:
        assert (first.text, first.usage) == (second.text, second.usage) == ("Goethe", Usage(3, 2))


async def test_an_answer_of_a_layer_serves_both_ways_of_asking() -> None:
    """What was streamed is found by a call for one piece, and the reverse."""
    with layered(remembering({}), "call"):
        streamed = await stream(Script(STREAM))
        whole = await complete(Script("never asked"))

    assert whole.text == streamed.text


# --- elsewhere ------------------------------------------------------------------------------


def falling_back(reference: str, **options: Any) -> Callable[[Step], Step]:
    """Ask another model where the first does not deliver."""

    def wrap(step: Step) -> Step:
        @asynccontextmanager
        async def either(exchange: Exchange) -> AsyncIterator[Any]:
            async with AsyncExitStack() as stack:
                try:
                    answer = await stack.enter_async_context(step(exchange))
                except ragcore.ProviderError:
                    embeds = isinstance(exchange.request, ragcore.EmbeddingRequest)
                    opening: Any = ragcore.embedding if embeds else ragcore.completion
                    other = await stack.enter_async_context(opening(reference, **options))
                    answer = await stack.enter_async_context(other.step(exchange))
                yield answer

        return either

    return wrap


def refusing() -> Script:
    return Script(AuthenticationError("no"))


@tasks
async def test_a_layer_asks_another_model(ask: Any, answer: Any) -> None:
    """Its answer is the call's; attempts of both count."""
    broken, other = Script(AuthenticationError("no")), Script(UnavailableError("down"), answer)
    tokens = Tokens()
    with ExitStack() as stack:
        stack.enter_context(scripted(name="other", retry=Retry(attempts=2, wait_initial=0)))
        stack.enter_context(layered(tokens.wrap, "call", name="a-layer"))
        stack.enter_context(layered(falling_back("other:b", script=other), "call", name="b-layer"))
        found = await ask(broken)

    assert len(broken.requests) == 1
    assert len(other.requests) == 2
    assert tokens.total == found.usage.total_tokens > 0


def test_another_model_has_the_same_deadline() -> None:
    """One deadline over all that is tried."""
    with scripted(name="other"), FakeClock() as clock:
        wrap = falling_back("other:b", script=Script(Delay(60, "late")))
        with layered(wrap, "call"), pytest.raises(ragcore.RequestTimeoutError, match="other:b"):
            clock.run(complete(Script(Delay(3, AuthenticationError("no"))), timeout=5))

        assert clock.time == 5


async def test_another_model_is_asked_in_its_own_way() -> None:
    """What it can't do is asked for in words; its own options go with it."""
    blind = ragcore.Capabilities()
    other = Script('{"a": 1}')
    wrap = falling_back("other:b", script=other, temperature=0.5, on_unsupported="prompt")
    with scripted(blind, name="other"), layered(wrap, "call"):
        async with ragcore.completion("scripted:any", script=refusing()) as model:
            answer = await model.complete("Who?", response_format=ragcore.JSONObject())

    assert answer.structured == "prompted"
    (request,) = other.requests
    assert request.options.temperature == 0.5
    assert "JSON" in request.messages[0].content  # type: ignore[union-attr]


async def test_the_calls_own_options_go_to_another_model() -> None:
    """They are not dropped on the way."""
    other = Script("x")
    with layered(falling_back("scripted:other", script=other), "call"):
        async with ragcore.completion("scripted:any", script=refusing()) as model:
            await model.complete("Who?", seed=7)

    (request,) = other.requests
    assert request.options.seed == 7


# --- streams, order, faults -----------------------------------------------------------------


async def test_a_layer_replaces_chunks() -> None:
    """What it yields is read; the whole answer is made of that."""

    def wrap(step: Step) -> Step:
        @asynccontextmanager
        async def loud(exchange: Exchange) -> AsyncIterator[Any]:
            async with step(exchange) as chunks:
                yield _loud(chunks)

        return loud

    async def _loud(chunks: AsyncIterator[Chunk]) -> AsyncIterator[Chunk]:
        async for chunk in chunks:
            yield attrs.evolve(chunk, text=chunk.text.upper())

    with layered(wrap, "call"):
        found = await stream(Script(STREAM))

    assert (found.text, found.usage) == ("GOETHE", Usage(3, 2))


@pytest.mark.parametrize("around", ["call", "attempt"])
async def test_the_first_layer_is_the_outermost(around: Any) -> None:
    """Packages stand in the order of their names."""
    order: list[str] = []

    def wrap_as(name: str) -> Callable[[Step], Step]:
        def wrap(step: Step) -> Step:
            @asynccontextmanager
            async def noted(exchange: Exchange) -> AsyncIterator[Any]:
                order.append(name)
                async with step(exchange) as answer:
                    yield answer
                order.append(name)

            return noted

        return wrap

    with layered(wrap_as("b"), around, name="b"), layered(wrap_as("a"), around, name="a"):
        await complete(Script("Goethe"))

    assert order == ["a", "b", "b", "a"]


async def test_an_error_of_an_attempts_layer_is_tried_again() -> None:
    """Its class says so, as that of a provider's error does."""
    failures = [UnavailableError("no slot")]

    def wrap(step: Step) -> Step:
        @asynccontextmanager
        async def refusing(exchange: Exchange) -> AsyncIterator[Any]:
            if failures:
                raise failures.pop()
            async with step(exchange) as answer:
                yield answer

        return refusing

    with layered(wrap, "attempt"):
        answer = await complete(Script("Goethe"))

    assert answer.timings.attempts == 2


@tasks
async def test_a_layer_that_yields_something_else_is_named(ask: Any, answer: Any) -> None:
    """The user is not handed it."""

    def wrap(step: Step) -> Step:
        @asynccontextmanager
        async def wrong(exchange: Exchange) -> AsyncIterator[Any]:
            yield 42

        return wrong

    with layered(wrap, "call"), pytest.raises(PluginError, match=r"a layer.* returned a int"):
        await ask(Script(answer))


async def test_a_layer_that_returns_no_step_is_named() -> None:
    """With its distribution, when a model is opened."""
    said = "acme: its layer returned a NoneType, not a step"
    with layered(lambda step: None, "call", name="acme"), pytest.raises(PluginError, match=said):
        await complete(Script("Goethe"))


async def test_a_layer_that_cannot_be_imported_is_named() -> None:
    """A call without its layer would be one that nobody has audited."""

    class Plugin:
        @hookimpl
        def ragcore_layers(self) -> list[Layer]:
            return [Layer(name="gone", around="call", wrap="acme_gone:wrap")]

    with (
        plugin(Plugin(), distribution="acme"),
        pytest.raises(PluginError, match=r"acme.*acme_gone"),
    ):
        await complete(Script("Goethe"))
