"""The example of a layer, installed like any other plugin."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import ragcore
from ragcore import Chunk, RateLimitError, Retry, Usage
from ragcore.testing import Script, embeddings, scripted

KEY = "canary-key-of-an-account"


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "calls.jsonl"
    monkeypatch.setenv("AUDIT_FILE", str(path))
    return path


def lines(file: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in file.read_text().splitlines()]


async def test_each_call_is_a_line(file: Path) -> None:
    """A completion, a stream, an embedding and a failure."""
    stream = ["Goe", "the", Chunk(finish_reason="length", usage=Usage(3, 2))]
    script = Script("Goethe", stream, RateLimitError("slow down"), embeddings)
    with scripted(retry=Retry(attempts=1)):
        async with ragcore.completion("scripted:a", script=script) as model:
            await model.complete("Who?")
            async with model.stream("Who?") as chunks:
                [chunk async for chunk in chunks]
            with pytest.raises(RateLimitError):
                await model.complete("Who?")
        async with ragcore.embedding("scripted:b", script=script) as embedder:
            await embedder.embed(["Polly"])

    found = [(line["model"], line["task"], line["outcome"]) for line in lines(file)]
    assert found == [
        ("scripted:a", "completion", "stop"),
        ("scripted:a", "completion", "length"),
        ("scripted:a", "completion", "RateLimitError"),
        ("scripted:b", "embedding", "embedded"),
    ]
    assert [line["input_tokens"] for line in lines(file)] == [None, 3, None, 5]


async def test_content_is_written_if_asked_for_and_redacted(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A key that stands in a question or an answer stays out of the file."""
    monkeypatch.setenv("AUDIT_CONTENT", "true")
    script = Script(f"Your key is {KEY}.")
    with scripted():
        async with ragcore.completion("scripted:a", script=script, api_key=KEY) as model:
            await model.complete(f"What is {KEY}?")

    [line] = lines(file)
    assert (line["asked"], line["answered"]) == (["What is …?"], "Your key is ….")


async def test_without_content_nothing_that_was_said_is_written(file: Path) -> None:
    """Who, when and how much is all."""
    with scripted():
        async with ragcore.completion("scripted:a", script=Script("Goethe")) as model:
            await model.complete("Who wrote Faust?")

    [line] = lines(file)
    assert not {"Goethe", "Faust"} & set(json.dumps(line).replace('"', " ").split())
