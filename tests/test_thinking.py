"""Reasoning between tags, apart from the text."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from ragcore import ThinkingSplitter, split_thinking

PIECES = ["<think>", "</think>", "<", "a", " ", "\n", "th", "k>"]


@pytest.mark.parametrize(
    ("answer", "text", "reasoning"),
    [
        ("Paris.", "Paris.", ""),
        ("<think>France…</think>Paris.", "Paris.", "France…"),
        ("\n<think>\nFrance…\n</think>\n\nParis.\n", "Paris.\n", "France…"),
        ("<think></think>Paris.", "Paris.", ""),
        ("<think>never closed", "", "never closed"),
        ("The tag <think> opens, </think> closes.", "The tag <think> opens, </think> closes.", ""),
        ("<thin air>", "<thin air>", ""),
        ("<think>a < b </thin> c</think>d", "d", "a < b </thin> c"),
        ("<thi", "<thi", ""),
        ("  ", "  ", ""),
        ("", "", ""),
    ],
)
def test_reasoning_is_parted_from_the_text(answer: str, text: str, reasoning: str) -> None:
    """Only at the beginning, and without the white space around it."""
    assert split_thinking(answer) == (text, reasoning)


@example(answer="<think> <think>", cuts=[7])
@given(
    answer=st.lists(st.sampled_from(PIECES)).map("".join),
    cuts=st.lists(st.integers(0, 60)),
)
def test_how_a_stream_is_cut_changes_nothing(answer: str, cuts: list[int]) -> None:
    """Tags may be broken over any number of pieces."""
    splitter = ThinkingSplitter()
    ends = [*sorted(cuts), len(answer)]
    pieces = [answer[a:b] for a, b in zip([0, *ends], ends, strict=False)]
    parts = [splitter.feed(piece) for piece in pieces] + [splitter.end()]
    joined = ("".join(text for text, _ in parts), "".join(thought for _, thought in parts))

    assert joined == split_thinking(answer)


def test_text_comes_as_soon_as_it_can() -> None:
    """Nothing is held back that can't be part of a tag."""
    splitter = ThinkingSplitter()

    assert splitter.feed("<think>one") == ("", "one")
    assert splitter.feed(" two") == ("", " two")
    assert splitter.feed(" <") == ("", "")
    assert splitter.feed("three</think>") == ("", " <three")
    assert splitter.feed("\nfour") == ("four", "")
    assert splitter.feed(" <think>") == (" <think>", "")
