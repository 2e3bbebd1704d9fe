"""What type checkers see of the public API; checked by mypy and pyright, never run."""

from __future__ import annotations

from collections.abc import Sequence
from typing import assert_type

import numpy as np
import numpy.typing as npt

import ragcore
import ragcore.sync
from ragcore import BindingOptions, option


class AcmeOptions(BindingOptions, binding="acme"):
    """Both checkers read this as a frozen class with keyword arguments."""

    api_key: ragcore.Secret = option("Key.", secret=True)
    workers: int | None = option("Threads.", default=None)


class Author:
    """What an answer is parsed into."""


async def completions() -> None:
    async with ragcore.completion("openai:gpt-4o-mini", temperature=0.2) as model:
        assert_type(model, ragcore.CompletionModel)
        answer = await model.complete("Who wrote Faust?", system="One word.")
        assert_type(answer, ragcore.Completion)
        assert_type(answer.text, str)
        assert_type(answer.usage, ragcore.Usage | None)
        parsed = await model.complete("Who wrote Faust?", response_format=Author)
        assert_type(parsed.parsed, Author)
        asked = await model.complete([{"role": "user", "content": "Hi"}], response_format=None)
        assert_type(asked, ragcore.Completion)
        assert_type(model.tokenizer, ragcore.Tokenizer)
        assert_type(await model.list_models(), tuple[str, ...])
    chain = ragcore.fallback("openai:a", ("ollama:b", {"num_ctx": 1}), on=[ragcore.RateLimitError])
    async with (
        ragcore.completion(chain, hedge_after=5) as model,
        model.stream([ragcore.user("Tell me a story")]) as chunks,
    ):
        assert_type(chunks, ragcore.CompletionStream)
        async for chunk in chunks:
            assert_type(chunk, ragcore.Chunk)


async def embeddings(texts: Sequence[str]) -> None:
    async with ragcore.embedding("hf:model") as model:
        found = await model.embed(texts, input_type="query", truncate="end")
        assert_type(found.vectors, npt.NDArray[np.float32])
        assert_type(found.truncated, tuple[int, ...])
        assert_type((model.dimensions, model.max_tokens), tuple[int | None, int | None])
        await model.embed("one text")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


async def opening() -> None:
    await ragcore.completion("openai:a")  # type: ignore[misc]  # pyright: ignore[reportGeneralTypeIssues]
    ragcore.completion("openai:a", timeout="5")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    ragcore.completion("openai:a", on_unsupported="never")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    ragcore.embedding("openai:a", retry=3)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    assert_type(await ragcore.list_models("openai"), tuple[str, ...])


def without_a_loop() -> None:
    with ragcore.sync.completion("openai:gpt-4o-mini") as model:
        assert_type(model.complete("Hello").text, str)
        with model.stream("Hello") as chunks:
            for chunk in chunks:
                assert_type(chunk, ragcore.Chunk)


def options() -> None:
    made = AcmeOptions(api_key=ragcore.Secret("k"), workers=2)
    assert_type(made.workers, int | None)
    AcmeOptions()  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]  # missing
    AcmeOptions(api_key=1)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]  # wrong
    made.workers = 3  # type: ignore[misc]  # pyright: ignore[reportAttributeAccessIssue]  # frozen


def installed() -> None:
    assert_type(ragcore.providers().providers[0].name, str)
    assert_type(ragcore.providers().broken[0].cure, str)
