"""Every option reaches the wire, under Ollama's name."""

from __future__ import annotations

from typing import Any

import ollama
import pytest
from ollama_double import OllamaService, completion, embedding

import ragcore
from lightrag_ollama import OllamaEmbeddingOptions, OllamaLLMOptions, OllamaOptions
from lightrag_ollama.options import OllamaModelOptions
from ragcore import OptionsError, Secret
from ragcore.options import Sources, read
from ragcore.testing.server import Answer, Vectors

ENTRIES: dict[str, Any] = {
    "num_ctx": 8192,
    "num_predict": 128,
    "num_keep": 4,
    "seed": 42,
    "temperature": 0.0,
    "top_k": 40,
    "top_p": 0.9,
    "min_p": 0.05,
    "tfs_z": 1.0,
    "typical_p": 0.7,
    "repeat_last_n": 64,
    "repeat_penalty": 1.1,
    "presence_penalty": 1.5,
    "frequency_penalty": 1.0,
    "penalize_newline": False,
    "mirostat": 1,
    "mirostat_tau": 0.8,
    "mirostat_eta": 0.6,
    "stop": ["\n", "user:"],
    "num_gpu": 1,
    "main_gpu": 0,
    "num_batch": 2,
    "num_thread": 8,
    "numa": False,
    "low_vram": False,
    "f16_kv": True,
    "use_mmap": True,
    "use_mlock": False,
    "logits_all": True,
    "vocab_only": False,
    "embedding_only": True,
}
BESIDE: dict[str, Any] = {"keep_alive": "10m", "extra_fields": {"draft_num_predict": 3}}


def on_the_wire(name: str, value: Any, sent: dict[str, Any]) -> Any:
    match name:
        case "keep_alive" | "think":
            return sent[name]
        case "extra_fields":
            return {field: sent["options"][field] for field in value}
    return sent["options"][name]


@pytest.mark.parametrize(("name", "value"), [*ENTRIES.items(), *BESIDE.items(), ("think", "high")])
@pytest.mark.parametrize("scope", ["model", "call"])
async def test_an_option_is_in_the_request(name: str, value: Any, scope: str) -> None:
    """Set when the model is opened, or for one call."""
    opened, called = ({name: value}, {}) if scope == "model" else ({}, {name: value})
    async with (
        OllamaService(Answer()).running() as service,
        completion(service, **opened) as model,
    ):
        await model.complete("Who?", **called)

    assert on_the_wire(name, value, service.requests[0].json) == value


@pytest.mark.parametrize(("name", "value"), [*ENTRIES.items(), *BESIDE.items()])
async def test_an_option_is_in_a_request_for_vectors(name: str, value: Any) -> None:
    """The same ones as for answers."""
    async with (
        OllamaService(Vectors([[1.0, 2.0]])).running() as service,
        embedding(service, **{name: value}) as model,
    ):
        await model.embed(["a"])

    assert on_the_wire(name, value, service.requests[0].json) == value


@pytest.mark.parametrize(("text", "value"), [("true", True), ("false", False), ("low", "low")])
async def test_thinking_is_read_from_the_environment(
    monkeypatch: pytest.MonkeyPatch, text: str, value: object
) -> None:
    """As a yes, a no or a level."""
    monkeypatch.setenv("OLLAMA_LLM_THINK", text)
    async with OllamaService(Answer()).running() as service, completion(service) as model:
        await model.complete("Who?")

    assert service.requests[0].json["think"] is value or service.requests[0].json["think"] == value


@pytest.mark.parametrize(("text", "value"), [("0", 0), ("-1", -1), ("300", 300), ("10m", "10m")])
async def test_keep_alive_is_seconds_or_a_duration(
    monkeypatch: pytest.MonkeyPatch, text: str, value: object
) -> None:
    """A number stays one: Ollama reads no text without a unit."""
    monkeypatch.setenv("OLLAMA_LLM_KEEP_ALIVE", text)
    async with OllamaService(Answer()).running() as service, completion(service) as model:
        await model.complete("Who?")

    assert service.requests[0].json["keep_alive"] == value


async def test_the_limit_of_the_answer_is_num_predict() -> None:
    """Under the host's name; both at once are refused."""
    async with OllamaService(Answer()).running() as service, completion(service) as model:
        await model.complete("Who?", max_output_tokens=9)
        with pytest.raises(OptionsError, match="num_predict"):
            await model.complete("Who?", max_output_tokens=9, num_predict=9)

    assert service.requests[0].json["options"] == {"num_predict": 9}


def test_the_table_has_every_option() -> None:
    """And the options have all that the SDK knows."""
    declared = {field.name for field in OllamaModelOptions.fields()}

    assert set(ENTRIES) == declared
    assert set(ollama.Options.model_fields) <= declared
    assert names(OllamaLLMOptions) == declared | set(BESIDE) | {"think", "overflow"}
    assert names(OllamaEmbeddingOptions) == declared | set(BESIDE) | {
        "query_prefix",
        "document_prefix",
    }


def names(options: type[ragcore.BindingOptions]) -> set[str]:
    return {field.name for field in options.fields()}


def test_options_have_the_names_of_the_variables() -> None:
    """The names that LightRAG's settings use."""
    variables = {
        name
        for options in (OllamaOptions, OllamaLLMOptions, OllamaEmbeddingOptions)
        for field in options.fields()
        for name in field.variables
    }

    assert variables >= {
        "OLLAMA_HOST",
        "OLLAMA_API_KEY",
        "OLLAMA_LLM_NUM_CTX",
        "OLLAMA_EMBEDDING_NUM_CTX",
        "OLLAMA_LLM_THINK",
    }


def test_an_extra_field_with_a_name_of_its_own_is_refused() -> None:
    """One of the two would be lost."""
    with pytest.raises(OptionsError, match="extra_fields: num_ctx"):
        OllamaLLMOptions(extra_fields={"num_ctx": 1})


@pytest.mark.parametrize("key", ["canary\n0", "canary 0", "canary-é"])
def test_a_key_that_no_header_can_carry_is_refused(key: str) -> None:
    """Before the HTTP library quotes it in an error."""
    with pytest.raises(OptionsError, match="api_key") as caught:
        OllamaOptions(api_key=Secret(key))

    assert "canary" not in str(caught.value)


@pytest.mark.parametrize("host", ["ftp://x", "x:port", "x:99999", "http://me:canary@x", "[::g]:1"])
async def test_a_bad_host_is_refused_before_anything_is_sent(host: str) -> None:
    """By its name."""
    with pytest.raises(OptionsError, match="host") as caught:
        async with ragcore.completion("ollama:llama3.2", host=host):
            pass

    assert "canary" not in str(caught.value)


async def test_a_bad_host_is_told_with_all_other_problems(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each by its variable's name."""
    monkeypatch.setenv("OLLAMA_HOST", "http://me:canary@x")
    monkeypatch.setenv("OLLAMA_API_KEY", "canary 0")
    monkeypatch.setenv("OLLAMA_LLM_NUM_CTX", "many")
    monkeypatch.setenv("OLLAMA_LLM_EXTRA_FIELDS", '{"seed": 1}')
    with pytest.raises(OptionsError) as caught:
        async with ragcore.completion("ollama:llama3.2"):
            pass

    assert {problem.partition(":")[0] for problem in caught.value.problems} == {
        "OLLAMA_HOST",
        "OLLAMA_API_KEY",
        "OLLAMA_LLM_NUM_CTX",
        "OLLAMA_LLM_EXTRA_FIELDS",
    }
    assert "canary" not in str(caught.value)


@pytest.mark.parametrize(("text", "value"), [("false", False), ("high", "high")])
def test_thinking_is_set_for_a_role(text: str, value: object) -> None:
    """By LightRAG's variable, over the one for all roles."""
    environ = {"OLLAMA_LLM_THINK": "low", "EXTRACT_OLLAMA_LLM_THINK": text}
    [extract] = read([OllamaLLMOptions], {}, sources=Sources(environ=environ, role="extract"))
    [query] = read([OllamaLLMOptions], {}, sources=Sources(environ=environ, role="query"))

    assert extract.asdict() == {"think": value}
    assert query.asdict() == {"think": "low"}
