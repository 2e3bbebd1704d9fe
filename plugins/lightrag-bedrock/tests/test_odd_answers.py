"""What the service, or what stands in its place, sends beside what is documented."""

from __future__ import annotations

import asyncio
import json
import sys
import traceback
from contextlib import AbstractAsyncContextManager
from typing import Any

import pytest
from bedrock_double import Bedrock, event, frame

import ragcore
from ragcore import Retry, Usage
from ragcore.testing.server import Answer, Broken, Connection, Failure, Raw, Reply, Request

MODEL = "bedrock:amazon.nova-lite-v1:0"
QUICK = Retry(attempts=3, wait_initial=0, wait_max=0)
BEGUN = event("contentBlockDelta", {"delta": {"text": "Goe"}})
TOKEN = "canary-session-token"
ENDED = event("messageStop", {"stopReason": "end_turn"})


class Says(Bedrock):
    """Streams these bytes, whatever was asked."""

    def __init__(self, *events: bytes) -> None:
        super().__init__(Answer())
        self.events = events

    async def reply(self, request: Request, reply: Reply, connection: Connection) -> None:
        await connection.begin({"Content-Type": "application/vnd.amazon.eventstream"})
        for one in self.events:
            await connection.chunk(one)
        await connection.finish()


async def whole(answer: dict[str, Any], keys: dict[str, Any]) -> ragcore.Completion:
    service = Bedrock(Raw(json.dumps(answer).encode()))
    async with service.running(), opened(service, keys) as model:
        return await model.complete("Who?")


async def streamed(service: Bedrock, keys: dict[str, Any]) -> ragcore.Completion:
    async with service.running(), opened(service, keys) as model:
        async with model.stream("Who?") as chunks:
            async for _ in chunks:
                pass
        return chunks.completion


def opened(
    service: Bedrock, keys: dict[str, Any], **more: Any
) -> AbstractAsyncContextManager[ragcore.CompletionModel]:
    return ragcore.completion(MODEL, endpoint_url=service.url, retry=QUICK, **keys, **more)


def converse(content: Any, **more: Any) -> dict[str, Any]:
    return {"output": {"message": {"content": content}}, "stopReason": "end_turn"} | more


THOUGHT = {"reasoningContent": {"reasoningText": {"text": "Hm."}}}


@pytest.mark.parametrize(
    "content",
    [
        [THOUGHT, {"text": "Goe"}, {"text": "the"}],
        [{"reasoningContent": {"text": "Hm."}}, None, "Goethe", {"toolUse": {"name": "x"}}],
        [THOUGHT, {"citationsContent": {"content": [{"text": "Goethe"}]}}],
    ],
)
async def test_content_in_any_shape(content: Any, keys: dict[str, Any]) -> None:
    """Blocks without text say nothing."""
    answer = await whole(converse(content), keys)

    assert (answer.text, answer.reasoning) == ("Goethe", "Hm.")


@pytest.mark.parametrize(
    ("usage", "expected"),
    [
        ({}, None),
        ([], None),
        ("many", None),
        ({"inputTokens": "3", "outputTokens": True}, None),
        ({"inputTokens": 10**400, "outputTokens": 1.0}, Usage(0, 1)),
    ],
)
async def test_odd_usage_is_no_reason_to_fail(
    usage: Any, expected: Usage | None, keys: dict[str, Any]
) -> None:
    """Whole and streamed; what can't be counted is not counted."""
    answer = await whole(converse([{"text": "Goethe"}], usage=usage), keys)
    pieces = await streamed(Says(BEGUN, ENDED, event("metadata", {"usage": usage})), keys)

    assert (answer.usage, pieces.usage) == (expected, expected)


async def test_an_unknown_reason_for_the_end_keeps_the_text(keys: dict[str, Any]) -> None:
    """Whole and streamed."""
    with pytest.raises(ragcore.InterruptedStreamError, match="'malformed_tool_use'") as caught:
        await whole(converse([{"text": "Goe"}], stopReason="malformed_tool_use"), keys)
    with pytest.raises(ragcore.InterruptedStreamError, match="'tired'") as in_stream:
        await streamed(Says(BEGUN, event("messageStop", {"stopReason": "tired"})), keys)

    assert caught.value.text == in_stream.value.text == "Goe"


HEADERS = {":event-type": "contentBlockDelta", ":message-type": "event"}
DAMAGED = [
    event("contentBlockDelta", {"delta": {"text": 3}}),
    event("contentBlockDelta", {}),
    frame(HEADERS, b"{"),
    frame(HEADERS, b"[" * 5_000),
    frame(HEADERS, b'{"a": ' + b"9" * 5_000 + b"}"),
    frame(HEADERS, b"[1]"),
    frame({":message-type": "event"}, b'{"delta": {"text": "the"}}'),
    BEGUN[:-4] + b"1234",
    b"\0\0\0\x01" * 8,
    frame({"x": "y"} | HEADERS, b"{}").replace(b"\x01x\x07", b"\x01x\x63"),
]


@pytest.mark.parametrize("damaged", DAMAGED, ids=range(len(DAMAGED)))
async def test_a_damaged_piece_breaks_the_stream(damaged: bytes, keys: dict[str, Any]) -> None:
    """It is not left out; before anything came it is tried again."""
    with pytest.raises(ragcore.InterruptedStreamError) as caught:
        await streamed(Says(BEGUN, damaged, ENDED), keys)
    service = Says(damaged, ENDED)
    with pytest.raises(ragcore.UnavailableError):
        await streamed(service, keys)

    assert caught.value.text == "Goe"
    assert len(service.requests) == 3


async def test_signs_of_life_are_no_content(keys: dict[str, Any]) -> None:
    """Events without a body, and those that are not known."""
    nothing = frame(HEADERS, b""), frame(HEADERS, b"null"), event("ping", {"p": "abc"})
    answer = await streamed(Says(BEGUN, *nothing, ENDED), keys)

    assert answer.text == "Goe"


async def test_an_answer_that_was_not_streamed_is_the_answer(keys: dict[str, Any]) -> None:
    """A gateway that does not know of streams answers in JSON."""
    body = converse([{"text": "Goethe"}], usage={"inputTokens": 1, "outputTokens": 2})
    answer = await streamed(Bedrock(Raw(json.dumps(body).encode())), keys)

    assert (answer.text, answer.usage) == ("Goethe", Usage(1, 2))


@pytest.mark.parametrize("said", [b'{"message": "no more water"}', b"<p>no more water"])
@pytest.mark.parametrize("begun", [(), (BEGUN,)])
async def test_what_is_no_event_is_told(
    said: bytes, begun: tuple[bytes, ...], keys: dict[str, Any]
) -> None:
    """JSON or a page, in the place of events or after them."""
    with pytest.raises(ragcore.ProviderError, match="no more water"):
        await streamed(Says(*begun, said), keys)


@pytest.mark.parametrize(
    "payload", [{"message": 5}, {"message": {"text": "no"}}, [], "no", {"Message": "no"}, None]
)
async def test_an_error_in_a_stream_may_say_it_in_any_shape(
    payload: Any, keys: dict[str, Any]
) -> None:
    """Its name is beside what it says."""
    headers = {":message-type": "exception", ":exception-type": "throttlingException"}
    with pytest.raises(ragcore.RateLimitError):
        await streamed(Says(frame(headers, json.dumps(payload).encode())), keys)


@pytest.mark.parametrize(
    "turns",
    [
        [ragcore.user("Hi"), ragcore.assistant(" "), ragcore.user("Who?")],
        [ragcore.user("Hi"), ragcore.user("Who?"), ragcore.user("\n")],
        [ragcore.system(" "), ragcore.user("Hi"), ragcore.user("Who?")],
    ],
)
async def test_blank_texts_are_left_out(turns: Any, keys: dict[str, Any]) -> None:
    """The service refuses every request that holds one."""
    service = Bedrock(Answer())
    async with service.running(), opened(service, keys) as model:
        await model.complete(turns)

    content = [{"text": "Hi"}, {"text": "Who?"}]
    assert service.requests[0].json == {"messages": [{"role": "user", "content": content}]}


async def test_nothing_but_blank_texts_is_refused(keys: dict[str, Any]) -> None:
    """Before anything is sent, with their positions."""
    service = Bedrock(Answer())
    async with service.running(), opened(service, keys) as model:
        with pytest.raises(ragcore.InvalidRequestError, match="no blank text") as caught:
            await model.complete([ragcore.system("S"), ragcore.user(" ")])

    assert caught.value.positions == (1,)
    assert service.requests == []


@pytest.mark.parametrize("reply", [Raw(b"[]"), Failure(401), Failure(307)])
async def test_no_frame_shows_a_key(reply: Any, keys: dict[str, Any]) -> None:
    """Programs print the locals of tracebacks."""
    service = Bedrock(reply)
    with pytest.raises(ragcore.ProviderError) as caught:
        async with service.running(), opened(service, keys, session_token=TOKEN) as model:
            await model.complete("Who?")
    shown = traceback.TracebackException.from_exception(caught.value, capture_locals=True)
    frames = "".join(shown.format())

    assert "lightrag_bedrock" in frames
    assert TOKEN not in frames.replace(f"'session_token': '{TOKEN}'", "")


_IN_A_DAEMON = """
import asyncio, sys, threading, ragcore

async def main():
    options = dict(region="us-east-1", access_key_id="a", secret_access_key="b")
    async with ragcore.completion("bedrock:m", endpoint_url=sys.argv[1], **options) as model:
        await model.complete("Who?")

threading.Thread(target=lambda: asyncio.run(main()), daemon=True).start()
sys.stdin.readline()
"""


async def test_a_call_in_a_daemon_thread_does_not_hold_the_program_up() -> None:
    """Though the service never answers, the interpreter ends at once, and says nothing."""
    service = Bedrock(Broken("stall"))
    async with service.running():
        program = await asyncio.create_subprocess_exec(
            *(sys.executable, "-c", _IN_A_DAEMON, service.url),
            stdin=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        await service.was_asked()
        _, complained = await asyncio.wait_for(program.communicate(b"\n"), 5)

    assert (program.returncode, complained) == (0, b"")
