"""Every provider that completes, over the wire, to a double of its service."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

import ragcore
from contract.cases import Case, cases
from ragcore import (
    AuthenticationError,
    ContentFilterError,
    EmptyResponseError,
    Image,
    InterruptedStreamError,
    InvalidRequestError,
    JSONSchema,
    NotFoundError,
    PermissionDeniedError,
    ProviderError,
    QuotaExceededError,
    RateLimitError,
    RequestTimeoutError,
    TransientError,
    TruncatedResponseError,
    UnavailableError,
    UnsupportedError,
)
from ragcore.testing.server import Answer, Broken, Failure

PNG = b"\x89PNG\r\n\x1a\n" + bytes(20)
SCHEMA = {"type": "object", "properties": {"author": {"type": "string"}}}


@cases()
async def test_it_answers(case: Case) -> None:
    """With text, reason, and what it cost."""
    reply = Answer("It was Goethe", input_tokens=11, output_tokens=5)
    async with (
        case.serving(reply) as service,
        ragcore.completion(case.reference, **case.to(service)) as model,
    ):
        answer = await model.complete("Who wrote Faust?", system="One word.")

    assert (answer.text, answer.finish_reason) == ("It was Goethe", "stop")
    assert answer.usage is not None
    assert (answer.usage.input_tokens, answer.usage.output_tokens) == (11, 5)
    assert b"Who wrote Faust?" in service.requests[0].body
    assert b"One word." in service.requests[0].body


@cases()
async def test_it_streams(case: Case) -> None:
    """Piece by piece, with the reason and the usage at the end."""
    reply = Answer("It was Göthe", pieces=("It", " was", " Gö", "the"), output_tokens=5)
    async with (
        case.serving(reply) as service,
        ragcore.completion(case.reference, **case.to(service)) as model,
        model.stream("Who wrote Faust?") as chunks,
    ):
        pieces = [chunk.text async for chunk in chunks]

    assert [piece for piece in pieces if piece] == ["It", " was", " Gö", "the"]
    assert chunks.completion.text == "It was Göthe"
    assert chunks.completion.finish_reason == "stop"
    assert chunks.completion.usage is not None
    assert chunks.completion.usage.output_tokens == 5


@cases(lambda case: case.completes and case.reasoning)
async def test_reasoning_is_apart_from_the_text(case: Case) -> None:
    """In one piece and streamed."""
    async with (
        case.serving(Answer("Goethe", reasoning="Let me see.")) as service,
        ragcore.completion(case.reference, **case.to(service)) as model,
    ):
        answer = await model.complete("Who?")
        async with model.stream("Who?") as chunks:
            async for _ in chunks:
                pass

    assert (answer.text, answer.reasoning) == ("Goethe", "Let me see.")
    assert (chunks.completion.text, chunks.completion.reasoning) == ("Goethe", "Let me see.")


async def finished(case: Case, reply: Answer, *, streamed: bool) -> ragcore.Completion:
    async with (
        case.serving(reply) as service,
        ragcore.completion(case.reference, **case.to(service)) as model,
    ):
        if not streamed:
            return await model.complete("Who?")
        async with model.stream("Who?") as chunks:
            async for _ in chunks:
                pass
        return chunks.completion


@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])
@cases()
async def test_what_is_cut_says_so(case: Case, streamed: bool) -> None:
    """With the reason if there is text, as an error if there is none."""
    with_text = await finished(case, Answer("Goe", finish="length"), streamed=streamed)

    assert (with_text.text, with_text.finish_reason) == ("Goe", "length")
    with pytest.raises(TruncatedResponseError):
        await finished(case, Answer("", finish="length"), streamed=streamed)


@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])
@cases()
async def test_what_is_filtered_says_so(case: Case, streamed: bool) -> None:
    """With the reason if there is text, as an error if there is none."""
    with_text = await finished(case, Answer("Goe", finish="content_filter"), streamed=streamed)

    assert (with_text.text, with_text.finish_reason) == ("Goe", "content_filter")
    with pytest.raises(ContentFilterError):
        await finished(case, Answer("", finish="content_filter"), streamed=streamed)


@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])
@cases()
async def test_an_empty_answer_is_an_error(case: Case, streamed: bool) -> None:
    """If nothing says why it is empty."""
    with pytest.raises(EmptyResponseError):
        await finished(case, Answer(""), streamed=streamed)


KINDS: dict[int, type[ProviderError]] = {
    400: InvalidRequestError,
    401: AuthenticationError,
    403: PermissionDeniedError,
    404: NotFoundError,
    408: RequestTimeoutError,
    429: RateLimitError,
    500: UnavailableError,
    503: UnavailableError,
}


@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])
@cases()
async def test_a_status_is_an_error_of_ours(case: Case, streamed: bool) -> None:
    """What may pass is asked again, as often as the host's Retry says and no more."""
    for status, requests in case.statuses:
        async with (
            case.serving(Failure(status, "no such luck")) as service,
            ragcore.completion(case.reference, **case.to(service)) as model,
        ):
            with pytest.raises(ProviderError, match="no such luck") as caught:
                await ask(model, streamed=streamed)

        assert type(caught.value) is KINDS[status]
        assert len([r for r in service.requests if b"Who?" in r.body]) == requests
        assert (caught.value.provider, caught.value.status) == (case.provider, status)


async def ask(model: ragcore.CompletionModel, *, streamed: bool, **options: Any) -> None:
    if not streamed:
        await model.complete("Who?", **options)
        return
    async with model.stream("Who?", **options) as chunks:
        async for _ in chunks:
            pass


@cases()
async def test_a_failure_passes(case: Case) -> None:
    """After two of them the third attempt answers."""
    async with (
        case.serving(Failure(500), Failure(503), Answer()) as service,
        ragcore.completion(case.reference, **case.to(service)) as model,
    ):
        answer = await model.complete("Who?")

    assert answer.text == "Goethe"
    assert answer.timings.attempts == len(service.requests) == 3


@cases()
async def test_retry_after_is_obeyed(case: Case) -> None:
    """It is waited for if it fits the deadline, and else the call fails at once."""
    failure = Failure(429, headers={"Retry-After": "30"})
    async with (
        case.serving(failure) as service,
        ragcore.completion(case.reference, **case.to(service, timeout=10)) as model,
    ):
        with pytest.raises(RateLimitError) as caught:
            await model.complete("Who?")

    assert caught.value.retry_after == 30
    assert len(service.requests) == 1


@pytest.mark.parametrize("code", ["insufficient_quota", "budget_exceeded", "billing_error"])
@cases(lambda case: case.package == "lightrag_openai")
async def test_no_credit_is_no_matter_of_waiting(case: Case, code: str) -> None:
    """Though the status is that of a rate limit."""
    async with (
        case.serving(Failure(429, "You have no credit.", code)) as service,
        ragcore.completion(case.reference, **case.to(service)) as model,
    ):
        with pytest.raises(QuotaExceededError):
            await model.complete("Who?")

    assert len(service.requests) == 1


@pytest.mark.parametrize("how", ["reset", "end", "unfinished", "garbage"])
@cases()
async def test_a_broken_stream_is_no_short_answer(case: Case, how: Any) -> None:
    """However it breaks; the text so far is there."""
    async with (
        case.serving(Broken(how)) as service,
        ragcore.completion(case.reference, **case.to(service)) as model,
    ):
        with pytest.raises(ProviderError) as caught:
            await ask(model, streamed=True)

    assert isinstance(caught.value, InterruptedStreamError)
    assert caught.value.text == "Goe"
    assert len(service.requests) == 1


@pytest.mark.parametrize("how", ["reset", "end", "unfinished", "garbage"])
@cases()
async def test_a_broken_answer_is_an_error(case: Case, how: Any) -> None:
    """Never a short answer."""
    async with (
        case.serving(Broken(how)) as service,
        ragcore.completion(case.reference, **case.to(service)) as model,
    ):
        with pytest.raises(ProviderError):
            await model.complete("Who?")


@cases()
async def test_a_stream_that_stalls_ends_with_the_deadline(case: Case) -> None:
    """The connection is released with it."""
    async with (
        case.serving(Broken("stall")) as service,
        ragcore.completion(case.reference, **case.to(service)) as model,
    ):
        with pytest.raises(RequestTimeoutError):
            await ask(model, streamed=True, timeout=0.5)
        await left(service)

    assert service.left == 1


async def left(service: Any) -> None:
    async with asyncio.timeout(5):
        while not service.left:
            await asyncio.sleep(0.01)


@cases(lambda case: case.completes and case.reports_in_stream)
async def test_an_error_inside_a_stream_is_one(case: Case) -> None:
    """After text: the stream is broken, and nothing is asked again."""
    failure = Failure(500, "out of order", "server_error", in_stream=True)
    async with (
        case.serving(failure) as service,
        ragcore.completion(case.reference, **case.to(service)) as model,
    ):
        with pytest.raises(ProviderError, match="out of order"):
            await ask(model, streamed=True)

    assert len(service.requests) == 1


@cases()
async def test_leaving_a_stream_releases_the_connection(case: Case) -> None:
    """While the service has more to say."""
    async with (
        case.serving(Broken("stall")) as service,
        ragcore.completion(case.reference, **case.to(service)) as model,
    ):
        async with model.stream("Who?") as chunks:
            first = await anext(chunks)
        await left(service)

    assert first.text == "Goe"
    assert service.left == 1


@cases()
async def test_a_cancelled_call_releases_the_connection(case: Case) -> None:
    """While the service has not answered."""
    async with (
        case.serving(Broken("stall")) as service,
        ragcore.completion(case.reference, **case.to(service)) as model,
    ):
        call = asyncio.create_task(model.complete("Who?"))
        async with asyncio.timeout(5):
            while not service.requests:
                await asyncio.sleep(0.01)
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        await left(service)

    assert service.left == 1


@cases()
async def test_one_connection_serves_many_calls(case: Case) -> None:
    """Streams and whole answers, one after the other."""
    async with (
        case.serving(Answer()) as service,
        ragcore.completion(case.reference, **case.to(service)) as model,
    ):
        for streamed in (False, True, True, False, False):
            await ask(model, streamed=streamed)

    assert len(service.requests) == 5
    assert service.connections == 1


@cases()
def test_it_works_in_one_event_loop_after_another(case: Case) -> None:
    """Nothing of the first loop is used in the second."""

    async def once() -> str:
        async with (
            case.serving(Answer()) as service,
            ragcore.completion(case.reference, **case.to(service)) as model,
        ):
            return (await model.complete("Who?")).text

    assert [asyncio.run(once()), asyncio.run(once())] == ["Goethe", "Goethe"]


@cases(lambda case: case.completes and case.images)
async def test_images_are_sent(case: Case) -> None:
    """Their bytes, as the service wants them."""
    image = Image.from_bytes(PNG)
    async with (
        case.serving(Answer()) as service,
        ragcore.completion(case.reference, **case.to(service)) as model,
    ):
        await model.complete([ragcore.user("What is it?", images=[image])])

    # The same bytes in every service's JSON: base64 of the file.
    assert b"iVBORw0KGgoAAAA" in service.requests[0].body


@cases(lambda case: case.completes and case.images and case.image_urls)
async def test_addresses_of_images_are_sent(case: Case) -> None:
    """For the service to fetch."""
    image = Image.from_url("https://example.org/it.png")
    async with (
        case.serving(Answer()) as service,
        ragcore.completion(case.reference, **case.to(service)) as model,
    ):
        await model.complete([ragcore.user("What is it?", images=[image])])

    assert b"https://example.org/it.png" in service.requests[0].body


@cases(lambda case: case.completes and case.json_schema)
async def test_a_schema_is_asked_for_natively(case: Case) -> None:
    """It is on the wire, and the answer says which way was taken."""
    async with (
        case.serving(Answer('{"author": "Goethe"}')) as service,
        ragcore.completion(case.reference, **case.to(service)) as model,
    ):
        answer = await model.complete("Who?", response_format=JSONSchema(SCHEMA))

    assert json.loads(answer.text) == {"author": "Goethe"}
    assert answer.structured == "native"
    assert b"author" in service.requests[0].body


@cases(lambda case: case.completes and not case.json_schema)
async def test_a_schema_that_the_service_has_not_is_refused(case: Case) -> None:
    """Unless it may be asked for in words."""
    wanted = JSONSchema(SCHEMA)
    async with case.serving(Answer('{"author": "Goethe"}')) as service:
        async with ragcore.completion(case.reference, **case.to(service)) as model:
            with pytest.raises(UnsupportedError):
                await model.complete("Who?", response_format=wanted)
        prompted = case.to(service, on_unsupported="prompt")
        async with ragcore.completion(case.reference, **prompted) as model:
            answer = await model.complete("Who?", response_format=wanted)

    assert answer.structured == "prompted"


@cases()
async def test_nobody_there_is_an_error_that_may_pass(case: Case) -> None:
    """Nothing listens at the address."""
    async with case.serving(Answer()) as service:
        options = case.to(service)
    async with ragcore.completion(case.reference, **options) as model:
        with pytest.raises(TransientError) as caught:
            await model.complete("Who?")

    assert type(caught.value) is UnavailableError
    assert caught.value.attempts == 3
