"""
What a plugin implements: the page to read before writing one.

A plugin is an installed distribution with an entry point in the group ``ragcore`` that names a
module. The module implements any of the four hooks below. A complete one::

    # pyproject.toml
    #   [project.entry-points.ragcore]
    #   acme = "ragcore_acme"

    # ragcore_acme/__init__.py
    from ragcore import BindingOptions, CompletionProvider, Secret, hookimpl, option

    class AcmeOptions(BindingOptions, binding="acme"):
        api_key: Secret = option("Key of your Acme account.", secret=True)

    class AcmeLLMOptions(BindingOptions, binding="acme_llm"):
        temperature: float | None = option(
            "Randomness.", default=None, scope="call", minimum=0, maximum=2, provider_default=1
        )

    @hookimpl
    def ragcore_completion_providers():
        yield CompletionProvider(
            name="acme",
            connection=AcmeOptions,
            options=AcmeLLMOptions,
            connect="ragcore_acme.client:connect",
            backend="ragcore_acme.client:AcmeCompletion",
        )

    # ragcore_acme/client.py: imported at first use, so an SDK belongs here
    from contextlib import asynccontextmanager

    import acme_sdk
    from ragcore import Completion, RateLimitError

    @asynccontextmanager
    async def connect(connection):
        async with acme_sdk.Client(key=connection.api_key.get(), retries=0) as client:
            yield client

    class AcmeCompletion:
        def __init__(self, client, model_name, options):
            self.client, self.model_name = client, model_name

        async def complete(self, request):
            try:
                answer = await self.client.chat(self.model_name, request.messages[-1].content)
            except acme_sdk.TooManyRequests as exc:
                raise RateLimitError(str(exc), retry_after=exc.seconds) from exc
            return Completion(answer.text)

The plugin makes **one attempt** and translates its SDK's exceptions into those of
:mod:`ragcore.errors`; the class it picks says whether another attempt may help, and
:func:`ragcore.retry_after` reads from a response's headers when. Options, retries,
deadlines, batching, order, checks, timings and the way into LightRAG are the host's.

Each option is declared once, and is a keyword, a variable (``ACME_LLM_TEMPERATURE``, and for one of
LightRAG's roles ``EXTRACT_ACME_LLM_TEMPERATURE``), a flag, a line of the ``.env`` sample and a
property of a JSON Schema: see :mod:`ragcore.options`. LightRAG's ``LLM_BINDING_HOST`` and
``LLM_BINDING_API_KEY`` go to the connection's ``base_url`` (or ``endpoint_url``, ``endpoint``,
``host``, ``url``) and to its ``api_key``, or else its only secret.

What services have in common is here, for plugins to call: :func:`ragcore.translating` (an SDK's
exceptions to errors, by a table), :func:`ragcore.http_error` (a status to an error),
:func:`ragcore.retry_after`, :class:`ragcore.ThinkingSplitter` (``<think>`` tags), and
:func:`ragcore.redacted`, which keeps keys out of an SDK's log.

Code is named as text, ``"package.module:attribute"``, and imported once, in a thread, when the
provider is first used: a plugin's own module must import no SDK, so that listing what is
installed stays quick.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any, Literal, Protocol

import attrs
import pluggy

from ragcore._records import (
    Capabilities,
    Chunk,
    Completion,
    CompletionRequest,
    EmbeddingRequest,
    Embeddings,
    Retry,
)
from ragcore.options import BindingOptions

if TYPE_CHECKING:
    from contextlib import AbstractAsyncContextManager

ENTRY_POINT_GROUP = "ragcore"

hookspec: pluggy.HookspecMarker = pluggy.HookspecMarker(ENTRY_POINT_GROUP)
hookimpl: pluggy.HookimplMarker = pluggy.HookimplMarker(ENTRY_POINT_GROUP)


@hookspec
def ragcore_completion_providers() -> Iterable[CompletionProvider]:
    """
    Return providers of completions, one record each.

    Called once, when something first asks for a provider. It must be quick, without I/O::

        @hookimpl
        def ragcore_completion_providers():
            yield CompletionProvider(
                name="acme",
                connection=AcmeOptions,
                options=AcmeLLMOptions,
                connect="ragcore_acme.client:connect",
                backend="ragcore_acme.client:AcmeCompletion",
            )
    """
    raise AssertionError("a specification is not called")


@hookspec
def ragcore_embedding_providers() -> Iterable[EmbeddingProvider]:
    """
    Return providers of embeddings, one record each.

    Called once, when something first asks for a provider. It must be quick, without I/O::

        @hookimpl
        def ragcore_embedding_providers():
            yield EmbeddingProvider(
                name="acme",
                connection=AcmeOptions,
                options=AcmeEmbeddingOptions,
                connect="ragcore_acme.client:connect",
                backend="ragcore_acme.client:AcmeEmbedding",
                capabilities=Capabilities(max_batch=96),
            )
    """
    raise AssertionError("a specification is not called")


@hookspec
def ragcore_options() -> Iterable[type[BindingOptions]]:
    """
    Return option groups that no provider record names.

    Called once, when something first asks for a provider or lists options::

        @hookimpl
        def ragcore_options():
            return [AcmeTracingOptions]
    """
    raise AssertionError("a specification is not called")


@hookspec
def ragcore_layers() -> Iterable[Layer]:
    """
    Return what to put around calls, or around their attempts: one record a layer.

    For tracing, recording, caching and limits. Called once, when something first asks for a
    provider. It must be quick, without I/O.

    The code of a record wraps a *step*: a function of an exchange that returns an async context
    manager. A step is entered to ask, and left when the answer has been read; so one layer serves
    completion, streams and embedding, and to try again is to enter again. The code is called once
    for each model that is opened. With ``around="call"`` its step is entered once a call, with
    ``around="attempt"`` once an attempt; of an embedding, once an attempt at each of its requests.

    A layer may

    - look at ``exchange.request`` before, and at ``exchange.answer`` after: a ``Completion`` or
      ``Embeddings``, also of a stream that was read to its end; None of one that was not;
    - answer by itself: yield a ``Completion`` (for a stream, too) or ``Embeddings`` without
      entering the step;
    - wait before it enters. What it holds is free while a retry waits, and kept until a stream is
      closed; ``exchange.attempts.queued`` takes the seconds;
    - read or replace the chunks of a stream: ``exchange.streams`` says that one was asked for, and
      what the step yields is then an iterator of ``Chunk``;
    - ask another model within the same deadline, by that model's ``step(exchange)``;
    - raise: an error before the step yields ends the attempt, and the class says whether another
      one follows.

    The layers of a package stand in its order, the first outermost; packages stand in the order of
    their names. ::

        # ragcore_acme/__init__.py
        @hookimpl
        def ragcore_layers():
            yield Layer(name="acme-audit", around="call", wrap="ragcore_acme.audit:wrap")

        # ragcore_acme/audit.py
        from contextlib import asynccontextmanager

        def wrap(step):
            @asynccontextmanager
            async def audited(exchange):
                async with step(exchange) as answer:
                    yield answer
                if exchange.answer is not None:
                    print(exchange.opening.reference, exchange.answer.usage)

            return audited
    """
    raise AssertionError("a specification is not called")


def _code(_: object, attribute: attrs.Attribute[Any], value: object) -> None:
    if value is None:
        return
    module, colon, name = value.partition(":") if isinstance(value, str) else ("", "", "")
    if not (module and colon and name):
        raise ValueError(
            f"{attribute.name}={value!r} is not of the form 'package.module:attribute'."
        )


def _name(_: object, attribute: attrs.Attribute[Any], value: str) -> None:
    if not value or ":" in value or value != value.strip().lower():
        raise ValueError(
            f"{attribute.name}={value!r} is not a provider name: lower case, no colon."
        )


def _options(_: object, attribute: attrs.Attribute[Any], value: object) -> None:
    if not (isinstance(value, type) and issubclass(value, BindingOptions) and value.binding()):
        raise ValueError(
            f"{attribute.name}={value!r} is not a BindingOptions class with a binding."
        )


def _capabilities(_: object, attribute: attrs.Attribute[Any], value: object) -> None:
    if not (isinstance(value, Capabilities) or callable(value)):
        raise ValueError(f"{attribute.name}={value!r} is neither Capabilities nor a function.")  # noqa: TRY004


def _names(names: Iterable[str]) -> tuple[str, ...]:
    if isinstance(names, str):
        raise ValueError(f"{names!r} is one str; pass a tuple of them.")  # noqa: TRY004
    return tuple(names)


_required_code = attrs.validators.and_(attrs.validators.instance_of(str), _code)


@attrs.frozen(kw_only=True)
class _Provider:
    name: str = attrs.field(validator=_name)
    connection: type[BindingOptions] = attrs.field(validator=_options)
    options: type[BindingOptions] = attrs.field(validator=_options)
    connect: str = attrs.field(validator=_required_code)
    backend: str = attrs.field(validator=_required_code)
    aliases: tuple[str, ...] = attrs.field(
        default=(), converter=_names, validator=attrs.validators.deep_iterable(_name)
    )
    capabilities: Capabilities | Callable[[str], Capabilities] = attrs.field(
        default=Capabilities(), validator=_capabilities
    )
    retry: Retry = attrs.field(default=Retry(), validator=attrs.validators.instance_of(Retry))
    loggers: tuple[str, ...] = attrs.field(default=(), converter=_names)
    list_models: str | None = attrs.field(default=None, validator=_code)
    tokenizer: str | None = attrs.field(default=None, validator=_code)

    def capabilities_of(self, model_name: str) -> Capabilities:
        """Return what the model of that name can do."""
        if isinstance(self.capabilities, Capabilities):
            return self.capabilities
        return self.capabilities(model_name)


@attrs.frozen(kw_only=True)
class CompletionProvider(_Provider):
    """
    A provider of completions.

    Attributes:
        name: What stands before the colon in ``acme:large``; lower case.
        connection: Option class that says where and who.
        options: Option class of the task. No field name may be in both, nor be one of the host's.
        connect: Code; ``(connection) -> async context manager of a client``. The host opens one
            per process, event loop and connection, and shares it among all its models.
        backend: Code; ``(client, model_name, options) -> CompletionBackend``, or an async context
            manager of one.
        aliases: Further names.
        capabilities: A value, or a function of the model's name.
        retry: How persistent the host is unless the user says otherwise.
        loggers: Names of the SDK's loggers and of its HTTP library's; the host keeps the
            connection's secrets out of what they write.
        list_models: Code; ``(client) -> awaitable of an iterable of model names``.
        tokenizer: Code; ``(model_name, options) -> Tokenizer``; synchronous. If it has a parameter
            named *connection*, it is handed the connection's options too.
    """


@attrs.frozen(kw_only=True)
class EmbeddingProvider(_Provider):
    """
    A provider of embeddings; fields as in :class:`CompletionProvider`, and two more.

    Attributes:
        describe: Code; ``(model_name, options) -> (dimensions, max_tokens)``, each None where
            unknown; synchronous, from files or a table; at most a small configuration file is
            fetched. It too is handed *connection* if it has a parameter of that name.
        identity: Code; ``(model_name, options) -> mapping``, called as *describe* is; what decides
            about the model's vectors, by name, as JSON has it: what options say where they are
            set, else what the model's files say. What is not known is left out. Of one provider's
            vectors, those that differ in a fact are not compared; ``revision`` and ``weights``
            count between models of one name. Left out: the options that are called ``normalize``,
            ``pooling``, ``dtype``, ``…_prefix`` and the like.
    """

    describe: str | None = attrs.field(default=None, validator=_code)
    identity: str | None = attrs.field(default=None, validator=_code)


@attrs.frozen(kw_only=True)
class Layer:
    """
    What a plugin puts around calls or attempts; see :func:`ragcore_layers`.

    Attributes:
        name: What messages call it.
        around: ``"call"``: once a call, whatever is tried; ``"attempt"``: once an attempt.
        wrap: Code; ``(step) -> step``.
    """

    name: str = attrs.field(validator=_name)
    around: Literal["call", "attempt"] = attrs.field(
        validator=attrs.validators.in_(("call", "attempt"))
    )
    wrap: str = attrs.field(validator=_required_code)


class CompletionBackend(Protocol):
    """One attempt at a completion. What can't be done has no method."""

    async def complete(self, request: CompletionRequest) -> Completion:
        """
        Answer *request*.

        Returns:
            With *text*, *finish_reason* and, where known, *usage*; timings are the host's.

        Raises:
            ProviderError: The subclass that says what happened; ``raise … from exc``.
        """
        ...


class StreamingBackend(CompletionBackend, Protocol):
    """A completion backend that also streams."""

    def stream(self, request: CompletionRequest) -> AsyncGenerator[Chunk, None]:
        """
        Answer *request* piece by piece; the last chunk has the finish reason.

        The host closes the generator when the reader leaves; what it holds is released there,
        in ``finally`` or ``async with``.
        """
        ...


class EmbeddingBackend(Protocol):
    """One attempt at embedding."""

    async def embed(self, request: EmbeddingRequest) -> Embeddings:
        """
        Embed ``request.texts``, of which there are no more than ``capabilities.max_batch``.

        Returns:
            One row a text, in the order of the texts, and the positions of those that were cut.

        Raises:
            ContextLengthError: With ``request.truncate == "error"``; *positions* says which.
            ProviderError: The subclass that says what happened; ``raise … from exc``.
        """
        ...


class Tokenizer(Protocol):
    """Turns text into numbers and back, as one model does; safe to use from several threads."""

    def encode(self, text: str) -> Sequence[int]:
        """Return the tokens of *text*, without those that only mark beginning and end."""
        ...

    def decode(self, tokens: Sequence[int]) -> str:
        """Return the text of *tokens*; of a slice of an encoding, a literal piece of the text."""
        ...


Connect = Callable[[Any], "AbstractAsyncContextManager[Any]"]
