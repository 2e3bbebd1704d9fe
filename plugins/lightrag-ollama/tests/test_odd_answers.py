"""What servers and gateways send beside what Ollama's page has: somebody's reports."""

from __future__ import annotations

import json
from typing import Any

import pytest
from ollama_double import OllamaService, completion, embedding

import ragcore
from ragcore import (
    EmptyResponseError,
    InterruptedStreamError,
    QuotaExceededError,
    UnavailableError,
    Usage,
)
from ragcore.testing.server import Answer, Failure, Raw

whole_and_streamed = pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])


def line(content: Any = "", **fields: Any) -> dict[str, Any]:
    return {"model": "m", "message": {"role": "assistant", "content": content}, **fields}


END = line(done=True, done_reason="stop", prompt_eval_count=7, eval_count=2)


def saying(*parts: Any, end: str = "\n") -> Raw:
    """Return a stream of these lines; bytes are sent as they are."""
    each = [part if isinstance(part, bytes) else json.dumps(part).encode() for part in parts]
    return Raw(end.encode().join([*each, b""]), "application/x-ndjson")


async def answered(
    reply: Raw, *, stream: bool = True, service: OllamaService | None = None
) -> ragcore.Completion:
    service = service or OllamaService(reply)
    async with service.running(), completion(service) as model:
        if not stream:
            return await model.complete("Who?")
        async with model.stream("Who?") as chunks:
            async for _ in chunks:
                pass
        return chunks.completion


@pytest.mark.parametrize("separator", ["\x85", "\u2028", "\u2029"])
@whole_and_streamed
async def test_only_a_line_feed_ends_a_line(separator: str, stream: bool) -> None:
    """Go's encoder escapes some of these, and gateways none."""
    text = json.dumps(line(f"Goe{separator}the"), ensure_ascii=False).encode()
    answer = await answered(saying(text, END), stream=stream)

    assert answer.text == f"Goe{separator}the"


@pytest.mark.parametrize("nothing", [b"", b"  ", b"null", b"\r"])
@pytest.mark.parametrize("place", [0, 1, 2])
@whole_and_streamed
async def test_signs_of_life_are_no_content(nothing: bytes, place: int, stream: bool) -> None:
    """They may come before, between and after the words."""
    said: list[Any] = [line("Goe"), line("the"), END]
    said.insert(place, nothing)
    answer = await answered(saying(*said), stream=stream)

    assert (answer.text, answer.finish_reason) == ("Goethe", "stop")


@pytest.mark.parametrize("end", ["\n", "\r\n"])
async def test_lines_may_end_as_on_windows(end: str) -> None:
    """And the body may begin with a byte order mark."""
    begun = b"\xef\xbb\xbf" + json.dumps(line("Goe")).encode()
    answer = await answered(saying(begun, line("the"), END, end=end))

    assert answer.text == "Goethe"


@pytest.mark.parametrize("kind", ["application/json", "application/x-ndjson", ""])
@pytest.mark.parametrize("indent", [None, 2])
@whole_and_streamed
async def test_an_answer_that_was_not_streamed_is_the_answer(
    kind: str, indent: int | None, stream: bool
) -> None:
    """A gateway that does not know of streams answers in JSON, whatever it calls it."""
    said = json.dumps(END | line("Goethe"), indent=indent).encode()
    answer = await answered(Raw(said, kind), stream=stream)

    assert (answer.text, answer.usage) == ("Goethe", Usage(7, 2))


@pytest.mark.parametrize("indent", [None, 2])
@whole_and_streamed
async def test_an_error_that_was_not_streamed_is_the_error(
    indent: int | None, stream: bool
) -> None:
    """As an object, too, which Ollama itself does not send."""
    error = {"error": {"message": "no more water", "type": "insufficient_quota"}}
    with pytest.raises(QuotaExceededError, match="no more water"):
        await answered(Raw(json.dumps(error, indent=indent).encode()), stream=stream)


@pytest.mark.parametrize(
    ("usage", "wanted"),
    [
        ({}, None),
        ({"prompt_eval_count": None}, None),
        ({"prompt_eval_count": "3", "eval_count": -1}, None),
        ({"prompt_eval_count": True, "eval_count": 10**400}, None),
        ({"prompt_eval_count": 3.0, "prompt_eval_cached_count": []}, Usage(3)),
        ({"eval_count": 2}, Usage(0, 2)),
    ],
)
@whole_and_streamed
async def test_odd_usage_is_no_reason_to_fail(usage: Any, wanted: Any, stream: bool) -> None:
    """What can't be counted is not counted."""
    end = line(done=True, done_reason="stop") | usage
    answer = await answered(saying(line("Goethe"), end), stream=stream)

    assert (answer.text, answer.usage) == ("Goethe", wanted)


@pytest.mark.parametrize(
    "content",
    [
        ["Goe", "the"],
        [{"type": "text", "text": "Goethe"}],
        [None, {"type": "text", "text": None}, {"type": "image_url"}, "Goethe"],
        {"type": "text", "text": "Goethe"},
    ],
    ids=str,
)
@whole_and_streamed
async def test_content_may_have_any_shape(content: Any, stream: bool) -> None:
    """Texts are the answer."""
    answer = await answered(saying(line(content), END), stream=stream)

    assert answer.text == "Goethe"


@whole_and_streamed
async def test_thoughts_may_be_a_part_of_the_content(stream: bool) -> None:
    """As other services have them, behind gateways."""
    thinking = {"type": "thinking", "thinking": "Hm."}
    answer = await answered(saying(line([thinking]), line("Goethe"), END), stream=stream)

    assert (answer.text, answer.reasoning) == ("Goethe", "Hm.")


@pytest.mark.parametrize("content", [None, [], ""])
@pytest.mark.parametrize("thinking", [None, 7, [], {}])
@whole_and_streamed
async def test_blank_content_is_none(content: Any, thinking: Any, stream: bool) -> None:
    """So are thoughts that are no text."""
    blank = line(content)
    blank["message"]["thinking"] = thinking
    answer = await answered(saying(blank, line("Goethe"), END), stream=stream)

    assert (answer.text, answer.reasoning) == ("Goethe", "")


@pytest.mark.parametrize("message", [{}, None, "", {"role": "assistant"}])
@whole_and_streamed
async def test_the_end_needs_no_message(message: Any, stream: bool) -> None:
    """All has been said by then."""
    answer = await answered(saying(line("Goethe"), END | {"message": message}), stream=stream)

    assert (answer.text, answer.finish_reason) == ("Goethe", "stop")


@pytest.mark.parametrize(
    ("word", "reason"),
    [
        ("stop", "stop"),
        ("STOP", "stop"),
        ("", "stop"),
        (None, "stop"),
        ("load", "stop"),
        ("end_turn", "stop"),
        ("max_tokens", "length"),
        ("safety", "content_filter"),
    ],
)
@whole_and_streamed
async def test_other_words_for_the_end_are_known(word: Any, reason: str, stream: bool) -> None:
    """Those of older servers, and of other services behind gateways."""
    end = line(done=True, done_reason=word)
    answer = await answered(saying(line("Goethe"), end), stream=stream)

    assert (answer.text, answer.finish_reason) == ("Goethe", reason)


@pytest.mark.parametrize("word", ["tired", 7, ["stop"]])
@whole_and_streamed
async def test_an_unknown_word_for_the_end_keeps_the_text(word: Any, stream: bool) -> None:
    """The answer may be cut; what there is of it is on the error."""
    end = line(done=True, done_reason=word)
    with pytest.raises(InterruptedStreamError, match="is not known") as caught:
        await answered(saying(line("Goethe"), end), stream=stream)

    assert caught.value.text == "Goethe"


@whole_and_streamed
async def test_a_server_that_has_loaded_the_model_and_no_more_says_so(stream: bool) -> None:
    """It does that where a conversation has nothing to answer, and would do it again."""
    service = OllamaService(saying(line(done=True, done_reason="load")))
    with pytest.raises(EmptyResponseError, match="nothing to answer"):
        await answered(saying(), stream=stream, service=service)

    assert len(service.requests) == 1


@pytest.mark.parametrize(
    "damaged",
    [
        b"{",
        b'{"model": "m", "mess',
        b'sage": {"content": "the"}}',
        b"[" * 5_000,
        b'{"created": ' + b"9" * 5_000 + b"}",
        b"[7]",
        b"7",
        b"{}",
        {"model": "m"},
        {"model": "m", "message": 7},
        {"model": "m", "message": "the"},
        line(7),
        line({"te": "the"}),
    ],
    ids=lambda value: str(value)[:20],
)
async def test_a_damaged_piece_breaks_the_stream(damaged: Any) -> None:
    """It is not left out, with the rest passed for the whole answer; before it, nothing is lost."""
    with pytest.raises(InterruptedStreamError) as caught:
        await answered(saying(line("Goe"), damaged, END))
    with pytest.raises(UnavailableError) as first:
        await answered(saying(damaged, line("Goe"), END))

    assert caught.value.text == "Goe"
    assert first.value.attempts == 3


@whole_and_streamed
async def test_a_page_says_its_first_words(stream: bool) -> None:
    """Whatever line they stand in."""
    page = Raw(b"<html>\n<title>Portal</title>\n<p>Sign in", "text/html")
    with pytest.raises(UnavailableError, match="Portal Sign in"):
        await answered(page, stream=stream)


async def test_vectors_may_have_any_content_type() -> None:
    """JSON is JSON, and its numbers need no point."""
    body = json.dumps({"embeddings": [[1, 2.5]], "prompt_eval_count": "3", "model": 7})
    service = OllamaService(Raw(body.encode(), "text/plain"))
    async with service.running(), embedding(service) as model:
        found = await model.embed(["a"])

    assert found.vectors.tolist() == [[1.0, 2.5]]
    assert (found.usage, found.model) == (None, None)


@pytest.mark.parametrize("body", [{"embeddings": None}, {"embedding": [1.0]}, {"embeddings": "x"}])
async def test_the_answer_of_another_api_names_the_address(body: Any) -> None:
    """Such as that of ``/api/embeddings``, which has one vector."""
    service = OllamaService(Raw(json.dumps(body).encode()))
    async with service.running(), embedding(service) as model:
        with pytest.raises(UnavailableError, match=r"no list of vectors.*is host= right"):
            await model.embed(["a"])


@pytest.mark.parametrize("models", [{}, {"models": None}, {"models": [7, {}, {"model": None}]}])
async def test_odd_lists_of_models_do_not_hide_that_one_is_missing(models: Any) -> None:
    """The list is an extra."""

    class Odd(OllamaService):
        def _about(self, request: Any) -> Any:
            return models

    service = Odd(Failure(404, "model 'x' not found"), Answer())
    async with service.running(), completion(service) as model:
        with pytest.raises(ragcore.NotFoundError, match="ollama pull"):
            await model.complete("Who?")
