"""Completion: what goes to the plugin, what comes back, and what is refused."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from typing import Any

import pytest

import ragcore
from ragcore import (
    Capabilities,
    Completion,
    ContentFilterError,
    EmptyResponseError,
    Image,
    InvalidRequestError,
    OptionsError,
    PluginError,
    TruncatedResponseError,
    UnsupportedError,
    Usage,
)
from ragcore.testing import Delay, FakeClock, Script, ScriptedLLMOptions, scripted

PICTURE = Image.from_bytes(b"\x89PNG\r\n\x1a\n")


@pytest.fixture(autouse=True)
def provider() -> Any:
    with scripted():
        yield


@pytest.fixture
def script() -> Script:
    return Script(forever="Goethe")


@pytest.fixture
async def model(script: Script) -> AsyncIterator[ragcore.CompletionModel]:
    async with ragcore.completion("scripted:any", script=script) as opened:
        yield opened


async def test_a_question_is_a_user_message(model: ragcore.CompletionModel, script: Script) -> None:
    """A str, a message or a conversation; instructions go before."""
    conversation = [ragcore.user("a"), ragcore.assistant("b"), ragcore.user("c")]

    await model.complete("a", system="Be kind.")
    await model.complete(ragcore.user("a"))
    await model.complete(iter(conversation), system="")

    assert [request.messages for request in script.requests] == [  # type: ignore[union-attr]
        (ragcore.system("Be kind."), ragcore.user("a")),
        (ragcore.user("a"),),
        (ragcore.system(""), *conversation),
    ]


async def test_the_answer_is_handed_on_whole(script: Script) -> None:
    """Every field of the plugin's record survives; the timings are the host's."""
    said = Completion(
        "Goethe",
        finish_reason="length",
        usage=Usage(3, 1),
        reasoning="Hm.",
        model="large-2026",
        request_id="r1",
    )
    async with ragcore.completion("scripted:any", script=Script(said)) as model:
        answer = await model.complete("Who wrote Faust?")

    for field in ("text", "finish_reason", "usage", "reasoning", "model", "request_id"):
        assert getattr(answer, field) == getattr(said, field)
    assert answer.timings.attempts == 1
    assert answer.structured is None


def test_timings_are_seconds() -> None:
    """Of an answer in one piece, the first chunk is the whole."""

    async def call() -> Completion:
        async with ragcore.completion("scripted:any", script=Script(Delay(4, "Goethe"))) as model:
            await asyncio.sleep(10)
            return await model.complete("hi")

    with FakeClock() as clock:
        timings = clock.run(call()).timings

    assert (timings.first_chunk, timings.total, timings.retrying) == (4, 4, 0)


@pytest.mark.parametrize("messages", [[], (), iter(())])
async def test_no_message_is_refused(model: ragcore.CompletionModel, messages: Any) -> None:
    """There is nothing to answer."""
    with pytest.raises(InvalidRequestError, match="no message"):
        await model.complete(messages)


@pytest.mark.parametrize(
    "messages", [["a"], [{"role": "user", "text": "a"}], [{"role": "user"}], [None]]
)
async def test_what_is_no_message_is_refused(model: ragcore.CompletionModel, messages: Any) -> None:
    """With the helpers' names."""
    with pytest.raises(TypeError, match=r"ragcore\.user"):
        await model.complete(messages)


async def test_a_lone_surrogate_is_refused_with_its_place(
    model: ragcore.CompletionModel, script: Script
) -> None:
    """Half a UTF-16 pair can't be sent; nothing is asked, replaced or dropped."""
    with pytest.raises(InvalidRequestError, match=r"'\\ud83d'\) at character 2") as caught:
        await model.complete([ragcore.user("fine"), ragcore.user("ab\ud83d")])

    assert caught.value.positions == (1,)
    assert script.requests == []


async def test_ten_megabytes_pass_unchanged(model: ragcore.CompletionModel, script: Script) -> None:
    """What is too long is for the provider to say; the host cuts nothing."""
    text = "Wörter " * 1_500_000

    await model.complete(text)

    assert script.requests[0].messages[0].content == text  # type: ignore[union-attr]


async def test_options_of_the_call_are_merged() -> None:
    """A call's option beats the model's, for that call; None leaves it."""
    script = Script(forever="Goethe")
    async with ragcore.completion(
        "scripted:any", script=script, temperature=0.5, num_ctx=99
    ) as model:
        await model.complete("a", temperature=0.9, seed=1)
        await model.complete("b", temperature=None)

    first, second = (request.options for request in script.requests)
    assert first == ScriptedLLMOptions(temperature=0.9, seed=1, num_ctx=99)
    assert second == ScriptedLLMOptions(temperature=0.5, num_ctx=99)


async def test_bad_options_of_a_call_are_named_all_at_once(
    model: ragcore.CompletionModel, script: Script
) -> None:
    """Unknown, of the wrong type, or only for a whole model."""
    with pytest.raises(OptionsError) as caught:
        await model.complete("hi", temprature=1, seed="x", num_ctx=5, api_key="k")

    problems = "\n".join(caught.value.problems)
    assert len(caught.value.problems) == 4
    assert "temprature: unknown option; did you mean 'temperature'?" in problems
    assert "seed: 'x' is not a whole number @ scripted_llm.seed" in problems
    assert "num_ctx: is set when the model is opened" in problems
    assert "api_key: is set when the model is opened, not for a single call" in problems
    assert script.requests == []


@pytest.mark.parametrize("count", [0, -1, 1.5, "9", True])
async def test_max_output_tokens_is_a_whole_number(
    model: ragcore.CompletionModel, count: Any
) -> None:
    """Above 0."""
    with pytest.raises(OptionsError, match="max_output_tokens"):
        await model.complete("hi", max_output_tokens=count)


async def test_max_output_tokens_is_handed_on(
    model: ragcore.CompletionModel, script: Script
) -> None:
    """Under its own name: each provider has another."""
    await model.complete("hi", max_output_tokens=7)

    assert script.requests[0].max_output_tokens == 7  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("reason", "error"),
    [
        ("stop", EmptyResponseError),
        ("length", TruncatedResponseError),
        ("content_filter", ContentFilterError),
    ],
)
async def test_no_text_is_an_error_that_says_why(
    reason: Any, error: type[ragcore.ProviderError]
) -> None:
    """Nothing is ever passed off as an answer; reasoning alone is none."""
    script = Script(Completion("", finish_reason=reason, reasoning="Hm."))
    async with ragcore.completion("scripted:any", script=script) as model:
        with pytest.raises(error) as caught:
            await model.complete("hi")

    assert caught.value.provider == "scripted"
    assert len(script.requests) == 1


@pytest.mark.parametrize("reason", ["length", "content_filter"])
async def test_cut_text_is_an_answer_that_says_so(reason: Any) -> None:
    """The caller decides what half an answer is worth."""
    script = Script(Completion("Goe", finish_reason=reason))
    async with ragcore.completion("scripted:any", script=script) as model:
        answer = await model.complete("hi")

    assert (answer.text, answer.finish_reason) == ("Goe", reason)


@pytest.mark.parametrize("answer", [None, {"text": "Goethe"}, 5])
async def test_a_wrong_answer_is_the_plugins_fault(answer: Any) -> None:
    """The distribution is named."""
    script = Script(lambda _: answer)
    async with ragcore.completion("scripted:any", script=script) as model:
        with pytest.raises(PluginError, match=r"scripted-plugin: complete\(\) returned a"):
            await model.complete("hi")


async def test_a_blocking_backend_is_the_plugins_fault(model: ragcore.CompletionModel) -> None:
    """`def complete` would hold up the event loop."""

    class Blocking:
        def complete(self, request: object) -> Completion:
            return Completion("Goethe")

    model._backend = Blocking()

    with pytest.raises(PluginError, match="not an awaitable"):
        await model.complete("hi")


# --- what the model can't do ---------------------------------------------------------------


async def unable(script: Script, **options: Any) -> Completion:
    with scripted(Capabilities(), name="plain"):
        async with ragcore.completion("plain:text", script=script, **options) as model:
            return await model.complete(ragcore.user("What is this?", images=[PICTURE]))


async def test_images_are_handed_on(model: ragcore.CompletionModel, script: Script) -> None:
    """A model that looks gets the picture."""
    await model.complete(ragcore.user("What is this?", images=[PICTURE]))

    assert script.requests[0].messages[0].images == (PICTURE,)  # type: ignore[union-attr]


@pytest.mark.parametrize("choice", ["error", "prompt"])
async def test_images_are_refused_by_the_blind(choice: str) -> None:
    """No words replace a picture."""
    script = Script("A cat")

    with pytest.raises(UnsupportedError, match="plain:text: images: the model does not look"):
        await unable(script, on_unsupported=choice)
    assert script.requests == []


async def test_images_may_be_left_out_with_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    """Said in the log, once for a model, never silently."""
    script = Script(forever="A cat")
    with scripted(Capabilities(), name="plain"), caplog.at_level(logging.WARNING, "ragcore"):
        async with ragcore.completion("plain:t", script=script, on_unsupported="warn") as model:
            for _ in range(3):
                await model.complete(ragcore.user("What?", images=[PICTURE]))

    assert [message.images for request in script.requests for message in request.messages] == [  # type: ignore[union-attr]
        (),
        (),
        (),
    ]
    assert len(caplog.messages) == 1
    assert "plain:t: images is left out" in caplog.messages[0]


async def test_choice_comes_from_the_environment_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """The host's options are options like any other."""
    monkeypatch.setenv("RAGCORE_ON_UNSUPPORTED", "warn")

    assert (await unable(Script("A cat"))).text == "A cat"


@pytest.mark.parametrize(
    ("name", "value"),
    [("timeout", -1), ("timeout", "5"), ("on_unsupported", "ignore"), ("retry", 3)],
)
async def test_bad_options_of_the_host_are_refused(name: str, value: Any) -> None:
    """When the model is opened, not when it is used."""
    with pytest.raises(OptionsError, match=name):
        await unable(Script("A cat"), **{name: value})


async def test_all_options_are_checked_when_a_model_is_opened() -> None:
    """Connection, task and host together; nothing is opened."""
    script = Script()
    with pytest.raises(OptionsError) as caught:
        async with ragcore.completion(
            "scripted:any", script=script, temperature="hot", num_ctxt=9, timeout=-1
        ):
            pass
    with pytest.raises(OptionsError, match=r"script: missing: pass script= @ scripted\.script"):
        async with ragcore.completion("scripted:any"):
            pass

    assert sorted(caught.value.problems) == [
        "num_ctxt: unknown option; did you mean 'num_ctx'?",
        "temperature: 'hot' is not a number @ scripted_llm.temperature",
        "timeout: -1 is not 0 or more @ ragcore.timeout",
    ]
    assert script.opened == 0


async def test_an_embedding_reference_is_no_completion() -> None:
    """The host's embedding options are unknown to a completion."""
    with pytest.raises(OptionsError, match="batch_size: unknown option"):
        async with ragcore.completion("scripted:any", script=Script(), batch_size=5):
            pass


async def test_what_is_said_in_a_call_is_no_option_of_a_model() -> None:
    """The message says where it belongs; so does that of an option of the host in a call."""
    with pytest.raises(OptionsError) as opened:
        async with ragcore.completion("scripted:any", script=Script(), system="Be terse."):
            pass
    async with ragcore.completion("scripted:any", script=Script("A cat")) as model:
        with pytest.raises(OptionsError) as called:
            await model.complete("hi", retry_attempts=2)

    assert opened.value.problems == ("system: is said in a call: model.complete(…, system=…)",)
    (problem,) = called.value.problems
    assert problem.startswith("retry_attempts: is set when the model is opened, not for a single")


async def test_what_other_libraries_have_options_for_is_said_where_it_belongs() -> None:
    """A model's name stands in the reference, and a stream is a method."""
    async with ragcore.completion("scripted:any", script=Script("A cat")) as model:
        with pytest.raises(OptionsError) as caught:
            await model.complete("hi", stream=True, model="other")

    assert caught.value.problems == (
        "stream: is a method: async with model.stream(…) as chunks",
        "model: is said by the reference: PROVIDER:MODEL, such as 'openai:gpt-4o-mini'",
    )


async def test_a_model_says_what_it_is(model: ragcore.CompletionModel) -> None:
    """Reference, capabilities, and whether it streams."""
    assert model.reference == "scripted:any"
    assert repr(model) == "<CompletionModel scripted:any>"
    assert model.capabilities.json_schema
    assert model.can_stream


async def test_many_calls_at_once() -> None:
    """One model serves many tasks, each its own answer."""
    script = Script(forever=lambda request: Delay(0, request.messages[0].content.upper()))
    async with ragcore.completion("scripted:any", script=script) as model:
        answers = await asyncio.gather(*(model.complete(f"q{n}") for n in range(200)))

    assert [answer.text for answer in answers] == [f"Q{n}" for n in range(200)]
