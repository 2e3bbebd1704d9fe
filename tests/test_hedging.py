"""``hedge_after``: a slow call is made once more beside itself; whichever answers first counts."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, asynccontextmanager
from typing import Any

import pytest

import ragcore
from ragcore import (
    AuthenticationError,
    Chunk,
    Completion,
    InvalidRequestError,
    NotFoundError,
    OptionsError,
    RequestTimeoutError,
    Retry,
    UnavailableError,
    Usage,
)
from ragcore.testing import Delay, FakeClock, Script, plugin, scripted

STOP = Chunk(finish_reason="stop", usage=Usage(3, 2))
SLOW = [Delay(60, "Schiller"), Chunk(finish_reason="stop", usage=Usage(9, 9))]


@pytest.fixture(autouse=True)
def providers() -> Iterator[None]:
    with ExitStack() as stack:
        for name in ("a", "b", "c"):
            stack.enter_context(scripted(name=name, retry=Retry(attempts=2, wait_initial=0)))
        yield


def models(*scripts: Script) -> ragcore.Fallback:
    references = [(f"{name}:m", {"script": one}) for name, one in zip("abc", scripts, strict=False)]
    return ragcore.fallback(*references)


async def complete(model: ragcore.CompletionModel) -> Completion:
    return await model.complete("Who wrote Faust?")


async def stream(model: ragcore.CompletionModel) -> Completion:
    async with model.stream("Who wrote Faust?") as chunks:
        async for _ in chunks:
            pass
        return chunks.completion


async def asked(ask: Any, reference: Any, **options: Any) -> Any:
    async with ragcore.completion(reference, hedge_after=5, **options) as model:
        return await ask(model)


both = pytest.mark.parametrize(
    ("ask", "slow"),
    [(complete, Delay(60, Completion("Schiller", usage=Usage(9, 9)))), (stream, SLOW)],
)


def running() -> int:
    return len(asyncio.all_tasks())


# --- one model ------------------------------------------------------------------------------


@both
def test_a_slow_call_is_made_once_more(ask: Any, slow: Any) -> None:
    """The first answer counts, with its usage; the attempts of both do."""
    script = Script(slow, ["Goe", "the", STOP] if ask is stream else Delay(1, "Goethe"))
    with FakeClock() as clock:
        answer = clock.run(asked(ask, "a:m", script=script))

        assert clock.time == pytest.approx(6 if ask is complete else 5)
    assert answer.text == "Goethe"
    assert answer.usage == (Usage(3, 2) if ask is stream else None)
    assert answer.timings.attempts == 2


@both
def test_the_first_call_may_still_be_first(ask: Any, slow: Any) -> None:
    """The second one is cancelled then, as the first would have been."""
    script = Script(slow, Delay(600, "late"))

    async def call() -> Any:
        before = running()
        answer = await asked(ask, "a:m", script=script)
        await ragcore.aclose()
        assert running() == before
        return answer

    with FakeClock() as clock:
        answer = clock.run(call())

        assert clock.time == pytest.approx(60)
    assert (answer.text, answer.usage, answer.timings.attempts) == ("Schiller", Usage(9, 9), 2)


@both
def test_a_call_that_is_fast_is_made_once(ask: Any, slow: Any) -> None:
    """Nothing is asked in vain."""
    script = Script(Delay(4, "Goethe") if ask is complete else [Delay(4, "Goethe"), STOP])
    with FakeClock() as clock:
        answer = clock.run(asked(ask, "a:m", script=script))

    assert (answer.text, answer.timings.attempts) == ("Goethe", 1)


@both
def test_there_is_never_more_than_one_beside(ask: Any, slow: Any) -> None:
    """However long both take."""
    script = Script(forever=slow)
    with FakeClock() as clock:
        clock.run(asked(ask, "a:m", script=script))

    assert len(script.requests) == 2


async def test_a_stream_that_has_begun_is_not_hedged() -> None:
    """Its first chunk was in time, whatever becomes of the others."""
    script = Script(["Goe", Delay(0.2, "the"), STOP])
    async with ragcore.completion("a:m", script=script, hedge_after=0.1) as model:
        assert (await stream(model)).text == "Goethe"

    assert len(script.requests) == 1


def test_the_stream_that_loses_is_closed() -> None:
    """Its task has ended before the first chunk of the other is handed on."""
    script = Script([Delay(60, "late")], ["Goethe", STOP])

    async def call() -> None:
        async with ragcore.completion("a:m", script=script, hedge_after=5) as model:
            before = running()
            async with model.stream("Who?") as chunks:
                assert running() == before + 1
                assert "".join([chunk.text async for chunk in chunks]) == "Goethe"
            assert running() == before

    with FakeClock() as clock:
        clock.run(call())


seen: list[Any] = []


def noting(step: ragcore.Step) -> ragcore.Step:
    """Note the answers of calls: once they are here, and at the end."""

    @asynccontextmanager
    async def noted(exchange: ragcore.Exchange) -> AsyncIterator[Any]:
        async with step(exchange) as answer:
            seen.append(exchange.answer)
            yield answer
        seen.append(exchange.answer)

    return noted


class Noting:
    @ragcore.hookimpl
    def ragcore_layers(self) -> list[ragcore.Layer]:
        return [ragcore.Layer(name="noting", around="call", wrap=f"{__name__}:noting")]


def test_layers_around_the_call_see_the_answer_that_counts() -> None:
    """Of a stream once it was read."""
    seen.clear()
    whole = Script(Delay(60, "late"), "Goethe")
    pieces = Script(SLOW, ["Goethe", STOP])
    with FakeClock() as clock, plugin(Noting(), distribution="noting"):
        clock.run(asked(complete, "a:m", script=whole))
        clock.run(asked(stream, "a:m", script=pieces))

    assert [answer and answer.text for answer in seen] == ["Goethe", "Goethe", None, "Goethe"]


# --- failures -------------------------------------------------------------------------------


@both
def test_a_failure_before_is_no_reason_to_ask_again(ask: Any, slow: Any) -> None:
    """It comes out as it would without."""
    with FakeClock() as clock, pytest.raises(AuthenticationError):
        clock.run(asked(ask, "a:m", script=Script(AuthenticationError("no"))))


@both
@pytest.mark.parametrize("fails", [0, 1])
def test_a_failure_of_one_waits_for_the_other(ask: Any, slow: Any, fails: int) -> None:
    """Whichever fails."""
    steps = [slow, slow]
    failure = Delay(10, AuthenticationError("no"))
    steps[fails] = failure if ask is complete else [failure]
    script = Script(*steps)
    with FakeClock() as clock:
        assert clock.run(asked(ask, "a:m", script=script)).text == "Schiller"


@both
def test_the_last_failure_comes_out(ask: Any, slow: Any) -> None:
    """There is nobody else to wait for."""
    first, second = Delay(10, AuthenticationError("no")), Delay(2, InvalidRequestError("bad"))
    script = Script(first, second) if ask is complete else Script([first], [second])
    with FakeClock() as clock, pytest.raises(AuthenticationError) as caught:
        clock.run(asked(ask, "a:m", script=script))

    assert caught.value.__notes__ == ["asked beside it: InvalidRequestError: bad [a:m]"]


@both
def test_one_deadline_is_over_both(ask: Any, slow: Any) -> None:
    """Nothing is left when it ends."""
    script = Script(forever=slow)

    async def call() -> None:
        before = running()
        with pytest.raises(RequestTimeoutError, match="deadline of 20 s"):
            await asked(ask, "a:m", script=script, timeout=20)
        await ragcore.aclose()
        assert running() == before

    with FakeClock() as clock:
        clock.run(call())
        assert clock.time == pytest.approx(20)


@both
@pytest.mark.parametrize("seconds", [2, 7])
def test_a_cancelled_call_leaves_nothing(ask: Any, slow: Any, seconds: float) -> None:
    """Whether one or two are under way."""
    script = Script(forever=slow)

    async def call() -> None:
        async with ragcore.completion("a:m", script=script, hedge_after=5) as model:
            before = running()
            task = asyncio.create_task(ask(model))
            await asyncio.sleep(seconds)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            assert running() == before

    with FakeClock() as clock:
        clock.run(call())
        assert clock.time == seconds
    assert len(script.requests) == (1 if seconds < 5 else 2)


def unhurried(step: ragcore.Step) -> ragcore.Step:
    """Take ten seconds to end an attempt that is cancelled."""

    @asynccontextmanager
    async def slowly(exchange: ragcore.Exchange) -> AsyncIterator[Any]:
        try:
            async with step(exchange) as answer:
                yield answer
        except asyncio.CancelledError:
            await asyncio.sleep(10)
            raise

    return slowly


class Unhurried:
    @ragcore.hookimpl
    def ragcore_layers(self) -> list[ragcore.Layer]:
        return [ragcore.Layer(name="slow", around="attempt", wrap=f"{__name__}:unhurried")]


def test_a_call_that_is_cancelled_while_the_other_ends_leaves_nothing() -> None:
    """The stream that has answered is closed, too."""
    script = Script(SLOW, ["Goethe", STOP])

    async def call() -> None:
        async with ragcore.completion("a:m", script=script, hedge_after=5) as model:
            before = running()
            task = asyncio.create_task(stream(model))
            await asyncio.sleep(7)
            task.cancel()
            await asyncio.sleep(20)
            assert task.cancelled()
            assert running() == before

    with FakeClock() as clock, plugin(Unhurried(), distribution="slow"):
        clock.run(call())
    assert script.abandoned == 1


async def test_a_stream_that_is_left_early_is_closed() -> None:
    """As without."""
    script = Script(["Goe", "the", STOP])
    async with ragcore.completion("a:m", script=script, hedge_after=5) as model:
        async with model.stream("Who?") as chunks:
            await anext(chunks)
        assert script.abandoned == 1


def test_an_attempt_that_is_tried_again_counts() -> None:
    """Each of the two is as persistent as a call is."""
    script = Script(Delay(60, "x"), UnavailableError("down"), "Goethe")
    with FakeClock() as clock:
        answer = clock.run(asked(complete, "a:m", script=script))

    assert (answer.text, answer.timings.attempts) == ("Goethe", 3)


# --- with a fallback ------------------------------------------------------------------------


@both
def test_the_next_model_is_asked_beside_a_slow_one(ask: Any, slow: Any) -> None:
    """It says that it has answered."""
    first, other = Script(slow), Script("Goethe")
    with FakeClock() as clock:
        answer = clock.run(asked(ask, models(first, other)))

        assert clock.time == pytest.approx(5)
    assert (answer.text, answer.provider, answer.timings.attempts) == ("Goethe", "b", 2)


def test_no_model_of_a_fallback_is_asked_twice() -> None:
    """The one beside goes on where the first has stopped, and the reverse."""
    first, second = Script(Delay(10, NotFoundError("gone"))), Script(Delay(20, NotFoundError("x")))
    third = Script(Delay(30, "Goethe"))
    with FakeClock() as clock:
        answer = clock.run(asked(complete, models(first, second, third)))

        # The third is asked when the first has failed.
        assert clock.time == pytest.approx(40)
    assert (answer.provider, answer.timings.attempts) == ("c", 3)


def test_one_beside_is_all_with_a_fallback_too() -> None:
    """Later models do not hedge for themselves, even if the environment says so."""
    scripts = [Script(forever=Delay(60, "Goethe")) for _ in range(3)]
    with FakeClock() as clock, pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAGCORE_HEDGE_AFTER", "5")
        clock.run(asked(complete, models(*scripts)))

    assert [len(script.requests) for script in scripts] == [1, 1, 0]


def test_the_last_model_of_a_fallback_is_asked_twice() -> None:
    """No other is left to be asked beside it."""
    first, other = Script(NotFoundError("gone")), Script(Delay(60, "late"), Delay(1, "Goethe"))
    with FakeClock() as clock:
        answer = clock.run(asked(complete, models(first, other)))

        assert clock.time == pytest.approx(6)
    assert answer.text == "Goethe"


# --- the option -----------------------------------------------------------------------------


def test_the_environment_says_it_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """RAGCORE_HEDGE_AFTER; 0 is never."""
    monkeypatch.setenv("RAGCORE_HEDGE_AFTER", "3")
    for options, requests in (({}, 2), ({"hedge_after": 0}, 1)):
        script = Script(forever=Delay(10, "Goethe"))

        async def call(script: Script = script, options: Any = options) -> None:
            async with ragcore.completion("a:m", script=script, **options) as model:
                await complete(model)

        with FakeClock() as clock:
            clock.run(call())
        assert len(script.requests) == requests


def test_embeddings_have_no_such_option() -> None:
    """They would be over their budget."""
    with (
        pytest.raises(OptionsError, match="hedge_after"),
        ragcore.sync.embedding("a:m", script=Script(), hedge_after=5),
    ):
        pass


def test_it_works_without_async() -> None:
    """Whoever answers first."""
    script = Script(Delay(60, "late"), "Goethe")
    with ragcore.sync.completion("a:m", script=script, hedge_after=0.01) as model:
        assert model.complete("Who?").text == "Goethe"


# --- the first chunk ------------------------------------------------------------------------


def test_a_stream_whose_first_chunk_does_not_come_is_tried_again() -> None:
    """The attempt has timed out; the limit is for streams alone."""
    retry = Retry(attempts=2, first_chunk_timeout=3, wait_initial=0)

    async def call(ask: Any, script: Script) -> Completion:
        async with ragcore.completion("a:m", script=script, retry=retry) as model:
            return await ask(model)  # type: ignore[no-any-return]  # two functions, one type

    with FakeClock() as clock:
        answer = clock.run(call(stream, Script(SLOW, ["Goe", Delay(9, "the"), STOP])))

        assert (answer.text, answer.timings.attempts, clock.time) == ("Goethe", 2, 12)
    with FakeClock() as clock:
        with pytest.raises(RequestTimeoutError, match=r"within 3 s, the limit of a stream's first"):
            clock.run(call(stream, Script(forever=SLOW)))
        assert clock.time == 6
    with FakeClock() as clock:
        assert clock.run(call(complete, Script(Delay(60, "Goethe")))).text == "Goethe"


@pytest.mark.parametrize(("attempt", "first", "limit"), [(2, 5, "one attempt"), (5, 2, "a stream")])
def test_the_shorter_limit_counts(attempt: float, first: float, limit: str) -> None:
    """Of those of an attempt and of the first chunk; as options, too."""

    async def call() -> None:
        async with ragcore.completion(
            "a:m",
            script=Script(SLOW),
            retry_attempts=1,
            retry_attempt_timeout=attempt,
            retry_first_chunk_timeout=first,
        ) as model:
            await stream(model)

    with (
        FakeClock() as clock,
        pytest.raises(RequestTimeoutError, match=f"2 s, the limit of {limit}"),
    ):
        clock.run(call())
