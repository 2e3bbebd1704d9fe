"""Text out of tokens, piece by piece."""

from __future__ import annotations

import itertools
import re
from collections.abc import Sequence
from functools import partial
from typing import Any

from tokenizers import models

_INCOMPLETE = "\N{REPLACEMENT CHARACTER}"

# The host parts reasoning from text by these, and some tokenizers call them special.
_SHOWN = ("<think>", "</think>")

# No change by a tokenizer's clean-up of spaces begins before such a space and ends behind it.
_SETTLED_SPACE = re.compile(r"(?<=\w) (?=[^\Wn])")


class Vocabulary:
    """
    What all answers of one tokenizer have in common.

    Attributes:
        special: Texts of the tokens that are no part of an answer, by their numbers.
        byte_tokens: Tokens that stand for one byte; of several in a row, a broken one spoils all.
        is_cleaned: The tokenizer takes away spaces before punctuation.
    """

    def __init__(self, tokenizer: Any) -> None:
        self.tokenizer = tokenizer
        self.special: dict[int, str] = dict(
            zip(tokenizer.all_special_ids, tokenizer.all_special_tokens, strict=True)
        )
        self.byte_tokens: frozenset[int] = frozenset()
        self.is_cleaned: bool = tokenizer.clean_up_tokenization_spaces
        self._decode = partial(tokenizer.decode, clean_up_tokenization_spaces=False)
        if tokenizer.is_fast:
            added = tokenizer.added_tokens_decoder.items()
            self.special = {number: token.content for number, token in added if token.special}
            backend = tokenizer.backend_tokenizer
            found = [backend.token_to_id(f"<0x{byte:02X}>") for byte in range(256)]
            self.byte_tokens = frozenset(number for number in found if number is not None)
            # transformers leaves the spaces of BPE as they are, whatever the flag says.
            self.is_cleaned = self.is_cleaned and not isinstance(backend.model, models.BPE)
            # Of a tokenizer that is written in Rust, that half alone takes a quarter of the time.
            self._decode = backend.decode

    def text(self, tokens: list[int]) -> str:
        """Return the text of *tokens*, with the spaces that the tokenizer would take away."""
        text: str = self._decode(tokens, skip_special_tokens=True)
        return text


class TextStream:
    """
    Turns the tokens of one answer into its text, up to the first stop string.

    The pieces joined are what ``tokenizer.decode(tokens, skip_special_tokens=True)`` returns,
    cut before the stop string. Text that the next token may change is held back, and so is text
    that may begin a stop string. Special tokens are no text, but a stop string may name them.
    """

    def __init__(self, vocabulary: Vocabulary, stop: Sequence[str] = ()) -> None:
        self._special = vocabulary.special
        self._decoder = _Decoder(vocabulary)
        self._stop = tuple(filter(None, stop))
        self._held = ""
        self._is_shown: list[bool] = []
        self.is_stopped = False

    def add(self, token: int) -> str:
        """Return the text that *token* completes, often a word, sometimes nothing."""
        special = self._special.get(token)
        if special is not None:
            return self._with_special(special)
        piece = self._decoder.add(token)
        if not piece and self._is_stop_in(self._held + self._decoder.rest()):
            piece = self._decoder.flush()
        return self._released(piece)

    def end(self) -> str:
        """Return what was held back."""
        piece = self._released(self._decoder.flush())
        return piece + "".join(itertools.compress(self._held, self._is_shown))

    def _with_special(self, special: str) -> str:
        if special in _SHOWN:
            return self._released(self._decoder.flush() + special)
        if any(special in stop for stop in self._stop):
            return self._released(self._decoder.flush(), special)
        return ""

    def _released(self, piece: str, hidden: str = "") -> str:
        """Return what may be shown of the text held, *piece*, and *hidden*, which is not shown."""
        if self.is_stopped:
            return ""
        if not self._stop:
            return piece
        text = self._held + piece + hidden
        is_shown = self._is_shown + [True] * len(piece) + [False] * len(hidden)
        found = [at for stop in self._stop if (at := text.find(stop)) >= 0]
        self.is_stopped = bool(found)
        end = len(text) - max(_overlap(text, stop) for stop in self._stop)
        end = min(found, default=end)
        self._held, self._is_shown = ("", []) if found else (text[end:], is_shown[end:])
        return "".join(itertools.compress(text[:end], is_shown))

    def _is_stop_in(self, text: str) -> bool:
        return any(stop in text for stop in self._stop)


def _overlap(text: str, stop: str) -> int:
    """Return how many characters at the end of *text* are the beginning of *stop*."""
    longest = min(len(text), len(stop) - 1)
    return next((n for n in range(longest, 0, -1) if text.endswith(stop[:n])), 0)


class _Decoder:
    """
    Decodes the last few tokens with and without the new one.

    A token's text depends on its neighbours (accents, spaces between words), hence the few. What
    the next token may change is held back: half a character, a row of bytes, and the last word
    where spaces are cleaned up.
    """

    def __init__(self, vocabulary: Vocabulary) -> None:
        self._vocabulary = vocabulary
        self._tokens: list[int] = []
        self._begin = 0
        self._done = 0
        self._uncleaned = ""

    def add(self, token: int) -> str:
        """Return the text that is settled now."""
        self._tokens.append(token)
        if token in self._vocabulary.byte_tokens:
            return ""
        piece = self._undone()
        if not piece or piece.endswith(_INCOMPLETE):
            return ""
        self._begin, self._done = self._done, len(self._tokens)
        return self._settled(piece)

    def rest(self) -> str:
        """Return the text that is held back."""
        return self._cleaned(self._uncleaned + self._undone())

    def flush(self) -> str:
        """Return the text that is held back, settled or not."""
        rest = self.rest()
        # Tokens before the first undone one stay: what follows is decoded behind them.
        self._done, self._uncleaned = len(self._tokens), ""
        return rest

    def _undone(self) -> str:
        if self._done == len(self._tokens):
            return ""
        before = self._vocabulary.text(self._tokens[self._begin : self._done])
        return self._vocabulary.text(self._tokens[self._begin :])[len(before) :]

    def _settled(self, piece: str) -> str:
        if not self._vocabulary.is_cleaned:
            return piece
        text = self._uncleaned + piece
        end = max((found.start() for found in _SETTLED_SPACE.finditer(text)), default=0)
        self._uncleaned = text[end:]
        return self._cleaned(text[:end])

    def _cleaned(self, text: str) -> str:
        if not self._vocabulary.is_cleaned:
            return text
        cleaned: str = self._vocabulary.tokenizer.clean_up_tokenization(text)
        return cleaned
