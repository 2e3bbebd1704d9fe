"""Who completes, for all roles or for one, as LightRAG's variables say."""

from __future__ import annotations

from collections.abc import Mapping

import attrs

from ragcore._discovery.loading import registry
from ragcore.hookspecs import CompletionProvider
from ragcore.lightrag._account import (
    DEFAULT_MODEL,
    address_field,
    bound_account,
    key_field,
    model_field,
    model_of,
)
from ragcore.lightrag._asking import resolved
from ragcore.lightrag._problems import Problems
from ragcore.lightrag._roles import Completer
from ragcore.lightrag._variables import NO_MODEL, Environment, LLMVariables, Said, values
from ragcore.options import Bound, OptionField

# LightRAG's name for two providers at once.
OPENAI_AND_OLLAMA = "openai-ollama"

# What LightRAG takes where no variable says anything.
_BINDING = "ollama"
_MODELS = {"ollama": "mistral-nemo:latest"}


def completer(environment: Environment, problems: Problems, role: str | None) -> Completer | None:
    """Find who completes for *role*, or for all; None if that left a problem."""
    base = environment.said(LLMVariables, problems)
    said = environment.said(LLMVariables, problems, role)
    binding = llm_binding(said)
    with problems.noted(binding.variable):
        provider = registry().completion_provider(binding.value)
        others = registry().claims.get(("completion", llm_binding(base).value))
        crosses = provider.name != provider_name(llm_binding(base).value)
        if crosses and others and others.record.options is provider.options:
            # Azure's and OpenAI's are one class: its variables speak of the provider of all.
            environment = environment.without(provider.options)
        if crosses:
            environment = attrs.evolve(environment, flags={})
        asked = _AskedLLM(environment, provider, said, role, crosses=crosses)
        return asked.completer(binding.value, problems)
    return None


def llm_binding(said: Mapping[str, Said]) -> Said:
    """Return the name or alias of the provider that completes."""
    binding = said.get("llm_binding", Said("LLM_BINDING", _BINDING))
    is_both = binding.value == OPENAI_AND_OLLAMA
    return attrs.evolve(binding, value="openai") if is_both else binding


def provider_name(binding: str) -> str:
    """Return the name of the provider that completes as *binding*; an unknown one's is its own."""
    claim = registry().claims.get(("completion", binding))
    return claim.record.name if claim else binding


@attrs.frozen
class _AskedLLM:
    """
    What the variables say of who completes, for all roles or for one.

    Attributes:
        all_said: By the role's variables, and by those for all.
        crosses: The role has another provider than the others.
    """

    environment: Environment
    provider: CompletionProvider
    all_said: Mapping[str, Said]
    role: str | None
    crosses: bool = attrs.field(kw_only=True)

    def completer(self, binding: str, problems: Problems) -> Completer | None:
        """Find the model, and read its options; None if that left a problem."""
        model = self._model(problems)
        bound = self._for_the_role() | self._account(problems)
        sources = self.environment.sources(bound, self.role)
        limits = values(self.all_said)
        with problems.noted():
            opening = resolved(f"{self.provider.name}:{model}", {}, sources)
            timeout, max_async = limits.get("llm_timeout"), limits.get("max_async_llm")
            return Completer(binding, model_of(opening), opening, timeout, max_async)
        return None

    def _for_the_role(self) -> dict[str, Bound]:
        """Return what messages call options that have variables for roles alone."""
        fields = [f for f in self.provider.connection.fields() if f.role_env and not f.variables]
        return {f.name: Bound(f.role_variables(self.role)[0]) for f in fields if self.role}

    def _said(self, name: str) -> Said | None:
        said = self.all_said.get(name)
        return None if said and self.crosses and not said.for_role else said

    def _variable(self, name: str) -> str:
        said = self._said(name)
        if said is not None:
            return said.variable
        return f"{self.role}_{name}".upper() if self.crosses else name.upper()

    def _model(self, problems: Problems) -> str:
        if said := self._said("llm_model"):
            return str(said.value)
        own = model_field(self.provider.connection)
        if own and self.environment.sets(own, self.role):
            return DEFAULT_MODEL
        if self.provider.name in _MODELS and not self.crosses:
            return _MODELS[self.provider.name]
        problems.add(
            f"{self._variable('llm_model')}: missing: set it to the model of {self.provider.name}"
        )
        return NO_MODEL

    def _account(self, problems: Problems) -> dict[str, Bound]:
        connection = self.provider.connection
        host = self._bound("llm_binding_host", address_field(connection))
        key = self._bound("llm_binding_api_key", key_field(connection))
        return bound_account(self.provider, host, key, problems)

    def _bound(self, name: str, field: OptionField | None) -> Bound:
        """Return what LightRAG's variable says; one for all yields to the role's own option."""
        said = self._said(name)
        if said is None or (not said.for_role and field and self._role_sets(field)):
            return Bound(self._variable(name))
        return said

    def _role_sets(self, field: OptionField) -> bool:
        fields = {field.name: field for field in self.provider.connection.fields()}
        rivals = [field, *(fields[name] for name in field.unless)]
        variables = [name for one in rivals for name in one.role_variables(self.role or "")]
        return self.role is not None and self.environment.sets_any(variables)
