"""An embedding model in memory."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import torch
from torch import Tensor
from transformers import PreTrainedModel

from lightrag_hf._device import empty_cache
from lightrag_hf._forward import ForwardQueue, Row, Vectors
from lightrag_hf._pooling import layer_of, pool
from lightrag_hf._reading import Reader
from lightrag_hf._rope import changing_ropes, reset_rope, rope_of_pass
from lightrag_hf._sentence_transformers import Recipe

# Measured on two cores with MiniLM: 1,024 to 2,048 are equally fast, more is slower. An
# accelerator wants more work at a time.
_CPU_BATCH_TOKENS, _ACCELERATOR_BATCH_TOKENS = 1024, 16384

_READING_THREADS = 4


class Encoder:
    """
    A model, its reader, and the threads in which they work.

    Attributes:
        reader: Texts to rows.
        reading: The threads in which texts are read, so that a long one delays nobody else.
        forward: Rows to vectors.
        is_normalised: Whether vectors have the length 1.
    """

    def __init__(
        self, model: PreTrainedModel, reader: Reader, recipe: Recipe, batch_tokens: int | None
    ) -> None:
        self.reader = reader
        self.reading = ThreadPoolExecutor(_READING_THREADS, "lightrag-hf-read")
        self._model = model
        # Weights on disk have no device; the model moves what it is given to where they go.
        self._device = torch.device("cpu") if model.device.type == "meta" else model.device
        self._padding = getattr(model.config, "pad_token_id", None) or 0
        self._pooling = recipe.pooling
        self._layers = [layer_of(stage, self._device) for stage in recipe.stages]
        self._kept = slice(recipe.cut_dimensions)
        self.is_normalised = recipe.is_normalised
        is_cpu = self._device.type == "cpu"
        usual_tokens = _CPU_BATCH_TOKENS if is_cpu else _ACCELERATOR_BATCH_TOKENS
        self._empty_cache = functools.partial(empty_cache, self._device)
        self._ropes = changing_ropes(model.config.to_dict())
        self.forward = ForwardQueue(
            self._vectors,
            batch_tokens or usual_tokens,
            self._empty_cache,
            company=functools.partial(rope_of_pass, self._ropes),
        )

    def close(self) -> None:
        """Stop the threads and give the memory back."""
        self.reading.shutdown()
        self.forward.close()
        del self._model, self._layers
        self._empty_cache()

    @torch.inference_mode()
    def _vectors(self, rows: Sequence[Row]) -> Vectors:
        """Return the vectors of *rows*, shape ``(len(rows), dimensions)``."""
        lengths = self._column([len(row.ids) for row in rows])
        positions = torch.arange(int(lengths.max()), device=self._device)
        mask = (positions < lengths).long()
        pooled = mask * (positions >= self._column([row.skipped for row in rows]))
        if self._ropes:
            reset_rope(self._model)
        vectors = pool(self._hidden_states(rows, mask), pooled, self._pooling)
        for layer in self._layers:
            vectors = layer(vectors)
        found: Vectors = vectors[:, self._kept].cpu().numpy()
        return found

    def _column(self, numbers: Sequence[int]) -> Tensor:
        return torch.tensor(numbers, device=self._device).unsqueeze(1)

    def _hidden_states(self, rows: Sequence[Row], mask: Tensor) -> Tensor:
        inputs = {"input_ids": self._padded([row.ids for row in rows], self._padding)}
        if rows[0].types:
            inputs["token_type_ids"] = self._padded([row.types for row in rows], 0)
        states: Tensor = self._model(**inputs, attention_mask=mask).last_hidden_state
        return states

    def _padded(self, lists: Sequence[Sequence[int]], filler: int) -> Tensor:
        """
        Return *lists* as one tensor, filled up on the right.

        Causal models too: what follows a token does not reach it, and positions begin at 0.
        """
        longest = max(map(len, lists))
        filled = [[*items, *[filler] * (longest - len(items))] for items in lists]
        return torch.tensor(filled, dtype=torch.long, device=self._device)
