"""A model's tokens as pieces of the text itself."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from tokenizers import Tokenizer

from lightrag_hf import _files
from lightrag_hf._errors import translated
from lightrag_hf._files import ModelFiles
from lightrag_hf._kept import all_kept
from lightrag_hf._sentence_transformers import transformer_folder
from lightrag_hf.options import HFModelOptions, HFOptions
from ragcore import UnsupportedError

_SURROGATE = re.compile("[\ud800-\udfff]")


def open_tokenizer(
    model_name: str, options: HFModelOptions, *, connection: HFOptions | None = None
) -> LosslessTokenizer:
    """
    Return the tokenizer of *model_name*; needs no torch if the model has a ``tokenizer.json``.

    The one of a GGUF file is converted once, which takes some seconds.

    Raises:
        ProviderError: As :func:`lightrag_hf._files.configuration`.
        UnsupportedError: The model's tokenizer does not say where its tokens are.
    """
    files = _files.tokenizer(connection or HFOptions(), model_name, options.revision)
    with translated(model_name):
        folder = _folder(files)
        path = folder / "tokenizer.json"
        if path.is_file():
            return LosslessTokenizer(Tokenizer.from_file(str(path)))
        return LosslessTokenizer(_through_transformers(folder, options))


class Token(int):
    """A token's number, which knows the piece of the text that it stands for."""

    text: str


class LosslessTokenizer:
    """
    Counts as the model counts, and decodes to the very text that was encoded.

    A model's own ``decode`` may lower-case, drop accents and line breaks, and show unknown
    characters as ``[UNK]``; here each token keeps its piece of the text, with the white space
    before it. A text of white space alone may have no tokens.

    Safe to use from several threads. Copies are the same object: LightRAG copies it with
    every query.

    Args:
        backend: Given over: truncation and padding are switched off.
    """

    def __init__(self, backend: Tokenizer) -> None:
        backend.no_truncation()
        backend.no_padding()
        self._backend = backend

    def encode(self, text: str) -> list[Token]:
        """Return the tokens of *text*; of those that only mark beginning and end, none."""
        # A lone surrogate is no character, and what stands for it must not move the others.
        encodable = _SURROGATE.sub("\N{REPLACEMENT CHARACTER}", text)
        # Of the two, only encode_batch lets other threads run.
        [encoding] = self._backend.encode_batch([encodable], add_special_tokens=False)
        ends = [end for _, end in encoding.offsets]
        return list(_with_pieces(text, encoding.ids, [*ends[:-1], len(text)]))

    def decode(self, tokens: Sequence[int]) -> str:
        """Return the text of *tokens*: for a slice of an encoding, a piece of the text."""
        pieces = [token.text for token in tokens if isinstance(token, Token)]
        if len(pieces) == len(tokens):
            return "".join(pieces)
        return self._backend.decode(list(tokens))

    def __copy__(self) -> LosslessTokenizer:
        return self

    def __deepcopy__(self, memo: object) -> LosslessTokenizer:
        return self


def _with_pieces(text: str, numbers: Sequence[int], ends: Sequence[int]) -> Iterator[Token]:
    """Cut *text* where its tokens end; the first of several in one character gets it whole."""
    begin = 0
    for number, end in zip(numbers, ends, strict=False):
        token = Token(number)
        token.text = text[begin:end]
        yield token
        begin = max(begin, end)


def _folder(files: ModelFiles) -> Path:
    """Return where the tokenizer is; of a GGUF file, where one was put that can be loaded."""
    if files.gguf is None:
        return transformer_folder(files.folder)
    file = files.folder / files.gguf
    if found := all_kept(file):
        return found[0]
    from lightrag_hf._gguf import converted_tokenizer

    return converted_tokenizer(file)


def _through_transformers(folder: Path, options: HFModelOptions) -> Tokenizer:
    from transformers import AutoTokenizer

    found = AutoTokenizer.from_pretrained(
        folder, local_files_only=True, trust_remote_code=options.trust_remote_code
    )
    backend = getattr(found, "backend_tokenizer", None)
    if not isinstance(backend, Tokenizer):
        raise UnsupportedError(
            f"the tokenizer {type(found).__name__} in {str(folder)!r} does not say where "
            "its tokens are in the text; take the tokenizer of another model"
        )
    return backend
