"""Parts what a model thinks, between ``<think>`` and ``</think>``, from what it says."""

from __future__ import annotations

import re

_OPEN, _CLOSE = "<think>", "</think>"


class ThinkingSplitter:
    """
    Parts a streamed text into text and reasoning; tags may be broken over pieces.

    Only a text that begins with ``<think>`` (white space aside) has reasoning: further on, the tag
    is something that the model talks about. White space around the reasoning is dropped.

    Args:
        opened: The prompt has opened the reasoning already, as chat templates do: the text begins
            within, and needs no ``<think>``.
    """

    def __init__(self, *, opened: bool = False) -> None:
        self._held = ""
        self._where = "before"
        self._without_tag = "opened" if opened else "text"

    def feed(self, piece: str) -> tuple[str, str]:
        """Return the text and the reasoning in *piece*, and what was held back before it."""
        self._held += piece
        reasoning = ""
        if self._where == "before":
            self._look_for_beginning()
        if self._where == "opened":
            self._held = self._held.lstrip()
            self._where = "thinking" if self._held else "opened"
        if self._where == "thinking":
            reasoning = self._look_for_end()
        if self._where == "after" and self._held:
            self._held = self._held.lstrip()
            self._where = "text" if self._held else "after"
        if self._where != "text":
            return "", reasoning
        text, self._held = self._held, ""
        return text, reasoning

    def end(self) -> tuple[str, str]:
        """Return what was held back: text, or reasoning that was never closed."""
        held, self._held = self._held, ""
        if self._where == "thinking":
            return "", held.rstrip()
        is_thought = self._where == "before" and self._without_tag == "opened"
        return ("", held.strip()) if is_thought else (held, "")

    def _look_for_beginning(self) -> None:
        begun = self._held.lstrip()
        if begun.startswith(_OPEN):
            self._held = begun.removeprefix(_OPEN)
            self._where = "opened"
        elif not _OPEN.startswith(begun):
            self._where = self._without_tag

    def _look_for_end(self) -> str:
        reasoning, closed, rest = self._held.partition(_CLOSE)
        if closed:
            self._held, self._where = rest, "after"
            return reasoning.rstrip()
        # What may be the beginning of the tag, and the white space before it, has to wait.
        kept = re.search(r"\s*(<(/(t(h(i(n(k)?)?)?)?)?)?)?$", self._held)
        at = kept.start() if kept else len(self._held)
        reasoning, self._held = self._held[:at], self._held[at:]
        return reasoning


def split_thinking(text: str, *, opened: bool = False) -> tuple[str, str]:
    """Return the text and the reasoning of an answer in one piece."""
    splitter = ThinkingSplitter(opened=opened)
    said, thought = splitter.feed(text)
    more_said, more_thought = splitter.end()
    return said + more_said, thought + more_thought
