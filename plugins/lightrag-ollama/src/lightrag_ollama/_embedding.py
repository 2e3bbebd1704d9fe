"""
Embeds by ``/api/embed``.

Source:
    https://docs.ollama.com/api/embed
"""

from __future__ import annotations

from typing import Any

import attrs

from lightrag_ollama._answers import strange, whole
from lightrag_ollama._connect import Servers
from lightrag_ollama._models import answering
from lightrag_ollama.options import OllamaEmbeddingOptions, entries
from ragcore import ContextLengthError, EmbeddingRequest, Embeddings, Usage
from ragcore.wire import count, table, vector

# No model that Ollama offers for embedding reads fewer tokens, and a text has no more tokens than
# bytes, and two that mark its ends.
_SMALLEST_CONTEXT = 128
_MARKS = 2


class OllamaEmbedding:
    """
    One model.

    The service cuts texts without saying which. So it is asked not to cut, and where it refuses,
    the host halves the texts until those are alone that are too long: one request if none is, and
    else some more.
    """

    def __init__(self, servers: Servers, model_name: str, options: OllamaEmbeddingOptions) -> None:
        self._servers = servers
        self._model_name = model_name

    async def embed(self, request: EmbeddingRequest) -> Embeddings:
        """Embed the texts; one that is alone is cut if the request says so."""
        is_cutting = request.truncate == "end"
        if is_cutting and all(_fits(text, request) for text in request.texts):
            # Servers differ in how they refuse; where nothing can be cut that need not matter.
            return await self._ask(request, truncate=True)
        try:
            return await self._ask(request, truncate=False)
        except ContextLengthError:
            if not is_cutting or len(request.texts) > 1:
                raise
        return attrs.evolve(await self._ask(request, truncate=True), truncated=(0,))

    async def _ask(self, request: EmbeddingRequest, *, truncate: bool) -> Embeddings:
        options: OllamaEmbeddingOptions = request.options
        limit = request.attempt_timeout
        async with answering(self._servers, self._model_name, limit) as client:
            response: Any = await client.embed(
                self._servers.name(self._model_name),
                request.texts,
                truncate=truncate,
                # A dict: the SDK's own Options drops what it does not know, min_p for one.
                options=entries(options) or None,
                keep_alive=options.keep_alive,
                dimensions=request.dimensions,
            )
            answer = await whole(response, client.asked)
        rows, model = answer.get("embeddings"), answer.get("model")
        if not isinstance(rows, list):
            raise strange(answer, "list of vectors", client.asked)
        tokens = count(answer, "prompt_eval_count")
        return Embeddings(
            table([vector(row) for row in rows], len(request.texts)),
            usage=None if tokens is None else Usage(tokens),
            model=model if isinstance(model, str) else None,
        )


def _fits(text: str, request: EmbeddingRequest) -> bool:
    options: OllamaEmbeddingOptions = request.options
    context = min(options.num_ctx or _SMALLEST_CONTEXT, _SMALLEST_CONTEXT)
    return len(text.encode()) + _MARKS <= context
