"""What is private to botocore, and used here, is where it was."""

from __future__ import annotations

import socket
import sys
import threading
import time
from contextlib import ExitStack

import boto3
import pytest
from botocore.config import Config

from lightrag_bedrock._sockets import BrokenOffError, Call, _HTTPConnection, make_breakable


def client_of(port: int) -> object:
    client = boto3.client(
        "bedrock-runtime",
        region_name="us-east-1",
        aws_access_key_id="a",
        aws_secret_access_key="b",
        endpoint_url=f"http://127.0.0.1:{port}",
        config=Config(retries={"total_max_attempts": 1}, read_timeout=60),
    )
    make_breakable(client)
    return client


def blocked_call(client: object, call: Call) -> tuple[threading.Thread, list[BaseException]]:
    raised: list[BaseException] = []

    def work() -> None:
        try:
            with call.in_this_thread():
                client.converse(modelId="m")  # type: ignore[attr-defined]  # made at run time
        except Exception as exc:  # noqa: BLE001  # whatever it is
            raised.append(exc)

    thread = threading.Thread(target=work)
    thread.start()
    return thread, raised


def read_request(connection: socket.socket) -> bytes:
    connection.settimeout(5)
    told = b""
    while not told.endswith(b"{}"):
        told += connection.recv(100_000)
    return told


def test_a_blocked_call_ends_when_broken_off() -> None:
    """Its thread and its socket are free again, though its server never answers."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        call = Call()
        thread, raised = blocked_call(client_of(server.getsockname()[1]), call)
        connection, _ = server.accept()
        with connection:
            read_request(connection)
            call.break_off()
            thread.join(5)
            left = connection.recv(100_000)

    assert not thread.is_alive()
    assert len(raised) == 1
    assert left == b""


def test_a_handshake_ends_when_broken_off() -> None:
    """A TLS handshake is no request yet."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        client = boto3.client(
            "bedrock-runtime",
            region_name="us-east-1",
            aws_access_key_id="a",
            aws_secret_access_key="b",
            endpoint_url=f"https://127.0.0.1:{server.getsockname()[1]}",
            config=Config(retries={"total_max_attempts": 1}, connect_timeout=60),
        )
        make_breakable(client)
        call = Call()
        thread, raised = blocked_call(client, call)
        connection, _ = server.accept()
        with connection:
            connection.recv(10)
            call.break_off()
            thread.join(5)

    assert not thread.is_alive()
    assert len(raised) == 1


def test_a_call_that_was_broken_off_begins_nothing() -> None:
    """It may have waited for a thread until then."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        call = Call()
        call.break_off()
        thread, raised = blocked_call(client_of(server.getsockname()[1]), call)
        thread.join(5)

    assert not thread.is_alive()
    assert "broken off before it began" in str(raised[0])


def test_a_call_that_was_broken_off_connects_to_nothing() -> None:
    """And whoever catches the error keeps nothing open."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        connection = _HTTPConnection("127.0.0.1", server.getsockname()[1])
        call = Call()
        call.break_off()
        with call.in_this_thread(), pytest.raises(BrokenOffError) as caught:
            connection.connect()
        connection.close()
        server.setblocking(False)
        with pytest.raises(BlockingIOError):
            server.accept()

    assert caught.value.__traceback__ is not None


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere, a full backlog refuses")
def test_a_call_ends_when_it_is_broken_off_while_it_connects() -> None:
    """Its thread is free within 200 ms, though the host never answers."""
    with ExitStack() as opened:
        port = silent_port(opened)
        call = Call()
        thread, raised = blocked_call(client_of(port), call)
        time.sleep(0.1)
        was_connecting = thread.is_alive()
        call.break_off()
        thread.join(0.2)
        is_free = not thread.is_alive()

    assert was_connecting
    assert is_free
    assert len(raised) == 1


def silent_port(opened: ExitStack) -> int:
    """Return a port that takes no more connections, and refuses none."""
    server = opened.enter_context(socket.socket())
    server.bind(("127.0.0.1", 0))
    server.listen(0)
    for _ in range(4):
        waiting = opened.enter_context(socket.socket())
        waiting.setblocking(False)
        waiting.connect_ex(server.getsockname())
    port: int = server.getsockname()[1]
    return port


def test_a_call_that_is_over_is_left_alone() -> None:
    """Its connection may serve another by now."""
    body = b'{"output": {"message": {"role": "assistant", "content": []}}, "stopReason": "x"}'
    answer = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)
    with socket.create_server(("127.0.0.1", 0)) as server:
        client = client_of(server.getsockname()[1])
        first, second = Call(), Call()
        thread, raised = blocked_call(client, first)
        connection, _ = server.accept()
        with connection:
            read_request(connection)
            connection.sendall(answer)
            thread.join(5)
            thread, more = blocked_call(client, second)
            asked_again = read_request(connection)
            first.break_off()
            connection.sendall(answer)
            thread.join(5)

    assert asked_again.startswith(b"POST /model/m/converse")
    assert raised == more == []


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_the_pools_are_ours(scheme: str) -> None:
    """Under the name that botocore looks them up by, for proxies too."""
    client = client_of(1)
    session = client._endpoint.http_session  # type: ignore[attr-defined]  # private to botocore

    assert session._manager.pool_classes_by_scheme[scheme].__module__ == "lightrag_bedrock._sockets"
    assert session._pool_classes_by_scheme is session._manager.pool_classes_by_scheme
