"""A streamed answer, and how it can end."""

from typing import Any

import pytest
from anthropic_double import MODEL, AnthropicService, asked, encoded, events

import ragcore
from ragcore import Usage
from ragcore.testing.server import Answer, Connection, Failure, Reply, Request


class Events(AnthropicService):
    """Streams bytes as they are."""

    def __init__(self, *said: bytes) -> None:
        super().__init__(Answer())
        self.said = said

    async def reply(self, request: Request, reply: Reply, connection: Connection) -> None:
        await self._begin(connection)
        for one in self.said:
            await connection.chunk(one)
        await connection.finish()


async def read(model: ragcore.CompletionModel, **options: Any) -> list[ragcore.Chunk]:
    async with model.stream("Who?", **options) as chunks:
        return [chunk async for chunk in chunks]


async def test_pieces_reasoning_and_usage() -> None:
    """Thoughts first, then text; the last chunk says why it ended and what it cost."""
    said = Answer("Johann Goethe", "Hm.", cached_input_tokens=3, reasoning_tokens=1)
    async with AnthropicService(said).running() as service, asked(service) as model:
        chunks = await read(model)

    assert [chunk.reasoning for chunk in chunks] == ["Hm.", "", "", ""]
    assert [chunk.text for chunk in chunks] == ["", "Johann", " Goethe", ""]
    assert chunks[-1].finish_reason == "stop"
    assert chunks[-1].usage == Usage(7, 2, cached_input_tokens=3, reasoning_tokens=1)
    assert service.requests[0].json["stream"] is True


@pytest.mark.parametrize(
    ("finish", "expected"),
    [("length", "length"), ("refusal", "content_filter"), ("stop", "stop")],
)
async def test_why_a_stream_ended(finish: Any, expected: str) -> None:
    """In ragcore's words."""
    async with (
        AnthropicService(Answer(finish=finish)).running() as service,
        asked(service) as model,
        model.stream("Who?") as chunks,
    ):
        async for _ in chunks:
            pass

    assert chunks.completion.finish_reason == expected


async def test_text_in_the_beginning_of_a_block_counts() -> None:
    """Some servers put the first piece there."""
    said = events(MODEL, Answer("Goethe"))
    said[2]["content_block"]["text"] = "Johann "
    async with Events(*map(encoded, said)).running() as service, asked(service) as model:
        chunks = await read(model)

    assert "".join(chunk.text for chunk in chunks) == "Johann Goethe"


async def test_events_of_the_future_say_nothing() -> None:
    """As the API's own page asks for; comments neither."""
    said = [b": hello\n\n", *map(encoded, events(MODEL, Answer()))]
    said.insert(2, b'event: novelty\ndata: {"type": "novelty"}\n\n')
    said.insert(3, b"event: novelty\n\nevent: ping\n\n")
    async with Events(*said).running() as service, asked(service) as model:
        chunks = await read(model)

    assert "".join(chunk.text for chunk in chunks) == "Goethe"


async def test_message_stop_without_a_stop_reason_is_no_end() -> None:
    """Nobody knows whether it was cut."""
    said = [event for event in events(MODEL, Answer()) if event["type"] != "message_delta"]
    async with Events(*map(encoded, said)).running() as service, asked(service) as model:
        with pytest.raises(ragcore.InterruptedStreamError):
            await read(model)


@pytest.mark.parametrize(
    "bad",
    [
        b"data: {nonsense\n\n",
        b"event: content_block_delta\ndata: 7\n\n",
        b'event: content_block_delta\ndata: {"type": "content_block_delta"}\n\n',
        b'data: {"type": "content_block_delta", "delta": {"type": "text_delta"}}\n\n',
        b"event: content_block_delta\ndata: \xff\xfe\n\n",
        b"event: content_block_delta\n\n",
    ],
    ids=["no name", "no object", "no delta", "no text", "no UTF-8", "no data"],
)
async def test_a_malformed_event_is_never_skipped(bad: bytes) -> None:
    """Even between good ones."""
    said = [*map(encoded, events(MODEL, Answer()))]
    said.insert(4, bad)
    async with Events(*said).running() as service, asked(service) as model:
        with pytest.raises(ragcore.InterruptedStreamError) as caught:
            await read(model)

    assert caught.value.text == "Goethe"


async def test_an_error_in_the_stream_is_of_the_tree() -> None:
    """After the first piece it interrupts; the text so far and the reason are there."""
    failure = Failure(529, "Overloaded", in_stream=True)
    async with AnthropicService(failure).running() as service, asked(service) as model:
        with pytest.raises(ragcore.InterruptedStreamError, match="Overloaded") as caught:
            await read(model)

    assert caught.value.text == "Goethe"
    assert isinstance(caught.value.__cause__, ragcore.UnavailableError)


async def test_an_error_before_the_first_piece_is_tried_again() -> None:
    """It says overloaded with status 200."""
    error = {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}
    async with Events(encoded(error)).running() as service, asked(service) as model:
        with pytest.raises(ragcore.UnavailableError) as caught:
            await read(model)

    assert len(service.requests) == caught.value.attempts == 3


@pytest.mark.parametrize(
    ("kind", "error"),
    [
        ("rate_limit_error", ragcore.RateLimitError),
        ("api_error", ragcore.UnavailableError),
        ("timeout_error", ragcore.RequestTimeoutError),
        ("billing_error", ragcore.QuotaExceededError),
        ("authentication_error", ragcore.AuthenticationError),
        ("invalid_request_error", ragcore.InvalidRequestError),
        ("novelty_error", ragcore.UnavailableError),
    ],
)
async def test_what_an_error_in_a_stream_is_called(kind: str, error: type[Exception]) -> None:
    """By its type: the status was 200."""
    told = {"type": "error", "error": {"type": kind, "message": "no"}}
    async with Events(encoded(told)).running() as service, asked(service) as model:
        with pytest.raises(error):
            await read(model)


async def test_a_refused_stream_is_tried_again() -> None:
    """Before its first piece nothing is lost."""
    async with (
        AnthropicService(Failure(529), Answer()).running() as service,
        asked(service) as model,
    ):
        chunks = await read(model)

    assert "".join(chunk.text for chunk in chunks) == "Goethe"


async def test_a_real_server_streams(llama_server: str) -> None:
    """llama.cpp's Messages API, with a real model, piece by piece."""
    async with (
        ragcore.completion(
            "anthropic:smollm2", api_key="none", base_url=llama_server, timeout=120
        ) as model,
        model.stream(
            "What is the capital of France?",
            max_output_tokens=24,
            temperature=0.0,
        ) as chunks,
    ):
        pieces = [chunk.text async for chunk in chunks]

    assert len([piece for piece in pieces if piece]) > 2
    assert chunks.completion.usage is not None
