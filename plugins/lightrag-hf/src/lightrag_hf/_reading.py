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
        if recipe.chat is not None:
            # Nothing in common but what the template puts behind them.
            self._cutter.keep_common_tail(self._written("", "0"), self._written("", "1 2 3 4"))
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
    ids: list[int]
    types: list[int]
    is_cut: bool


class _Cutter:
    """
    Cuts texts to the model's length.

    What a tokenizer, or a chat template, puts behind every text stays behind a cut one: it is
    there that decoders are asked.
    """

    def __init__(self, tokenizer: PreTrainedTokenizerBase, recipe: Recipe) -> None:
        self._limit = recipe.max_length
        self._has_special = recipe.chat is None
        self._cuts_left = tokenizer.truncation_side == "left"
        self._leading, self._tail = 0, list[int]()

    def cut(self, texts: Sequence[str]) -> list[_Piece]:
        raise NotImplementedError

    def keep_common_tail(self, one: str, other: str) -> None:
        """Keep what both texts end with behind those that are cut."""
        pieces = self.cut([one, other])
        self._tail = _common_tail(*(piece.ids for piece in pieces))

    def _piece(self, ids: list[int], types: list[int]) -> _Piece:
        if self._limit is None or len(ids) <= self._limit:
            return _Piece(ids, types, is_cut=False)
        return _Piece(self._shortened(ids, self._limit), types[: self._limit], is_cut=True)

    def _shortened(self, ids: list[int], length: int) -> list[int]:
        if self._cuts_left:
            return ids[: self._leading] + ids[len(ids) - length + self._leading :]
        return ids[: length - len(self._tail)] + self._tail


class _FastCutter(_Cutter):
    """
    Cuts with the tokenizer's Rust half.

    One token more than the limit is asked for: whoever gets it knows that the text is too long
    without the rest, of which a long text has millions, ever becoming Python objects.
    """

    def __init__(self, tokenizer: PreTrainedTokenizerBase, recipe: Recipe) -> None:
        super().__init__(tokenizer, recipe)
        self._backend: Tokenizer = tokenizer.backend_tokenizer
        self._has_types = "token_type_ids" in tokenizer.model_input_names
        if recipe.lower_case:
            _lower(self._backend)
        self._backend.no_padding()
        self._backend.no_truncation()
        [marked] = self._encode(["a"])
        self._leading, self._tail = _ends(marked.ids, marked.special_tokens_mask)
        if self._limit is not None:
            self._backend.enable_truncation(self._limit + 1, direction=tokenizer.truncation_side)

    def cut(self, texts: Sequence[str]) -> list[_Piece]:
        encodings = self._encode(texts)
        return [self._piece(one.ids, one.type_ids if self._has_types else []) for one in encodings]

    def _encode(self, texts: Sequence[str]) -> list[Encoding]:
        return self._backend.encode_batch_fast(list(texts), add_special_tokens=self._has_special)


class _SlowCutter(_Cutter):
    """Cuts with a tokenizer that is written in Python."""

    def __init__(self, tokenizer: PreTrainedTokenizerBase, recipe: Recipe) -> None:
        super().__init__(tokenizer, recipe)
        self._tokenizer = tokenizer
        whole = self._encode("a", return_special_tokens_mask=True)
        self._leading, self._tail = _ends(whole["input_ids"], whole["special_tokens_mask"])

    def cut(self, texts: Sequence[str]) -> list[_Piece]:
        found = [self._encode(text) for text in texts]
        return [self._piece(one["input_ids"], one.get("token_type_ids", [])) for one in found]

    def _encode(self, text: str, **options: Any) -> Any:
        return self._tokenizer(text, add_special_tokens=self._has_special, verbose=False, **options)


def _cutter(tokenizer: PreTrainedTokenizerBase, recipe: Recipe) -> _Cutter:
    is_fast = isinstance(getattr(tokenizer, "backend_tokenizer", None), Tokenizer)
    return _FastCutter(tokenizer, recipe) if is_fast else _SlowCutter(tokenizer, recipe)


def _lower(backend: Tokenizer) -> None:
    steps = [normalizers.Lowercase()] + ([backend.normalizer] if backend.normalizer else [])
    backend.normalizer = normalizers.Sequence(steps)


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
