"""An embedding model in memory."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import torch
from torch import Tensor
from transformers import (
    AutoConfig,
    AutoModel,
    AutoModelForTextEncoding,
    AutoTokenizer,
    PreTrainedConfig,
    PreTrainedModel,
)
from transformers.models.auto.modeling_auto import MODEL_FOR_TEXT_ENCODING_MAPPING

from lightrag_hf import _files
from lightrag_hf._connect import Hub
from lightrag_hf._device import choose_device, empty_cache, load_arguments
from lightrag_hf._errors import translated
from lightrag_hf._files import ModelFiles
from lightrag_hf._forward import ForwardQueue, Row, Vectors
from lightrag_hf._loading import announced
from lightrag_hf._pooling import pool
from lightrag_hf._progress import building
from lightrag_hf._reading import Reader
from lightrag_hf._sentence_transformers import Recipe, read_recipe
from lightrag_hf._stages import layer_of
from lightrag_hf.options import HFEmbeddingOptions
from ragcore import OptionsError, UnsupportedError

# Measured on two cores with MiniLM: 1,024 to 2,048 are equally fast, more is slower. An
# accelerator wants more work at a time.
_BATCH_TOKENS = {"cpu": 1024}
_ACCELERATOR_BATCH_TOKENS = 16384

_READING_THREADS = 4


class Encoder:
    """
    A model, its reader, and the threads in which they work.

    Attributes:
        reader: Texts to rows.
        reading: The threads in which texts are read, so that a long one delays nobody else.
        forward: Rows to vectors.
    """

    def __init__(
        self, model: PreTrainedModel, reader: Reader, recipe: Recipe, batch_tokens: int | None
    ) -> None:
        self.reader = reader
        self.reading = ThreadPoolExecutor(_READING_THREADS, "lightrag-hf-read")
        self._model = model
        # Weights on disk have no device; the model moves what it is given to where they go.
        self._device = torch.device("cpu") if model.device.type == "meta" else model.device
        self._padding = getattr(model.config, "pad_token_id", None) or 0
        self._pooling = recipe.pooling
        self._layers = [layer_of(stage, self._device) for stage in recipe.stages]
        self._kept = slice(recipe.cut_dimensions)
        self.forward = ForwardQueue(
            self._vectors, batch_tokens or self._default_batch_tokens(), self._empty_cache
        )

    def close(self) -> None:
        """Stop the threads and give the memory back."""
        self.reading.shutdown()
        self.forward.close()
        del self._model, self._layers
        self._empty_cache()

    def _default_batch_tokens(self) -> int:
        return _BATCH_TOKENS.get(self._device.type, _ACCELERATOR_BATCH_TOKENS)

    def _empty_cache(self) -> None:
        empty_cache(self._device)

    @torch.inference_mode()
    def _vectors(self, rows: Sequence[Row]) -> Vectors:
        """Return the vectors of *rows*, shape ``(len(rows), dimensions)``."""
        mask = self._padded([[1] * len(row.ids) for row in rows], 0)
        hidden = self._hidden_states(rows, mask)
        vectors = pool(hidden, _without_prompt(mask, rows), self._pooling.modes)
        for layer in self._layers:
            vectors = layer(vectors)
        found: Vectors = vectors[:, self._kept].cpu().numpy()
        return found

    def _hidden_states(self, rows: Sequence[Row], mask: Tensor) -> Tensor:
        inputs = {"input_ids": self._padded([row.ids for row in rows], self._padding)}
        if rows[0].types:
            inputs["token_type_ids"] = self._padded([row.types for row in rows], 0)
        states: Tensor = self._model(**inputs, attention_mask=mask).last_hidden_state
        return states

    def _padded(self, lists: Sequence[Sequence[int]], filler: int) -> Tensor:
        """
        Return *lists* as one tensor, filled up on the right.

        Causal models too: what follows a token does not reach it, and positions begin at 0.
        """
        longest = max(map(len, lists))
        filled = [[*items, *[filler] * (longest - len(items))] for items in lists]
        return torch.tensor(filled, dtype=torch.long, device=self._device)


def load(hub: Hub, model_name: str, options: HFEmbeddingOptions) -> Encoder:
    """
    Load the model; blocks.

    Raises:
        ProviderError: As :func:`lightrag_hf._files.model`.
        OptionsError: An option does not suit this machine or model.
        UnsupportedError: transformers, or we, can't embed with it.
    """
    with translated(model_name), announced(model_name):
        files = _files.model(hub, model_name, options.revision, code=options.trust_remote_code)
        if files.gguf:
            raise UnsupportedError(
                f"{model_name!r} is a GGUF file, which lightrag-hf completes with and does not "
                "embed with; name the model's safetensors folder."
            )
        return _load(files, options)


def _load(files: ModelFiles, options: HFEmbeddingOptions) -> Encoder:
    recipe = read_recipe(files.folder, options)
    device = choose_device(options.device)
    arguments = load_arguments(options, device, ModelFiles(recipe.transformer))
    with building():
        model = _model(recipe, arguments)
        tokenizer = AutoTokenizer.from_pretrained(
            recipe.transformer, local_files_only=True, trust_remote_code=options.trust_remote_code
        )
    _check_length(model.config, options)
    return Encoder(model, Reader(tokenizer, recipe), recipe, options.batch_tokens)


def _model(recipe: Recipe, arguments: dict[str, Any]) -> PreTrainedModel:
    config = AutoConfig.from_pretrained(
        recipe.transformer,
        local_files_only=True,
        trust_remote_code=arguments["trust_remote_code"],
    )
    _without_cache(config)
    kind = _class_of(config)
    model: PreTrainedModel = kind.from_pretrained(recipe.transformer, config=config, **arguments)
    return model


def _class_of(config: PreTrainedConfig) -> Any:
    """Return the class that loads the part of the model that reads."""
    if not getattr(config, "is_encoder_decoder", False):
        return AutoModel
    if type(config) in MODEL_FOR_TEXT_ENCODING_MAPPING:
        return AutoModelForTextEncoding
    raise UnsupportedError(
        f"transformers has no encoder of its own for {config.model_type!r} models; embed with "
        "another model."
    )


def _without_cache(config: PreTrainedConfig) -> None:
    """Keep decoders from saving what only generation needs."""
    for part in (config, getattr(config, "text_config", config)):
        part.use_cache = False


def _check_length(config: PreTrainedConfig, options: HFEmbeddingOptions) -> None:
    limit = getattr(config, "max_position_embeddings", None)
    if options.max_length is not None and limit is not None and options.max_length > limit > 0:
        raise OptionsError(
            f"max_length: {options.max_length} is more than the {limit} tokens that the model "
            "reads @ hf_embedding.max_length"
        )


def _without_prompt(mask: Tensor, rows: Sequence[Row]) -> Tensor:
    """Return *mask* without the tokens that the rows skip."""
    skipped = torch.tensor([row.skipped for row in rows], device=mask.device)
    positions = torch.arange(mask.shape[1], device=mask.device)
    return mask * (positions >= skipped.unsqueeze(1))
