"""
LightRAG's variables, what they say, and what is wrong with it.

They are declared as options are: types, ranges and messages come for free.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import attrs

from ragcore._calls.problems import Problems
from ragcore._discovery.loading import registry
from ragcore.hookspecs import CompletionProvider, EmbeddingProvider
from ragcore.options import (
    BindingOptions,
    Bound,
    Found,
    OptionField,
    Secret,
    Sources,
    found,
    option,
)

# Stands for a model that nobody named, so that all else that is wrong is found, too.
NO_MODEL = "?"

Provider = CompletionProvider | EmbeddingProvider
Check = Callable[[Iterable[type[BindingOptions]], Sources], Iterable[str]]

ROLES = ("extract", "keyword", "query", "vlm")

# LightRAG's name for two providers at once.
OPENAI_AND_OLLAMA = "openai-ollama"


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


def unknown_bindings(offers: Iterable[Found]) -> list[str]:
    """Say which of *offers*, of LightRAG's own variables, name a provider that is not there."""
    find = {
        "llm_binding": registry().completion_provider,
        "embedding_binding": registry().embedding_provider,
    }
    problems = Problems()
    for offer in offers:
        if offer.field.name in find and offer.raw not in (OPENAI_AND_OLLAMA, "None"):
            with problems.noted(offer.name):
                find[offer.field.name](offer.raw)
    return problems.found


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
        problems: What is wrong there.
        check: Says what is against reading the options of a provider from there.
    """

    variables: Mapping[str, str] = attrs.field(repr=False)
    flags: Mapping[str, Any] = attrs.field(factory=dict, repr=False)
    problems: Problems = attrs.field(factory=Problems)
    check: Check | None = None

    def sources(
        self, provider: Provider, bound: Mapping[str, Bound], role: str | None = None
    ) -> Sources:
        """Return what to read the options of *provider* from."""
        sources = Sources(environ=self.variables, flags=self.flags, role=role, bound=bound)
        if self.check is not None:
            for problem in self.check((provider.connection, provider.options), sources):
                self.problems.add(problem)
        return sources

    def without(self, group: type[BindingOptions]) -> Environment:
        """Return it without what sets *group*'s options for all; what does for a role stays."""
        names = {name for field in group.fields() for name in field.variables}
        variables = {name: text for name, text in self.variables.items() if name not in names}
        return attrs.evolve(self, variables=variables)

    def said(self, group: type[BindingOptions], role: str | None = None) -> dict[str, Said]:
        """Return what *group*'s variables say that says something, by the option's name."""
        sources = Sources(environ=self.variables, role=role)
        said: dict[str, Said] = {}
        for name, offer in found(group, {}, sources).items():
            with self.problems.noted():
                said[name] = Said(offer.name, offer.value(), offer.origin == "role")
        return said

    def sets(self, field: OptionField, role: str | None = None, *, only_role: bool = False) -> bool:
        """Say whether a variable sets *field*, for all or for *role*."""
        sources = Sources(environ=self.variables, role=role, only_role=only_role)
        return sources.strongest(field, {}) is not None


def values(said: Mapping[str, Said]) -> dict[str, Any]:
    """Return what was said, by name."""
    return {name: one.value for name, one in said.items()}


def meant(environ: Mapping[str, str]) -> dict[str, str]:
    """Return *environ* without LightRAG's own variables that say ``None``, which is "not set"."""
    return {
        name: text for name, text in environ.items() if text != "None" or name not in _NONE_IS_UNSET
    }


_LIGHTRAGS = [name for group in VARIABLES for field in group.fields() for name in field.variables]
# Another program's, but LightRAG reads them so.
_AWS = ["AWS_REGION", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"]
_NONE_IS_UNSET = {
    prefix + name
    for prefix in ("", *(f"{role.upper()}_" for role in ROLES))
    for name in (*_LIGHTRAGS, *_AWS)
}
