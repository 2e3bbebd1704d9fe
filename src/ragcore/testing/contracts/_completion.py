"""What every model that completes keeps."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from ragcore import Completion, CompletionModel, Image, JSONSchema, UnsupportedError, user
from ragcore.testing.contracts._model import ModelContract

QUESTION = "Who wrote Faust?"
PICTURE = user("What is it?", images=[Image.from_bytes(b"\x89PNG\r\n\x1a\n" + bytes(20))])
SCHEMA = JSONSchema({"type": "object", "properties": {"author": {"type": "string"}}})


async def complete(model: CompletionModel) -> Completion:
    """Return an answer in one piece."""
    return await model.complete(QUESTION)


async def read(model: CompletionModel, **options: Any) -> Completion:
    """Return what a stream has said at its end."""
    async with model.stream(QUESTION, **options) as chunks:
        async for _ in chunks:
            pass
    return chunks.completion


class CompletionContract(ModelContract[CompletionModel]):
    """
    What every model that completes keeps.

    Attributes:
        images: Whether the model looks at images.
        json_schema: Whether the model makes its answers fit a schema.
    """

    asks = (complete, read)
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
                with pytest.raises(UnsupportedError):
                    await model.complete(PICTURE)
            if not self.json_schema:
                with pytest.raises(UnsupportedError):
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
