"""Tests of what foreign exceptions become."""

import inspect
import json
from pathlib import Path
from pickle import UnpicklingError

import pytest
import torch
from huggingface_hub import errors as hub_errors
from safetensors import SafetensorError
from transformers import AutoModel

from lightrag_hf._errors import _ROWS, is_out_of_memory, translated
from ragcore import (
    ContextLengthError,
    NotFoundError,
    OptionsError,
    PluginError,
    ProviderError,
    UnsupportedError,
)

# Of services and commands that this plugin does not use.
UNUSED = (
    hub_errors.CLIError,
    hub_errors.CachedRepoTreeNotFoundError,
    hub_errors.CacheNotFound,
    hub_errors.CorruptedCacheException,
    hub_errors.DDUFError,
    hub_errors.DeviceCodeError,
    hub_errors.FileDuplicationError,
    hub_errors.InferenceEndpointError,
    hub_errors.NotASafetensorsRepoError,
    hub_errors.OIDCError,
    hub_errors.RevisionResolutionError,
    hub_errors.SafetensorsParsingError,
    hub_errors.SandboxError,
)


def hub_exceptions() -> list[type[Exception]]:
    """Return what huggingface_hub can raise."""
    found = [kind for _, kind in inspect.getmembers(hub_errors, inspect.isclass)]
    return [kind for kind in found if issubclass(kind, Exception) and not issubclass(kind, UNUSED)]


@pytest.mark.parametrize("kind", hub_exceptions())
def test_every_exception_of_the_hub_is_known(kind: type[Exception]) -> None:
    """A new one in the SDK makes this fail, not the user."""
    assert any(known.__name__ in _ROWS for known in kind.__mro__)


@pytest.mark.parametrize(
    ("raised", "kind", "cure"),
    [
        (torch.OutOfMemoryError("CUDA out of memory."), ProviderError, "quantization="),
        (MemoryError(), ProviderError, "not enough memory"),
        (SafetensorError("header too large"), ProviderError, "fetch the model again"),
        (ImportError("flash_attn is missing"), PluginError, "flash_attn is missing"),
        (OSError("no file model.safetensors"), NotFoundError, r"no file model\.safetensors"),
        (ValueError("unknown model_type"), UnsupportedError, "unknown model_type"),
        (KeyError("linear.weight"), UnsupportedError, r"linear\.weight"),
        (RuntimeError("size mismatch"), ProviderError, "size mismatch"),
        (RuntimeError("ignore_mismatched_sizes"), UnsupportedError, "other shapes"),
        (IndexError("index out of range in self"), ProviderError, "fetch both again"),
        (UnpicklingError("Weights only load failed"), ProviderError, "as safetensors"),
        (EOFError(), ProviderError, "as safetensors"),
        (json.JSONDecodeError("Expecting value", "<", 0), ProviderError, "fetch the model again"),
        (TypeError("unexpected keyword"), ProviderError, "unexpected keyword"),
        (AttributeError("no last_hidden_state"), ProviderError, "no last_hidden_state"),
        (Exception("Missing [UNK] token"), ProviderError, r"tokenizer.*Missing \[UNK\] token"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else None,
)
def test_failures_of_loading_are_named(raised: Exception, kind: type[Exception], cure: str) -> None:
    """The library's exception is the cause."""
    with pytest.raises(kind, match=cure) as caught, translated("org/model"):
        raise raised

    assert caught.value.__cause__ is raised
    assert "org/model" in str(caught.value)


def test_our_own_errors_pass_as_they_are() -> None:
    """OptionsError is a ValueError too."""
    mine = [OptionsError("mine"), ContextLengthError("mine", positions=[1])]

    for error in mine:
        with pytest.raises(type(error)) as caught, translated("org/model"):
            raise error
        assert caught.value is error
        assert caught.value.__cause__ is None


def test_bugs_are_not_dressed_up() -> None:
    """What nobody expects keeps its name."""
    with pytest.raises(ZeroDivisionError), translated("org/model"):
        _ = 1 / 0


def test_an_unknown_architecture_is_unsupported(tmp_path: Path) -> None:
    """transformers says so with a ValueError."""
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "of-tomorrow"}))

    with pytest.raises(UnsupportedError, match="of-tomorrow"), translated("org/model"):
        AutoModel.from_pretrained(tmp_path)


@pytest.mark.parametrize(
    "exc",
    [
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB"),
        RuntimeError("MPS backend out of memory (MPS allocated: 18.13 GB)"),
        RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried to"),
        RuntimeError("DefaultCPUAllocator: not enough memory: you tried to allocate"),
        RuntimeError("XPU out of memory. Tried to allocate"),
        MemoryError(),
    ],
)
def test_allocators_have_several_words_for_no_memory(exc: Exception) -> None:
    """Only CUDA's has a class of its own."""
    assert is_out_of_memory(exc)


def test_real_allocators_are_understood() -> None:
    """This machine has no exabyte."""
    with pytest.raises(RuntimeError) as caught:
        torch.empty(2**58, dtype=torch.uint8)

    assert is_out_of_memory(caught.value)


def test_other_failures_are_not_taken_for_it() -> None:
    """Halving a batch would not help them."""
    assert not is_out_of_memory(RuntimeError("size mismatch"))
    assert not is_out_of_memory(ValueError("out of memory"))
