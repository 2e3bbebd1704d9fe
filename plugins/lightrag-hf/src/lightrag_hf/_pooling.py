"""
Hidden states -> vectors: pooling, and what a model does to the pooled vector.

Source:
    Mean over unmasked tokens: Reimers & Gurevych 2019, section 3, arXiv:1908.10084; by position:
    Muennighoff 2022, section 3.1, arXiv:2202.08904.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn import functional

from lightrag_hf._sentence_transformers import Stage, unsupported
from ragcore import UnsupportedError

_NO_DIVISION_BY_ZERO = 1e-9

Pool = Callable[[Tensor, Tensor], Tensor]
Layer = Callable[[Tensor], Tensor]


def pool(hidden: Tensor, mask: Tensor, modes: Sequence[str]) -> Tensor:
    """
    Return one vector per text.

    Args:
        hidden: Last hidden states, shape ``(texts, tokens, width)``.
        mask: 1 for the tokens that count, shape ``(texts, tokens)``; padding is on the right.
        modes: Keys of :data:`POOLS`.

    Returns:
        float32, shape ``(texts, width * len(modes))``.
    """
    hidden, mask = hidden.float(), mask.float()
    return torch.cat([POOLS[mode](hidden, mask) for mode in modes], dim=-1)


def _first(hidden: Tensor, mask: Tensor) -> Tensor:
    return _at(hidden, mask.argmax(dim=1))


def _last(hidden: Tensor, mask: Tensor) -> Tensor:
    positions = torch.arange(mask.shape[1], device=mask.device)
    return _at(hidden * mask.unsqueeze(-1), (mask * positions).argmax(dim=1))


def _max(hidden: Tensor, mask: Tensor) -> Tensor:
    return hidden.masked_fill(mask.unsqueeze(-1) == 0, -torch.inf).amax(dim=1)


def _mean(hidden: Tensor, mask: Tensor) -> Tensor:
    return _sum(hidden, mask) / _length(mask)


def _mean_sqrt_len(hidden: Tensor, mask: Tensor) -> Tensor:
    return _sum(hidden, mask) / _length(mask).sqrt()


def _mean_by_position(hidden: Tensor, mask: Tensor) -> Tensor:
    positions = torch.arange(1, mask.shape[1] + 1, device=mask.device, dtype=mask.dtype)
    return _mean(hidden, mask * positions)


def _at(hidden: Tensor, indices: Tensor) -> Tensor:
    return hidden[torch.arange(len(hidden), device=hidden.device), indices]


def _sum(hidden: Tensor, weights: Tensor) -> Tensor:
    return (hidden * weights.unsqueeze(-1)).sum(dim=1)


def _length(weights: Tensor) -> Tensor:
    return weights.sum(dim=1, keepdim=True).clamp(min=_NO_DIVISION_BY_ZERO)


POOLS: Mapping[str, Pool] = {
    "cls": _first,
    "lasttoken": _last,
    "max": _max,
    "mean": _mean,
    "mean_sqrt_len_tokens": _mean_sqrt_len,
    "weightedmean": _mean_by_position,
}


def layer_of(stage: Stage, device: torch.device) -> Layer:
    """Return *stage* as a function of vectors, shape ``(texts, width)``, float32."""
    match stage.kind:
        case "Dense":
            return _dense(stage, device)
        case "LayerNorm":
            return _layer_norm(stage, device)
        case "Normalize":
            return functools.partial(functional.normalize, dim=-1)


def _dense(stage: Stage, device: torch.device) -> Layer:
    needed = ["linear.weight", *["linear.bias"] * stage.settings.get("bias", True)]
    weights = _weights(stage.folder, device, needed)
    activation = _activation(stage)
    weight, bias = weights["linear.weight"], weights.get("linear.bias")
    across = weights.get("residual.weight")

    def project(vectors: Tensor) -> Tensor:
        projected = activation(functional.linear(vectors, weight, bias))
        if not stage.settings.get("use_residual"):
            return projected
        return projected + (vectors if across is None else functional.linear(vectors, across))

    return project


def _layer_norm(stage: Stage, device: torch.device) -> Layer:
    weights = _weights(stage.folder, device, ["norm.weight", "norm.bias"])
    weight, bias = weights["norm.weight"], weights["norm.bias"]
    return lambda vectors: functional.layer_norm(vectors, weight.shape, weight, bias)


def _activation(stage: Stage) -> Layer:
    path = stage.settings.get("activation_function") or "torch.nn.modules.activation.Tanh"
    package, _, name = path.rpartition(".")
    kind = getattr(nn, name, None) if package.startswith("torch.nn") else None
    if not (isinstance(kind, type) and issubclass(kind, nn.Module)):
        raise unsupported(stage.folder, f"the activation {path!r}")
    activation: Layer = kind()
    return activation


def _weights(folder: Path, device: torch.device, needed: Sequence[str]) -> dict[str, Tensor]:
    path = folder / "model.safetensors"
    if path.is_file():
        found = load_file(path)
    else:
        found = torch.load(folder / "pytorch_model.bin", map_location="cpu", weights_only=True)
    if missing := [name for name in needed if name not in found]:
        raise UnsupportedError(
            f"the weights in {str(folder)!r} lack {', '.join(missing)}; fetch the model again, "
            "whole"
        )
    return {name: weight.to(device, torch.float32) for name, weight in found.items()}
