"""A provider out of one row of data."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple, ParamSpec, TypeVar

import attrs

from lightrag_openai._endpoint import Endpoint
from lightrag_openai.options import (
    DEFAULT_HEADERS,
    HTTP_CLIENT,
    MAX_CONNECTIONS,
    ChatOptions,
    Sampling,
    VectorOptions,
)
from ragcore import (
    BindingOptions,
    CompletionProvider,
    EmbeddingProvider,
    Retry,
    Secret,
    hookimpl,
    option,
)
from ragcore.wire import ADDRESS, HEADER

P = ParamSpec("P")
T = TypeVar("T")

# Most of these services say in Retry-After when to come back; the waits, 0.5 s to 4 s at most, are
# for failures that don't: an overload or a broken connection is over in seconds, or it isn't.
_RETRY = Retry(attempts=5, wait_initial=0.5, wait_max=20.0)


class CompatibleOptions(BindingOptions):
    """Where an OpenAI-compatible endpoint is, and who asks; a subclass is made for each row."""

    row: ClassVar[Endpoint]

    if TYPE_CHECKING:
        # Each row declares them, before what is here.
        base_url: str | None
        api_key: Secret | None

    default_headers: dict[str, str] | None = DEFAULT_HEADERS
    max_connections: int | None = MAX_CONNECTIONS
    http_client: Any = HTTP_CLIENT


class Compatible(NamedTuple):
    """
    The records of an OpenAI-compatible provider.

    An entry point can name it as it is, since it has the hooks; or a plugin's own hooks return
    its records.
    """

    completion: CompletionProvider | None
    embedding: EmbeddingProvider | None

    @hookimpl
    def ragcore_completion_providers(self) -> Iterator[CompletionProvider]:
        """Offer its chat models, if it has any."""
        if self.completion is not None:
            yield self.completion

    @hookimpl
    def ragcore_embedding_providers(self) -> Iterator[EmbeddingProvider]:
        """Offer its embedding models, if it has any."""
        if self.embedding is not None:
            yield self.embedding


def records(
    row: Endpoint,
    connect: str,
    connections: tuple[type[BindingOptions], type[BindingOptions]],
    options: tuple[type[ChatOptions], type[VectorOptions]],
    aliases: tuple[str, ...] = (),
) -> Compatible:
    """
    Make the records of *row*.

    Args:
        row: Who serves.
        connect: Name of the function in ``_connect`` that opens a client.
        connections: The accounts that complete and embed.
        options: How its models complete and embed.
        aliases: Further names of the provider.
    """
    both: dict[str, Any] = {
        "name": row.name,
        "aliases": aliases,
        "connect": f"lightrag_openai._connect:{connect}",
        "retry": _RETRY,
        "loggers": ("openai", "httpx2", "httpcore2", "aiohttp"),
        "list_models": "lightrag_openai._connect:list_models",
    }
    completion = CompletionProvider(
        **both,
        connection=connections[0],
        options=options[0],
        backend="lightrag_openai._completion:open_completion",
        capabilities=row.completion_capabilities,
    )
    embedding = EmbeddingProvider(
        **both,
        connection=connections[1],
        options=options[1],
        backend="lightrag_openai._embedding:OpenAIEmbedding",
        capabilities=row.embedding_capabilities,
        describe="lightrag_openai._describe:describe",
    )
    return Compatible(completion if row.completes else None, embedding if row.embeds else None)


@functools.cache
def provider_of(row: Endpoint) -> Compatible:
    """Make the records of *row*, and its option classes."""
    account = _connection_class(row)
    options = _chat_class(row), _vector_class(row)
    return records(row, "connect_compatible", (account, account), options)


def _of_rows(build: Callable[P, Endpoint]) -> Callable[P, Compatible]:
    """Take the arguments of a row, and make its provider."""

    @functools.wraps(build, assigned=(), updated=())
    def compatible(*args: P.args, **fields: P.kwargs) -> Compatible:
        """
        Make a provider for an endpoint that speaks OpenAI's API.

        All that a third-party plugin needs::

            # ragcore_acme.py; its entry point is acme = "ragcore_acme:acme"
            from lightrag_openai import compatible

            acme = compatible("acme", base_url="https://api.acme.ai/v1", api_key_env="ACME_API_KEY")

        Args:
            args: Its name, which stands before the colon in a reference.
            fields: Those of :class:`Endpoint`.

        Returns:
            Its records, ``completion`` and ``embedding``; it has the hooks, too.
        """
        return provider_of(build(*args, **fields))

    return compatible


compatible = _of_rows(Endpoint)


def _connection_class(row: Endpoint) -> type[CompatibleOptions]:
    class Account(BindingOptions):
        base_url: str | None = option(
            "Base URL of the service.",
            default=None if row.base_url else attrs.NOTHING,
            provider_default=row.base_url,
            check=ADDRESS,
        )
        api_key: Secret | None = option(
            "Key of the account.",
            env=row.api_key_env or f"{row.binding}_API_KEY".upper(),
            secret=True,
            default=attrs.NOTHING if row.needs_key else None,
            check=HEADER,
        )

    class Options(CompatibleOptions, Account, binding=row.binding):
        pass

    Options.row = row
    return _named(Options, row, "Options", f"An account of {row.name}.")


def _chat_class(row: Endpoint) -> type[ChatOptions]:
    class Options(ChatOptions, Sampling, binding=f"{row.binding}_llm"):
        pass

    return _named(Options, row, "LLMOptions", f"How a model of {row.name} answers.")


def _vector_class(row: Endpoint) -> type[VectorOptions]:
    class Options(VectorOptions, binding=f"{row.binding}_embedding"):
        pass

    return _named(Options, row, "EmbeddingOptions", f"How a model of {row.name} embeds.")


def _named(made: type[T], row: Endpoint, suffix: str, doc: str) -> type[T]:
    made.__name__ = made.__qualname__ = f"{row.binding.title().replace('_', '')}{suffix}"
    made.__doc__ = doc
    return made
