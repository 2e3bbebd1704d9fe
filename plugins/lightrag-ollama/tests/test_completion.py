"""Completion and streaming over the wire."""

from __future__ import annotations

import asyncio
import base64
from typing import Any

import pytest
from ollama_double import MODEL, OllamaService, completion

import ragcore
from ragcore import (
    Chunk,
    ContentFilterError,
    EmptyResponseError,
    Image,
    InterruptedStreamError,
    JSONObject,
    ProviderError,
    RequestTimeoutError,
    Retry,
    TruncatedResponseError,
    UnavailableError,
    UnsupportedError,
    Usage,
)
from ragcore.testing.server import Answer, Broken, Failure

PICTURES = {
    "png": b"\x89PNG\r\n\x1a\n....",
    "jpeg": b"\xff\xd8\xff....",
    "gif": b"GIF89a....",
    "webp": b"RIFF....WEBPVP8 ",
}


async def read(service: OllamaService, **options: Any) -> tuple[list[Chunk], ragcore.Completion]:
    async with completion(service, **options) as model, model.stream("Who wrote Faust?") as chunks:
        return [chunk async for chunk in chunks], chunks.completion


async def test_an_answer_comes_with_its_usage_and_model() -> None:
    """Text, finish reason, Ollama's counters and the name that it says."""
    async with (
        OllamaService(Answer("Johann Wolfgang")).running() as service,
        completion(service) as model,
    ):
        answer = await model.complete("Who wrote Faust?", system="Be short.")

    assert (answer.text, answer.finish_reason) == ("Johann Wolfgang", "stop")
    assert answer.usage == Usage(7, 2)
    assert answer.model == MODEL
    assert service.requests[0].path == "/api/chat"
    assert service.requests[0].json["messages"] == [
        {"role": "system", "content": "Be short."},
        {"role": "user", "content": "Who wrote Faust?"},
    ]


async def test_a_stream_comes_in_pieces_and_ends_with_its_usage() -> None:
    """No empty chunk comes first; the last one has reason and usage."""
    async with OllamaService(Answer("Johann Wolfgang Goethe")).running() as service:
        chunks, answer = await read(service)

    assert [chunk.text for chunk in chunks] == ["Johann", " Wolfgang", " Goethe", ""]
    assert chunks[-1] == Chunk(finish_reason="stop", usage=Usage(7, 2))
    assert answer.text == "Johann Wolfgang Goethe"
    assert answer.usage == Usage(7, 2)


async def test_cached_tokens_are_counted() -> None:
    """They are among those of the input."""
    async with (
        OllamaService(Answer(input_tokens=40, cached_input_tokens=32)).running() as service,
        completion(service) as model,
    ):
        answer = await model.complete("Who?")
        _, streamed = await read(service)

    assert answer.usage == Usage(40, 2, cached_input_tokens=32)
    assert streamed.usage == answer.usage


async def test_what_is_not_set_is_not_sent() -> None:
    """A bare call has model, messages and nothing that would change the answer."""
    async with OllamaService(Answer()).running() as service, completion(service) as model:
        await model.complete("Who?")

    sent = service.requests[0].json
    assert {name: value for name, value in sent.items() if value != []} == {
        "model": MODEL,
        "messages": [{"role": "user", "content": "Who?"}],
        "stream": True,
        "truncate": False,
        "shift": False,
    }


async def test_a_conversation_is_not_cut_in_silence() -> None:
    """Unless that is asked for, the server has to refuse one that is too long."""
    async with OllamaService(Answer()).running() as service, completion(service) as model:
        await model.complete("Who?")
        await model.complete("Who?", overflow="cut")

    first, second = (request.json for request in service.requests)
    assert (first["truncate"], first["shift"]) == (False, False)
    assert not {"truncate", "shift"} & set(second)


@pytest.mark.parametrize(
    "reply",
    [
        Answer("Goethe", reasoning="Let me think."),
        Answer(pieces=("<th", "ink>Let me", " think.</thi", "nk>\n\nGoe", "the")),
    ],
    ids=["thinking", "tags"],
)
async def test_reasoning_is_apart_from_the_text(reply: Answer) -> None:
    """Whether Ollama parts it or the model writes tags, broken over lines or not."""
    async with OllamaService(reply).running() as service:
        async with completion(service) as model:
            answer = await model.complete("Who?")
        _, streamed = await read(service)

    assert (answer.text, answer.reasoning) == ("Goethe", "Let me think.")
    assert (streamed.text, streamed.reasoning) == ("Goethe", "Let me think.")


async def test_tags_after_separate_thoughts_are_text() -> None:
    """Where Ollama parts thoughts from the text, the text is left as it is."""
    reply = Answer("<think> is a tag.", reasoning="About tags.")
    async with OllamaService(reply).running() as service, completion(service) as model:
        answer = await model.complete("What is <think>?")

    assert (answer.text, answer.reasoning) == ("<think> is a tag.", "About tags.")


async def test_a_cut_answer_says_so() -> None:
    """done_reason length, with text and without, and in a stream."""
    async with OllamaService(Answer("Goe", finish="length")).running() as service:
        async with completion(service) as model:
            answer = await model.complete("Who?")
        chunks, _ = await read(service)

    assert answer.finish_reason == "length"
    assert chunks[-1].finish_reason == "length"


@pytest.mark.parametrize(
    ("finish", "error"),
    [
        ("length", TruncatedResponseError),
        ("content_filter", ContentFilterError),
        ("stop", EmptyResponseError),
    ],
)
async def test_an_empty_answer_is_an_error(finish: Any, error: type[ProviderError]) -> None:
    """Each reason has its own, thoughts or not."""
    reply = Answer("", reasoning="Hm.", finish=finish)
    async with OllamaService(reply).running() as service:
        async with completion(service) as model:
            with pytest.raises(error):
                await model.complete("Who?")
        with pytest.raises(error):
            await read(service)


@pytest.mark.parametrize("how", ["reset", "end", "unfinished"])
async def test_a_broken_answer_is_asked_for_again(how: Any) -> None:
    """Nobody has seen anything of it yet."""
    async with (
        OllamaService(Broken(how), Answer("Goethe")).running() as service,
        completion(service) as model,
    ):
        answer = await model.complete("Who?")

    assert answer.text == "Goethe"
    assert answer.timings.attempts == 2


async def test_an_answer_that_never_ends_properly_is_an_error() -> None:
    """The last attempt's error comes out."""
    async with (
        OllamaService(Broken("unfinished")).running() as service,
        completion(service) as model,
    ):
        with pytest.raises(UnavailableError, match="done"):
            await model.complete("Who?")

    assert len(service.requests) == 3


async def test_a_stalled_stream_ends_with_the_limit_of_an_attempt() -> None:
    """Silence between two lines is limited too, deadline or not."""
    retry = Retry(attempts=1, attempt_timeout=0.3)
    async with OllamaService(Broken("stall")).running() as service:
        with pytest.raises(InterruptedStreamError, match="in time"):
            await read(service, retry=retry)


async def test_a_stalled_answer_meets_the_deadline() -> None:
    """And its connection is closed."""
    async with (
        OllamaService(Broken("stall")).running() as service,
        completion(service) as model,
    ):
        with pytest.raises(RequestTimeoutError):
            await model.complete("Who?", timeout=0.3)
        while not service.left:
            await asyncio.sleep(0.01)

    assert service.left == 1


async def test_an_error_in_a_stream_is_an_error() -> None:
    """The line with the error comes after a piece of text."""
    failure = Failure(500, "an error was encountered while running the model", in_stream=True)
    async with OllamaService(failure).running() as service:
        with pytest.raises(InterruptedStreamError, match="while running the model") as caught:
            await read(service)

    assert caught.value.text == "Goe"


async def test_an_unknown_reason_for_the_end_is_an_error() -> None:
    """It is not taken for an answer that is whole."""
    async with (
        OllamaService(Answer(finish="mystery")).running() as service,  # type: ignore[arg-type]  # on purpose
        completion(service) as model,
    ):
        with pytest.raises(ProviderError, match="mystery"):
            await model.complete("Who?")


@pytest.mark.parametrize("kind", PICTURES)
async def test_images_are_sent_as_base64(kind: str) -> None:
    """Of the bytes, whatever the format."""
    data = PICTURES[kind]
    async with OllamaService(Answer()).running() as service, completion(service) as model:
        await model.complete(ragcore.user("What is it?", images=[Image.from_bytes(data)]))

    [message] = service.requests[0].json["messages"]
    assert message["images"] == [base64.b64encode(data).decode()]


async def test_an_image_by_url_is_refused() -> None:
    """Ollama fetches nothing."""
    image = Image.from_url("https://example.org/cat.png")
    async with OllamaService(Answer()).running() as service, completion(service) as model:
        with pytest.raises(UnsupportedError, match="from_bytes"):
            await model.complete(ragcore.user("What is it?", images=[image]))

    assert service.requests == []


async def test_json_is_asked_for_natively() -> None:
    """An object and a schema, by format."""
    schema = {"type": "object", "properties": {"name": {"type": "string"}}}
    async with (
        OllamaService(Answer('{"name": "Goethe"}')).running() as service,
        completion(service) as model,
    ):
        first = await model.complete("Who?", response_format=JSONObject())
        second = await model.complete("Who?", response_format=schema)

    assert [request.json["format"] for request in service.requests] == ["json", schema]
    assert (first.structured, second.structured) == ("native", "native")


@pytest.mark.parametrize("name", ["gpt-oss:120b-cloud", "glm-5:cloud"])
async def test_the_cloud_does_not_follow_a_format(name: str) -> None:
    """So its models refuse one, or are asked in words."""
    async with OllamaService(Answer('{"name": "Goethe"}')).running() as service:
        async with completion(service, name) as model:
            with pytest.raises(UnsupportedError, match="response_format"):
                await model.complete("Who?", response_format=JSONObject())
        async with completion(service, name, on_unsupported="prompt") as model:
            answer = await model.complete("Who?", response_format=JSONObject())

    [request] = service.requests
    assert answer.structured == "prompted"
    assert "format" not in request.json


async def test_one_connection_serves_all_calls() -> None:
    """Of two models, one after the other."""
    async with (
        OllamaService(Answer()).running() as service,
        completion(service) as one,
        completion(service, "qwen3") as other,
    ):
        await one.complete("Who?")
        await other.complete("Who?")
        await one.complete("Who?")

    assert len(service.requests) == 3
    assert service.connections == 1
