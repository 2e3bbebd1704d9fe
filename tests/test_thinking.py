"""Reasoning between tags, apart from the text."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

import ragcore
from ragcore import Capabilities, Chunk, Completion, ThinkingSplitter, split_thinking
from ragcore.testing import Script, scripted

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


@pytest.mark.parametrize(
    ("answer", "text", "reasoning"),
    [
        ("France…\n</think>\n\nParis.", "Paris.", "France…"),
        ("<think>France…</think>Paris.", "Paris.", "France…"),
        ("</think>Paris.", "Paris.", ""),
        ("never closed", "", "never closed"),
        ("<thi", "", "<thi"),
        (" a < b </thin> c</think>d", "d", "a < b </thin> c"),
        ("", "", ""),
    ],
)
def test_the_prompt_may_have_opened_the_reasoning(answer: str, text: str, reasoning: str) -> None:
    """The text begins within, with the tag or without it."""
    assert split_thinking(answer, opened=True) == (text, reasoning)


@example(answer="</think>", cuts=[1])
@given(
    answer=st.lists(st.sampled_from(PIECES)).map("".join),
    cuts=st.lists(st.integers(0, 60)),
)
def test_how_an_opened_stream_is_cut_changes_nothing(answer: str, cuts: list[int]) -> None:
    """Tags may be broken over any number of pieces."""
    splitter = ThinkingSplitter(opened=True)
    ends = [*sorted(cuts), len(answer)]
    pieces = [answer[a:b] for a, b in zip([0, *ends], ends, strict=False)]
    parts = [splitter.feed(piece) for piece in pieces] + [splitter.end()]
    joined = ("".join(text for text, _ in parts), "".join(thought for _, thought in parts))

    assert joined == split_thinking(answer, opened=True)


async def answered(text: str, **options: Any) -> Completion:
    async with ragcore.completion("scripted:any", script=Script(text), **options) as model:
        return await model.complete("Who?")


OPENED = "Faust, so it is him.\n</think>\n\nGoethe"


@pytest.mark.parametrize("tags", [True, "open"])
async def test_reasoning_that_the_chat_template_opened_is_apart(tags: Any) -> None:
    """A whole answer that closes what it has not opened began within."""
    with scripted(Capabilities(think_tags=tags)):
        answer = await answered(OPENED)

    assert (answer.text, answer.reasoning) == ("Goethe", "Faust, so it is him.")


async def test_a_text_that_speaks_of_both_tags_is_text() -> None:
    """It closes what it has opened itself."""
    with scripted(Capabilities(think_tags=True)):
        answer = await answered("The tag <think> opens, </think> closes.")

    assert answer.reasoning == ""


@pytest.mark.parametrize("by_option", [False, True])
async def test_a_stream_that_begins_within_the_reasoning_is_told_so(by_option: bool) -> None:
    """By the capability of the model or by the option; until the tag, nothing is text."""
    options: dict[str, Any] = {"think_tags": "open"} if by_option else {}
    script = Script(["Faust, ", "so.</th", "ink>\n\nGoe", "the", Chunk(finish_reason="stop")])
    with scripted(Capabilities(think_tags=by_option or "open")):
        async with (
            ragcore.completion("scripted:any", script=script, **options) as model,
            model.stream("Who?") as chunks,
        ):
            seen = [(chunk.text, chunk.reasoning) async for chunk in chunks]

    assert [text for text, _ in seen if text] == ["Goe", "the"]
    assert chunks.completion.reasoning == "Faust, so."


async def test_the_option_goes_before_what_the_provider_says() -> None:
    """A provider may know nothing of tags."""
    with scripted(Capabilities()):
        answer = await answered(OPENED, think_tags="open")

    assert (answer.text, answer.reasoning) == ("Goethe", "Faust, so it is him.")
