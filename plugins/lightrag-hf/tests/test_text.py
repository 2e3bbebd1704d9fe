"""Tests of text out of tokens."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from lightrag_hf._text import TextStream

TEXTS = ["The fox, the fox!", "Grüße, 世界 👩‍🚀", "", "é" * 5, "a\n\n b"]


class SlowTokenizer:
    """The tiny tokenizer, passed off as one that is not written in Rust."""

    is_fast = False

    def __init__(self, tokenizer: Any) -> None:
        self.decode = tokenizer.decode


@pytest.fixture(scope="session")
def word_tokenizer() -> PreTrainedTokenizerFast:
    """Return a tokenizer whose words carry their spaces, with bytes for what it lacks."""
    words = ["<unk>", *(f"<0x{byte:02X}>" for byte in range(256)), "▁", "▁the", "▁fox", "es", ","]
    tokenizer = Tokenizer(
        models.BPE({word: n for n, word in enumerate(words)}, [], byte_fallback=True)
    )
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.decoder = decoders.Sequence(
        [
            decoders.Replace("▁", " "),
            decoders.ByteFallback(),
            decoders.Fuse(),
            decoders.Strip(" ", 1, 0),
        ]
    )
    return PreTrainedTokenizerFast(  # type: ignore[no-untyped-call]  # as it is there
        tokenizer_object=tokenizer, unk_token="<unk>"
    )


def pieces(tokenizer: Any, tokens: list[int], stop: tuple[str, ...] = ()) -> list[str]:
    stream = TextStream(tokenizer, stop)
    return [*[stream.add(token) for token in tokens], stream.end()]


@pytest.mark.parametrize("text", TEXTS)
def test_pieces_join_to_the_text(tiny_tokenizer: PreTrainedTokenizerFast, text: str) -> None:
    """The pieces are the text, with no half character in any of them."""
    tokens = tiny_tokenizer.encode(text)
    found = pieces(tiny_tokenizer, tokens)

    assert "".join(found) == text
    assert not any("\N{REPLACEMENT CHARACTER}" in piece for piece in found)
    assert "".join(pieces(SlowTokenizer(tiny_tokenizer), tokens)) == text


@given(tokens=st.lists(st.integers(0, 258), max_size=30))
def test_any_tokens_join_to_what_the_tokenizer_decodes(
    tiny_tokenizer: PreTrainedTokenizerFast, tokens: list[int]
) -> None:
    """Tokens that make no sense give the text that decoding them at once gives."""
    wanted = tiny_tokenizer.decode(tokens, skip_special_tokens=True)

    assert "".join(pieces(tiny_tokenizer, tokens)) == wanted


@given(text=st.text("the fox,é世 \n", max_size=20))
def test_words_with_spaces_join_to_what_the_tokenizer_decodes(
    word_tokenizer: PreTrainedTokenizerFast, text: str
) -> None:
    """So it is for tokenizers in the manner of SentencePiece, with bytes among the words."""
    tokens = word_tokenizer.encode(text)

    assert "".join(pieces(word_tokenizer, tokens)) == word_tokenizer.decode(tokens)


@given(
    text=st.text("ab", max_size=12),
    stop=st.lists(st.text("ab", min_size=1, max_size=4), max_size=3).map(tuple),
)
def test_text_ends_before_the_stop_string_that_is_complete_first(
    tiny_tokenizer: PreTrainedTokenizerFast, text: str, stop: tuple[str, ...]
) -> None:
    """Stop strings that are broken over tokens are found, and nothing of them is let out."""
    found = [(text.find(word) + len(word), text.find(word)) for word in stop if word in text]
    wanted = text[: min(found)[1]] if found else text

    assert "".join(pieces(tiny_tokenizer, tiny_tokenizer.encode(text), stop)) == wanted


def test_only_what_may_begin_a_stop_string_is_held_back(
    tiny_tokenizer: PreTrainedTokenizerFast,
) -> None:
    """Text that can't begin a stop string comes out at once."""
    found = pieces(tiny_tokenizer, tiny_tokenizer.encode("abXc"), ("XY",))

    assert found == ["a", "b", "", "Xc", ""]
