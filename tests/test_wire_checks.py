"""Addresses and values of headers are told from what is none."""

from __future__ import annotations

import pytest

from ragcore.wire import ADDRESS, HEADER, JSON

ADDRESSES = [
    "http://localhost",
    "https://api.acme.example/v1",
    "HTTPS://API.ACME.EXAMPLE:443/",
    "http://127.0.0.1:11434/a/b%20c/@d",
    "http://[::1]:65535/v1",
    "http://münchen.example",
]
NO_ADDRESSES = [
    "",
    "localhost:1",
    "https://",
    "http:///v1",
    "ftp://acme.example",
    "http://me:canary@acme.example",
    "me:canary@acme.example",
    "http://me:canary",
    "http://acme.example:",
    "http://acme.example:0",
    "http://acme.example:65536",
    "http://acme.example/v1?key=canary",
    "http://acme.example/v1#x",
    "http://acme.example\\@other.example",
    " http://acme.example",
    "http://acme.example\n",
    "http://acme .example",
    "http://acme.example/\x00",
]


@pytest.mark.parametrize("text", ADDRESSES)
def test_an_address(text: str) -> None:
    """Is a scheme, a host, perhaps a port, and a path."""
    assert ADDRESS.problem(text) is None


@pytest.mark.parametrize("text", NO_ADDRESSES)
def test_no_address(text: str) -> None:
    """Neither what lets in nor what is asked is part of one."""
    assert ADDRESS.problem(text)


@pytest.mark.parametrize("text", ["k", "sk-1_2.3~+/=", "Basic abc def", "a\tb"])
def test_a_value_that_a_header_carries(text: str) -> None:
    """Printable ASCII."""
    assert HEADER.problem(text) is None


@pytest.mark.parametrize("text", ["", "k\n", "k\r\nX-A: b", "k\x00", "k\xe9", " k", "k ", "\ud800"])
def test_a_value_that_none_carries(text: str) -> None:
    """Empty, of more than one line, or beyond ASCII."""
    assert HEADER.problem(text)


@pytest.mark.parametrize("value", [{}, {"a": [1, 2.5, None, True, "ä"]}, [], "text"])
def test_what_json_can_carry(value: object) -> None:
    """Whatever is made of its types."""
    assert JSON.problem(value) is None


@pytest.mark.parametrize(
    "value",
    [{"a": float("nan")}, {"a": object()}, {"a": b"b"}, {"a": "\ud800"}, {(1, 2): 3}, {"a": {1}}],
)
def test_what_json_cannot_carry(value: object) -> None:
    """Numbers that are none, objects, bytes, halves of characters."""
    assert JSON.problem(value)


def test_a_value_that_holds_itself_or_has_no_end_is_no_json() -> None:
    """It is refused, and nothing breaks."""
    cyclic: list[object] = []
    cyclic.append(cyclic)
    deep: list[object] = []
    for _ in range(100_000):
        deep = [deep]

    assert JSON.problem(cyclic)
    assert JSON.problem(deep)
