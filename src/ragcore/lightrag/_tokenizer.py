"""``tokenizer``: what LightRAG counts and cuts text by."""

from __future__ import annotations

import functools
import hashlib
import logging
import os
import re
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import attrs

from ragcore._calls.opening import Opening, resolve_completion, resolve_embedding, split_reference
from ragcore._discovery.loading import registry
from ragcore.lightrag._engine import engines_own

if TYPE_CHECKING:
    import tiktoken

_log = logging.getLogger("ragcore")

# Where tiktoken gets its files, by whose addresses it names its copies. The first that is here is
# taken for a model that tiktoken does not know, too.
_FILES = {
    name: f"https://openaipublic.blob.core.windows.net/encodings/{name}.tiktoken"
    for name in ("o200k_base", "cl100k_base", "p50k_base", "r50k_base")
}

_SURROGATE = re.compile("[\ud800-\udfff]")


def tokenizer(reference: str, **options: Any) -> Any:
    """
    Make LightRAG's ``tokenizer`` out of a model's, so that it does not download one.

    Where the provider brings none, tiktoken's stands in if its file is on this machine already.
    Else each byte of UTF-8 is counted: no model that reads bytes, as all in use do, makes more
    tokens of a text, and chunks come out smaller than they may be; a line in the log says so.

    Args:
        reference: ``"provider:model"``.
        options: As in :func:`ragcore.embedding`, or :func:`ragcore.completion` for a provider that
            does not embed; read where the provider brings a tokenizer.

    Returns:
        LightRAG's own ``Tokenizer``, safe to use from several threads. What it decodes of a slice
        of an encoding is a literal piece of the text: LightRAG keeps it as the text of a chunk.

    Raises:
        UnknownProviderError: Nothing installed goes by that name.
        PluginError: The plugin is broken.
        OptionsError: Options are missing, unknown or invalid; all problems at once.
    """
    name, model_name = split_reference(reference)
    registry().any_provider(name)
    if _brings_one("embedding", name):
        found = resolve_embedding(reference, options).tokenizer()
    elif _brings_one("completion", name):
        found = resolve_completion(reference, options).tokenizer()
    else:
        found = stand_in(model_name) or _bytes_of(reference)
    return _class()(model_name, found)


def _brings_one(task: Literal["completion", "embedding"], name: str) -> bool:
    claim = registry().claims.get((task, name))
    return claim is not None and claim.record.tokenizer is not None


def of_openings(*openings: Opening[Any]) -> Any:
    """Return LightRAG's object for the first of *openings* whose provider brings a tokenizer."""
    bring_one = (opening for opening in openings if opening.provider.tokenizer is not None)
    opening = next(bring_one, openings[0])
    return _class()(opening.model_name, Later(opening))


@attrs.frozen(slots=False)
class Later:
    """A tokenizer that is found, perhaps fetched, when the first text is counted."""

    _opening: Opening[Any]

    @functools.cached_property
    def _found(self) -> Any:
        return counting(self._opening) or _bytes_of(self._opening.reference)

    def encode(self, text: str) -> Any:
        """Return the tokens of *text*."""
        return self._found.encode(text)

    def decode(self, tokens: Sequence[int]) -> str:
        """Return the text of *tokens*."""
        text: str = self._found.decode(tokens)
        return text


def counting(opening: Opening[Any]) -> Any | None:
    """Return what counts the tokens of *opening*'s model, if there is anything that does."""
    if opening.provider.tokenizer is not None:
        return opening.tokenizer()
    return stand_in(opening.model_name)


@functools.cache
def stand_in(model_name: str) -> Tiktoken | None:
    """Return tiktoken's tokenizer for *model_name* where it needs no download."""
    try:
        import tiktoken
    except ImportError:
        return None
    try:
        known = [tiktoken.encoding_name_for_model(model_name)]
    except KeyError:
        known = []
    here = next((name for name in (*known, *_FILES) if _is_here(name)), None)
    return None if here is None else Tiktoken(tiktoken.get_encoding(here))


def _is_here(encoding: str) -> bool:
    """Whether tiktoken has kept the file of *encoding*."""
    if encoding not in _FILES:
        return False
    names = ("TIKTOKEN_CACHE_DIR", "DATA_GYM_CACHE_DIR")
    folders = [os.environ[name] for name in names if name in os.environ]
    folder = folders[0] if folders else Path(tempfile.gettempdir(), "data-gym-cache")
    key = hashlib.sha1(_FILES[encoding].encode(), usedforsecurity=False).hexdigest()
    return bool(folder) and Path(folder, key).is_file()


@functools.cache
def _bytes_of(reference: str) -> Utf8:
    _log.warning(
        "%s: nothing here counts the model's tokens, so the bytes of a text are counted, which are "
        "more: LightRAG's chunks come out smaller. Hand it tokenizer('hf:MODEL') of a similar "
        "model, or put tiktoken's file into TIKTOKEN_CACHE_DIR",
        reference,
    )
    return Utf8()


class Token(int):
    """A token's number, which knows the piece of the text that it stands for."""

    text: str


class Tiktoken:
    """
    Counts as tiktoken does, and decodes to the very text that was encoded.

    Args:
        encoding: Of tiktoken; what looks like a special token is text to it.
    """

    def __init__(self, encoding: tiktoken.Encoding) -> None:
        self._encoding = encoding

    def encode(self, text: str) -> list[Token]:
        """Return the tokens of *text*."""
        # A lone surrogate is no character, and what stands for it must not move the others.
        encodable = _SURROGATE.sub("\N{REPLACEMENT CHARACTER}", text)
        numbers = self._encoding.encode(encodable, disallowed_special=())
        _, starts = self._encoding.decode_with_offsets(numbers)
        return list(_with_pieces(text, numbers, [*starts[1:], len(text)]))

    def decode(self, tokens: Sequence[int]) -> str:
        """Return the text of *tokens*: for a slice of an encoding, a piece of the text."""
        pieces = [token.text for token in tokens if isinstance(token, Token)]
        return "".join(pieces) if len(pieces) == len(tokens) else self._encoding.decode(tokens)


def _with_pieces(text: str, numbers: Sequence[int], ends: Sequence[int]) -> Iterator[Token]:
    """Cut *text* where its tokens end; of several in one character, the last gets it."""
    begin = 0
    for number, end in zip(numbers, ends, strict=False):
        token = Token(number)
        token.text = text[begin:end]
        yield token
        begin = end


class Utf8:
    """Has a token for each byte of UTF-8; the first of a character stands for all of it."""

    _REST = 0x110000

    def encode(self, text: str) -> list[int]:
        """Return the tokens of *text*."""
        tokens = []
        for character in text:
            size = len(character.encode(errors="surrogatepass"))
            tokens += [ord(character), *[self._REST] * (size - 1)]
        return tokens

    def decode(self, tokens: Sequence[int]) -> str:
        """Return the text of *tokens*: for a slice of an encoding, a piece of the text."""
        return "".join(chr(token) for token in tokens if token != self._REST)


@functools.cache
def _class() -> Any:
    # LightRAG copies it with every query; one that serves many threads can serve all copies.
    return type("Tokenizer", (engines_own("Tokenizer"),), {"__deepcopy__": lambda self, _: self})
