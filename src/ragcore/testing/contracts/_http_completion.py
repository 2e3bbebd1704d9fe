"""What every service that completes keeps, asked through a double."""

from __future__ import annotations

import asyncio
import copy
import json
import logging
import pickle
import traceback
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

import ragcore
from ragcore import (
    Completion,
    CompletionModel,
    ContentFilterError,
    EmptyResponseError,
    Image,
    InterruptedStreamError,
    ProviderError,
    RagcoreError,
    RateLimitError,
    RequestTimeoutError,
    Retry,
    TruncatedResponseError,
    UnavailableError,
    user,
)
from ragcore.testing.contracts._case import KINDS, SECRET, Case
from ragcore.testing.contracts._completion import PICTURE, SCHEMA, CompletionContract, read
from ragcore.testing.server import Answer, Broken, Failure, Reply, Service

whole_and_streamed = pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])
however_it_breaks = pytest.mark.parametrize("how", ["reset", "end", "unfinished", "garbage"])


async def ask(model: CompletionModel, *, streamed: bool) -> Completion:
    """Return the answer to a question, in one piece or *streamed*."""
    return await (read(model) if streamed else model.complete("Who?"))


class HTTPCompletionContract(CompletionContract):
    """
    What every service that completes keeps, asked through its double.

    Attributes:
        case: The provider and its double.
        image_urls: Whether the service takes addresses of images.
        reasoning: Whether the double shows the reasoning of an answer.
        reports_in_stream: Whether the double reports errors inside a stream.
    """

    case: Case
    image_urls: bool = True
    reasoning: bool = True
    reports_in_stream: bool = True

    @asynccontextmanager
    async def asked(
        self, *replies: Reply, **options: Any
    ) -> AsyncIterator[tuple[Service, CompletionModel]]:
        """Run the double with *replies*, and open a model that asks it."""
        async with (
            self.case.serving(*replies) as service,
            ragcore.completion(self.case.reference, **self.case.to(service, **options)) as model,
        ):
            yield service, model

    @asynccontextmanager
    async def opened(self, **options: Any) -> AsyncIterator[CompletionModel]:
        """Open a model whose double always gives the same answer."""
        async with self.asked(Answer(), **options) as (_, model):
            yield model

    async def finished(self, reply: Answer, *, streamed: bool) -> Completion:
        """Return what becomes of *reply*."""
        async with self.asked(reply) as (_, model):
            return await ask(model, streamed=streamed)

    async def test_what_is_said_arrives(self) -> None:
        """Question and system message are sent; text, reason and usage come back."""
        reply = Answer("It was Goethe", input_tokens=11, output_tokens=5)
        async with self.asked(reply) as (service, model):
            answer = await model.complete("Who wrote Faust?", system="One word.")

        assert (answer.text, answer.finish_reason) == ("It was Goethe", "stop")
        assert answer.usage is not None
        assert (answer.usage.input_tokens, answer.usage.output_tokens) == (11, 5)
        assert b"Who wrote Faust?" in service.requests[0].body
        assert b"One word." in service.requests[0].body

    async def test_pieces_of_a_stream_arrive_as_they_are(self) -> None:
        """Each piece is a chunk; reason and usage come at the end."""
        reply = Answer("It was Göthe", pieces=("It", " was", " Gö", "the"), output_tokens=5)
        async with (
            self.asked(reply) as (_, model),
            model.stream("Who wrote Faust?") as chunks,
        ):
            pieces = [chunk.text async for chunk in chunks]

        assert [piece for piece in pieces if piece] == ["It", " was", " Gö", "the"]
        assert chunks.completion.text == "It was Göthe"
        assert chunks.completion.finish_reason == "stop"
        assert chunks.completion.usage is not None
        assert chunks.completion.usage.output_tokens == 5

    @whole_and_streamed
    async def test_reasoning_is_apart_from_the_text(self, streamed: bool) -> None:
        """What the model thought first is not in the text."""
        if not self.reasoning:
            pytest.skip("the double shows no reasoning")
        answer = await self.finished(Answer("Goethe", reasoning="Let me see."), streamed=streamed)

        assert (answer.text, answer.reasoning) == ("Goethe", "Let me see.")

    @whole_and_streamed
    async def test_an_answer_that_is_cut_says_so(self, streamed: bool) -> None:
        """A cut answer has the reason if it has text, and is an error if it has none."""
        answer = await self.finished(Answer("Goe", finish="length"), streamed=streamed)

        assert (answer.text, answer.finish_reason) == ("Goe", "length")
        with pytest.raises(TruncatedResponseError):
            await self.finished(Answer("", finish="length"), streamed=streamed)

    @whole_and_streamed
    async def test_an_answer_that_is_filtered_says_so(self, streamed: bool) -> None:
        """A filtered answer has the reason if it has text, and is an error if it has none."""
        answer = await self.finished(Answer("Goe", finish="content_filter"), streamed=streamed)

        assert (answer.text, answer.finish_reason) == ("Goe", "content_filter")
        with pytest.raises(ContentFilterError):
            await self.finished(Answer("", finish="content_filter"), streamed=streamed)

    @whole_and_streamed
    async def test_an_empty_answer_is_an_error(self, streamed: bool) -> None:
        """An answer without text is no answer, if nothing says why it is empty."""
        with pytest.raises(EmptyResponseError):
            await self.finished(Answer(""), streamed=streamed)

    @whole_and_streamed
    async def test_a_status_is_an_error_of_its_kind(self, streamed: bool) -> None:
        """A status has its class; the host tries again where that may help, and the SDK never."""
        for status, requests in self.case.statuses.items():
            async with self.asked(Failure(status, "no such luck")) as (service, model):
                with pytest.raises(ProviderError, match="no such luck") as caught:
                    await ask(model, streamed=streamed)

            assert type(caught.value) is KINDS[status]
            assert len([r for r in service.requests if b"Who" in r.body]) == requests
            assert (caught.value.provider, caught.value.status) == (self.case.provider, status)

    async def test_a_failure_passes(self) -> None:
        """The third attempt answers after two failures."""
        async with self.asked(Failure(500), Failure(503), Answer()) as (service, model):
            answer = await model.complete("Who?")

        assert answer.text == "Goethe"
        assert answer.timings.attempts == len(service.requests) == 3

    async def test_retry_after_is_obeyed(self) -> None:
        """A wait that the service asks for and the deadline has no room for fails at once."""
        failure = Failure(429, headers={"Retry-After": "30"})
        async with self.asked(failure, timeout=10) as (service, model):
            with pytest.raises(RateLimitError) as caught:
                await model.complete("Who?")

        assert caught.value.retry_after == 30
        assert len(service.requests) == 1

    @however_it_breaks
    async def test_a_broken_stream_is_no_short_answer(self, how: Any) -> None:
        """The error has the text so far, and nothing is asked again."""
        async with self.asked(Broken(how)) as (service, model):
            with pytest.raises(ProviderError) as caught:
                await read(model)

        assert isinstance(caught.value, InterruptedStreamError)
        assert caught.value.text == "Goe"
        assert len(service.requests) == 1

    @however_it_breaks
    async def test_a_broken_answer_is_an_error(self, how: Any) -> None:
        """Half an answer is never taken for a short one."""
        async with self.asked(Broken(how)) as (_, model):
            with pytest.raises(ProviderError):
                await model.complete("Who?")

    async def test_a_stream_that_stalls_ends_with_the_deadline(self) -> None:
        """The connection is released with it."""
        async with self.asked(Broken("stall")) as (service, model):
            with pytest.raises(RequestTimeoutError):
                await read(model, timeout=0.5)
            await service.was_left()

        assert service.left == 1

    async def test_an_error_inside_a_stream_is_one(self) -> None:
        """An error that comes after text ends the call, and nothing is asked again."""
        if not self.reports_in_stream:
            pytest.skip("the double reports no error inside a stream")
        failure = Failure(500, "out of order", "server_error", in_stream=True)
        async with self.asked(failure) as (service, model):
            with pytest.raises(ProviderError, match="out of order"):
                await read(model)

        assert len(service.requests) == 1

    async def test_leaving_a_stream_releases_the_connection(self) -> None:
        """The service sees the connection closed while it has more to say."""
        async with self.asked(Broken("stall")) as (service, model):
            async with model.stream("Who?") as chunks:
                first = await anext(chunks)
            await service.was_left()

        assert first.text == "Goe"
        assert service.left == 1

    async def test_a_cancelled_call_releases_the_connection(self) -> None:
        """The service sees the connection closed before it has answered."""
        async with self.asked(Broken("stall")) as (service, model):
            call = asyncio.create_task(model.complete("Who?"))
            await service.was_asked()
            call.cancel()
            with pytest.raises(asyncio.CancelledError):
                await call
            await service.was_left()

        assert service.left == 1

    async def test_one_connection_serves_many_calls(self) -> None:
        """Streams and whole answers share it, one after the other."""
        async with self.asked(Answer()) as (service, model):
            for streamed in (False, True, True, False, False):
                await ask(model, streamed=streamed)

        assert len(service.requests) == 5
        assert service.connections == 1

    async def test_images_are_sent(self) -> None:
        """The bytes of an image are in the request."""
        if not self.images:
            pytest.skip("the provider takes no images")
        async with self.asked(Answer()) as (service, model):
            await model.complete(PICTURE)

        # The same bytes in every service's JSON: base64 of the file.
        assert b"iVBORw0KGgoAAAA" in service.requests[0].body

    async def test_addresses_of_images_are_sent_or_refused(self) -> None:
        """The service fetches the image, or the call fails before it is sent."""
        if not self.images:
            pytest.skip("the provider takes no images")
        question = user("What is it?", images=[Image.from_url("https://example.org/it.png")])
        async with self.asked(Answer()) as (service, model):
            if self.image_urls:
                await model.complete(question)
            else:
                with pytest.raises(RagcoreError):
                    await model.complete(question)
        sent = [b"https://example.org/it.png" in request.body for request in service.requests]

        assert sent == [True] * self.image_urls

    async def test_a_schema_is_asked_for_as_the_service_can(self) -> None:
        """A schema is asked for natively, or in words if the caller allows that."""
        options = {} if self.json_schema else {"on_unsupported": "prompt"}
        async with self.asked(Answer('{"author": "Goethe"}'), **options) as (service, model):
            answer = await model.complete("Who?", response_format=SCHEMA)

        assert json.loads(answer.text) == {"author": "Goethe"}
        assert answer.structured == ("native" if self.json_schema else "prompted")
        assert b"author" in service.requests[0].body

    async def test_nobody_there_is_an_error_that_may_pass(self) -> None:
        """An address where nothing listens is tried as often as the host's Retry says."""
        async with self.case.serving(Answer()) as service:
            options = self.case.to(service)
        async with ragcore.completion(self.case.reference, **options) as model:
            with pytest.raises(ProviderError) as caught:
                await model.complete("Who?")

        assert type(caught.value) is UnavailableError
        assert caught.value.attempts == 3

    async def test_the_variables_of_the_service_lead_to_it(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Address and key can come from the environment; nothing else is needed."""
        async with self.case.serving(Answer()) as service:
            for name, value in self.case.environment(service).items():
                monkeypatch.setenv(name, value)
            async with ragcore.completion(self.case.reference) as model:
                answer = await model.complete("Who?")

        assert answer.text == "Goethe"

    async def test_a_key_is_shown_nowhere(self, caplog: pytest.LogCaptureFixture) -> None:
        """No repr, error, traceback, pickle or log line has it, though the service repeats it."""
        caplog.set_level(logging.DEBUG)
        replies = Failure(500, f"no, {SECRET}"), Answer()
        async with self.asked(*replies, retry=Retry(attempts=1)) as (_, model):
            with pytest.raises(ProviderError) as caught:
                await model.complete("Who?")
            await model.complete("Who?")
        error = caught.value
        shown = [repr(model), repr(error), str(error), str(copy.copy(error)), caplog.text]

        assert [text for text in shown if SECRET in text] == []
        assert SECRET.encode() not in pickle.dumps(error)
        assert SECRET not in "".join(traceback.format_exception(error))

    async def test_a_bad_option_beside_a_key_does_not_show_it(self) -> None:
        """The error names the option, and no secret."""
        with pytest.raises(RagcoreError, match="no_such_option") as caught:
            async with self.opened(no_such_option=1):
                pass

        assert SECRET not in str(caught.value)
