"""What is peculiar to Chat Completions and Responses; the rest is in the matrix of providers."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from openai_double import OpenAI, Says, chunk, events, saying

import ragcore
from lightrag_openai import OpenAILLMOptions
from ragcore import (
    ContentFilterError,
    Image,
    InterruptedStreamError,
    JSONSchema,
    OptionsError,
    ProviderError,
    QuotaExceededError,
    RateLimitError,
    Retry,
    UnavailableError,
    UnsupportedError,
)
from ragcore.testing.server import Answer, Connection, Failure, Reply

ONCE = Retry(attempts=1)

CHAT: dict[str, Any] = {
    "temperature": 0.0,
    "top_p": 0.5,
    "max_tokens": 5,
    "max_completion_tokens": 6,
    "frequency_penalty": 0.1,
    "presence_penalty": 0.2,
    "stop": ["END"],
    "seed": 7,
    "logit_bias": {"50256": -100},
    "reasoning_effort": "low",
    "verbosity": "low",
    "service_tier": "flex",
    "safety_identifier": "h4sh",
    "prompt_cache_key": "c4che",
    "user": "somebody",
    "store": False,
    "metadata": {"of": "mine"},
}
REFUSED_BY_CHAT: dict[str, Any] = {"reasoning_summary": "auto"}
REFUSED_BY_RESPONSES = {
    name: CHAT[name]
    for name in (
        "max_tokens",
        "frequency_penalty",
        "presence_penalty",
        "stop",
        "seed",
        "logit_bias",
    )
}
ELSEWHERE_IN_RESPONSES: dict[str, dict[str, Any]] = {
    "max_completion_tokens": {"max_output_tokens": 6},
    "reasoning_effort": {"reasoning": {"effort": "low"}},
    "verbosity": {"text": {"verbosity": "low"}},
    "reasoning_summary": {"reasoning": {"summary": "auto"}},
}


def to(service: OpenAI, **more: Any) -> dict[str, Any]:
    return {"api_key": "k", "base_url": service.base_url, "retry": ONCE} | more


async def sent(reference: str = "openai:gpt-4o", reply: Reply | None = None, **options: Any) -> Any:
    """Return the body of one request."""
    call = {k: options.pop(k) for k in ("response_format", "max_output_tokens") if k in options}
    async with (
        OpenAI(reply or Answer()).running() as service,
        ragcore.completion(reference, **to(service, **options)) as model,
    ):
        await model.complete("Who?", **call)
    return service.requests[0].json


def test_every_option_is_in_the_tables_below() -> None:
    """A field that is added is tested, too."""
    names = {field.name for field in OpenAILLMOptions.fields()}

    assert names == {*CHAT, *REFUSED_BY_CHAT, "api", "extra_body"}


@pytest.mark.parametrize("name", CHAT)
async def test_an_option_is_on_the_wire(name: str) -> None:
    """As it was given, and nothing else beside it."""
    body = await sent(**{name: CHAT[name]})

    assert body[name] == CHAT[name]
    assert set(body) == {"model", "messages", name}


@pytest.mark.parametrize("name", [n for n in CHAT if n not in REFUSED_BY_RESPONSES])
async def test_an_option_is_on_the_wire_of_responses(name: str) -> None:
    """Where that API wants it."""
    wanted = ELSEWHERE_IN_RESPONSES.get(name, {name: CHAT[name]})
    body = await sent(api="responses", **{name: CHAT[name]})

    assert body | wanted == body
    assert set(body) == {"model", "input"} | set(wanted)


@pytest.mark.parametrize("name", REFUSED_BY_RESPONSES)
async def test_an_option_that_responses_lack_is_refused(name: str) -> None:
    """By its name, before anything is sent."""
    with pytest.raises(UnsupportedError, match=name):
        await sent(api="responses", **{name: CHAT[name]})


async def test_an_option_that_chat_lacks_is_refused() -> None:
    """By its name, before anything is sent."""
    with pytest.raises(UnsupportedError, match="reasoning_summary"):
        await sent(**REFUSED_BY_CHAT)


@pytest.mark.parametrize("api", ["chat", "responses"])
async def test_unknown_fields_go_by_extra_body(api: str) -> None:
    """Nested ones, too."""
    body = await sent(api=api, extra_body={"top_k": 4, "provider": {"order": ["a"]}})

    assert (body["top_k"], body["provider"]) == (4, {"order": ["a"]})


@pytest.mark.parametrize(
    ("reference", "name"),
    [
        ("openai:gpt-4o", "max_completion_tokens"),
        ("groq:a", "max_completion_tokens"),
        ("vllm:a", "max_tokens"),
        ("mistral:a", "max_tokens"),
    ],
)
async def test_max_output_tokens_has_the_services_name(reference: str, name: str) -> None:
    """Which differs."""
    assert (await sent(reference, max_output_tokens=9))[name] == 9


async def test_max_output_tokens_and_its_twin_are_refused_together() -> None:
    """They say the same."""
    with pytest.raises(OptionsError, match="max_completion_tokens"):
        await sent(max_output_tokens=9, max_completion_tokens=9)


async def test_a_row_renames_and_refuses() -> None:
    """Mistral calls the seed random_seed, and knows no logit_bias."""
    body = await sent("mistral:mistral-small", seed=3)

    assert body["random_seed"] == 3
    with pytest.raises(UnsupportedError, match="mistral:mistral-small: logit_bias"):
        await sent("mistral:mistral-small", logit_bias={"1": 1})


async def test_a_schema_is_closed_for_strict_mode() -> None:
    """In objects within objects, too; what was given is left as it was."""
    inner = {"type": "object", "properties": {"year": {"type": "integer"}}}
    schema = {"type": "object", "properties": {"works": {"type": "array", "items": inner}}}
    before = json.dumps(schema)
    body = await sent(response_format=JSONSchema(schema, name="author"))
    asked = body["response_format"]["json_schema"]

    assert (asked["name"], asked["strict"]) == ("author", True)
    assert asked["schema"]["required"] == ["works"]
    assert asked["schema"]["properties"]["works"]["items"] == inner | {
        "additionalProperties": False,
        "required": ["year"],
    }
    assert json.dumps(schema) == before


async def test_a_schema_that_cannot_be_closed_is_sent_as_it_is() -> None:
    """Without strict mode: its objects have properties of any name."""
    schema = {"type": "object", "additionalProperties": {"type": "string"}}
    body = await sent(response_format=JSONSchema(schema))

    assert body["response_format"]["json_schema"]["strict"] is False
    assert body["response_format"]["json_schema"]["schema"] == schema


async def test_other_servers_get_the_schema_as_it_is() -> None:
    """They have no strict mode to please."""
    schema = {"type": "object", "properties": {"a": {"type": "string"}}}
    body = await sent("vllm:a", response_format=JSONSchema(schema))

    assert body["response_format"]["json_schema"]["schema"] == schema


async def test_what_a_model_cannot_do_is_refused() -> None:
    """Old models by name, DeepSeek altogether."""
    for reference in ("openai:gpt-3.5-turbo", "openai:gpt-4", "deepseek:deepseek-chat"):
        with pytest.raises(UnsupportedError, match="response_format"):
            await sent(reference, response_format=JSONSchema({"type": "object"}))


async def test_images_and_text_are_parts() -> None:
    """Bytes as data URLs, addresses as they are."""
    images = [
        Image.from_bytes(b"GIF89a....", "image/gif"),
        Image.from_url("https://example.org/a.png"),
    ]
    async with (
        OpenAI(Answer()).running() as service,
        ragcore.completion("openai:gpt-4o", **to(service)) as model,
    ):
        await model.complete([ragcore.user("What?", images=images)])
        await model.complete("What?")
    parts = service.requests[0].json["messages"][0]["content"]

    assert [part["type"] for part in parts] == ["text", "image_url", "image_url"]
    assert parts[1]["image_url"]["url"].startswith("data:image/gif;base64,R0lGODlh")
    assert parts[2]["image_url"]["url"] == "https://example.org/a.png"


async def whole(service: OpenAI, reference: str = "openai:gpt-4o") -> ragcore.Completion:
    async with (
        service.running(),
        ragcore.completion(reference, **to(service)) as model,
    ):
        return await model.complete("Who?")


async def streamed(service: OpenAI, reference: str = "openai:gpt-4o") -> ragcore.Completion:
    async with (
        service.running(),
        ragcore.completion(reference, **to(service)) as model,
        model.stream("Who?") as chunks,
    ):
        async for _ in chunks:
            pass
    return chunks.completion


@pytest.mark.parametrize("reference", ["vllm:qwen", "openai:qwen"])
async def test_thinking_in_tags_is_reasoning(reference: str) -> None:
    """Also where a tag is broken over chunks, and from a server in place of OpenAI's."""
    pieces = ("<th", "ink>Let me", " see.</thi", "nk>", "\n\nGoe", "the")
    answers = [
        await whole(OpenAI(Answer("".join(pieces))), reference),
        await streamed(OpenAI(Answer("".join(pieces), pieces=pieces)), reference),
    ]

    assert [(a.text, a.reasoning) for a in answers] == [("Goethe", "Let me see.")] * 2


@pytest.mark.parametrize("field", ["reasoning_content", "reasoning"])
async def test_reasoning_has_two_names(field: str) -> None:
    """Some services use the one and some the other."""
    service = OpenAI(Answer("Goethe", reasoning="Hm."))
    service.reasoning_field = field
    answers = [await whole(service, "openrouter:a"), await streamed(service, "openrouter:a")]

    assert [(a.text, a.reasoning) for a in answers] == [("Goethe", "Hm.")] * 2


@pytest.mark.parametrize("api", ["chat", "responses"])
@pytest.mark.parametrize("stream", [False, True])
async def test_a_refusal_is_an_error_with_its_words(api: str, stream: bool) -> None:
    """In both APIs, in one piece and streamed."""
    async with (
        OpenAI(Answer("I can't help with that.", finish="refusal")).running() as service,
        ragcore.completion("openai:gpt-4o", **to(service, api=api)) as model,
    ):
        with pytest.raises(ContentFilterError, match="I can't help with that"):
            await collected(model, stream=stream)


async def collected(model: ragcore.CompletionModel, *, stream: bool) -> ragcore.Completion:
    if not stream:
        return await model.complete("Who?")
    async with model.stream("Who?") as chunks:
        async for _ in chunks:
            pass
    return chunks.completion


@pytest.mark.parametrize("stream", [False, True])
async def test_responses_have_the_same_records(stream: bool) -> None:
    """Text, reasoning, reason and usage."""
    reply = Answer(
        "It was Goethe", reasoning="Hm.", finish="length", cached_input_tokens=4, reasoning_tokens=1
    )
    async with (
        OpenAI(reply).running() as service,
        ragcore.completion("openai:gpt-4o", **to(service, api="responses")) as model,
    ):
        answer = await collected(model, stream=stream)

    assert service.requests[0].path == "/v1/responses"
    assert (answer.text, answer.reasoning) == ("It was Goethe", "Hm.")
    assert answer.finish_reason == "length"
    assert answer.usage == ragcore.Usage(7, 2, cached_input_tokens=4, reasoning_tokens=1)


async def test_responses_report_errors_in_a_stream() -> None:
    """With what the service said."""
    failure = Failure(500, "out of order", "server_error", in_stream=True)
    async with (
        OpenAI(failure).running() as service,
        ragcore.completion("openai:gpt-4o", **to(service, api="responses")) as model,
    ):
        with pytest.raises(InterruptedStreamError, match="out of order"):
            await collected(model, stream=True)


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        ({"code": "rate_limit_exceeded", "message": "no luck"}, RateLimitError),
        (None, UnavailableError),
    ],
)
async def test_a_response_that_failed_says_why(error: Any, kind: type[ProviderError]) -> None:
    """By its error; where it has none, the service is at fault."""
    body = {"object": "response", "status": "failed", "output": [], "error": error}
    async with (
        Says(body).running() as service,
        ragcore.completion("openai:gpt-4o", **to(service, api="responses")) as model,
    ):
        with pytest.raises(kind):
            await collected(model, stream=False)


async def test_a_text_that_a_response_leaves_out_is_an_error() -> None:
    """It is not skipped: something is missing, before the first words or after them."""
    missing = {"type": "response.output_text.delta"}
    first = missing | {"delta": "Goe"}
    for said, kind in (([], UnavailableError), ([first], InterruptedStreamError)):
        service = events(*said, missing)
        async with (
            service.running(),
            ragcore.completion("openai:gpt-4o", **to(service, api="responses")) as model,
        ):
            with pytest.raises(kind, match="has no text"):
                await collected(model, stream=True)


async def test_a_broken_stream_of_responses_is_no_short_answer() -> None:
    """It ends without an event that says how."""
    told = {"type": "response.output_text.delta", "delta": "Goe"}
    service = events(told | {"item_id": "i", "output_index": 0, "content_index": 0})
    async with (
        service.running(),
        ragcore.completion("openai:gpt-4o", **to(service, api="responses")) as model,
    ):
        with pytest.raises(InterruptedStreamError, match="without saying why"):
            await collected(model, stream=True)


async def test_usage_is_asked_for_where_the_row_says_so() -> None:
    """Mistral sends it unasked and refuses to be asked."""
    for reference, asked in (("vllm:a", {"include_usage": True}), ("mistral:a", None)):
        service = OpenAI(Answer())
        await streamed(service, reference)

        assert service.requests[0].json.get("stream_options") == asked


async def test_usage_may_come_with_the_last_words() -> None:
    """Or be missing altogether; details may be null."""
    usage = {"prompt_tokens": 3, "completion_tokens": 1, "prompt_tokens_details": None}
    with_it = await streamed(events(chunk({"content": "Goethe"}, "stop", usage=usage)))
    without = await streamed(events(chunk({"content": "Goethe"}, "stop")))

    assert with_it.usage == ragcore.Usage(3, 1)
    assert without.usage is None


async def test_deepseek_counts_cached_tokens_its_own_way() -> None:
    """At the top of the usage."""
    usage = {"prompt_tokens": 9, "completion_tokens": 1, "prompt_cache_hit_tokens": 8}
    answer = await whole(Says(saying({"content": "Goethe"}, usage=usage)), "deepseek:deepseek-chat")

    assert answer.usage == ragcore.Usage(9, 1, cached_input_tokens=8)


@pytest.mark.parametrize("finish", [None, "", "tired"])
async def test_an_answer_without_a_known_reason_is_an_error(finish: str | None) -> None:
    """It may be cut."""
    with pytest.raises(ProviderError, match="ended for a reason that is not known"):
        await whole(Says(saying({"content": "Goe"}, finish)))


@pytest.mark.parametrize(
    ("said", "reason"),
    [("eos_token", "stop"), ("model_length", "length"), ("max_tokens", "length")],
)
async def test_other_services_have_other_reasons(said: str, reason: str) -> None:
    """TGI's and Mistral's."""
    assert (await whole(Says(saying({"content": "Goe"}, said)))).finish_reason == reason


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        ({"message": "no luck", "code": 502}, UnavailableError),
        ({"message": "no luck", "type": "insufficient_quota"}, QuotaExceededError),
        ({"message": "no luck"}, UnavailableError),
        ("no luck", UnavailableError),
    ],
)
async def test_an_error_with_status_200_is_one(error: Any, kind: type[ProviderError]) -> None:
    """Gateways report them so, whole or streamed; one that has no name may pass."""
    for answering in (whole(Says({"error": error})), streamed(events({"error": error}))):
        with pytest.raises(kind, match="no luck") as caught:
            await answering

        assert type(caught.value) is kind


async def test_a_choice_may_be_an_error() -> None:
    """OpenRouter says so of the provider behind it, whole or streamed."""
    choice = {"error": {"message": "no luck", "code": 502}, "delta": {}, "finish_reason": "error"}
    body = {"choices": [choice]}
    for answering in (whole(Says(body)), streamed(events(body))):
        with pytest.raises(UnavailableError, match="no luck"):
            await answering


async def test_an_event_with_an_error_is_one_whatever_else_it_says() -> None:
    """OpenRouter adds a choice to it, whose reason would not be known."""
    error = {"message": "no luck", "code": 502}
    service = events(chunk({"content": "Goe"}), chunk({"content": ""}, "error", error=error))
    with pytest.raises(InterruptedStreamError, match="no luck"):
        await streamed(service)


async def test_json_in_place_of_a_stream_is_what_it_reports() -> None:
    """Gateways that fail forget that a stream was asked for."""
    error = {"message": "no luck", "type": "insufficient_quota"}
    with pytest.raises(QuotaExceededError, match="no luck"):
        await streamed(Says({"error": error}))


@pytest.mark.parametrize("api", ["chat", "responses"])
async def test_a_connection_is_used_again_after_a_stream(
    api: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The end of the body is read, though it comes later than the end of the answer."""
    finish = Connection.finish

    async def finish_later(connection: Connection) -> None:
        await asyncio.sleep(0.05)
        await finish(connection)

    monkeypatch.setattr(Connection, "finish", finish_later)
    async with (
        OpenAI(Answer(), Answer()).running() as service,
        ragcore.completion("openai:gpt-4o", **to(service, api=api)) as model,
    ):
        await collected(model, stream=True)
        await collected(model, stream=True)

    assert (len(service.requests), service.connections) == (2, 1)


async def test_a_connection_that_is_closed_after_a_stream_costs_no_attempt(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """llama.cpp closes it in silence, having said that it keeps it."""
    finish = Connection.finish

    async def finish_and_close(connection: Connection) -> None:
        await finish(connection)
        await connection.break_off("end")

    monkeypatch.setattr(Connection, "finish", finish_and_close)
    async with (
        OpenAI(Answer()).running() as service,
        ragcore.completion("llamacpp:m", **to(service)) as model,
    ):
        for _ in range(4):
            await collected(model, stream=True)
        answer = await collected(model, stream=False)

    assert (answer.text, len(service.requests)) == ("Goethe", 5)


@pytest.mark.parametrize(
    "body", [{}, {"choices": []}, {"choices": None}, [], "text", {"detail": "Not Found"}]
)
async def test_what_is_no_completion_is_an_error(body: Any) -> None:
    """Never an empty answer."""
    with pytest.raises(ProviderError):
        await whole(Says(body))


async def test_a_web_page_is_an_error() -> None:
    """Some proxy's, with status 200."""
    with pytest.raises(ProviderError, match="Welcome to nginx"):
        await whole(Says(b"<html>Welcome to nginx", content_type="text/html"))


@pytest.mark.parametrize("body", [{}, [], 3, {"object": "x", "choices": None}])
async def test_what_is_no_chunk_breaks_the_stream(body: Any) -> None:
    """It is not skipped: something may be missing."""
    with pytest.raises(InterruptedStreamError):
        await streamed(events(chunk({"content": "Goe"}), body, chunk({}, "stop")))


async def test_an_empty_stream_is_no_answer() -> None:
    """Nothing came at all."""
    with pytest.raises(UnavailableError, match="before anything came"):
        await streamed(events())
