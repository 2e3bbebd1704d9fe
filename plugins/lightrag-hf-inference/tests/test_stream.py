"""A streamed answer, and how it can end."""

from typing import Any

import pytest
from hf_inference_double import HFInferenceService, chunks, completing, encoded

import ragcore
from ragcore import Usage
from ragcore.testing.server import Answer, Connection, Failure, Reply, Request


class Events(HFInferenceService):
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
    async with model.stream("Who?", **options) as pieces:
        return [piece async for piece in pieces]


async def test_pieces_reasoning_and_usage() -> None:
    """Thoughts first, then text; the last chunk says why it ended and what it cost."""
    said = Answer("Johann Goethe", "Hm.", cached_input_tokens=3, reasoning_tokens=1)
    async with HFInferenceService(said).running() as service, completing(service) as model:
        got = await read(model)

    assert [chunk.reasoning for chunk in got] == ["Hm.", "", "", ""]
    assert [chunk.text for chunk in got] == ["", "Johann", " Goethe", ""]
    assert got[-1].finish_reason == "stop"
    assert got[-1].usage == Usage(7, 2, cached_input_tokens=3, reasoning_tokens=1)
    assert service.requests[0].json["stream_options"] == {"include_usage": True}


async def test_think_tags_broken_over_chunks() -> None:
    """Are reasoning all the same."""
    said = Answer("<think>Hm.</think>Goethe", pieces=("<th", "ink>H", "m.</thi", "nk>Goe", "the"))
    async with HFInferenceService(said).running() as service, completing(service) as model:
        got = await read(model)

    assert "".join(chunk.text for chunk in got) == "Goethe"
    assert "".join(chunk.reasoning for chunk in got) == "Hm."


async def test_line_separators_in_a_text_end_no_line() -> None:
    """JSON holds them as they are; pieces of the wire may end within a character."""
    said = b"".join(map(encoded, [*chunks(Answer("a b\u2028 c\x85 \U0001f600")), "[DONE]"]))
    wire = said.decode().replace("\\u2028", "\u2028").replace("\\u0085", "\x85").encode()
    wire = wire.replace(b"\n", b"\r\n")
    pieces = [wire[at : at + 3] for at in range(0, len(wire), 3)]
    async with Events(*pieces).running() as service, completing(service) as model:
        got = await read(model)

    assert "".join(chunk.text for chunk in got) == "a b\u2028 c\x85 \U0001f600"


@pytest.mark.parametrize("finish", ["length", "content_filter"])
async def test_why_a_stream_ended(finish: Any) -> None:
    """In ragcore's words."""
    async with (
        HFInferenceService(Answer(finish=finish)).running() as service,
        completing(service) as model,
    ):
        got = await read(model)

    assert got[-1].finish_reason == finish


@pytest.mark.parametrize(
    "bad", [b"data: 7\n\n", b'data: "x"\n\n', b"data: {x\n\n", b"data: []\n\n"]
)
async def test_a_malformed_chunk_is_never_skipped(bad: bytes) -> None:
    """Even between good ones."""
    said = [encoded(one) for one in [*chunks(Answer()), "[DONE]"]]
    said.insert(2, bad)
    async with Events(*said).running() as service, completing(service) as model:
        with pytest.raises(ragcore.InterruptedStreamError) as caught:
            await read(model)

    assert caught.value.text == "Goethe"


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        ({"error": {"message": "no", "http_status_code": 422}}, ragcore.InvalidRequestError),
        ({"error": {"message": "no", "code": "429"}}, ragcore.RateLimitError),
        ({"error": "no", "error_type": "overloaded"}, ragcore.UnavailableError),
        ({"error": "no", "error_type": "validation"}, ragcore.InvalidRequestError),
        ({"error": "no", "error_type": "generation"}, ragcore.ProviderError),
        ({"error": "no", "error_type": "incomplete_generation"}, ragcore.UnavailableError),
        ({"error": "no"}, ragcore.UnavailableError),
    ],
)
async def test_what_an_error_in_a_stream_is_called(
    error: dict[str, Any], kind: type[Exception]
) -> None:
    """By what it says: the status was 200."""
    async with Events(encoded(error)).running() as service, completing(service) as model:
        with pytest.raises(kind, match="no"):
            await read(model)


async def test_an_error_after_the_first_piece_interrupts() -> None:
    """With the text so far and the reason."""
    failure = Failure(503, "Overloaded", in_stream=True)
    async with HFInferenceService(failure).running() as service, completing(service) as model:
        with pytest.raises(ragcore.InterruptedStreamError, match="Overloaded") as caught:
            await read(model)

    assert caught.value.text == "Goethe"


async def test_a_refused_stream_says_why_and_is_tried_again() -> None:
    """The body of an error is read, though it was to be a stream."""
    failures = HFInferenceService(Failure(503, "Model is overloaded"), Failure(400, "No such luck"))
    async with failures.running() as service, completing(service) as model:
        with pytest.raises(ragcore.InvalidRequestError, match="No such luck"):
            await read(model)

    assert len(service.requests) == 2
