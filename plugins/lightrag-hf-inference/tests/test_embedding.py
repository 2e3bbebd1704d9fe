"""Vectors: their shapes, their order, and what is too long."""

from typing import Any

import numpy as np
import pytest
from hf_inference_double import TOKEN, HFInferenceService, embedding

import ragcore
from ragcore import Usage
from ragcore.testing.server import Broken, Connection, Failure, Reply, Request, Vectors

ROWS = Vectors([[1.0, 0.0], [0.0, 1.0]])


class Lengths(HFInferenceService):
    """Gives each text its length as a vector."""

    def __init__(self, *replies: Reply) -> None:
        super().__init__(*(replies or (ROWS,)))

    async def _embed(self, request: Request, reply: Vectors, connection: Connection) -> None:
        texts = request.json["inputs"]
        cut = max(map(len, texts)) > (self.longest or 10**9) and not request.json["truncate"]
        if cut:
            await super()._embed(request, reply, connection)
            return
        rows = [[float(min(len(text), self.longest or 10**9)), 1.0] for text in texts]
        await self._send(connection, 200, rows, {"x-compute-tokens": str(len(texts))})


class Shaped(HFInferenceService):
    """Answers with one body, whatever is asked."""

    def __init__(self, body: Any) -> None:
        super().__init__(ROWS)
        self.body = body

    async def _embed(self, request: Request, reply: Vectors, connection: Connection) -> None:
        await self._send(connection, 200, self.body)


async def test_rows_belong_to_texts() -> None:
    """In float32, in the order of the texts, over as many requests as it takes; usage summed."""
    texts = ["x" * n for n in range(1, 71)]
    async with Lengths().running() as service, embedding(service) as model:
        found = await model.embed(texts)

    assert found.vectors.dtype == np.float32
    assert found.vectors[:, 0].tolist() == list(range(1, 71))
    assert sorted(len(request.json["inputs"]) for request in service.requests) == [6, 32, 32]
    assert found.usage == Usage(70)


async def test_a_single_vector_without_its_table() -> None:
    """As some endpoints answer one text."""
    async with Shaped([1.0, 2.0]).running() as service, embedding(service) as model:
        found = await model.embed(["Faust"])

    assert found.vectors.tolist() == [[1.0, 2.0]]
    assert found.usage is None


@pytest.mark.parametrize(
    "body",
    [
        [[[1.0, 2.0], [3.0, 4.0]], [[1.0, 2.0], [3.0, 4.0]]],
        [[[1.0, 2.0], [3.0, 4.0]], [[1.0, 2.0]]],
        [1.0, 2.0],
    ],
    ids=["tokens", "ragged tokens", "one for two"],
)
async def test_vectors_of_tokens_are_an_error_that_names_pooling(body: Any) -> None:
    """They are no embedding of a text."""
    async with Shaped(body).running() as service, embedding(service) as model:
        with pytest.raises(ragcore.ProviderError, match="pooling"):
            await model.embed(["Faust", "Werther"])


@pytest.mark.parametrize("body", [{"data": []}, "no", None])
async def test_what_is_no_table_is_an_error(body: Any) -> None:
    """Named as such."""
    async with Shaped(body).running() as service, embedding(service) as model:
        with pytest.raises(ragcore.ProviderError):
            await model.embed(["Faust", "Werther"])


async def test_too_long_texts_are_refused_uncut() -> None:
    """The service is told not to cut, and says no."""
    async with Lengths().running() as service, embedding(service) as model:
        service.longest = 5
        with pytest.raises(ragcore.ContextLengthError, match="less than 5 tokens") as caught:
            await model.embed(["short", "much too long"])

    assert caught.value.positions == (1,)
    assert [request.json["truncate"] for request in service.requests] == [False] * 3


async def test_too_long_texts_are_cut_and_counted() -> None:
    """Those that are too long and no others, in their places."""
    texts = ["a", "much too long", "bb", "ccc", "far too long, too"]
    async with Lengths().running() as service, embedding(service) as model:
        service.longest = 5
        found = await model.embed(texts, truncate="end")

    assert found.truncated == (1, 4)
    assert found.vectors[:, 0].tolist() == [1, 5, 2, 3, 5]
    assert found.usage == Usage(5)
    assert [r.json["inputs"] for r in service.requests if r.json["truncate"]] == [
        ["much too long"],
        ["far too long, too"],
    ]


async def test_too_many_texts_is_not_too_long() -> None:
    """A batch that the server does not take names the option that makes it smaller."""
    refusal = Failure(422, "batch size 32 > maximum allowed batch size 8", code="Validation")
    async with HFInferenceService(refusal).running() as service, embedding(service) as model:
        with pytest.raises(ragcore.RequestTooLargeError, match="batch_size="):
            await model.embed(["Faust"], truncate="end")

    assert len(service.requests) == 1


async def test_an_empty_text_is_the_services_business() -> None:
    """It refuses it, by name."""
    refusal = Failure(400, "`inputs` cannot be empty", code="Empty")
    async with HFInferenceService(refusal).running() as service, embedding(service) as model:
        with pytest.raises(ragcore.InvalidRequestError, match="cannot be empty"):
            await model.embed([""])


async def test_prompts_and_prefixes_by_kind_of_text() -> None:
    """One for what is asked, another for what is searched."""
    options = {
        "query_prompt_name": "query",
        "document_prompt_name": "passage",
        "query_prefix": "q: ",
        "document_prefix": "d: ",
    }
    async with Lengths().running() as service, embedding(service, **options) as model:
        await model.embed(["Faust"], input_type="query")
        await model.embed(["Faust"])

    query, document = (request.json for request in service.requests)
    assert (query["prompt_name"], query["inputs"]) == ("query", ["q: Faust"])
    assert (document["prompt_name"], document["inputs"]) == ("passage", ["d: Faust"])


async def test_dimensions_are_asked_for_and_checked() -> None:
    """A server that ignores them is found out."""
    async with Lengths().running() as service, embedding(service) as model:
        found = await model.embed(["Faust"], dimensions=2)
        with pytest.raises(ragcore.ProviderError, match="not 8 as asked"):
            await model.embed(["Faust"], dimensions=8)

    assert found.vectors.shape == (1, 2)
    assert service.requests[0].json["dimensions"] == 2


async def test_an_endpoint_as_reference() -> None:
    """Is asked where it is."""
    async with (
        Lengths().running() as service,
        embedding(service, f"{service.url}/embed", base_url=None) as model,
    ):
        await model.embed(["Faust"])

    assert service.requests[0].path == "/embed"
    assert service.requests[0].headers["authorization"] == f"Bearer {TOKEN}"


@pytest.mark.parametrize("how", ["reset", "end"])
async def test_vectors_that_break_off_are_asked_for_again(how: Any) -> None:
    """A body cut in the middle is nothing to read."""
    async with Lengths(Broken(how), ROWS).running() as service, embedding(service) as model:
        found = await model.embed(["Faust"])

    assert found.timings.attempts == 2


async def test_another_provider_behind_the_router_is_refused_by_name() -> None:
    """Their formats are not spoken."""
    with pytest.raises(ragcore.UnsupportedError, match="together"):
        async with ragcore.embedding("hf-inference:org/name", token=TOKEN, provider="together"):
            pass
