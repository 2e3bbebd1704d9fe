"""Text out of tokens, piece by piece."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

_INCOMPLETE = "\N{REPLACEMENT CHARACTER}"


class TextStream:
    """
    Turns the tokens of one answer into its text, up to the first stop string.

    The pieces joined are what ``tokenizer.decode(tokens, skip_special_tokens=True)`` returns,
    cut before the stop string. Half a character is held back until the other half comes, and so
    is text that may begin a stop string.
    """

    def __init__(self, tokenizer: Any, stop: Sequence[str] = ()) -> None:
        self._decode = _Decoder(tokenizer)
        self._stop = tuple(filter(None, stop))
        self._held = ""
        self.is_stopped = False

    def add(self, token: int) -> str:
        """Return the text that *token* completes, often a word, sometimes nothing."""
        return self._released(self._decode.add(token))

    def end(self) -> str:
        """Return what was held back."""
        piece = self._released(self._decode.end())
        held, self._held = self._held, ""
        return piece + held

    def _released(self, piece: str) -> str:
        if self.is_stopped:
            return ""
        text = self._held + piece
        found = [at for stop in self._stop if (at := text.find(stop)) >= 0]
        if found:
            self.is_stopped, self._held = True, ""
            return text[: min(found)]
        split = len(text) - max((_overlap(text, stop) for stop in self._stop), default=0)
        self._held = text[split:]
        return text[:split]


def _overlap(text: str, stop: str) -> int:
    """Return how many characters at the end of *text* are the beginning of *stop*."""
    longest = min(len(text), len(stop) - 1)
    return next((n for n in range(longest, 0, -1) if text.endswith(stop[:n])), 0)


class _Decoder:
    """
    Decodes the last few tokens with and without the new one.

    A token's text depends on its neighbours (accents, spaces between words), hence the few.
    """

    def __init__(self, tokenizer: Any) -> None:
        # Of a tokenizer that is written in Rust, that half alone takes a quarter of the time.
        self._tokenizer = tokenizer.backend_tokenizer if tokenizer.is_fast else tokenizer
        self._tokens: list[int] = []
        self._begin = 0
        self._done = 0

    def add(self, token: int) -> str:
        self._tokens.append(token)
        piece = self.end()
        if not piece or piece.endswith(_INCOMPLETE):
            return ""
        self._begin, self._done = self._done, len(self._tokens)
        return piece

    def end(self) -> str:
        before = self._text(self._tokens[self._begin : self._done])
        return self._text(self._tokens[self._begin :])[len(before) :]

    def _text(self, tokens: list[int]) -> str:
        text: str = self._tokenizer.decode(tokens, skip_special_tokens=True)
        return text
