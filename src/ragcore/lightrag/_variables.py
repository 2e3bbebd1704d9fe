"""LightRAG's variables, declared as options are: types, ranges and messages come for free."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import attrs

from ragcore.lightrag._problems import Problems
from ragcore.options import BindingOptions, Bound, OptionField, Secret, Sources, found, option

# Stands for a model that nobody named, so that all else that is wrong is found, too.
NO_MODEL = "?"

ROLES = ("extract", "keyword", "query", "vlm")


class LLMVariables(BindingOptions, binding="lightrag_llm"):
    """Who completes for LightRAG; each variable also for one role, as in EXTRACT_LLM_MODEL."""

    llm_binding: str | None = option(
        "Provider that completes.", default=None, env="LLM_BINDING", provider_default="ollama"
    )
    llm_model: str | None = option("Model that completes.", default=None, env="LLM_MODEL")
    llm_binding_host: str | None = option(
        "Address of the provider.", default=None, env="LLM_BINDING_HOST"
    )
    llm_binding_api_key: Secret | None = option(
        "Key of the provider.", default=None, env="LLM_BINDING_API_KEY", secret=True
    )
    llm_timeout: int | None = option(
        "Seconds for one attempt; 0 for no limit.", default=None, env="LLM_TIMEOUT", minimum=0
    )
    max_async_llm: int | None = option(
        "Calls under way at once.", default=None, env=("MAX_ASYNC_LLM", "MAX_ASYNC"), minimum=1
    )


class EmbeddingVariables(BindingOptions, binding="lightrag_embedding"):
    """Who embeds for LightRAG, and how."""

    embedding_binding: str | None = option(
        "Provider that embeds.", default=None, env="EMBEDDING_BINDING", provider_default="ollama"
    )
    embedding_model: str | None = option(
        "Model that embeds; part of the names of collections.", default=None, env="EMBEDDING_MODEL"
    )
    embedding_binding_host: str | None = option(
        "Address of the provider.", default=None, env="EMBEDDING_BINDING_HOST"
    )
    embedding_binding_api_key: Secret | None = option(
        "Key of the provider.", default=None, env="EMBEDDING_BINDING_API_KEY", secret=True
    )
    embedding_dim: int | None = option(
        "Length of a vector.", default=None, env="EMBEDDING_DIM", minimum=1
    )
    embedding_send_dim: bool = option(
        "Whether the service is asked for that length.", default=False, env="EMBEDDING_SEND_DIM"
    )
    embedding_token_limit: int | None = option(
        "Tokens of the longest text; 0 leaves it to the provider.",
        default=None,
        env="EMBEDDING_TOKEN_LIMIT",
        minimum=0,
    )
    embedding_asymmetric: bool | None = option(
        "Whether queries are embedded unlike documents.", default=None, env="EMBEDDING_ASYMMETRIC"
    )
    embedding_query_prefix: str | None = option(
        "Text put before each query; NO_PREFIX for none.",
        default=None,
        env="EMBEDDING_QUERY_PREFIX",
    )
    embedding_document_prefix: str | None = option(
        "Text put before each document; NO_PREFIX for none.",
        default=None,
        env="EMBEDDING_DOCUMENT_PREFIX",
    )
    embedding_use_base64: bool | None = option(
        "Whether vectors travel as base64.", default=None, env="EMBEDDING_USE_BASE64"
    )
    embedding_timeout: int | None = option(
        "Seconds for one attempt; 0 for no limit.", default=None, env="EMBEDDING_TIMEOUT", minimum=0
    )
    embedding_func_max_async: int | None = option(
        "Calls under way at once.", default=None, env="EMBEDDING_FUNC_MAX_ASYNC", minimum=1
    )
    embedding_batch_num: int | None = option(
        "Texts of one call.", default=None, env="EMBEDDING_BATCH_NUM", minimum=1
    )


VARIABLES: tuple[type[BindingOptions], ...] = (LLMVariables, EmbeddingVariables)


@attrs.frozen
class Said(Bound):
    """
    What a variable says.

    Attributes:
        for_role: It is the variable of a role alone, and not of all.
    """

    for_role: bool = False


@attrs.frozen
class Environment:
    """
    Where :func:`from_env` reads.

    Attributes:
        variables: LightRAG's where they say something, and all others.
        flags: Parsed command-line arguments, by name.
    """

    variables: Mapping[str, str] = attrs.field(repr=False)
    flags: Mapping[str, Any] = attrs.field(factory=dict, repr=False)

    def sources(self, bound: Mapping[str, Bound], role: str | None = None) -> Sources:
        """Return what providers' options are read from, beside what they are *bound* to."""
        return Sources(environ=self.variables, flags=self.flags, role=role, bound=bound)

    def without(self, group: type[BindingOptions]) -> Environment:
        """Return it without what sets *group*'s options for all; what does for a role stays."""
        names = {name for field in group.fields() for name in field.variables}
        variables = {name: text for name, text in self.variables.items() if name not in names}
        return attrs.evolve(self, variables=variables)

    def said(
        self, group: type[BindingOptions], problems: Problems, role: str | None = None
    ) -> dict[str, Said]:
        """Return what *group*'s variables say that says something, by the option's name."""
        sources = Sources(environ=self.variables, role=role)
        values: dict[str, Said] = {}
        for name, offer in found(group, {}, sources).items():
            with problems.noted():
                values[name] = Said(offer.name, offer.value(), offer.origin == "role")
        return values

    def sets(self, field: OptionField, role: str | None = None) -> bool:
        """Say whether a variable sets *field*, for all or for *role*."""
        return self.sets_any((*field.variables, *(field.role_variables(role) if role else ())))

    def sets_any(self, variables: Iterable[str]) -> bool:
        """Say whether one of *variables* is set."""
        return any(self.variables.get(variable) for variable in variables)


def values(said: Mapping[str, Said]) -> dict[str, Any]:
    """Return what was said, by name."""
    return {name: one.value for name, one in said.items()}


def meant(environ: Mapping[str, str]) -> dict[str, str]:
    """Return *environ* without LightRAG's own variables that say ``None``, which is "not set"."""
    return {
        name: text
        for name, text in environ.items()
        if text != "None" or _without_role(name) not in _NONE_IS_UNSET
    }


def _without_role(name: str) -> str:
    role, _, rest = name.partition("_")
    return rest if role.lower() in ROLES else name


# The last four are another program's, but LightRAG reads them so.
_NONE_IS_UNSET = {
    variable for group in VARIABLES for field in group.fields() for variable in field.variables
} | {"AWS_REGION", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"}
