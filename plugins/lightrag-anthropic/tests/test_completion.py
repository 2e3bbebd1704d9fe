"""An answer in one piece: what is sent, and what is made of what comes."""

import base64
from typing import Any

import pytest
from anthropic_double import MODEL, REQUEST_ID, AnthropicService, asked, message

import ragcore
from ragcore import Image, JSONObject, JSONSchema, Usage
from ragcore.testing.server import Answer, Connection, Failure, Reply, Request

PNG = b"\x89PNG\r\n\x1a\n" + b"\0" * 16
CITY = {
    "type": "object",
    "properties": {"city": {"type": "string"}},
    "required": ["city"],
    "additionalProperties": False,
}


class Verbatim(AnthropicService):
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
    said = Answer(
        "Goethe", reasoning="A poet.", cached_input_tokens=3, output_tokens=9, reasoning_tokens=4
    )
    async with AnthropicService(said).running() as service, asked(service) as model:
        answer = await model.complete("Who wrote Faust?")

    assert answer.text == "Goethe"
    assert answer.reasoning == "A poet."
    assert answer.finish_reason == "stop"
    assert answer.usage == Usage(7, 9, cached_input_tokens=3, reasoning_tokens=4)
    assert answer.model == MODEL
    assert answer.request_id == REQUEST_ID


async def test_cache_writes_are_input() -> None:
    """The API counts them apart, ragcore's input tokens are all of them."""
    body = message(MODEL, Answer())
    body["usage"] |= {"cache_creation_input_tokens": 100, "output_tokens_details": None}
    async with Verbatim(body).running() as service, asked(service) as model:
        answer = await model.complete("Who?")

    assert answer.usage == Usage(107, 2)


async def test_text_blocks_are_joined_and_thoughts_kept_apart() -> None:
    """Redacted thoughts, and blocks nobody knows yet, say nothing."""
    body = message(MODEL, Answer())
    body["content"] = [
        {"type": "redacted_thinking", "data": "…"},
        {"type": "thinking", "thinking": "Hm.", "signature": "x"},
        {"type": "text", "text": "Johann "},
        {"type": "novelty", "text": "?"},
        {"type": "text", "text": "Goethe"},
    ]
    async with Verbatim(body).running() as service, asked(service) as model:
        answer = await model.complete("Who?")

    assert (answer.text, answer.reasoning) == ("Johann Goethe", "Hm.")


async def test_usage_may_be_missing() -> None:
    """A gateway that says nothing of tokens costs no answer."""
    body = message(MODEL, Answer()) | {"usage": None}
    async with Verbatim(body).running() as service, asked(service) as model:
        answer = await model.complete("Who?")

    assert answer.usage is None


async def test_system_messages_are_lifted_and_roles_alternate() -> None:
    """All into ``system``; turns of one role become one turn."""
    turns = [
        ragcore.system("Be brief."),
        ragcore.user("Hello."),
        ragcore.system("Be kind."),
        ragcore.user("Who wrote Faust?"),
        ragcore.assistant("Goethe."),
        ragcore.user("When?"),
    ]
    async with AnthropicService(Answer()).running() as service, asked(service) as model:
        await model.complete(turns, system="You know books.")

    sent = service.requests[0].json
    texts = [{"type": "text", "text": "Hello."}, {"type": "text", "text": "Who wrote Faust?"}]
    assert sent["system"] == "You know books.\n\nBe brief.\n\nBe kind."
    assert sent["messages"] == [
        {"role": "user", "content": texts},
        {"role": "assistant", "content": "Goethe."},
        {"role": "user", "content": "When?"},
    ]


async def test_system_messages_alone_are_refused() -> None:
    """There is nothing to answer, and nothing is sent."""
    async with AnthropicService(Answer()).running() as service, asked(service) as model:
        with pytest.raises(ragcore.InvalidRequestError, match="nothing to answer"):
            await model.complete(ragcore.system("Be brief."))

    assert not service.requests


async def test_images_as_bytes_and_as_address() -> None:
    """Before the text, as base64 or by URL."""
    images = [Image.from_bytes(PNG), Image.from_url("https://example.org/faust.webp")]
    async with AnthropicService(Answer()).running() as service, asked(service) as model:
        await model.complete(ragcore.user("What is it?", images=images))

    data = base64.b64encode(PNG).decode()
    assert service.requests[0].json["messages"][0]["content"] == [
        {
            "type": "image",
            "source": {"type": "base64", "media_type": "image/png", "data": data},
        },
        {"type": "image", "source": {"type": "url", "url": "https://example.org/faust.webp"}},
        {"type": "text", "text": "What is it?"},
    ]


async def test_an_image_without_words() -> None:
    """The API refuses an empty text beside it, so none is sent."""
    async with AnthropicService(Answer()).running() as service, asked(service) as model:
        await model.complete(ragcore.user("", images=[Image.from_bytes(PNG)]))

    [block] = service.requests[0].json["messages"][0]["content"]
    assert block["type"] == "image"


async def test_an_image_in_a_system_message_is_refused() -> None:
    """The API can't take it; it is not dropped."""
    turns = [
        ragcore.Message("system", "Look.", images=[Image.from_bytes(PNG)]),
        ragcore.user("Well?"),
    ]
    async with AnthropicService(Answer()).running() as service, asked(service) as model:
        with pytest.raises(ragcore.InvalidRequestError) as caught:
            await model.complete(turns)

    assert caught.value.positions == (0,)


async def test_a_schema_is_asked_for_natively() -> None:
    """By ``output_config``, beside the effort; the answer says so."""
    said = Answer('{"city": "Weimar"}')
    async with AnthropicService(said).running() as service, asked(service) as model:
        answer = await model.complete("Where?", response_format=JSONSchema(CITY), effort="low")

    asked_for = {"effort": "low", "format": {"type": "json_schema", "schema": CITY}}
    assert service.requests[0].json["output_config"] == asked_for
    assert answer.structured == "native"


@pytest.mark.parametrize(
    ("given", "sent"),
    [
        (
            {"type": "object", "properties": {"n": {"type": "integer", "minimum": 1}}},
            {
                "type": "object",
                "properties": {"n": {"type": "integer", "description": "{minimum: 1}"}},
                "additionalProperties": False,
            },
        ),
        (
            {"type": "object", "additionalProperties": {"type": "string"}},
            {"type": "object", "additionalProperties": {"type": "string"}},
        ),
        ({"type": ["string", "null"]}, {"type": ["string", "null"]}),
        ({}, {}),
    ],
    ids=["closed", "open", "several types", "anything"],
)
async def test_a_schema_is_fitted_where_nothing_is_lost(
    given: dict[str, Any], sent: dict[str, Any]
) -> None:
    """Objects are closed and bounds described; what can't be put so goes as it is."""
    async with AnthropicService(Answer("{}")).running() as service, asked(service) as model:
        await model.complete("Where?", response_format=JSONSchema(given))

    assert service.requests[0].json["output_config"]["format"]["schema"] == sent


async def test_a_schema_that_is_not_strict_goes_as_it_is() -> None:
    """Nothing is put into it."""
    schema = {"type": "integer", "minimum": 1}
    async with AnthropicService(Answer("1")).running() as service, asked(service) as model:
        await model.complete("How many?", response_format=JSONSchema(schema, strict=False))

    assert service.requests[0].json["output_config"]["format"]["schema"] == schema


async def test_json_without_a_schema_is_not_native() -> None:
    """The API has none: refused, or asked for in words, as ``on_unsupported`` says."""
    async with AnthropicService(Answer("{}")).running() as service:
        async with asked(service) as model:
            with pytest.raises(ragcore.UnsupportedError, match="response_format"):
                await model.complete("Where?", response_format=JSONObject())
        async with asked(service, on_unsupported="prompt") as model:
            answer = await model.complete("Where?", response_format=JSONObject())

    assert answer.structured == "prompted"
    assert "JSON" in service.requests[0].json["system"]
    assert "output_config" not in service.requests[0].json


async def test_old_models_have_no_schema() -> None:
    """Asked in words, if that is wanted."""
    async with (
        AnthropicService(Answer("{}")).running() as service,
        asked(service, "claude-sonnet-4-0", on_unsupported="prompt") as model,
    ):
        answer = await model.complete("Where?", response_format=JSONSchema(CITY))

    assert answer.structured == "prompted"


@pytest.mark.parametrize(
    ("stop_reason", "finish_reason"),
    [
        ("end_turn", "stop"),
        ("stop_sequence", "stop"),
        ("max_tokens", "length"),
        ("model_context_window_exceeded", "length"),
        ("refusal", "content_filter"),
    ],
)
async def test_why_an_answer_ended(stop_reason: str, finish_reason: str) -> None:
    """In ragcore's words."""
    body = message(MODEL, Answer()) | {"stop_reason": stop_reason}
    async with Verbatim(body).running() as service, asked(service) as model:
        answer = await model.complete("Who?")

    assert answer.finish_reason == finish_reason


@pytest.mark.parametrize(
    ("said", "error"),
    [
        (Answer(""), ragcore.EmptyResponseError),
        (Answer("", finish="length"), ragcore.TruncatedResponseError),
        (Answer("", reasoning="Hm.", finish="length"), ragcore.TruncatedResponseError),
        (Answer("", finish="refusal"), ragcore.ContentFilterError),
    ],
)
async def test_no_text_is_an_error(said: Answer, error: type[Exception]) -> None:
    """Which one depends on why there is none."""
    async with AnthropicService(said).running() as service, asked(service) as model:
        with pytest.raises(error):
            await model.complete("Who?")


async def test_a_refusal_says_why() -> None:
    """As the service explains it."""
    body = message(MODEL, Answer("", finish="refusal"))
    body["stop_details"] = {"type": "refusal", "category": "cyber", "explanation": "No malware."}
    async with Verbatim(body).running() as service, asked(service) as model:
        with pytest.raises(ragcore.ContentFilterError, match="No malware"):
            await model.complete("Who?")


async def test_an_error_with_status_200_is_an_error() -> None:
    """Gateways do that."""
    body = {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}
    async with Verbatim(body).running() as service, asked(service) as model:
        with pytest.raises(ragcore.UnavailableError, match="Overloaded"):
            await model.complete("Who?")

    assert len(service.requests) == 3


async def test_the_sdk_does_not_retry() -> None:
    """The host counts attempts; so does the wire."""
    async with AnthropicService(Failure(529)).running() as service, asked(service) as model:
        with pytest.raises(ragcore.UnavailableError) as caught:
            await model.complete("Who?")

    assert len(service.requests) == caught.value.attempts == 3


async def test_a_deprecated_model_is_answered_and_told(caplog: pytest.LogCaptureFixture) -> None:
    """Once, in the log: a warning would end the calls of who turns these into errors."""
    async with (
        AnthropicService(Answer()).running() as service,
        asked(service, "claude-sonnet-4-5") as model,
    ):
        await model.complete("Who?")
        answer = await model.complete("Who?", thinking={"type": "enabled", "budget_tokens": 1024})

    assert answer.text == "Goethe"
    assert caplog.text.count("deprecated") == 1


async def test_a_long_answer_in_one_piece_is_not_refused() -> None:
    """The SDK's ``create`` would want a stream for it."""
    async with AnthropicService(Answer()).running() as service, asked(service) as model:
        await model.complete("Tell all.", max_output_tokens=128_000)

    assert service.requests[0].json["max_tokens"] == 128_000


async def test_a_real_server_answers(llama_server: str) -> None:
    """llama.cpp's Messages API, with a real model, in one piece."""
    async with ragcore.completion(
        "anthropic:smollm2", api_key="none", base_url=llama_server, timeout=120
    ) as model:
        answer = await model.complete(
            "What is the capital of France?",
            max_output_tokens=24,
            temperature=0.0,
        )

    assert answer.text
    assert answer.usage is not None
    assert answer.usage.output_tokens > 0


async def test_a_real_server_cuts(llama_server: str) -> None:
    """Three tokens are no whole answer, and say so."""
    async with ragcore.completion(
        "anthropic:smollm2", api_key="none", base_url=llama_server, timeout=120
    ) as model:
        answer = await model.complete("Tell a story.", max_output_tokens=3)

    assert answer.finish_reason == "length"
