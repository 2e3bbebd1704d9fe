"""
Token vectors to one vector per text.

Source:
    Mean over unmasked tokens: Reimers & Gurevych 2019, section 3, arXiv:1908.10084; by position:
    Muennighoff 2022, section 3.1, arXiv:2202.08904.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor

_NO_DIVISION_BY_ZERO = 1e-9

Pool = Callable[[Tensor, Tensor], Tensor]


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
