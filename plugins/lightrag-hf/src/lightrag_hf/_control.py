"""
Control tokens, such as ``<|im_start|>``: those that a chat template writes, and no others.

A document that holds the text of one must not open a turn, so its text is read as any other.
"""

from __future__ import annotations

import functools
import json
import re
import secrets
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from tokenizers import Tokenizer

from lightrag_hf._prompt import encoded_by

_DIGITS = 6


class ControlTokens:
    """
    The control tokens of one tokenizer and one chat template.

    What a template is given is marked by numbers that no text can guess. The control tokens that
    are in what it writes then are its own.

    Args:
        tokenizer: As transformers loaded it.
        template: Text of the chat template.
    """

    def __init__(self, tokenizer: Any, template: str) -> None:
        self._tokenizer = tokenizer
        tokens = dict(_control_tokens(tokenizer, template))
        self._numbers = {token.content: number for number, token in tokens.items()}
        self._texts = list(self._numbers)
        self._places = {text: place for place, text in enumerate(self._texts)}
        longest_first = sorted(map(re.escape, self._texts), key=len, reverse=True)
        self._pattern = re.compile("|".join(longest_first) or "(?!)")
        # Digits stay what they are where templates, and tokenizers, change letters.
        self._key = str(10**15 + secrets.randbelow(10**15))
        self._mark = re.compile(rf"{self._key}(\d{{{_DIGITS}}})")
        self._is_normalized = any(token.normalized for token in tokens.values())

    def hidden(self, given: Any, but: Sequence[str] = ()) -> Any:
        """Return *given*, a text or what holds texts, with marks for control tokens save *but*."""
        if isinstance(given, Mapping):
            return {key: self.hidden(value, but) for key, value in given.items()}
        if isinstance(given, list | tuple):
            return [self.hidden(value, but) for value in given]
        if not isinstance(given, str):
            return given

        def mark(found: re.Match[str]) -> str:
            return found[0] if found[0] in but else self._numbered(self._places[found[0]])

        return self._pattern.sub(mark, given)

    def ended(self, text: str, place: int) -> str:
        """Return *text* with a mark, at the end of its last word, that says its *place*."""
        words = text.rstrip()
        return words + self._numbered(len(self._texts) + place) + text[len(words) :]

    def places(self, marked: str) -> set[int]:
        """Return the places of the texts whose ends are in *marked*."""
        count = len(self._texts)
        return {int(mark) - count for mark in self._mark.findall(marked) if int(mark) >= count}

    def is_forged(self, rendered: str, marked: str) -> bool:
        """
        Tell whether texts that were given make control tokens.

        Args:
            rendered: What the template made of the texts as they are.
            marked: What it made of those that were marked.
        """
        if self._is_normalized and self._tokenizer.is_fast:
            # What is a control token only after normalisation is not found in the text.
            return self._tokenizer.backend_tokenizer.normalizer is not None
        return len(self._pattern.findall(rendered)) != len(self._pattern.findall(marked))

    def encoded(self, marked: str) -> list[int]:
        """Return the tokens of what was rendered; only the template's own control tokens are."""
        if not self._tokenizer.is_fast:
            return list(self._encoded_in_parts(marked))
        text = self._pattern.sub(lambda found: self._key + found[0], marked)
        return encoded_by(self._renamed, self._restored(text))

    def _encoded_in_parts(self, marked: str) -> Iterator[int]:
        end = 0
        for found in self._pattern.finditer(marked):
            yield from self._plain(marked[end : found.start()])
            yield self._numbers[found[0]]
            end = found.end()
        yield from self._plain(marked[end:])

    def _plain(self, marked: str) -> list[int]:
        tokenizer = self._tokenizer
        pieces = tokenizer.tokenize(self._restored(marked), split_special_tokens=True)
        tokens: list[int] = tokenizer.convert_tokens_to_ids(pieces)
        return tokens

    def _numbered(self, number: int) -> str:
        return f"{self._key}{number:0{_DIGITS}d}"

    def _restored(self, marked: str) -> str:
        def text_of(mark: re.Match[str]) -> str:
            return "".join(self._texts[int(mark[1]) : int(mark[1]) + 1])

        return self._mark.sub(text_of, marked)

    @functools.cached_property
    def _renamed(self) -> Tokenizer:
        """The tokenizer, which knows its control tokens by names that no text can guess."""
        names = {text: self._key + text for text in self._texts}
        return _renamed(self._tokenizer.backend_tokenizer, names)


def _control_tokens(tokenizer: Any, template: str) -> Iterator[tuple[int, Any]]:
    """
    Yield special tokens, and others of the look of ``<|user|>`` or that *template* writes.

    Not all added tokens are: some are rows of spaces, or words of a trade.
    """
    special = set(tokenizer.all_special_tokens)
    for number, token in tokenizer.added_tokens_decoder.items():
        is_markup = token.content.startswith("<|") or token.content in template
        is_special = token.special or token.content in special
        if is_special or (is_markup and re.search(r"[^\w\s]", token.content)):
            yield number, token


def _renamed(tokenizer: Tokenizer, names: Mapping[str, str]) -> Tokenizer:
    """Return a copy of *tokenizer*, in which the tokens *names* have other names."""
    parts = json.loads(tokenizer.to_str())
    for token in parts["added_tokens"]:
        token["content"] = names.get(token["content"], token["content"])
    model = parts["model"]
    # A model that knows a token by its name finds it in text too, as Unigram finds "</s>".
    if isinstance(model["vocab"], list):
        model["vocab"] = [[names.get(text, text), score] for text, score in model["vocab"]]
    else:
        model["vocab"] = {names.get(text, text): n for text, n in model["vocab"].items()}
    unknown = model.get("unk_token")
    model["unk_token"] = names.get(unknown, unknown)
    if "merges" in model:
        model["merges"] = [pair for pair in model["merges"] if not _makes(pair, names)]
    # It names tokens, and writes what the template writes already.
    parts["post_processor"] = None
    return Tokenizer.from_str(json.dumps(parts))


def _makes(pair: Sequence[str] | str, names: Mapping[str, str]) -> bool:
    one, other = pair.split(" ") if isinstance(pair, str) else pair
    return not names.keys().isdisjoint((one, other, one + other))
