"""Titan and Cohere by InvokeModel, through boto3, against the service's double."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import numpy as np
import pytest
from bedrock_double import Bedrock

import ragcore
from lightrag_bedrock._families import capabilities_of, describe, family_of
from ragcore import Retry
from ragcore.testing.server import Answer, Broken, Connection, Failure, Reply, Request, Vectors

QUICK = Retry(attempts=3, wait_initial=0, wait_max=0)
TITAN_V1 = "amazon.titan-embed-text-v1"
TITAN_V2 = "amazon.titan-embed-text-v2:0"
TITAN_IMAGE = "amazon.titan-embed-image-v1"
COHERE_V3 = "cohere.embed-multilingual-v3"
COHERE_V4 = "us.cohere.embed-v4:0"
OPAQUE = "arn:aws:bedrock:us-east-1:123456789012:application-inference-profile/abc"


@asynccontextmanager
async def model_of(
    service: Bedrock, keys: dict[str, Any], name: str, **options: Any
) -> AsyncIterator[ragcore.EmbeddingModel]:
    settings = {"endpoint_url": service.url, "retry": QUICK, **keys, **options}
    async with ragcore.embedding(f"bedrock:{name}", **settings) as model:
        yield model


class Counting(Bedrock):
    """Makes vectors of the texts themselves: their length, and how many there were."""

    most_characters = 10**6
    under_way = 0
    most_under_way = 0

    async def reply(self, request: Request, reply: Reply, connection: Connection) -> None:
        self.under_way += 1
        self.most_under_way = max(self.most_under_way, self.under_way)
        try:
            await asyncio.sleep(0.01)
            body = request.json
            texts = body["texts"] if "texts" in body else [body["inputText"]]
            too_long = [n for n, text in enumerate(texts) if len(text) > self.most_characters]
            if too_long:
                size = len(texts[too_long[0]])
                message = (
                    "400 Bad Request: Too many input tokens. "
                    f"Max input tokens: {self.most_characters}, request input token count: {size} "
                )
                await self._fail(Failure(400, message), connection)
            else:
                rows = [[len(text), len(texts)] for text in texts]
                self._rows_sent = 0
                vectors = Vectors(rows, input_tokens=sum(map(len, texts)))
                await self._vectors(request, vectors, connection)
        finally:
            self.under_way -= 1


@pytest.mark.parametrize(
    ("name", "family"),
    [
        (TITAN_V1, "titan-v1"),
        ("amazon.titan-embed-g1-text-02", "titan-v1"),
        (TITAN_V2, "titan-v2"),
        (TITAN_IMAGE, "titan-image"),
        ("cohere.embed-english-v3", "cohere-v3"),
        (COHERE_V3, "cohere-v3"),
        (COHERE_V4, "cohere-v4"),
        ("global.cohere.embed-v4:0", "cohere-v4"),
        (f"arn:aws:bedrock:us-east-1::foundation-model/{TITAN_V2}", "titan-v2"),
        (f"arn:aws:bedrock:us-east-1:123456789012:inference-profile/{COHERE_V4}", "cohere-v4"),
        (OPAQUE, None),
        ("amazon.nova-lite-v1:0", None),
    ],
)
def test_family_of_a_name(name: str, family: str | None) -> None:
    """Is found wherever the name stands."""
    assert family_of(name) == family


def test_describes_models() -> None:
    """By name, or by what the options say of an ARN."""
    from lightrag_bedrock import BedrockEmbeddingOptions

    assert describe(TITAN_V2, BedrockEmbeddingOptions()) == (1024, 8192)
    assert describe(OPAQUE, BedrockEmbeddingOptions()) == (None, None)
    assert describe(OPAQUE, BedrockEmbeddingOptions(family="cohere-v3")) == (1024, 512)


@pytest.mark.parametrize("name", [TITAN_V1, TITAN_V2, TITAN_IMAGE])
async def test_titan_takes_one_text_a_request(name: str, keys: dict[str, Any]) -> None:
    """Several are under way at once, within bounds; order is kept, usage summed."""
    texts = ["x" * n for n in range(1, 13)]
    service = Counting(Answer())
    async with service.running(), model_of(service, keys, name, max_concurrency=4) as model:
        found = await model.embed(texts)

    assert found.vectors.dtype == np.float32
    assert found.vectors[:, 0].tolist() == list(range(1, 13))
    assert found.usage == ragcore.Usage(sum(range(1, 13)))
    assert len(service.requests) == 12
    assert 2 <= service.most_under_way <= 4


async def test_cohere_takes_96_texts_a_request(keys: dict[str, Any]) -> None:
    """More are split; order is kept, usage from the header summed."""
    texts = ["x" * n for n in range(1, 201)]
    service = Counting(Answer())
    async with service.running(), model_of(service, keys, COHERE_V3) as model:
        found = await model.embed(texts)

    assert found.vectors[:, 0].tolist() == list(range(1, 201))
    assert sorted(len(request.json["texts"]) for request in service.requests) == [8, 96, 96]
    assert found.usage == ragcore.Usage(sum(range(1, 201)))


@pytest.mark.parametrize(
    ("name", "asked", "expected"),
    [
        (TITAN_V1, {}, {"inputText": "a"}),
        (TITAN_V2, {}, {"inputText": "a"}),
        (TITAN_V2, {"dimensions": 2}, {"inputText": "a", "dimensions": 2}),
        (TITAN_V2, {"normalize": False}, {"inputText": "a", "normalize": False}),
        (
            TITAN_IMAGE,
            {"dimensions": 2},
            {"inputText": "a", "embeddingConfig": {"outputEmbeddingLength": 2}},
        ),
        (
            COHERE_V3,
            {},
            {"texts": ["a"], "input_type": "search_document", "truncate": "NONE"},
        ),
        (
            COHERE_V3,
            {"input_type": "query", "truncate": "end"},
            {"texts": ["a"], "input_type": "search_query", "truncate": "END"},
        ),
        (
            COHERE_V4,
            {"dimensions": 2, "extra_fields": {"max_tokens": 9}},
            {
                "texts": ["a"],
                "input_type": "search_document",
                "truncate": "NONE",
                "embedding_types": ["float"],
                "output_dimension": 2,
                "max_tokens": 9,
            },
        ),
    ],
)
async def test_what_is_asked(
    name: str, asked: dict[str, Any], expected: Any, keys: dict[str, Any]
) -> None:
    """In each family's own words; what is unset is not sent."""
    async with (
        Bedrock(Vectors([[1, 2]])).running() as service,
        model_of(service, keys, name) as model,
    ):
        found = await model.embed(["a"], **asked)

    assert service.requests[0].json == expected
    assert found.vectors.tolist() == [[1, 2]]


@pytest.mark.parametrize(
    ("name", "asked"),
    [
        (TITAN_V1, {"dimensions": 2}),
        (COHERE_V3, {"dimensions": 2}),
        (TITAN_V1, {"normalize": True}),
        (COHERE_V4, {"normalize": True}),
    ],
)
async def test_what_a_family_can_not_do(
    name: str, asked: dict[str, Any], keys: dict[str, Any]
) -> None:
    """Is refused by name."""
    async with (
        Bedrock(Vectors([[1, 2]])).running() as service,
        model_of(service, keys, name) as model,
    ):
        with pytest.raises(ragcore.UnsupportedError, match=next(iter(asked))):
            await model.embed(["a"], **asked)

    assert service.requests == []


async def test_an_arn_that_hides_its_family(keys: dict[str, Any]) -> None:
    """Needs to be told; then it is asked in that family's words, one text at a time."""
    service = Counting(Answer())
    async with service.running():
        with pytest.raises(ragcore.UnsupportedError, match="family="):
            async with model_of(service, keys, OPAQUE):
                pass
        async with model_of(service, keys, OPAQUE, family="cohere-v4") as model:
            await model.embed(["a", "b"], input_type="query")
        with pytest.raises(ragcore.OptionsError, match="family"):
            async with model_of(service, keys, COHERE_V3, family="titan-v1"):
                pass
        async with model_of(service, keys, OPAQUE, family="titan-v1") as model:
            with pytest.raises(ragcore.UnsupportedError, match="dimensions"):
                await model.embed(["a"], dimensions=3)

    assert sorted(request.json["texts"] for request in service.requests) == [["a"], ["b"]]


def test_the_host_knows_what_a_model_takes() -> None:
    """So that it splits requests and refuses what can't be done."""
    assert capabilities_of(TITAN_V2).max_batch == 1
    assert capabilities_of(COHERE_V4).max_batch == 96
    assert capabilities_of(COHERE_V4).dimensions
    assert not capabilities_of(COHERE_V3).dimensions
    assert capabilities_of(COHERE_V3).input_type
    assert capabilities_of(OPAQUE).max_batch == 1


async def test_a_text_that_is_too_long(keys: dict[str, Any]) -> None:
    """Is an error that says which."""
    service = Counting(Answer())
    service.most_characters = 10
    async with service.running(), model_of(service, keys, TITAN_V2) as model:
        with pytest.raises(ragcore.ContextLengthError) as caught:
            await model.embed(["short", "x" * 11])

    assert caught.value.positions == (1,)


async def test_titan_is_asked_again_with_less(keys: dict[str, Any]) -> None:
    """With ``truncate="end"``: it does not truncate by itself; what was cut is said."""
    service = Counting(Answer())
    service.most_characters = 100
    async with service.running(), model_of(service, keys, TITAN_V2) as model:
        found = await model.embed(["short", "x" * 1000], truncate="end")

    assert found.truncated == (1,)
    assert found.vectors[0, 0] == 5
    assert 80 <= found.vectors[1, 0] <= 100


async def test_titan_says_nothing_of_how_long(keys: dict[str, Any]) -> None:
    """Then half is tried, and half of that."""
    replies: list[Reply] = [Failure(400, "Input is too long"), Failure(400, "Input is too long")]
    async with (
        Bedrock(*replies, Vectors([[1, 2]])).running() as service,
        model_of(service, keys, TITAN_V1) as model,
    ):
        found = await model.embed(["x" * 100], truncate="end")

    assert found.truncated == (0,)
    assert [len(request.json["inputText"]) for request in service.requests] == [100, 50, 25]


async def test_titan_never_content(keys: dict[str, Any]) -> None:
    """Ends in the error, not in an endless loop."""
    async with (
        Bedrock(Failure(400, "Input is too long")).running() as service,
        model_of(service, keys, TITAN_V1) as model,
    ):
        with pytest.raises(ragcore.ContextLengthError):
            await model.embed(["x" * 100], truncate="end")

    assert len(service.requests) == 7


async def test_cohere_v3_is_sent_what_it_takes(keys: dict[str, Any]) -> None:
    """The service refuses more than 2,048 characters even where it truncates."""
    service = Counting(Answer())
    async with service.running(), model_of(service, keys, COHERE_V3) as model:
        found = await model.embed(["a", "x" * 3000, "b"], truncate="end")

    assert found.truncated == (1,)
    assert found.vectors[1, 0] == 2048


@pytest.mark.parametrize(
    ("message", "expected", "positions"),
    [
        ("Malformed input request: #/texts/1: expected minLength: 1, actual: 0, please reformat",
         ragcore.InvalidRequestError, (1,)),
        ("Malformed input request: #/texts/1: expected maxLength: 2048, actual: 2500, please",
         ragcore.ContextLengthError, (1,)),
        ("Malformed input request: extraneous key", ragcore.InvalidRequestError, ()),
    ],
)  # fmt: skip
async def test_refusals_say_which_text(
    message: str, expected: type[Exception], positions: tuple[int, ...], keys: dict[str, Any]
) -> None:
    """Where the service does."""
    async with (
        Bedrock(Failure(400, message)).running() as service,
        model_of(service, keys, COHERE_V3) as model,
    ):
        with pytest.raises(ragcore.InvalidRequestError) as caught:
            await model.embed(["a", "", "c"])

    assert type(caught.value) is expected
    assert caught.value.positions == positions


async def test_what_may_pass_is_tried_again(keys: dict[str, Any]) -> None:
    """Attempts are counted on the wire."""
    replies: list[Reply] = [Failure(429), Broken("end"), Vectors([[1, 2]])]
    async with (
        Bedrock(*replies).running() as service,
        model_of(service, keys, TITAN_V2) as model,
    ):
        found = await model.embed(["a"])

    assert found.timings.attempts == 3
    assert len(service.requests) == 3


async def test_quotas_are_not(keys: dict[str, Any]) -> None:
    """Waiting does not lift them."""
    reply = Failure(400, "You have exceeded your quota", "ServiceQuotaExceededException")
    async with Bedrock(reply).running() as service, model_of(service, keys, TITAN_V2) as model:
        with pytest.raises(ragcore.QuotaExceededError):
            await model.embed(["a"])

    assert len(service.requests) == 1


class Strange(Bedrock):
    body = b""

    async def reply(self, request: Request, reply: Reply, connection: Connection) -> None:
        await connection.respond(200, self.body, {"Content-Type": "application/json"})


@pytest.mark.parametrize("name", [TITAN_V2, COHERE_V4])
@pytest.mark.parametrize(
    "body",
    [b"{ no JSON", b"[1]", b"{}", b'{"embedding": "x", "embeddings": "x"}',
     b'{"embedding": [[1], [2, 3]], "embeddings": [[1], [2, 3]]}'],
)  # fmt: skip
async def test_an_answer_that_is_none(body: bytes, name: str, keys: dict[str, Any]) -> None:
    """Is an error of the tree."""
    service = Strange(Answer())
    service.body = body
    async with service.running(), model_of(service, keys, name) as model:
        with pytest.raises(ragcore.ProviderError):
            await model.embed(["a"])


async def test_a_cancelled_call_gives_back_its_socket(keys: dict[str, Any]) -> None:
    """All requests of it."""
    service = Bedrock(Broken("stall"))
    async with service.running(), model_of(service, keys, TITAN_V2) as model:
        call = asyncio.create_task(model.embed(["a", "b", "c"]))
        async with asyncio.timeout(5):
            while len(service.requests) < 3:
                await asyncio.sleep(0.005)
            call.cancel()
            await asyncio.wait([call])
            while service.left < 3:
                await asyncio.sleep(0.005)

    assert call.cancelled()
