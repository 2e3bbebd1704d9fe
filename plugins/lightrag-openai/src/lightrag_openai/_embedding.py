"""
Embeddings.

Wire format: https://platform.openai.com/docs/api-reference/embeddings
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import attrs
import numpy as np
import numpy.typing as npt

from lightrag_openai._client import JSON, Client
from lightrag_openai.options import VectorOptions
from ragcore import (
    ContextLengthError,
    EmbeddingRequest,
    Embeddings,
    ProviderError,
    UnavailableError,
    UnsupportedError,
    Usage,
)
from ragcore.wire import count, table, text_in, unlike, vector

Vector = npt.NDArray[np.float32]


class OpenAIEmbedding:
    """Asks for embeddings."""

    def __init__(self, client: Client, model_name: str, options: VectorOptions) -> None:
        self._client = client
        self._model_name = model_name

    async def embed(self, request: EmbeddingRequest) -> Embeddings:
        """
        Embed the texts of *request*.

        The service cuts nothing by itself. With ``truncate="end"``, a text that it finds too long
        is cut here until it takes it; of several, the host finds out which.
        """
        try:
            return await self._ask(request.texts, request)
        except ContextLengthError as exc:
            if request.truncate == "error":
                exc.positions = exc.positions or _too_long(request.texts, exc)
            elif len(request.texts) == 1:
                return await self._cut(request, exc)
            raise

    async def _cut(self, request: EmbeddingRequest, error: ContextLengthError) -> Embeddings:
        [text] = request.texts
        for _ in range(_CUTS):
            text = text[: int(len(text) * _share_to_keep(str(error)))]
            if not text:
                break
            try:
                found = await self._ask([text], request)
            except ContextLengthError as exc:
                error = exc
            else:
                return attrs.evolve(found, truncated=(0,))
        raise error

    async def _ask(self, texts: Sequence[str], request: EmbeddingRequest) -> Embeddings:
        answer, _ = await self._client.answer("/embeddings", self._body(texts, request))
        if not isinstance(answer.get("data"), list):
            raise unlike(answer, "list of vectors", *self._client.place)
        return _embeddings(answer, len(texts))

    def _body(self, texts: Sequence[str], request: EmbeddingRequest) -> JSON:
        row, options = self._client.row, request.options
        body = {
            "model": self._client.name_of(row.model_for(self._model_name, request.input_type)),
            "input": list(texts),
            "encoding_format": options.encoding_format or row.encoding_format,
            "dimensions": request.dimensions,
            "user": options.user,
            "input_type": (options.input_types or row.input_types).get(request.input_type),
        }
        for name in row.refuses:
            if getattr(options, name, None) is not None:
                raise UnsupportedError(f"{row.name}: {name}: it takes no such option.")
        said = {name: value for name, value in body.items() if value is not None}
        return said | (options.extra_body or {})


_CUTS = 6
# Text is denser in some places than in others: a little less than the share that it comes to.
_MARGIN = 0.95
_LIMIT_AND_SIZE = (
    re.compile(r"maximum context length (?:is|of) (\d+) tokens.*?(?:requested|has|have|in) (\d+)"),
    re.compile(r"less than (\d+) tokens\. Given: (\d+)"),
)


def _share_to_keep(message: str) -> float:
    """Return how much of a text to keep: what the service says of limit and size, or half."""
    for pattern in _LIMIT_AND_SIZE:
        if match := pattern.search(message):
            limit, size = int(match[1]), int(match[2])
            if limit < size:
                return _MARGIN * limit / size
    return 0.5


def _too_long(texts: Sequence[str], error: ContextLengthError) -> tuple[int, ...]:
    """Return which texts the service means, where its message leaves no doubt."""
    if match := re.search(r"input\[(\d+)\]", str(error)):
        return (int(match[1]),)
    limit = re.search(r"maximum context length (?:is|of) (\d+)", str(error))
    # A text has no more tokens than bytes.
    sizes = [len(text.encode()) for text in texts]
    possible = [i for i, size in enumerate(sizes) if not limit or size > int(limit[1])]
    return tuple(possible) if len(possible) == 1 else ()


def _embeddings(answer: JSON, texts: int) -> Embeddings:
    rows = answer["data"]
    usage = answer.get("usage")
    tokens = count(usage, "prompt_tokens") or count(usage, "total_tokens")
    return Embeddings(
        table([_vector(row) for row in _in_order(rows)], texts),
        usage=None if tokens is None else Usage(tokens),
        model=text_in(answer, "model") or None,
    )


def _in_order(rows: Iterable[Any]) -> list[Mapping[str, Any]]:
    rows = list(rows)
    if not all(isinstance(row, Mapping) for row in rows):
        raise UnavailableError("what came back is no list of vectors")
    indices = [row.get("index") for row in rows]
    if all(index is None for index in indices):
        return rows
    if sorted(map(str, indices)) != sorted(map(str, range(len(rows)))):
        raise ProviderError(f"the vectors that came back are numbered {indices[:10]}")
    return sorted(rows, key=lambda row: int(row["index"]))


def _vector(row: Mapping[str, Any]) -> Vector:
    value = row.get("embedding")
    if not isinstance(value, str):
        return vector(value)
    try:
        decoded = np.frombuffer(base64.b64decode(value, validate=True), "<f4")
    except (binascii.Error, ValueError) as exc:
        raise ProviderError(f"a vector that came back can't be understood: {exc}") from exc
    if not decoded.size:
        raise ProviderError("a vector that came back is empty")
    return decoded
