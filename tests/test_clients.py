"""One client for each process, event loop and connection."""

from __future__ import annotations

import asyncio
import gc
import os
import subprocess
import sys
import threading
import weakref
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from typing import Any

import pytest

import ragcore
from ragcore import BindingOptions, option
from ragcore._calls import held as table
from ragcore._calls.held import borrowed
from ragcore.testing import FakeClock, Script, scripted


class AcmeOptions(BindingOptions, binding="acme_test"):
    headers: dict[str, str] | None = option("Sent along.", default=None)


class Account:
    """Counts the clients it opens."""

    def __init__(self, *, slow: bool = False, fail: str = "") -> None:
        self.slow, self.fail = slow, fail
        self.opened: list[object] = []
        self.closed: list[object] = []
        # A bound method is made anew by each access; the host compares by identity.
        self.connect: Callable[[Any], Any] = asynccontextmanager(self._connect)

    async def _connect(self, connection: BindingOptions) -> AsyncIterator[object]:
        client = object()
        self.opened.append(client)
        if self.slow:
            await asyncio.sleep(0.01)
        if self.fail == "opening":
            raise ConnectionError("can't open")
        yield client
        self.closed.append(client)
        if self.fail == "closing":
            raise ConnectionError("can't close")


async def held(account: Account, options: BindingOptions | None = None, seconds: float = 0) -> Any:
    async with borrowed(account.connect, options or AcmeOptions()) as client:
        await asyncio.sleep(seconds)
        return client


def entries(account: Account) -> list[table.Held[Any]]:
    return [one for held in table._open.values() for one in held if one.open is account.connect]


async def test_users_share_a_client() -> None:
    """Opened for the first, closed by the last."""
    account = Account(slow=True)

    clients = await asyncio.gather(*(held(account, seconds=n / 1000) for n in range(10)))

    assert len(set(clients)) == len(account.opened) == len(account.closed) == 1
    assert entries(account) == []


async def test_after_the_last_comes_a_first() -> None:
    """A closed client is not given to anybody."""
    account = Account()

    first, second = await held(account), await held(account)

    assert first is not second
    assert account.closed == [first, second]


async def test_connections_are_told_apart_by_their_options() -> None:
    """Compared by value; a dict among them is no obstacle."""
    account = Account()
    one, same = AcmeOptions(headers={"a": "1"}), AcmeOptions(headers={"a": "1"})
    other = AcmeOptions(headers={"a": "2"})

    async with (
        borrowed(account.connect, one) as first,
        borrowed(account.connect, same) as second,
        borrowed(account.connect, other) as third,
    ):
        assert first is second
        assert first is not third

    assert len(account.closed) == 2


async def test_two_providers_never_share() -> None:
    """The same options handed to another `connect` are another client."""
    one, other = Account(), Account()

    async with (
        borrowed(one.connect, AcmeOptions()) as first,
        borrowed(other.connect, AcmeOptions()) as second,
    ):
        assert first is not second


async def test_models_and_tasks_share_a_client() -> None:
    """Completion and embedding of one account, many times: one client, for some time after."""
    script = Script(forever="Goethe")

    async def once(n: int) -> None:
        async with ragcore.completion(f"scripted:model-{n}", script=script) as model:
            await model.complete("hi")
        async with ragcore.embedding(f"scripted:model-{n}", script=script) as embedder:
            await embedder.embed(["hi"])

    with scripted():
        async with ragcore.completion("scripted:holder", script=script):
            await asyncio.gather(*map(once, range(20)))
            assert (script.opened, script.closed) == (1, 0)
        await once(20)
        assert (script.opened, script.closed) == (1, 0)

    await ragcore.aclose()
    assert (script.opened, script.closed) == (1, 1)


def test_an_idle_client_is_kept_for_half_a_minute() -> None:
    """Opening the account again soon after reuses it; later it is closed."""
    script = Script(forever="Goethe")

    async def opened_after(seconds: float) -> None:
        await asyncio.sleep(seconds)
        async with ragcore.completion("scripted:any", script=script) as model:
            await model.complete("hi")

    with scripted(), FakeClock() as clock:
        clock.run(opened_after(0))
        for _ in range(3):
            clock.run(opened_after(29))
        assert (script.opened, script.closed) == (1, 0)

        clock.run(opened_after(31))
        assert (script.opened, script.closed) == (2, 1)


def test_a_loop_that_is_closed_with_an_idle_client_on_it_is_no_complaint() -> None:
    """Programs that make their loops by hand cancel no tasks."""
    program = """
import asyncio, gc, ragcore
from ragcore.testing import Script, scripted

async def ask():
    async with ragcore.completion("scripted:any", script=Script("Goethe")) as model:
        return (await model.complete("Who?")).text

with scripted():
    for _ in range(2):
        loop = asyncio.new_event_loop()
        print(loop.run_until_complete(ask()))
        loop.close()
        gc.collect()
"""
    done = subprocess.run(  # noqa: S603  # our own code
        [sys.executable, "-W", "error", "-c", program],
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )

    assert (done.stdout, done.stderr) == ("Goethe\nGoethe\n", "")


def test_an_idle_client_that_fails_to_close_is_told_to_the_log(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Nobody waits for it who could be told otherwise."""
    account = Account(fail="closing")

    async def used() -> None:
        async with borrowed(account.connect, AcmeOptions(), keep_alive=1):
            pass
        await asyncio.sleep(2)

    with FakeClock() as clock:
        clock.run(used())

    assert "a client or a model could not be closed: ConnectionError" in caplog.text


def test_each_event_loop_has_its_own() -> None:
    """Threads with loops of their own don't meet."""
    account = Account()
    barrier = threading.Barrier(2)
    clients: list[object] = []

    async def use() -> None:
        async with borrowed(account.connect, AcmeOptions()) as client:
            clients.append(client)
            await asyncio.to_thread(barrier.wait)

    threads = [threading.Thread(target=lambda: asyncio.run(use())) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(set(clients)) == len(account.closed) == 2
    assert entries(account) == []


def test_loops_come_and_go_in_many_threads() -> None:
    """Finding one's own client is safe while others open and close theirs."""
    account = Account()
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)

    def churn(_: int) -> int:
        return len({asyncio.run(held(account)) for _ in range(15)})

    try:
        with ThreadPoolExecutor(8) as pool:
            counts = list(pool.map(churn, range(8)))
    finally:
        sys.setswitchinterval(interval)

    assert len(account.opened) == len(account.closed) == 8 * 15
    assert all(counts)
    assert entries(account) == []


async def test_all_who_wait_learn_that_opening_failed() -> None:
    """The next to come tries afresh."""
    account = Account(slow=True, fail="opening")

    results = await asyncio.gather(*(held(account) for _ in range(3)), return_exceptions=True)
    attempts = len(account.opened)
    account.fail = ""
    client = await held(account)

    assert [str(result) for result in results] == ["can't open"] * 3
    assert attempts == 1
    assert client is account.opened[-1]


async def test_a_cancelled_first_user_does_not_cost_the_second() -> None:
    """The client goes on opening for those who still wait."""
    account = Account(slow=True)
    first = asyncio.create_task(held(account))
    second = asyncio.create_task(held(account))
    await asyncio.sleep(0)
    first.cancel()

    assert await second is account.opened[0]
    assert len(account.opened) == 1
    assert first.cancelled()


async def test_a_cancelled_only_user_ends_the_opening() -> None:
    """Nothing is left behind."""
    account = Account(slow=True)
    task = asyncio.create_task(held(account))
    await asyncio.sleep(0)
    task.cancel()

    with pytest.raises(asyncio.CancelledError):
        await task
    assert entries(account) == []
    assert await held(account) is account.opened[-1]


async def test_an_error_of_closing_comes_out_of_the_last_block() -> None:
    """It hides nothing, and leaves nothing behind."""
    account = Account(fail="closing")

    with pytest.raises(ConnectionError, match="can't close"):
        await held(account)
    assert entries(account) == []


async def test_a_provider_error_of_connecting_says_who_it_was() -> None:
    """As any other error of a provider does."""

    class Unlucky(Script):
        @property
        def opened(self) -> int:
            raise ragcore.AuthenticationError("no key")

        @opened.setter
        def opened(self, count: int) -> None: ...

    with scripted(), pytest.raises(ragcore.AuthenticationError) as caught:
        async with ragcore.completion("scripted:any", script=Unlucky()):
            pass

    assert (caught.value.provider, caught.value.model) == ("scripted", "any")


async def test_a_builtin_timeout_of_connecting_is_translated() -> None:
    """Schedulers would take it for their own."""

    class Slow(Script):
        @property
        def opened(self) -> int:
            raise TimeoutError

        @opened.setter
        def opened(self, count: int) -> None: ...

    with scripted(), pytest.raises(ragcore.RequestTimeoutError) as caught:
        async with ragcore.completion("scripted:any", script=Slow()):
            pass

    assert caught.value.provider == "scripted"
    assert isinstance(caught.value.__cause__, TimeoutError)


async def test_an_error_of_the_block_is_left_alone() -> None:
    """What happens to other providers inside the block is none of this one's business."""
    theirs = ragcore.UnavailableError("down")

    with scripted(), pytest.raises(ragcore.UnavailableError) as caught:
        async with ragcore.completion("scripted:any", script=Script()):
            raise theirs

    assert caught.value is theirs
    assert theirs.provider is None


def test_a_loop_that_ends_closes_its_clients() -> None:
    """`asyncio.run` cancels what is open; the next run starts afresh."""
    account = Account()

    async def forget() -> None:
        task = asyncio.create_task(held(account, seconds=3600))
        await asyncio.sleep(0.01)
        assert not task.done()

    asyncio.run(forget())
    asyncio.run(held(account))

    assert len(account.opened) == 2
    assert entries(account) == []


def test_when_a_loop_ends_users_leave_before_the_client() -> None:
    """`asyncio.run` cancels all at once; what a user does last may still need its client."""
    account = Account()
    closed_before_its_user: list[bool] = []

    async def user() -> None:
        async with borrowed(account.connect, AcmeOptions()):
            try:
                await asyncio.sleep(3600)
            finally:
                await asyncio.sleep(0.01)
                closed_before_its_user.append(bool(account.closed))

    async def forget() -> None:
        task = asyncio.create_task(user())
        await asyncio.sleep(0.01)
        assert not task.done()

    asyncio.run(forget())

    assert closed_before_its_user == [False]


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_loop_that_is_dropped_is_forgotten() -> None:
    """A loop closed in the middle of everything is not kept alive by its clients."""
    account = Account()
    loop = asyncio.new_event_loop()
    task = loop.create_task(held(account, seconds=3600))
    loop.run_until_complete(asyncio.sleep(0.01))
    loop.close()
    known = weakref.ref(loop)

    asyncio.run(held(account))
    task._log_destroy_pending = False  # type: ignore[attr-defined]  # on purpose, in this test
    del task, loop
    gc.collect()

    assert known() is None
    assert len(account.opened) == 2


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_a_model_of_the_parent_says_so_in_a_forked_child() -> None:
    """At once, and nothing is asked of the parent's connections; a new model works there."""
    program = """
import asyncio, os, ragcore
from ragcore.testing import Script, scripted

async def ask(script):
    async with ragcore.completion("scripted:any", script=script) as model:
        if pid := os.fork():
            print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), len(script.requests))
            return
        try:
            await model.complete("Who?")
        except RuntimeError as exc:
            says = "was opened by another process" in str(exc)
        with ragcore.sync.completion("scripted:any", script=Script("Goethe")) as own:
            works = own.complete("Who?").text == "Goethe"
        os._exit(0 if says and works else 1)

with scripted():
    asyncio.run(ask(Script("Goethe")))
"""
    done = subprocess.run(  # noqa: S603  # our own code
        [sys.executable, "-c", program], capture_output=True, text=True, check=False, timeout=30
    )

    assert (done.stdout, done.stderr) == ("0 0\n", "")


def test_a_forked_child_has_clients_of_its_own() -> None:
    """A connection shared with the parent would mix two conversations."""
    account = Account()

    async def use() -> int:
        async with borrowed(account.connect, AcmeOptions()) as mine:
            if pid := os.fork():
                return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])  # noqa: ASYNC222
            try:
                os._exit(int(asyncio.run(held(account)) is mine))
            finally:
                os._exit(2)

    assert asyncio.run(use()) == 0
