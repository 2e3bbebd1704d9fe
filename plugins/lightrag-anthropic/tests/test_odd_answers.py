"""What gateways and services send beside what the page of the API has: somebody's reports."""

from __future__ import annotations

import json
from typing import Any

import pytest
from anthropic_double import MODEL, AnthropicService, asked, encoded, events, message

import ragcore
from ragcore import ContentFilterError, InterruptedStreamError, UnavailableError, Usage
from ragcore.testing.server import Answer, Failure, Raw

GOETHE = [encoded(event) for event in events(MODEL, Answer(pieces=("Goe", "the")))]
BEGUN, PINGED, OPENED, GOE, THE, CLOSED, STOPPED, DONE = GOETHE
whole_and_streamed = pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])


def saying(**fields: Any) -> Raw:
    """Return a message in one piece."""
    return Raw(json.dumps(message(MODEL, Answer()) | fields).encode())


def streaming(*said: bytes) -> Raw:
    return Raw(b"".join(said), "text/event-stream")


def stopping(**fields: Any) -> bytes:
    """Return the event that says why the answer ended."""
    usage = fields.pop("usage", {"output_tokens": 2})
    return encoded({"type": "message_delta", "delta": fields, "usage": usage})


async def answered(reply: Raw, *, stream: bool = False) -> ragcore.Completion:
    async with AnthropicService(reply).running() as service, asked(service) as model:
        if not stream:
            return await model.complete("Who?")
        async with model.stream("Who?") as chunks:
            async for _ in chunks:
                pass
        return chunks.completion


@pytest.mark.parametrize("place", [0, 1, 4, 7])
@pytest.mark.parametrize(
    "nothing",
    [
        b"data: null\n\n",
        b"data:\n\n",
        b"event: ping\ndata: {}\n\n",
        b"event: keepalive\ndata: still here\n\n",
        b": a comment\n\n",
        b"retry: 3000\n\nid: 7\n\n",
    ],
)
async def test_signs_of_life_are_no_content(nothing: bytes, place: int) -> None:
    """They may come before, between and after the words."""
    answer = await answered(streaming(*GOETHE[:place], nothing, *GOETHE[place:]), stream=True)

    assert (answer.text, answer.finish_reason) == ("Goethe", "stop")


@pytest.mark.parametrize("end", [[STOPPED], [STOPPED, b"data: [DONE]\n\n"]], ids=["none", "done"])
async def test_an_end_after_the_reason_is_an_end(end: list[bytes]) -> None:
    """Gateways leave the last event out, or end as OpenAI does."""
    answer = await answered(streaming(*GOETHE[:6], *end), stream=True)

    assert (answer.text, answer.finish_reason) == ("Goethe", "stop")


@pytest.mark.parametrize("kind", ["application/json", "text/event-stream", ""])
@pytest.mark.parametrize("indent", [None, 2])
async def test_an_answer_that_was_not_streamed_is_the_answer(kind: str, indent: int | None) -> None:
    """A gateway that does not know of streams answers in JSON, whatever it calls it."""
    said = message(MODEL, Answer("Goethe", reasoning="Hm."))
    answer = await answered(Raw(json.dumps(said, indent=indent).encode(), kind), stream=True)

    assert (answer.text, answer.reasoning, answer.finish_reason) == ("Goethe", "Hm.", "stop")
    assert answer.usage == Usage(7, 2)


@pytest.mark.parametrize(
    ("usage", "wanted"),
    [
        ({}, None),
        ([], None),
        (None, None),
        ("many", None),
        ({"input_tokens": None}, None),
        ({"input_tokens": "3", "output_tokens": -1}, None),
        ({"input_tokens": True, "output_tokens": 10**400}, None),
        ({"input_tokens": 3.0, "output_tokens_details": []}, Usage(3)),
        ({"input_tokens": 3, "cache_read_input_tokens": "1"}, Usage(3)),
    ],
)
@whole_and_streamed
async def test_odd_usage_is_no_reason_to_fail(usage: Any, wanted: Any, stream: bool) -> None:
    """What can't be counted is not counted."""
    begun = encoded({"type": "message_start", "message": {"usage": usage}})
    stopped = stopping(stop_reason="end_turn", usage=usage)
    streamed = streaming(begun, OPENED, GOE, THE, CLOSED, stopped, DONE)
    answer = await answered(streamed if stream else saying(usage=usage), stream=stream)

    assert (answer.text, answer.usage) == ("Goethe", wanted)


@pytest.mark.parametrize(
    "content",
    [
        "Goethe",
        ["Goe", "the"],
        [None, {"type": "text", "text": None}, {"type": "text", "text": "Goethe"}],
        [{"text": "Goethe"}],
        [{"type": "text", "text": [{"type": "text", "text": "Goethe"}]}],
        [{"type": "text", "text": ""}, {"type": "text", "text": "Goethe"}, {"type": "novelty"}],
        [{"type": "redacted_thinking", "data": "x"}, {"type": "text", "text": "Goethe"}],
        {"type": "text", "text": "Goethe"},
    ],
    ids=str,
)
@whole_and_streamed
async def test_content_may_have_any_shape(content: Any, stream: bool) -> None:
    """Texts are the answer, blank blocks and those of other kinds are nothing."""
    answer = await answered(saying(content=content), stream=stream)

    assert (answer.text, answer.reasoning) == ("Goethe", "")


@pytest.mark.parametrize("text", [None, "Goethe", ["Goethe"], {"value": "Goethe"}])
async def test_a_piece_may_have_any_shape(text: Any) -> None:
    """An empty one is none."""
    piece = {"type": "content_block_delta", "delta": {"type": "text_delta", "text": text}}
    said = [encoded(piece), *([] if text else [GOE, THE])]
    answer = await answered(streaming(BEGUN, OPENED, *said, CLOSED, STOPPED, DONE), stream=True)

    assert answer.text == "Goethe"


@pytest.mark.parametrize(
    ("word", "reason"),
    [
        ("end_turn", "stop"),
        ("tool_use", "stop"),
        ("STOP", "stop"),
        ("max_tokens", "length"),
        ("model_context_window_exceeded", "length"),
        ("safety", "content_filter"),
    ],
)
@whole_and_streamed
async def test_other_words_for_the_end_are_known(word: str, reason: str, stream: bool) -> None:
    """Those of other services, behind gateways."""
    streamed = streaming(*GOETHE[:6], stopping(stop_reason=word), DONE)
    answer = await answered(streamed if stream else saying(stop_reason=word), stream=stream)

    assert (answer.text, answer.finish_reason) == ("Goethe", reason)


@pytest.mark.parametrize("word", ["pause_turn", "novelty", 7, ["end_turn"]])
@whole_and_streamed
async def test_an_unknown_word_for_the_end_keeps_the_text(word: Any, stream: bool) -> None:
    """The answer may be cut; what there is of it is on the error."""
    streamed = streaming(*GOETHE[:6], stopping(stop_reason=word), DONE)
    with pytest.raises(InterruptedStreamError, match="is not known") as caught:
        await answered(streamed if stream else saying(stop_reason=word), stream=stream)

    assert caught.value.text == "Goethe"


@pytest.mark.parametrize("details", [None, [], "no", {"explanation": 7}])
@whole_and_streamed
async def test_odd_details_of_the_end_are_none(details: Any, stream: bool) -> None:
    """A refusal stays one."""
    stopped = {"stop_reason": "refusal", "stop_details": details}
    streamed = streaming(BEGUN, stopping(**stopped), DONE)
    with pytest.raises(ContentFilterError):
        await answered(streamed if stream else saying(content=[], **stopped), stream=stream)


@pytest.mark.parametrize(
    "damaged",
    [
        b"data: {\n\n",
        b"data: " + b"[" * 5_000 + b"\n\n",
        b'data: {"index": ' + b"9" * 5_000 + b"}\n\n",
        b'ta: {"type": "content_block_delta"}\n\n',
        b'data: {"index": 0}\n\n',
        b'data: {"type": 7}\n\n',
        b"data: [{}]\n\n",
        b"data: 7\n\n",
        b'data: {"type": "content_block_delta"}\n\n',
        b'data: {"type": "content_block_delta", "delta": null}\n\n',
        b'data: {"type": "content_block_delta", "delta": {"text": "the"}}\n\n',
        b'data: {"type": "content_block_delta", "delta": {"type": "text_delta"}}\n\n',
        b'data: {"type": "content_block_delta", "delta": {"type": "text_delta", "text": 3}}\n\n',
        b'data: {"type": "content_block_start", "content_block": 3}\n\n',
        b'data: {"type": "message_delta", "delta": "end_turn"}\n\n',
        b"event: content_block_delta\ndata: null\n\n",
    ],
)
async def test_a_damaged_piece_breaks_the_stream(damaged: bytes) -> None:
    """It is not left out, with the rest passed for the whole answer; before it, nothing is lost."""
    with pytest.raises(InterruptedStreamError) as caught:
        await answered(streaming(*GOETHE[:4], damaged, *GOETHE[4:]), stream=True)
    with pytest.raises(UnavailableError) as first:
        await answered(streaming(damaged, *GOETHE), stream=True)

    assert caught.value.text == "Goe"
    assert first.value.attempts == 3


async def test_a_page_says_its_first_words() -> None:
    """And who was asked: a portal may have answered."""
    page = Raw(b"<html>\n<title>Portal</title>\n<p>Sign in", "text/html")
    with pytest.raises(UnavailableError, match=r"Portal Sign in.*is base_url= right"):
        await answered(page)
    with pytest.raises(UnavailableError, match="Portal Sign in"):
        await answered(page, stream=True)


async def test_a_missing_model_is_no_wrong_address() -> None:
    """The service says what is missing."""
    missing = Failure(404, "model: claude-novelty")
    async with AnthropicService(missing).running() as service, asked(service) as model:
        with pytest.raises(ragcore.NotFoundError) as caught:
            await model.complete("Who?")

    assert "base_url" not in str(caught.value)
