"""Streaming: chunks, their end, and every way in which it is not reached."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from typing import Any

import pytest

import ragcore
from ragcore import (
    Chunk,
    Completion,
    CompletionStream,
    ContentFilterError,
    EmptyResponseError,
    InterruptedStreamError,
    PluginError,
    RequestTimeoutError,
    Retry,
    TruncatedResponseError,
    UnavailableError,
    Usage,
)
from ragcore.testing import Delay, FakeClock, Script, scripted

STOP = Chunk(finish_reason="stop")


@pytest.fixture
def clock() -> Iterator[FakeClock]:
    with scripted(retry=Retry(wait_initial=0)), FakeClock() as fake:
        yield fake


async def read(chunks: CompletionStream) -> str:
    return "".join([chunk.text async for chunk in chunks])


async def whole(script: Script, **arguments: Any) -> Completion:
    async with (
        ragcore.completion("scripted:any", script=script) as model,
        model.stream("Who wrote Faust?", **arguments) as chunks,
    ):
        await read(chunks)
        return chunks.completion


def test_chunks_come_in_order_and_add_up(clock: FakeClock) -> None:
    """The whole answer is there at the end, reasoning apart from text."""
    pieces = [Chunk(reasoning="Hm. "), Chunk(reasoning="Ah."), "Goe", "the", STOP]

    async def call() -> tuple[list[str], Completion]:
        async with (
            ragcore.completion("scripted:any", script=Script(pieces)) as model,
            model.stream("Who?") as chunks,
        ):
            texts = [chunk.text async for chunk in chunks]
            return texts, chunks.completion

    texts, answer = clock.run(call())

    assert texts == ["", "", "Goe", "the", ""]
    assert (answer.text, answer.reasoning, answer.finish_reason) == ("Goethe", "Hm. Ah.", "stop")


def test_usage_may_come_after_the_finish_reason(clock: FakeClock) -> None:
    """OpenAI's way: the last chunk has neither text nor reason."""
    script = Script(["Goethe", Chunk(finish_reason="length"), Chunk(usage=Usage(3, 1))])

    answer = clock.run(whole(script))

    assert (answer.finish_reason, answer.usage) == ("length", Usage(3, 1))


def test_the_answer_is_not_there_before_its_end(clock: FakeClock) -> None:
    """Asking early is a mistake that says what to do."""

    async def call() -> None:
        async with (
            ragcore.completion("scripted:any", script=Script(["Goe", "the", STOP])) as model,
            model.stream("Who?") as chunks,
        ):
            await anext(chunks)
            with pytest.raises(RuntimeError, match="read all chunks first"):
                _ = chunks.completion

    clock.run(call())


def test_a_read_stream_stays_read(clock: FakeClock) -> None:
    """Reading on gives nothing, and no error."""

    async def call() -> tuple[str, str]:
        async with (
            ragcore.completion("scripted:any", script=Script(["Goethe", STOP])) as model,
            model.stream("Who?") as chunks,
        ):
            return await read(chunks), await read(chunks)

    assert clock.run(call()) == ("Goethe", "")


def test_timings_of_a_stream(clock: FakeClock) -> None:
    """First content as it arrives, not as it is read; empty chunks don't count."""
    pieces = [Chunk(), Delay(2, "Goe"), Delay(3, "the"), STOP]
    at_once = Script([Delay(1, "Goethe"), STOP])

    async def slow_reader() -> Completion:
        async with (
            ragcore.completion("scripted:any", script=at_once) as model,
            model.stream("Who?") as chunks,
        ):
            await asyncio.sleep(50)
            await read(chunks)
            return chunks.completion

    first = clock.run(whole(Script(UnavailableError("down"), pieces))).timings
    second = clock.run(slow_reader()).timings

    assert (first.first_chunk, first.total, first.attempts) == (2, 5, 2)
    assert (second.first_chunk, second.total) == (1, 51)


# --- trying again --------------------------------------------------------------------------


def test_a_stream_is_tried_again_before_its_first_chunk(clock: FakeClock) -> None:
    """Nothing was given away yet."""
    script = Script([UnavailableError("down")], UnavailableError("down"), ["Goethe", STOP])

    answer = clock.run(whole(script))

    assert answer.text == "Goethe"
    assert answer.timings.attempts == 3


@pytest.mark.parametrize("first", ["Goe", Chunk(), Chunk(reasoning="Hm.")])
def test_a_stream_is_not_tried_again_after_a_chunk(clock: FakeClock, first: Any) -> None:
    """The reader has seen a beginning; the error carries the text so far."""
    error = UnavailableError("connection lost")
    script = Script([first, error], ["Goethe", STOP])

    with pytest.raises(InterruptedStreamError, match="connection lost") as caught:
        clock.run(whole(script))

    assert len(script.requests) == 1
    assert caught.value.text == (first if isinstance(first, str) else "")
    assert caught.value.__cause__ is error
    assert (caught.value.provider, caught.value.model) == ("scripted", "any")


def test_attempts_that_failed_are_closed(clock: FakeClock) -> None:
    """The generator of an attempt is finished before the next begins."""
    log: list[str] = []

    class Backend:
        async def complete(self, request: object) -> Completion:
            raise AssertionError

        async def stream(self, request: object) -> AsyncGenerator[Chunk, None]:
            log.append("open")
            try:
                await asyncio.sleep(100 if len(log) == 1 else 0)
                yield Chunk("Goethe", finish_reason="stop")
            finally:
                log.append("close")

    async def call() -> str:
        retry = Retry(attempt_timeout=5, wait_initial=0)
        async with ragcore.completion("scripted:any", script=Script(), retry=retry) as model:
            model._backend = Backend()
            async with model.stream("hi") as chunks:
                return await read(chunks)

    assert clock.run(call()) == "Goethe"
    assert log == ["open", "close", "open", "close"]


def test_a_plugin_may_say_itself_that_it_broke_off(clock: FakeClock) -> None:
    """The host adds the text and who it was."""
    script = Script(["Goe", InterruptedStreamError("no end marker")])

    with pytest.raises(InterruptedStreamError, match="no end marker") as caught:
        clock.run(whole(script))

    assert (caught.value.text, caught.value.provider) == ("Goe", "scripted")


def test_a_lasting_failure_midway_keeps_its_class(clock: FakeClock) -> None:
    """What the service says in the middle is not blurred."""
    with pytest.raises(ContentFilterError):
        clock.run(whole(Script(["Goe", ContentFilterError("no more")])))


# --- ends ----------------------------------------------------------------------------------


@pytest.mark.parametrize("pieces", [["Goe"], [Chunk(usage=Usage(1))]])
def test_an_end_without_a_reason_is_an_interruption(clock: FakeClock, pieces: list[Any]) -> None:
    """A dropped connection often looks like an end."""
    with pytest.raises(InterruptedStreamError, match="without saying why") as caught:
        clock.run(whole(Script(pieces)))

    assert caught.value.text == "".join(piece for piece in pieces if isinstance(piece, str))


def test_a_stream_without_a_piece_is_tried_again(clock: FakeClock) -> None:
    """Nothing was handed on: the next attempt may be whole."""
    script = Script([], ["Goethe", Chunk(finish_reason="stop")])
    answer = clock.run(whole(script))

    assert answer.text == "Goethe"
    assert answer.timings.attempts == 2


@pytest.mark.parametrize(
    ("reason", "error"),
    [
        ("stop", EmptyResponseError),
        ("length", TruncatedResponseError),
        ("content_filter", ContentFilterError),
    ],
)
def test_an_end_without_text_is_an_error(
    clock: FakeClock, reason: Any, error: type[ragcore.ProviderError]
) -> None:
    """As in one piece."""
    with pytest.raises(error) as caught:
        clock.run(whole(Script([Chunk(reasoning="Hm."), Chunk(finish_reason=reason)])))

    assert caught.value.provider == "scripted"


@pytest.mark.parametrize("reason", ["length", "content_filter"])
def test_a_cut_end_says_so(clock: FakeClock, reason: Any) -> None:
    """The text came; how it ended is in the answer."""
    assert clock.run(whole(Script(["Goe", Chunk(finish_reason=reason)]))).finish_reason == reason


# --- leaving -------------------------------------------------------------------------------


def test_leaving_early_closes_the_generator(clock: FakeClock) -> None:
    """When the block ends, the connection is free; not when garbage is collected."""
    script = Script(["Goe", "the", STOP])

    async def call() -> None:
        async with ragcore.completion("scripted:any", script=script) as model:
            async with model.stream("Who?") as chunks:
                async for _ in chunks:
                    break
                assert script.abandoned == 0

            assert script.abandoned == 1

    clock.run(call())


def test_leaving_unread_closes_the_generator(clock: FakeClock) -> None:
    """The first chunk was fetched, and nobody wanted it."""
    script = Script(["Goe", "the", STOP])

    async def call() -> None:
        async with (
            ragcore.completion("scripted:any", script=script) as model,
            model.stream("Who?"),
        ):
            pass

    clock.run(call())

    assert script.abandoned == 1


def test_an_exception_of_the_reader_comes_out_unchanged(clock: FakeClock) -> None:
    """Even if it looks like one of ours."""
    script = Script(["Goe", "the", STOP])
    mine = UnavailableError("mine")

    async def call() -> None:
        async with (
            ragcore.completion("scripted:any", script=script) as model,
            model.stream("Who?") as chunks,
        ):
            await anext(chunks)
            raise mine

    with pytest.raises(UnavailableError) as caught:
        clock.run(call())

    assert caught.value is mine
    assert mine.provider is None
    assert script.abandoned == 1
    assert len(script.requests) == 1


def test_a_cancelled_reader_closes_the_generator(clock: FakeClock) -> None:
    """Cancelled while it waits for a chunk, the connection is released, too."""
    script = Script(["Goe", Delay(100, "the"), STOP])

    async def call() -> None:
        task = asyncio.create_task(whole(script))
        await asyncio.sleep(1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    clock.run(call())
    clock.run(ragcore.aclose())

    assert script.closed == 1
    assert clock.time == 1


def test_a_stream_may_be_read_by_another_task(clock: FakeClock) -> None:
    """Opened here, read there: deadlines and closing work all the same."""
    script = Script(["Goe", Delay(1, "the"), STOP])

    async def call() -> str:
        async with (
            ragcore.completion("scripted:any", script=script) as model,
            model.stream("Who?", timeout=10) as chunks,
        ):
            return await asyncio.create_task(read(chunks))

    assert clock.run(call()) == "Goethe"


def test_leaving_interrupts_who_reads_elsewhere(clock: FakeClock) -> None:
    """A generator can't be closed while it runs: its reader is told, and not cancelled."""
    script = Script(["Goe", Delay(100, "the"), STOP])

    async def call() -> BaseException | None:
        async with ragcore.completion("scripted:any", script=script) as model:
            async with model.stream("Who?", timeout=60) as chunks:
                reader = asyncio.create_task(read(chunks))
                await asyncio.sleep(1)
            await asyncio.wait([reader])
            assert not reader.cancelled()
            return reader.exception()

    error = clock.run(call())

    assert isinstance(error, InterruptedStreamError)
    assert error.text == "Goe"
    assert "closed while it was being read" in str(error)
    assert clock.time == 1


# --- deadlines -----------------------------------------------------------------------------


def test_the_deadline_cuts_between_chunks(clock: FakeClock) -> None:
    """Each chunk on time is not enough: the whole has one deadline."""
    script = Script([Delay(2, letter) for letter in "Goethe"])

    with pytest.raises(RequestTimeoutError, match="the deadline of 5 s"):
        clock.run(whole(script, timeout=5))

    assert clock.time == 5


@pytest.mark.parametrize(
    ("pieces", "text"),
    [
        (["a\ud83d", "\ude00b"], "a😀b"),
        (["a\ud83d", "b"], "a\ufffdb"),
        (["a\ude00b"], "a\ufffdb"),
        (["ä\ud83d"], "ä\ufffd"),
        (["\ud83d", "\ude00\ud83d", "\ude00"], "😀😀"),
    ],
)
def test_halves_of_a_character_are_joined(clock: FakeClock, pieces: list[str], text: str) -> None:
    """As a service escapes them, in two chunks; what stays alone is U+FFFD."""
    thoughts = [Chunk("", piece) for piece in pieces]
    streamed = clock.run(whole(Script([*thoughts, *pieces, STOP])))
    in_one = clock.run(complete(Script(Completion("".join(pieces), reasoning="".join(pieces)))))

    assert (streamed.text, streamed.reasoning) == (in_one.text, in_one.reasoning) == (text, text)
    streamed.text.encode()


async def complete(script: Script) -> Completion:
    async with ragcore.completion("scripted:any", script=script) as model:
        return await model.complete("Who wrote Faust?")


def test_a_stream_that_falls_silent_is_an_interrupted_one(clock: FakeClock) -> None:
    """After a minute unless told otherwise; chunks before it put that off."""
    script = Script(["Goe", Delay(59, "the "), Delay(59, "wrote"), Delay(100, "it"), STOP])

    with pytest.raises(InterruptedStreamError, match="nothing came for 60 s") as caught:
        clock.run(whole(script))

    assert caught.value.text == "Goethe wrote"
    assert clock.time == 59 + 59 + 60


@pytest.mark.parametrize("idle", [None, 200])
def test_how_long_a_stream_may_be_silent_can_be_set(clock: FakeClock, idle: float | None) -> None:
    """Longer, or for ever."""
    script = Script(["Goe", Delay(150, "the"), STOP])
    retry = Retry(idle_timeout=idle)

    async def patiently() -> str:
        async with (
            ragcore.completion("scripted:any", script=script, retry=retry) as model,
            model.stream("Who?") as chunks,
        ):
            return await read(chunks)

    assert clock.run(patiently()) == "Goethe"


def test_a_reader_that_takes_its_time_is_no_silence(clock: FakeClock) -> None:
    """What counts is how long the reader waits, not how long it is away."""

    async def slowly() -> str:
        text, script = "", Script(["Goe", "the", "!", STOP])
        async with (
            ragcore.completion("scripted:any", script=script) as model,
            model.stream("Who?") as chunks,
        ):
            async for chunk in chunks:
                text += chunk.text
                await asyncio.sleep(100)
        return text

    assert clock.run(slowly()) == "Goethe!"


def test_the_deadline_cuts_for_a_reader_in_another_task(clock: FakeClock) -> None:
    """A timeout around the generator would watch the wrong task."""
    script = Script(["Goe", Delay(100, "the")])

    async def call() -> None:
        async with (
            ragcore.completion("scripted:any", script=script) as model,
            model.stream("Who?", timeout=5) as chunks,
        ):
            with pytest.raises(RequestTimeoutError):
                await asyncio.create_task(read(chunks))

    clock.run(call())

    assert clock.time == 5


def test_the_limit_of_an_attempt_ends_with_its_first_chunk(clock: FakeClock) -> None:
    """Long answers are not cut because they are long."""
    script = Script([Delay(4, letter) for letter in "Goethe"] + [STOP])

    async def call() -> str:
        retry = Retry(attempt_timeout=5)
        async with (
            ragcore.completion("scripted:any", script=script, retry=retry) as model,
            model.stream("Who?") as chunks,
        ):
            return await read(chunks)

    assert clock.run(call()) == "Goethe"
    assert clock.time == 24


def test_a_plugins_own_timeout_midway_is_an_interruption(clock: FakeClock) -> None:
    """The built-in TimeoutError never comes out."""
    with pytest.raises(InterruptedStreamError) as caught:
        clock.run(whole(Script(["Goe", TimeoutError("read timed out")]), timeout=60))

    assert caught.value.text == "Goe"


def test_the_readers_own_timeout_keeps_working(clock: FakeClock) -> None:
    """`asyncio.timeout` around a stream is the caller's."""

    async def call() -> None:
        async with asyncio.timeout(3):
            await whole(Script(["Goe", Delay(100)]), timeout=60)

    with pytest.raises(TimeoutError):
        clock.run(call())
    assert clock.time == 3


# --- what is no stream ---------------------------------------------------------------------


class Returning:
    """A backend whose `stream` returns what it is told."""

    def __init__(self, make: Any) -> None:
        self.make = make

    async def complete(self, request: object) -> Completion:
        raise AssertionError

    def stream(self, request: object) -> Any:
        return self.make()


class Pieces:
    """An async iterator that can't be closed."""

    def __aiter__(self) -> AsyncIterator[Chunk]:
        return self

    async def __anext__(self) -> Chunk:
        return Chunk("Goethe", finish_reason="stop")


async def coroutine() -> AsyncIterator[Chunk]:
    return Pieces()


left: list[str] = []


async def strings() -> AsyncGenerator[str, None]:
    try:
        yield "Goethe"
    finally:
        left.append("strings")


async def nones() -> AsyncGenerator[None, None]:
    yield None


@pytest.mark.parametrize("make", [Pieces, coroutine, list, lambda: None, strings, nones])
def test_what_is_no_stream_is_the_plugins_fault(clock: FakeClock, make: Any) -> None:
    """The distribution is named, nothing is left unawaited or unclosed."""

    left.clear()

    async def call() -> None:
        async with ragcore.completion("scripted:any", script=Script()) as model:
            model._backend = Returning(make)
            with pytest.raises(PluginError, match=r"scripted-plugin: stream\(\) returned a"):
                async with model.stream("Who?") as chunks:
                    await read(chunks)
            assert left == ["strings"] * (make is strings)

    clock.run(call())


def test_no_method_no_stream(clock: FakeClock) -> None:
    """A provider that can't stream has no such method, and the model says so."""

    class Plain:
        async def complete(self, request: object) -> Completion:
            return Completion("Goethe")

    async def call() -> None:
        async with ragcore.completion("scripted:any", script=Script()) as model:
            model._backend = Plain()
            assert not model.can_stream
            with pytest.raises(ragcore.UnsupportedError, match="scripted:any: can't stream"):
                async with model.stream("Who?"):
                    pass

    clock.run(call())
