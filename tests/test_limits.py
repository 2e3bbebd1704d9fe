"""Budgets of calls: how many at once, how many per minute, and what a service is found to take."""

from __future__ import annotations

import asyncio
import copy
import gc
import math
import os
import random
import threading
from collections.abc import Callable, Iterator
from typing import Any

import attrs
import pytest

import ragcore
from ragcore import (
    Chunk,
    Completion,
    Limits,
    OptionsError,
    RateLimitError,
    RequestTimeoutError,
    Retry,
    UnavailableError,
    Usage,
)
from ragcore._limits import Ticket
from ragcore.lightrag import embedding_func, from_env, llm_model_func, role_llm_configs
from ragcore.testing import Delay, FakeClock, Script, embeddings, scripted

STOP = Chunk(finish_reason="stop", usage=Usage(3, 2))
AT_ONCE = Retry(attempts=3, wait_initial=0)


async def complete(model: Any, **arguments: Any) -> Any:
    return await model.complete("Who wrote Faust?", **arguments)


async def stream(model: Any, **arguments: Any) -> Any:
    async with model.stream("Who wrote Faust?", **arguments) as chunks:
        async for _ in chunks:
            pass
    return chunks.completion


async def embed(model: Any, **arguments: Any) -> Any:
    return await model.embed(["a", "b"], **arguments)


def opened(script: Any, ask: Any = complete, **options: Any) -> Any:
    """Open the model that *ask* asks."""
    if not isinstance(script, Script):
        script = Script(forever=script)
    opening = ragcore.embedding if ask is embed else ragcore.completion
    return opening("scripted:any", script=script, **options)


async def once(script: Any, ask: Any = complete, **options: Any) -> Any:
    async with opened(script, ask, **options) as model:
        return await ask(model)


async def at_once(count: int, script: Any, ask: Any = complete, **options: Any) -> list[Any]:
    async with opened(script, ask, **options) as model:
        return await together(*(ask(model) for _ in range(count)))


SLOW = {complete: Delay(1, "Goethe"), stream: [Delay(1, "Goethe"), STOP], embed: Delay(1, "")}
FAST = {complete: "Goethe", stream: ["Goethe", STOP], embed: embeddings}
tasks = pytest.mark.parametrize("ask", SLOW)


@pytest.fixture(autouse=True)
def provider() -> Iterator[None]:
    with scripted(retry=AT_ONCE):
        yield


@pytest.fixture
def clock() -> Iterator[FakeClock]:
    with FakeClock() as made:
        yield made


async def together(*calls: Any) -> list[Any]:
    return await asyncio.gather(*calls, return_exceptions=True)


def now() -> float:
    return asyncio.get_running_loop().time()


class Times:
    """A step that notes when it is asked."""

    def __init__(self, answer: Any = "Goethe") -> None:
        self.answer = answer
        self.at: list[float] = []

    def __call__(self, request: Any) -> Any:
        self.at.append(round(now(), 3))
        return self.answer


# --- so many at once ------------------------------------------------------------------------


@tasks
def test_so_many_are_under_way_at_once(clock: FakeClock, ask: Any) -> None:
    """The others wait for a slot, which their timings tell."""
    found = clock.run(at_once(6, SLOW[ask], ask, limits=Limits(2)))

    assert clock.time == 3
    assert [one.timings.queued for one in found] == [0, 0, 1, 1, 2, 2]


@tasks
def test_a_retry_that_waits_holds_no_slot(clock: FakeClock, ask: Any) -> None:
    """Another call goes through meanwhile."""
    script = Script(UnavailableError("down", retry_after=60), forever=FAST[ask])

    async def both() -> float:
        async with opened(script, ask, limits=Limits(1)) as model:
            first = asyncio.create_task(ask(model))
            await asyncio.sleep(1)
            await ask(model)
            done_at = now()
            await first
        return done_at

    assert clock.run(both()) == 1
    assert clock.time == 60


async def test_a_stream_holds_its_slot_until_it_is_closed() -> None:
    """However much of it was read."""
    limits = Limits(1)
    async with ragcore.completion(
        "scripted:any", script=Script(["a", STOP], "next"), limits=limits
    ) as model:
        async with model.stream("Who?") as chunks:
            await anext(chunks)
            waiting = asyncio.create_task(model.complete("Who?"))
            await asyncio.sleep(0.01)
            assert not waiting.done()
        assert (await waiting).text == "next"


@tasks
def test_a_cancelled_call_gives_its_slot_back(clock: FakeClock, ask: Any) -> None:
    """While it waits for an answer, and while it waits for the slot."""
    script = Script(*[Delay(60, FAST[ask])] * 2, forever=FAST[ask])

    async def cancel_all() -> None:
        async with opened(script, ask, limits=Limits(2)) as model:
            calls = [asyncio.create_task(ask(model)) for _ in range(4)]
            await asyncio.sleep(1)
            # Those that wait first, so that they are not let in.
            for call in reversed(calls):
                call.cancel()
            await together(*calls)
            await ask(model)

    clock.run(cancel_all())
    assert clock.time == 1
    assert len(script.requests) == 3


def test_a_call_that_is_cancelled_as_its_turn_comes_loses_no_slot(clock: FakeClock) -> None:
    """The slot goes to the next one."""

    async def cancel_at_the_turn() -> list[Any]:
        async with opened(Delay(1, "Goethe"), limits=Limits(1)) as model:
            second: asyncio.Task[Any]

            async def first() -> Any:
                answer = await complete(model)
                # The slot has been given to the second one, which has not run since.
                second.cancel()
                return answer

            begun = asyncio.create_task(first())
            await asyncio.sleep(0)
            second = asyncio.create_task(complete(model))
            return await together(begun, second, complete(model))

    one, two, three = clock.run(cancel_at_the_turn())
    assert isinstance(two, asyncio.CancelledError)
    assert one.text == three.text == "Goethe"
    assert clock.time == 2


@pytest.mark.parametrize("is_cancelled_first", [True, False])
async def test_a_turn_and_a_cancellation_may_come_at_once(is_cancelled_first: bool) -> None:
    """Whichever is first: the slot goes to the next one."""
    line = Limits(1).line
    first, second, third = (Ticket((0, number), 0, latest=math.inf) for number in range(3))
    await line.enter(first)
    waiting = [asyncio.create_task(line.enter(ticket)) for ticket in (second, third)]
    await asyncio.sleep(0)
    steps: list[Callable[[], object]] = [waiting[0].cancel, lambda: line.leave(first)]
    for step in steps if is_cancelled_first else reversed(steps):
        step()
    await asyncio.wait(waiting)

    assert waiting[0].cancelled()
    assert (second.is_in, third.is_in) == (False, True)


@tasks
def test_a_call_that_fails_gives_its_slot_back(clock: FakeClock, ask: Any) -> None:
    """Whatever it raised."""
    script = Script(ragcore.AuthenticationError("no"), ValueError("a bug"), FAST[ask])
    found = clock.run(at_once(3, script, ask, limits=Limits(1)))

    assert [isinstance(one, ragcore.ProviderError) for one in found] == [True, True, False]


def test_requests_of_one_embedding_are_limited_each(clock: FakeClock) -> None:
    """Two requests of one call wait for one slot."""
    found = clock.run(once(SLOW[embed], embed, batch_size=1, limits=Limits(1)))

    assert found.timings.queued == 1
    assert clock.time == 2


# --- order and time -------------------------------------------------------------------------


def test_first_come_is_first_served_within_a_priority(clock: FakeClock) -> None:
    """The least priority goes first, whenever it came."""
    order: list[str] = []

    async def call(model: Any, name: str, priority: int) -> None:
        await complete(model, priority=priority)
        order.append(name)

    async def all_of_them() -> None:
        calls = [("first", 10), ("b", 10), ("c", 10), ("a user", 0), ("another", 0), ("d", 20)]
        async with opened(Delay(1, "x"), limits=Limits(1)) as model:
            await asyncio.gather(*(call(model, *each) for each in calls))

    clock.run(all_of_them())
    assert order == ["first", "a user", "another", "b", "c", "d"]


def test_a_retry_keeps_its_place(clock: FakeClock) -> None:
    """It goes before calls that were made after its own."""
    script = Script(Delay(1, UnavailableError("down")), forever=Delay(1, "Goethe"))
    found = clock.run(at_once(4, script, limits=Limits(1)))

    # The second one was let in as the first one failed.
    assert [round(one.timings.total) for one in found] == [3, 2, 4, 5]


@tasks
def test_waiting_counts_against_the_deadline(clock: FakeClock, ask: Any) -> None:
    """The call that waits for too long is never sent."""
    script = Script(Delay(60, FAST[ask]))

    async def both() -> list[Any]:
        async with opened(script, ask, limits=Limits(1)) as model:
            return await together(ask(model), ask(model, timeout=5))

    _, late = clock.run(both())
    assert isinstance(late, RequestTimeoutError)
    assert "deadline of 5 s" in str(late)
    assert len(script.requests) == 1


@tasks
def test_waiting_does_not_count_against_an_attempt(clock: FakeClock, ask: Any) -> None:
    """An attempt begins when its turn has come."""
    retry = Retry(attempts=1, attempt_timeout=2)
    found = clock.run(at_once(5, SLOW[ask], ask, limits=Limits(1), retry=retry))

    assert [one.timings.queued for one in found] == [0, 1, 2, 3, 4]


@tasks
@pytest.mark.parametrize("priority", ["high", 1.5, None, True])
async def test_a_priority_is_a_whole_number(ask: Any, priority: Any) -> None:
    """Anything else is named."""
    async with opened(Script(), ask) as model:
        with pytest.raises(OptionsError, match=f"priority: {priority!r} is not a whole number"):
            await ask(model, priority=priority)


# --- per minute -----------------------------------------------------------------------------


def test_so_many_requests_go_in_a_minute(clock: FakeClock) -> None:
    """In any 60 seconds; attempts count."""
    times = Times()
    script = Script(UnavailableError("down"), forever=times)
    clock.run(at_once(11, script, limits=Limits(requests_per_minute=5)))

    assert times.at == [0.0] * 4 + [60.0] * 5 + [120.0] * 2


def spending(input_tokens: int, output_tokens: int = 0) -> Completion:
    return Completion("Goethe", usage=Usage(input_tokens, output_tokens))


def test_so_many_tokens_go_in_a_minute(clock: FakeClock) -> None:
    """A quarter of the characters and the longest answer before; what was used afterwards."""
    # "Who wrote Faust?" has 16 characters: 4 tokens, and 46 of the answer.
    times = Times(Delay(1, spending(20, 10)))
    limits = Limits(tokens_per_minute=100)
    clock.run(at_once(5, times, limits=limits, max_output_tokens=46))

    # Two of 50 each fill the minute; they took 30 each, and 40 are left after a second: too few.
    assert times.at == [0.0, 0.0, 60.0, 60.0, 120.0]


def test_less_than_estimated_lets_more_in(clock: FakeClock) -> None:
    """As soon as the service has said so."""
    times = Times(Delay(1, spending(5)))
    limits = Limits(tokens_per_minute=100)
    clock.run(at_once(5, times, limits=limits, max_output_tokens=46))

    assert times.at == [0.0, 0.0, 1.0, 2.0, 3.0]


def test_more_than_estimated_is_made_up_for(clock: FakeClock) -> None:
    """The next ones wait."""
    times = Times(spending(100))

    async def one_by_one() -> None:
        async with opened(times, limits=Limits(tokens_per_minute=100)) as model:
            for _ in range(3):
                await complete(model)

    clock.run(one_by_one())
    assert times.at == [0.0, 60.0, 120.0]


def test_a_request_above_the_limit_goes_alone(clock: FakeClock) -> None:
    """It would wait for ever otherwise."""
    times = Times(Completion("Goethe"))
    limits = Limits(tokens_per_minute=10)
    clock.run(at_once(2, times, limits=limits, max_output_tokens=500))

    assert times.at == [0.0, 60.0]


def test_tokens_of_texts_are_estimated(clock: FakeClock) -> None:
    """A quarter of their characters."""
    times = Times(Delay(70, ""))

    async def three() -> None:
        async with opened(times, embed, limits=Limits(tokens_per_minute=100)) as model:
            await together(*(model.embed(["x" * 100, "y" * 100]) for _ in range(3)))

    clock.run(three())
    assert times.at == [0.0, 0.0, 60.0]


# --- what a service asks for ----------------------------------------------------------------


@pytest.mark.parametrize(
    "given", [{"concurrency": 8}, {"concurrency": "auto"}, {"requests_per_minute": 1000}]
)
def test_retry_after_holds_everybody_back(clock: FakeClock, given: Any) -> None:
    """Also who comes later and was never refused."""
    times = Times()
    script = Script(RateLimitError("slow down", retry_after=30), forever=times)

    async def and_later() -> None:
        async with opened(script, limits=Limits(**given)) as model:
            first = asyncio.create_task(complete(model))
            await asyncio.sleep(1)
            await together(complete(model), complete(model), first)

    clock.run(and_later())
    assert times.at == pytest.approx([30.0, 30.0, 30.0], abs=0.1)


def test_who_would_wait_for_too_long_fails_at_once(clock: FakeClock) -> None:
    """With the error of the service, and the seconds that are left: something else may be tried."""
    script = Script(Delay(1, RateLimitError("slow down", retry_after=100)), "Goethe")
    failed: list[tuple[float, float]] = []

    async def fails(model: Any) -> None:
        with pytest.raises(RateLimitError, match="asked all calls of this budget") as caught:
            await complete(model, timeout=50)
        failed.append((now(), caught.value.retry_after or 0))

    async def before_and_after() -> None:
        async with opened(script, limits=Limits(1)) as model:
            first = asyncio.create_task(complete(model, timeout=0))
            await asyncio.sleep(0)
            await fails(model)
            await asyncio.sleep(9)
            await fails(model)
            await first

    clock.run(before_and_after())
    assert failed == [(1, 100), (10, 91)]
    assert len(script.requests) == 2


@pytest.mark.parametrize("seconds", [1e300, 40_000.0])
def test_no_service_closes_a_budget_for_ever(clock: FakeClock, seconds: float) -> None:
    """All are held back for five minutes at most."""
    script = Script(RateLimitError("slow down", retry_after=seconds), "Goethe")

    async def later() -> Any:
        async with opened(script, limits=Limits(4)) as model:
            with pytest.raises(RateLimitError):
                await complete(model)
            await asyncio.sleep(300)
            return await complete(model)

    assert clock.run(later()).text == "Goethe"


# --- loops, threads, processes --------------------------------------------------------------


class Counted:
    """Counts how many are under way, in any thread."""

    def __init__(self, limits: Limits) -> None:
        self.line = limits.line
        self.inside = self.most = self.done = 0
        self._lock = threading.Lock()

    async def attempt(self) -> None:
        """Go once."""
        ticket = Ticket((0, self.line.number()), 0, latest=math.inf)
        await self.line.enter(ticket)
        self._count(1)
        await asyncio.sleep(0.001)
        self._count(-1)
        self.line.leave(ticket)

    def _count(self, more: int) -> None:
        with self._lock:
            self.inside += more
            self.most = max(self.most, self.inside)
            self.done += more < 0

    async def attempts(self, count: int) -> None:
        """Go so many times at once."""
        await asyncio.gather(*(self.attempt() for _ in range(count)))

    def in_thread(self, count: int) -> threading.Thread:
        """Go so many times at once on a loop of another thread."""
        thread = threading.Thread(target=lambda: asyncio.run(self.attempts(count)))
        thread.start()
        return thread


def test_one_budget_serves_several_loops_and_threads() -> None:
    """No more than two at once, and none is forgotten."""
    counted = Counted(Limits(2))
    for thread in [counted.in_thread(25) for _ in range(4)]:
        thread.join(60)

    assert (counted.done, counted.most, counted.inside) == (100, 2, 0)


def test_time_wakes_who_waits_in_another_thread() -> None:
    """A pause that a call of one loop learns of ends for the others, too."""
    limits = Limits(4)

    async def refused() -> None:
        ticket = Ticket((0, 0), 0, latest=math.inf)
        await limits.line.enter(ticket)
        limits.line.leave(ticket, error=RateLimitError("slow down", retry_after=0.05))

    asyncio.run(refused())
    counted = Counted(limits)
    for thread in [counted.in_thread(3) for _ in range(2)]:
        thread.join(60)

    assert counted.done == 6


def test_calls_of_threads_share_a_budget() -> None:
    """By the API without an event loop."""
    limits = Limits(1)
    with ragcore.sync.completion(
        "scripted:any", script=Script(forever="Goethe"), limits=limits
    ) as model:
        threads = [threading.Thread(target=model.complete, args=("Who?",)) for _ in range(5)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        assert model.complete("Who?", priority=3).text == "Goethe"


def test_a_loop_that_was_closed_holds_nobody_up() -> None:
    """Its attempt waited in the line, and is not waited for."""
    line = Limits(1).line
    loop = asyncio.new_event_loop()
    held, lost, last = (Ticket((0, n), 0, latest=math.inf, loop=loop) for n in range(3))

    async def wait_in_vain() -> None:
        await line.enter(held)
        asyncio.get_running_loop().lost = asyncio.create_task(line.enter(lost))  # type: ignore[attr-defined]  # kept with its loop
        await asyncio.sleep(0)

    loop.run_until_complete(wait_in_vain())
    loop.lost._log_destroy_pending = False  # type: ignore[attr-defined]  # what is tested
    loop.close()
    line.leave(held)

    async def go() -> bool:
        ticket = attrs.evolve(last, loop=asyncio.get_running_loop())
        await line.enter(ticket)
        return ticket.is_in

    assert asyncio.run(go())
    del loop
    gc.collect()


class ClosingLoop:
    """A loop that another thread closes as somebody is about to wake it."""

    def time(self) -> float:
        """Return the time."""
        return 0.0

    def is_closed(self) -> bool:
        """Say what was true a moment ago."""
        return False

    def create_future(self) -> asyncio.Future[None]:
        """Return a future of the running loop, which nobody awaits."""
        return asyncio.get_running_loop().create_future()

    def call_soon_threadsafe(self, *_: object) -> None:
        """Fail as a closed loop does."""
        raise RuntimeError("Event loop is closed")


async def test_a_slot_that_nobody_takes_goes_to_the_next() -> None:
    """Whose loop is closed as its turn comes can't be told."""
    line = Limits(1).line
    first, last = (Ticket((0, number), 0, latest=math.inf) for number in (0, 2))
    lost = Ticket((0, 1), 0, latest=math.inf, loop=ClosingLoop())  # type: ignore[arg-type]  # as much of one as is used
    await line.enter(first)
    waiting = line.enter(lost)
    waiting.send(None)
    going = asyncio.create_task(line.enter(last))
    await asyncio.sleep(0)
    line.leave(first)
    await going

    assert (lost.is_in, last.is_in) == (False, True)
    waiting.close()


async def test_a_forked_process_has_a_line_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is under way in the parent is not waited for."""
    limits = Limits(1)
    await limits.line.enter(Ticket((0, 0), 0, latest=math.inf))
    monkeypatch.setattr(os, "getpid", lambda: -1)

    ticket = Ticket((0, 1), 0, latest=math.inf)
    await limits.line.enter(ticket)
    assert ticket.is_in


# --- options --------------------------------------------------------------------------------


async def limits_of(**options: Any) -> Any:
    async with ragcore.completion("scripted:any", **options) as model:
        return model._opening.limits


async def test_variables_make_one_budget_for_an_account(monkeypatch: pytest.MonkeyPatch) -> None:
    """For all its models, whenever they are opened; another account has another."""
    monkeypatch.setenv("RAGCORE_CONCURRENCY", "3")
    monkeypatch.setenv("RAGCORE_TOKENS_PER_MINUTE", "5e4")
    script, other = Script(), Script()
    found = await limits_of(script=script)
    async with ragcore.embedding("scripted:another", script=script) as model:
        embeds = model._opening.limits

    assert repr(found) == "Limits(concurrency=3, tokens_per_minute=50000.0)"
    assert embeds is await limits_of(script=script) is found
    assert await limits_of(script=other) is not found
    assert await limits_of(script=script, api_key="another") is not found
    assert await limits_of(script=script, concurrency=4) is not found


async def test_a_budget_goes_before_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is the one that was passed."""
    monkeypatch.setenv("RAGCORE_REQUESTS_PER_MINUTE", "10")
    limits = Limits("auto")

    assert await limits_of(script=Script(), limits=limits) is limits


async def test_without_limits_there_is_no_budget() -> None:
    """And nothing stands around an attempt that others would pay for."""
    assert await limits_of(script=Script()) is None
    assert (await once("Goethe")).timings.queued == 0


def test_a_budget_of_a_variable_is_kept_from_one_opening_to_the_next(
    clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Opening the model anew is no way around it."""
    monkeypatch.setenv("RAGCORE_REQUESTS_PER_MINUTE", "2")
    times = Times()
    script = Script(forever=times)

    async def one_by_one() -> None:
        for _ in range(5):
            await once(script)

    clock.run(one_by_one())
    assert times.at == [0.0, 0.0, 60.0, 60.0, 120.0]


PROBLEMS: list[tuple[dict[str, Any], str]] = [
    ({}, "limits nothing"),
    ({"concurrency": 0}, "concurrency: 0 is not 'auto' or a whole number, 1 or more"),
    ({"concurrency": "many"}, "concurrency: 'many' is not"),
    ({"concurrency": True}, "concurrency: True is not"),
    ({"requests_per_minute": 0.5}, "requests_per_minute: 0.5 is not a number, 1 or more"),
    ({"tokens_per_minute": float("nan")}, "tokens_per_minute: nan is not"),
    ({"tokens_per_minute": float("inf")}, "tokens_per_minute: inf is not"),
    ({"requests_per_minute": "60"}, "requests_per_minute: '60' is not"),
]


@pytest.mark.parametrize(("given", "said"), PROBLEMS)
def test_limits_that_are_none_are_named(given: dict[str, Any], said: str) -> None:
    """With their value."""
    with pytest.raises(OptionsError, match=said):
        Limits(**given)


def test_all_that_is_wrong_is_named_at_once() -> None:
    """One line each."""
    with pytest.raises(OptionsError) as caught:
        Limits(0, requests_per_minute=0)

    assert len(caught.value.problems) == 2


def test_a_copy_is_the_same_budget() -> None:
    """LightRAG copies what it is handed."""
    limits = Limits(1)

    assert copy.deepcopy({"limits": limits})["limits"] is limits


# --- LightRAG -------------------------------------------------------------------------------


async def test_from_env_makes_one_budget_for_an_account() -> None:
    """For all roles and the embedding, where they have one account; by the same variables."""
    environ = {
        "LLM_BINDING": "ollama",
        "LLM_MODEL": "a",
        "EMBEDDING_BINDING": "ollama",
        "EMBEDDING_MODEL": "b",
        "EMBEDDING_DIM": "3",
        "RAGCORE_CONCURRENCY": "3",
    }
    made = from_env(environ)
    functions = [made["llm_model_func"], *(one.func for one in made["role_llm_configs"].values())]
    budgets = {_opening_of(function).limits for function in functions}

    assert [repr(one) for one in budgets] == ["Limits(concurrency=3)"]


def _opening_of(function: Any) -> Any:
    cells = dict(zip(function.__code__.co_freevars, function.__closure__, strict=True))
    return cells["opening"].cell_contents


ASKED_OF_USERS = [
    {"enable_cot": True},
    {"stream": True},
    {"response_format": {"type": "json_object"}},
    {"priority": -1},
]


@pytest.mark.parametrize("asked", ASKED_OF_USERS)
def test_a_question_goes_before_extraction(clock: FakeClock, asked: Any) -> None:
    """Though it came later."""
    script, limits = Script(forever=Delay(1, '{"a": 1}')), Limits(1)
    func = llm_model_func("scripted:any", script=script, limits=limits)
    work = {"system_prompt": "Extract.", "response_format": {"type": "json_object"}}

    async def ask() -> None:
        calls = [asyncio.create_task(func(f"extract {n}", **work)) for n in range(3)]
        await asyncio.sleep(0.5)
        answer = await func("question", **asked)
        if not isinstance(answer, str):
            async for _ in answer:
                pass
        await asyncio.gather(*calls)
        await ragcore.aclose()

    clock.run(ask())
    prompts = [request.messages[-1].content for request in script.requests]  # type: ignore[union-attr]
    assert prompts == ["extract 0", "question", "extract 1", "extract 2"]


@pytest.mark.parametrize("role", ["keyword", "query"])
def test_the_roles_of_a_question_go_first(clock: FakeClock, role: Any) -> None:
    """Its keywords are found before it is answered."""
    script, limits = Script(forever=Delay(1, "Goethe")), Limits(1)
    options = {"script": script, "limits": limits}
    func = llm_model_func("scripted:any", **options)
    config: Any = role_llm_configs(**{role: ("scripted:any", options)})[role]

    async def ask() -> None:
        calls = [asyncio.create_task(func(f"extract {n}")) for n in range(3)]
        await asyncio.sleep(0.5)
        await config.func("question")
        await asyncio.gather(*calls)
        await ragcore.aclose()

    clock.run(ask())
    prompts = [request.messages[0].content for request in script.requests]  # type: ignore[union-attr]
    assert prompts == ["extract 0", "question", "extract 1", "extract 2"]


def test_a_query_is_embedded_before_documents(clock: FakeClock) -> None:
    """Though it came later."""
    script, limits = Script(forever=Delay(1, "")), Limits(1)
    func = embedding_func("scripted:any", script=script, limits=limits)

    async def ask() -> None:
        calls = [asyncio.create_task(func([f"d{n}"], context="document")) for n in range(3)]
        await asyncio.sleep(0.5)
        await func(["q"], context="query")
        await asyncio.gather(*calls)
        await ragcore.aclose()

    clock.run(ask())
    assert [request.texts for request in script.requests] == [("d0",), ("q",), ("d1",), ("d2",)]  # type: ignore[union-attr]


# --- a budget that finds itself ---------------------------------------------------------------


class Bucket:
    """A service that takes *rate* requests per second, and *burst* at once after a silence."""

    def __init__(
        self,
        rate: float | Callable[[float], float],
        *,
        latency: float,
        retry_after: float | None = None,
        burst: float = 50,
    ) -> None:
        self._rate, self._latency, self._retry_after = rate, latency, retry_after
        self._burst = self._left = burst
        self._at = 0.0
        self.asked = self.refused = 0

    def __call__(self, request: Any) -> Any:
        self.asked += 1
        rate = self._rate(now()) if callable(self._rate) else self._rate
        self._left = min(self._burst, self._left + (now() - self._at) * rate)
        self._at = now()
        # What trickled in during many short times adds up to a little less than one.
        if self._left < 1 - 1e-9:
            self.refused += 1
            return RateLimitError("slow down", retry_after=self._retry_after)
        self._left -= 1
        return Delay(self._latency, "Goethe")


class Room:
    """A service that takes so many requests at once."""

    def __init__(self, places: Callable[[float], int], *, latency: float) -> None:
        self._places, self._latency = places, latency
        self._taken = 0
        self.asked = self.refused = 0

    def __call__(self, request: Any) -> Any:
        self.asked += 1
        if self._taken >= self._places(now()):
            self.refused += 1
            return RateLimitError("full")
        self._taken += 1
        asyncio.get_running_loop().call_later(self._latency, self._leave)
        return Delay(self._latency, "Goethe")

    def _leave(self) -> None:
        self._taken -= 1


def seconds_of(clock: FakeClock, service: Any, calls: int, limits: Limits | None) -> float:
    """Return how long so many calls at once take; all must be answered."""
    random.seed(1)
    found = clock.run(at_once(calls, service, limits=limits, retry=Retry()))
    assert [one for one in found if isinstance(one, Exception)] == []
    return clock.time


@pytest.mark.parametrize("retry_after", [None, 0.05, 1.0])
@pytest.mark.parametrize("latency", [0.0, 0.002, 0.02, 0.05, 0.2, 0.5])
def test_it_finds_the_rate_of_a_service(
    clock: FakeClock, latency: float, retry_after: float | None
) -> None:
    """256 calls at once against 50 per second: hardly more than it takes, hardly any refused."""
    service = Bucket(50, latency=latency, retry_after=retry_after)
    ideal = (256 - 50) / 50 + latency

    assert seconds_of(clock, service, 256, Limits("auto")) <= 1.1 * ideal
    assert service.refused < 0.02 * service.asked


def test_it_finds_the_rate_of_a_service_that_saves_nothing(clock: FakeClock) -> None:
    """Its first refusal comes at once, and tells little."""
    service = Bucket(50, latency=0.02, burst=1)

    assert seconds_of(clock, service, 256, Limits("auto")) <= 1.1 * 255 / 50
    assert service.refused < 0.02 * service.asked


def test_a_hold_that_costs_is_not_taken_for_a_rate(clock: FakeClock) -> None:
    """While all are held back for a second, half of what it could take is lost."""
    service = Bucket(lambda at: 50 if at < 10 else 100, latency=0.02, retry_after=1.0)
    ideal = 10 + (2000 - 50 - 500) / 100

    assert seconds_of(clock, service, 2000, Limits("auto")) <= 1.5 * ideal
    assert service.refused < 0.02 * service.asked


def test_without_it_calls_are_refused(clock: FakeClock) -> None:
    """So that what is tested above is no matter of course."""
    service = Bucket(50, latency=0.02, retry_after=1.0)
    with pytest.raises(AssertionError, match="RateLimitError"):
        seconds_of(clock, service, 256, None)

    assert service.refused > service.asked / 2


def test_it_finds_a_rate_that_changes(clock: FakeClock) -> None:
    """Down to a half, and up to four times that."""

    def rate(at: float) -> float:
        return 50 if at < 5 else 25 if at < 10 else 100

    service = Bucket(rate, latency=0.02)
    ideal = 10 + (1000 - 50 - 250 - 125) / 100

    assert seconds_of(clock, service, 1000, Limits("auto")) <= 1.1 * ideal
    assert service.refused < 0.02 * service.asked


def test_it_finds_how_many_a_service_takes_at_once(clock: FakeClock) -> None:
    """And that it takes twice as many from then on."""

    def places(at: float) -> int:
        return 16 if at < 5 else 32

    service = Room(places, latency=0.1)
    ideal = 5 + (2000 - 5 * 160) * 0.1 / 32

    assert seconds_of(clock, service, 2000, Limits("auto")) <= 1.1 * ideal
    assert service.refused < 0.02 * service.asked


def test_it_finds_that_a_service_takes_fewer_at_once(clock: FakeClock) -> None:
    """Half as many from then on."""

    def places(at: float) -> int:
        return 16 if at < 3 else 8

    service = Room(places, latency=0.1)
    ideal = 3 + (1000 - 3 * 160) * 0.1 / 8

    assert seconds_of(clock, service, 1000, Limits("auto")) <= 1.1 * ideal
    assert service.refused < 0.02 * service.asked


def test_it_comes_back_after_a_bad_time(clock: FakeClock) -> None:
    """Nothing was taken for three minutes, and each refusal asked for one."""

    def rate(at: float) -> float:
        return 0 if 2 < at < 180 else 50

    service = Bucket(rate, latency=0.5, retry_after=60.0)

    assert seconds_of(clock, service, 1000, Limits("auto")) <= 2 * 200
    assert service.refused < 0.02 * service.asked


def test_calls_one_after_another_raise_a_rate_again(clock: FakeClock) -> None:
    """Nobody waits behind them, but they wait themselves."""
    service = Bucket(lambda at: 1 if at < 60 else 50, latency=0.01, burst=1)

    async def one_by_one() -> int:
        answered = 0
        async with opened(service, limits=Limits("auto"), retry=Retry(attempts=9)) as model:
            while now() < 300:
                await complete(model)
                answered += 1
        return answered

    random.seed(1)
    assert clock.run(one_by_one()) > 60 + 600


def test_nobody_starves(clock: FakeClock) -> None:
    """Whose call was made first is answered first, but for who was refused."""
    order: list[int] = []
    service = Bucket(50, latency=0.02)

    async def call(model: Any, number: int) -> None:
        await complete(model)
        order.append(number)

    async def all_at_once() -> None:
        async with opened(service, limits=Limits("auto")) as model:
            await asyncio.gather(*(call(model, number) for number in range(256)))

    clock.run(all_at_once())
    late = [number for place, number in enumerate(order) if place > number + 10]
    assert len(late) <= service.refused


def test_what_nobody_refuses_is_hardly_slowed_down(clock: FakeClock) -> None:
    """A hundred calls a second from the start, and more with each answer."""
    service = Bucket(1e9, latency=1.0, burst=1e9)

    assert seconds_of(clock, service, 256, Limits("auto")) <= 3
    assert service.refused == 0
