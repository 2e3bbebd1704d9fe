"""``ragcore.fallback``: the next model where one does not deliver, under one deadline."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager
from typing import Any

import attrs
import pytest

import ragcore
from ragcore import (
    AuthenticationError,
    Capabilities,
    Chunk,
    ContentFilterError,
    ContextLengthError,
    EmptyResponseError,
    InvalidRequestError,
    NotFoundError,
    OptionsError,
    PermissionDeniedError,
    PluginError,
    ProviderError,
    QuotaExceededError,
    RateLimitError,
    RequestTimeoutError,
    Retry,
    TruncatedResponseError,
    UnavailableError,
    UnsupportedError,
    Usage,
)
from ragcore._calls import breaker
from ragcore._discovery.loading import registry
from ragcore.lightrag import embedding_func, llm_model_func, role_llm_configs
from ragcore.testing import Delay, FakeClock, Script, plugin, scripted

ONCE = Retry(attempts=1)
STOP = Chunk(finish_reason="stop", usage=Usage(3, 2))


@pytest.fixture(autouse=True)
def providers(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(breaker, "_troubles", [])
    with ExitStack() as stack:
        for name in ("a", "b", "c"):
            stack.enter_context(scripted(name=name, retry=Retry(attempts=2, wait_initial=0)))
        yield


def models(*scripts: Script, **arguments: Any) -> ragcore.Fallback:
    """Return a fallback of the models a:m, b:m, c:m, each with its script."""
    references = [(f"{name}:m", {"script": one}) for name, one in zip("abc", scripts, strict=False)]
    return ragcore.fallback(*references, **arguments)


async def complete(*scripts: Script, on: Any = None, **options: Any) -> ragcore.Completion:
    given = {} if on is None else {"on": on}
    async with ragcore.completion(models(*scripts, **given), **options) as model:
        return await model.complete("Who wrote Faust?")


async def stream(*scripts: Script, **options: Any) -> ragcore.Completion:
    async with (
        ragcore.completion(models(*scripts), **options) as model,
        model.stream("Who wrote Faust?") as chunks,
    ):
        assert "".join([chunk.text async for chunk in chunks]) == chunks.completion.text
        return chunks.completion


class Whole:
    """A backend that can't stream."""

    def __init__(self, client: Script, *_: object) -> None:
        self.script = client

    async def complete(self, request: ragcore.CompletionRequest) -> ragcore.Completion:
        return ragcore.Completion(self.script.next_step(request), usage=Usage(3, 2))


class NarrowOptions(ragcore.BindingOptions, binding="narrow_llm"):
    """Has nothing to set."""


@asynccontextmanager
async def connect_slowly(connection: Any) -> AsyncIterator[Script]:
    await asyncio.sleep(60)
    yield connection.script


@contextmanager
def provider(name: str, **fields: Any) -> Iterator[None]:
    """Have a provider like the scripted one, but for *fields*."""

    class Plugin:
        @ragcore.hookimpl
        def ragcore_completion_providers(self) -> Iterator[ragcore.CompletionProvider]:
            yield attrs.evolve(like, name=name, **fields)

    with scripted(name=f"like-{name}"):
        like = registry().completion_provider(f"like-{name}")
    with plugin(Plugin(), distribution=f"{name}-plugin"):
        yield


both = pytest.mark.parametrize("ask", [complete, stream])


# --- which errors ---------------------------------------------------------------------------

MOVES_ON = [
    RateLimitError("slow down"),
    UnavailableError("down"),
    RequestTimeoutError("slow"),
    AuthenticationError("no key"),
    PermissionDeniedError("no"),
    NotFoundError("no such model"),
    QuotaExceededError("no credit"),
    EmptyResponseError("nothing"),
    ProviderError("a teapot"),
]


@both
@pytest.mark.parametrize("error", MOVES_ON, ids=lambda error: type(error).__name__)
async def test_the_next_model_is_asked(ask: Any, error: ProviderError) -> None:
    """Its answer says who gave it."""
    answer = await ask(Script(forever=error), Script("Goethe"))

    assert (answer.text, answer.provider, answer.model) == ("Goethe", "b", "m")


@pytest.mark.parametrize(
    "error",
    [
        InvalidRequestError("bad"),
        ContextLengthError("long"),
        ContentFilterError("rude"),
        TruncatedResponseError("cut"),
    ],
    ids=lambda error: type(error).__name__,
)
async def test_what_is_about_the_request_comes_out(error: ProviderError) -> None:
    """Another model is not asked behind the caller's back."""
    other = Script()
    with pytest.raises(type(error)):
        await complete(Script(error), other)

    assert other.requests == []


async def test_what_the_first_model_cannot_do_comes_out() -> None:
    """It was chosen for the task."""
    with pytest.raises(UnsupportedError):
        await complete(Script(UnsupportedError("no images")), Script("x"))


@pytest.mark.parametrize("error", [ContextLengthError("long"), ContentFilterError("rude")])
async def test_errors_can_be_chosen(error: ProviderError) -> None:
    """Beside those that are usual, or instead."""
    added = (*ragcore.Fallback.DEFAULT_ON, type(error))

    assert (await complete(Script(error), Script("Goethe"), on=added)).text == "Goethe"
    assert (await complete(Script(error), Script("Goethe"), on=[type(error)])).text == "Goethe"
    assert (await complete(Script(error), Script("Goethe"), on=type(error))).text == "Goethe"
    with pytest.raises(NotFoundError):
        await complete(Script(NotFoundError("gone")), Script("x"), on=[type(error)])


async def test_a_kind_of_unnamed_errors_is_not_all_errors() -> None:
    """ProviderError stands for those that have no class of their own."""
    with pytest.raises(ContextLengthError):
        await complete(Script(ContextLengthError("long")), Script("x"), on=[ProviderError])


@pytest.mark.parametrize(
    ("on", "said"),
    [
        ([InvalidRequestError], "about the request"),
        ([ValueError], "not a class of ProviderError"),
        (["RateLimitError"], "not a class of ProviderError"),
        ([OptionsError], "not a class of ProviderError"),
    ],
)
def test_errors_that_make_no_sense_are_refused(on: Any, said: str) -> None:
    """When the fallback is made."""
    with pytest.raises(OptionsError, match=said):
        ragcore.fallback("a:m", on=on)


# --- time -----------------------------------------------------------------------------------


@both
@pytest.mark.parametrize("kind", [RateLimitError, UnavailableError])
@pytest.mark.parametrize("wait", [0.5, 120])
def test_a_wait_that_is_asked_for_is_not_waited(ask: Any, kind: Any, wait: float) -> None:
    """``Retry-After: 120`` costs one request and no time, where another model is free."""
    first = Script(forever=kind("later", retry_after=wait))
    with FakeClock() as clock:
        answer = clock.run(ask(first, Script("Goethe")))

        assert clock.time < 0.5
    assert answer.text == "Goethe"
    assert len(first.requests) == 1
    assert answer.timings.attempts == 2


def test_the_last_model_is_waited_for() -> None:
    """Nobody else is left."""
    last = Script(RateLimitError("later", retry_after=20), "Goethe")
    with FakeClock() as clock:
        answer = clock.run(complete(Script(AuthenticationError("no")), last))

        assert clock.time >= 20
    assert (answer.text, answer.timings.attempts) == ("Goethe", 3)
    assert answer.timings.retrying >= 20


@both
def test_a_model_that_hangs_leaves_time_for_the_others(ask: Any) -> None:
    """Each has an equal share of what is left of the deadline."""
    hanging = [Script(forever=Delay(1000, "late")) for _ in range(2)]
    with FakeClock() as clock:
        answer = clock.run(ask(*hanging, Script("Goethe"), timeout=30))

        assert clock.time == pytest.approx(20)
    assert answer.text == "Goethe"


@both
def test_one_deadline_is_over_all(ask: Any) -> None:
    """The error of the last one comes out then."""
    hanging = [Script(forever=Delay(1000, "late")) for _ in range(3)]
    with FakeClock() as clock:
        with pytest.raises(RequestTimeoutError, match=r"deadline of 30 s.*c:m") as caught:
            clock.run(ask(*hanging, timeout=30))

        assert clock.time == pytest.approx(30)
    notes = " ".join(caught.value.__notes__)
    assert "a:m: RequestTimeoutError: no answer within 10 s, its share" in notes


def test_opening_a_model_is_in_the_deadline() -> None:
    """One that takes for ever to open is given up, and goes on opening for later calls."""
    slow, third = Script(), Script("Schiller")
    chain = ragcore.fallback(
        ("a:m", {"script": Script(forever=NotFoundError("gone"))}), ("slow:m", {"script": slow})
    )

    async def calls() -> ragcore.Completion:
        async with ragcore.completion(chain, timeout=5) as model:
            with pytest.raises(RequestTimeoutError, match="slow:m"):
                await model.complete("Who?")
        longer = ragcore.fallback(*chain.models, ("c:m", {"script": third}))
        async with ragcore.completion(longer, timeout=6) as model:
            return await model.complete("Who?")

    with provider("slow", connect=f"{__name__}:connect_slowly"), FakeClock() as clock:
        answer = clock.run(calls())

        assert clock.time == pytest.approx(5 + 3)
    assert answer.text == "Schiller"
    assert slow.requests == []


# --- streams --------------------------------------------------------------------------------


async def test_a_stream_that_has_begun_never_falls_back() -> None:
    """The user has seen its beginning."""
    other = Script()
    with pytest.raises(ragcore.InterruptedStreamError) as caught:
        await stream(Script(["Goe", UnavailableError("gone")]), other)

    assert caught.value.text == "Goe"
    assert other.requests == []


async def test_a_stream_is_the_next_models_own() -> None:
    """Chunks, usage and timings."""
    answer = await stream(Script(forever=UnavailableError("down")), Script(["Goe", "the", STOP]))

    assert (answer.text, answer.usage, answer.provider) == ("Goethe", Usage(3, 2), "b")
    assert answer.timings.attempts == 3


async def test_a_model_that_cannot_stream_answers_in_one_piece() -> None:
    """It does so as the chunk of a stream."""

    with provider("whole", backend=f"{__name__}:Whole"):
        chain = ragcore.fallback(
            ("a:m", {"script": Script(NotFoundError("gone"))}),
            ("whole:m", {"script": Script("Goethe")}),
        )
        async with ragcore.completion(chain) as model, model.stream("Who?") as chunks:
            texts = [chunk.text async for chunk in chunks]

    assert texts == ["Goethe"]
    assert (chunks.completion.provider, chunks.completion.usage) == ("whole", Usage(3, 2))


async def test_a_stream_that_is_left_early_is_closed() -> None:
    """That of the model that answered."""
    other = Script(["Goe", "the", STOP])
    async with ragcore.completion(models(Script(NotFoundError("gone")), other)) as model:
        async with model.stream("Who?") as chunks:
            await anext(chunks)
        assert other.abandoned == 1


# --- what the models are --------------------------------------------------------------------


async def test_models_open_when_they_are_needed() -> None:
    """Once, and are closed with the first."""
    first, other, third = Script("x", forever=NotFoundError("gone")), Script(forever="y"), Script()
    async with ragcore.completion(models(first, other, third)) as model:
        assert model.reference == "a:m, b:m, c:m"
        await model.complete("Who?")
        assert other.opened == 0
        await asyncio.gather(*(model.complete("Who?") for _ in range(2)))
        assert (other.opened, other.closed) == (1, 0)
    await ragcore.aclose()

    assert (other.opened, other.closed, third.opened) == (1, 1, 0)


def test_all_problems_are_told_at_once() -> None:
    """Each with the reference that has it."""
    chain = ragcore.fallback(
        ("a:m", {"num_ctx": "many"}), ("b:m", {"script": Script(), "nonsense": 1}), "gone:m"
    )
    with pytest.raises(OptionsError) as caught, ragcore.sync.completion(chain, timeout=-1):
        pass

    told = "\n".join(caught.value.problems)
    assert "a:m: script: missing" in told
    assert "a:m: num_ctx" in told
    assert "a:m: timeout" in told
    assert "b:m: nonsense" in told
    assert "gone:m: " in told


def test_a_provider_that_is_not_there_is_told_by_its_own_error() -> None:
    """As it is without a fallback, if nothing else is wrong."""
    chain = ragcore.fallback(("a:m", {"script": Script()}), "gone:m")
    with pytest.raises(ragcore.UnknownProviderError, match="gone"), ragcore.sync.completion(chain):
        pass


@pytest.mark.parametrize("name", ["timeout", "hedge_after"])
def test_options_of_the_call_are_given_beside_the_fallback(name: str) -> None:
    """One deadline is over all."""
    chain = ragcore.fallback(("a:m", {"script": Script(), name: 5}))
    with (
        pytest.raises(OptionsError, match=f"a:m: {name}: there is one for all models"),
        ragcore.sync.completion(chain),
    ):
        pass


def test_options_of_a_provider_go_with_their_reference() -> None:
    """Beside the fallback they would be meant for nobody."""
    with (
        pytest.raises(OptionsError, match=r"temperature: an option of a provider goes with"),
        ragcore.sync.completion(models(Script()), temperature=0.2),
    ):
        pass


def test_a_budget_goes_with_its_reference() -> None:
    """One account that is held back would hold back the others."""
    with (
        pytest.raises(OptionsError, match="limits: a budget is that of one account"),
        ragcore.sync.completion(models(Script()), limits=ragcore.Limits(2)),
    ):
        pass


def test_a_budget_that_is_held_back_is_not_waited_for() -> None:
    """The service has told another call to wait; a later model is free."""
    limits = ragcore.Limits(2)
    first, other = Script(RateLimitError("later", retry_after=120)), Script(forever="Goethe")
    chain = ragcore.fallback(
        ("a:m", {"script": first, "limits": limits}), ("b:m", {"script": other})
    )

    async def calls() -> None:
        async with ragcore.completion(chain) as model:
            for _ in range(2):
                assert (await model.complete("Who?")).provider == "b"

    with FakeClock() as clock:
        clock.run(calls())

        assert clock.time < 1
    assert len(first.requests) == 1


async def test_options_travel_with_their_reference() -> None:
    """The host's own, given beside the fallback, go to all."""
    first, other = Script(NotFoundError("gone")), Script("x")
    chain = ragcore.fallback(
        ("a:m", {"script": first, "temperature": 0.1}), ("b:m", {"script": other, "num_ctx": 9})
    )
    async with ragcore.completion(chain, max_output_tokens=5) as model:
        await model.complete("Who?", seed=7)

    one, two = first.requests[0], other.requests[0]
    assert (one.options.temperature, one.options.num_ctx, one.options.seed) == (0.1, None, 7)
    assert (two.options.temperature, two.options.num_ctx, two.options.seed) == (None, 9, 7)
    assert one.max_output_tokens == two.max_output_tokens == 5  # type: ignore[union-attr]


async def test_options_of_a_call_are_checked_for_all_models() -> None:
    """Not only when the first one fails."""

    with provider("narrow", options=NarrowOptions):
        first = Script("x")
        chain = ragcore.fallback(("a:m", {"script": first}), ("narrow:m", {"script": Script()}))
        async with ragcore.completion(chain) as model:
            with pytest.raises(OptionsError, match=r"narrow:m: .*seed"):
                await model.complete("Who?", seed=7)

    assert first.requests == []


@pytest.mark.parametrize(
    "given", [(), (7,), (("a:m", "b:m"),), (("a:m", {}, {}),), (["a:m"],)], ids=repr
)
def test_what_is_no_reference_is_refused(given: Any) -> None:
    """When the fallback is made."""
    with pytest.raises(OptionsError, match=r"fallback"):
        ragcore.fallback(*given)


def test_no_key_is_shown() -> None:
    """Options travel in it."""
    chain = ragcore.fallback(("a:m", {"api_key": "sk-secret-canary"}), "b:m")

    assert repr(chain) == "fallback('a:m', 'b:m')"


def test_embeddings_refuse_it() -> None:
    """Vectors of two models can't be compared."""
    with (
        pytest.raises(UnsupportedError, match=r"embeddings do not fall back.*can't be compared"),
        ragcore.sync.embedding(ragcore.fallback("a:m", "b:m")),  # type: ignore[arg-type]
    ):
        pass
    with pytest.raises(UnsupportedError, match="embeddings do not fall back"):
        embedding_func(ragcore.fallback("a:m", "b:m"))  # type: ignore[arg-type]


# --- when all fail --------------------------------------------------------------------------


@both
async def test_the_last_error_comes_out(ask: Any) -> None:
    """With the others in its notes, each with who said it."""
    scripts = [
        Script(AuthenticationError("no key", status=401)),
        Script(forever=RateLimitError("slow down", retry_after=100)),
        Script(forever=UnavailableError("down")),
    ]
    with pytest.raises(UnavailableError, match=r"down \[c:m, 2 attempts\]") as caught:
        await ask(*scripts)

    first, second = caught.value.__notes__
    assert first.startswith("asked before: a:m: AuthenticationError: no key")
    assert second.startswith("asked before: b:m: RateLimitError: slow down")
    assert [len(script.requests) for script in scripts] == [1, 1, 2]


async def test_a_model_that_cannot_do_what_is_asked_is_passed_over() -> None:
    """The next one may."""
    blind = Script()
    with scripted(Capabilities(), name="blind"):
        chain = ragcore.fallback(
            ("a:m", {"script": Script(NotFoundError("gone"))}),
            ("blind:m", {"script": blind}),
            ("c:m", {"script": Script('{"a": 1}')}),
        )
        async with ragcore.completion(chain) as model:
            answer = await model.complete("Who?", response_format=ragcore.JSONObject())

    assert (answer.provider, blind.requests) == ("c", [])


async def test_a_model_whose_plugin_is_broken_is_passed_over() -> None:
    """As far as that shows only when it is opened."""
    with provider("broken", backend="gone_module:Backend"):
        chain = ragcore.fallback(
            ("a:m", {"script": Script(forever=NotFoundError("gone"))}),
            ("broken:m", {"script": Script()}),
            ("c:m", {"script": Script("Goethe")}),
        )
        async with ragcore.completion(chain) as model:
            assert (await model.complete("Who?")).provider == "c"
        alone = ragcore.fallback(*chain.models[:2])
        async with ragcore.completion(alone) as model:
            with pytest.raises(PluginError, match="gone_module"):
                await model.complete("Who?")


# --- JSON -----------------------------------------------------------------------------------


@attrs.frozen
class Author:
    """What an answer is parsed into."""

    name: str


async def test_each_model_is_asked_for_json_in_its_own_way() -> None:
    """One natively, the other in words; the instance is that of who answered."""
    first, other = Script(forever=UnavailableError("down")), Script('Sure: {"name": "Goethe"}')
    with scripted(Capabilities(), name="words"):
        chain = ragcore.fallback(("a:m", {"script": first}), ("words:m", {"script": other}))
        async with ragcore.completion(chain, on_unsupported="prompt") as model:
            answer = await model.complete("Who?", response_format=Author)

    assert answer.parsed == Author("Goethe")
    assert answer.structured == "prompted"
    assert first.requests[0].response_format is not None  # type: ignore[union-attr]
    assert other.requests[0].response_format is None  # type: ignore[union-attr]


async def test_a_model_from_which_no_json_comes_falls_back() -> None:
    """However it was asked."""
    first, other = Script(forever="I would rather not."), Script('{"name": "Goethe"}')
    async with ragcore.completion(models(first, other), on_unsupported="prompt") as model:
        answer = await model.complete("Who?", response_format=Author)

    assert (answer.provider, answer.parsed) == ("b", Author("Goethe"))


# --- cancellation ---------------------------------------------------------------------------


@pytest.mark.parametrize("number", [0, 1])
async def test_a_cancelled_call_ends_at_once(number: int) -> None:
    """Whoever is being asked; no other model is."""
    scripts = [Script(forever=NotFoundError("gone")), Script(), Script()]
    scripts[number] = Script(Delay(60, "late"))
    call = asyncio.create_task(complete(*scripts))
    while not scripts[number].requests:
        await asyncio.sleep(0)
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call

    assert scripts[2].requests == []


# --- the breaker ----------------------------------------------------------------------------


def test_a_model_that_keeps_failing_is_left_alone(caplog: pytest.LogCaptureFixture) -> None:
    """After three calls, for 30 seconds; then one call tries it, and it is left alone longer."""
    caplog.set_level(logging.INFO, "ragcore")
    broken, other = Script(forever=NotFoundError("gone")), Script(forever="Goethe")
    asked: list[int] = []

    async def calls() -> None:
        async with ragcore.completion(models(broken, other)) as model:
            for seconds in (0, 0, 0, 0, 29, 2, 0, 58, 3):
                await asyncio.sleep(seconds)
                assert (await model.complete("Who?")).provider == "b"
                asked.append(len(broken.requests))

    with FakeClock() as clock:
        clock.run(calls())

    assert asked == [1, 2, 3, 3, 3, 4, 4, 4, 5]
    lines = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert lines[0].startswith(
        "a:m: left alone for 30 s, after 3 failures in a row: NotFoundError: gone"
    )
    assert [line.split(",")[0] for line in lines[1:]] == [
        "a:m: left alone for 60 s",
        "a:m: left alone for 120 s",
    ]
    assert "a:m: tried again after 30 s" in caplog.messages


def test_a_model_that_answers_again_is_first_again(caplog: pytest.LogCaptureFixture) -> None:
    """Its failures are forgotten."""
    caplog.set_level(logging.INFO, "ragcore")
    gone = NotFoundError("gone")
    mended, other = Script(gone, gone, gone, forever="Goethe"), Script(forever="Schiller")

    async def calls() -> list[str]:
        async with ragcore.completion(models(mended, other)) as model:
            for _ in range(3):
                await model.complete("Who?")
            assert breaker.is_left_alone(model._opening)
            await asyncio.sleep(31)
            return [(await model.complete("Who?")).text for _ in range(2)]

    with FakeClock() as clock:
        assert clock.run(calls()) == ["Goethe", "Goethe"]
    assert "a:m: answers again" in caplog.messages


def test_one_call_alone_tries_a_model_again() -> None:
    """Those beside it ask the next one."""
    gone = NotFoundError("gone")
    broken, other = Script(gone, gone, gone, forever=Delay(5, gone)), Script(forever="Schiller")

    async def calls() -> None:
        async with ragcore.completion(models(broken, other)) as model:
            for _ in range(3):
                await model.complete("Who?")
            await asyncio.sleep(31)
            await asyncio.gather(*(model.complete("Who?") for _ in range(20)))

    with FakeClock() as clock:
        clock.run(calls())

    assert len(broken.requests) == 4


def test_calls_that_were_under_way_do_not_make_the_pause_longer() -> None:
    """They say nothing new."""
    broken, other = Script(forever=Delay(1, NotFoundError("gone"))), Script(forever="Schiller")

    async def calls() -> float:
        async with ragcore.completion(models(broken, other)) as model:
            await asyncio.gather(*(model.complete("Who?") for _ in range(20)))
            (trouble,) = breaker.troubles()
            return trouble.pause

    with FakeClock() as clock:
        assert clock.run(calls()) == 30


def test_a_model_is_never_left_alone_for_more_than_five_minutes() -> None:
    """However often it fails."""
    broken, other = Script(forever=NotFoundError("gone")), Script(forever="Schiller")
    pauses: list[float] = []

    async def calls() -> None:
        async with ragcore.completion(models(broken, other)) as model:
            for _ in range(8):
                await model.complete("Who?")
                (trouble,) = breaker.troubles()
                pauses.append(trouble.pause)
                await asyncio.sleep(trouble.pause)

    with FakeClock() as clock:
        clock.run(calls())
    assert pauses == [0, 0, 30, 60, 120, 240, 300, 300]


def test_a_model_that_nobody_asks_any_more_is_forgotten() -> None:
    """Accounts come and go, and each would stay for as long as the process."""

    async def calls() -> None:
        for seconds in (300, 600, 0):
            chain = models(Script(NotFoundError("gone")), Script("Schiller"))
            async with ragcore.completion(chain) as model:
                await model.complete("Who?")
            await asyncio.sleep(seconds)

    with FakeClock() as clock:
        clock.run(calls())
    assert len(breaker.troubles()) == 1


async def test_a_model_that_is_left_alone_is_asked_last() -> None:
    """A call fails only where all models do."""
    broken = Script(*[NotFoundError("gone")] * 3, "Goethe")
    other = Script(*["Schiller"] * 3, forever=NotFoundError("gone"))
    async with ragcore.completion(models(broken, other)) as model:
        answers = [await model.complete("Who?") for _ in range(4)]

    assert [answer.text for answer in answers] == ["Schiller"] * 3 + ["Goethe"]


def test_a_model_waits_where_the_others_are_left_alone() -> None:
    """What the service asks for is waited then."""
    first = Script("x", "x", "x", RateLimitError("later", retry_after=20), "Goethe")
    gone = NotFoundError("gone")

    async def calls() -> str:
        # Chains share what is known of a model.
        other = Script(gone, gone, gone)
        chain = models(first, other)
        turned = ragcore.fallback(*reversed(chain.models))
        async with ragcore.completion(turned) as model:
            for _ in range(3):
                await model.complete("Who?")
        async with ragcore.completion(chain) as model:
            return (await model.complete("Who?")).text

    with FakeClock() as clock:
        assert clock.run(calls()) == "Goethe"
        assert clock.time >= 20


@pytest.mark.parametrize("error", [ContextLengthError("long"), TruncatedResponseError("cut")])
async def test_what_is_about_the_request_is_no_failure_of_the_model(error: ProviderError) -> None:
    """It has read the request."""
    gone = NotFoundError("x")
    first = Script(gone, gone, error, gone, forever="Yes")
    on = (*ragcore.Fallback.DEFAULT_ON, type(error))
    async with ragcore.completion(models(first, Script(forever="No"), on=on)) as model:
        answers = [(await model.complete("Who?")).text for _ in range(5)]

    assert answers == ["No"] * 4 + ["Yes"]


async def test_two_accounts_of_one_model_are_told_apart() -> None:
    """One may be in trouble, and the other not."""
    gone, works = Script(forever=NotFoundError("gone")), Script(forever="Goethe")
    chain = ragcore.fallback(("a:m", {"script": gone}), ("a:m", {"script": works}))
    async with ragcore.completion(chain) as model:
        answers = [(await model.complete("Who?")).text for _ in range(5)]

    assert answers == ["Goethe"] * 5
    assert len(gone.requests) == 3


# --- three providers, each failing in its own way -------------------------------------------


WAYS = [
    Delay(1000, "late"),
    RateLimitError("later", retry_after=120),
    NotFoundError("gone"),
]


def test_an_answer_comes_as_long_as_one_works() -> None:
    """Whichever of three it is; the others fail, each in its own way, and are soon left alone."""
    works = 0

    def script(number: int) -> Script:
        return Script(forever=lambda _: "Goethe" if works == number else WAYS[number])

    async def calls() -> None:
        nonlocal works
        scripts = [script(number) for number in range(3)]
        async with ragcore.completion(models(*scripts), timeout=30) as model:
            for works in (0, 1, 2, 0, 2, 1):
                for call in range(10):
                    before = [len(one.requests) for one in scripts]
                    began = asyncio.get_running_loop().time()
                    assert (await model.complete("Who?")).text == "Goethe"
                    assert asyncio.get_running_loop().time() - began < 30
                    if call > 2:
                        broken = [len(one.requests) for one in scripts]
                        before[works] += 1
                        assert broken == before

    with FakeClock() as clock:
        clock.run(calls())


# --- LightRAG, the synchronous API ----------------------------------------------------------


async def test_lightrag_takes_it() -> None:
    """Whole and streamed; models are kept."""
    first, other = Script(forever=NotFoundError("gone")), Script("Goethe", ["Goe", "the", STOP])
    ask = llm_model_func(models(first, other))

    assert await ask("Who?") == "Goethe"
    assert "".join([piece async for piece in await ask("Who?", stream=True)]) == "Goethe"
    assert other.opened == 1
    await ragcore.aclose()
    assert other.closed == 1


def test_the_bridges_deadline_is_over_all() -> None:
    """450 seconds, which end before LightRAG's own patience does."""
    hanging = [Script(forever=Delay(10_000, "late")) for _ in range(2)]

    async def call() -> None:
        try:
            await llm_model_func(models(*hanging))("Who?")
        finally:
            await ragcore.aclose()

    with FakeClock() as clock:
        with pytest.raises(RequestTimeoutError):
            clock.run(call())

        assert clock.time == pytest.approx(450, abs=1)


async def test_a_role_takes_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each model reads the role's own variables."""
    pytest.importorskip("lightrag")
    monkeypatch.setenv("EXTRACT_SCRIPTED_LLM_SEED", "7")
    first, other = Script(NotFoundError("gone")), Script("Goethe")
    config = role_llm_configs(extract=models(first, other))["extract"]

    assert config.func is not None
    assert await config.func("Who?") == "Goethe"
    assert other.requests[0].options.seed == 7
    assert (config.metadata or {})["binding"] == "a"
    await ragcore.aclose()


def test_it_works_without_async() -> None:
    """Complete and stream."""
    first, other = Script(forever=NotFoundError("gone")), Script("Goethe", ["Goe", "the", STOP])
    with ragcore.sync.completion(models(first, other)) as model:
        assert model.reference == "a:m, b:m"
        assert model.complete("Who?").text == "Goethe"
        with model.stream("Who?") as chunks:
            assert "".join(chunk.text for chunk in chunks) == "Goethe"
