"""Models in memory, as transformers loads them; one copy for all who name it alike."""

from __future__ import annotations

import logging
import operator
import time
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from importlib.util import find_spec
from pathlib import Path
from typing import Any, TypeVar

import attrs
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
from lightrag_hf._errors import is_out_of_memory, translated
from lightrag_hf._files import ModelFiles
from lightrag_hf._gguf import converted
from lightrag_hf._limits import highest_limit
from lightrag_hf._loading import model_key, shared
from lightrag_hf._progress import building
from lightrag_hf._prompt import without_limits
from lightrag_hf._reading import Reader
from lightrag_hf._sentence_transformers import Recipe, read_recipe
from lightrag_hf._weights import touch, whole_model
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
        _check_completes(model_name, _read(AutoConfig, files.folder, options))
        tokenizer = without_limits(_tokenizer(model_name, files.folder, options))
        model = whole_model(AutoModelForCausalLM, model_name, files.folder, **arguments)
        touch(model)
    return Engine(model, tokenizer, model_name, source)


def _encoder(model_name: str, files: ModelFiles, options: HFEmbeddingOptions) -> Encoder:
    if files.gguf:
        raise UnsupportedError(
            f"{model_name!r} is a GGUF file, which lightrag-hf completes with and does not "
            "embed with; name the model's safetensors folder"
        )
    recipe = read_recipe(files.folder, options)
    folder = recipe.transformer
    device = choose_device(options.device)
    arguments = load_arguments(options, device, ModelFiles(folder), recipe.model_arguments)
    with building():
        config = _read(AutoConfig, folder, options, **recipe.config_arguments)
        for part in (config, getattr(config, "text_config", config)):
            # Decoders keep for later tokens what only generation needs.
            part.use_cache = False
        recipe = _limited(recipe, config, options)
        kind = _reading_class(config)
        model = whole_model(kind, model_name, folder, config=config, **arguments)
        tokenizer = _tokenizer(model_name, folder, options, **recipe.tokenizer_arguments)
    return Encoder(model, Reader(tokenizer, recipe), recipe, options.batch_tokens)


def _read(kind: Any, folder: Path, options: HFModelOptions, **arguments: Any) -> Any:
    code = options.trust_remote_code
    return kind.from_pretrained(folder, local_files_only=True, trust_remote_code=code, **arguments)


def _tokenizer(model_name: str, folder: Path, options: HFModelOptions, **arguments: Any) -> Any:
    try:
        tokenizer = _read(AutoTokenizer, folder, options, **arguments)
    except Exception as exc:  # the tokenizers package raises plain ones
        if "trust_remote_code" in str(exc) or is_out_of_memory(exc):
            raise
        raise _no_tokenizer(model_name, folder, described(exc)) from exc
    # Without any, some classes make up a vocabulary that knows no word.
    names = tokenizer.vocab_files_names.values()
    if names and not any((folder / name).is_file() for name in names):
        raise _no_tokenizer(model_name, folder, f"none of {', '.join(names)} is there")
    return tokenizer


def _no_tokenizer(model_name: str, folder: Path, why: str) -> UnsupportedError:
    has_other = any(folder.glob("*.model")) and find_spec("sentencepiece") is None
    other = ", or pip install sentencepiece protobuf" if has_other else ""
    return UnsupportedError(
        f"{model_name!r} has no tokenizer that transformers can load ({why}); put the "
        f"tokenizer.json and tokenizer_config.json of the original model into its folder{other}"
    )


def _check_completes(model_name: str, config: PreTrainedConfig) -> None:
    """Refuse encoders, and halves of models: transformers takes the half that writes alone."""
    names = config.architectures or ()
    if config.is_encoder_decoder:
        raise UnsupportedError(
            f"{model_name!r} is a {', '.join(names) or config.model_type}, an encoder with a "
            "decoder, which lightrag-hf does not complete with; name a causal language model"
        )
    brings_its_own = getattr(config, "auto_map", None)
    if names and not brings_its_own and not any(name.endswith(_THAT_COMPLETE) for name in names):
        raise UnsupportedError(
            f"{model_name!r} is a {', '.join(names)}, which does not complete; name a causal "
            "language model; this one may serve ragcore.embedding()"
        )


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


def _limited(recipe: Recipe, config: PreTrainedConfig, options: HFEmbeddingOptions) -> Recipe:
    """Return *recipe* with the limit that *config* has, which need not stand in its file."""
    limit = highest_limit(config.to_dict())
    asked = options.max_length
    if asked is not None and limit is not None and asked > limit:
        raise OptionsError(
            f"max_length: {asked} is more than the {limit} tokens that the model reads "
            "@ hf_embedding.max_length"
        )
    limits = (recipe.max_length, limit)
    return attrs.evolve(recipe, max_length=min(filter(None, limits), default=None))
