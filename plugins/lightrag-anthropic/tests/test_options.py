"""Every option reaches the wire, or the call fails with its name."""

from typing import Any

import pytest
from anthropic_double import AnthropicService, asked

import ragcore
from lightrag_anthropic import AnthropicLLMOptions
from ragcore.testing.server import Answer

ON_THE_WIRE: dict[str, tuple[Any, dict[str, Any]]] = {
    "max_tokens": (64, {"max_tokens": 64}),
    "temperature": (0.25, {"temperature": 0.25}),
    "top_p": (0.5, {"top_p": 0.5}),
    "top_k": (5, {"top_k": 5}),
    "stop_sequences": (["END"], {"stop_sequences": ["END"]}),
    "thinking": ({"type": "adaptive"}, {"thinking": {"type": "adaptive"}}),
    "effort": ("low", {"output_config": {"effort": "low"}}),
    "service_tier": ("standard_only", {"service_tier": "standard_only"}),
    "speed": ("fast", {"speed": "fast"}),
    "inference_geo": ("eu", {"inference_geo": "eu"}),
    "cache_control": ({"type": "ephemeral"}, {"cache_control": {"type": "ephemeral"}}),
    "metadata": ({"user_id": "u1"}, {"metadata": {"user_id": "u1"}}),
    "extra_body": ({"novelty": {"on": True}}, {"novelty": {"on": True}}),
}


def test_no_option_is_left_out_of_the_table() -> None:
    """A new one needs a row."""
    assert {field.name for field in AnthropicLLMOptions.fields()} == set(ON_THE_WIRE)


@pytest.mark.parametrize("name", ON_THE_WIRE)
@pytest.mark.parametrize("scope", ["model", "call"])
async def test_options_on_the_wire(name: str, scope: str) -> None:
    """Set with the model or for one call, in one piece and streamed."""
    value, expected = ON_THE_WIRE[name]
    opened, called = ({name: value}, {}) if scope == "model" else ({}, {name: value})
    async with AnthropicService(Answer()).running() as service, asked(service, **opened) as model:
        await model.complete("Who?", **called)
        async with model.stream("Who?", **called) as chunks:
            async for _ in chunks:
                pass

    for request in service.requests:
        assert expected.items() <= request.json.items()


async def test_what_is_not_set_is_not_sent() -> None:
    """But for the length, which the API needs."""
    async with AnthropicService(Answer()).running() as service, asked(service) as model:
        await model.complete("Who?")

    assert set(service.requests[0].json) == {"model", "max_tokens", "messages"}
    assert service.requests[0].json["max_tokens"] == 8192


async def test_the_length_can_be_said_once() -> None:
    """In the host's word or the API's, not in both."""
    async with (
        AnthropicService(Answer()).running() as service,
        asked(service, max_tokens=64) as model,
    ):
        with pytest.raises(ragcore.OptionsError, match="max_tokens"):
            await model.complete("Who?", max_output_tokens=32)

    assert not service.requests


async def test_extra_fields_join_what_is_there() -> None:
    """Object by object, the caller's on top."""
    async with AnthropicService(Answer()).running() as service, asked(service) as model:
        extra = {"output_config": {"novelty": 1}, "max_tokens": 5}
        await model.complete("Who?", effort="high", extra_body=extra)

    sent = service.requests[0].json
    assert sent["output_config"] == {"effort": "high", "novelty": 1}
    assert sent["max_tokens"] == 5


async def test_variables_set_options(monkeypatch: pytest.MonkeyPatch) -> None:
    """Objects and lists are written as JSON."""
    monkeypatch.setenv("ANTHROPIC_LLM_TEMPERATURE", "0.5")
    monkeypatch.setenv("ANTHROPIC_LLM_THINKING", '{"type": "disabled"}')
    async with AnthropicService(Answer()).running() as service, asked(service) as model:
        await model.complete("Who?")

    sent = service.requests[0].json
    assert (sent["temperature"], sent["thinking"]) == (0.5, {"type": "disabled"})
