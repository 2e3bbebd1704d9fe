"""Halves of characters: refused in what goes out, joined in what comes in."""

from __future__ import annotations

from collections.abc import Sequence

from ragcore.errors import InvalidRequestError


def check_text(texts: Sequence[str], what: str) -> None:
    """
    Refuse texts that UTF-8 can't carry.

    Raises:
        InvalidRequestError: Names the text and the place in it.
    """
    for position, text in enumerate(texts):
        try:
            text.encode()
        except UnicodeEncodeError as exc:
            raise InvalidRequestError(
                f"{what} {position} holds a lone surrogate ({text[exc.start]!a}) "
                f"at character {exc.start}: half of a UTF-16 pair, which is no text; "
                "remove it, or decode the source with errors='replace'",
                positions=[position],
            ) from None


def mended(text: str) -> str:
    """Return *text* with the halves of pairs joined; U+FFFD stands for a half that is alone."""
    if text.isascii():
        return text
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


def whole_characters(piece: str) -> tuple[str, str]:
    """Return *piece* mended, and apart the first half of a pair at its end, which may go on."""
    has_half = "\ud800" <= piece[-1:] <= "\udbff"
    whole, half = (piece[:-1], piece[-1]) if has_half else (piece, "")
    return mended(whole), half
