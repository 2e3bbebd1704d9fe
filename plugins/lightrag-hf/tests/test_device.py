"""Tests of the choice of a device, by telling torch what is there."""

import importlib.util
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch

from lightrag_hf._device import choose_device, empty_cache, load_arguments
from lightrag_hf._files import ModelFiles
from lightrag_hf.options import HFEmbeddingOptions, HFLLMOptions
from ragcore import OptionsError, UnsupportedError

Machine = Callable[..., None]
CPU = torch.device("cpu")
CUDA = torch.device("cuda")


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Machine:
    """Return a function that makes torch report devices, of which some are broken."""
    ones = torch.ones

    def has(*kinds: str, broken: tuple[str, ...] = (), count: int = 1, free: int = 10**9) -> None:
        modules: dict[str, ModuleType] = {
            "cuda": torch.cuda,
            "xpu": torch.xpu,
            "mps": torch.backends.mps,
        }
        for kind, module in modules.items():
            monkeypatch.setattr(module, "is_available", lambda kind=kind: kind in kinds)
            monkeypatch.setattr(getattr(torch, kind), "device_count", lambda: count)
        for kind in ("cuda", "xpu"):
            monkeypatch.setattr(getattr(torch, kind), "mem_get_info", lambda _: (free, free))
        monkeypatch.setattr(torch.mps, "recommended_max_memory", lambda: free)
        monkeypatch.setattr(torch.mps, "driver_allocated_memory", lambda: 0)

        def on_cpu(*shape: int, device: torch.device) -> torch.Tensor:
            if device.type in broken:
                raise RuntimeError("no kernel image is available for execution on the device")
            return ones(*shape)

        monkeypatch.setattr(torch, "ones", on_cpu)

    return has


@pytest.fixture
def files(tmp_path: Path) -> ModelFiles:
    """Return a model whose weights are 1,000 bytes."""
    (tmp_path / "model-00001-of-00002.safetensors").write_bytes(b"x" * 400)
    (tmp_path / "model-00002-of-00002.safetensors").write_bytes(b"x" * 600)
    (tmp_path / "pytorch_model.bin").write_bytes(b"x" * 1000)
    return ModelFiles(tmp_path)


@pytest.mark.parametrize(
    ("there", "broken", "chosen"),
    [
        (("cuda", "xpu", "mps"), (), "cuda"),
        (("xpu", "mps"), (), "xpu"),
        (("mps",), (), "mps"),
        ((), (), "cpu"),
        (("cuda", "mps"), ("cuda",), "mps"),
        (("cuda", "xpu", "mps"), ("cuda", "xpu", "mps"), "cpu"),
    ],
)
def test_auto_is_the_best_usable_device(
    machine: Machine, there: tuple[str, ...], broken: tuple[str, ...], chosen: str
) -> None:
    """CUDA, XPU, MPS, CPU; one that can't compute is passed over."""
    machine(*there, broken=broken)

    assert choose_device("auto") == torch.device(chosen)


@pytest.mark.parametrize("asked", ["cuda", "cuda:1", "xpu", "mps", "cpu"])
def test_what_is_there_can_be_asked_for(machine: Machine, asked: str) -> None:
    """The best device is not always the one that is free."""
    machine("cuda", "xpu", "mps", count=2)

    assert choose_device(asked) == torch.device(asked)


@pytest.mark.parametrize("asked", ["xpu", "cuda:1", "mps", "gpu", "meta", ""])
def test_what_is_missing_is_an_error_with_what_there_is(machine: Machine, asked: str) -> None:
    """Nothing else is taken instead."""
    machine("cuda", "mps", broken=("mps",))

    with pytest.raises(OptionsError, match="there is: cuda, cpu"):
        choose_device(asked)


def test_real_torch_answers_here() -> None:
    """Without any accelerator there is the processor."""
    if not any(module.is_available() for module in (torch.cuda, torch.xpu, torch.backends.mps)):
        assert choose_device("auto") == CPU
        with pytest.raises(OptionsError, match="there is: cpu"):
            choose_device("cuda")


@pytest.mark.parametrize(
    ("device", "dtype", "expected"),
    [
        ("cpu", "auto", torch.float32),
        ("cuda", "auto", "auto"),
        ("cpu", "bfloat16", torch.bfloat16),
        ("mps", "float16", torch.float16),
    ],
)
def test_dtype_is_the_models_own_where_it_is_fast(
    machine: Machine, files: ModelFiles, device: str, dtype: Any, expected: Any
) -> None:
    """On a CPU that is float32 unless somebody says otherwise."""
    machine("cuda", "mps")
    arguments = load_arguments(HFLLMOptions(dtype=dtype), torch.device(device), files)

    assert arguments["dtype"] == expected


def test_a_model_on_the_cpu_needs_no_map(files: ModelFiles) -> None:
    """And nothing is said that was not asked for."""
    assert load_arguments(HFLLMOptions(), CPU, files) == {
        "dtype": torch.float32,
        "trust_remote_code": False,
        "local_files_only": True,
    }


@pytest.mark.parametrize("kind", ["cuda", "xpu", "mps"])
@pytest.mark.parametrize(("free", "is_spread"), [(2000, False), (1100, True)])
def test_a_model_too_big_for_one_device_is_spread(
    machine: Machine, files: ModelFiles, kind: str, free: int, is_spread: bool
) -> None:
    """Weights need room for what is computed with them."""
    machine(kind, free=free)
    device = torch.device(kind)
    placed = load_arguments(HFLLMOptions(), device, files)["device_map"]

    assert placed == ("auto" if is_spread else {"": device})


def test_a_numbered_device_is_meant(machine: Machine, files: ModelFiles) -> None:
    """Who says cuda:1 does not want cuda:0 as well."""
    machine("cuda", count=2, free=10)
    device = torch.device("cuda:1")

    assert load_arguments(HFLLMOptions(), device, files)["device_map"] == {"": device}


def test_memory_limits_spread_the_model(tmp_path: Path, files: ModelFiles) -> None:
    """accelerate numbers accelerators and names the rest."""
    options = HFEmbeddingOptions(
        max_memory={"0": "10GiB", "cpu": "30GiB"}, offload_folder=tmp_path / "offload"
    )
    arguments = load_arguments(options, CPU, files)

    assert arguments["device_map"] == "auto"
    assert arguments["max_memory"] == {0: "10GiB", "cpu": "30GiB"}
    assert arguments["offload_folder"] == str(tmp_path / "offload")


def test_attention_and_code_are_passed_on(files: ModelFiles) -> None:
    """They mean what they mean in transformers."""
    options = HFLLMOptions(attn_implementation="eager", trust_remote_code=True)
    arguments = load_arguments(options, CPU, files)

    assert arguments["attn_implementation"] == "eager"
    assert arguments["trust_remote_code"] is True


@pytest.mark.parametrize("bits", ["4bit", "8bit"])
def test_quantization_needs_its_package(
    monkeypatch: pytest.MonkeyPatch, files: ModelFiles, bits: Any
) -> None:
    """The error says which."""
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)

    with pytest.raises(UnsupportedError, match="pip install bitsandbytes"):
        load_arguments(HFLLMOptions(quantization=bits), CPU, files)


@pytest.mark.parametrize("bits", ["4bit", "8bit"])
def test_quantization_is_asked_of_transformers(
    monkeypatch: pytest.MonkeyPatch, files: ModelFiles, bits: Any
) -> None:
    """Where bitsandbytes is installed."""
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: object())
    config = load_arguments(HFLLMOptions(quantization=bits), CPU, files)["quantization_config"]

    assert (config.load_in_4bit, config.load_in_8bit) == (bits == "4bit", bits == "8bit")


def test_memory_is_given_back_to_the_device(monkeypatch: pytest.MonkeyPatch) -> None:
    """torch keeps what was freed for its next tensors; a CPU has no such store."""
    emptied = []
    monkeypatch.setattr(torch.cuda, "empty_cache", lambda: emptied.append("cuda"))

    empty_cache(CUDA)
    empty_cache(CPU)

    assert emptied == ["cuda"]
