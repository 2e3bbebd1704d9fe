"""Models in memory, as transformers loads them; one copy for all who name it alike."""

from __future__ import annotations

import logging
import operator
import time
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any, TypeVar

import torch
from transformers import (
    AutoConfig,
    AutoModel,
    AutoModelForCausalLM,
    AutoModelForTextEncoding,
    AutoTokenizer,
    PreTrainedConfig,
)
from transformers.models.auto.modeling_auto import MODEL_FOR_TEXT_ENCODING_MAPPING

from lightrag_hf import _files
from lightrag_hf._device import choose_device, dtype_of, load_arguments
from lightrag_hf._encoder import Encoder
from lightrag_hf._engine import Engine
from lightrag_hf._errors import translated
from lightrag_hf._files import ModelFiles
from lightrag_hf._gguf import converted
from lightrag_hf._loading import model_key, shared
from lightrag_hf._progress import building
from lightrag_hf._prompt import without_limits
from lightrag_hf._reading import Reader
from lightrag_hf._sentence_transformers import read_recipe
from lightrag_hf.options import HFEmbeddingOptions, HFLLMOptions, HFModelOptions, HFOptions
from ragcore import OptionsError, UnsupportedError
from ragcore.wire import described

_log = logging.getLogger("lightrag_hf")

_Options = TypeVar("_Options", bound=HFModelOptions)
_Model = TypeVar("_Model", Engine, Encoder)

_THAT_COMPLETE = ("ForCausalLM", "LMHeadModel", "ForConditionalGeneration")


def lent_engine(
    hub: HFOptions, model_name: str, options: HFLLMOptions
) -> AbstractAsyncContextManager[Engine]:
    """
    Load a model that completes, or find it loaded, and lend it.

    Raises:
        ProviderError: As :func:`lightrag_hf._files.model`.
        OptionsError: An option does not suit this machine.
        UnsupportedError: It is no model that completes, has no tokenizer, or is of a kind that
            transformers does not know.
    """
    return _lent("completion", _engine, hub, model_name, options)


def lent_encoder(
    hub: HFOptions, model_name: str, options: HFEmbeddingOptions
) -> AbstractAsyncContextManager[Encoder]:
    """Load a model that embeds, or find it loaded, and lend it; raises as :func:`lent_engine`."""
    return _lent("embedding", _encoder, hub, model_name, options)


def _lent(
    task: str,
    load: Callable[[str, ModelFiles, _Options], _Model],
    hub: HFOptions,
    model_name: str,
    options: _Options,
) -> AbstractAsyncContextManager[_Model]:
    def load_files() -> _Model:
        with translated(model_name):
            _log.info("Loading %s", model_name)
            began = time.monotonic()
            code = options.trust_remote_code
            files = _files.model(hub, model_name, options.revision, code=code)
            model = load(model_name, files, options)
            _log.info("Loaded %s in %.1f s", model_name, time.monotonic() - began)
            return model

    key = model_key(task, hub, model_name, options)
    return shared(key, load_files, operator.methodcaller("close"), options.keep_alive)


def _engine(model_name: str, files: ModelFiles, options: HFLLMOptions) -> Engine:
    device = choose_device(options.device)
    source = files.folder
    if files.gguf:
        dtype = dtype_of(options, device)
        # "auto" is the type of the weights in the file, which here is one that torch does not have.
        dtype = torch.bfloat16 if dtype == "auto" else dtype
        files = ModelFiles(converted(files.folder / files.gguf, dtype))
    arguments = load_arguments(options, device, files)
    with building():
        tokenizer = _chat_tokenizer(model_name, files.folder, options)
        _check_completes(model_name, _read(AutoConfig, files.folder, options))
        model = AutoModelForCausalLM.from_pretrained(files.folder, **arguments)
        _touch(model)
    return Engine(model, tokenizer, model_name, source)


def _encoder(model_name: str, files: ModelFiles, options: HFEmbeddingOptions) -> Encoder:
    if files.gguf:
        raise UnsupportedError(
            f"{model_name!r} is a GGUF file, which lightrag-hf completes with and does not "
            "embed with; name the model's safetensors folder"
        )
    recipe = read_recipe(files.folder, options)
    device = choose_device(options.device)
    arguments = load_arguments(options, device, ModelFiles(recipe.transformer))
    with building():
        config = _read(AutoConfig, recipe.transformer, options)
        for part in (config, getattr(config, "text_config", config)):
            # Decoders keep for later tokens what only generation needs.
            part.use_cache = False
        model = _reading_class(config).from_pretrained(
            recipe.transformer, config=config, **arguments
        )
        tokenizer = _read(AutoTokenizer, recipe.transformer, options)
    _check_length(model.config, options)
    return Encoder(model, Reader(tokenizer, recipe), recipe, options.batch_tokens)


def _read(kind: Any, folder: Path, options: HFModelOptions) -> Any:
    code = options.trust_remote_code
    return kind.from_pretrained(folder, local_files_only=True, trust_remote_code=code)


def _chat_tokenizer(model_name: str, folder: Path, options: HFLLMOptions) -> Any:
    try:
        return without_limits(_read(AutoTokenizer, folder, options))
    except (ValueError, OSError) as exc:
        if "trust_remote_code" in str(exc):
            raise
        raise UnsupportedError(
            f"{model_name!r} has no tokenizer that transformers can load ({described(exc)}); put "
            "the tokenizer.json and tokenizer_config.json of the original model into its folder"
        ) from exc


def _check_completes(model_name: str, config: PreTrainedConfig) -> None:
    """Refuse encoders, whose missing half transformers would fill with random numbers."""
    names = config.architectures or ()
    brings_its_own = getattr(config, "auto_map", None)
    if names and not brings_its_own and not any(name.endswith(_THAT_COMPLETE) for name in names):
        raise UnsupportedError(
            f"{model_name!r} is a {', '.join(names)}, which does not complete; name a causal "
            "language model; this one may serve ragcore.embedding()"
        )


@torch.inference_mode()
def _touch(model: Any) -> None:
    """Run one token: weights are read from disk when first used, 4 s that no call should wait."""
    model(torch.zeros((1, 1), dtype=torch.long, device=model.device))


def _reading_class(config: PreTrainedConfig) -> Any:
    """Return the class that loads the part of the model that reads."""
    if not getattr(config, "is_encoder_decoder", False):
        return AutoModel
    if type(config) in MODEL_FOR_TEXT_ENCODING_MAPPING:
        return AutoModelForTextEncoding
    raise UnsupportedError(
        f"transformers has no encoder of its own for {config.model_type!r} models; embed with "
        "another model"
    )


def _check_length(config: PreTrainedConfig, options: HFEmbeddingOptions) -> None:
    limit = getattr(config, "max_position_embeddings", None)
    if options.max_length is not None and limit is not None and options.max_length > limit > 0:
        raise OptionsError(
            f"max_length: {options.max_length} is more than the {limit} tokens that the model "
            "reads @ hf_embedding.max_length"
        )
