"""The API without an event loop."""

from __future__ import annotations

import asyncio
import contextvars
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

import ragcore
from ragcore import Chunk, Completion, UnavailableError, sync
from ragcore.testing import Delay, Script, scripted

STOP = Chunk(finish_reason="stop")


@pytest.fixture(autouse=True)
def provider() -> Iterator[None]:
    with scripted():
        yield


def ask(script: Script) -> str:
    with ragcore.sync.completion("scripted:any", script=script) as model:
        return model.complete("Who wrote Faust?").text


def test_a_call_without_a_loop() -> None:
    """The same model, the same answer, closed after the block."""
    script = Script("Goethe")

    with ragcore.sync.completion("scripted:any", script=script) as model:
        answer = model.complete("Who?", system="Be kind.", temperature=0.5)
        assert (script.opened, script.closed) == (1, 0)

    assert isinstance(answer, Completion)
    assert answer.text == "Goethe"
    sync._wait(ragcore.aclose())
    assert script.closed == 1
    assert (model.reference, model.capabilities.images) == ("scripted:any", True)


def test_a_stream_without_a_loop() -> None:
    """Chunk by chunk, and the whole at the end."""
    script = Script(["Goe", "the", STOP])

    with (
        ragcore.sync.completion("scripted:any", script=script) as model,
        model.stream("Who?") as chunks,
    ):
        texts = [chunk.text for chunk in chunks]

    assert texts == ["Goe", "the", ""]
    assert chunks.completion.text == "Goethe"


def test_a_stream_left_early_is_closed() -> None:
    """When the block ends."""
    script = Script(["Goe", "the", STOP])

    with ragcore.sync.completion("scripted:any", script=script) as model:
        with model.stream("Who?") as chunks:
            next(iter(chunks))
            assert script.abandoned == 0

        assert script.abandoned == 1


def test_embedding_without_a_loop() -> None:
    """Batches and all."""
    with ragcore.sync.embedding("scripted:any", script=Script(forever=""), batch_size=2) as model:
        found = model.embed(["a", "b", "c"], input_type="query")

    assert found.vectors.shape == (3, 8)
    assert model.reference == "scripted:any"


def test_errors_come_out_as_they_are() -> None:
    """Of opening, of calling and of the block."""
    with pytest.raises(ragcore.UnknownProviderError), ragcore.sync.completion("nobody:x"):
        pass
    with pytest.raises(UnavailableError, match="down"):
        ask(Script(*[UnavailableError("down", retry_after=0)] * 3))
    script = Script()
    with (
        pytest.raises(ZeroDivisionError),
        ragcore.sync.completion("scripted:any", script=script),
    ):
        raise ZeroDivisionError
    sync._wait(ragcore.aclose())
    assert script.closed == 1


async def test_within_a_running_loop() -> None:
    """That loop waits; nothing deadlocks."""
    assert ask(Script("Goethe")) == "Goethe"


def test_from_many_threads() -> None:
    """One model, many threads."""
    script = Script(forever=lambda request: request.messages[0].content.upper())

    with (
        ragcore.sync.completion("scripted:any", script=script) as model,
        ThreadPoolExecutor(8) as pool,
    ):
        answers = list(pool.map(lambda n: model.complete(f"q{n}").text, range(100)))

    assert answers == [f"Q{n}" for n in range(100)]
    assert script.opened == 1


def test_not_from_its_own_loop() -> None:
    """There it would wait for itself for ever."""

    def misuse(_: object) -> str:
        return ask(Script("Goethe"))

    with pytest.raises(ragcore.ProviderError, match="its own loop") as caught:
        ask(Script(misuse))
    assert isinstance(caught.value.__cause__, RuntimeError)


who: contextvars.ContextVar[str] = contextvars.ContextVar("who", default="nobody")


def test_context_variables_travel() -> None:
    """Tracing sees who asked, also in another thread and in a stream."""

    def tell(_: object) -> str:
        return who.get()

    def tell_streaming(_: object) -> list[Any]:
        return [who.get(), STOP]

    who.set("me")

    assert ask(Script(tell)) == "me"
    with (
        ragcore.sync.completion("scripted:any", script=Script(tell_streaming)) as model,
        model.stream("Who?") as chunks,
    ):
        assert next(iter(chunks)).text == "me"


def test_an_interrupt_cancels_the_call() -> None:
    """Ctrl-C ends the wait and the work behind it."""
    cancelled = threading.Event()

    class Backend:
        async def complete(self, request: object) -> Completion:
            timer = threading.Timer(0.05, os.kill, (os.getpid(), 2))
            timer.start()
            try:
                await asyncio.sleep(60)
            except asyncio.CancelledError:
                cancelled.set()
                raise
            raise AssertionError

    with ragcore.sync.completion("scripted:any", script=Script()) as model:
        model._model._backend = Backend()
        with pytest.raises(KeyboardInterrupt):
            model.complete("Who?")

    assert cancelled.wait(5)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_a_forked_child_has_a_loop_of_its_own() -> None:
    """The parent's thread does not come along."""
    assert ask(Script("before")) == "before"

    pid = os.fork()
    if pid == 0:
        try:
            os._exit(0 if ask(Script("child")) == "child" else 1)
        finally:
            os._exit(2)

    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    assert ask(Script("after")) == "after"


PRELUDE = """
import contextlib, os, sys, threading, time
import ragcore
from ragcore import Chunk
from ragcore.testing import Delay, Script, scripted

plugged = scripted()
plugged.__enter__()

def ask(script):
    with ragcore.sync.completion("scripted:any", script=script) as model:
        return model.complete("Who?").text

"""

PROGRAMS = {
    "after a call": "print(ask(Script('Goethe')))",
    "within a stream": """
opening = ragcore.sync.completion("scripted:any", script=Script(["Goethe", "x"]))
model = opening.__enter__()
streaming = model.stream("Who?")
chunks = streaming.__enter__()
print(next(iter(chunks)).text)
""",
    "while a thread is asking": """
def wait():
    with contextlib.suppress(BaseException):
        ask(Script(Delay(60, "")))

threading.Thread(target=wait, daemon=True).start()
time.sleep(0.2)
print("Goethe")
""",
    "after an exception": """
with contextlib.suppress(ragcore.AuthenticationError):
    ask(Script(ragcore.AuthenticationError("no")))
print("Goethe")
""",
    "in a forked child": """
import warnings
warnings.simplefilter("ignore", DeprecationWarning)
ask(Script("parent"))
if os.fork():
    sys.exit(os.waitstatus_to_exitcode(os.wait()[1]))
print(ask(Script("Goethe")))
""",
    "forked while others are asking": """
import warnings
warnings.simplefilter("ignore", DeprecationWarning)
from ragcore import sync
from ragcore._discovery import loading
ask(Script("parent"))
held = [sync._lock, loading._lock]
holder = threading.Thread(target=lambda: [lock.acquire() for lock in held])
holder.start()
holder.join()
pid = os.fork()
if pid == 0:
    done = threading.Thread(target=lambda: print(ask(Script("Goethe")), flush=True))
    done.start()
    done.join(5)
    os._exit(done.is_alive())
sys.exit(os.waitstatus_to_exitcode(os.wait()[1]))
""",
}


@pytest.mark.parametrize("when", PROGRAMS)
def test_the_interpreter_ends_cleanly(when: str) -> None:
    """Whatever is open: no warning, no complaint, at once."""
    done = subprocess.run(  # noqa: S603  # our own code
        [sys.executable, "-X", "dev", "-W", "error", "-c", PRELUDE + PROGRAMS[when]],
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )

    assert (done.returncode, done.stdout, done.stderr) == (0, "Goethe\n", "")


def test_timeouts_hold() -> None:
    """On the background loop as on any other."""
    with (
        ragcore.sync.completion("scripted:any", script=Script(Delay(60))) as model,
        pytest.raises(ragcore.RequestTimeoutError),
    ):
        model.complete("Who?", timeout=0.01)
