"""Embeds with a model and a tokenizer that the caller has loaded."""

from __future__ import annotations

import asyncio
import functools
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import torch

from lightrag_hf._device import choose_device
from lightrag_hf._errors import translated
from lightrag_hf._forward import Vectors
from lightrag_hf._pooling import pool
from ragcore import UnsupportedError

# In one pass, padding included: about 2,048 tokens of English.
_BATCH_CHARACTERS = 8192

# Tokenizers without a limit say a far higher number.
_NO_LIMIT = 10**9


async def vectors_of(
    texts: Sequence[str], tokenizer: Any, model: Any, max_tokens: int | None = None
) -> Vectors:
    """
    Embed *texts*, some at a time, in a thread that all calls share.

    Tokenizer and model are let go of when the call ends.

    Args:
        texts: May be empty.
        tokenizer: As transformers makes it.
        model: As transformers makes it. On a CPU it is moved to the best device there is, unless
            accelerate has placed it.
        max_tokens: Tokens to cut a text to, beside what tokenizer and model say themselves.

    Returns:
        Mean of the last hidden states over tokens, padding left out, not normalised: float32,
        shape ``(len(texts), width)``; row *i* is ``texts[i]``.

    Raises:
        UnsupportedError: The model returns no hidden states.
        ProviderError: The model failed, or a text does not fit into memory.
    """
    loop, thread = asyncio.get_running_loop(), _thread(os.getpid())
    order: list[int] = []
    found: list[Vectors] = []
    for batch in _batches(texts):
        some = [texts[at] for at in batch]
        found.append(await loop.run_in_executor(thread, _means, some, tokenizer, model, max_tokens))
        order += batch
    if not found:
        return np.zeros((0, 0), np.float32)
    return np.concatenate(found)[np.argsort(order)]


# One thread, since a tokenizer can't be used by several at once. A forked child, which has none of
# its parent's threads, has another process identifier.
@functools.cache
def _thread(process: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(1, f"lightrag-hf-foreign-{process}")


def _batches(texts: Sequence[str]) -> Iterator[list[int]]:
    """Yield positions of texts that are embedded together, longest first."""
    batch: list[int] = []
    for at in sorted(range(len(texts)), key=lambda at: -len(texts[at])):
        if batch and (len(batch) + 1) * len(texts[batch[0]]) > _BATCH_CHARACTERS:
            yield batch
            batch = []
        batch.append(at)
    if batch:
        yield batch


# Not inference_mode: what a model keeps of a pass would be of no use to a caller who trains it.
@torch.no_grad()
def _means(texts: list[str], tokenizer: Any, model: Any, max_tokens: int | None) -> Vectors:
    cutting = _cutting(tokenizer, model, max_tokens)
    read = tokenizer(texts, return_tensors="pt", padding=True, truncation=True, **cutting)
    name = getattr(model, "name_or_path", "") or type(model).__name__
    with translated(name):
        read = read.to(_placed(model))
        mask = read["attention_mask"]
        output = model(input_ids=read["input_ids"], attention_mask=mask)
        if not hasattr(output, "last_hidden_state"):
            raise UnsupportedError(f"{name} returns no hidden states; load it by AutoModel")
        found: Vectors = pool(output.last_hidden_state, mask, ("mean",)).cpu().numpy()
    return found


def _cutting(tokenizer: Any, model: Any, max_tokens: int | None) -> dict[str, int]:
    """Return the length to cut at; nothing for a tokenizer that is not transformers' own."""
    own = getattr(tokenizer, "model_max_length", None)
    positions = getattr(getattr(model, "config", None), "max_position_embeddings", None)
    known = [limit for limit in (own, positions, max_tokens) if limit and 0 < limit < _NO_LIMIT]
    return {"max_length": min(known)} if own is not None and known else {}


def _placed(model: Any) -> torch.device:
    """Return the device to put texts on, having moved the model where that is to be done."""
    device: torch.device = next(model.parameters()).device
    if getattr(model, "hf_device_map", None) is not None:
        # Weights on disk have no device; the model moves what it is given to where they go.
        return torch.device("cpu") if device.type == "meta" else device
    if device.type == "cpu":
        device = choose_device("auto")
        model.to(device)
    return device
