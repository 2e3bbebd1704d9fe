"""
Models of any installed provider for LightRAG.

::

    from lightrag import LightRAG
    from ragcore.lightrag import embedding_func, llm_model_func, tokenizer

    rag = LightRAG(
        working_dir="…",
        llm_model_func=llm_model_func("openai:gpt-4o-mini"),
        llm_model_name="openai:gpt-4o-mini",  # part of the identity of LightRAG's cache
        embedding_func=embedding_func("hf:sentence-transformers/all-MiniLM-L6-v2"),
        tokenizer=tokenizer("hf:sentence-transformers/all-MiniLM-L6-v2"),
    )

Or as LightRAG's own variables say, for any installed provider::

    rag = LightRAG(**from_env(), working_dir="…")

Models are opened by the first call and stay open for as long as its event loop, or until
:func:`aclose`. LightRAG itself is imported when one of its classes is needed, if it is installed.

What comes in: references and options, or LightRAG's own variables. What goes out: functions and
objects that LightRAG takes. May be imported by applications and by :mod:`ragcore.cli`, which lists
LightRAG's variables.
"""

from typing import TYPE_CHECKING, Any

from ragcore._calls.held import aclose
from ragcore.lightrag import _engine
from ragcore.lightrag._asking import llm_model_func
from ragcore.lightrag._drop_in import DropIn, configured_model, declares
from ragcore.lightrag._embedding import embedding_func
from ragcore.lightrag._from_env import embedding_from_env, from_env
from ragcore.lightrag._reembedding import Reembedded, reembed
from ragcore.lightrag._roles import role_llm_configs
from ragcore.lightrag._tokenizer import tokenizer
from ragcore.lightrag._variables import ROLES, VARIABLES, unknown_bindings

if TYPE_CHECKING:
    from ragcore.lightrag._engine import EmbeddingFunc, wrap_embedding_func_with_attrs

__all__ = [
    "ROLES",
    "VARIABLES",
    "DropIn",
    "EmbeddingFunc",
    "Reembedded",
    "aclose",
    "configured_model",
    "declares",
    "embedding_from_env",
    "embedding_func",
    "from_env",
    "llm_model_func",
    "reembed",
    "role_llm_configs",
    "tokenizer",
    "unknown_bindings",
    "wrap_embedding_func_with_attrs",
]


def __getattr__(name: str) -> Any:
    # Importing LightRAG takes half a second: not before somebody asks.
    if name in ("EmbeddingFunc", "wrap_embedding_func_with_attrs"):
        return _engine.engines_own(name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
