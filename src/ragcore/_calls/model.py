"""What a model is, whatever it does."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, Generic, Self

from ragcore._calls.attempts import Attempts, Deadline, checked_timeout
from ragcore._calls.exchange import Asked, Exchange
from ragcore._calls.fallback import Later, later_models
from ragcore._calls.layers import (
    Answering,
    Edge,
    Logged,
    Schemed,
    Step,
    Timed,
    Wrap,
    elsewhere,
    installed_layers,
    layered,
)
from ragcore._calls.limits import Limited
from ragcore._calls.opening import Opening, ProviderT
from ragcore._calls.persist import persist
from ragcore._records import Capabilities
from ragcore.errors import OptionsError
from ragcore.hookspecs import Tokenizer


class Model(Generic[ProviderT]):
    """An open model: what it says of itself, and the way of its calls."""

    _method = ""

    def __init__(
        self,
        opening: Opening[ProviderT],
        client: Any,
        backend: Any,
        *,
        around_call: Sequence[Wrap] = (),
        around_attempt: Sequence[Wrap] = (),
        later: Sequence[Later] = (),
    ) -> None:
        self._opening: Opening[ProviderT] = opening
        self._client = client
        self._backend = backend
        self._is_closed = False
        self._process = os.getpid()
        limited: list[Wrap] = [] if opening.limits is None else [Limited.layer]
        own: list[Wrap] = [*limited, Timed.layer, Schemed.layer, Edge.layer]
        attempt = layered(self._attempt, [*around_attempt, *own])
        one = layered(self._ring(attempt), [Logged.layer, Answering.layer])
        self._own = layered(one, self._beside(later))
        self._call = layered(self._own, around_call)

    @classmethod
    @asynccontextmanager
    async def opened(cls, opening: Opening[ProviderT]) -> AsyncIterator[Self]:
        """Hold the model that *opening* has found and read the options of."""
        around_call = await installed_layers("call")
        around_attempt = await installed_layers("attempt")
        async with (
            opening.backend(cls._method) as (client, backend),
            later_models(opening, cls.opened) as later,
        ):
            model = cls(
                opening,
                client,
                backend,
                around_call=around_call,
                around_attempt=around_attempt,
                later=later,
            )
            try:
                yield model
            finally:
                model._is_closed = True

    @property
    def reference(self) -> str:
        """``"provider:model"``; of a fallback all, with commas between."""
        return self._opening.references

    @property
    def capabilities(self) -> Capabilities:
        """What the model can do."""
        return self._opening.capabilities

    @property
    def tokenizer(self) -> Tokenizer:
        """
        The model's tokenizer; blocks while its files are read.

        Raises:
            UnsupportedError: The provider brings none.
        """
        tokenizer: Tokenizer = self._opening.tokenizer()
        return tokenizer

    async def list_models(self) -> tuple[str, ...]:
        """
        Return the names of the models that the account or machine has.

        Raises:
            UnsupportedError: The provider does not say.
            ProviderError: It did not deliver; the subclass says why.
        """
        return await listed(self._opening, self._client, self._deadline(None))

    def step(self, exchange: Exchange) -> AbstractAsyncContextManager[Any]:
        """Ask this model what *exchange* asks another one: for a layer that tries a second."""
        if exchange.opening is self._opening:
            return self._own(exchange)
        return elsewhere(self._own, exchange.elsewhere(self._opening), exchange)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.reference}>"

    def _attempt(self, exchange: Exchange) -> AbstractAsyncContextManager[Any]:
        """Ask the backend once."""
        raise NotImplementedError

    def _ring(self, attempt: Step) -> Step:
        """Return the step that makes as many attempts as it takes."""
        raise NotImplementedError

    def _beside(self, later: Sequence[Later]) -> Sequence[Wrap]:
        """Return the layers that ask more than once, or one of the *later* models."""
        return ()

    def _begun(
        self, asked: Asked, deadline: Deadline, priority: int, *, streams: bool = False
    ) -> Exchange:
        """Begin to ask for what is *asked*."""
        if type(priority) is not int:
            raise OptionsError(f"priority: {priority!r} is not a whole number")
        return Exchange.begun(self._opening, asked, deadline, streams=streams, priority=priority)

    def _deadline(self, timeout: float | None) -> Deadline:
        if self._process != os.getpid():
            raise RuntimeError(
                f"{self.reference} was opened by another process, whose connections it has: open "
                "it anew in this one"
            )
        if self._is_closed:
            raise RuntimeError(
                f"{self.reference} is closed: call it within the block that opened it"
            )
        timeout = checked_timeout(timeout)
        return Deadline(self._opening.host.timeout if timeout is None else timeout)


async def listed(service: Any, client: Any, deadline: Deadline) -> tuple[str, ...]:
    """Ask for the names of models, as often as it takes."""
    names: tuple[str, ...] = await persist(
        lambda: service.list_models(client), service.retry, deadline, Attempts()
    )
    return names
