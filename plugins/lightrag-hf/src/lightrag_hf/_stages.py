"""What is done to a pooled vector: projection and normalisation."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn import functional

from lightrag_hf._sentence_transformers import Dense, LayerNorm, Normalize, Stage
from ragcore import UnsupportedError

Layer = Callable[[Tensor], Tensor]


def layer_of(stage: Stage, device: torch.device) -> Layer:
    """
    Return *stage* as a function of vectors, shape ``(texts, width)``, float32.

    Raises:
        UnsupportedError: torch has no activation of that name.
    """
    match stage:
        case Dense():
            return _dense(stage, device)
        case LayerNorm():
            return _layer_norm(stage, device)
        case Normalize():
            return _to_unit_length


def _to_unit_length(vectors: Tensor) -> Tensor:
    return functional.normalize(vectors, dim=-1)


def _dense(stage: Dense, device: torch.device) -> Layer:
    weights = _weights(stage.folder, device)
    activation = _activation(stage)
    weight, bias = weights["linear.weight"], weights.get("linear.bias")
    across = weights.get("residual.weight")

    def project(vectors: Tensor) -> Tensor:
        projected = activation(functional.linear(vectors, weight, bias))
        if not stage.use_residual:
            return projected
        return projected + (vectors if across is None else functional.linear(vectors, across))

    return project


def _layer_norm(stage: LayerNorm, device: torch.device) -> Layer:
    weights = _weights(stage.folder, device)
    weight, bias = weights["norm.weight"], weights["norm.bias"]
    return lambda vectors: functional.layer_norm(vectors, weight.shape, weight, bias)


def _activation(stage: Dense) -> Layer:
    kind = getattr(nn, stage.activation, None)
    if not (isinstance(kind, type) and issubclass(kind, nn.Module)):
        raise UnsupportedError(
            f"torch.nn has no activation {stage.activation!r}, as {str(stage.folder)!r} says."
        )
    activation: Layer = kind()
    return activation


def _weights(folder: Path, device: torch.device) -> dict[str, Tensor]:
    path = folder / "model.safetensors"
    if path.is_file():
        found = load_file(path)
    else:
        found = torch.load(folder / "pytorch_model.bin", map_location="cpu", weights_only=True)
    return {name: weight.to(device, torch.float32) for name, weight in found.items()}
