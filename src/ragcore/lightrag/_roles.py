"""Models for LightRAG's roles: extract, keyword, query and vlm."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import attrs

from ragcore._calls.opening import Opening
from ragcore._calls.problems import Problems
from ragcore._records import Fallback
from ragcore.errors import OptionsError
from ragcore.hookspecs import CompletionProvider
from ragcore.lightrag._asking import CompletionFunction, completing, resolved
from ragcore.lightrag._engine import engines_own
from ragcore.lightrag._keeper import COMPLETIONS, engines_limit
from ragcore.options import BindingOptions, OptionField, Sources

if TYPE_CHECKING:
    from ragcore.lightrag._engine import RoleLLMConfig

Model = str | tuple[str, Mapping[str, Any]] | Fallback

# The model of a reference that leaves it to an option of the connection, as Azure's deployment.
DEFAULT_MODEL = "default"

# A question is asked by these: first for its keywords, then for its answer.
OF_USERS = ("keyword", "query")


def model_field(connection: type[BindingOptions]) -> OptionField | None:
    """Return the option that names the model where a reference says :data:`DEFAULT_MODEL`."""
    return next((field for field in connection.fields() if field.same_as == "model"), None)


@attrs.frozen
class Completer:
    """
    Who completes, for all roles or for one.

    Attributes:
        binding: What LightRAG calls the provider.
        timeout: Seconds for one attempt; 0 for no limit.
        max_async: Calls under way at once.
        answers_users: Its role is a part of answering a user's question.
    """

    binding: str
    opening: Opening[CompletionProvider]
    timeout: int | None = None
    max_async: int | None = None
    answers_users: bool = False

    @property
    def model(self) -> str:
        """What LightRAG calls the model: its own name where the reference leaves it open."""
        connection, name = self.opening.connection, self.opening.model_name
        field = model_field(type(connection))
        if field is None or name != DEFAULT_MODEL:
            return name
        return getattr(connection, field.name) or DEFAULT_MODEL

    def function(self) -> CompletionFunction:
        opening = COMPLETIONS.in_time(self.opening, self.timeout)
        return completing(opening, answers_users=self.answers_users)

    def role_config(self) -> RoleLLMConfig:
        # LightRAG logs it, and keeps it.
        metadata = {
            "binding": self.binding,
            "model": self.model,
            "host": self.opening.setup.address,
        }
        config: RoleLLMConfig = engines_own("RoleLLMConfig")(
            func=self.function(),
            # None would have it take llm_model_kwargs, which are meant for another model.
            kwargs={},
            max_async=self.max_async,
            timeout=engines_limit(self.timeout),
            metadata=metadata,
        )
        return config


def role_llm_configs(
    *,
    extract: Model | None = None,
    keyword: Model | None = None,
    query: Model | None = None,
    vlm: Model | None = None,
) -> dict[str, RoleLLMConfig]:
    """
    Make LightRAG's ``role_llm_configs``: other models for some of its work.

    ::

        rag = LightRAG(
            llm_model_func=llm_model_func("openai:gpt-4o-mini"),
            role_llm_configs=role_llm_configs(
                extract=("ollama:qwen3", {"num_ctx": 32768}),
                vlm="anthropic:claude-haiku-4-5",
            ),
            …
        )

    Each is a reference, ``"provider:model"``, a tuple of one and the options that
    :func:`llm_model_func` takes, or :func:`ragcore.fallback` of several. What the options leave
    open is read from the environment, where the role's own variables, such as
    ``EXTRACT_OLLAMA_LLM_TEMPERATURE``, go first. Roles that are left out keep LightRAG's
    ``llm_model_func``.

    Args:
        extract: Finds entities and relations, and sums up.
        keyword: Finds the keywords of a question.
        query: Answers.
        vlm: Looks at images.

    Returns:
        LightRAG's own ``RoleLLMConfig`` for each role that is given.

    Raises:
        UnknownProviderError: Nothing installed goes by that name, and that is all that is wrong.
        PluginError: The plugin is broken, and that is all that is wrong.
        OptionsError: With all problems of all roles.
    """
    models = {"extract": extract, "keyword": keyword, "query": query, "vlm": vlm}
    problems = Problems()
    completers: dict[str, Completer] = {}
    for role, model in models.items():
        with problems.noted(role):
            if model is not None:
                completers[role] = _completer(role, model)
    problems.raise_all()
    return {role: completer.role_config() for role, completer in completers.items()}


def _completer(role: str, model: Model) -> Completer:
    reference: str | Fallback
    options: Mapping[str, Any]
    match model:
        case str() | Fallback():
            reference, options = model, {}
        case (str() as reference, Mapping() as options):
            pass
        case _:
            raise OptionsError(
                'neither a reference, such as "openai:gpt-4o-mini", nor a tuple of one and its '
                'options, such as ("ollama:qwen3", {"num_ctx": 32768})'
            )
    opening = resolved(reference, options, Sources(role=role))
    first = reference if isinstance(reference, str) else reference.references[0]
    return Completer(first.partition(":")[0], opening, answers_users=role in OF_USERS)
