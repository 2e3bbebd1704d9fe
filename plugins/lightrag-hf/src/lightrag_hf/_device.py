"""Which device a model runs on, in which number type, and how it gets there."""

from __future__ import annotations

import importlib.util
import logging
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

import psutil  # type: ignore[import-untyped]  # as it is there
import torch

from lightrag_hf._files import ModelFiles
from lightrag_hf.options import HFModelOptions
from ragcore import OptionsError, UnsupportedError

_log = logging.getLogger("lightrag_hf")

# Best first.
_KINDS = ("cuda", "xpu", "mps", "cpu")

# Weights are not all: activations and the cache of attention need room too.
_WEIGHTS_SHARE = 0.8

# Of what is free, for one thing: what a pass computes, and other programs, need some as well.
_SPARE_SHARE = 0.8

_MIB = 2**20


def choose_device(asked: str) -> torch.device:
    """Return the device that *asked* names, if it is usable; ``"auto"`` is the best that is."""
    if asked == "auto":
        return torch.device(next(kind for kind in _KINDS if _is_usable(torch.device(kind))))
    # Raised for a name that torch does not know.
    with suppress(RuntimeError):
        device = torch.device(asked)
        if device.type in _KINDS and _is_usable(device):
            return device
    there = [kind for kind in _KINDS if _is_usable(torch.device(kind))]
    raise OptionsError(
        f"device: {asked!r} is not on this machine, or not usable; there is: {', '.join(there)}; "
        "pass device='auto' for the best of them"
    )


def load_arguments(
    options: HFModelOptions,
    device: torch.device,
    files: ModelFiles,
    usual: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Return the keyword arguments of ``from_pretrained``: what *options* say, else *usual*."""
    chosen = {
        "dtype": dtype_of(options, device),
        "attn_implementation": options.attn_implementation,
        "quantization_config": _quantization(options),
        "trust_remote_code": options.trust_remote_code,
        "local_files_only": True,
    }
    chosen |= _placement(options, device, files)
    said = {name: value for name, value in chosen.items() if value is not None}
    usual = {name: value for name, value in (usual or {}).items() if value is not None}
    if options.dtype == "auto" and usual.get("dtype", "auto") != "auto":
        del said["dtype"]
    return {**usual, **said}


def dtype_of(options: HFModelOptions, device: torch.device) -> Any:
    """Return a torch dtype, or ``"auto"`` for the one in which the weights are stored."""
    if options.dtype != "auto":
        return getattr(torch, options.dtype)
    return torch.float32 if device.type == "cpu" else "auto"


def require_memory(device: torch.device, needed: int) -> None:
    """
    Raise MemoryError unless *device* can spare *needed* bytes.

    A CPU's allocator gives what is not there, and the kernel then kills the process.
    """
    free = _free_memory(device)
    if free is not None and needed > free * _SPARE_SHARE:
        raise MemoryError(
            f"{needed / _MIB:,.1f} MiB are needed, and {device} has {free / _MIB:,.1f} left"
        )


def empty_cache(device: torch.device) -> None:
    """Give back to *device* what torch keeps of it for later."""
    if device.type != "cpu":
        getattr(torch, device.type).empty_cache()


def _is_usable(device: torch.device) -> bool:
    """Tell whether *device* is there and computes: an old driver has devices that do not."""
    if device.type == "cpu":
        return True
    if not _is_there(device):
        return False
    try:
        return bool((torch.ones(1, device=device) + 1).item())
    except (RuntimeError, AssertionError, NotImplementedError) as exc:
        _log.warning("%s is there and can't be used: %s", device, exc)
        return False


def _is_there(device: torch.device) -> bool:
    module = {"cuda": torch.cuda, "xpu": torch.xpu, "mps": torch.backends.mps}[device.type]
    if not module.is_available():
        return False
    count = int(getattr(torch, device.type).device_count())
    return not _is_numbered(device) or device.index < count


def _is_numbered(device: torch.device) -> bool:
    return ":" in str(device)


def _free_memory(device: torch.device) -> int | None:
    """Return how many bytes *device* has left; None where torch does not say."""
    match device.type:
        case "cpu":
            return int(psutil.virtual_memory().available)
        case "cuda" | "xpu" as kind:
            module = getattr(torch, kind)
            kept_by_torch = module.memory_reserved(device) - module.memory_allocated(device)
            return int(module.mem_get_info(device)[0] + kept_by_torch)
        case "mps":
            return int(torch.mps.recommended_max_memory() - torch.mps.driver_allocated_memory())
    return None


def _quantization(options: HFModelOptions) -> Any:
    if options.quantization is None:
        return None
    if importlib.util.find_spec("bitsandbytes") is None:
        raise UnsupportedError(
            f"quantization={options.quantization!r} needs bitsandbytes: pip install bitsandbytes"
        )
    from transformers import BitsAndBytesConfig

    wanted = {f"load_in_{options.quantization}": True}
    return BitsAndBytesConfig(**wanted)  # type: ignore[no-untyped-call]  # as it is there


def _placement(options: HFModelOptions, device: torch.device, files: ModelFiles) -> dict[str, Any]:
    if options.max_memory is not None or options.offload_folder is not None:
        return _spread(options)
    if device.type == "cpu":
        return {}
    free = _free_memory(device)
    fits = free is None or files.weight_bytes < free * _WEIGHTS_SHARE
    if fits or _is_numbered(device):
        return {"device_map": {"": device}}
    _log.info("%s is too big for %s alone: it is spread", files.folder.name, device)
    return _spread(options)


def _spread(options: HFModelOptions) -> dict[str, Any]:
    # accelerate wants accelerators by number.
    limits = {
        int(key) if key.isdecimal() else key: size
        for key, size in (options.max_memory or {}).items()
    }
    folder = options.offload_folder and str(options.offload_folder)
    return {"device_map": "auto", "max_memory": limits or None, "offload_folder": folder}
