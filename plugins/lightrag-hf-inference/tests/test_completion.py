"""An answer in one piece: what is sent, and what is made of what comes."""

import base64
from typing import Any

import pytest
from hf_inference_double import (
    MODEL,
    REQUEST_ID,
    TOKEN,
    HFInferenceService,
    completing,
    completion,
)

import ragcore
from lightrag_hf_inference import _completion
from ragcore import Image, JSONObject, JSONSchema, Usage
from ragcore.testing import FakeClock
from ragcore.testing.server import Answer, Connection, Reply, Request

PNG = b"\x89PNG\r\n\x1a\n" + b"\0" * 16
CITY = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}


class Verbatim(HFInferenceService):
    """Answers with one body, whatever is asked."""

    def __init__(self, body: Any) -> None:
        super().__init__(Answer())
        self.body = body

    async def reply(self, request: Request, reply: Reply, connection: Connection) -> None:
        if isinstance(self.body, bytes):
            await connection.respond(200, self.body, {"Content-Type": "text/html"})
        else:
            await self._send(connection, 200, self.body)


async def test_an_answer_with_all_that_was_said_of_it() -> None:
    """Text, reasoning, usage, model and request id."""
    said = Answer("Goethe", "A poet.", cached_input_tokens=3, output_tokens=9, reasoning_tokens=4)
    async with HFInferenceService(said).running() as service, completing(service) as model:
        answer = await model.complete("Who wrote Faust?", system="One word.")

    sent = service.requests[0].json
    assert (answer.text, answer.reasoning, answer.finish_reason) == ("Goethe", "A poet.", "stop")
    assert answer.usage == Usage(7, 9, cached_input_tokens=3, reasoning_tokens=4)
    assert (answer.model, answer.request_id) == (MODEL, REQUEST_ID)
    assert sent["messages"] == [
        {"role": "system", "content": "One word."},
        {"role": "user", "content": "Who wrote Faust?"},
    ]
    assert sent["model"] == MODEL


async def test_think_tags_are_reasoning() -> None:
    """Where the server does not part them."""
    said = Answer("<think>\nHm.\n</think>\nGoethe")
    async with HFInferenceService(said).running() as service, completing(service) as model:
        answer = await model.complete("Who?")

    assert (answer.text, answer.reasoning) == ("Goethe", "Hm.")


async def test_reasoning_content_is_reasoning() -> None:
    """As vLLM behind an endpoint calls it."""
    body = completion(Answer("Goethe"))
    body["choices"][0]["message"]["reasoning_content"] = "Hm."
    async with Verbatim(body).running() as service, completing(service) as model:
        answer = await model.complete("Who?")

    assert answer.reasoning == "Hm."


async def test_usage_may_be_missing() -> None:
    """An endpoint that says nothing of tokens costs no answer."""
    body = completion(Answer())
    del body["usage"]
    async with Verbatim(body).running() as service, completing(service) as model:
        answer = await model.complete("Who?")

    assert answer.usage is None


async def test_images_as_bytes_and_as_address() -> None:
    """As a data URL or by URL, before the text."""
    images = [Image.from_bytes(PNG), Image.from_url("https://example.org/faust.webp")]
    async with HFInferenceService(Answer()).running() as service, completing(service) as model:
        await model.complete(ragcore.user("What is it?", images=images))

    data = f"data:image/png;base64,{base64.b64encode(PNG).decode()}"
    assert service.requests[0].json["messages"][0]["content"] == [
        {"type": "image_url", "image_url": {"url": data}},
        {"type": "image_url", "image_url": {"url": "https://example.org/faust.webp"}},
        {"type": "text", "text": "What is it?"},
    ]


@pytest.mark.parametrize(
    ("response_format", "sent"),
    [
        (JSONObject(), {"type": "json_object"}),
        (JSONSchema(CITY), {"type": "json_object", "value": CITY}),
    ],
)
async def test_json_is_asked_for_natively(response_format: Any, sent: dict[str, Any]) -> None:
    """Of an endpoint in the grammar of text-generation-inference, as the SDK does."""
    said = Answer('{"city": "Weimar"}')
    async with HFInferenceService(said).running() as service, completing(service) as model:
        answer = await model.complete("Where?", response_format=response_format)

    assert service.requests[0].json["response_format"] == sent
    assert answer.structured == "native"


@pytest.mark.parametrize(
    ("said", "finish_reason"),
    [
        ("stop", "stop"),
        ("eos_token", "stop"),
        ("stop_sequence", "stop"),
        ("tool_calls", "stop"),
        ("length", "length"),
        ("content_filter", "content_filter"),
    ],
)
async def test_why_an_answer_ended(said: str, finish_reason: str) -> None:
    """In ragcore's words."""
    body = completion(Answer())
    body["choices"][0]["finish_reason"] = said
    async with Verbatim(body).running() as service, completing(service) as model:
        answer = await model.complete("Who?")

    assert answer.finish_reason == finish_reason


@pytest.mark.parametrize("reason", ["novelty", None])
async def test_an_answer_that_is_not_done_is_an_error(reason: str | None) -> None:
    """Never a plain answer."""
    body = completion(Answer())
    body["choices"][0]["finish_reason"] = reason
    async with Verbatim(body).running() as service, completing(service) as model:
        with pytest.raises(ragcore.ProviderError, match=f"{reason!r}"):
            await model.complete("Who?")


@pytest.mark.parametrize(
    ("said", "error"),
    [
        (Answer(""), ragcore.EmptyResponseError),
        (Answer("", finish="length"), ragcore.TruncatedResponseError),
        (Answer("", finish="content_filter"), ragcore.ContentFilterError),
        (Answer("<think>Hm", finish="length"), ragcore.TruncatedResponseError),
    ],
)
async def test_no_text_is_an_error(said: Answer, error: type[Exception]) -> None:
    """Which one depends on why there is none."""
    async with HFInferenceService(said).running() as service, completing(service) as model:
        with pytest.raises(error):
            await model.complete("Who?")


class Loading(HFInferenceService):
    """A model that is loading, for as many requests as *times*."""

    def __init__(self, times: int, seconds: float) -> None:
        super().__init__(Answer())
        self.times, self.seconds = times, seconds

    async def reply(self, request: Request, reply: Reply, connection: Connection) -> None:
        if len(self.requests) > self.times:
            await super().reply(request, reply, connection)
            return
        body = {"error": f"Model {MODEL} is currently loading", "estimated_time": self.seconds}
        await self._send(connection, 503, body)


def test_a_model_that_loads_is_waited_for() -> None:
    """As long as it says, and the timings show it."""

    async def ask() -> ragcore.Completion:
        async with (
            Loading(2, 20.0).running() as service,
            completing(service, timeout=60, retry=None) as model,
        ):
            return await model.complete("Who?")

    with FakeClock() as clock:
        answer = clock.run(ask())

    assert answer.text == "Goethe"
    assert answer.timings.retrying >= 40
    assert answer.timings.attempts == 3


async def test_a_model_that_loads_too_long_is_not_waited_for() -> None:
    """Its estimate is beyond the deadline."""
    async with Loading(9, 300.0).running() as service, completing(service, timeout=30) as model:
        with pytest.raises(ragcore.UnavailableError, match="loading") as caught:
            await model.complete("Who?")

    assert caught.value.retry_after == 300
    assert len(service.requests) == 1


@pytest.mark.parametrize(("provider", "name"), [("auto", MODEL), ("together", f"{MODEL}:together")])
async def test_the_router_is_told_who_serves(
    provider: str, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the model's name; a schema goes as its API wants it."""
    async with HFInferenceService(Answer("{}")).running() as service:
        monkeypatch.setattr(_completion, "ROUTER", service.url)
        async with completing(service, base_url=None, provider=provider) as model:
            await model.complete("Where?", response_format=JSONSchema(CITY))

    [request] = service.requests
    schema = {"name": "answer", "schema": CITY, "strict": True}
    assert request.path == "/v1/chat/completions"
    assert request.json["model"] == name
    assert request.json["response_format"] == {"type": "json_schema", "json_schema": schema}


async def test_an_endpoint_as_reference() -> None:
    """Its path is kept, and completed as the SDK does; the model's name is its own business."""
    async with HFInferenceService(Answer()).running() as service:
        for address in (f"{service.url}", f"{service.url}/v1", f"{service.url}/deep/"):
            async with completing(service, address, base_url=None) as model:
                await model.complete("Who?")

    paths = [request.path for request in service.requests]
    assert paths == ["/v1/chat/completions", "/v1/chat/completions", "/deep/v1/chat/completions"]
    assert service.requests[0].headers["authorization"] == f"Bearer {TOKEN}"
