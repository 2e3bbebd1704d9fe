"""What answers say is read in whatever shape services put it."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from ragcore import InterruptedStreamError, ProviderError, RateLimitError, UnavailableError
from ragcore.wire import (
    count,
    counted,
    decoded,
    finish_reason,
    object_in,
    table,
    text_and_thoughts,
    unlike,
    vector,
)

DEEP = json.loads("[" * 900 + "]" * 900)


@pytest.mark.parametrize(
    ("body", "wanted"),
    [
        ('{"a": 1}', {"a": 1}),
        (b"\xef\xbb\xbf[1]", [1]),
        ('{"ä": null}'.encode("utf-16"), {"ä": None}),
        (b'{"a": "\xff"}', {"a": "\N{REPLACEMENT CHARACTER}"}),
        ('"\\ud800"', "\ud800"),
    ],
)
def test_json_is_decoded(body: str | bytes, wanted: Any) -> None:
    """In any encoding, and with bytes replaced that have none."""
    assert decoded(body) == wanted


@pytest.mark.parametrize(
    "body", ["", '{"a"', "[" * 100_000, "9" * 5_000, "[" + "9" * 5_000 + "]", b"\x1f\x8b\x08"]
)
def test_what_is_no_json_may_come_whole_next_time(body: str | bytes) -> None:
    """Whatever keeps it from being read."""
    with pytest.raises(UnavailableError):
        decoded(body)


def test_a_page_says_what_is_wrong() -> None:
    """Its words name the class, which those of a broken answer don't."""
    with pytest.raises(RateLimitError, match="Too many requests"):
        decoded("<html><h1>Too many requests</h1></html>")
    with pytest.raises(UnavailableError):
        decoded('{"text": "Too many requests')


@pytest.mark.parametrize(
    ("content", "wanted"),
    [
        (None, ("", "")),
        ("Goethe", ("Goethe", "")),
        ([], ("", "")),
        (["Goe", None, "the"], ("Goethe", "")),
        ([{"type": "text", "text": "Goe"}, {"text": "the"}], ("Goethe", "")),
        ({"type": "output_text", "text": "Goethe"}, ("Goethe", "")),
        ({"type": "text", "text": {"value": "Goethe", "annotations": []}}, ("Goethe", "")),
        ([{"type": "thinking", "thinking": "Hm."}, "Goethe"], ("Goethe", "Hm.")),
        ([{"type": "thinking", "thinking": [{"type": "text", "text": "Hm."}]}], ("", "Hm.")),
        ([{"type": "reasoning", "text": "Hm."}], ("", "Hm.")),
        ([{"type": "reference", "reference_ids": [1]}, "Goethe"], ("Goethe", "")),
    ],
)
def test_content_is_text_and_thoughts(content: Any, wanted: tuple[str, str]) -> None:
    """Parts that are neither have no text."""
    assert text_and_thoughts(content) == wanted


@pytest.mark.parametrize("content", [3, True, {}, {"te": "Goethe"}, [3], {"text": 3}])
def test_content_that_is_none_is_damaged(content: Any) -> None:
    """It is not taken for an empty text."""
    with pytest.raises(UnavailableError, match="no content"):
        text_and_thoughts(content)


@pytest.mark.parametrize("content", [DEEP, [{"type": "thinking", "thinking": DEEP}]])
def test_content_has_an_end(content: Any) -> None:
    """Deeper than any service nests it."""
    with pytest.raises(UnavailableError, match="nested too deep"):
        text_and_thoughts(content)


@pytest.mark.parametrize(
    ("word", "reason"),
    [
        ("stop", "stop"),
        ("STOP", "stop"),
        ("end_turn", "stop"),
        ("eos_token", "stop"),
        ("tool_calls", "stop"),
        ("MAX_TOKENS", "length"),
        ("model_length", "length"),
        ("SAFETY", "content_filter"),
        ("content_filter", "content_filter"),
    ],
)
def test_words_for_the_end_are_known(word: str, reason: str) -> None:
    """In any case."""
    assert finish_reason(word) == reason


@pytest.mark.parametrize("word", ["tired", "", None, 3, {}, ["stop"]])
def test_an_unknown_word_for_the_end_keeps_the_text(word: Any) -> None:
    """The answer may be cut."""
    with pytest.raises(InterruptedStreamError, match="not known") as caught:
        finish_reason(word, "Goe")

    assert caught.value.text == "Goe"


@pytest.mark.parametrize("word", ["abort", "ERROR", "network_error"])
def test_a_breakdown_is_an_outage(word: str) -> None:
    """Another attempt may end otherwise."""
    with pytest.raises(UnavailableError, match=word.lower()):
        finish_reason(word)


@pytest.mark.parametrize(
    ("usage", "wanted"),
    [
        ({"a": {"b": 3}}, 3),
        ({"a": {"b": 3.0}}, 3),
        ({"a": {"b": "3"}}, None),
        ({"a": {"b": True}}, None),
        ({"a": {"b": -1}}, None),
        ({"a": {"b": float("nan")}}, None),
        ({"a": {"b": float("inf")}}, None),
        ({"a": {"b": 10**400}}, None),
        ({"a": []}, None),
        ({}, None),
        (None, None),
    ],
)
def test_a_count_is_a_number_of_tokens(usage: Any, wanted: int | None) -> None:
    """Anything else counts nothing."""
    assert count(usage, "a", "b") == wanted


def test_a_vector_is_made_of_numbers() -> None:
    """It comes as float32."""
    found = vector(json.loads("[1, 0.5]"))

    assert found.dtype == np.float32
    assert found.tolist() == [1.0, 0.5]


@pytest.mark.parametrize(
    "numbers", [["1"], [True], [1.0, True], [None], [[1.0]], [], {}, "1", None, 1.0, [10**400]]
)
def test_what_is_no_vector_is_refused(numbers: Any) -> None:
    """Though numpy would take some of it."""
    with pytest.raises(ProviderError):
        vector(numbers)


def test_a_number_that_is_too_large_is_infinite() -> None:
    """The host refuses it; nothing warns."""
    assert np.isinf(vector([1e39])).all()


def test_an_answer_is_an_object() -> None:
    """What else comes in JSON is said, and may be whole next time."""
    assert object_in(b'{"a": 1}', "message") == {"a": 1}
    for body in ("[]", "null", "7", json.dumps(DEEP)):
        with pytest.raises(UnavailableError, match="what came back is no message: "):
            object_in(body, "message")


def test_what_an_answer_says_names_its_class() -> None:
    """Though it is none."""
    error = unlike({"message": "rate limit reached", "code": 429}, "message")

    assert type(error) is RateLimitError
    assert error.args == ("what came back is no message: rate limit reached",)


def test_a_table_has_a_row_for_each_text() -> None:
    """Of the same length as the others."""
    one, two = np.ones(1, np.float32), np.ones(2, np.float32)

    assert table([one, one], 2).tolist() == [[1.0], [1.0]]
    for vectors in ([], [one], [one, two], [one] * 3):
        with pytest.raises(ProviderError, match="came back"):
            table(vectors, 2)


@pytest.mark.parametrize(
    ("said", "tokens"),
    [("3", 3), ("0", 0), ("", None), ("-1", None), ("1.5", None), ("9" * 5_000, None)],
)
def test_a_header_may_count_tokens(said: str, tokens: int | None) -> None:
    """In digits, and in no more of them than a count has."""
    assert counted({"x-tokens": said}, "x-tokens") == tokens
    assert counted({}, "x-tokens") is None
