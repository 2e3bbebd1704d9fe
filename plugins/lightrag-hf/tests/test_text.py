"""Tests of text out of tokens."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from lightrag_hf._text import TextStream, Vocabulary

TEXTS = ["The fox, the fox!", "Grüße, 世界 👩‍🚀", "", "é" * 5, "a\n\n b"]


class SlowTokenizer:
    """The tiny tokenizer, passed off as one that is not written in Rust."""

    is_fast = False

    def __init__(self, tokenizer: Any) -> None:
        self._tokenizer = tokenizer

    def __getattr__(self, name: str) -> Any:
        return getattr(self._tokenizer, name)


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


@pytest.fixture(scope="session")
def tokenizers(word_tokenizer: PreTrainedTokenizerFast) -> dict[str, PreTrainedTokenizerFast]:
    """Return tokenizers whose decoders look back, by what they are."""
    words = ["[UNK]", *"an'tsm.", "ve", " ", " .", " n", " '", "don", "  ", "an"]
    cleaned = Tokenizer(models.Unigram([(word, -1.0) for word in words], unk_id=0))
    cleaned.decoder = decoders.Fuse()
    cleaned.add_special_tokens(["<s>"])
    parts = {
        word: n for n, word in enumerate(["[UNK]", "do", "##n", "'", "t", ".", "##é", "[SEP]"])
    }
    wordpiece = Tokenizer(models.WordPiece(parts, unk_token="[UNK]"))
    wordpiece.decoder = decoders.WordPiece(cleanup=True)
    return {
        "words": word_tokenizer,
        "cleaned": PreTrainedTokenizerFast(  # type: ignore[no-untyped-call]  # as it is there
            tokenizer_object=cleaned, clean_up_tokenization_spaces=True
        ),
        "pieces": PreTrainedTokenizerFast(  # type: ignore[no-untyped-call]  # as it is there
            tokenizer_object=wordpiece, unk_token="[UNK]", sep_token="[SEP]"
        ),
    }


def pieces(tokenizer: Any, tokens: list[int], stop: tuple[str, ...] = ()) -> list[str]:
    stream = TextStream(Vocabulary(tokenizer), stop)
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


@given(data=st.data())
@pytest.mark.parametrize("kind", ["words", "cleaned", "pieces"])
def test_what_later_tokens_change_is_held_back(
    kind: str, tokenizers: dict[str, PreTrainedTokenizerFast], data: st.DataObject
) -> None:
    """Broken bytes, prefixes and cleaned spaces come out as in a text that is decoded at once."""
    tokenizer = tokenizers[kind]
    tokens = data.draw(st.lists(st.integers(0, len(tokenizer) - 1), max_size=30))
    wanted = tokenizer.decode(tokens, skip_special_tokens=True)

    assert "".join(pieces(tokenizer, tokens)) == wanted


def test_a_broken_character_spoils_the_bytes_before_it(
    word_tokenizer: PreTrainedTokenizerFast,
) -> None:
    """A row of bytes is whole or broken, so it waits for its end; nothing of the answer is lost."""
    tokens = ["▁the", "<0xC3>", "<0xA9>", "<0xE2>", "▁fox", "es"]
    found = pieces(word_tokenizer, [word_tokenizer.vocab[token] for token in tokens])

    assert found == ["the", "", "", "", "\ufffd\ufffd\ufffd fox", "es", ""]


def test_a_stop_string_ends_the_answer_before_a_row_of_bytes_does(
    word_tokenizer: PreTrainedTokenizerFast,
) -> None:
    """A line break, often a byte, stops at once."""
    stream = TextStream(Vocabulary(word_tokenizer), ["\n"])
    tokens = [word_tokenizer.vocab[token] for token in ("▁fox", "<0x0A>")]

    assert [stream.add(token) for token in tokens] == ["fox", ""]
    assert stream.is_stopped


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


def test_a_stop_string_may_be_a_special_token(tiny_tokenizer: PreTrainedTokenizerFast) -> None:
    """It ends the answer, alone or with text around it, and is not in it."""
    tokens = tiny_tokenizer.encode("Blue.\n<|im_end|>\nRed.<|im_end|> Grey.")

    for stop, wanted in {
        "<|im_end|>": "Blue.\n",
        "\n<|im_end|>": "Blue.",
        ".<|im_end|>": "Blue.\n\nRed",
        "<|im_end|> Gr": "Blue.\n\nRed.",
        "<|im_start|>": "Blue.\n\nRed. Grey.",
        "<|im_end|>!": "Blue.\n\nRed. Grey.",
    }.items():
        assert "".join(pieces(tiny_tokenizer, tokens, (stop,))) == wanted
