"""``"acme:large"`` -> a ready model: the few lines that join the rest."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import AsyncIterator, Mapping
from contextlib import (
    AbstractAsyncContextManager,
    AsyncExitStack,
    asynccontextmanager,
    nullcontext,
)
from typing import Any, Generic, TypeVar

import attrs

from ragcore._calls.completion import CompletionModel
from ragcore._calls.edge import at_the_edge
from ragcore._calls.embedding import EmbeddingModel
from ragcore._calls.exchange import Identity
from ragcore._calls.held import shared_client
from ragcore._discovery.code import code, code_in_thread
from ragcore._discovery.host_options import HostEmbeddingOptions, HostOptions
from ragcore._discovery.loading import registry
from ragcore._discovery.registry import Installed
from ragcore.errors import OptionsError, PluginError
from ragcore.hookspecs import CompletionProvider, EmbeddingProvider
from ragcore.options import BindingOptions, Sources, read
from ragcore.options._secrets import Secret, secrets_in

ProviderT = TypeVar("ProviderT", CompletionProvider, EmbeddingProvider)


@asynccontextmanager
async def completion(reference: str, **options: Any) -> AsyncIterator[CompletionModel]:
    """
    Open a model that completes.

    Args:
        reference: ``"provider:model"``.
        options: Of the provider (where and who, and how to complete) and of the host:
            ``timeout`` (seconds), ``retry``, ``on_unsupported``. What is not given is read from
            the environment.

    Raises:
        UnknownProviderError: Nothing installed goes by that name.
        PluginError: The plugin is broken.
        OptionsError: Options are missing, unknown or invalid; all problems at once.
    """
    opening = await asyncio.to_thread(resolve_completion, reference, options)
    async with completion_model(opening) as model:
        yield model


@asynccontextmanager
async def embedding(reference: str, **options: Any) -> AsyncIterator[EmbeddingModel]:
    """
    Open a model that embeds.

    Args:
        reference: ``"provider:model"``.
        options: Of the provider (where and who, and how to embed) and of the host: ``timeout``
            (seconds), ``retry``, ``on_unsupported``, ``batch_size``, ``max_concurrency``,
            ``dimensions``. What is not given is read from the environment.

    Raises:
        UnknownProviderError: Nothing installed goes by that name.
        PluginError: The plugin is broken.
        OptionsError: Options are missing, unknown or invalid; all problems at once.
    """
    opening = await asyncio.to_thread(resolve_embedding, reference, options)
    async with embedding_model(opening) as model:
        yield model


def providers() -> Installed:
    """Say what is installed, what it can do, what is broken and why; imports no SDK."""
    return registry().installed()


@attrs.frozen
class Opening(Generic[ProviderT]):
    """All that opening a model needs; nothing is open yet."""

    provider: ProviderT
    distribution: str
    model_name: str
    connection: BindingOptions
    # Two that are equal may differ in what was set, which is what is sent.
    options: BindingOptions = attrs.field(eq=lambda options: (options, options.asdict()))
    host: Any

    def identity(self) -> Identity:
        """Say whose model it is."""
        return Identity(
            provider=self.provider.name,
            model=self.model_name,
            distribution=self.distribution,
            capabilities=self.provider.capabilities_of(self.model_name),
            options=self.options,
            host=self.host,
            retry=self.host.retry or self.provider.retry,
            secrets=self._secrets(),
        )

    def _secrets(self) -> tuple[Secret, ...]:
        names = [field.name for field in self.connection.fields() if field.secret]
        values = (getattr(self.connection, name) for name in names)
        return tuple(secret for value in values for secret in secrets_in(value))

    def ask(self, function: str) -> Any:
        """
        Call one of the provider's synchronous functions: ``describe`` or ``tokenizer``; blocks.

        It is handed the connection too if it has a parameter of that name.
        """
        call = code(function, self.distribution)
        takes_connection = "connection" in inspect.signature(call).parameters
        more = {"connection": self.connection} if takes_connection else {}
        return call(self.model_name, self.options, **more)

    @asynccontextmanager
    async def backend(self) -> AsyncIterator[Any]:
        """
        Hold the plugin's backend, and the client it uses.

        Raises:
            PluginError: The plugin's code can't be imported, or its backend lacks the method.
        """
        connect = await code_in_thread(self.provider.connect, self.distribution)
        make = await code_in_thread(self.provider.backend, self.distribution)
        if inspect.iscoroutinefunction(connect) or inspect.isasyncgenfunction(connect):
            raise self._broken(f"{self.provider.connect} lacks @asynccontextmanager")
        if inspect.iscoroutinefunction(make):
            raise self._broken(f"{self.provider.backend} is async, and can't be")
        async with AsyncExitStack() as stack:
            with at_the_edge(self.provider.name, self.model_name, secrets=self._secrets()):
                client = await stack.enter_async_context(shared_client(connect, self.connection))
                made = make(client, self.model_name, self.options)
                backend = await stack.enter_async_context(_entered(made))
            method = "complete" if isinstance(self.provider, CompletionProvider) else "embed"
            if not callable(getattr(backend, method, None)):
                raise self._broken(f"its backend is a {type(backend).__name__}, without {method}()")
            yield backend

    def _broken(self, what: str) -> PluginError:
        return PluginError(
            f"{self.distribution} can't be used: {what}. "
            f"Ask the authors of {self.distribution} to mend it."
        )


@asynccontextmanager
async def completion_model(opening: Opening[CompletionProvider]) -> AsyncIterator[CompletionModel]:
    """Hold the model that *opening* has found and read the options of."""
    async with opening.backend() as backend:
        yield CompletionModel(backend, opening.identity())


@asynccontextmanager
async def embedding_model(opening: Opening[EmbeddingProvider]) -> AsyncIterator[EmbeddingModel]:
    """Hold the model that *opening* has found and read the options of."""
    async with opening.backend() as backend:
        yield EmbeddingModel(backend, opening.identity(), opening.host)


def _entered(backend: Any) -> AbstractAsyncContextManager[Any]:
    return backend if hasattr(type(backend), "__aenter__") else nullcontext(backend)


def resolve_completion(
    reference: str, options: Mapping[str, Any], sources: Sources | None = None
) -> Opening[CompletionProvider]:
    """Find who completes *reference*, and read its options; blocks on the first use."""
    name, model_name = _split(reference)
    found = registry()
    provider = found.completion_provider(name)
    groups = [provider.connection, provider.options, HostOptions]
    read_options = read(groups, options, sources=sources)
    return Opening(provider, found.distribution_of(provider), model_name, *read_options)


def resolve_embedding(
    reference: str, options: Mapping[str, Any], sources: Sources | None = None
) -> Opening[EmbeddingProvider]:
    """Find who embeds *reference*, and read its options; blocks on the first use."""
    name, model_name = _split(reference)
    found = registry()
    provider = found.embedding_provider(name)
    groups = [provider.connection, provider.options, HostEmbeddingOptions]
    read_options = read(groups, options, sources=sources)
    return Opening(provider, found.distribution_of(provider), model_name, *read_options)


def _split(reference: str) -> tuple[str, str]:
    name, colon, model_name = reference.partition(":") if isinstance(reference, str) else ("",) * 3
    if not (name and colon and model_name):
        raise OptionsError(
            f"{reference!r} is not a reference: PROVIDER:MODEL, such as 'openai:gpt-4o-mini'"
        )
    return name, model_name
