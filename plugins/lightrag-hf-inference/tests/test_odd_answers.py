"""What servers send beside what they document, and what must not go out."""

from __future__ import annotations

import traceback
from typing import Any

import pytest
from hf_inference_double import MODEL, TOKEN, HFInferenceService, completing, embedding, encoded

import ragcore
from lightrag_hf_inference import HFInferenceEmbeddingOptions, HFInferenceOptions
from lightrag_hf_inference._connect import ROUTER, connect
from lightrag_hf_inference._embedding import HFInferenceEmbedding
from ragcore.testing.server import Answer, Connection, Failure, Raw, Reply, Request


class Says(HFInferenceService):
    """Says the same in one piece, or as events."""

    def __init__(self, message: dict[str, Any], finish: str = "stop") -> None:
        super().__init__(Answer())
        self.whole = {"choices": [{"message": message, "finish_reason": finish}]}
        self.events: list[Any] = [
            {"choices": [{"delta": message, "finish_reason": None}]},
            {"choices": [{"delta": {}, "finish_reason": finish}]},
        ]

    async def reply(self, request: Request, reply: Reply, connection: Connection) -> None:
        if request.json["stream"]:
            await self._stream(connection, self.events)
        else:
            await self._send(connection, 200, self.whole)


async def asked(service: HFInferenceService, *, stream: bool) -> ragcore.Completion:
    async with service.running(), completing(service) as model:
        if not stream:
            return await model.complete("Who?")
        async with model.stream("Who?") as chunks:
            async for _ in chunks:
                pass
        return chunks.completion


both = pytest.mark.parametrize("stream", [False, True])


@pytest.mark.parametrize("nothing", ["null", "", {"choices": []}])
async def test_signs_of_life_are_no_content(nothing: Any) -> None:
    """Between the pieces, as proxies send them."""
    service = Says({"content": "Goethe"})
    service.events[1:1] = [nothing]

    assert (await asked(service, stream=True)).text == "Goethe"


@both
async def test_content_may_be_a_list_of_parts(stream: bool) -> None:
    """Texts are the answer, and thinking parts its reasoning."""
    thinking = {"type": "thinking", "thinking": [{"type": "text", "text": "Hm."}]}
    parts = [thinking, {"type": "text", "text": "Goe"}, "the"]
    answer = await asked(Says({"content": parts}), stream=stream)

    assert (answer.text, answer.reasoning) == ("Goethe", "Hm.")


@both
@pytest.mark.parametrize(("word", "reason"), [("eos", "stop"), ("MAX_TOKENS", "length")])
async def test_other_words_for_the_end_are_known(word: str, reason: str, stream: bool) -> None:
    """Those of other servers behind the router."""
    answer = await asked(Says({"content": "Goethe"}, word), stream=stream)

    assert (answer.text, answer.finish_reason) == ("Goethe", reason)


@both
async def test_an_unknown_word_for_the_end_keeps_the_text(stream: bool) -> None:
    """What there is of the answer is on the error."""
    with pytest.raises(ragcore.InterruptedStreamError, match="not known: 'tired'") as caught:
        await asked(Says({"content": "Goethe"}, "tired"), stream=stream)

    assert caught.value.text == "Goethe"


async def test_done_is_an_end() -> None:
    """Where no reason was given."""
    service = Says({"content": "Goethe"})
    service.events[1] = "[DONE]"
    answer = await asked(service, stream=True)

    assert (answer.text, answer.finish_reason) == ("Goethe", "stop")


async def test_an_answer_that_was_not_streamed_is_the_answer() -> None:
    """A gateway that does not know of streams answers in JSON."""
    body = b'{"choices": [{"message": {"content": "Goethe"}, "finish_reason": "stop"}]}'
    answer = await asked(HFInferenceService(Raw(body)), stream=True)

    assert (answer.text, answer.finish_reason) == ("Goethe", "stop")


async def test_a_long_stream_is_read_in_linear_time() -> None:
    """Its line came in 4,000 pieces; joined at each of them it would take a minute."""

    class Long(HFInferenceService):
        async def reply(self, request: Request, reply: Reply, connection: Connection) -> None:
            await self._begin(connection)
            line = encoded({"choices": [{"delta": {"content": "x" * 4_000_000}}]})
            for at in range(0, len(line), 1_000):
                await connection.chunk(line[at : at + 1_000])
            await connection.chunk(encoded("[DONE]"))
            await connection.finish()

    assert len((await asked(Long(Answer()), stream=True)).text) == 4_000_000


async def test_an_odd_count_is_none() -> None:
    """Of more digits than int() takes."""

    class Counts(HFInferenceService):
        async def reply(self, request: Request, reply: Reply, connection: Connection) -> None:
            await self._send(connection, 200, [[1.0]], {"x-compute-tokens": "9" * 5_000})

    async with Counts(Answer()).running() as service, embedding(service) as model:
        found = await model.embed(["Faust"])

    assert (found.vectors.tolist(), found.usage) == ([[1.0]], None)


@pytest.mark.parametrize("name", ["../../admin", "org/../..", "org//name", "."])
async def test_a_name_that_leads_elsewhere_is_refused(name: str) -> None:
    """The token would go along."""
    with pytest.raises(ragcore.OptionsError, match="can't be the name of a model"):
        async with ragcore.embedding(f"hf-inference:{name}", token=TOKEN):
            pass


@pytest.mark.parametrize(("name", "path"), [("a#b", "a%23b"), ("a?b", "a%3Fb"), ("a%2e", "a%252e")])
async def test_a_name_stays_in_its_place(name: str, path: str) -> None:
    """What would end the path is quoted."""
    async with connect(HFInferenceOptions(token=ragcore.Secret(TOKEN))) as account:
        backend = HFInferenceEmbedding(account, name, HFInferenceEmbeddingOptions())

    assert backend._url == f"{ROUTER}/hf-inference/models/{path}/pipeline/feature-extraction"


@pytest.mark.parametrize("address", ["http://me:pw@host", "http://host/?a", "http://host/\r\nX: 1"])
async def test_a_reference_that_is_no_address_is_refused(address: str) -> None:
    """As base_url= would be."""
    with pytest.raises(ragcore.OptionsError, match="the model's name is not http://"):
        async with ragcore.completion(f"hf-inference:{address}", token=TOKEN):
            pass


@pytest.mark.parametrize("value", ["a\nb", "a\r\nX-Evil: 1", "a\0b", ""])
async def test_who_pays_is_a_header(value: str) -> None:
    """And nothing that could be more than one."""
    with pytest.raises(ragcore.OptionsError, match="bill_to"):
        async with ragcore.completion(f"hf-inference:{MODEL}", token=TOKEN, bill_to=value):
            pass


@both
@pytest.mark.parametrize("failure", [Failure(401), Failure(307, headers={"Location": "http://x"})])
async def test_no_frame_shows_the_token(failure: Failure, stream: bool) -> None:
    """Programs print the locals of tracebacks."""
    with pytest.raises(ragcore.ProviderError) as caught:
        await asked(HFInferenceService(failure), stream=stream)
    shown = traceback.TracebackException.from_exception(caught.value, capture_locals=True)
    frames = "".join(shown.format())

    assert "lightrag_hf_inference" in frames
    assert f"Bearer {TOKEN}" not in frames
