"""Records: what they hold, refuse, and show."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import attrs
import pytest

import ragcore
from ragcore import Image, Message, Usage

PNG = b"\x89PNG\r\n\x1a\n" + bytes(20)


@pytest.mark.parametrize(
    ("data", "media_type"),
    [
        (PNG, "image/png"),
        (b"\xff\xd8\xff\xe0", "image/jpeg"),
        (b"GIF87a", "image/gif"),
        (b"GIF89a", "image/gif"),
        (b"RIFF1234WEBPVP8 ", "image/webp"),
    ],
)
def test_an_image_is_known_by_its_first_bytes(data: bytes, media_type: str) -> None:
    """Whatever the file is called."""
    assert Image.from_bytes(data) == Image(data, media_type=media_type)


@pytest.mark.parametrize("data", [b"", b"<svg/>", b"RIFF1234WAVE"])
def test_unknown_bytes_are_refused(data: bytes) -> None:
    """A format is named by the caller, or not guessed."""
    with pytest.raises(ValueError, match="media_type="):
        Image.from_bytes(data)

    assert Image.from_bytes(data, "image/svg+xml").media_type == "image/svg+xml"


def test_an_image_is_read_at_once(tmp_path: Path) -> None:
    """A file that is gone later does no harm."""
    path = tmp_path / "picture"
    path.write_bytes(PNG)

    image = Image.from_path(path)
    path.unlink()

    assert image.data == PNG


def test_base64_is_decoded_bare_wrapped_and_as_data_url() -> None:
    """All spellings give the same picture."""
    text = base64.b64encode(PNG).decode()
    wrapped = f"{text[:9]}\n {text[9:]}"

    assert Image.from_base64(text) == Image.from_bytes(PNG)
    assert Image.from_base64(wrapped) == Image.from_bytes(PNG)
    assert Image.from_base64(f"data:image/png;base64,{text}") == Image.from_bytes(PNG)
    assert Image.from_url(f"data:;charset=x;base64,{text}") == Image.from_bytes(PNG)


def test_a_data_url_says_its_type() -> None:
    """The declared type is believed."""
    text = base64.b64encode(b"<svg/>").decode()

    assert Image.from_url(f"data:image/svg+xml;base64,{text}").media_type == "image/svg+xml"


@pytest.mark.parametrize("text", ["not base64!", "data:image/png,raw", "AAA"])
def test_bad_base64_is_refused(text: str) -> None:
    """A ValueError, whatever is wrong."""
    with pytest.raises(ValueError, match="base64"):
        Image.from_base64(text)


def test_an_image_is_bytes_or_an_address() -> None:
    """Not both, not neither."""
    assert Image.from_url("https://a.b/c.png").data is None
    with pytest.raises(ValueError, match="either"):
        Image(None)
    with pytest.raises(ValueError, match="either"):
        Image(PNG, url="https://a.b/c.png")


def test_an_image_has_an_address_in_any_case() -> None:
    """Its own, or a data URL that holds its bytes and its type."""
    image = Image.from_bytes(PNG)

    assert Image.from_url("https://a.b/c.png").data_url == "https://a.b/c.png"
    assert image.data_url == f"data:image/png;base64,{base64.b64encode(PNG).decode()}"
    assert Image.from_url(image.data_url) == image


def test_bytes_are_counted_and_not_shown() -> None:
    """A repr with a megabyte of picture helps nobody."""
    assert repr(Image.from_bytes(PNG)) == (
        "Image(data=<28 bytes>, url=None, media_type='image/png')"
    )


def test_messages_are_made_by_role() -> None:
    """The helpers say who speaks."""
    assert ragcore.system("Be kind.") == Message("system", "Be kind.")
    assert ragcore.user("Hi", images=[Image.from_bytes(PNG)]).images == (Image.from_bytes(PNG),)
    assert ragcore.assistant("Hello") == Message("assistant", "Hello")


@pytest.mark.parametrize(
    ("role", "content", "images"),
    [("tool", "x", ()), ("user", None, ()), ("user", b"x", ()), ("user", "x", ["a.png"])],
)
def test_a_message_checks_itself(role: Any, content: Any, images: Any) -> None:
    """A role, a text and images, or an error where the mistake is."""
    with pytest.raises((ValueError, TypeError)):
        Message(role, content, images=images)


@pytest.mark.parametrize("record", [ragcore.Completion, ragcore.Chunk])
def test_finish_reason_is_one_of_three(record: Any) -> None:
    """A plugin has to translate its service's words."""
    with pytest.raises(ValueError, match="tool_calls"):
        record("text", finish_reason="tool_calls")


@pytest.mark.parametrize(
    "record",
    [value for value in vars(ragcore).values() if attrs.has(value)],
    ids=lambda r: r.__name__,
)
def test_a_record_takes_two_values_by_position_at_most(record: Any) -> None:
    """Fields can be added, and changed in order, without breaking anyone."""
    by_position = [field.name for field in attrs.fields(record) if not field.kw_only]

    assert len(by_position) <= 2


def used(read: int, written: int, cached: int, thought: int) -> Usage:
    return Usage(read, written, cached_input_tokens=cached, reasoning_tokens=thought)


def test_usage_adds_up() -> None:
    """Every field is summed; the total is input and output, which contain the others."""
    total = used(1, 2, 3, 4) + used(10, 20, 30, 40)

    assert total == used(11, 22, 33, 44)
    assert total.total_tokens == 33


@pytest.mark.parametrize(
    "bad",
    [
        {"attempts": 0},
        {"attempt_timeout": 0},
        {"attempt_timeout": -1},
        {"wait_initial": -1},
        {"wait_max": -0.1},
    ],
)
def test_retry_refuses_the_impossible(bad: dict[str, Any]) -> None:
    """No attempt at all is not persistence."""
    with pytest.raises(ValueError, match=next(iter(bad))):
        ragcore.Retry(**bad)


def test_records_are_frozen() -> None:
    """Made once, changed by `attrs.evolve` only."""
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        Usage(1).input_tokens = 2  # type: ignore[misc]  # that is the point
