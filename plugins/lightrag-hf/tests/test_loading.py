"""Tests of what is loaded once and shared."""

import asyncio
import gc
import logging
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Any

import pytest

from lightrag_hf._loading import model_key, shared
from lightrag_hf._progress import Progress, building
from lightrag_hf.options import HFLLMOptions, HFOptions
from ragcore import Secret


class Loader:
    """Counts what is loaded and what is closed."""

    def __init__(self, seconds: float = 0.0) -> None:
        self.seconds = seconds
        self.loaded: list[object] = []
        self.closed: list[object] = []

    def load(self) -> object:
        time.sleep(self.seconds)
        self.loaded.append(object())
        return self.loaded[-1]

    def open(self, keep_alive: float = 0.0) -> AbstractAsyncContextManager[object]:
        return shared(self, self.load, self.closed.append, keep_alive)


def wait_until(is_true: Callable[[], bool], seconds: float = 5.0) -> bool:
    deadline = time.monotonic() + seconds
    while not is_true() and time.monotonic() < deadline:
        time.sleep(0.005)
    return is_true()


async def test_two_users_share_one_load() -> None:
    """Whoever asks for the same key gets the same object."""
    loader = Loader(0.05)

    async def use() -> object:
        async with loader.open() as thing:
            await asyncio.sleep(0.05)
            return thing

    first, second = await asyncio.gather(use(), use())

    assert first is second
    assert len(loader.loaded) == 1


def test_event_loops_in_several_threads_share_one_load() -> None:
    """The shelf belongs to the process, not to a loop."""
    loader = Loader(0.1)

    async def use() -> None:
        async with loader.open():
            await asyncio.sleep(0.2)

    threads = [threading.Thread(target=asyncio.run, args=(use(),)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(loader.loaded) == 1


def test_a_second_asyncio_run_finds_what_the_first_left() -> None:
    """What is kept alive outlives the loop that loaded it."""
    loader = Loader()

    async def use() -> object:
        async with loader.open(keep_alive=10.0) as thing:
            return thing

    assert asyncio.run(use()) is asyncio.run(use())
    assert len(loader.loaded) == 1


async def test_keep_alive_of_zero_frees_at_once() -> None:
    """The last to leave has it closed, and not in the event loop's thread."""
    loader = Loader()

    async with loader.open(keep_alive=0.0) as thing:
        assert loader.closed == []

    assert wait_until(lambda: loader.closed == [thing])


async def test_what_is_kept_alive_is_found_again_and_freed_later() -> None:
    """A user within keep_alive seconds stops the clock."""
    loader = Loader()

    async with loader.open(keep_alive=0.2):
        pass
    async with loader.open(keep_alive=0.2):
        await asyncio.sleep(0.4)
        closed_in_use = list(loader.closed)

    assert closed_in_use == []
    assert wait_until(lambda: len(loader.closed) == 1)
    assert len(loader.loaded) == 1


async def test_a_negative_keep_alive_keeps_it() -> None:
    """Nothing is freed before exit."""
    loader = Loader()

    async with loader.open(keep_alive=-1.0):
        pass
    await asyncio.sleep(0.1)

    assert loader.closed == []


async def test_a_load_goes_on_when_its_caller_has_timed_out() -> None:
    """The next call finds what the first one began."""
    loader = Loader(0.2)

    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.05), loader.open(keep_alive=10.0):
            pass
    async with loader.open():
        pass

    assert len(loader.loaded) == 1


async def test_a_failed_load_is_tried_again() -> None:
    """Its error reaches all who wait, and is not remembered."""
    outcomes: list[OSError | str] = [OSError("no such file"), "loaded"]

    def load() -> str:
        time.sleep(0.05)
        outcome = outcomes.pop(0)
        if isinstance(outcome, OSError):
            raise outcome
        return outcome

    async def use() -> str:
        async with shared("failing", load, lambda _: None, 0.0) as thing:
            return thing

    failures = await asyncio.gather(use(), use(), return_exceptions=True)

    assert [str(failure) for failure in failures] == ["no such file"] * 2
    assert await use() == "loaded"


def test_leaving_asyncio_run_does_not_wait_for_a_load() -> None:
    """A load belongs to no event loop."""
    loader = Loader(1.0)

    async def give_up() -> None:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05), loader.open():
                pass

    asyncio.run(give_up())

    assert loader.loaded == []


AT_EXIT = """
import asyncio, time
from lightrag_hf._loading import shared, stop_if_exiting

def load():
    print("loading", flush=True)
    import torch
    while True:
        torch.rand(300, 300) @ torch.rand(300, 300)
        stop_if_exiting()

async def main():
    async with shared("kept", lambda: "kept", lambda it: print("closed", it), 100.0):
        pass
    async with asyncio.timeout(3), shared("endless", load, print, 0.0):
        pass

try:
    asyncio.run(main())
except TimeoutError:
    print("timed out")
"""


FAILED_LOAD = """
import asyncio, threading
from lightrag_hf._loading import shared

def load():
    raise OSError("no such file")

async def main():
    async with shared("failing", load, print, 300.0):
        pass

try:
    asyncio.run(main())
except OSError:
    print([thread.name for thread in threading.enumerate() if thread.name != "lightrag-hf-load"])
"""


def test_a_failed_load_leaves_nothing_to_wait_for() -> None:
    """What was never loaded is not kept alive, and exit does not wait for it."""
    ended = subprocess.run(  # noqa: S603  # our own interpreter
        [sys.executable, "-c", FAILED_LOAD], capture_output=True, text=True, check=True, timeout=25
    )

    assert ended.stdout == "['MainThread']\n"


def test_exit_stops_what_loads_and_closes_what_is_kept() -> None:
    """A thread inside torch would abort the interpreter."""
    ended = subprocess.run(  # noqa: S603  # our own interpreter
        [sys.executable, "-W", "error", "-c", AT_EXIT], capture_output=True, text=True, check=False
    )

    assert (ended.returncode, ended.stderr) == (0, "")
    assert ended.stdout.split("\n") == ["loading", "timed out", "closed kept", ""]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_forked_child_starts_empty() -> None:
    """Threads do not survive a fork, so neither does what they serve."""
    loader = Loader()

    async def count() -> int:
        async with loader.open(keep_alive=10.0):
            return len(loader.loaded)

    in_parent = asyncio.run(count())
    child = os.fork()
    if child == 0:
        os._exit(asyncio.run(count()))
    _, status = os.waitpid(child, 0)

    assert (in_parent, os.waitstatus_to_exitcode(status)) == (1, 2)


def test_the_key_is_what_matters_for_loading() -> None:
    """Call-scoped options and keep_alive make no other model; device and hub do."""
    hub = HFOptions(token=Secret("hf_one"))

    def key(hub: HFOptions = hub, **options: Any) -> object:
        return model_key("completion", hub, "org/model", HFLLMOptions(**options))

    assert key(temperature=0.5, keep_alive=1.0) == key(temperature=None)
    assert key(device="cpu") != key(device="cuda")
    assert key(max_memory={"cpu": "1GiB"}) != key()
    assert key(HFOptions(token=Secret("hf_two"))) != key()


def test_progress_is_logged_where_there_is_no_terminal(
    caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    """Nothing is drawn into a log file."""
    caplog.set_level(logging.INFO, "lightrag_hf")

    for _ in Progress(range(3), desc="Loading weights"):
        pass

    assert "Loading weights: 100%" in caplog.text
    assert capsys.readouterr().err == ""


def test_full_collections_wait_while_a_model_is_built() -> None:
    """They would stop all threads again and again; afterwards all is as it was before."""
    before = gc.get_threshold()
    with building():
        young, middle, old = gc.get_threshold()

    assert (young, middle) == before[:2]
    assert old > 10**6
    assert gc.get_threshold() == before
