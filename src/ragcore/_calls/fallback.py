"""Asks the next model where one does not deliver."""

from __future__ import annotations

import asyncio
import functools
import inspect
import logging
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from contextlib import (
    AbstractAsyncContextManager,
    AsyncExitStack,
    asynccontextmanager,
    suppress,
)
from typing import Any

import attrs

from ragcore._calls import breaker
from ragcore._calls.exchange import Exchange
from ragcore._calls.layers import Around, Step, Wrap, elsewhere
from ragcore._calls.opening import Opening, resolve_completion
from ragcore._calls.owner import Owner
from ragcore._calls.problems import Problems
from ragcore._discovery.host_options import HostCompletionOptions
from ragcore._records import Fallback
from ragcore.errors import (
    InvalidRequestError,
    PluginError,
    ProviderError,
    RagcoreError,
    RequestTimeoutError,
    TruncatedResponseError,
    UnsupportedError,
)
from ragcore.hookspecs import CompletionProvider
from ragcore.options import Sources, raise_all

_log = logging.getLogger("ragcore")

# Options of the call as a whole, whichever model answers.
_OF_THE_CALL = ("timeout", "hedge_after")

# Seconds that a model is left after its users, once the loop ends.
_PATIENCE = 2.0

# What does not say that a model is in trouble.
_ABOUT_THE_REQUEST = (InvalidRequestError, TruncatedResponseError)

# What a model that is asked in place of another may turn out to be.
_UNFIT = (UnsupportedError, PluginError)


# --- which models ---------------------------------------------------------------------------


def fallback(
    *references: str | tuple[str, Mapping[str, Any]],
    on: type[ProviderError] | Iterable[type[ProviderError]] = Fallback.DEFAULT_ON,
) -> Fallback:
    """
    Name models that are asked one after another until one answers; for :func:`ragcore.completion`.

    ::

        models = ragcore.fallback("openai:gpt-4o-mini", ("ollama:llama3.2", {"num_ctx": 8192}))
        async with ragcore.completion(models, timeout=60) as model:
            answer = await model.complete("Who wrote Faust?")

    The next model is asked where trying the first again does not help, or would have to wait for
    what ``Retry-After`` says. All share the deadline of the call; a model that does not answer is
    left in time for those after it. A stream falls back before its first chunk alone. A model that
    fails in three calls in a row is asked last, for 30 seconds first and for up to 5 minutes later.

    Where none delivers, the error of the last one comes out; its notes have those of the others.

    Args:
        references: ``"provider:model"``, or a tuple of that and the options of this model.
        on: The error, or the errors, upon which the next model is asked. Left out: all that are not
            about the request itself, which are :class:`ragcore.InvalidRequestError` and its kinds,
            and :class:`ragcore.TruncatedResponseError`. To add some:
            ``on=(*ragcore.Fallback.DEFAULT_ON, ragcore.ContextLengthError)``.

    Raises:
        OptionsError: What is given is no reference, or no such error; all problems at once.
    """
    kinds = (on,) if isinstance(on, type) else tuple(on)
    problems = [problem for one in references if (problem := _no_reference(one))]
    problems += [problem for kind in kinds if (problem := _no_error(kind))]
    if not references:
        problems.append("fallback() needs references, such as 'openai:gpt-4o-mini'")
    raise_all(problems)
    models = [(one, {}) if isinstance(one, str) else (one[0], dict(one[1])) for one in references]
    return Fallback(tuple(models), kinds)


def _no_reference(given: object) -> str | None:
    match given:
        case str() | (str(), Mapping()):
            return None
    # Not shown: its options may hold keys.
    return (
        f"fallback: a {type(given).__name__} is neither a reference, such as "
        "'openai:gpt-4o-mini', nor a tuple of one and its options"
    )


def _no_error(kind: object) -> str | None:
    if not (inspect.isclass(kind) and issubclass(kind, ProviderError)):
        return f"on: {kind!r} is not a class of ProviderError"
    if kind is InvalidRequestError:
        return (
            "on: InvalidRequestError is about the request, which is the same for all models; "
            "name one of its kinds, such as ContextLengthError"
        )
    return None


def resolve(
    reference: str | Fallback, options: Mapping[str, Any], sources: Sources | None = None
) -> Opening[CompletionProvider]:
    """
    Find who completes *reference*, and who does where the first does not deliver.

    Raises:
        OptionsError: Options are missing, unknown or invalid; all problems of all models.
    """
    if not isinstance(reference, Fallback):
        return resolve_completion(reference, options, sources)
    problems = Problems()
    shared = _shared(options, problems)
    found: list[Opening[CompletionProvider]] = []
    for one, own in reference.models:
        with problems.noted(one):
            _check_own(own)
            found.append(resolve_completion(one, {**shared, **own}, sources))
    problems.raise_all()
    later = tuple(map(_unhedged, found[1:]))
    return attrs.evolve(found[0], later=later, falls_on=reference.on)


def _shared(options: Mapping[str, Any], problems: Problems) -> dict[str, Any]:
    """Return those of *options* that go to every model: the host's own."""
    names = {field.name for field in HostCompletionOptions.fields()}
    if options.get("limits") is not None:
        problems.add(
            "limits: a budget is that of one account: give each reference its own, as in "
            "fallback(('PROVIDER:MODEL', {'limits': …}), …)"
        )
    for name in options:
        if name not in names and options[name] is not None:
            problems.add(
                f"{name}: an option of a provider goes with the reference that it is meant for: "
                f"fallback(('PROVIDER:MODEL', {{{name!r}: …}}), …)"
            )
    return {name: value for name, value in options.items() if name in names}


def _check_own(options: Mapping[str, Any]) -> None:
    raise_all(
        [
            f"{name}: there is one for all models: give it beside the fallback"
            for name in _OF_THE_CALL
            if options.get(name) is not None
        ]
    )


def _unhedged(opening: Opening[CompletionProvider]) -> Opening[CompletionProvider]:
    # The call as a whole is.
    return attrs.evolve(opening, host=attrs.evolve(opening.host, hedge_after=None))


# --- the models after the first -------------------------------------------------------------


class Later:
    """
    A model after the first: opened when it is first needed, and then left open.

    Args:
        opening: The model.
        open_model: What opens it.
    """

    def __init__(
        self,
        opening: Opening[Any],
        open_model: Callable[[Opening[Any]], AbstractAsyncContextManager[Any]],
    ) -> None:
        self.opening = opening
        self._open_model = open_model
        self._owner: Owner[Any] | None = None

    async def model(self) -> Any:
        """Return the model; if nobody waits any more, it goes on opening for who comes next."""
        if self._owner is None or self._owner.has_ended:
            self._owner = Owner(self._open_model(self.opening), patience=_PATIENCE)
        return await self._owner.value()

    async def aclose(self) -> None:
        """Close it, if it was opened."""
        if self._owner is not None:
            await self._owner.release()


@asynccontextmanager
async def later_models(
    opening: Opening[Any], open_model: Callable[[Any], AbstractAsyncContextManager[Any]]
) -> AsyncIterator[Sequence[Later]]:
    """Hold the models that are asked where that of *opening* does not deliver."""
    later = [Later(one, open_model) for one in opening.later]
    async with AsyncExitStack() as stack:
        for one in later:
            stack.push_async_callback(one.aclose)
        yield later


# --- asking them ----------------------------------------------------------------------------


def falling_back(later: Sequence[Later]) -> Wrap:
    """Return the layer that asks one of *later* where the step within does not deliver."""
    return lambda step: functools.partial(FallingBack, step, later=later)


class FallingBack(Around):
    """Asks one model after another, until one answers."""

    __slots__ = ("later", "openings", "tried")

    def __init__(self, step: Step, exchange: Exchange, *, later: Sequence[Later]) -> None:
        super().__init__(step, exchange)
        self.later = later
        self.tried: list[int] = [] if exchange.tried is None else exchange.tried
        self.openings: list[Opening[Any]] = [exchange.opening, *(one.opening for one in later)]

    async def __aenter__(self) -> Any:
        self._check()
        notes: list[str] = []
        number = self._next() if self._left() else self.tried[-1]
        while True:
            self.tried.append(number)
            try:
                return await self._asked(number)
            except RagcoreError as exc:
                error = exc
            try:
                if not (self._goes_on(number, error) and self._left()):
                    raise _with_notes(error, notes)
                said = f"{self.openings[number].reference}: {type(error).__name__}: {error}"
            finally:
                # Its traceback holds this frame.
                del error
            notes.append(said)
            number = self._next()
            _log.info("%s; %s is asked", said, self.openings[number].reference)

    def _check(self) -> None:
        """Refuse options of the call that a later model does not know."""
        problems = Problems()
        for opening in self.openings[1:]:
            with problems.noted(opening.reference), suppress(UnsupportedError):
                self.exchange.asked.fitted(opening)
        problems.raise_all()

    def _left(self) -> list[int]:
        """Return the models that have not been asked."""
        return [number for number in range(len(self.openings)) if number not in self.tried]

    def _free(self) -> list[int]:
        """Return those of them that are not left alone."""
        return [n for n in self._left() if not breaker.is_left_alone(self.openings[n])]

    def _next(self) -> int:
        return (self._free() or self._left())[0]

    async def _asked(self, number: int) -> Any:
        opening = self.openings[number]
        decides = breaker.begin(opening)
        try:
            answer = await self._entered(number)
        except _ABOUT_THE_REQUEST:
            # The model works.
            breaker.succeed(opening)
            raise
        except ProviderError as exc:
            breaker.fail(opening, exc, decides=decides)
            raise
        breaker.succeed(opening)
        return answer

    async def _entered(self, number: int) -> Any:
        exchange, opening = self.exchange, self.openings[number]
        part = exchange.elsewhere(opening) if number else exchange.beside()
        seconds = exchange.deadline.left / (1 + len(self._left()))
        part.wait_longest = 0.0 if self._free() else seconds
        try:
            async with asyncio.timeout(seconds if exchange.deadline.timeout else None) as share:
                step = await self._step(number)
                if not self._left():
                    # The step keeps to the deadline by itself.
                    share.reschedule(None)
                inner = elsewhere(step, part, exchange)
                answer = await inner.__aenter__()
        except TimeoutError:
            with opening.at_the_edge(part.attempts):
                raise RequestTimeoutError(
                    f"no answer within {seconds:.3g} s, its share of the call's deadline"
                ) from part.attempts.last_error
        self.inner = inner
        return answer

    async def _step(self, number: int) -> Step:
        if number == 0:
            return self.step
        model = await self.later[number - 1].model()
        step: Step = model.step
        return step

    def _goes_on(self, number: int, error: RagcoreError) -> bool:
        """Say whether the next model is asked upon *error*."""
        if isinstance(error, _UNFIT):
            return number > 0
        kinds = self.exchange.opening.falls_on
        named = tuple(kind for kind in kinds if kind is not ProviderError)
        return isinstance(error, named) or (ProviderError in kinds and type(error) is ProviderError)


def _with_notes(error: RagcoreError, notes: Sequence[str]) -> RagcoreError:
    for note in notes:
        error.add_note(f"asked before: {note}")
    return error
