"""
Embedding models, by InvokeModel: each family has a wire format of its own.

Source:
    https://docs.aws.amazon.com/bedrock/latest/userguide/model-parameters-titan-embed-text.html,
    model-parameters-titan-embed-mm.html, model-parameters-embed-v3.html and
    model-parameters-embed-v4.html
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

import attrs
import numpy as np
import numpy.typing as npt

from lightrag_bedrock._connect import Bedrock
from lightrag_bedrock._errors import translated
from lightrag_bedrock._families import CAPABILITIES, family_of
from lightrag_bedrock.options import BedrockEmbeddingOptions, Family
from ragcore import (
    ContextLengthError,
    EmbeddingRequest,
    Embeddings,
    InvalidRequestError,
    OptionsError,
    UnsupportedError,
    Usage,
)
from ragcore.wire import count, counted, object_in, table, unlike, vector

_COHERE_INPUT_TYPES = {"query": "search_query", "document": "search_document"}
_COHERE_TRUNCATE = {"error": "NONE", "end": "END"}

# Characters that the service takes in one text; what is longer it refuses, truncation or not.
_MOST_CHARACTERS: dict[Family, int] = {"titan-v1": 50_000, "titan-v2": 50_000, "cohere-v3": 2_048}

_TOKENS_HEADER = "x-amzn-bedrock-input-token-count"
_POSITION = re.compile(r"#/(?:texts|inputs)/(\d+)")
_TOO_MANY = re.compile(r"max input tokens: (\d+).*?token count: (\d+)", re.IGNORECASE)

# Of the part of a text that should fit, what is kept: tokens are not spread evenly.
_CAUTION = 0.95


class BedrockEmbedding:
    """One embedding model, asked by InvokeModel."""

    def __init__(self, client: Bedrock, model_name: str, options: BedrockEmbeddingOptions) -> None:
        family = _family(model_name, options)
        self._client = client
        self._model_name = model_name
        self._family: Family = family
        self._takes_dimensions = CAPABILITIES[family].dimensions

    async def embed(self, request: EmbeddingRequest) -> Embeddings:
        """Embed up to ``max_batch`` texts in one request; Titan takes one at a time."""
        self._check(request)
        if self._family.startswith("cohere"):
            return await self._embed_by_cohere(request)
        return await self._embed_by_titan(request)

    def _check(self, request: EmbeddingRequest) -> None:
        if request.dimensions and not self._takes_dimensions:
            raise UnsupportedError(
                f"bedrock:{self._model_name}: dimensions: the model's vectors have one length only"
            )
        if request.options.normalize is not None and self._family != "titan-v2":
            raise UnsupportedError(
                f"bedrock:{self._model_name}: normalize: Titan v2 alone can choose"
            )

    # --- Cohere -------------------------------------------------------------------------------

    async def _embed_by_cohere(self, request: EmbeddingRequest) -> Embeddings:
        texts = list(request.texts)
        cut: tuple[int, ...] = ()
        if request.truncate == "end":
            texts, cut = self._cut_to_characters(texts)
        body: dict[str, Any] = {
            "texts": texts,
            "input_type": _COHERE_INPUT_TYPES[request.input_type],
            "truncate": _COHERE_TRUNCATE[request.truncate],
        }
        if request.dimensions:
            body["output_dimension"] = request.dimensions
        if self._family == "cohere-v4":
            body["embedding_types"] = ["float"]
        answer = await self._ask(body, request)
        vectors = table(_cohere_vectors(answer.body), len(texts))
        return Embeddings(vectors, usage=answer.usage, truncated=cut)

    def _cut_to_characters(self, texts: Sequence[str]) -> tuple[list[str], tuple[int, ...]]:
        most = _MOST_CHARACTERS.get(self._family)
        cut = [n for n, text in enumerate(texts) if most is not None and len(text) > most]
        return [text[:most] for text in texts], tuple(cut)

    # --- Titan --------------------------------------------------------------------------------

    async def _embed_by_titan(self, request: EmbeddingRequest) -> Embeddings:
        # Of a profile that hides its family, too, one text comes at a time.
        [text] = request.texts
        whole = text
        if request.truncate == "end":
            [text], _ = self._cut_to_characters([text])
        while True:
            try:
                answer = await self._ask(self._titan_body(text, request), request)
            except ContextLengthError as exc:
                # Titan does not truncate: what it says is too long is asked again, shorter.
                if request.truncate == "error" or not (text := _shorter(text, exc)):
                    raise
            else:
                break
        return Embeddings(
            table([_titan_vector(answer.body)], 1),
            usage=answer.usage,
            truncated=(0,) if text != whole else (),
        )

    def _titan_body(self, text: str, request: EmbeddingRequest) -> dict[str, Any]:
        body: dict[str, Any] = {"inputText": text}
        if self._family == "titan-image":
            if request.dimensions:
                body["embeddingConfig"] = {"outputEmbeddingLength": request.dimensions}
            return body
        if request.dimensions:
            body["dimensions"] = request.dimensions
        if request.options.normalize is not None:
            body["normalize"] = request.options.normalize
        return body

    # --- both ---------------------------------------------------------------------------------

    async def _ask(self, body: dict[str, Any], request: EmbeddingRequest) -> _Answer:
        asked = json.dumps({**body, **(request.options.extra_fields or {})})
        try:
            with translated():
                return await self._client.threads.run(lambda: self._invoke(asked))
        except InvalidRequestError as exc:
            exc.positions = exc.positions or _positions(str(exc), len(request.texts))
            raise

    def _invoke(self, body: str) -> _Answer:
        answer = self._client.runtime.invoke_model(
            modelId=self._model_name,
            body=body,
            contentType="application/json",
            accept="application/json",
        )
        return _Answer.of(answer["body"].read(), answer["ResponseMetadata"]["HTTPHeaders"])


@attrs.frozen
class _Answer:
    body: Mapping[str, Any]
    usage: Usage | None

    @classmethod
    def of(cls, raw: bytes, headers: Mapping[str, str]) -> _Answer:
        body = object_in(raw, "list of vectors")
        tokens = count(body, "inputTextTokenCount")
        tokens = counted(headers, _TOKENS_HEADER) if tokens is None else tokens
        return cls(body, None if tokens is None else Usage(tokens))


def _family(model_name: str, options: BedrockEmbeddingOptions) -> Family:
    named = family_of(model_name)
    if options.family and named and options.family != named:
        # The host splits requests by what the name says.
        raise OptionsError(
            f"family: {options.family!r} is set, but {model_name} is a {named} model @ "
            "bedrock_embedding.family"
        )
    if (family := options.family or named) is None:
        raise UnsupportedError(
            f"bedrock:{model_name}: its name does not say how it embeds; pass family=, one of "
            f"{', '.join(CAPABILITIES)}"
        )
    return family


def _titan_vector(body: Mapping[str, Any]) -> npt.NDArray[np.float32]:
    if body.get("embedding") is None:
        raise unlike(body, "vector")
    return vector(body["embedding"])


def _cohere_vectors(body: Mapping[str, Any]) -> list[npt.NDArray[np.float32]]:
    match body:
        # Asked by type, the service answers by type.
        case {"embeddings": [*rows]} | {"embeddings": {"float": [*rows]}} if rows:
            return [*map(vector, rows)]
    raise unlike(body, "list of vectors")


def _positions(message: str, count: int) -> tuple[int, ...]:
    """Return which texts *message* is about; of a single text it needn't say."""
    if count == 1:
        return (0,)
    return tuple(sorted({int(position) for position in _POSITION.findall(message)}))


def _shorter(text: str, exc: ContextLengthError) -> str:
    """Return the beginning of *text* that should fit, by what the service counted, or half."""
    said = _TOO_MANY.search(exc.args[0])
    share = int(said[1]) / int(said[2]) * _CAUTION if said else 0.5
    return text[: min(int(len(text) * share), len(text) - 1)]
