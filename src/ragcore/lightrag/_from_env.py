"""``from_env``: LightRAG as its own variables describe it, with any installed provider."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Self

import attrs

from ragcore._calls.opening import Opening, resolve_embedding
from ragcore._calls.problems import Problems
from ragcore._calls.setup import address_field, is_key
from ragcore._discovery.loading import registry
from ragcore._discovery.misspelt import tell_misspelt
from ragcore.errors import ProviderError
from ragcore.hookspecs import EmbeddingProvider
from ragcore.lightrag._asking import resolved
from ragcore.lightrag._embedding import Words, embedding, is_asymmetric, prefix_fields
from ragcore.lightrag._index import Folder
from ragcore.lightrag._keeper import EMBEDDINGS, engines_limit
from ragcore.lightrag._roles import DEFAULT_MODEL, OF_USERS, Completer, model_field
from ragcore.lightrag._tokenizer import of_openings
from ragcore.lightrag._variables import (
    NO_MODEL,
    OPENAI_AND_OLLAMA,
    ROLES,
    VARIABLES,
    Check,
    EmbeddingVariables,
    Environment,
    LLMVariables,
    Provider,
    Said,
    meant,
    values,
)
from ragcore.options import BindingOptions, Bound, OptionField

if TYPE_CHECKING:
    import argparse

    from ragcore.lightrag._engine import EmbeddingFunc


# What LightRAG takes where no variable says anything.
_BINDING = "ollama"
_LLM_MODELS = {"ollama": "mistral-nemo:latest"}
_EMBEDDING_MODELS = {
    "bedrock": "amazon.titan-embed-text-v2:0",
    "ollama": "bge-m3:latest",
    "openai": "text-embedding-3-small",
}

# What LightRAG writes for an address that the SDK knows by itself.
_THE_SDKS_OWN = ("DEFAULT_BEDROCK_ENDPOINT", "DEFAULT_GEMINI_ENDPOINT")

_PREFIXES = ("EMBEDDING_QUERY_PREFIX", "EMBEDDING_DOCUMENT_PREFIX")
_NO_PREFIX = "NO_PREFIX"
_WORDS = Words("EMBEDDING_DIM", "set EMBEDDING_DIM", "EMBEDDING_SEND_DIM")


def from_env(
    environ: Mapping[str, str] | None = None,
    *,
    flags: argparse.Namespace | None = None,
    check: Check | None = None,
    working_dir: str | os.PathLike[str] | None = None,
    workspace: str | None = None,
) -> dict[str, Any]:
    """
    Make what LightRAG is handed out of its own variables, for any installed provider.

    ::

        # LLM_BINDING=anthropic, LLM_MODEL=claude-haiku-4-5, QUERY_LLM_MODEL=claude-opus-4-1,
        # EMBEDDING_BINDING=ollama, EMBEDDING_MODEL=bge-m3, ANTHROPIC_API_KEY=…
        rag = LightRAG(**from_env(), working_dir="rag")

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
        check: Says what is against reading the option classes of a provider from such sources; for
            programs whose *environ* is from several places.
        working_dir: As in :func:`embedding_func`; LightRAG is to be handed it, too.
        workspace: Likewise; left out: WORKSPACE.

    Returns:
        ``llm_model_func``, ``llm_model_name``, ``role_llm_configs``, ``embedding_func``,
        ``tokenizer`` (of the model that embeds, else of the one that completes, as
        :func:`tokenizer` finds it), and what is set of ``default_llm_timeout``,
        ``default_embedding_timeout``, ``llm_model_max_async``, ``embedding_func_max_async`` and
        ``embedding_batch_num``.

    Raises:
        UnknownProviderError: A binding names nothing installed, and that is all that is wrong.
        UnsupportedError: A binding's provider lacks the task, and that is all that is wrong.
        PluginError: A binding's plugin is broken, and that is all that is wrong.
        ProviderError: The files of the model that embeds are out of reach, or are not those of a
            model, and that is all that is wrong.
        OptionsError: With all problems of all roles and of the embedding, each with its variable.
        EmbeddingIdentityError: As in :func:`embedding_func`.
    """
    environment = _environment(environ, flags, check)
    completers = {role: _completer(environment, role) for role in (None, *ROLES)}
    embeds = _embedder(environment, _folder(environment, working_dir, workspace))
    limits = _limits(environment)
    environment.problems.raise_all()
    assert embeds is not None  # noqa: S101  # who is missing has left a problem
    made = {role: completer for role, completer in completers.items() if completer is not None}
    return {
        "llm_model_func": made[None].function(),
        "llm_model_name": made[None].model,
        "role_llm_configs": {role: made[role].role_config() for role in ROLES},
        "embedding_func": embeds.function,
        "tokenizer": of_openings(embeds.opening, made[None].opening),
        **limits,
    }


def embedding_from_env(
    environ: Mapping[str, str] | None = None,
    *,
    flags: argparse.Namespace | None = None,
    check: Check | None = None,
    working_dir: str | os.PathLike[str] | None = None,
    workspace: str | None = None,
) -> EmbeddingFunc:
    """
    Make LightRAG's ``embedding_func`` alone, as :func:`from_env` does; nobody has to complete.

    Arguments and errors are those of :func:`from_env`.
    """
    environment = _environment(environ, flags, check)
    embeds = _embedder(environment, _folder(environment, working_dir, workspace))
    environment.problems.raise_all()
    assert embeds is not None  # noqa: S101  # who is missing has left a problem
    return embeds.function


def _environment(
    environ: Mapping[str, str] | None, flags: argparse.Namespace | None, check: Check | None
) -> Environment:
    variables = meant(os.environ if environ is None else environ)
    tell_misspelt(variables, VARIABLES, ROLES)
    return Environment(variables, {} if flags is None else vars(flags), check=check)


def _folder(
    environment: Environment, working_dir: str | os.PathLike[str] | None, workspace: str | None
) -> Folder | None:
    if working_dir is None:
        return None
    named = environment.variables.get("WORKSPACE", "") if workspace is None else workspace
    return Folder.of(working_dir, named)


def _limits(environment: Environment) -> dict[str, int]:
    said = values(environment.said(LLMVariables) | environment.said(EmbeddingVariables))
    limits = {
        "default_llm_timeout": engines_limit(said.get("llm_timeout")),
        "default_embedding_timeout": engines_limit(said.get("embedding_timeout")),
        "llm_model_max_async": said.get("max_async_llm"),
        "embedding_func_max_async": said.get("embedding_func_max_async"),
        "embedding_batch_num": said.get("embedding_batch_num"),
    }
    return {name: limit for name, limit in limits.items() if limit is not None}


# --- who completes --------------------------------------------------------------------------


def _completer(environment: Environment, role: str | None) -> Completer | None:
    """Find who completes for *role*, or for all; None if that left a problem."""
    base = _llm_binding(environment.said(LLMVariables))
    said = environment.said(LLMVariables, role)
    binding, limits = _llm_binding(said), values(said)
    with environment.problems.noted(binding.variable):
        provider = registry().completion_provider(binding.value)
        crosses = provider.name != _provider_name(base.value)
        if crosses:
            environment = _of_another(environment, provider, base.value)
            said = {name: one for name, one in said.items() if one.for_role}
        models = {} if crosses else _LLM_MODELS
        choice = _Choice(environment, provider, "llm", said, models, role, crosses=crosses)
        reference, sources = (
            choice.reference(),
            environment.sources(provider, choice.account(), role),
        )
        with environment.problems.noted():
            opening = resolved(reference, {}, sources)
            timeout, max_async = limits.get("llm_timeout"), limits.get("max_async_llm")
            return Completer(
                binding.value, opening, timeout, max_async, answers_users=role in OF_USERS
            )
    return None


def _llm_binding(said: Mapping[str, Said]) -> Said:
    """Return the name or alias of the provider that completes."""
    binding = said.get("llm_binding", Said("LLM_BINDING", _BINDING))
    is_both = binding.value == OPENAI_AND_OLLAMA
    return attrs.evolve(binding, value="openai") if is_both else binding


def _provider_name(binding: str) -> str:
    """Return the name of the provider that completes as *binding*; an unknown one's is its own."""
    claim = registry().claims.get(("completion", binding))
    return claim.record.name if claim else binding


def _of_another(environment: Environment, provider: Provider, base: str) -> Environment:
    """Return *environment* without what is meant for the provider of all, *base*."""
    claim = registry().claims.get(("completion", base))
    if claim and claim.record.options is provider.options:
        # Azure's and OpenAI's are one class: its variables speak of the provider of all.
        environment = environment.without(provider.options)
    return attrs.evolve(environment, flags={})


# --- who embeds -----------------------------------------------------------------------------


@attrs.frozen
class Embedder:
    """Who embeds, and the function that LightRAG calls."""

    opening: Opening[EmbeddingProvider]
    function: EmbeddingFunc


def _embedder(environment: Environment, folder: Folder | None) -> Embedder | None:
    """Find who embeds, and how; None if that left a problem."""
    base = environment.said(LLMVariables)
    said = environment.said(EmbeddingVariables)
    binding = _embedding_binding(base, said)
    with environment.problems.noted(binding.variable):
        provider = registry().embedding_provider(binding.value)
        said = _inherited(environment, provider, base, said) | said
        prefixes = _Prefixes.of(environment, said)
        choice = _Choice(environment, provider, "embedding", said, _EMBEDDING_MODELS)
        bound = {
            **choice.account(),
            **prefixes.bound(provider.options),
            **_encoding(provider.options, said),
        }
        reference, sources = choice.reference(), environment.sources(provider, bound)
        with environment.problems.noted():
            opening = resolve_embedding(reference, {}, sources)
            prefixes.check(opening)
            if opening.model_name != NO_MODEL:
                function = _embedding(opening, values(said), prefixes.asymmetric, folder)
                return Embedder(opening, function)
    return None


def _embedding_binding(base: Mapping[str, Said], said: Mapping[str, Said]) -> Said:
    llm = base.get("llm_binding")
    if llm is not None and llm.value == OPENAI_AND_OLLAMA:
        return attrs.evolve(llm, value="ollama")
    return said.get("embedding_binding", Said("EMBEDDING_BINDING", _BINDING))


def _inherited(
    environment: Environment,
    provider: EmbeddingProvider,
    base: Mapping[str, Said],
    said: Mapping[str, Said],
) -> dict[str, Said]:
    """Return the account of who completes, if it is who embeds as well, and has one for both."""
    is_base = provider.name == _provider_name(_llm_binding(base).value)
    has_own_host = _has_own(environment, provider, address_field(provider.connection))
    if not is_base or has_own_host or "embedding_binding_host" in said:
        return {}
    names = ["binding_host"]
    if not _has_own(environment, provider, _key_field(provider.connection)):
        names.append("binding_api_key")
    return {f"embedding_{name}": base[f"llm_{name}"] for name in names if f"llm_{name}" in base}


def _has_own(
    environment: Environment, provider: EmbeddingProvider, field: OptionField | None
) -> bool:
    """Say whether the environment sets *field* for embeddings alone, as Azure's can be."""
    claim = registry().claims.get(("completion", provider.name))
    is_shared = claim is None or claim.record.connection is provider.connection
    return not is_shared and field is not None and environment.sets(field)


def _encoding(options: type[BindingOptions], said: Mapping[str, Said]) -> dict[str, Bound]:
    takes_it = any(field.name == "encoding_format" for field in options.fields())
    base64 = said.get("embedding_use_base64")
    if base64 is None or not takes_it:
        return {}
    return {"encoding_format": Bound(base64.variable, "base64" if base64.value else "float")}


def _embedding(
    opening: Opening[EmbeddingProvider],
    said: Mapping[str, Any],
    asymmetric: bool | None,
    folder: Folder | None,
) -> EmbeddingFunc:
    try:
        return embedding(
            EMBEDDINGS.in_time(opening, said.get("embedding_timeout")),
            dimensions=said.get("embedding_dim"),
            max_tokens=said.get("embedding_token_limit") or None,
            model_name=said.get("embedding_model"),
            send_dimensions=said.get("embedding_send_dim", False),
            asymmetric=asymmetric,
            folder=folder,
            words=_WORDS,
        )
    except ProviderError as exc:
        raise type(exc)(f"EMBEDDING_MODEL: {exc}") from exc


@attrs.frozen
class _Prefixes:
    """
    What the variables say of queries and documents.

    Attributes:
        asymmetric: Whether they differ; None if nobody said.
        texts: By variable, what goes before; those that are not set are missing.
    """

    problems: Problems
    asymmetric: bool | None
    texts: Mapping[str, str]

    @classmethod
    def of(cls, environment: Environment, said: Mapping[str, Said]) -> Self:
        """Take them out of what was *said*; an empty one leaves it open what was meant."""
        problems = environment.problems
        if empty := [name for name in _PREFIXES if environment.variables.get(name) == ""]:
            for name in empty:
                problems.add(
                    f"{name}: empty; write {_NO_PREFIX} where nothing goes before a text, "
                    "or unset it"
                )
            return cls(problems, None, {})
        known = values(said)
        texts = {name: known[name.lower()] for name in _PREFIXES if name.lower() in known}
        texts = {name: "" if text == _NO_PREFIX else text for name, text in texts.items()}
        return cls(problems, known.get("embedding_asymmetric"), texts)

    def bound(self, options: type[BindingOptions]) -> dict[str, Bound]:
        """Return what *options* are bound to; the texts are left out if they are not to be used."""
        names = prefix_fields(options)
        texts = self.texts if self._are_used(options) else {}
        return {
            name: Bound(variable, texts.get(variable))
            for name, variable in zip(names, _PREFIXES, strict=False)
        }

    def _are_used(self, options: type[BindingOptions]) -> bool:
        if not self.texts:
            return False
        given = f"{' and '.join(self.texts)} {'is' if len(self.texts) == 1 else 'are'}"
        if not self.asymmetric:
            state = "unset" if self.asymmetric is None else "false"
            self.problems.warn(f"EMBEDDING_ASYMMETRIC is {state}: {given} not used")
            return False
        if not prefix_fields(options):
            self.problems.warn(f"{given} not used: {options.binding()} has no prefixes to set")
            return False
        for variable in _PREFIXES:
            if variable not in self.texts:
                self.problems.add(
                    f"{variable}: missing: EMBEDDING_ASYMMETRIC is true, and "
                    f"{next(iter(self.texts))} is set; write {_NO_PREFIX} for none"
                )
        if not any(self.texts.values()):
            self.problems.add(
                f"{given} {_NO_PREFIX}: nothing would differ; set one of them, or unset "
                "EMBEDDING_ASYMMETRIC"
            )
        return True

    def check(self, opening: Opening[EmbeddingProvider]) -> None:
        """Note where queries and documents are to differ, and would be embedded alike."""
        has_fields = bool(prefix_fields(opening.provider.options))
        if not self.asymmetric or is_asymmetric(opening) or (has_fields and self.texts):
            return
        cure = f"set {' and '.join(_PREFIXES)} ({_NO_PREFIX} for none), or " if has_fields else ""
        self.problems.add(
            f"EMBEDDING_ASYMMETRIC: {opening.provider.name} makes no difference between queries "
            f"and documents; {cure}unset it"
        )


# --- what is said of a provider -------------------------------------------------------------


@attrs.frozen
class _Choice:
    """
    A provider that the variables name for a task, and what they say of it.

    Attributes:
        task: Begins the variables: ``"llm"`` or ``"embedding"``.
        said: Without what is meant for another provider.
        models: By provider, the models that nobody has to name.
        crosses: The role has another provider than the others.
    """

    environment: Environment
    provider: Provider
    task: str
    said: Mapping[str, Said]
    models: Mapping[str, str]
    role: str | None = None
    crosses: bool = attrs.field(default=False, kw_only=True)

    def reference(self) -> str:
        """Return what names the model; :data:`NO_MODEL` if that left a problem."""
        return f"{self.provider.name}:{self._model()}"

    def account(self) -> dict[str, Bound]:
        """Return what the options of the connection are bound to."""
        address, who = address_field(self.provider.connection), _key_field(self.provider.connection)
        host, key = self._bound("binding_host", address), self._bound("binding_api_key", who)
        if host.value in _THE_SDKS_OWN:
            host = Bound(host.variable)
        self._check_use(host, address, key, who)
        if key.value is not None and who is not None and not is_key(who):
            # A class in LightRAG's style has a str.
            key = Bound(key.variable, key.value.get())
        pairs = ((address, host), (who, key))
        return self._of_role() | {field.name: one for field, one in pairs if field is not None}

    def _check_use(
        self, host: Bound, address: OptionField | None, key: Bound, who: OptionField | None
    ) -> None:
        problems, name = self.environment.problems, self.provider.name
        if host.value is not None and address is None:
            problems.add(f"{host.variable}: {name} has no address that could be set; unset it")
        if key.value is not None and who is None:
            problems.warn(
                f"{key.variable} is not used: {name} has no single key; "
                "its own variables say who asks"
            )

    def _of_role(self) -> dict[str, Bound]:
        """Return what messages call options that have variables for roles alone."""
        fields = [f for f in self.provider.connection.fields() if f.role_env and not f.variables]
        return {f.name: Bound(f.role_variables(self.role)[0]) for f in fields if self.role}

    def _model(self) -> str:
        name = self.provider.name
        if said := self.said.get(f"{self.task}_model"):
            return str(said.value)
        own = model_field(self.provider.connection)
        if own and self.environment.sets(own, self.role):
            return DEFAULT_MODEL
        if name not in self.models:
            variable = self._unsaid("model").variable
            self.environment.problems.add(f"{variable}: missing: set it to the model of {name}")
        return self.models.get(name, NO_MODEL)

    def _bound(self, name: str, field: OptionField | None) -> Bound:
        """Return what LightRAG's variable says; one for all yields to the role's own option."""
        said = self.said.get(f"{self.task}_{name}")
        if said is None:
            return self._unsaid(name)
        yields = not said.for_role and field and self._role_sets(field)
        return Bound(said.variable) if yields else said

    def _unsaid(self, name: str) -> Bound:
        variable = f"{self.task}_{name}".upper()
        return Bound(f"{self.role}_{variable}".upper() if self.crosses else variable)

    def _role_sets(self, field: OptionField) -> bool:
        if self.role is None:
            return False
        fields = {field.name: field for field in self.provider.connection.fields()}
        rivals = [field, *(fields[name] for name in field.unless)]
        return any(self.environment.sets(one, self.role, only_role=True) for one in rivals)


def _key_field(connection: type[BindingOptions]) -> OptionField | None:
    """Return the option that says who asks; None if there is not one, but several."""
    fields = connection.fields()
    keys = [f for f in fields if f.name == "api_key"] or [f for f in fields if is_key(f)]
    return keys[0] if len(keys) == 1 else None
