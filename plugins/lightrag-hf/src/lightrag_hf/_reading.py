"""Texts to tokens, as sentence-transformers cuts them, for texts of any length."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import attrs
from tokenizers import Encoding, Tokenizer, normalizers
from transformers import PreTrainedTokenizerBase

from lightrag_hf._forward import Row
from lightrag_hf._sentence_transformers import Recipe
from ragcore import InputType


class Reader:
    """
    Turns texts into rows; safe to use from several threads.

    What a tokenizer, or a chat template, puts behind every text stays behind a cut one: it is
    there that decoders are asked.

    Args:
        tokenizer: Given over: its settings are changed.

    Attributes:
        max_length: Tokens of a text, prompt and special ones included; None: without limit.
    """

    def __init__(self, tokenizer: PreTrainedTokenizerBase, recipe: Recipe) -> None:
        self.max_length = recipe.max_length
        self._tokenizer = tokenizer
        self._recipe = recipe
        self._has_types = "token_type_ids" in tokenizer.model_input_names
        self._cuts_left = tokenizer.truncation_side == "left"
        self._backend = _backend_of(tokenizer, recipe)
        [marked] = self._encode(["a"])
        self._leading, self._tail = _ends(marked.ids, marked.special_tokens_mask)
        if recipe.chat is not None:
            # Nothing in common but what the template puts behind them.
            one, other = self._encode([self._written("", "0"), self._written("", "1 2 3 4")])
            self._tail = _common_tail(one.ids, other.ids)
        if isinstance(self._backend, Tokenizer) and self.max_length is not None:
            # Whoever gets one token more than the limit knows that the text is too long, without
            # the rest, of which a long text has millions, ever becoming Python objects.
            side = tokenizer.truncation_side
            self._backend.enable_truncation(self.max_length + 1, direction=side)

    def read(self, texts: Sequence[str], input_type: InputType) -> list[Row]:
        """Return *texts* as the model reads them, cut where they are too long."""
        prompt = self._recipe.prompt(input_type)
        skipped = self._skipped_tokens(prompt)
        found = self._encode([self._written(prompt, text) for text in texts])
        return [self._row(encoding, skipped) for encoding in found]

    def _written(self, prompt: str, text: str) -> str:
        if self._recipe.chat is None:
            return prompt + text
        messages = [{"role": "system", "content": self._content(prompt)}] if prompt else []
        messages.append({"role": "user", "content": self._content(text)})
        written = self._tokenizer.apply_chat_template(
            messages, tokenize=False, **self._recipe.template_options
        )
        return str(written)

    def _content(self, text: str) -> Any:
        return text if self._recipe.chat == "flat" else [{"type": "text", "text": text}]

    def _encode(self, texts: list[str]) -> Sequence[Encoding | _Encoding]:
        has_special = self._recipe.chat is None
        return self._backend.encode_batch_fast(texts, add_special_tokens=has_special)

    def _row(self, encoding: Encoding | _Encoding, skipped: int) -> Row:
        ids, types = encoding.ids, encoding.type_ids if self._has_types else []
        if self.max_length is None or len(ids) <= self.max_length:
            return Row(ids, types, skipped)
        return Row(self._cut(ids, self.max_length), types[: self.max_length], skipped, is_cut=True)

    def _cut(self, ids: list[int], length: int) -> list[int]:
        if self._cuts_left:
            return ids[: self._leading] + ids[len(ids) - length + self._leading :]
        return ids[: length - len(self._tail)] + self._tail

    def _skipped_tokens(self, prompt: str) -> int:
        """Return how many tokens of a text belong to *prompt* and are not to be pooled."""
        if not prompt or self._recipe.chat or self._recipe.include_prompt:
            return 0
        [encoding] = self._encode([prompt])
        ids = self._row(encoding, skipped=0).ids
        return len(ids) - (ids[-1] in self._tokenizer.all_special_ids)


@attrs.frozen
class _Encoding:
    """What a tokenizer that is written in Python makes of a text."""

    ids: list[int]
    type_ids: list[int]
    special_tokens_mask: list[int]


@attrs.frozen
class _SlowBackend:
    """A tokenizer that is written in Python, as those that are written in Rust are asked."""

    tokenizer: PreTrainedTokenizerBase

    def encode_batch_fast(self, texts: list[str], *, add_special_tokens: bool) -> list[_Encoding]:
        settings = {"return_special_tokens_mask": True, "verbose": False}
        found: list[Any] = [
            self.tokenizer(text, add_special_tokens=add_special_tokens, **settings)
            for text in texts
        ]
        return [
            _Encoding(one["input_ids"], one.get("token_type_ids", []), one["special_tokens_mask"])
            for one in found
        ]


def _backend_of(tokenizer: PreTrainedTokenizerBase, recipe: Recipe) -> Tokenizer | _SlowBackend:
    backend = getattr(tokenizer, "backend_tokenizer", None)
    if not isinstance(backend, Tokenizer):
        return _SlowBackend(tokenizer)
    if recipe.lower_case:
        steps = [normalizers.Lowercase()] + ([backend.normalizer] if backend.normalizer else [])
        backend.normalizer = normalizers.Sequence(steps)
    backend.no_padding()
    backend.no_truncation()
    return backend


def _ends(ids: list[int], special: list[int]) -> tuple[int, list[int]]:
    """Return how many special tokens stand before the others, and which ones behind them."""
    if 0 not in special:
        return 0, []
    behind = special[::-1].index(0)
    return special.index(0), ids[len(ids) - behind :]


def _common_tail(one: list[int], other: list[int]) -> list[int]:
    """Return what both end with; nothing if one is all of the other's end."""
    pairs = zip(reversed(one), reversed(other), strict=False)
    length = sum(1 for _ in itertools.takewhile(lambda pair: pair[0] == pair[1], pairs))
    return one[len(one) - length :] if length < min(len(one), len(other)) else []
