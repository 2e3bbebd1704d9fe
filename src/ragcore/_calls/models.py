"""Opens models: the functions that users call."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

from ragcore._calls.attempts import Deadline
from ragcore._calls.completion import CompletionModel
from ragcore._calls.embedding import EmbeddingModel
from ragcore._calls.entering import Entering
from ragcore._calls.fallback import resolve
from ragcore._calls.model import listed
from ragcore._calls.opening import resolve_embedding, resolve_service
from ragcore._discovery.loading import registry
from ragcore._discovery.registry import Installed
from ragcore._limits import Limits
from ragcore._records import Fallback, OnUnsupported, Retry


def completion(
    reference: str | Fallback,
    *,
    timeout: float | None = None,
    retry: Retry | None = None,
    hedge_after: float | None = None,
    limits: Limits | None = None,
    on_unsupported: OnUnsupported | None = None,
    max_output_tokens: int | None = None,
    **options: Any,
) -> AbstractAsyncContextManager[CompletionModel]:
    """
    Open a model that completes.

    ::

        async with ragcore.completion("openai:gpt-4o-mini", temperature=0.2) as model:
            answer = await model.complete("Who wrote Faust?")

    Args:
        reference: ``"provider:model"``, or :func:`ragcore.fallback` of several, whose options are
            given there.
        timeout: Deadline of a call in seconds, everything included; 0 for none.
        retry: How persistent a call is; None for as the provider says.
        hedge_after: Seconds after which a call that has no answer, or no first chunk, is made once
            more beside the first, by the next model of a fallback if there is one; whichever
            answers first counts.
        limits: The budget that calls draw on; None for what the options say of the account's.
        on_unsupported: What the model can't do is refused (``"error"``), left out with a line in
            the log (``"warn"``), or asked for in words where that is possible (``"prompt"``).
        max_output_tokens: Upper bound of an answer, in tokens.
        options: Of the provider: where and who, and how to complete. What is not given is read
            from the environment.

    Raises:
        UnknownProviderError: Nothing installed goes by that name.
        PluginError: The plugin is broken.
        OptionsError: Options are missing, unknown or invalid; all problems at once.
    """
    given = {
        "timeout": timeout,
        "retry": retry,
        "hedge_after": hedge_after,
        "limits": limits,
        "on_unsupported": on_unsupported,
        "max_output_tokens": max_output_tokens,
        **options,
    }
    return Entering(
        _opened(resolve, CompletionModel.opened, reference, given),
        "async with ragcore.completion(…) as model: answer = await model.complete(…)",
    )


def embedding(
    reference: str,
    *,
    timeout: float | None = None,
    retry: Retry | None = None,
    limits: Limits | None = None,
    on_unsupported: OnUnsupported | None = None,
    batch_size: int | None = None,
    max_concurrency: int | None = None,
    dimensions: int | None = None,
    **options: Any,
) -> AbstractAsyncContextManager[EmbeddingModel]:
    """
    Open a model that embeds.

    ::

        async with ragcore.embedding("ollama:bge-m3") as model:
            found = await model.embed(["A text.", "Another."])

    Args:
        reference: ``"provider:model"``.
        timeout: Deadline of a call in seconds, everything included; 0 for none.
        retry: How persistent a request is; None for as the provider says.
        limits: The budget that calls draw on; None for what the options say of the account's.
        on_unsupported: What the model can't do is refused (``"error"``), or left out with a line
            in the log (``"warn"``, ``"prompt"``).
        batch_size: Texts in one request; None for as many as the provider takes.
        max_concurrency: Requests of one call under way at once; None for 8.
        dimensions: Length of a vector, for models that can choose.
        options: Of the provider: where and who, and how to embed. What is not given is read from
            the environment.

    Raises:
        UnknownProviderError: Nothing installed goes by that name.
        PluginError: The plugin is broken.
        OptionsError: Options are missing, unknown or invalid; all problems at once.
    """
    given = {
        "timeout": timeout,
        "retry": retry,
        "limits": limits,
        "on_unsupported": on_unsupported,
        "batch_size": batch_size,
        "max_concurrency": max_concurrency,
        "dimensions": dimensions,
        **options,
    }
    return Entering(
        _opened(resolve_embedding, EmbeddingModel.opened, reference, given),
        "async with ragcore.embedding(…) as model: found = await model.embed(…)",
    )


@asynccontextmanager
async def _opened(
    resolve: Callable[..., Any],
    open_model: Callable[[Any], AbstractAsyncContextManager[Any]],
    reference: str | Fallback,
    given: dict[str, Any],
) -> AsyncIterator[Any]:
    opening = await asyncio.to_thread(resolve, reference, given)
    async with open_model(opening) as model:
        yield model


async def list_models(
    provider: str,
    *,
    timeout: float | None = None,  # noqa: ASYNC109  # of all attempts together
    **options: Any,
) -> tuple[str, ...]:
    """
    Return the names of the models that an account or this machine has.

    Args:
        provider: Name of the provider.
        timeout: Deadline in seconds; 0 for none.
        options: The provider's options of where and who; what is not given is read from the
            environment.

    Raises:
        UnknownProviderError: Nothing installed goes by that name.
        UnsupportedError: The provider does not say.
        OptionsError: Options are missing, unknown or invalid; all problems at once.
        ProviderError: It did not deliver; the subclass says why.
    """
    service = await asyncio.to_thread(resolve_service, provider, {"timeout": timeout, **options})
    async with service.client() as client:
        return await listed(service, client, Deadline(service.host.timeout))


def providers() -> Installed:
    """Say what is installed, what it can do, what is broken and why; imports no SDK."""
    return registry().installed()
