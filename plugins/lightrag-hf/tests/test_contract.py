"""What every provider keeps, for tiny models that are made here."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import pytest
from transformers import BertConfig, BertModel

import ragcore
from ragcore import CompletionModel, EmbeddingModel
from ragcore.testing.contracts import (
    LocalCompletionContract,
    LocalEmbeddingContract,
    PluginContract,
)

SaveModel = Callable[..., Path]
HERE = {"device": "cpu", "keep_alive": 0.0}


class TestPlugin(PluginContract):
    package = "lightrag_hf"
    completes = embeds = ("hf",)
    sdk = ("torch", "transformers", "tokenizers", "huggingface_hub", "numpy")


class TestTinyLlama(LocalCompletionContract):
    images = False
    json_schema = False

    @pytest.fixture(autouse=True)
    def _saved(self, save_model: SaveModel) -> None:
        self.folder = save_model()

    def opened(self, **options: Any) -> AbstractAsyncContextManager[CompletionModel]:
        return ragcore.completion(f"hf:{self.folder}", **HERE, **options)


class TestTinyBert(LocalEmbeddingContract):
    @pytest.fixture(autouse=True)
    def _saved(self, save_model: SaveModel) -> None:
        config = BertConfig(
            vocab_size=259,
            hidden_size=32,
            intermediate_size=64,
            num_hidden_layers=2,
            num_attention_heads=4,
            pad_token_id=256,
        )
        self.folder = save_model(BertModel(config))

    def opened(self, **options: Any) -> AbstractAsyncContextManager[EmbeddingModel]:
        return ragcore.embedding(f"hf:{self.folder}", **HERE, **options)
