"""Converse and ConverseStream, through boto3, against the service's double."""

from __future__ import annotations

import asyncio
import base64
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from bedrock_double import Bedrock, event

import ragcore
from ragcore import Image, Retry, Usage
from ragcore.testing.server import Answer, Broken, Connection, Failure, Reply, Request

PNG = base64.b64decode("iVBORw0KGgo=")
QUICK = Retry(attempts=3, wait_initial=0, wait_max=0)
MODEL = "bedrock:us.anthropic.claude-sonnet-4-5-20250929-v1:0"


@asynccontextmanager
async def model_of(
    service: Bedrock, keys: dict[str, Any], reference: str = MODEL, **options: Any
) -> AsyncIterator[ragcore.CompletionModel]:
    settings = {"endpoint_url": service.url, "retry": QUICK, **keys, **options}
    async with ragcore.completion(reference, **settings) as model:
        yield model


async def test_answers(keys: dict[str, Any]) -> None:
    """With all text blocks joined, the reasoning apart, usage and the request's identifier."""
    reply = Answer("Goethe wrote it.", reasoning="Faust?", input_tokens=9, output_tokens=4)
    async with Bedrock(reply).running() as service, model_of(service, keys) as model:
        answer = await model.complete("Who wrote Faust?", system="One word.")

    assert answer.text == "Goethe wrote it."
    assert answer.reasoning == "Faust?"
    assert answer.finish_reason == "stop"
    assert answer.usage == Usage(9, 4)
    assert answer.request_id == "request-1"


async def test_streams(keys: dict[str, Any]) -> None:
    """Piece by piece; usage comes after the end of the message."""
    reply = Answer("Goethe wrote it.", reasoning="Faust?", input_tokens=9, cached_input_tokens=4)
    async with Bedrock(reply).running() as service, model_of(service, keys) as model:
        async with model.stream("Who wrote Faust?") as chunks:
            pieces = [chunk.text async for chunk in chunks if chunk.text]
        answer = chunks.completion

    assert pieces == ["Goethe", " wrote", " it."]
    assert answer.reasoning == "Faust?"
    assert answer.usage == Usage(9, 2, cached_input_tokens=4)


async def test_cached_tokens_are_input(keys: dict[str, Any]) -> None:
    """The service counts them beside inputTokens."""
    reply = Answer(input_tokens=100, cached_input_tokens=90)
    async with Bedrock(reply).running() as service, model_of(service, keys) as model:
        answer = await model.complete("hi")

    assert answer.usage == Usage(100, 2, cached_input_tokens=90)


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ({"inputTokens": 10, "outputTokens": 2, "totalTokens": 12, "cacheReadInputTokens": 4},
         Usage(10, 2, cached_input_tokens=4)),
        ({"inputTokens": 6, "outputTokens": 2, "cacheReadInputTokens": 4,
          "cacheWriteInputTokens": 3}, Usage(13, 2, cached_input_tokens=4)),
        ({"inputTokens": 6, "outputTokens": None, "totalTokens": None}, Usage(6)),
        ({}, None),
        (None, None),
    ],
)  # fmt: skip
def test_usage_of_any_kind(said: Any, expected: Usage | None) -> None:
    """Whether or not the total, or what the cache had, is said."""
    from lightrag_bedrock._completion import _usage

    assert _usage(said) == expected


@pytest.mark.parametrize(
    ("finish", "expected"),
    [("stop", "stop"), ("length", "length"), ("content_filter", "content_filter"),
     ("refusal", "content_filter")],
)  # fmt: skip
async def test_why_an_answer_ends(finish: Any, expected: str, keys: dict[str, Any]) -> None:
    """Is said, in one piece and streamed."""
    reply = Answer(finish=finish)
    async with Bedrock(reply).running() as service, model_of(service, keys) as model:
        answer = await model.complete("hi")
        async with model.stream("hi") as chunks:
            reasons = [chunk.finish_reason async for chunk in chunks if chunk.finish_reason]

    assert answer.finish_reason == expected
    assert reasons == [expected]


@pytest.mark.parametrize(
    ("finish", "expected"),
    [("length", ragcore.TruncatedResponseError), ("refusal", ragcore.ContentFilterError),
     ("stop", ragcore.EmptyResponseError)],
)  # fmt: skip
async def test_no_answer_is_an_error(
    finish: Any, expected: type[Exception], keys: dict[str, Any]
) -> None:
    """That says why there is none."""
    reply = Answer("", finish=finish)
    async with Bedrock(reply).running() as service, model_of(service, keys) as model:
        with pytest.raises(expected):
            await model.complete("hi")
        with pytest.raises(expected):
            async with model.stream("hi") as chunks:
                [chunk async for chunk in chunks]


async def test_thinking_tags_are_reasoning(keys: dict[str, Any]) -> None:
    """Imported models write them into the text; they may be broken over events."""
    reply = Answer("<think>hm</think>Goethe", pieces=("<thi", "nk>hm</th", "ink>Goe", "the"))
    async with Bedrock(reply).running() as service, model_of(service, keys) as model:
        answer = await model.complete("hi")
        async with model.stream("hi") as chunks:
            [chunk async for chunk in chunks]

    assert (answer.text, answer.reasoning) == ("Goethe", "hm")
    assert (chunks.completion.text, chunks.completion.reasoning) == ("Goethe", "hm")


async def test_the_conversation_on_the_wire(keys: dict[str, Any]) -> None:
    """System messages are lifted, neighbours of one role are one turn."""
    messages = [
        ragcore.user("a"),
        ragcore.assistant("b"),
        ragcore.system("S2"),
        ragcore.user("c", images=[Image.from_bytes(PNG)]),
        ragcore.user("", images=[Image(b"x", media_type="image/jpg")]),
    ]
    async with Bedrock(Answer()).running() as service, model_of(service, keys) as model:
        await model.complete(messages, system="S1")
        body = service.requests[0].json

    image = {"format": "png", "source": {"bytes": base64.b64encode(PNG).decode()}}
    assert body == {
        "system": [{"text": "S1"}, {"text": "S2"}],
        "messages": [
            {"role": "user", "content": [{"text": "a"}]},
            {"role": "assistant", "content": [{"text": "b"}]},
            {
                "role": "user",
                "content": [
                    {"image": image},
                    {"text": "c"},
                    {"image": {"format": "jpeg", "source": {"bytes": "eA=="}}},
                ],
            },
        ],
    }


@pytest.mark.parametrize(
    ("image", "expected"),
    [
        (Image.from_url("https://example.org/a.png"), ragcore.UnsupportedError),
        (Image(b"x", media_type="image/tiff"), ragcore.InvalidRequestError),
    ],
)
async def test_images_that_converse_does_not_take(
    image: Image, expected: type[Exception], keys: dict[str, Any]
) -> None:
    """Are refused before anything is sent."""
    async with Bedrock(Answer()).running() as service, model_of(service, keys) as model:
        with pytest.raises(expected):
            await model.complete([ragcore.user("see", images=[image])])

    assert service.requests == []


async def test_a_schema_is_asked_for_natively(keys: dict[str, Any]) -> None:
    """By ``outputConfig``, streamed or not."""
    schema = {"type": "object", "properties": {"name": {"type": "string"}}}
    async with Bedrock(Answer('{"name": 1}')).running() as service, model_of(service, keys) as m:
        answer = await m.complete("hi", response_format=ragcore.JSONSchema(schema, name="person"))
        async with m.stream("hi", response_format=schema) as chunks:
            [chunk async for chunk in chunks]

    asked = service.requests[0].json["outputConfig"]["textFormat"]
    definition = asked["structure"]["jsonSchema"]
    assert asked["type"] == "json_schema"
    assert definition["name"] == "person"
    assert definition["schema"].replace(" ", "") == str(schema).replace("'", '"').replace(" ", "")
    assert "outputConfig" in service.requests[1].json
    assert answer.structured == "native"


async def test_a_json_object_is_not_native(keys: dict[str, Any]) -> None:
    """Converse has none: refused, or asked for in words."""
    async with Bedrock(Answer("{}")).running() as service:
        async with model_of(service, keys) as model:
            with pytest.raises(ragcore.UnsupportedError):
                await model.complete("hi", response_format=ragcore.JSONObject())
        async with model_of(service, keys, on_unsupported="prompt") as model:
            answer = await model.complete("hi", response_format=ragcore.JSONObject())

    assert answer.structured == "prompted"
    assert len(service.requests) == 1


OPTIONS: dict[str, tuple[Any, str, Any]] = {
    "temperature": (0.25, "inferenceConfig", {"temperature": 0.25}),
    "max_tokens": (9, "inferenceConfig", {"maxTokens": 9}),
    "top_p": (0.5, "inferenceConfig", {"topP": 0.5}),
    "stop_sequences": (["X"], "inferenceConfig", {"stopSequences": ["X"]}),
    "extra_fields": ({"top_k": 3}, "additionalModelRequestFields", {"top_k": 3}),
    "effort": ("low", "outputConfig", {"effort": "low"}),
    "guardrail_id": ("g1", "guardrailConfig", {"guardrailIdentifier": "g1",
                                               "guardrailVersion": "1"}),
    "guardrail_version": ("2", "guardrailConfig", {"guardrailIdentifier": "g",
                                                   "guardrailVersion": "2"}),
    "guardrail_trace": ("enabled", "guardrailConfig", {"guardrailIdentifier": "g",
                                                       "guardrailVersion": "1",
                                                       "trace": "enabled"}),
    "latency": ("optimized", "performanceConfig", {"latency": "optimized"}),
    "service_tier": ("flex", "serviceTier", {"type": "flex"}),
    "request_metadata": ({"team": "a"}, "requestMetadata", {"team": "a"}),
    "prompt_variables": ({"x": "y"}, "promptVariables", {"x": {"text": "y"}}),
}  # fmt: skip


def test_every_option_is_in_the_table() -> None:
    """So that none is dropped."""
    from lightrag_bedrock import BedrockLLMOptions

    assert {field.name for field in BedrockLLMOptions.fields()} == set(OPTIONS)


@pytest.mark.parametrize("name", OPTIONS)
async def test_options_on_the_wire(name: str, keys: dict[str, Any]) -> None:
    """Each one set for the model, for a call, and for a stream."""
    value, place, expected = OPTIONS[name]
    options = {name: value}
    if name.startswith("guardrail"):
        options = {"guardrail_id": "g", "guardrail_version": "1", **options}
    async with Bedrock(Answer()).running() as service:
        async with model_of(service, keys, **options) as model:
            await model.complete("hi")
        async with model_of(service, keys) as model:
            await model.complete("hi", **options)
            async with model.stream("hi", **options) as chunks:
                [chunk async for chunk in chunks]
            await model.complete("hi")
    *with_it, without = [request.json for request in service.requests]

    assert [body[place] for body in with_it] == [expected] * 3
    assert place not in without


@pytest.mark.parametrize("name", ["guardrail_id", "guardrail_version", "guardrail_trace"])
async def test_half_a_guardrail_is_refused(name: str, keys: dict[str, Any]) -> None:
    """Identifier and version go together."""
    async with Bedrock(Answer()).running() as service, model_of(service, keys) as model:
        with pytest.raises(ragcore.OptionsError, match=f"^{name}: set without"):
            await model.complete("hi", **{name: OPTIONS[name][0]})


async def test_max_output_tokens(keys: dict[str, Any]) -> None:
    """Is maxTokens; both at once are refused."""
    async with Bedrock(Answer()).running() as service, model_of(service, keys) as model:
        await model.complete("hi", max_output_tokens=5)
        with pytest.raises(ragcore.OptionsError, match="max_tokens"):
            await model.complete("hi", max_output_tokens=5, max_tokens=6)

    assert service.requests[0].json["inferenceConfig"] == {"maxTokens": 5}


ARN = "arn:aws:bedrock:us-east-1:123456789012:application-inference-profile/abc123"


@pytest.mark.parametrize("name", ["us.amazon.nova-pro-v1:0", "global.anthropic.claude-x", ARN])
async def test_profiles_and_arns(name: str, keys: dict[str, Any]) -> None:
    """Go into the path as they are."""
    from urllib.parse import unquote

    service = Bedrock(Answer())
    async with service.running(), model_of(service, keys, f"bedrock:{name}") as model:
        await model.complete("hi")

    assert unquote(service.requests[0].path) == f"/model/{name}/converse"


async def test_the_alias(keys: dict[str, Any]) -> None:
    """LightRAG's binding name is one."""
    async with (
        Bedrock(Answer()).running() as service,
        model_of(service, keys, "aws_bedrock:amazon.nova-pro-v1:0") as model,
    ):
        answer = await model.complete("hi")

    assert answer.text == "Goethe"


# --- what goes wrong ------------------------------------------------------------------------


@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize("status", [408, 424, 429, 500, 503])
async def test_what_may_pass_is_tried_again(
    status: int, streamed: bool, keys: dict[str, Any]
) -> None:
    """Attempts are counted on the wire: botocore makes none of its own."""
    replies: list[Reply] = [Failure(status), Failure(status), Answer()]
    async with Bedrock(*replies).running() as service, model_of(service, keys) as model:
        if streamed:
            async with model.stream("hi") as chunks:
                [chunk async for chunk in chunks]
            answer = chunks.completion
        else:
            answer = await model.complete("hi")

    assert answer.text == "Goethe"
    assert answer.timings.attempts == 3
    assert len(service.requests) == 3


async def test_the_environment_does_not_bring_back_botocores_retries(
    keys: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """AWS_MAX_ATTEMPTS and AWS_RETRY_MODE are botocore's, whose retries are off."""
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "4")
    monkeypatch.setenv("AWS_RETRY_MODE", "adaptive")
    once = Retry(attempts=1)
    async with (
        Bedrock(Failure(429)).running() as service,
        model_of(service, keys, retry=once) as model,
    ):
        with pytest.raises(ragcore.RateLimitError):
            await model.complete("hi")

    assert len(service.requests) == 1


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("throttlingException", ragcore.RateLimitError),
        ("ThrottlingException", ragcore.RateLimitError),
        ("modelStreamErrorException", ragcore.UnavailableError),
        ("ModelStreamErrorException", ragcore.UnavailableError),
        ("serviceUnavailableException", ragcore.UnavailableError),
        ("internalServerException", ragcore.UnavailableError),
        ("validationException", ragcore.InvalidRequestError),
        ("modelTimeoutException", ragcore.RequestTimeoutError),  # not in the stream's model
        ("whatever", ragcore.UnavailableError),
    ],
)
async def test_errors_inside_a_stream(
    code: str, expected: type[Exception], keys: dict[str, Any]
) -> None:
    """Break it, whatever their case; the text so far is kept, and the cause is what they say."""
    reply = Failure(429, "too much", code, in_stream=True)
    async with Bedrock(reply).running() as service, model_of(service, keys) as model:
        with pytest.raises(ragcore.ProviderError, match="too much") as caught:
            async with model.stream("hi") as chunks:
                [chunk async for chunk in chunks]

    assert len(service.requests) == 1
    if issubclass(expected, ragcore.TransientError):
        assert isinstance(caught.value, ragcore.InterruptedStreamError)
        assert caught.value.text == "Goe"
        assert isinstance(caught.value.__cause__, expected)
    else:
        assert isinstance(caught.value, expected)


class Early(Bedrock):
    """Fails inside the stream before any text."""

    async def _stream(self, reply: Reply, connection: Connection) -> None:
        if isinstance(reply, Failure):
            from bedrock_double import exception

            await connection.begin({"Content-Type": "application/vnd.amazon.eventstream"})
            await connection.chunk(exception(reply.code, reply.message))
            await connection.finish()
        else:
            await super()._stream(reply, connection)


async def test_an_early_error_inside_a_stream_is_tried_again(keys: dict[str, Any]) -> None:
    """Nothing has been read yet."""
    early = Failure(429, "slow", "throttlingException", in_stream=True)
    async with (
        Early(early, Answer()).running() as service,
        model_of(service, keys) as model,
        model.stream("hi") as chunks,
    ):
        [chunk async for chunk in chunks]

    assert chunks.completion.text == "Goethe"
    assert len(service.requests) == 2


class Odd(Bedrock):
    """Streams an event that lacks what it must have."""

    payload: Any = None

    async def _stream(self, reply: Reply, connection: Connection) -> None:
        await connection.begin({"Content-Type": "application/vnd.amazon.eventstream"})
        await connection.chunk(event("contentBlockDelta", {"delta": {"text": "Goe"}}))
        await connection.chunk(event("contentBlockDelta", self.payload))
        await connection.chunk(event("messageStop", {"stopReason": "end_turn"}))
        await connection.finish()


@pytest.mark.parametrize("payload", [{}, {"delta": 3}, [1], {"delta": {"text": {"a": 1}}}])
async def test_a_damaged_event_is_not_skipped(payload: Any, keys: dict[str, Any]) -> None:
    """Part of the answer would be missing."""
    service = Odd(Answer())
    service.payload = payload
    async with service.running(), model_of(service, keys) as model:
        with pytest.raises(ragcore.InterruptedStreamError):
            async with model.stream("hi") as chunks:
                [chunk async for chunk in chunks]


class Short(Bedrock):
    """Closes the connection before all that it announced has been sent."""

    async def reply(self, request: Request, reply: Reply, connection: Connection) -> None:
        if isinstance(reply, Broken):
            await connection.respond(200, b'{"output"', {"Content-Length": "900"})
            await connection.break_off("end")
        else:
            await super().reply(request, reply, connection)


async def test_a_short_body_is_a_broken_connection(keys: dict[str, Any]) -> None:
    """Though botocore takes it for the answer."""
    async with (
        Short(Broken("end"), Answer()).running() as service,
        model_of(service, keys) as model,
    ):
        answer = await model.complete("hi")

    assert answer.text == "Goethe"


@pytest.mark.parametrize("how", ["garbage", "unfinished"])
async def test_an_answer_that_is_none(how: Any, keys: dict[str, Any]) -> None:
    """Is an error, and tried again."""
    async with Bedrock(Broken(how)).running() as service, model_of(service, keys) as model:
        with pytest.raises(ragcore.UnavailableError, match="can't be read") as caught:
            await model.complete("hi")

    assert caught.value.attempts == 3


# --- threads and sockets --------------------------------------------------------------------


def busy_threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if "lightrag-bedrock" in thread.name]


async def until(condition: Any) -> None:
    async with asyncio.timeout(5):
        while not condition():
            await asyncio.sleep(0.005)


async def test_a_cancelled_call_gives_back_thread_and_socket(keys: dict[str, Any]) -> None:
    """With one connection in all, the next call is answered at once."""
    stall = Broken("stall")
    async with (
        Bedrock(stall, Answer()).running() as service,
        model_of(service, keys, max_connections=1) as model,
    ):
        call = asyncio.create_task(model.complete("hi"))
        await until(lambda: service.requests)
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        async with asyncio.timeout(5):
            answer = await model.complete("hi")
        await until(lambda: service.left == 1)

    assert answer.text == "Goethe"


async def test_a_deadline_gives_back_thread_and_socket(keys: dict[str, Any]) -> None:
    """As a cancellation does."""
    async with (
        Bedrock(Broken("stall"), Answer()).running() as service,
        model_of(service, keys, max_connections=1) as model,
    ):
        with pytest.raises(ragcore.RequestTimeoutError):
            await model.complete("hi", timeout=0.2)
        async with asyncio.timeout(5):
            await model.complete("hi")
        await until(lambda: service.left == 1)


async def test_a_stream_that_is_left_gives_back_thread_and_socket(keys: dict[str, Any]) -> None:
    """While the service has not said all."""
    async with (
        Bedrock(Broken("stall"), Answer()).running() as service,
        model_of(service, keys, max_connections=1) as model,
    ):
        async with model.stream("hi") as chunks:
            first = await anext(chunks)
        async with asyncio.timeout(5):
            await model.complete("hi")
        await until(lambda: service.left == 1)

    assert first.text == "Goe"


class Endless(Bedrock):
    """Streams for as long as somebody takes it."""

    sent = 0

    async def _stream(self, reply: Reply, connection: Connection) -> None:
        await connection.begin({"Content-Type": "application/vnd.amazon.eventstream"})
        while True:
            text = "x" * 10_000
            await connection.chunk(event("contentBlockDelta", {"delta": {"text": text}}))
            self.sent += 1


async def test_a_slow_reader_holds_the_service_back(keys: dict[str, Any]) -> None:
    """What has not been read is not fetched without bound."""
    async with (
        Endless(Answer()).running() as service,
        model_of(service, keys, max_connections=1) as model,
    ):
        async with model.stream("hi") as chunks:
            await anext(chunks)
            sent = -1
            while sent != service.sent:
                sent = service.sent
                await asyncio.sleep(0.3)
        async with asyncio.timeout(5):
            await model.complete("hi")

    assert sent < 5_000


async def test_threads_end_with_the_client(keys: dict[str, Any]) -> None:
    """Those of calls under way, too."""
    before = set(busy_threads())
    async with Bedrock(Broken("stall")).running() as service:
        async with model_of(service, keys) as model:
            call = asyncio.create_task(model.complete("hi"))
            await until(lambda: service.requests)
            assert set(busy_threads()) - before
            call.cancel()
        await ragcore.aclose()
        await until(lambda: not set(busy_threads()) - before)
        await asyncio.gather(call, return_exceptions=True)


async def test_a_model_that_was_closed(keys: dict[str, Any]) -> None:
    """Says so, to calls under way and to later ones."""
    async with Bedrock(Broken("stall")).running() as service:
        async with model_of(service, keys) as model:
            call = asyncio.create_task(model.complete("hi"))
            await until(lambda: service.requests)
        await ragcore.aclose()
        with pytest.raises(ragcore.ProviderError, match="closed"):
            await call
        with pytest.raises(RuntimeError, match="closed"):
            async with model.stream("hi"):
                pass


async def test_calls_at_once(keys: dict[str, Any]) -> None:
    """As many as there are connections; each gets its own answer."""
    async with (
        Bedrock(Answer()).running() as service,
        model_of(service, keys, max_connections=4) as model,
    ):
        answers = await asyncio.gather(*(model.complete(str(n)) for n in range(20)))

    assert {answer.text for answer in answers} == {"Goethe"}
    assert service.connections <= 4
