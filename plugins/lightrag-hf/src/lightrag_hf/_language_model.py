"""A completion model in memory."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer

from lightrag_hf import _files
from lightrag_hf._connect import Hub
from lightrag_hf._device import choose_device, dtype_of, load_arguments
from lightrag_hf._engine import Engine
from lightrag_hf._errors import translated
from lightrag_hf._files import ModelFiles
from lightrag_hf._gguf import converted
from lightrag_hf._loading import announced
from lightrag_hf._progress import building
from lightrag_hf._prompt import without_limits
from lightrag_hf.options import HFLLMOptions
from ragcore import UnsupportedError

_THAT_COMPLETE = ("ForCausalLM", "LMHeadModel", "ForConditionalGeneration")


def load(hub: Hub, model_name: str, options: HFLLMOptions) -> Engine:
    """
    Load the model and start its engine; blocks.

    Raises:
        ProviderError: As :func:`lightrag_hf._files.model`.
        OptionsError: An option does not suit this machine.
        UnsupportedError: It is no model that completes, has no tokenizer, or is of a kind that
            transformers does not know.
    """
    with translated(model_name), announced(model_name):
        files = _files.model(hub, model_name, options.revision, code=options.trust_remote_code)
        device = choose_device(options.device)
        if files.gguf:
            files = _converted(files.folder / files.gguf, options, device)
        arguments = load_arguments(options, device, files)
        with building():
            tokenizer = _tokenizer(model_name, files.folder, options)
            model = _model(model_name, files.folder, arguments)
        return Engine(model, tokenizer, model_name)


def _converted(file: Path, options: HFLLMOptions, device: torch.device) -> ModelFiles:
    dtype = dtype_of(options, device)
    # "auto" is the type of the weights in the file, which here is one that torch does not have.
    return ModelFiles(converted(file, torch.bfloat16 if dtype == "auto" else dtype))


def _tokenizer(model_name: str, folder: Path, options: HFLLMOptions) -> Any:
    try:
        tokenizer = AutoTokenizer.from_pretrained(
            folder, local_files_only=True, trust_remote_code=options.trust_remote_code
        )
    except (ValueError, OSError) as exc:
        if "trust_remote_code" in str(exc):
            raise
        raise UnsupportedError(
            f"{model_name!r} has no tokenizer that transformers can load ({_first_line(exc)}). Put "
            "the tokenizer.json and tokenizer_config.json of the original model into its folder."
        ) from exc
    return without_limits(tokenizer)


def _model(model_name: str, folder: Path, arguments: dict[str, Any]) -> Any:
    config = AutoConfig.from_pretrained(
        folder, local_files_only=True, trust_remote_code=arguments["trust_remote_code"]
    )
    _check_completes(model_name, config)
    model = AutoModelForCausalLM.from_pretrained(folder, **arguments)
    _touch(model)
    return model


@torch.inference_mode()
def _touch(model: Any) -> None:
    """Run one token: weights are read from disk when first used, 4 s that no call should wait."""
    model(torch.zeros((1, 1), dtype=torch.long, device=model.device))


def _check_completes(model_name: str, config: Any) -> None:
    """Refuse encoders, whose missing half transformers would fill with random numbers."""
    names = config.architectures or ()
    brings_its_own = getattr(config, "auto_map", None)
    if names and not brings_its_own and not any(name.endswith(_THAT_COMPLETE) for name in names):
        raise UnsupportedError(
            f"{model_name!r} is a {', '.join(names)}, which does not complete. Name a causal "
            "language model; this one may serve ragcore.embedding()."
        )


def _first_line(exc: Exception) -> str:
    return str(exc).strip().partition("\n")[0]
