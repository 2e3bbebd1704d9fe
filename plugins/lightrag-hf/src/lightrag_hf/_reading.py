"""Texts to tokens, as sentence-transformers cuts them, for texts of any length."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import attrs
from tokenizers import Encoding, Tokenizer, normalizers
from transformers import PreTrainedTokenizerBase

from lightrag_hf._forward import Row
from lightrag_hf._sentence_transformers import InputType, Recipe


@attrs.frozen
class Reading:
    """
    Texts as rows.

    Attributes:
        rows: One a text.
        cut: Positions of those that were too long.
    """

    rows: Sequence[Row]
    cut: tuple[int, ...]


class Reader:
    """
    Turns texts into rows; safe to use from several threads.

    Args:
        tokenizer: Given over: its settings are changed.
    """

    def __init__(self, tokenizer: PreTrainedTokenizerBase, recipe: Recipe) -> None:
        self._tokenizer = tokenizer
        self._recipe = recipe
        self._cutter = _cutter(tokenizer, recipe)
        self._skipped: dict[str, int] = {}

    @property
    def max_length(self) -> int | None:
        """Tokens of a text, prompt and special ones included."""
        return self._recipe.max_length

    def read(self, texts: Sequence[str], input_type: InputType) -> Reading:
        """Return *texts* as the model reads them, cut where they are too long."""
        prompt = self._recipe.prompt(input_type)
        pieces = self._cutter.cut([self._written(prompt, text) for text in texts])
        skipped = self._skipped_tokens(prompt)
        rows = [Row(piece.ids, piece.types, skipped) for piece in pieces]
        return Reading(rows, tuple(at for at, piece in enumerate(pieces) if piece.is_cut))

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

    def _skipped_tokens(self, prompt: str) -> int:
        """Return how many tokens of a text belong to *prompt* and are not to be pooled."""
        if not prompt or self._recipe.chat or self._recipe.pooling.include_prompt:
            return 0
        if prompt not in self._skipped:
            [piece] = self._cutter.cut([prompt])
            ends_special = piece.ids[-1] in self._tokenizer.all_special_ids
            self._skipped[prompt] = len(piece.ids) - ends_special
        return self._skipped[prompt]


@attrs.frozen
class _Piece:
    ids: Sequence[int]
    types: Sequence[int]
    is_cut: bool


class _FastCutter:
    """
    Cuts with the tokenizer's Rust half.

    One token more than the limit is asked for: whoever gets it knows that the text is too long
    without the rest, of which a long text has millions, ever becoming Python objects.
    """

    def __init__(self, tokenizer: PreTrainedTokenizerBase, recipe: Recipe) -> None:
        self._backend: Tokenizer = tokenizer.backend_tokenizer
        self._limit = recipe.max_length
        self._has_special = recipe.chat is None
        self._cuts_left = tokenizer.truncation_side == "left"
        self._has_types = "token_type_ids" in tokenizer.model_input_names
        if recipe.lower_case:
            _lower(self._backend)
        self._backend.no_padding()
        self._backend.no_truncation()
        mask = self._encode(["a"])[0].special_tokens_mask
        self._leading = mask.index(0) if 0 in mask else 0
        self._trailing = mask[::-1].index(0) if 0 in mask else 0
        if self._limit is not None:
            side = tokenizer.truncation_side
            self._backend.enable_truncation(self._limit + 1, direction=side)

    def cut(self, texts: Sequence[str]) -> list[_Piece]:
        return [self._piece(encoding) for encoding in self._encode(texts)]

    def _encode(self, texts: Sequence[str]) -> list[Encoding]:
        return self._backend.encode_batch_fast(list(texts), add_special_tokens=self._has_special)

    def _piece(self, encoding: Encoding) -> _Piece:
        ids, types = encoding.ids, encoding.type_ids if self._has_types else []
        if self._limit is None or len(ids) <= self._limit:
            return _Piece(ids, types, is_cut=False)
        surplus = self._leading if self._cuts_left else len(ids) - self._trailing - 1
        return _Piece(_without(ids, surplus), _without(types, surplus), is_cut=True)


class _SlowCutter:
    """Cuts with a tokenizer that is written in Python."""

    def __init__(self, tokenizer: PreTrainedTokenizerBase, recipe: Recipe) -> None:
        self._tokenizer = tokenizer
        self._limit = recipe.max_length
        self._has_special = recipe.chat is None

    def cut(self, texts: Sequence[str]) -> list[_Piece]:
        return [self._piece(text) for text in texts]

    def _piece(self, text: str) -> _Piece:
        whole = self._encode(text)
        if self._limit is None or len(whole["input_ids"]) <= self._limit:
            return _Piece(whole["input_ids"], whole.get("token_type_ids", ()), is_cut=False)
        cut = self._encode(text, truncation=True, max_length=self._limit)
        return _Piece(cut["input_ids"], cut.get("token_type_ids", ()), is_cut=True)

    def _encode(self, text: str, **options: Any) -> Any:
        return self._tokenizer(text, add_special_tokens=self._has_special, verbose=False, **options)


def _cutter(tokenizer: PreTrainedTokenizerBase, recipe: Recipe) -> _FastCutter | _SlowCutter:
    is_fast = isinstance(getattr(tokenizer, "backend_tokenizer", None), Tokenizer)
    return _FastCutter(tokenizer, recipe) if is_fast else _SlowCutter(tokenizer, recipe)


def _lower(backend: Tokenizer) -> None:
    steps = [normalizers.Lowercase()] + ([backend.normalizer] if backend.normalizer else [])
    backend.normalizer = normalizers.Sequence(steps)


def _without(items: Sequence[int], position: int) -> Sequence[int]:
    return [*items[:position], *items[position + 1 :]] if items else items
