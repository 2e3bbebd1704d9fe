"""Who embeds, and how, as LightRAG's variables say."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import attrs

from ragcore._calls.opening import Opening, resolve_embedding
from ragcore._discovery.loading import registry
from ragcore.errors import ProviderError
from ragcore.hookspecs import EmbeddingProvider
from ragcore.lightrag._account import (
    DEFAULT_MODEL,
    address_field,
    bound_account,
    key_field,
    model_field,
)
from ragcore.lightrag._asymmetry import Prefixes
from ragcore.lightrag._embedding import Asked, Words, embedder
from ragcore.lightrag._env_completion import OPENAI_AND_OLLAMA, llm_binding, provider_name
from ragcore.lightrag._keeper import EMBEDDINGS
from ragcore.lightrag._problems import Problems
from ragcore.lightrag._variables import (
    NO_MODEL,
    EmbeddingVariables,
    Environment,
    LLMVariables,
    Said,
    values,
)
from ragcore.options import Bound, OptionField

if TYPE_CHECKING:
    from ragcore.lightrag._engine import EmbeddingFunc

# What LightRAG takes where no variable says anything.
_BINDING = "ollama"
_MODELS = {
    "bedrock": "amazon.titan-embed-text-v2:0",
    "ollama": "bge-m3:latest",
    "openai": "text-embedding-3-small",
}
_WORDS = Words("EMBEDDING_DIM", "set EMBEDDING_DIM", "EMBEDDING_SEND_DIM")


def embedding_func(environment: Environment, problems: Problems) -> EmbeddingFunc | None:
    """Find who embeds; None if that left a problem."""
    base = environment.said(LLMVariables, problems)
    said = environment.said(EmbeddingVariables, problems)
    binding = _binding(base, said)
    with problems.noted(binding.variable):
        provider = registry().embedding_provider(binding.value)
        asked = _AskedEmbedding(environment, provider, said, base)
        return asked.function(problems)
    return None


def _binding(base: Mapping[str, Said], said: Mapping[str, Said]) -> Said:
    llm = base.get("llm_binding")
    if llm is not None and llm.value == OPENAI_AND_OLLAMA:
        return attrs.evolve(llm, value="ollama")
    return said.get("embedding_binding", Said("EMBEDDING_BINDING", _BINDING))


@attrs.frozen
class _AskedEmbedding:
    """
    What the variables say of who embeds.

    Attributes:
        base: What they say of who completes, which may be the same.
    """

    environment: Environment
    provider: EmbeddingProvider
    said: Mapping[str, Said]
    base: Mapping[str, Said]

    def function(self, problems: Problems) -> EmbeddingFunc | None:
        """Find the model, and read its options; None if that left a problem."""
        prefixes = Prefixes.of(self.environment.variables, self.said, problems)
        bound = {
            **self._account(problems),
            **prefixes.bound(self.provider.options, problems),
            **self._encoding(),
        }
        model = self._model(problems)
        with problems.noted():
            sources = self.environment.sources(bound)
            opening = resolve_embedding(f"{self.provider.name}:{model}", {}, sources)
            prefixes.check(opening, problems)
            if model != NO_MODEL:
                return self._made(opening, prefixes.asymmetric, problems)
        return None

    def _made(
        self, opening: Opening[EmbeddingProvider], is_asymmetric: bool | None, problems: Problems
    ) -> EmbeddingFunc | None:
        said = values(self.said)
        asked = Asked(
            dimensions=said.get("embedding_dim"),
            send_dimensions=said.get("embedding_send_dim", False),
            max_tokens=said.get("embedding_token_limit") or None,
            model_name=said.get("embedding_model"),
            is_asymmetric=is_asymmetric,
            words=_WORDS,
        )
        try:
            return embedder(EMBEDDINGS.in_time(opening, said.get("embedding_timeout")), asked)
        except ProviderError as exc:
            problems.add_error(exc, "EMBEDDING_MODEL: ")
        return None

    def _model(self, problems: Problems) -> str:
        if said := self.said.get("embedding_model"):
            return str(said.value)
        own = model_field(self.provider.connection)
        if own and self.environment.sets(own):
            return DEFAULT_MODEL
        if self.provider.name not in _MODELS:
            problems.add(f"EMBEDDING_MODEL: missing: set it to the model of {self.provider.name}")
        return _MODELS.get(self.provider.name, NO_MODEL)

    def _encoding(self) -> dict[str, Bound]:
        takes_it = any(f.name == "encoding_format" for f in self.provider.options.fields())
        said = self.said.get("embedding_use_base64")
        if said is None or not takes_it:
            return {}
        return {"encoding_format": Bound(said.variable, "base64" if said.value else "float")}

    def _account(self, problems: Problems) -> dict[str, Bound]:
        """Return the account of who embeds; who completes as well has one for both."""
        connection = self.provider.connection
        host = self.said.get("embedding_binding_host")
        key = self.said.get("embedding_binding_api_key")
        if host is None and self._is_base() and not self._has_own(address_field(connection)):
            host = self.base.get("llm_binding_host")
            if key is None and not self._has_own(key_field(connection)):
                key = self.base.get("llm_binding_api_key")
        return bound_account(
            self.provider,
            host or Bound("EMBEDDING_BINDING_HOST"),
            key or Bound("EMBEDDING_BINDING_API_KEY"),
            problems,
        )

    def _is_base(self) -> bool:
        return self.provider.name == provider_name(llm_binding(self.base).value)

    def _has_own(self, field: OptionField | None) -> bool:
        """Say whether the environment sets *field* for embeddings alone, as Azure's can be."""
        claim = registry().claims.get(("completion", self.provider.name))
        is_shared = claim is None or claim.record.connection is self.provider.connection
        return not is_shared and field is not None and self.environment.sets_any(field.variables)
