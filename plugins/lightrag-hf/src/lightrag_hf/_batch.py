"""
Rows that are decoded together: one forward pass gives each of them its next token.

Rows join and leave between any two passes. They are kept left-padded, so that the next token of
all stands in the last column; positions are counted without the padding.
"""

from __future__ import annotations

import inspect
import logging
from collections.abc import Callable, Collection, Sequence
from types import SimpleNamespace
from typing import Any, Protocol

import torch
from torch import Tensor
from torch.nn.functional import pad
from transformers import Cache, DynamicCache, GenerationMixin
from transformers.cache_utils import DynamicLayer

from lightrag_hf._device import require_memory
from lightrag_hf._rope import changing_ropes

_log = logging.getLogger("lightrag_hf")

# Columns added when a cache is full: growing copies all of it.
_SPARE_COLUMNS = 256

# Tokens of a prompt in one forward pass; between two, a prompt nobody waits for is given up.
_PREFILL_COLUMNS = 512


class Row(Protocol):
    """What a batch has to know of an answer."""

    tokens: list[int]


def obstacle(model: Any) -> str:
    """Return why rows of *model* cannot join and leave a shared cache; empty if its kind can."""
    if not has_plain_cache(model):
        return "its cache can't be shared"
    if model.config.is_encoder_decoder or not _prepares_as_usual(type(model)):
        return "it prepares a pass in a way of its own"
    if not {"attention_mask", "position_ids"} <= set(_parameters(model)):
        return "it takes no positions"
    if changing_ropes(model.config.to_dict()):
        return "its rope depends on the longest in a pass"
    return ""


def has_plain_cache(model: Any) -> bool:
    """Return whether every layer of *model* keeps keys and values of all tokens, and no more."""
    layers = DynamicCache(config=model.config).layers
    return (
        bool(layers)
        and all(type(layer) is DynamicLayer for layer in layers)
        and model._supports_default_dynamic_cache()  # noqa: SLF001  # nothing public says it
    )


@torch.inference_mode()
def cache_parameter(model: Any) -> str | None:
    """
    Return the name of the parameter by which *model* takes a cache; None if it fills none.

    Found by tiny passes, since releases differ: ``past_key_values``, and from transformers 5.24 on
    ``cache``. A model takes a cache by the name by which it returns one, but code that comes with
    a model may keep the old name for what it takes.
    """
    token = torch.zeros((1, 1), dtype=torch.long, device=model.device)
    output = model(input_ids=token, use_cache=True)
    names = [name for name, value in output.items() if isinstance(value, Cache)]
    taken = [name for name in (*names, "past_key_values") if name in _parameters(model)]
    return next((name for name in taken if _fills_cache(model, name)), None)


def _fills_cache(model: Any, cache_name: str) -> bool:
    """Return whether *model* reads two rows of different length into a cache."""
    rows: list[Any] = [SimpleNamespace(tokens=[0]), SimpleNamespace(tokens=[0, 0])]
    batch = Batch(model, cache_name)
    batch.fill(rows)
    try:
        batch.read()
    except Exception:  # noqa: BLE001  # whatever it is, generate() may still answer
        _log.info("Trying a shared cache as %s= failed.", cache_name, exc_info=True)
        return False
    return batch.columns == len(rows[-1].tokens)


def _prepares_as_usual(model_class: Any) -> bool:
    own = ("prepare_inputs_for_generation", "_update_model_kwargs_for_generation")
    return all(getattr(model_class, name) is getattr(GenerationMixin, name) for name in own)


def _parameters(model: Any) -> Collection[str]:
    return inspect.signature(model.forward).parameters


class Batch:
    """
    Rows that share a cache.

    A pass that raises leaves the cache unusable: drop the batch, its rows hold all that is needed
    to fill another one. Memory that would not suffice is a :class:`MemoryError`.

    Args:
        model: One that has no :func:`obstacle`.
        cache_name: As :func:`cache_parameter` found it.

    Attributes:
        rows: In the order of the logits.
    """

    def __init__(self, model: Any, cache_name: str) -> None:
        self.rows: list[Any] = []
        self._model = model
        self._pads: list[int] = []
        self._unread: list[Tensor] = []
        self._cache = DynamicCache(config=model.config)
        count = len(self._cache.layers)
        self._layers = [_Layer(count - n) for n in range(count)]
        self._cache.layers = list(self._layers)
        self._settings: dict[str, Any] = {cache_name: self._cache, "use_cache": True}
        if "logits_to_keep" in _parameters(model):
            self._settings["logits_to_keep"] = 1

    @property
    def columns(self) -> int:
        """How long the longest row is in the cache, in tokens."""
        return self._cache.get_seq_length()

    def fill(self, rows: Sequence[Row]) -> None:
        """Put *rows*, each of at least one token, into an empty batch; nothing is read yet."""
        self.rows = list(rows)
        longest = max(len(row.tokens) for row in rows)
        self._pads = [longest - len(row.tokens) for row in rows]
        padded = [[0] * pad + row.tokens for pad, row in zip(self._pads, rows, strict=True)]
        self._unread = list(torch.split(torch.tensor(padded), _PREFILL_COLUMNS, dim=1))

    def read(self) -> Tensor | None:
        """Read the next piece of what the rows were filled with; return the last one's logits."""
        logits = self._forward(self._unread.pop(0).to(self._model.device))
        return None if self._unread else logits

    def step(self) -> Tensor:
        """
        Read the last token of each row.

        Returns:
            Logits of each row's next token, float32, shape ``(len(rows), vocabulary)``.
        """
        last = [row.tokens[-1:] for row in self.rows]
        return self._forward(torch.tensor(last, device=self._model.device))

    def keep(self, wanted: Sequence[bool]) -> None:
        """Let the other rows leave, and with them the padding that only they needed."""
        if all(wanted):
            return
        stay = [n for n, is_wanted in enumerate(wanted) if is_wanted]
        self.rows = [self.rows[n] for n in stay]
        padding = min((self._pads[n] for n in stay), default=self.columns)
        self._pads = [self._pads[n] - padding for n in stay]
        for layer in self._layers:
            layer.change(lambda states: states[stay, :, padding:])

    def add(self, other: Batch) -> None:
        """Take over the rows of *other*; both have rows, and have read all that they hold."""
        columns = max(self.columns, other.columns)
        layers = zip(self._layers, other._layers, strict=True)
        joined = [_joined(mine, theirs, columns) for mine, theirs in layers]
        self._pads = self._pads_to(columns) + other._pads_to(columns)
        self._layers, self._cache.layers = joined, list(joined)
        self.rows += other.rows

    def _pads_to(self, columns: int) -> list[int]:
        return [pad + columns - self.columns for pad in self._pads]

    def _forward(self, tokens: Tensor) -> Tensor:
        """Read the next columns, ``(rows, columns)``."""
        begin, end = self.columns, self.columns + tokens.shape[1]
        columns = torch.arange(end, device=tokens.device)
        pads = torch.tensor(self._pads, device=tokens.device).unsqueeze(1)
        output = self._model(
            input_ids=tokens,
            attention_mask=(columns >= pads).long(),
            position_ids=(columns[begin:] - pads).clamp(min=0),
            **self._settings,
        )
        logits: Tensor = output.logits[:, -1].to(device=tokens.device, dtype=torch.float32)
        return logits


class _Layer(DynamicLayer):  # type: ignore[no-untyped-call]  # its __init_subclass__
    """
    A layer with room to grow.

    transformers' own copies all that it holds for every token; this one, every 256.

    Args:
        layers: How many there are from this one on; they grow one after the other, alike.
    """

    keys: Any
    values: Any

    def __init__(self, layers: int) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # transformers'
        self.layers = layers

    def update(
        self, key_states: Tensor, value_states: Tensor, *_args: Any, **_kwargs: Any
    ) -> tuple[Tensor, Tensor]:
        if not self.is_initialized:
            self.lazy_initialization(key_states, value_states)
            self.hold(key_states[..., :0, :], value_states[..., :0, :])
        begin, end = self.length, self.length + key_states.shape[-2]
        if end > self.key_room.shape[-2]:
            self._grow(end + _SPARE_COLUMNS)
        self.key_room[..., begin:end, :] = key_states
        self.value_room[..., begin:end, :] = value_states
        self.hold(self.key_room, self.value_room, end)
        return self.keys, self.values

    def hold(self, key_room: Tensor, value_room: Tensor, length: int | None = None) -> None:
        """Take these tensors, ``(rows, heads, columns, size)``; *length* columns are in use."""
        self.length = key_room.shape[-2] if length is None else length
        self.key_room, self.value_room = key_room, value_room
        self.keys = key_room[..., : self.length, :]
        self.values = value_room[..., : self.length, :]

    def require(self, rows: int, columns: int) -> None:
        """Make sure that there is memory for so many more in a layer like this one."""
        width = self.keys.shape[1] * (self.keys.shape[-1] + self.values.shape[-1])
        require_memory(self.keys.device, rows * columns * width * self.keys.element_size())

    def _grow(self, columns: int) -> None:
        added = columns - self.key_room.shape[-2]
        # Those behind grow too, each when the one before has let go of what it held.
        self.require(len(self.keys), columns + added * (self.layers - 1))
        room = (0, 0, 0, columns - self.length)
        self.hold(pad(self.keys, room), pad(self.values, room), self.length)

    def change(self, change: Callable[[Tensor], Tensor]) -> None:
        """Apply *change* to what is in use."""
        self.hold(change(self.keys), change(self.values))


def _joined(upper: _Layer, lower: _Layer, columns: int) -> _Layer:
    """Put the rows of both below each other, padded on the left to *columns*."""
    # Both stay until all layers are joined: if that fails, nothing is lost.
    upper.require(len(upper.keys) + len(lower.keys), columns * upper.layers)
    layer = _Layer(upper.layers)
    layer.lazy_initialization(lower.keys, lower.values)
    layer.hold(
        _stacked(upper.keys, lower.keys, columns), _stacked(upper.values, lower.values, columns)
    )
    return layer


def _stacked(upper: Tensor, lower: Tensor, columns: int) -> Tensor:
    # Zeros, since the padding's weight of 0 times an infinity would be no number.
    padded = [pad(states, (0, 0, columns - states.shape[-2], 0)) for states in (upper, lower)]
    return torch.cat(padded)
