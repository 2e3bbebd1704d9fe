"""Models whose weights are all in their files: what is missing would be random numbers."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import Any

import torch
from torch import nn

from ragcore import OptionsError, RagcoreError, UnsupportedError

_MOST_NAMED = 3


def whole_model(kind: Any, model_name: str, folder: Path, **arguments: Any) -> Any:
    """
    Load the model in *folder* by *kind*, an ``AutoModel`` class.

    Args:
        kind: Its ``from_pretrained`` gets *folder* and *arguments*.
        model_name: For messages.
        folder: With the weights.
        **arguments: Whatever ``from_pretrained`` takes.

    Raises:
        OptionsError: The weights are of an architecture that comes with the model as code.
        UnsupportedError: The files lack weights that the model works with.
    """
    model, found = kind.from_pretrained(folder, output_loading_info=True, **arguments)
    missing = sorted(name for name in found["missing_keys"] if not _is_unused(name))
    foreign = sorted(found["unexpected_keys"])
    lacks = f"lacks {len(missing)} of the weights of a {type(model).__name__} ({_few(missing)})"
    if _brings_code(model) and not arguments.get("trust_remote_code"):
        inside = _inside_layers(model, foreign)
        if missing or inside:
            raise _untrusted(model_name, lacks if missing else f"has others too ({_few(inside)})")
    if missing:
        raise _incomplete(model_name, lacks, foreign)
    return model


@torch.inference_mode()
def touch(model: Any) -> Any:
    """Run one token: weights are read from disk when first used, 4 s that no call should wait."""
    device = "cpu" if model.device.type == "meta" else model.device
    return model(torch.zeros((1, 1), dtype=torch.long, device=device))


def _is_unused(name: str) -> bool:
    """Tell whether these weights only make the pooler's output, which is not used."""
    return "pooler" in name.split(".")


def _brings_code(model: Any) -> bool:
    return any(
        name.startswith("AutoModel") for name in getattr(model.config, "auto_map", None) or ()
    )


def _inside_layers(model: Any, names: Collection[str]) -> list[str]:
    """Return which of *names* stand inside of layers: heads and further layers stand beside."""
    modules = dict(model.named_modules())
    prefix = f"{model.base_model_prefix}."
    return [name for name in names if not _is_beside(modules, name.removeprefix(prefix))]


def _is_beside(modules: dict[str, nn.Module], name: str) -> bool:
    parts = name.split(".")
    parents = (".".join(parts[:count]) for count in range(len(parts) - 1, 0, -1))
    parent = next((modules[path] for path in parents if path in modules), None)
    return parent is None or isinstance(parent, nn.ModuleList)


def _incomplete(model_name: str, lacks: str, foreign: Collection[str]) -> RagcoreError:
    instead = f", and has others ({_few(foreign)})" if foreign else ""
    return UnsupportedError(
        f"the model {model_name!r} {lacks}{instead}; they would be random numbers; fetch or save "
        "it again, whole and under these names"
    )


def _untrusted(model_name: str, what: str) -> RagcoreError:
    return OptionsError(
        f"the model {model_name!r} {what}: its architecture comes with it as Python code; if you "
        "trust that, pass trust_remote_code=True"
    )


def _few(names: Collection[str]) -> str:
    shown = ", ".join(list(names)[:_MOST_NAMED])
    return f"{shown}, …" if len(names) > _MOST_NAMED else shown
