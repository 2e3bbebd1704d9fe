"""``DropIn``: functions under LightRAG's names, as the ``compat`` module of a plugin has them."""

from __future__ import annotations

import functools
import inspect
import logging
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import attrs

from ragcore._calls.opening import Opening, resolve_embedding
from ragcore._discovery.loading import registry
from ragcore.errors import OptionsError
from ragcore.hookspecs import EmbeddingProvider
from ragcore.lightrag._asking import CompletionFunction, completing, resolved
from ragcore.lightrag._embedding import vectors_of
from ragcore.lightrag._engine import engines_own
from ragcore.lightrag._keeper import COMPLETIONS, EMBEDDINGS
from ragcore.options import BindingOptions

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from ragcore.lightrag._engine import EmbeddingFunc

_log = logging.getLogger("ragcore")

# What a function that completes understands beside options: as llm_model_func's closure does.
_OF_A_COMPLETION = frozenset(
    {
        "system_prompt",
        "history_messages",
        "stream",
        "enable_cot",
        "response_format",
        "image_inputs",
        "max_tokens",
        "messages",
        "timeout",
        "token_tracker",
        "hashing_kv",
        "keyword_extraction",
        "entity_extraction",
    }
)
_OF_AN_EMBEDDING = frozenset({"max_token_size", "timeout", "token_tracker"})


@attrs.frozen
class DropIn:
    """
    What LightRAG's functions for one provider say in words of their own.

    A function is a call of :func:`ragcore.lightrag.llm_model_func`'s, or of ``embedding_func``'s,
    that brings along what opens its model; calls that bring the same share one. Options of the
    provider are arguments, those of its connection too. None is "not set", and so is an empty text,
    as LightRAG's functions take it.

    Attributes:
        provider: Name of the provider.
        words: LightRAG's word for an argument, and ours: ``{"aws_region": "region"}``.
        boxes: Arguments that are dicts of arguments, such as ``("client_configs",)``; what stands
            beside them is stronger.
        left_out: Arguments that LightRAG's functions take and never send. Ours say so in the log.
    """

    provider: str
    words: Mapping[str, str] = attrs.field(factory=dict)
    boxes: tuple[str, ...] = ()
    left_out: frozenset[str] = frozenset()

    async def complete(self, model: str, prompt: str, **arguments: Any) -> Any:
        """
        Complete *prompt* with *model*.

        Returns:
            What ``llm_model_func``'s function returns: a ``str``, or an asynchronous iterator.

        Raises:
            OptionsError: An argument is unknown or invalid; all problems at once.
            ProviderError: It did not deliver; the subclass says why.
        """
        options = registry().completion_provider(self.provider).options
        opens, asks = self._sorted(arguments, options, _OF_A_COMPLETION)
        opening = COMPLETIONS.in_time(resolved(f"{self.provider}:{model}", opens))
        return await completing(opening)(prompt, **asks)

    def completes(
        self, name: str, model: str | None = None, *, cot_last: bool = False
    ) -> CompletionFunction:
        """
        Make the function of that *name* of LightRAG's, for *model*, or for the one it is set to.

        Args:
            name: Name of the function.
            model: What to ask; None for what LightRAG's configuration says, else LLM_MODEL.
            cot_last: Whether *enable_cot* follows the two flags for JSON, where arguments are
                given by position.
        """

        async def complete(  # noqa: PLR0917  # LightRAG's signature
            prompt: str,
            system_prompt: str | None = None,
            history_messages: Sequence[Mapping[str, Any]] | None = None,
            enable_cot: bool = False,
            keyword_extraction: bool = False,
            entity_extraction: bool = False,
            token_tracker: Any = None,
            **arguments: Any,
        ) -> Any:
            return await self.complete(
                model or configured_model(arguments.get("hashing_kv")),
                prompt,
                system_prompt=system_prompt,
                history_messages=history_messages,
                enable_cot=enable_cot,
                keyword_extraction=keyword_extraction,
                entity_extraction=entity_extraction,
                token_tracker=token_tracker,
                **arguments,
            )

        async def complete_flags_first(  # noqa: PLR0917  # LightRAG's signature
            prompt: str,
            system_prompt: str | None = None,
            history_messages: Sequence[Mapping[str, Any]] | None = None,
            keyword_extraction: bool = False,
            entity_extraction: bool = False,
            enable_cot: bool = False,
            **arguments: Any,
        ) -> Any:
            flags = enable_cot, keyword_extraction, entity_extraction
            return await complete(prompt, system_prompt, history_messages, *flags, **arguments)

        made = complete_flags_first if cot_last else complete
        made.__name__ = made.__qualname__ = name
        return made

    async def embed(
        self,
        model: str,
        texts: Sequence[str],
        *,
        context: Any = "document",
        embedding_dim: int | None = None,
        **arguments: Any,
    ) -> npt.NDArray[np.float32]:
        """
        Embed *texts* with *model*.

        Args:
            model: What to ask.
            texts: May be empty.
            context: ``"query"`` or ``"document"``.
            embedding_dim: Length of a vector, for models that can choose; others have their own.
            arguments: Options, in LightRAG's words.

        Returns:
            float32, shape ``(len(texts), dimensions)``; row *i* is ``texts[i]``.

        Raises:
            OptionsError: An argument is unknown or invalid; all problems at once.
            ProviderError: It did not deliver; the subclass says why.
        """
        options = registry().embedding_provider(self.provider).options
        opens, asks = self._sorted(arguments, options, _OF_AN_EMBEDDING)
        opening = EMBEDDINGS.in_time(resolve_embedding(f"{self.provider}:{model}", opens))
        dimensions = _length(embedding_dim, opening)
        return await vectors_of(texts, opening, input_type=context, dimensions=dimensions, **asks)

    def _sorted(
        self,
        arguments: Mapping[str, Any],
        options: type[BindingOptions],
        of_the_call: frozenset[str],
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        """Return the arguments that open a model, and those of the call, in our words."""
        boxed = {key: value for box in self.boxes for key, value in _opened(box, arguments)}
        beside = {key: value for key, value in arguments.items() if key not in self.boxes}
        said = {
            self.words.get(name, name): value
            for name, value in (boxed | _set(beside)).items()
            if not self._leaves_out(name)
        }
        if _own_limits(options) & said.keys():
            said.pop("max_tokens", None)
        asks = of_the_call | {one.name for one in options.fields() if one.scope == "call"}
        return (
            {name: value for name, value in said.items() if name not in asks},
            {name: value for name, value in said.items() if name in asks},
        )

    def _leaves_out(self, name: str) -> bool:
        if name in self.left_out:
            _warn_left_out(self.provider, name)
        return name in self.left_out


def _set(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Return the arguments that say something, which None and an empty text don't."""
    return {
        name: value
        for name, value in arguments.items()
        if not isinstance(value, str | None) or value
    }


def _opened(box: str, arguments: Mapping[str, Any]) -> Iterable[tuple[str, Any]]:
    """Return what is set in the dict that stands under that name, or in an SDK's object."""
    given = arguments.get(box)
    try:
        return _set(dict(given or {})).items()
    except (TypeError, ValueError) as exc:
        raise OptionsError(f"{box}: {given!r:.80} is not a dict of options") from exc


def _own_limits(options: type[BindingOptions]) -> set[str]:
    """Return the provider's own words for the longest answer, which go before max_tokens."""
    limits = {one.name for one in options.fields() if one.same_as == "max_output_tokens"}
    return limits - {"max_tokens"}


# Cached: a program passes the same arguments with every call.
@functools.cache
def _warn_left_out(provider: str, name: str) -> None:
    _log.warning("%s: %s is left out: the provider has nothing like it", provider, name)


class _Declared(int):
    """A length that a function is declared with, and that its caller has not asked for."""


def _length(asked: int | None, opening: Opening[EmbeddingProvider]) -> int | None:
    """Return the length to ask for, if the model can choose; a declared one only if it has that."""
    if asked is None or not opening.capabilities.dimensions:
        return None
    if isinstance(asked, _Declared):
        # The function is declared for one model, and may be called for any other.
        own, _ = opening.described()
        return int(asked) if own and asked <= own else None
    return asked


def configured_model(hashing_kv: Any = None) -> str:
    """
    Return the model that LightRAG's configuration names, else LLM_MODEL.

    Args:
        hashing_kv: LightRAG's cache, as its calls bring it.

    Raises:
        OptionsError: Neither says one.
    """
    configuration = getattr(hashing_kv, "global_config", None) or {}
    model = configuration.get("llm_model_name") or os.environ.get("LLM_MODEL")
    if not model:
        raise OptionsError("no model is named: pass llm_model_name= to LightRAG, or set LLM_MODEL")
    return str(model)


def declares(
    **attributes: Any,
) -> Callable[[Callable[..., Any]], EmbeddingFunc]:
    """
    Make an ``EmbeddingFunc`` of the decorated function, as LightRAG's functions that embed are.

    Called directly, one with ``send_dimensions=True`` asks for vectors of the declared length. A
    model that is not known to have those returns its own, where LightRAG's class raises an error.

    Args:
        attributes: Fields of LightRAG's class, such as ``embedding_dim=1536``.
    """

    def declare(func: Callable[..., Any]) -> EmbeddingFunc:
        made: EmbeddingFunc = _lenient()(func=func, **attributes)
        return made

    return declare


@functools.cache
def _lenient() -> Any:
    async def call(self: Any, *args: Any, **kwargs: Any) -> Any:
        declared = {"max_token_size": self.max_token_size}
        if self.send_dimensions:
            declared["embedding_dim"] = _Declared(self.embedding_dim)
        taken = inspect.signature(self.func).parameters
        arguments = {name: value for name, value in declared.items() if name in taken} | kwargs
        if not self.supports_asymmetric:
            arguments.pop("context", None)
        return await self.func(*args, **arguments)

    return type("EmbeddingFunc", (engines_own("EmbeddingFunc"),), {"__call__": call})
