"""``from_env``: LightRAG as its own variables describe it, with any installed provider."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ragcore.lightrag._env_completion import completer
from ragcore.lightrag._env_embedding import embedding_func
from ragcore.lightrag._keeper import engines_limit
from ragcore.lightrag._problems import Problems
from ragcore.lightrag._variables import (
    ROLES,
    EmbeddingVariables,
    Environment,
    LLMVariables,
    meant,
    values,
)

if TYPE_CHECKING:
    import argparse


def from_env(
    environ: Mapping[str, str] | None = None, *, flags: argparse.Namespace | None = None
) -> dict[str, Any]:
    """
    Make what LightRAG is handed out of its own variables, for any installed provider.

    ::

        # LLM_BINDING=anthropic, LLM_MODEL=claude-haiku-4-5, QUERY_LLM_MODEL=claude-opus-4-1,
        # EMBEDDING_BINDING=ollama, EMBEDDING_MODEL=bge-m3, ANTHROPIC_API_KEY=…
        rag = LightRAG(**from_env(), working_dir="rag", tokenizer=tokenizer("ollama:bge-m3"))

    A binding is the name or an alias of any provider. ``LLM_BINDING_HOST`` and
    ``LLM_BINDING_API_KEY`` are for the provider that ``LLM_BINDING`` names, those of a role or of
    the embedding for theirs; where they say nothing, the provider's own variables do. A role with
    another provider inherits neither address nor key nor flags; its options come from its own
    variables and the provider's, unless these are the base's, too, as OpenAI's are Azure's.

    Args:
        environ: Read instead of :data:`os.environ`. A ``.env`` file is not read; what an SDK looks
            up by itself, such as AWS credentials, it takes from the process's environment.
        flags: Parsed with the flags that ``add_args`` of option classes has added; they go before
            the providers' own variables.

    Returns:
        ``llm_model_func``, ``llm_model_name``, ``role_llm_configs``, ``embedding_func``, and what
        is set of ``default_llm_timeout``, ``default_embedding_timeout``, ``llm_model_max_async``,
        ``embedding_func_max_async`` and ``embedding_batch_num``.

    Raises:
        UnknownProviderError: A binding names nothing installed, and that is all that is wrong.
        UnsupportedError: A binding's provider lacks the task, and that is all that is wrong.
        PluginError: A binding's plugin is broken, and that is all that is wrong.
        ProviderError: The files of the model that embeds are out of reach, or are not those of a
            model, and that is all that is wrong.
        OptionsError: With all problems of all roles and of the embedding, each with its variable.
    """
    variables = meant(os.environ if environ is None else environ)
    environment = Environment(variables, {} if flags is None else vars(flags))
    problems = Problems()
    asked = {role: completer(environment, problems, role) for role in (None, *ROLES)}
    embed = embedding_func(environment, problems)
    problems.raise_all()
    # Who is missing has left a problem.
    made = {role: one for role, one in asked.items() if one is not None}
    return {
        "llm_model_func": made[None].function(),
        "llm_model_name": made[None].model,
        "role_llm_configs": {role: made[role].role_config() for role in ROLES},
        "embedding_func": embed,
        **_limits(environment, problems),
    }


def _limits(environment: Environment, problems: Problems) -> dict[str, int]:
    llm = values(environment.said(LLMVariables, problems))
    embedding = values(environment.said(EmbeddingVariables, problems))
    limits = {
        "default_llm_timeout": engines_limit(llm.get("llm_timeout")),
        "default_embedding_timeout": engines_limit(embedding.get("embedding_timeout")),
        "llm_model_max_async": llm.get("max_async_llm"),
        "embedding_func_max_async": embedding.get("embedding_func_max_async"),
        "embedding_batch_num": embedding.get("embedding_batch_num"),
    }
    return {name: limit for name, limit in limits.items() if limit is not None}
