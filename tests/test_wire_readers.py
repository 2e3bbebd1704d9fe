"""Streams of events and of lines are read alike, however their bytes are cut."""

from __future__ import annotations

import json
import re
import time
from collections.abc import AsyncIterator, Iterable, Sequence

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from ragcore import InterruptedStreamError, ProviderError, QuotaExceededError, UnavailableError
from ragcore.wire import Event, _readers, drained, event_stream, lines

TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=20)
FIELDS = st.sampled_from(["data", "data:", "data: ", "event: ", "id: ", "retry: ", ":", "x: ", ""])
ENDS = st.sampled_from(["\n", "\r\n", "\r"])


async def pieces(*parts: bytes) -> AsyncIterator[bytes]:
    for part in parts:
        yield part


async def events(*parts: bytes) -> list[Event]:
    return [event async for event in event_stream(pieces(*parts))]


async def data(*parts: bytes) -> list[str]:
    return [event.data for event in await events(*parts)]


async def read_into(seen: list[str], *parts: bytes) -> None:
    async for event in event_stream(pieces(*parts)):
        seen.append(event.data)  # noqa: PERF401  # what came before an error counts


async def read(*parts: bytes) -> list[str]:
    return [line async for line in lines(pieces(*parts))]


def cut(body: bytes, places: Iterable[int]) -> list[bytes]:
    ends = sorted({place % (len(body) + 1) for place in places} | {len(body)})
    return [body[start:end] for start, end in zip([0, *ends], ends, strict=False)]


def by_the_standard(body: str) -> list[Event]:
    """Interpret a whole stream as the standard's text does, a line at a time."""
    found, held, kind = [], list[str](), ""
    for line in [*re.split("\r\n|\r|\n", body.removeprefix("\ufeff")), ""]:
        name, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if not line:
            if any(held) or len(held) > 1:
                found.append(Event("\n".join(held), kind))
            held, kind = [], ""
        elif name == "data":
            held.append(value)
        elif name == "event":
            kind = value
    return found


@given(st.lists(st.tuples(FIELDS, TEXT, ENDS), max_size=12), st.lists(st.integers(0, 500)))
async def test_events_do_not_depend_on_the_cuts(
    parts: Sequence[tuple[str, str, str]], places: list[int]
) -> None:
    """Not inside a character, and not between CR and LF; and they are those of the standard."""
    text = "".join(name + value.lstrip("{[<") + end for name, value, end in parts)
    body = text.encode()
    if re.search(r"(^|[\r\n])\s*(\{|\[\{|<)", text):
        return

    assert await events(*cut(body, places)) == await events(body) == by_the_standard(text)


@given(
    st.text(max_size=60).map(lambda text: text.encode(errors="replace")),
    st.lists(st.integers(0, 200)),
)
async def test_lines_do_not_depend_on_the_cuts(body: bytes, places: list[int]) -> None:
    """Nothing is lost and nothing invented; only a line feed ends a line."""
    expected = body.decode().removeprefix("\ufeff").split("\n")

    assert await read(*cut(body, places)) == (expected if expected[-1] else expected[:-1])


@example(b"\xef", [])
@example(b"\xef\xbb\xbf\xef\xbb\xbf", [1, 2])
@given(st.binary(max_size=60), st.lists(st.integers(0, 200)))
async def test_bytes_that_are_no_utf8_are_replaced(body: bytes, places: list[int]) -> None:
    """Alike for every cut, and the rest is read."""
    whole = body.removeprefix(b"\xef\xbb\xbf").decode(errors="replace").split("\n")

    assert await read(*cut(body, places)) == (whole if whole[-1] else whole[:-1])


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b"data: a\n\n", ["a"]),
        (b"\xef\xbb\xbfdata: a\n\n", ["a"]),
        (b"data:a\r\n\r\n", ["a"]),
        (b"data:  a\r\r", [" a"]),
        (b"data: a\ndata:\ndata: b\n\n", ["a\n\nb"]),
        (b": alive\n\ndata: a\n\n", ["a"]),
        (b"retry: 3\n\nid: 1\n\nevent: x\n\ndata:\n\ndata\n\n", []),
        (b"event: gone\n\ndata: a\n\n", ["a"]),
        (b"data: a\xe2\x80\xa8b\xc2\x85c\n\n", ["a\u2028b\x85c"]),
        (b"data: a", ["a"]),
        (b"data: [DONE]\n\n[DONE]\n", ["[DONE]"]),
        (b"", []),
    ],
)
async def test_fields(body: bytes, expected: list[str]) -> None:
    """What is data is kept, and what is none is no event."""
    assert await data(body) == expected


async def test_a_type_is_of_one_event() -> None:
    """The next has its own or none."""
    body = b"event: ping\nid: 7\ndata: a\n\ndata: b\n\n"

    assert await events(body) == [Event("a", "ping"), Event("b")]


async def test_an_event_of_a_type_without_data_is_told_on_demand() -> None:
    """Where types have a meaning, it is a damaged one."""
    body = pieces(b"event: delta\n\ndata:\n\nid: 1\n\n")

    assert [event async for event in event_stream(body, empty=True)] == [Event("", "delta")]


ERROR = {"error": {"message": "no more water", "type": "billing_error"}}


@pytest.mark.parametrize("text", [json.dumps(ERROR), json.dumps(ERROR, indent=2)])
@pytest.mark.parametrize("before", [b"", b'data: {"a": 1}\n\n'])
async def test_json_in_place_of_events_is_the_error_that_it_reports(
    text: str, before: bytes
) -> None:
    """At the beginning or after events, which are handed on."""
    seen: list[str] = []
    with pytest.raises(QuotaExceededError, match="no more water"):
        await read_into(seen, before, text.encode())

    assert seen == (['{"a": 1}'] if before else [])


@pytest.mark.parametrize("indent", [None, 2])
async def test_an_object_in_place_of_events_is_one_on_demand(indent: int | None) -> None:
    """However long it is; after events it is none."""
    said = {"text": "Goethe " * 20_000}
    body = json.dumps(said, indent=indent).encode()
    [event] = [event async for event in event_stream(pieces(body), whole=True)]

    assert json.loads(event.data) == said
    for other in (b"data: 1\n\n" + body, b"<html>" + body):
        with pytest.raises(UnavailableError):
            [event async for event in event_stream(pieces(other), whole=True)]


async def test_a_page_in_place_of_events_says_its_first_words() -> None:
    """It is worth another attempt: gateways show one while a service starts."""
    page = b"<html>\n<title>Sign in</title>\n<body>no more water</body></html>"
    with pytest.raises(UnavailableError, match="Sign in no more water"):
        await events(page)


async def test_what_is_no_stream_is_kept_up_to_a_limit() -> None:
    """However long it is."""
    with pytest.raises(ProviderError) as caught:
        await events(*[b"<p>words</p>\n" * 1000] * 100)

    assert len(str(caught.value)) < 600


async def test_a_line_without_an_end_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is not kept until memory is full."""
    monkeypatch.setattr(_readers, "_LONGEST_LINE", 1000)
    for reading in (event_stream, lines):
        with pytest.raises(InterruptedStreamError, match="1000 characters"):
            [one async for one in reading(pieces(*[b"data: " + b"x" * 100] * 20))]


async def test_time_is_linear_in_the_length_of_a_line() -> None:
    """A line of a million characters in a hundred thousand pieces takes no minutes."""
    parts = [b"0123456789"] * 100_000
    began = time.perf_counter()
    assert await read(*parts) == ["0123456789" * 100_000]
    assert await data(b"data: ", *parts) == ["0123456789" * 100_000]

    assert time.perf_counter() - began < 10


async def test_a_body_is_read_to_its_end() -> None:
    """So that its connection can be used again."""
    body = pieces(b"a", b"b", b"c")
    await anext(body)
    await drained(body)

    with pytest.raises(StopAsyncIteration):
        await anext(body)


async def test_a_body_that_fails_after_the_answer_is_let_be() -> None:
    """The answer was complete."""

    async def failing() -> AsyncIterator[bytes]:
        yield b""
        raise ConnectionResetError

    await drained(failing())


@pytest.mark.parametrize(
    "event",
    [
        Event("null"),
        Event(" "),
        Event("\n"),
        Event("", "ping"),
        Event("{}", "ping"),
        Event("1", "keepalive"),
    ],
)
def test_a_sign_of_life_says_nothing(event: Event) -> None:
    """Whatever its data are."""
    assert event.says_nothing


@pytest.mark.parametrize("event", [Event("{}"), Event("0"), Event('"null"'), Event("a", "delta")])
def test_what_has_data_says_something(event: Event) -> None:
    """Though it be little."""
    assert not event.says_nothing


@pytest.mark.parametrize(
    "line", [b'error: {"message": "no more water", "code": 402}', b'ta: {"a": 2}']
)
async def test_json_under_another_name_is_no_event(line: bytes) -> None:
    """It is an error of the service, or a damaged piece; other fields are skipped."""
    seen: list[str] = []
    with pytest.raises(ProviderError):
        await read_into(seen, b'foo: bar\n\ndata: {"a": 1}\n\n' + line + b"\n\n")

    assert seen == ['{"a": 1}']
