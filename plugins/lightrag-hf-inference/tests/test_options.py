"""Every option reaches the wire, or the call fails with its name."""

from typing import Any

import pytest
from hf_inference_double import HFInferenceService, completing, embedding

import ragcore
from lightrag_hf_inference import HFInferenceEmbeddingOptions, HFInferenceLLMOptions
from ragcore.testing.server import Answer, Vectors

COMPLETION: dict[str, tuple[Any, dict[str, Any]]] = {
    "max_tokens": (64, {"max_tokens": 64}),
    "temperature": (0.25, {"temperature": 0.25}),
    "top_p": (0.5, {"top_p": 0.5}),
    "frequency_penalty": (0.5, {"frequency_penalty": 0.5}),
    "presence_penalty": (-0.5, {"presence_penalty": -0.5}),
    "seed": (7, {"seed": 7}),
    "stop": (["END"], {"stop": ["END"]}),
    "extra_body": ({"repetition_penalty": 1.1}, {"repetition_penalty": 1.1}),
}
EMBEDDING: dict[str, tuple[Any, dict[str, Any]]] = {
    "normalize": (True, {"normalize": True}),
    "query_prompt_name": ("query", {"prompt_name": "query"}),
    "document_prompt_name": ("passage", {"prompt_name": "passage"}),
    "query_prefix": ("q: ", {"inputs": ["q: Faust"]}),
    "document_prefix": ("d: ", {"inputs": ["d: Faust"]}),
}


def test_no_option_is_left_out_of_the_tables() -> None:
    """A new one needs a row."""
    assert {field.name for field in HFInferenceLLMOptions.fields()} == set(COMPLETION)
    assert {field.name for field in HFInferenceEmbeddingOptions.fields()} == set(EMBEDDING)


@pytest.mark.parametrize("name", COMPLETION)
@pytest.mark.parametrize("scope", ["model", "call"])
async def test_options_of_completion_on_the_wire(name: str, scope: str) -> None:
    """Set with the model or for one call, in one piece and streamed."""
    value, expected = COMPLETION[name]
    opened, called = ({name: value}, {}) if scope == "model" else ({}, {name: value})
    async with (
        HFInferenceService(Answer()).running() as service,
        completing(service, **opened) as model,
    ):
        await model.complete("Who?", **called)
        async with model.stream("Who?", **called) as chunks:
            async for _ in chunks:
                pass

    for request in service.requests:
        assert expected.items() <= request.json.items()


@pytest.mark.parametrize("name", EMBEDDING)
async def test_options_of_embedding_on_the_wire(name: str) -> None:
    """For the kind of text that they are about."""
    value, expected = EMBEDDING[name]
    input_type: ragcore.InputType = "query" if name.startswith("query") else "document"
    async with (
        HFInferenceService(Vectors([[1.0]])).running() as service,
        embedding(service, **{name: value}) as model,
    ):
        await model.embed(["Faust"], input_type=input_type)

    assert expected.items() <= service.requests[0].json.items()


async def test_what_is_not_set_is_not_sent() -> None:
    """Not even as null."""
    async with HFInferenceService(Answer()).running() as service, completing(service) as model:
        await model.complete("Who?")

    assert set(service.requests[0].json) == {"model", "messages", "stream"}


async def test_the_length_of_a_call() -> None:
    """Said in the host's word, or in the API's, not in both."""
    async with HFInferenceService(Answer()).running() as service, completing(service) as model:
        await model.complete("Who?", max_output_tokens=32)
        with pytest.raises(ragcore.OptionsError, match="max_tokens"):
            await model.complete("Who?", max_output_tokens=32, max_tokens=64)

    assert [request.json["max_tokens"] for request in service.requests] == [32]
