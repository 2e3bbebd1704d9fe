"""
How many tokens a model reads, as its configuration says; imports no torch.

Source:
    Names: the ``attribute_map`` of transformers' configurations, and those of models that bring
    code of their own.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any, TypeGuard

import attrs

# Where a file has several, the first is the size of what the model has.
_NAMES = (
    *("max_position_embeddings", "n_positions", "max_seq_len", "seq_length", "n_ctx"),
    *("max_sequence_length", "model_max_length"),
)

# Models of these kinds count positions from behind that of the padding token.
_COUNT_FROM_PADDING = {
    *("roberta", "roberta-prelayernorm", "xlm-roberta", "xlm-roberta-xl", "xmod", "camembert"),
    *("data2vec-text", "ibert", "longformer", "lilt", "luke", "layoutlmv3", "markuplm"),
    *("mpnet", "esm"),
}
_USUAL_PADDING = 1

# Rope of these kinds stretches to a multiple of what the file says. Of others (llama3, longrope),
# the file says the multiple.
_STRETCHING = ("linear", "dynamic", "yarn")

# Tokenizers without a limit say a far higher number.
_UNKNOWN_LENGTH = 10**9

Config = Mapping[str, Any]


@attrs.frozen
class Window:
    """
    How many tokens a model reads and writes together.

    Attributes:
        usual: What the model's files say.
        highest: What it may be raised to.
    """

    usual: int
    highest: int

    def asked(self, num_ctx: int | None) -> int:
        """Return the window of a call that asks for *num_ctx* tokens."""
        return min(num_ctx or self.usual, self.highest)


def context_window(model: Any, tokenizer: Any) -> Window:
    """Return the window of *model*; its tokenizer's limit counts if the model itself has none."""
    config = model.config.get_text_config(decoder=True).to_dict()
    of_tokenizer = tokenizer.model_max_length
    usual = own_limit(config) or (of_tokenizer if is_limit(of_tokenizer) else sys.maxsize)
    return Window(usual, highest_limit(config) or sys.maxsize)


def own_limit(config: Config) -> int | None:
    """Return how many tokens the model with this ``config.json`` reads; None: without limit."""
    config = text_part(config)
    # T5's file has n_positions, of which the model makes no use.
    is_relative = "relative_attention_num_buckets" in config
    names = _NAMES[:1] if is_relative else _NAMES
    limit = next((config[name] for name in names if is_limit(config.get(name))), None)
    return None if limit is None else int(limit) - _unused_positions(config)


def highest_limit(config: Config) -> int | None:
    """
    Return how many tokens the model reads if asked to; None: without limit.

    Source:
        https://huggingface.co/docs/transformers/v4.41.0/model_doc/llama (``rope_scaling``): "don't
        update ``max_position_embeddings`` to the expected new maximum".
    """
    own = own_limit(config)
    if own is None or _is_alibi(text_part(config)):
        return None
    return max([own, *(_stretched(rope, own) for rope in ropes_of(config))])


def is_limit(number: object) -> TypeGuard[int]:
    """Tell whether *number* is a limit, and no word for "none"."""
    return isinstance(number, int) and 0 < number < _UNKNOWN_LENGTH


def text_part(config: Config) -> Config:
    """Return *config* with what it says of the part that reads text."""
    return {**config, **(config.get("text_config") or {})}


def ropes_of(config: Config) -> list[Config]:
    """Return what is said of rope: once, or once for each kind of layer."""
    config = text_part(config)
    said = config.get("rope_parameters") or config.get("rope_scaling") or {}
    by_layer = [rope for rope in said.values() if isinstance(rope, Mapping)]
    return by_layer or [said]


def kind_of(rope: Config) -> str | None:
    kind: str | None = rope.get("rope_type") or rope.get("type")
    return kind


def _unused_positions(config: Config) -> int:
    if config.get("model_type") not in _COUNT_FROM_PADDING:
        return 0
    if config.get("position_embedding_type") == "rotary":
        return 0
    padding = config.get("pad_token_id")
    return (_USUAL_PADDING if padding is None else int(padding)) + 1


def _is_alibi(config: Config) -> bool:
    """Tell whether attention fades with distance, at whatever length."""
    kind = config.get("position_embedding_type")
    return config.get("model_type") == "bloom" or kind == "alibi" or bool(config.get("alibi"))


def _stretched(rope: Config, own: int) -> int:
    if kind_of(rope) not in _STRETCHING:
        return own
    return int((rope.get("original_max_position_embeddings") or own) * (rope.get("factor") or 1))
