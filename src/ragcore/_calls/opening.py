"""``"acme:large"`` -> what opens that model: found, configured, and not open yet."""

from __future__ import annotations

import functools
import inspect
import logging
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import (
    AbstractAsyncContextManager,
    AsyncExitStack,
    asynccontextmanager,
    nullcontext,
)
from typing import Any, Generic, Literal, TypeVar

import attrs

from ragcore._calls.attempts import Attempts
from ragcore._calls.edge import AtTheEdge
from ragcore._calls.held import KEEP_ALIVE, borrowed
from ragcore._calls.rungs import Format, Way
from ragcore._calls.scheme import Scheme
from ragcore._calls.setup import Setup
from ragcore._discovery.code import code, code_in_thread
from ragcore._discovery.host_options import (
    CALLS,
    HostCompletionOptions,
    HostEmbeddingOptions,
    HostOptions,
)
from ragcore._discovery.loading import registry
from ragcore._discovery.misspelt import tell_misspelt_once
from ragcore._limits import Limits, limits_of_account
from ragcore._records import Capabilities, Fallback, Retry, Rung
from ragcore.errors import OptionsError, PluginError, ProviderError, UnsupportedError
from ragcore.hookspecs import CompletionProvider, EmbeddingProvider
from ragcore.options import (
    SHORTEST,
    BindingOptions,
    OptionField,
    Secret,
    Sources,
    holds_half,
    merge,
    read,
    secrets_in,
    without,
)
from ragcore.wire import redacted

ProviderT = TypeVar("ProviderT", CompletionProvider, EmbeddingProvider)
Connect = Callable[[Any], AbstractAsyncContextManager[Any]]

_log = logging.getLogger("ragcore")

# What other libraries have options for.
_OF_THE_REFERENCE = dict.fromkeys(
    ("model", "model_name"),
    "is said by the reference: PROVIDER:MODEL, such as 'openai:gpt-4o-mini'",
)
_OF_THE_METHOD = {"stream": "is a method: async with model.stream(…) as chunks"}

# Formats whose ways a model remembers; a program may make a schema for each call.
_MOST_REMEMBERED = 100


@attrs.frozen(slots=False)
class Service(Generic[ProviderT]):
    """
    A provider, and how one of its users is connected to it.

    Attributes:
        provider: The record of the plugin.
        distribution: The package that brings it.
        connection: The options that say where and who.
        host: The host's own options.
        setup: What *connection* was read from.
    """

    provider: ProviderT
    distribution: str
    connection: BindingOptions
    host: Any
    setup: Setup = attrs.field(eq=False, repr=False)

    @functools.cached_property
    def retry(self) -> Retry:
        """How persistent a call is."""
        retry: Retry = self.host.persistence(self.provider.retry)
        return retry

    @functools.cached_property
    def limits(self) -> Limits | None:
        """The budget that calls draw on; None without limits."""
        limits: Limits | None = self.host.limits
        numbers = self.host.limits_of_account()
        if limits is not None or not numbers:
            return limits
        return limits_of_account((self.provider.name, self.connection), numbers)

    @functools.cached_property
    def secrets(self) -> tuple[Secret, ...]:
        """What no message may show."""
        return tuple(_secrets_of(self.connection))

    @functools.cached_property
    def keys(self) -> str:
        """The secret options that are set, or else all, with their variables."""
        secret = [field for field in self.connection.fields() if field.secret]
        given = [field for field in secret if getattr(self.connection, field.name)] or secret
        return " or ".join(map(_named, given))

    def at_the_edge(self, attempts: Attempts | None = None) -> AtTheEdge:
        """Name the provider in errors that pass, and keep the account's secrets out of them."""
        name = self.provider.name
        return AtTheEdge(self.distribution, name, None, self.secrets, attempts, setup=self.setup)

    def redacted(self, text: str) -> str:
        """Return *text* with an ellipsis for each of the account's secrets."""
        values = (secret.get() for secret in self.secrets)
        return without(text, [value for value in values if len(value) >= SHORTEST])

    @asynccontextmanager
    async def client(self) -> AsyncIterator[Any]:
        """
        Hold the client of the connection, which all models of the account share.

        Raises:
            PluginError: The plugin's code can't be imported.
        """
        connect = await code_in_thread(self.provider.connect, self.distribution)
        if inspect.iscoroutinefunction(connect) or inspect.isasyncgenfunction(connect):
            raise self.broken(f"{self.provider.connect} lacks @asynccontextmanager")
        connect = _quiet(connect, self.provider.loggers)
        async with AsyncExitStack() as stack:
            with self.at_the_edge():
                client = await stack.enter_async_context(
                    borrowed(connect, self.connection, keep_alive=KEEP_ALIVE)
                )
            yield client

    async def list_models(self, client: Any) -> tuple[str, ...]:
        """
        Return the names of the models that the account or machine of *client* has.

        Raises:
            UnsupportedError: The provider does not say.
        """
        if self.provider.list_models is None:
            raise UnsupportedError(f"{self.provider.name}: the provider does not list its models.")
        list_models = await code_in_thread(self.provider.list_models, self.distribution)
        with self.at_the_edge():
            return tuple(await list_models(client))

    def broken(self, what: str) -> PluginError:
        """Say how the plugin breaks its contract."""
        return PluginError(
            f"{self.distribution} can't be used: {what}. "
            f"Ask the authors of {self.distribution} to mend it."
        )


@attrs.frozen(slots=False, kw_only=True)
class Opening(Service[ProviderT]):
    """
    A model that is found and configured: whose it is, what it can do, and how it is called.

    Attributes:
        model_name: The part of the reference after the colon.
        options: The provider's options of the model.
        later: The models that are asked where this one does not deliver.
        falls_on: The errors upon which they are.
    """

    model_name: str
    # Two that are equal may differ in what was set, which is what is sent.
    options: BindingOptions = attrs.field(eq=lambda options: (options, options.asdict()))
    later: tuple[Opening[ProviderT], ...] = ()
    falls_on: tuple[type[ProviderError], ...] = ()
    _warned: set[str] = attrs.field(factory=set, init=False, repr=False, eq=False)
    _rungs: dict[Format | None, Rung] = attrs.field(factory=dict, init=False, repr=False, eq=False)

    @property
    def reference(self) -> str:
        """``"provider:model"``."""
        return f"{self.provider.name}:{self.model_name}"

    @property
    def references(self) -> str:
        """The references of this and of the later models."""
        return ", ".join([self.reference, *(one.reference for one in self.later)])

    @functools.cached_property
    def capabilities(self) -> Capabilities:
        """What the model can do."""
        return self.provider.capabilities_of(self.model_name)

    @functools.cached_property
    def scheme(self) -> Scheme:
        """What the service speaks at the user's address."""
        scheme = Scheme.of(self.setup)
        # Who may be silent for as long as it takes computes here, and asks nobody.
        scheme.is_settled |= self.provider.retry.idle_timeout is None
        return scheme

    @property
    def think_tags(self) -> bool | Literal["open"]:
        """Whether text may begin with reasoning in tags, or begins within them."""
        return self.host.think_tags or self.capabilities.think_tags

    def at_the_edge(self, attempts: Attempts | None = None) -> AtTheEdge:
        """Name the model in errors that pass, and keep the account's secrets out of them."""
        name, model = self.provider.name, self.model_name
        return AtTheEdge(self.distribution, name, model, self.secrets, attempts, setup=self.setup)

    def with_options_of_call(self, options: Mapping[str, Any]) -> BindingOptions:
        """
        Return the model's options, and over them those of a call.

        Raises:
            OptionsError: With every problem.
        """
        groups = type(self.connection), type(self.host)
        return merge(self.options, options, groups, _OF_THE_REFERENCE | _OF_THE_METHOD)

    def refuse(self, option: str, why: str) -> None:
        """
        Say that the model can't do what *option* asks, as ``on_unsupported`` wants it said.

        Raises:
            UnsupportedError: Unless a line in the log was asked for.
        """
        if self.host.on_unsupported != "warn":
            raise UnsupportedError(f"{self.reference}: {option}: {why}.")
        if option not in self._warned:
            self._warned.add(option)
            _log.warning("%s: %s is left out: %s", self.reference, option, why)

    def remember(self, left: tuple[Way, ...]) -> None:
        """Have the model asked for such JSON in the first of the ways that are *left*."""
        if len(self._rungs) >= _MOST_REMEMBERED:
            self._rungs.clear()
        self._rungs[left[-1].worded] = left[0].rung

    def remembered(self, found: tuple[Way, ...]) -> tuple[Way, ...]:
        """Return those of the ways *found* that are left after what was remembered."""
        if (rung := self._rungs.get(found[-1].worded)) is None:
            return found
        rungs = [way.rung for way in found]
        # What had to be repaired came in the last way.
        return found[rungs.index(rung) if rung in rungs else -1 :]

    def wrong_type(self, method: str, found: object, wanted: str = "") -> PluginError:
        """Say that the plugin's *method* returned something else than it promises."""
        but = f", not {wanted}" if wanted else ""
        return PluginError(
            f"{self.distribution}: {method}() returned a {type(found).__name__}{but}; "
            "ask its authors to mend it."
        )

    def ask(self, function: str) -> Any:
        """
        Call a synchronous function of the provider, such as its ``tokenizer``; blocks.

        It is handed the connection too if it has a parameter of that name.
        """
        call = code(function, self.distribution)
        takes_connection = "connection" in inspect.signature(call).parameters
        more = {"connection": self.connection} if takes_connection else {}
        return call(self.model_name, self.options, **more)

    def tokenizer(self) -> Any:
        """
        Return the model's tokenizer; blocks while its files are read.

        Raises:
            UnsupportedError: The provider brings none.
        """
        if self.provider.tokenizer is None:
            raise UnsupportedError(f"{self.reference}: the provider brings no tokenizer.")
        return self.ask(self.provider.tokenizer)

    def described(self) -> tuple[int | None, int | None]:
        """Return the length of a vector and the tokens of the longest text; None for unknown."""
        describe = getattr(self.provider, "describe", None)
        if describe is None:
            return None, None
        dimensions, max_tokens = self.ask(describe)
        return dimensions, max_tokens

    @asynccontextmanager
    async def backend(self, method: str) -> AsyncIterator[tuple[Any, Any]]:
        """
        Hold the account's client, and the plugin's backend, which has *method*.

        Raises:
            PluginError: The plugin's code can't be imported, or its backend lacks the method.
        """
        make = await code_in_thread(self.provider.backend, self.distribution)
        if inspect.iscoroutinefunction(make):
            raise self.broken(f"{self.provider.backend} is async, and can't be")
        async with AsyncExitStack() as stack:
            client = await stack.enter_async_context(self.client())
            with self.at_the_edge():
                made = make(client, self.model_name, self.options)
                backend = await stack.enter_async_context(_entered(made))
            if not callable(getattr(backend, method, None)):
                raise self.broken(f"its backend is a {type(backend).__name__}, without {method}()")
            yield client, backend


def _named(field: OptionField) -> str:
    variables = " or ".join(field.variables)
    return f"{field.name}= ({variables})" if variables else f"{field.name}="


def _secrets_of(connection: BindingOptions) -> Iterator[Secret]:
    for field in connection.fields():
        if field.secret:
            yield from secrets_in(getattr(connection, field.name))


# Cached, since clients are told apart by what opens them.
@functools.cache
def _quiet(connect: Connect, loggers: tuple[str, ...]) -> Connect:
    """Return *connect* with the secrets of its connection kept out of what *loggers* write."""
    if not loggers:
        return connect

    @asynccontextmanager
    async def quietly(connection: BindingOptions) -> AsyncIterator[Any]:
        with redacted(loggers, *_secrets_of(connection)):
            async with connect(connection) as client:
                yield client

    return quietly


def _entered(backend: Any) -> AbstractAsyncContextManager[Any]:
    return backend if hasattr(type(backend), "__aenter__") else nullcontext(backend)


def resolve_completion(
    reference: str, options: Mapping[str, Any], sources: Sources | None = None
) -> Opening[CompletionProvider]:
    """Find who completes *reference*, and read its options; blocks on the first use."""
    name, model_name = split_reference(reference)
    provider = registry().completion_provider(name)
    return _opening(provider, model_name, HostCompletionOptions, options, sources)


def resolve_embedding(
    reference: str, options: Mapping[str, Any], sources: Sources | None = None
) -> Opening[EmbeddingProvider]:
    """Find who embeds *reference*, and read its options; blocks on the first use."""
    if isinstance(reference, Fallback):
        raise UnsupportedError(
            f"{reference!r}: embeddings do not fall back: the vectors of two models can't be "
            "compared, and an index that holds both finds nothing. Name one model"
        )
    name, model_name = split_reference(reference)
    provider = registry().embedding_provider(name)
    return _opening(provider, model_name, HostEmbeddingOptions, options, sources)


def resolve_service(name: str, options: Mapping[str, Any]) -> Service[Any]:
    """Find the provider of that *name*, and read the options of its connection."""
    provider = registry().any_provider(name)
    connection, host = read([provider.connection, HostOptions], options)
    setup = Setup.of(connection, options, None)
    return Service(provider, registry().distribution_of(provider), connection, host, setup)


def _opening(
    provider: ProviderT,
    model_name: str,
    host_group: type[HostOptions],
    given: Mapping[str, Any],
    sources: Sources | None,
) -> Opening[ProviderT]:
    tell_misspelt_once()
    groups = [provider.connection, provider.options, host_group]
    method, names = CALLS[host_group]
    of_calls = {name: f"is said in a call: model.{method}(…, {name}=…)" for name in names}
    elsewhere = of_calls | _OF_THE_REFERENCE | _OF_THE_METHOD
    connection, options, host = read(groups, given, sources=sources, elsewhere=elsewhere)
    return Opening(
        provider=provider,
        distribution=registry().distribution_of(provider),
        model_name=model_name,
        connection=connection,
        options=options,
        host=host,
        setup=Setup.of(connection, given, sources),
    )


def _like(reference: object) -> str:
    """Return a reference like *reference*: the same one, if a slash is all that is wrong."""
    name, slash, model_name = str(reference).partition("/")
    is_known = any(name == known for _, known in registry().claims)
    return f"{name}:{model_name}" if is_known and slash else "openai:gpt-4o-mini"


def split_reference(reference: str) -> tuple[str, str]:
    """
    Return the provider's name and the model's.

    Raises:
        OptionsError: *reference* is none.
    """
    name, colon, model_name = reference.partition(":") if isinstance(reference, str) else ("",) * 3
    if not (name and colon and model_name):
        raise OptionsError(
            f"{reference!r} is not a reference: PROVIDER:MODEL, such as {_like(reference)!r}"
        )
    if holds_half(model_name):
        raise OptionsError(f"{reference!a} holds half of a character (a lone surrogate)")
    return name, model_name
