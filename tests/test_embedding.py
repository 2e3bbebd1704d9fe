"""Embedding: batches that nobody notices, and checks of what comes back."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from typing import Any

import attrs
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import ragcore
from ragcore import (
    Capabilities,
    ContextLengthError,
    EmbeddingRequest,
    Embeddings,
    InvalidRequestError,
    OptionsError,
    PluginError,
    ProviderError,
    RateLimitError,
    Retry,
    UnavailableError,
    UnsupportedError,
    Usage,
)
from ragcore.testing import DIMENSIONS, Delay, FakeClock, Script, embeddings, scripted

TEXTS = [f"text number {n}" for n in range(10)]


@pytest.fixture(autouse=True)
def provider() -> Iterator[None]:
    with scripted():
        yield


def requests(script: Script) -> list[EmbeddingRequest]:
    assert all(isinstance(request, EmbeddingRequest) for request in script.requests)
    return script.requests  # type: ignore[return-value]  # just looked


async def embedded(texts: Any, script: Script | None = None, **options: Any) -> Embeddings:
    of_call = {
        name: options.pop(name)
        for name in ("input_type", "truncate", "dimensions", "timeout")
        if name in options
    }
    script = script or Script(forever="")
    async with ragcore.embedding("scripted:any", script=script, **options) as model:
        return await model.embed(texts, **of_call)


def answering(make: Callable[[int], Any], **more: Any) -> Script:
    """Return a script that answers with what *make* returns for a number of texts."""
    return Script(forever=lambda request: Embeddings(make(len(request.texts)), **more))


# --- batches -------------------------------------------------------------------------------


@given(
    texts=st.lists(st.text(st.characters(codec="utf-8"), max_size=5), min_size=1, max_size=40),
    batch_size=st.integers(1, 50),
    max_concurrency=st.integers(1, 9),
    max_batch=st.integers(1, 50) | st.none(),
)
@settings(max_examples=60)
def test_batching_changes_nothing(
    texts: list[str], batch_size: int, max_concurrency: int, max_batch: int | None
) -> None:
    """Any size of batches, any number at once: rows and usage are those of one batch."""

    def out_of_order(request: EmbeddingRequest) -> Delay:
        return Delay(len(request.texts[0]) % 3, embeddings(request))

    with scripted(Capabilities(max_batch=max_batch)), FakeClock() as clock:
        at_once = clock.run(embedded(texts))
        script = Script(forever=out_of_order)
        in_batches = clock.run(
            embedded(texts, script, batch_size=batch_size, max_concurrency=max_concurrency)
        )

    sizes = [len(request.texts) for request in requests(script)]
    assert max(sizes) <= min(batch_size, max_batch or batch_size)
    assert sum(sizes) == len(texts)
    assert np.array_equal(in_batches.vectors, at_once.vectors)
    assert in_batches.usage == at_once.usage == Usage(sum(map(len, texts)))


async def test_without_a_limit_there_is_one_request() -> None:
    """Also for more than a thousand texts."""
    script = Script("")

    found = await embedded([str(n) for n in range(2500)], script)

    assert found.vectors.shape == (2500, DIMENSIONS)
    assert len(script.requests) == 1


async def test_thousands_of_texts_in_many_requests() -> None:
    """Order is kept over hundreds of batches."""
    texts = [str(n) for n in range(2500)]

    found = await embedded(texts, batch_size=7)

    assert np.array_equal(found.vectors, (await embedded(texts)).vectors)
    assert found.timings.attempts == 358


def test_no_more_requests_at_once_than_asked() -> None:
    """`max_concurrency` bounds what is under way, and is made use of."""
    under_way = most = 0

    class Backend:
        async def embed(self, request: EmbeddingRequest) -> Embeddings:
            nonlocal under_way, most
            under_way += 1
            most = max(most, under_way)
            await asyncio.sleep(1)
            under_way -= 1
            return embeddings(request)

    async def call() -> None:
        async with ragcore.embedding(
            "scripted:x", script=Script(), batch_size=1, max_concurrency=3
        ) as model:
            model._backend = Backend()
            await model.embed(TEXTS)

    with FakeClock() as clock:
        clock.run(call())

    assert most == 3
    assert clock.time == 4


def test_the_first_failure_ends_the_others() -> None:
    """Nobody waits, or pays, for vectors that are thrown away."""
    script = Script(
        Delay(100, ""), Delay(1, ragcore.AuthenticationError("no")), Delay(100, ""), forever=""
    )

    with FakeClock() as clock, pytest.raises(ragcore.AuthenticationError) as caught:
        clock.run(embedded(TEXTS, script, batch_size=1, max_concurrency=3))

    assert clock.time == 1
    assert len(script.requests) == 3
    assert caught.value.attempts == 1


def test_a_cancelled_call_ends_all_its_requests() -> None:
    """Nothing goes on behind the caller's back."""
    ended: list[str] = []

    class Backend:
        async def embed(self, request: EmbeddingRequest) -> Embeddings:
            try:
                await asyncio.sleep(100)
            finally:
                ended.append(request.texts[0])
            raise AssertionError

    async def call() -> None:
        async with ragcore.embedding("scripted:x", script=Script(), batch_size=5) as model:
            model._backend = Backend()
            task = asyncio.create_task(model.embed(TEXTS))
            await asyncio.sleep(1)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            assert sorted(ended) == ["text number 0", "text number 5"]

    with FakeClock() as clock:
        clock.run(call())


def test_each_batch_is_tried_again_by_itself() -> None:
    """What succeeded is not asked for twice; the attempts are added up."""
    script = Script("", RateLimitError("slow down"), forever="")

    with FakeClock() as clock:
        found = clock.run(embedded(TEXTS, script, batch_size=5, max_concurrency=1))

    assert [request.texts[0] for request in requests(script)] == [TEXTS[0], TEXTS[5], TEXTS[5]]
    assert found.timings.attempts == 3
    assert found.timings.retrying > 0


def test_one_deadline_for_all_batches() -> None:
    """Queueing counts."""
    script = Script(forever=Delay(2, ""))

    with FakeClock() as clock, pytest.raises(ragcore.RequestTimeoutError):
        clock.run(embedded(TEXTS, script, batch_size=1, max_concurrency=1, timeout=5))

    assert clock.time == 5
    assert len(script.requests) == 3


# --- positions -----------------------------------------------------------------------------


async def test_positions_count_from_the_callers_first_text() -> None:
    """Wherever the batches were cut: errors and truncation name the caller's texts."""
    cut = Script(forever=lambda r: attrs.evolve(embeddings(r), truncated=[0, 1]))
    long = Script(
        "", ContextLengthError("too long", positions=[1, 2], retry_after=None), forever=""
    )

    found = await embedded(TEXTS, cut, batch_size=4, truncate="end")
    with pytest.raises(ContextLengthError) as caught:
        await embedded(TEXTS, long, batch_size=4, max_concurrency=1)

    assert found.truncated == (0, 1, 4, 5, 8, 9)
    assert caught.value.positions == (5, 6)
    assert "at 5, 6" in str(caught.value)


async def test_cut_texts_are_an_error_unless_asked_for() -> None:
    """A plugin that cuts in spite of `truncate="error"` is not believed."""
    cut = Script(forever=lambda r: attrs.evolve(embeddings(r), truncated=[1]))

    with pytest.raises(ContextLengthError) as caught:
        await embedded(TEXTS, cut)

    assert caught.value.positions == (1,)


# --- what goes in --------------------------------------------------------------------------


async def test_no_texts_no_request() -> None:
    """The result has the documented shape."""
    script = Script()

    found = await embedded([], script)

    assert found.vectors.shape == (0, 0)
    assert found.vectors.dtype == np.float32
    assert (found.usage, found.truncated, found.timings.attempts) == (Usage(0), (), 0)
    assert script.requests == []


async def test_bad_options_are_bad_without_texts_too() -> None:
    """An empty list hides no mistake."""
    with pytest.raises(OptionsError, match="'both' is not one of"):
        await embedded([], input_type="both")


async def test_an_empty_text_is_the_models_affair() -> None:
    """It is handed on, and its row is there."""
    script = Script(forever="")

    found = await embedded(["", "a"], script)

    assert requests(script)[0].texts == ("", "a")
    assert found.vectors.shape == (2, DIMENSIONS)


async def test_a_lone_surrogate_is_refused_with_its_place() -> None:
    """Nothing is asked, replaced or dropped."""
    script = Script()

    with pytest.raises(InvalidRequestError, match=r"text 7 .* at character 3") as caught:
        await embedded([*TEXTS[:7], "abc\udfff", "\ud800"], script)

    assert caught.value.positions == (7,)
    assert script.requests == []


@pytest.mark.parametrize(
    ("texts", "message"),
    [
        ("one text", "a str was given"),
        (None, "a NoneType was given"),
        (5, "an? int was given"),
        (["a", 5], "number 1 is a int"),
        ([b"a"], "number 0 is a bytes"),
        ([["a"]], "number 0 is a list"),
    ],
)
async def test_texts_are_a_list_of_str(texts: Any, message: str) -> None:
    """One str is not six texts of one character."""
    with pytest.raises(OptionsError, match=message):
        await embedded(texts)


async def test_any_iterable_of_str_will_do() -> None:
    """A generator, a tuple, an array of str."""
    expected = (await embedded(TEXTS)).vectors

    for texts in (iter(TEXTS), tuple(TEXTS), np.array(TEXTS)):
        assert np.array_equal((await embedded(texts)).vectors, expected)


async def test_the_request_says_what_was_asked() -> None:
    """Input type, truncation, dimensions and merged options."""
    script = Script(forever="")

    await embedded(["a"], script, prefix="p", retry=Retry(attempt_timeout=9))
    await embedded(["a"], script, input_type="query", truncate="end", dimensions=3)

    first, second = requests(script)
    assert (first.input_type, first.truncate, first.dimensions) == ("document", "error", None)
    assert (first.options.prefix, first.attempt_timeout) == ("p", 9)
    assert (second.input_type, second.truncate, second.dimensions) == ("query", "end", 3)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("input_type", "queries"),
        ("truncate", "start"),
        ("truncate", True),
        ("dimensions", 0),
        ("dimensions", "8"),
        ("batch_size", 0),
        ("batch_size", -1),
        ("max_concurrency", 0),
        ("max_concurrency", 1.5),
        ("timeout", -1),
    ],
)
async def test_bad_arguments_are_refused(name: str, value: Any) -> None:
    """By name, before anything is asked; no number of slots may hang a call."""
    script = Script()

    with pytest.raises(OptionsError, match=name):
        await embedded(TEXTS, script, **{name: value})
    assert script.requests == []


async def test_the_environment_is_checked_alike(monkeypatch: pytest.MonkeyPatch) -> None:
    """The variable is named."""
    monkeypatch.setenv("RAGCORE_BATCH_SIZE", "0")
    monkeypatch.setenv("RAGCORE_MAX_CONCURRENCY", "many")

    with pytest.raises(OptionsError) as caught:
        await embedded(TEXTS)

    assert sorted(caught.value.problems) == [
        "RAGCORE_BATCH_SIZE: '0' is not 1 or more @ ragcore.batch_size",
        "RAGCORE_MAX_CONCURRENCY: 'many' is not a whole number @ ragcore.max_concurrency",
    ]


async def test_dimensions_are_refused_by_models_that_cannot_choose() -> None:
    """Never silently ignored, whether asked for the model or for the call."""
    with scripted(Capabilities()):
        with pytest.raises(UnsupportedError, match="dimensions"):
            await embedded(["a"], dimensions=3)
        async with ragcore.embedding("scripted:x", script=Script(), dimensions=3) as model:
            with pytest.raises(UnsupportedError, match="dimensions"):
                await model.embed(["a"])


async def test_the_models_dimensions_hold_for_its_calls() -> None:
    """A call may still choose others."""
    script = Script(forever="")
    async with ragcore.embedding("scripted:x", script=script, dimensions=3) as model:
        first = await model.embed(["a"])
        second = await model.embed(["a"], dimensions=5)

    assert (first.vectors.shape, second.vectors.shape) == ((1, 3), (1, 5))


# --- what comes back -----------------------------------------------------------------------


@pytest.mark.parametrize(
    "make",
    [
        lambda n: np.ones((n, 3)),
        lambda n: np.ones((n, 3), np.float16),
        lambda n: np.ones((n, 3), np.int64),
        lambda n: np.ones((3, n), np.float32).T,
        lambda n: [[1, 1.0, 1]] * n,
        lambda n: ((1.0, 1.0, 1.0),) * n,
        lambda n: [np.ones(3)] * n,
    ],
)
async def test_vectors_become_float32(make: Callable[[int], Any]) -> None:
    """Whatever kind of numbers a plugin returns."""
    found = await embedded(TEXTS, answering(make))

    assert found.vectors.dtype == np.float32
    assert np.array_equal(found.vectors, np.ones((10, 3), np.float32))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda n: np.ones((n - 1, 3)), "9 vectors came back for 10 texts"),
        (lambda n: np.ones((n + 1, 3)), "11 vectors"),
        (np.ones, r"shape \(10,\)"),
        (lambda n: np.ones((n, 1, 3)), r"shape \(10, 1, 3\)"),
        (lambda n: np.ones((n, 0)), r"shape \(10, 0\)"),
        (lambda n: None, "shape|table"),
        (lambda n: [[1.0]] * (n - 1) + [[1.0, 2.0]], "no table of numbers"),
        (lambda n: [["one"]] * n, "no table of numbers"),
        (lambda n: [[1.0]] * (n - 1) + [[float("nan")]], "vector 9 holds NaN or infinity"),
        (lambda n: [[float("-inf")]] * n, r"vector 0 .*\(10 such"),
        (lambda n: [[1e300]] * n, "infinity"),
        (lambda n: [[None]] * n, "NaN|table"),
    ],
)
async def test_bad_vectors_are_refused(make: Callable[[int], Any], message: str) -> None:
    """An index is ruined by one bad row, and nobody notices for months."""
    script = answering(make)

    with pytest.raises(ProviderError, match=message) as caught:
        await embedded(TEXTS, script)

    assert caught.value.provider == "scripted"
    assert len(script.requests) == 1


async def test_lengths_must_agree_between_batches() -> None:
    """Two models behind one name would do that."""
    script = Script(
        lambda _: Embeddings(np.ones((5, 3), np.float32)),
        lambda _: Embeddings(np.ones((5, 4), np.float32)),
    )

    with pytest.raises(ProviderError, match=r"different lengths came back: \[3, 4\]") as caught:
        await embedded(TEXTS, script, batch_size=5)

    assert caught.value.provider == "scripted"


async def test_vectors_of_another_length_than_asked_are_refused() -> None:
    """A service that ignores `dimensions` is found out."""
    script = answering(lambda n: np.ones((n, 8)))

    with pytest.raises(ProviderError, match="length 8 came back, not 4 as asked"):
        await embedded(TEXTS, script, dimensions=4)


@pytest.mark.parametrize("answer", [None, np.ones((10, 3)), [[1.0]] * 10])
async def test_a_wrong_answer_is_the_plugins_fault(answer: Any) -> None:
    """Bare vectors are not the record."""

    class Backend:
        async def embed(self, request: EmbeddingRequest) -> Any:
            return answer

    async with ragcore.embedding("scripted:x", script=Script()) as model:
        model._backend = Backend()
        with pytest.raises(PluginError, match=r"scripted-plugin: embed\(\) returned a"):
            await model.embed(TEXTS)


async def test_usage_is_known_wholly_or_not_at_all() -> None:
    """Half a sum would be a wrong one."""
    script = Script(
        lambda _: Embeddings(np.ones((5, 3), np.float32), usage=Usage(7)),
        lambda _: Embeddings(np.ones((5, 3), np.float32)),
    )

    assert (await embedded(TEXTS, script, batch_size=5)).usage is None


async def test_the_services_name_of_the_model_is_kept() -> None:
    """Of batches, the first one's."""
    script = answering(lambda n: np.ones((n, 3)), model="large-2026")

    assert (await embedded(TEXTS, script, batch_size=5)).model == "large-2026"


async def test_a_transient_failure_is_tried_again() -> None:
    """The same engine as for completion."""
    script = Script(UnavailableError("down"), forever="")

    found = await embedded(TEXTS, script, retry=Retry(wait_initial=0))

    assert found.timings.attempts == 2


async def test_a_model_says_what_it_is() -> None:
    """Reference and capabilities."""
    async with ragcore.embedding("scripted:any", script=Script()) as model:
        assert model.reference == "scripted:any"
        assert repr(model) == "<EmbeddingModel scripted:any>"
        assert model.capabilities.dimensions


@given(
    sizes=st.lists(st.integers(1, 12), min_size=1, max_size=30),
    most_texts=st.none() | st.integers(1, 5),
    most_tokens=st.none() | st.integers(4, 20),
)
def test_requests_stay_below_the_limits(
    sizes: list[int], most_texts: int | None, most_tokens: int | None
) -> None:
    """Each text in one request, in order; a text too long for any goes alone."""
    texts = ["x" * size for size in sizes]
    able = Capabilities(max_batch=most_texts, max_batch_tokens=most_tokens)
    script = Script(forever="")

    async def embed() -> None:
        async with ragcore.embedding("scripted:any", script=script, max_concurrency=1) as model:
            await model.embed(texts)

    with scripted(able), FakeClock() as clock:
        clock.run(embed())
    requests = [
        request.texts for request in script.requests if isinstance(request, EmbeddingRequest)
    ]

    assert [text for request in requests for text in request] == texts
    for request in requests:
        assert len(request) <= (most_texts or len(texts))
        assert len(request) == 1 or sum(map(len, request)) <= (most_tokens or sum(sizes))
