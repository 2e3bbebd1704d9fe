"""
LightRAG's own classes where it is installed, and substitutes where it isn't.

LightRAG tells some of them by ``isinstance``, so :func:`engines_own` looks for its own ones first.
"""

from __future__ import annotations

import dataclasses
import functools
import importlib
import inspect
from collections.abc import Awaitable, Callable
from typing import Any

_HOMES = {
    "EmbeddingFunc": "lightrag.utils",
    "EmptyTruncatedResponseError": "lightrag.exceptions",
    "RoleLLMConfig": "lightrag.llm_roles",
    "Tokenizer": "lightrag.utils",
    "TruncatedResponse": "lightrag.utils",
    "wrap_embedding_func_with_attrs": "lightrag.utils",
}


@functools.cache
def engines_own(name: str) -> Any:
    """Return LightRAG's own class or function of that name, or what is below."""
    try:
        return getattr(importlib.import_module(_HOMES[name]), name)
    except (ImportError, AttributeError):
        return globals()[name]


class TruncatedResponse(str):
    """An answer that was cut, which is not to be cached."""

    __slots__ = ()


class EmptyTruncatedResponseError(RuntimeError):
    """The token limit cut the answer before anything usable came."""


class Tokenizer:
    """What LightRAG counts and cuts text by."""

    def __init__(self, model_name: str, tokenizer: Any) -> None:
        self.model_name = model_name
        self.tokenizer = tokenizer

    def encode(self, content: str) -> list[int]:
        return list(self.tokenizer.encode(content))

    def decode(self, tokens: list[int]) -> str:
        return str(self.tokenizer.decode(tokens))


@dataclasses.dataclass
class RoleLLMConfig:
    """A model for one of LightRAG's roles; None leaves a thing as it is for the others."""

    func: Callable[..., Any] | None = None
    kwargs: dict[str, Any] | None = None
    max_async: int | None = None
    timeout: int | None = None
    metadata: dict[str, Any] | None = None


@dataclasses.dataclass
class EmbeddingFunc:
    """
    A function that embeds, and what LightRAG has to know about it.

    Attributes:
        embedding_dim: Length of a vector.
        func: ``(texts, **arguments) -> vectors``, shape ``(len(texts), embedding_dim)``.
        max_token_size: Tokens that one text may have; LightRAG splits by it.
        send_dimensions: *func* takes ``embedding_dim``.
        model_name: Part of the name of LightRAG's collections.
        supports_asymmetric: *func* takes ``context``, ``"query"`` or ``"document"``.
    """

    embedding_dim: int
    func: Callable[..., Awaitable[Any]]
    max_token_size: int | None = None
    send_dimensions: bool = False
    model_name: str | None = None
    supports_asymmetric: bool = False

    def __post_init__(self) -> None:
        while isinstance(self.func, EmbeddingFunc):
            self.func = self.func.func

    async def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """
        Embed the texts of the first argument.

        Raises:
            ValueError: The vectors have another length, or there are more or fewer of them.
        """
        vectors = await self.func(*args, **self._arguments(kwargs))
        if args and vectors.shape != (len(args[0]), self.embedding_dim):
            raise ValueError(
                f"Vectors of shape {vectors.shape} came back; "
                f"{(len(args[0]), self.embedding_dim)} was expected."
            )
        return vectors

    def _arguments(self, given: dict[str, Any]) -> dict[str, Any]:
        arguments = dict(given)
        if self.send_dimensions:
            arguments["embedding_dim"] = self.embedding_dim
        if not self.supports_asymmetric:
            arguments.pop("context", None)
        takes_size = "max_token_size" in inspect.signature(self.func).parameters
        if takes_size and self.max_token_size is not None:
            arguments.setdefault("max_token_size", self.max_token_size)
        return arguments


def wrap_embedding_func_with_attrs(**attributes: Any) -> Callable[..., EmbeddingFunc]:
    """Make an :class:`EmbeddingFunc` with *attributes* of the decorated function."""

    def decorate(func: Callable[..., Awaitable[Any]]) -> EmbeddingFunc:
        return EmbeddingFunc(func=func, **attributes)

    return decorate
