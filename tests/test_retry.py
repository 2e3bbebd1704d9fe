"""Trying again: how often, after which wait, until when."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import ragcore
from ragcore import (
    AuthenticationError,
    Completion,
    ProviderError,
    RateLimitError,
    RequestTimeoutError,
    Retry,
    UnavailableError,
)
from ragcore._calls.persist import wait_before_next
from ragcore.testing import Delay, FakeClock, Script, scripted


@pytest.fixture
def clock() -> Iterator[FakeClock]:
    with scripted(), FakeClock() as fake:
        yield fake


async def ask(
    script: Script,
    *,
    timeout: float | None = None,  # noqa: ASYNC109  # of the call
    **options: Any,
) -> Completion:
    async with ragcore.completion("scripted:any", script=script, **options) as model:
        return await model.complete("Who wrote Faust?", timeout=timeout)


class Times:
    """Steps of a script that note when they are taken."""

    def __init__(self, clock: FakeClock) -> None:
        self.clock = clock
        self.taken: list[float] = []

    def step(self, then: Any) -> Any:
        def noted(_: object) -> Any:
            self.taken.append(self.clock.time)
            return then

        return noted

    @property
    def waits(self) -> list[float]:
        return [later - earlier for earlier, later in pairwise(self.taken)]


def test_a_transient_failure_is_tried_again(clock: FakeClock) -> None:
    """The answer says how many attempts it took, and how long they were in vain."""
    script = Script(UnavailableError("down"), RateLimitError("slow down"), "Goethe")

    answer = clock.run(ask(script))

    assert answer.text == "Goethe"
    assert len(script.requests) == 3
    assert answer.timings.attempts == 3
    assert answer.timings.retrying == answer.timings.total == clock.time > 0


def test_the_last_real_error_comes_out(clock: FakeClock) -> None:
    """Not that it was tried often, but what the service said; with the number of attempts."""
    script = Script(*(UnavailableError(f"down {n}") for n in range(9)))

    with pytest.raises(UnavailableError, match="down 3") as caught:
        clock.run(ask(script, retry=Retry(attempts=4)))

    assert len(script.requests) == 4
    assert caught.value.attempts == 4


@pytest.mark.parametrize(
    "error",
    [
        AuthenticationError("no"),
        ragcore.QuotaExceededError("broke"),
        ragcore.InvalidRequestError("bad"),
        ragcore.InterruptedStreamError("gone"),
        ProviderError("what?"),
    ],
)
def test_nothing_else_is_tried_again(clock: FakeClock, error: Exception) -> None:
    """Only a TransientError says that trying again may help."""
    script = Script(error)

    with pytest.raises(type(error)) as caught:
        clock.run(ask(script, retry=Retry(attempts=5)))

    assert caught.value is error
    assert len(script.requests) == 1


def test_what_a_plugin_does_not_tell_names_it_and_is_not_tried_again(clock: FakeClock) -> None:
    """A bug of its own; the cause is kept, without the frames that may hold keys."""
    bug = KeyError("choices")
    script = Script(bug)

    with pytest.raises(ProviderError, match=r"scripted-plugin failed .*: KeyError") as caught:
        clock.run(ask(script, retry=Retry(attempts=5)))

    assert caught.value.__cause__ is bug
    assert bug.__traceback__ is None
    assert caught.value.provider == "scripted"
    assert len(script.requests) == 1


def test_a_wait_that_is_too_long_is_an_error_at_once(clock: FakeClock) -> None:
    """A service may ask for a day; the error says for how long."""
    script = Script(RateLimitError("slow down", retry_after=86400))

    with pytest.raises(RateLimitError, match="retry after 86400 s"):
        clock.run(ask(script))

    assert clock.time == 0


def test_how_long_a_service_may_ask_to_wait_can_be_set(clock: FakeClock) -> None:
    """In seconds."""
    script = Script(RateLimitError("slow down", retry_after=400), "Goethe")

    clock.run(ask(script, retry=Retry(wait_longest=500, wait_initial=0)))

    assert clock.time == 400


def test_a_network_exception_that_a_plugin_lets_through_is_tried_again(clock: FakeClock) -> None:
    """The host names it as its table does; the cause is kept."""
    reset = ConnectionResetError("by the peer")
    script = Script(forever=reset)

    with pytest.raises(UnavailableError, match="ConnectionResetError: by the peer") as caught:
        clock.run(ask(script, retry=Retry(attempts=2, wait_initial=0)))

    assert caught.value.__cause__ is reset
    assert caught.value.provider == "scripted"
    assert len(script.requests) == 2


def test_a_retry_is_told_to_the_log(clock: FakeClock, caplog: pytest.LogCaptureFixture) -> None:
    """What failed, and when it is tried again; then one line about the whole call."""
    caplog.set_level("INFO", "ragcore")
    script = Script(forever=lambda _: RateLimitError("slow down", retry_after=7))
    with pytest.raises(RateLimitError):
        clock.run(ask(script, retry=Retry(attempts=2, wait_initial=0)))
    told = [record.getMessage() for record in caplog.records if record.name == "ragcore"]

    assert told == [
        "attempt 1 failed, another in 7.0 s: slow down [scripted:any, retry after 7 s]",
        "scripted:any: RateLimitError after 7.00 s, 2 attempts",
    ]


def test_nothing_is_written_where_no_logging_is_set_up() -> None:
    """A library's retries are no business of stderr."""
    program = """
import ragcore.sync
from ragcore import Retry, UnavailableError
from ragcore.testing import Script, scripted

with scripted():
    script = Script(UnavailableError("busy"), "answer")
    with ragcore.sync.completion("scripted:any", script=script, retry=Retry(wait_max=0)) as model:
        print(model.complete("question").text)
"""
    done = subprocess.run(  # noqa: S603  # our own code
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )

    assert (done.stdout, done.stderr) == ("answer\n", "")


def test_one_attempt_is_one(clock: FakeClock) -> None:
    """`Retry(attempts=1)` never tries again."""
    script = Script(UnavailableError("down"))

    with pytest.raises(UnavailableError):
        clock.run(ask(script, retry=Retry(attempts=1)))

    assert len(script.requests) == 1


def test_a_provider_brings_its_own_persistence(clock: FakeClock) -> None:
    """The plugin's Retry is the default; a keyword beats it."""
    with scripted(name="stubborn", retry=Retry(attempts=7, wait_initial=0)):

        async def attempts(**options: Any) -> int:
            script = Script(forever=UnavailableError("down"))
            async with ragcore.completion("stubborn:x", script=script, **options) as model:
                with pytest.raises(UnavailableError):
                    await model.complete("hi")
            return len(script.requests)

        assert clock.run(attempts()) == 7
        assert clock.run(attempts(retry=Retry(attempts=2))) == 2


# --- waits ---------------------------------------------------------------------------------


@given(
    attempts=st.integers(1, 2000),
    initial=st.floats(0, 1e3),
    longest=st.floats(0, 1e3),
)
def test_full_jitter_keeps_its_bounds(attempts: int, initial: float, longest: float) -> None:
    """Between nothing and the smaller of `wait_max` and the doubled `wait_initial`."""
    wait = wait_before_next(Retry(wait_initial=initial, wait_max=longest), attempts, None)

    assert 0 <= wait <= longest
    assert wait <= initial * 2.0 ** min(attempts - 1, 60)


@pytest.mark.parametrize(("made", "longest"), [(1, 1.0), (2, 2.0), (3, 4.0), (9, 10.0)])
def test_full_jitter_spreads_over_the_whole_range(made: int, longest: float) -> None:
    """Those who failed together come back spread out: quarters of the range are hit alike."""
    retry = Retry(wait_initial=1.0, wait_max=10.0)
    waits = [wait_before_next(retry, made, None) for _ in range(2000)]

    quarters = [sum(int(4 * wait / longest) == quarter for wait in waits) for quarter in range(4)]

    # Standard deviation of each is 19.
    assert all(380 < count < 620 for count in quarters)


@given(asked=st.floats(0, 1e4), made=st.integers(1, 50))
def test_retry_after_is_a_lower_bound(asked: float, made: int) -> None:
    """Never sooner than the service said, and little later, whatever `wait_max` says."""
    wait = wait_before_next(Retry(wait_initial=0.5, wait_max=1.0), made, asked)

    assert asked <= wait <= asked + 0.5


def test_retry_after_is_waited_for(clock: FakeClock) -> None:
    """Seconds pass between the attempts on the wire."""
    times = Times(clock)
    script = Script(
        times.step(RateLimitError("slow down", retry_after=30)),
        times.step(UnavailableError("down", retry_after=0)),
        times.step("Goethe"),
    )

    clock.run(ask(script))

    first, second = times.waits
    assert 30 <= first <= 30.5
    assert 0 <= second <= 0.5


def test_waits_grow(clock: FakeClock) -> None:
    """Each wait on the wire is within its own doubled bound."""
    times = Times(clock)
    script = Script(*[times.step(UnavailableError("down"))] * 6, times.step("Goethe"))

    clock.run(ask(script, retry=Retry(attempts=7, wait_initial=1, wait_max=8)))

    assert all(wait <= bound for wait, bound in zip(times.waits, [1, 2, 4, 8, 8, 8], strict=True))


def test_no_wait_may_be_wanted(clock: FakeClock) -> None:
    """`wait_initial=0` tries again at once."""
    script = Script(UnavailableError("down"), UnavailableError("down"), "Goethe")

    assert clock.run(ask(script, retry=Retry(wait_initial=0))).timings.total == 0


# --- deadlines -----------------------------------------------------------------------------


def test_retry_after_beyond_the_deadline_fails_at_once(clock: FakeClock) -> None:
    """Waiting for what can't come would only cost time."""
    error = RateLimitError("slow down", retry_after=120)

    with pytest.raises(RateLimitError) as caught:
        clock.run(ask(Script(error), timeout=45))

    assert caught.value is error
    assert clock.time == 0


@given(asked=st.floats(0, 4.99))
def test_jitter_never_makes_a_wait_too_long_that_fits(asked: float) -> None:
    """What the service asks for is obeyed if it fits the deadline, however large the jitter."""
    wait = wait_before_next(Retry(wait_initial=60, wait_max=60), 1, asked, left=5.0)

    assert asked <= wait < 5.0


def test_retry_after_counts_against_what_is_left(clock: FakeClock) -> None:
    """20 seconds fit into a deadline of 30, but not when 15 are gone."""
    script = Script(Delay(15, RateLimitError("slow down", retry_after=20)), "late")

    with pytest.raises(RateLimitError):
        clock.run(ask(script, timeout=30))

    assert clock.time == 15


def test_the_deadline_cuts_an_attempt(clock: FakeClock) -> None:
    """It ends on time, and says which limit it was."""
    with pytest.raises(RequestTimeoutError, match="the deadline of 5 s") as caught:
        clock.run(ask(Script(Delay(100, "late")), timeout=5))

    assert clock.time == 5
    assert (caught.value.provider, caught.value.attempts) == ("scripted", 1)


def test_the_deadline_spans_all_attempts(clock: FakeClock) -> None:
    """What cuts the last attempt has the error before as its cause."""
    error = UnavailableError("down")
    script = Script(Delay(3, error), Delay(100, "late"))

    with pytest.raises(RequestTimeoutError) as caught:
        clock.run(ask(script, timeout=5, retry=Retry(wait_initial=0.1)))

    assert clock.time == 5
    assert caught.value.__cause__ is error
    assert caught.value.attempts == 2


def test_an_attempt_has_its_own_limit(clock: FakeClock) -> None:
    """An attempt that hangs is given up and tried again; the request says how long it has."""
    script = Script(Delay(100, "late"), "Goethe")

    answer = clock.run(ask(script, retry=Retry(attempt_timeout=10, wait_initial=0), timeout=60))

    assert answer.text == "Goethe"
    assert clock.time == 10
    assert script.requests[0].attempt_timeout == 10


def test_the_smaller_limit_is_named(clock: FakeClock) -> None:
    """Whether the attempt or the call ran out of time tells which to raise."""
    retry = Retry(attempts=1, attempt_timeout=10)

    with pytest.raises(RequestTimeoutError, match="10 s, the limit of one attempt"):
        clock.run(ask(Script(Delay(100)), retry=retry, timeout=60))
    with pytest.raises(RequestTimeoutError, match="the deadline of 5 s"):
        clock.run(ask(Script(Delay(100)), retry=retry, timeout=5))


@pytest.mark.parametrize("timeout", [0, None])
def test_no_deadline_is_none(clock: FakeClock, timeout: float | None) -> None:
    """0 and unset wait for as long as it takes."""
    assert clock.run(ask(Script(Delay(1e6, "Goethe")), timeout=timeout)).text == "Goethe"


def test_the_calls_deadline_beats_the_models(clock: FakeClock) -> None:
    """Also with 0: this once without."""

    async def both() -> float:
        script = Script(Delay(100), Delay(100, "Goethe"))
        async with ragcore.completion("scripted:x", script=script, timeout=5) as model:
            with pytest.raises(RequestTimeoutError):
                await model.complete("hi")
            return (await model.complete("hi", timeout=0)).timings.total

    assert clock.run(both()) == 100


def test_the_deadline_may_come_from_the_environment(
    clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`RAGCORE_TIMEOUT`, as any option of the host."""
    monkeypatch.setenv("RAGCORE_TIMEOUT", "7.5")

    with pytest.raises(RequestTimeoutError, match=r"the deadline of 7\.5 s"):
        clock.run(ask(Script(Delay(100))))


@pytest.mark.parametrize("timeout", [-1, "5", float("nan"), float("inf"), True])
def test_a_timeout_is_a_number_of_seconds(clock: FakeClock, timeout: Any) -> None:
    """Anything else is an OptionsError before anything is asked."""
    script = Script("Goethe")

    with pytest.raises(ragcore.OptionsError, match="timeout"):
        clock.run(ask(script, timeout=timeout))
    assert script.requests == []


# --- builtin timeouts and cancellation -----------------------------------------------------


def test_a_plugins_own_timeout_error_is_translated(clock: FakeClock) -> None:
    """Many SDKs raise the built-in one; it is tried again and never comes out."""
    script = Script(TimeoutError("read timed out"), TimeoutError())

    with pytest.raises(RequestTimeoutError) as caught:
        clock.run(ask(script, retry=Retry(attempts=2)))

    assert len(script.requests) == 2
    assert isinstance(caught.value.__cause__, TimeoutError)


def test_cancellation_passes_through(clock: FakeClock) -> None:
    """A cancelled call ends as cancelled, with or without a deadline, and asks no more."""

    async def cancelled(step: Any, **options: Any) -> int:
        script = Script(step, "never")
        task = asyncio.create_task(ask(script, **options))
        await asyncio.sleep(1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await ragcore.aclose()
        assert script.opened == script.closed == 1
        return len(script.requests)

    waiting = RateLimitError("slow down", retry_after=50)

    assert clock.run(cancelled(Delay(100))) == 1
    assert clock.run(cancelled(Delay(100), timeout=60)) == 1
    assert clock.run(cancelled(waiting)) == 1


def test_the_callers_own_timeout_keeps_working(clock: FakeClock) -> None:
    """`asyncio.timeout` around a call ends in the caller's TimeoutError, at its time."""

    async def inside() -> str:
        try:
            async with asyncio.timeout(3):
                await ask(Script(Delay(100)), timeout=60, retry=Retry(attempt_timeout=50))
        except TimeoutError:
            return "mine"
        return "none"

    assert clock.run(inside()) == "mine"
    assert clock.time == 3


def test_an_attempt_that_finishes_despite_its_limit_counts(clock: FakeClock) -> None:
    """A plugin that saves its answer when it is cancelled has answered."""

    async def stubborn() -> Completion:
        try:
            await asyncio.sleep(100)
        except asyncio.CancelledError:
            return Completion("saved")
        raise AssertionError

    class Backend:
        async def complete(self, request: object) -> Completion:
            return await stubborn()

    async def call() -> Completion:
        async with ragcore.completion("scripted:any", script=Script()) as model:
            model._backend = Backend()
            return await model.complete("hi", timeout=5)

    assert clock.run(call()).text == "saved"
