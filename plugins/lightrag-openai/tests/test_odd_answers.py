"""What services send beside what they document; each case is somebody's report."""

from __future__ import annotations

import json
from typing import Any

import httpx2
import pytest
from openai_double import OpenAI, Says, chunk, events, saying

import ragcore
from ragcore import (
    InterruptedStreamError,
    InvalidRequestError,
    NotFoundError,
    ProviderError,
    QuotaExceededError,
    Retry,
    UnavailableError,
)
from ragcore.testing.server import Answer, Connection, Failure, Reply, Request

AT_ONCE = Retry(attempts=3, wait_initial=0)
GOETHE = (chunk({"content": "Goe"}), chunk({"content": "the"}), chunk({}, "stop"))
USAGE = {"prompt_tokens": 3, "completion_tokens": 1}


def to(service: OpenAI, **more: Any) -> dict[str, Any]:
    return {"api_key": "k", "base_url": service.base_url, "retry": AT_ONCE} | more


async def asked(
    service: OpenAI, *, stream: bool, reference: str = "vllm:m", **options: Any
) -> ragcore.Completion:
    """Return the answer of *service*, whole or streamed."""
    async with (
        service.running(),
        ragcore.completion(reference, **to(service, **options)) as model,
    ):
        if not stream:
            return await model.complete("Who?")
        async with model.stream("Who?") as chunks:
            async for _ in chunks:
                pass
        return chunks.completion


async def embedded(service: OpenAI, reference: str = "vllm:m") -> ragcore.Embeddings:
    async with service.running(), ragcore.embedding(reference, **to(service)) as model:
        return await model.embed(["a"])


NOTHING = [
    b"data: null\n\n",
    b"data:\n\n",
    b"data: \n\n",
    b"event: ping\ndata: {}\n\n",
    b"event: keepalive\ndata: still here\n\n",
    b": a comment\n\n",
    b"retry: 3000\n\nid: 7\n\n",
    b'data: {"choices": []}\n\n',
]


@pytest.mark.parametrize("nothing", NOTHING)
@pytest.mark.parametrize("place", [0, 1, 3])
async def test_signs_of_life_are_no_content(nothing: bytes, place: int) -> None:
    """They may come before, between and after the words."""
    said: list[Any] = list(GOETHE)
    said.insert(place, nothing)
    answer = await asked(events(*said), stream=True)

    assert (answer.text, answer.finish_reason) == ("Goethe", "stop")


async def test_framing_may_be_sloppy() -> None:
    """A byte order mark, no space after the colon, no empty line at the end."""
    said = [f"data:{json.dumps(one)}\r\n\r\n".encode() for one in GOETHE]
    answer = await asked(events(b"\xef\xbb\xbf", *said[:2], said[2].rstrip()), stream=True)

    assert answer.text == "Goethe"


@pytest.mark.parametrize("choices", [{}, {"choices": None}, {"choices": []}])
async def test_usage_counts_without_choices(choices: dict[str, Any]) -> None:
    """Whatever stands in their place."""
    answer = await asked(events(*GOETHE, choices | {"usage": USAGE}), stream=True)

    assert answer.usage == ragcore.Usage(3, 1)


@pytest.mark.parametrize(
    ("usage", "wanted"),
    [
        ({}, None),
        ([], None),
        ("many", None),
        ({"prompt_tokens": None}, None),
        ({"prompt_tokens": "3", "completion_tokens": -1}, None),
        ({"prompt_tokens": 3.0, "prompt_tokens_details": []}, ragcore.Usage(3)),
        ({"prompt_tokens": 1e400, "completion_tokens": 1}, ragcore.Usage(0, 1)),
    ],
)
@pytest.mark.parametrize("stream", [False, True])
async def test_odd_usage_is_no_reason_to_fail(usage: Any, wanted: Any, stream: bool) -> None:
    """What can't be counted is not counted."""
    whole = Says(saying({"content": "Goethe"}, usage=usage))
    service = events(*GOETHE, {"choices": [], "usage": usage}) if stream else whole
    answer = await asked(service, stream=stream)

    assert (answer.text, answer.usage) == ("Goethe", wanted)


THINKING = {"type": "thinking", "thinking": [{"type": "text", "text": "Hm."}]}


@pytest.mark.parametrize(
    "content",
    [
        [THINKING, {"type": "text", "text": "Goethe"}],
        [THINKING, "Goe", {"type": "text", "text": "the"}, {"type": "reference", "ids": [1]}],
        [{"type": "reasoning", "text": "Hm."}, {"type": "text", "text": {"value": "Goethe"}}],
    ],
)
@pytest.mark.parametrize("stream", [False, True])
async def test_content_may_be_a_list_of_parts(content: Any, stream: bool) -> None:
    """Texts are the answer, and thinking parts its reasoning, as Magistral has them."""
    whole = Says(saying({"content": content}))
    service = events(chunk({"content": content}), chunk({}, "stop")) if stream else whole
    answer = await asked(service, stream=stream, reference="mistral:magistral")

    assert (answer.text, answer.reasoning) == ("Goethe", "Hm.")


@pytest.mark.parametrize("stream", [False, True])
async def test_a_choice_may_be_bare_text(stream: bool) -> None:
    """As in completions before there was a chat."""
    choice = {"index": 0, "text": "Goethe", "finish_reason": "stop"}
    body = {"choices": [choice]}
    answer = await asked(events(body) if stream else Says(body), stream=stream)

    assert answer.text == "Goethe"


async def test_a_last_chunk_may_repeat_the_whole_message() -> None:
    """As MiniMax's does; the answer is not doubled."""
    last = {"choices": [{"finish_reason": "stop", "message": {"content": "Goethe"}}]}
    answer = await asked(events(*GOETHE[:2], last), stream=True)

    assert answer.text == "Goethe"


@pytest.mark.parametrize("api", ["chat", "responses"])
async def test_an_answer_that_was_not_streamed_is_the_answer(api: str) -> None:
    """A gateway that does not know of streams answers in JSON."""
    message = {"type": "message", "content": [{"type": "output_text", "text": "Goethe"}]}
    bodies = {
        "chat": saying({"content": "Goethe"}, usage=USAGE),
        "responses": {"object": "response", "status": "completed", "output": [message]},
    }
    answer = await asked(Says(bodies[api]), stream=True, reference="openai:m", api=api)

    assert (answer.text, answer.finish_reason) == ("Goethe", "stop")


@pytest.mark.parametrize("kind", ["application/json", "text/plain", ""])
async def test_events_are_events_whatever_they_are_called(kind: str) -> None:
    """Gateways label them as they like, and answers in JSON as events."""
    service, whole = events(*GOETHE), Says(saying({"content": "Goethe"}))
    service.content_type, whole.content_type = kind, "text/event-stream"

    assert (await asked(service, stream=True)).text == "Goethe"
    assert (await asked(whole, stream=True)).text == "Goethe"


@pytest.mark.parametrize("kind", ["application/json", "text/event-stream", "text/plain"])
async def test_an_error_that_was_not_streamed_is_the_error(kind: str) -> None:
    """Whatever its content type says."""
    error = {"error": {"message": "no more water", "type": "insufficient_quota"}}
    with pytest.raises(QuotaExceededError, match="no more water"):
        await asked(Says(error, content_type=kind), stream=True)


async def test_a_done_without_a_reason_is_an_end() -> None:
    """Some services say no reason."""
    answer = await asked(events(*GOETHE[:2], b"data: [DONE]\n\n"), stream=True)

    assert (answer.text, answer.finish_reason) == ("Goethe", "stop")


BROKEN = [
    (b"<html>Sign in first", "text/html"),
    (b'{"choices": [{"mess', "application/json"),
    (b"", "application/json"),
    (b"\x1f\x8b\x08\x00\xff", "application/json"),
    (b"[" * 5_000, "application/json"),
    (b'{"created": ' + b"9" * 5_000 + b"}", "application/json"),
    (b"{}", "application/json"),
    (b"[]", "application/json"),
    (b"null", "application/json"),
]


@pytest.mark.parametrize(("body", "kind"), BROKEN)
@pytest.mark.parametrize("stream", [False, True])
async def test_what_is_malformed_is_tried_again(body: bytes, kind: str, stream: bool) -> None:
    """Its status was 200: it is an outage like a 502, and the next attempt is whole."""
    service = Says(body, content_type=kind)
    with pytest.raises(UnavailableError) as caught:
        await asked(service, stream=stream)

    assert caught.value.attempts == len(service.requests) == 3


@pytest.mark.parametrize(("body", "kind"), BROKEN)
async def test_malformed_vectors_are_tried_again(body: bytes, kind: str) -> None:
    """As malformed answers are."""
    with pytest.raises(UnavailableError) as caught:
        await embedded(Says(body, content_type=kind))

    assert caught.value.attempts == 3


@pytest.mark.parametrize(
    "damaged",
    [
        b"data: {\n\n",
        b"data: [[[\n\n",
        b"data: " + b"[" * 5_000 + b"\n\n",
        b'data: {"created": ' + b"9" * 5_000 + b"}\n\n",
        b'ta: {"choices": [{"delta": {"content": "the"}}]}\n\n',
        b'data: {"choices": [{"delta": "the"}, 3]\n\n',
        b'data: {"choices": [3]}\n\n',
        b'data: {"choices": [{"delta": {"content": 3}}]}\n\n',
        b'data: {"choices": [{"delta": {"content": {"te": "the"}}}]}\n\n',
    ],
)
async def test_a_damaged_piece_breaks_the_stream(damaged: bytes) -> None:
    """It is not left out, with the rest passed for the whole answer."""
    with pytest.raises(InterruptedStreamError) as caught:
        await asked(events(GOETHE[0], damaged, GOETHE[2]), stream=True)

    assert caught.value.text == "Goe"


@pytest.mark.parametrize("stream", [False, True])
async def test_bytes_that_are_no_utf8_are_replaced(stream: bool) -> None:
    """The rest of the answer is right."""
    body = json.dumps(chunk({"content": "G?the"}, "stop") if stream else saying({"content": "G?"}))
    raw = body.encode().replace(b"?", b"\xf6")
    answer = await asked(events(b"data: " + raw + b"\n\n") if stream else Says(raw), stream=stream)

    assert answer.text.startswith("G\N{REPLACEMENT CHARACTER}")


@pytest.mark.parametrize(
    ("word", "reason"),
    [
        ("end_turn", "stop"),
        ("STOP", "stop"),
        ("COMPLETE", "stop"),
        ("MAX_TOKENS", "length"),
        ("SAFETY", "content_filter"),
        ("sensitive", "content_filter"),
    ],
)
@pytest.mark.parametrize("stream", [False, True])
async def test_other_words_for_the_end_are_known(word: str, reason: str, stream: bool) -> None:
    """Those of Anthropic, Gemini, Cohere and Z.AI, behind gateways."""
    whole = Says(saying({"content": "Goethe"}, word))
    service = events(chunk({"content": "Goethe"}, word)) if stream else whole
    answer = await asked(service, stream=stream)

    assert (answer.text, answer.finish_reason) == ("Goethe", reason)


@pytest.mark.parametrize("stream", [False, True])
async def test_an_unknown_word_for_the_end_keeps_the_text(stream: bool) -> None:
    """The answer may be cut; what there is of it is on the error."""
    whole = Says(saying({"content": "Goethe"}, "tired"))
    service = events(chunk({"content": "Goethe"}, "tired")) if stream else whole
    with pytest.raises(InterruptedStreamError, match="not known: 'tired'") as caught:
        await asked(service, stream=stream)

    assert caught.value.text == "Goethe"


@pytest.mark.parametrize(
    "values", [["1.0", "2.0"], [True, False], [1.0, None], [[1.0]], "Zm9v", {}, [], [10**400]]
)
async def test_a_vector_is_made_of_numbers(values: Any) -> None:
    """Neither of texts nor of booleans, which numpy would take."""
    body = {"data": [{"index": 0, "embedding": values}]}
    with pytest.raises(ProviderError):
        await embedded(Says(body))


async def test_vectors_may_have_any_content_type() -> None:
    """JSON is JSON."""
    body = {"data": [{"index": 0, "embedding": [1.0, 2]}]}
    found = await embedded(Says(body, content_type="text/plain"))

    assert found.vectors.tolist() == [[1.0, 2.0]]


async def test_a_long_header_is_read() -> None:
    """aiohttp by itself refuses more than 8,190 bytes."""
    service = OpenAI(Answer())
    service.headers = {"X-Policy": "a" * 20_000}
    answer = await asked(service, stream=False)

    assert answer.text == "Goethe"


class HangsUp(OpenAI):
    """Closes the connection without an answer."""

    async def reply(self, request: Request, reply: Reply, connection: Connection) -> None:
        await connection.break_off("end")


async def test_a_server_that_hangs_up_is_asked_once_an_attempt() -> None:
    """Only a connection that was kept may have been closed before the request came."""
    service = HangsUp(Answer())
    with pytest.raises(UnavailableError) as caught:
        await asked(service, stream=False)

    assert caught.value.attempts == len(service.requests) == 3


async def test_a_response_of_an_open_model_has_its_thoughts() -> None:
    """They stand in the content of the reasoning, without a summary."""
    output = [
        {"type": "reasoning", "content": [{"type": "reasoning_text", "text": "Hm."}]},
        None,
        {"type": "message", "content": "Goethe"},
    ]
    body = {"object": "response", "status": "completed", "output": output, "usage": {}}
    answer = await asked(Says(body), stream=False, api="responses")

    assert (answer.text, answer.reasoning, answer.usage) == ("Goethe", "Hm.", None)


async def test_a_response_with_an_unknown_status_keeps_the_text() -> None:
    """As an answer that ends for an unknown reason does."""
    output = [{"type": "message", "content": [{"type": "output_text", "text": "Goe"}]}]
    with pytest.raises(InterruptedStreamError, match="status 'queued'") as caught:
        await asked(Says({"status": "queued", "output": output}), stream=False, api="responses")

    assert caught.value.text == "Goe"


async def test_a_missing_model_is_no_wrong_address() -> None:
    """The service says what is missing."""
    with pytest.raises(NotFoundError) as caught:
        await asked(OpenAI(Failure(404, "The model `m` does not exist")), stream=False)

    assert "base_url" not in str(caught.value)


async def test_the_answer_of_another_api_names_the_address() -> None:
    """llama.cpp's own embeddings, which are asked for without /v1, are a bare list."""
    with pytest.raises(ProviderError, match="is base_url= right"):
        await embedded(Says([{"index": 0, "embedding": [[1.0, 0.0]]}]))


@pytest.mark.parametrize("reference", ["openai:m", "azure:m", "deepseek:m"])
async def test_a_client_of_the_user_follows_no_redirect(reference: str) -> None:
    """Though it would by itself."""
    async with OpenAI(Answer()).running() as elsewhere, httpx2.AsyncClient() as following:
        following.follow_redirects = True
        there = {"Location": f"{elsewhere.url}/v1"}
        service = OpenAI(Failure(307, "moved", headers=there))
        async with service.running():
            where = {"endpoint" if reference == "azure:m" else "base_url": service.url}
            options: dict[str, Any] = where | {"api_key": "k", "http_client": following}
            async with ragcore.completion(reference, retry=AT_ONCE, **options) as model:
                with pytest.raises(InvalidRequestError, match=f"moved to {there['Location']}"):
                    await model.complete("Who?")

    assert (len(service.requests), elsewhere.requests) == (1, [])
