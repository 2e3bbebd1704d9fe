"""What every model that completes keeps, on this machine or asked through a double."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from typing import Any

import pytest

import ragcore
from ragcore import (
    Completion,
    CompletionModel,
    CompletionProvider,
    Image,
    JSONSchema,
    Retry,
    assistant,
    errors,
    user,
)
from ragcore._discovery.loading import registry
from ragcore.testing.contracts._http import HTTPContract, address_in, however_it_breaks
from ragcore.testing.contracts._model import ModelContract
from ragcore.testing.server import Answer, Broken, Failure, Reply

QUESTION = "Who wrote Faust?"
PICTURE = user("What is it?", images=[Image.from_bytes(b"\x89PNG\r\n\x1a\n" + bytes(20))])
SCHEMA = JSONSchema({"type": "object", "properties": {"author": {"type": "string"}}})


async def complete(model: CompletionModel, **options: Any) -> Completion:
    """Return an answer in one piece."""
    answer: Completion = await model.complete(QUESTION, **options)
    return answer


async def read(model: CompletionModel, **options: Any) -> Completion:
    """Return what a stream has said at its end."""
    async with model.stream(QUESTION, **options) as chunks:
        async for _ in chunks:
            pass
    return chunks.completion


# Reads the first piece of a stream in a generator that nobody closes.
_SUSPENDED = """
import asyncio, sys, ragcore

async def pieces():
    async with ragcore.completion(sys.argv[1]) as model, model.stream("Who?") as chunks:
        async for chunk in chunks:
            yield chunk.text

async def main():
    global reading
    reading = pieces()
    print(await anext(reading))

"""
_LOOPS = {
    "run": "asyncio.run(main())",
    "left open": "asyncio.new_event_loop().run_until_complete(main())",
}
_EXIT = 30.0  # seconds

Ask = Callable[[CompletionModel], Awaitable[Completion]]

whole_and_streamed = pytest.mark.parametrize("ask", [complete, read], ids=["whole", "streamed"])


class CompletionContract(ModelContract[CompletionModel]):
    """
    What every model that completes keeps.

    Attributes:
        images: Whether the model looks at images.
        json_schema: Whether the model makes its answers fit a schema.
    """

    asks: tuple[Callable[..., Awaitable[Any]], ...] = (complete, read)
    images: bool = True
    json_schema: bool = True

    async def test_it_answers(self) -> None:
        """A call returns text, and why it ended."""
        async with self.opened() as model:
            answer = await model.complete(QUESTION, system="Be brief.")

        assert answer.text
        assert answer.finish_reason in ("stop", "length")
        assert answer.timings.attempts == 1

    async def test_it_streams(self) -> None:
        """The pieces of a stream join to its text, and only the end has the reason."""
        async with self.opened() as model, model.stream(QUESTION, system="Be brief.") as chunks:
            *pieces, last = [chunk async for chunk in chunks]
        answer = chunks.completion

        assert answer.text
        assert "".join(chunk.text for chunk in (*pieces, last)) == answer.text
        assert answer.finish_reason in ("stop", "length")
        assert {chunk.finish_reason for chunk in pieces} <= {None}

    async def test_a_stream_that_is_left_leaves_the_model_usable(self) -> None:
        """Another call is answered after a stream was left at its first chunk."""
        async with self.opened() as model:
            async with model.stream(QUESTION) as chunks:
                await anext(chunks)
            await complete(model)

    async def test_calls_run_side_by_side(self) -> None:
        """Several calls and streams at once are all answered."""
        async with self.opened() as model:
            await asyncio.gather(*(ask(model) for ask in self.asks * 2))

    async def test_what_it_lacks_is_refused(self) -> None:
        """The model has the capabilities that the contract says, and refuses what needs others."""
        async with self.opened() as model:
            claimed = (model.capabilities.images, model.capabilities.json_schema)
            if not self.images:
                with pytest.raises(errors.UnsupportedError):
                    await model.complete(PICTURE)
            if not self.json_schema:
                with pytest.raises(errors.UnsupportedError):
                    await model.complete(QUESTION, response_format=SCHEMA)

        assert claimed == (self.images, self.json_schema)


class LocalCompletionContract(CompletionContract):
    """What a model keeps that makes its answers on this machine."""

    async def test_the_limit_cuts_the_answer(self) -> None:
        """With *max_output_tokens* the answer is no longer, and says that it was cut."""
        async with self.opened() as model:
            answer = await model.complete(QUESTION, max_output_tokens=1)
            streamed = await read(model, max_output_tokens=1)

        assert (answer.finish_reason, streamed.finish_reason) == ("length", "length")
        assert answer.usage is None or answer.usage.output_tokens == 1


class HTTPCompletionContract(HTTPContract[CompletionModel], CompletionContract):
    """
    What every service that completes keeps, asked through its double.

    Attributes:
        image_urls: Whether the service takes addresses of images.
        reasoning: Whether the double shows the reasoning of an answer.
        reports_in_stream: Whether the double reports errors inside a stream.
    """

    answer: Reply = Answer()
    asked_for: bytes = QUESTION.encode()
    image_urls: bool = True
    reasoning: bool = True
    reports_in_stream: bool = True

    def model(self, **options: Any) -> AbstractAsyncContextManager[CompletionModel]:
        """Return the model that completes, not yet open, with *options*."""
        return ragcore.completion(self.case.reference, **options)

    def provider(self) -> CompletionProvider:
        """Return the provider's record."""
        return registry().completion_provider(self.case.provider)

    async def finished(self, ask: Ask, reply: Answer) -> Completion:
        """Return what becomes of *reply*."""
        async with self.asked(reply) as (_, model):
            return await ask(model)

    async def test_what_is_said_arrives(self) -> None:
        """Every message is sent; text, reason and usage come back."""
        conversation = [user("Who wrote Faust?"), assistant("He."), user("Whoever is that?")]
        reply = Answer("It was Goethe", input_tokens=11, output_tokens=5)
        async with self.asked(reply) as (service, model):
            answer = await model.complete(conversation, system="One word.")
        body = service.requests[0].body

        assert (answer.text, answer.finish_reason) == ("It was Goethe", "stop")
        assert answer.usage is not None
        assert (answer.usage.input_tokens, answer.usage.output_tokens) == (11, 5)
        assert body.count(b"One word.") == 1
        assert all(message.content.encode() in body for message in conversation)

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
    async def test_reasoning_is_apart_from_the_text(self, ask: Ask) -> None:
        """What the model thought first is not in the text."""
        if not self.reasoning:
            pytest.skip("the double shows no reasoning")
        answer = await self.finished(ask, Answer("Goethe", reasoning="Let me see."))

        assert (answer.text, answer.reasoning) == ("Goethe", "Let me see.")

    @whole_and_streamed
    @pytest.mark.parametrize(
        ("finish", "error"),
        [("length", errors.TruncatedResponseError), ("content_filter", errors.ContentFilterError)],
    )
    async def test_an_answer_that_is_cut_or_filtered_says_so(
        self, finish: Any, error: type[Exception], ask: Ask
    ) -> None:
        """Such an answer has the reason if it has text, and is an error if it has none."""
        answer = await self.finished(ask, Answer("Goe", finish=finish))

        assert (answer.text, answer.finish_reason) == ("Goe", finish)
        with pytest.raises(error):
            await self.finished(ask, Answer("", finish=finish))

    @whole_and_streamed
    async def test_an_empty_answer_is_an_error(self, ask: Ask) -> None:
        """An answer without text is no answer, if nothing says why it is empty."""
        with pytest.raises(errors.EmptyResponseError):
            await self.finished(ask, Answer(""))

    async def test_retry_after_is_obeyed(self) -> None:
        """A wait that the service asks for and the deadline has no room for fails at once."""
        failure = Failure(429, headers={"Retry-After": "30"})
        service, error = await self.failed(complete, failure, timeout=10)

        assert isinstance(error, errors.RateLimitError)
        assert error.retry_after == 30
        assert len(service.requests) == 1

    @however_it_breaks
    async def test_a_broken_stream_is_no_short_answer(self, how: Any) -> None:
        """The error has the text so far, and nothing is asked again."""
        service, error = await self.failed(read, Broken(how))

        assert isinstance(error, errors.InterruptedStreamError)
        assert error.text == "Goe"
        assert len(service.requests) == 1

    async def test_a_stream_that_stalls_ends_with_the_deadline(self) -> None:
        """The connection is released with it."""
        async with self.asked(Broken("stall")) as (service, model):
            with pytest.raises(errors.RequestTimeoutError):
                await read(model, timeout=0.5)
            await service.was_left()

        assert service.left == 1

    async def test_an_error_inside_a_stream_is_one(self) -> None:
        """An error that comes after text ends the call, and nothing is asked again."""
        if not self.reports_in_stream:
            pytest.skip("the double reports no error inside a stream")
        failure = Failure(500, "out of order", "server_error", in_stream=True)
        service, error = await self.failed(read, failure)

        assert "out of order" in str(error)
        assert len(service.requests) == 1

    async def test_leaving_a_stream_releases_the_connection(self) -> None:
        """The service sees the connection closed while it has more to say."""
        async with self.asked(Broken("stall")) as (service, model):
            async with model.stream("Who?") as chunks:
                first = await anext(chunks)
            await service.was_left()

        assert first.text == "Goe"
        assert service.left == 1

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
                with pytest.raises(errors.RagcoreError):
                    await model.complete(question)
        sent = [b"https://example.org/it.png" in request.body for request in service.requests]

        assert sent == [True] * self.image_urls

    async def test_a_schema_is_asked_for_as_the_service_can(self) -> None:
        """A schema is asked for natively, or in words if the caller allows that."""
        options = {} if self.json_schema else {"on_unsupported": "prompt"}
        async with self.asked(Answer('{"author": "Goethe"}'), **options) as (service, model):
            answer = await model.complete("Who?", response_format=SCHEMA)
            in_words = "object" if model.capabilities.json_object else "prompted"

        assert json.loads(answer.text) == {"author": "Goethe"}
        assert answer.structured == ("native" if self.json_schema else in_words)
        assert b"author" in service.requests[0].body

    async def test_who_is_not_there_is_named(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """The error has the address, its option, and the variable that has set it."""
        async with self.case.serving(self.answer) as service:
            there, variables = self.case.options(service), self.case.environment(service)
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        async with self.model(retry=Retry(attempts=1)) as model:
            with pytest.raises(errors.UnavailableError) as caught:
                await self.ask(model)

        assert f"localhost:{service.port}" in str(caught.value)
        for name in (f"{address_in(there, service)}=", address_in(variables, service)):
            assert name in str(caught.value)

    async def test_the_variables_of_the_service_lead_to_it(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Address and key can come from the environment; nothing else is needed."""
        async with self.case.serving(Answer()) as service:
            for name, value in self.case.environment(service).items():
                monkeypatch.setenv(name, value)
            async with self.model() as model:
                answer = await complete(model)

        assert answer.text == "Goethe"

    @pytest.mark.parametrize("loop", _LOOPS.values(), ids=_LOOPS.keys())
    async def test_a_suspended_stream_says_nothing_at_exit(self, loop: str) -> None:
        """A program ends at once, though it has left a stream in the middle of an answer."""
        async with self.case.serving(Broken("stall")) as service:
            program = await asyncio.create_subprocess_exec(
                *(sys.executable, "-c", f"{_SUSPENDED}{loop}", self.case.reference),
                env=os.environ | self.case.environment(service),
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
            )
            try:
                said, complained = await asyncio.wait_for(program.communicate(), _EXIT)
            finally:
                if program.returncode is None:
                    program.kill()

        assert (said.strip(), complained.decode(), program.returncode) == (b"Goe", "", 0)
