"""What every service keeps, whatever it is asked for, and how its double is asked."""

from __future__ import annotations

import asyncio
import copy
import logging
import pickle
import traceback
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from itertools import product
from typing import Any

import attrs
import pytest

from ragcore import Retry, errors
from ragcore.testing.contracts._model import SECRET, ModelContract, ModelT
from ragcore.testing.server import Broken, Failure, Reply, Service

KINDS: dict[int, type[errors.ProviderError]] = {
    400: errors.InvalidRequestError,
    401: errors.AuthenticationError,
    403: errors.PermissionDeniedError,
    404: errors.NotFoundError,
    408: errors.RequestTimeoutError,
    429: errors.RateLimitError,
    500: errors.UnavailableError,
    503: errors.UnavailableError,
}
_AT_ONCE = Retry(attempts=3, wait_initial=0, wait_max=0)

however_it_breaks = pytest.mark.parametrize("how", ["reset", "end", "unfinished", "garbage"])


@attrs.frozen
class Case:
    """
    A provider and the double of its service.

    Attributes:
        provider: The name before the colon.
        double: Makes the double from its replies.
        options: Returns the keywords that lead to a running double, with :data:`SECRET` as the key.
        environment: Returns the variables that lead to it, with the same key.
        model: The model that completes; empty if none does.
        embedding_model: The model that embeds; empty if none does.
        statuses: Each status of an error that the service sends, and the number of requests that
            three attempts make of it: 3 where another attempt may help, else 1.
    """

    provider: str
    double: Callable[..., Service]
    options: Callable[[Service], dict[str, Any]]
    environment: Callable[[Service], dict[str, str]]
    model: str = ""
    embedding_model: str = ""
    statuses: Mapping[int, int] = attrs.field(
        default={400: 1, 401: 1, 403: 1, 404: 1, 408: 3, 429: 3, 500: 3, 503: 3}
    )

    @property
    def reference(self) -> str:
        """The reference of the model that completes."""
        return f"{self.provider}:{self.model}"

    @property
    def embedding_reference(self) -> str:
        """The reference of the model that embeds."""
        return f"{self.provider}:{self.embedding_model}"

    def serving(self, *replies: Reply) -> AbstractAsyncContextManager[Service]:
        """Run the double, with *replies*."""
        return self.double(*replies).running()

    def to(self, service: Service, **more: Any) -> dict[str, Any]:
        """Return the keywords that open a model of *service*, tried three times without waits."""
        return {"retry": _AT_ONCE, **self.options(service), **more}


class HTTPContract(ModelContract[ModelT]):
    """
    What every service keeps, asked through its double.

    Attributes:
        case: The provider and its double.
        answer: The double's answer to what the contract asks.
        asked_for: What stands in the body of each request that asks for it.
    """

    case: Case
    answer: Reply
    asked_for: bytes

    def model(self, **options: Any) -> AbstractAsyncContextManager[ModelT]:
        """Return the model of *case*, not yet open, with *options*."""
        raise NotImplementedError

    @asynccontextmanager
    async def asked(self, *replies: Reply, **options: Any) -> AsyncIterator[tuple[Service, ModelT]]:
        """Run the double with *replies*, and open a model that asks it."""
        async with (
            self.case.serving(*replies) as service,
            self.model(**self.case.to(service, **options)) as model,
        ):
            yield service, model

    @asynccontextmanager
    async def opened(self, **options: Any) -> AsyncIterator[ModelT]:
        """Open a model whose double always gives the same answer."""
        async with self.asked(self.answer, **options) as (_, model):
            yield model

    async def failed(
        self, ask: Callable[..., Awaitable[Any]], *replies: Reply, **options: Any
    ) -> tuple[Service, errors.ProviderError]:
        """Return the double with *replies* and the error that comes of them."""
        async with self.asked(*replies, **options) as (service, model):
            with pytest.raises(errors.ProviderError) as caught:
                await ask(model)
        return service, caught.value

    def requests(self, service: Service) -> int:
        """Return how many times *service* was asked; what SDKs ask besides does not count."""
        return sum(self.asked_for in request.body for request in service.requests)

    async def test_a_status_is_an_error_of_its_kind(self) -> None:
        """A status has its class; the host tries again where that may help, and the SDK never."""
        for ask, (status, requests) in product(self.asks, self.case.statuses.items()):
            service, error = await self.failed(ask, Failure(status, "no such luck"))

            assert type(error) is KINDS[status]
            assert "no such luck" in str(error)
            assert (error.provider, error.status) == (self.case.provider, status)
            assert error.attempts == self.requests(service) == requests

    async def test_a_failure_passes(self) -> None:
        """The third attempt answers after two failures."""
        async with self.asked(Failure(500), Failure(503), self.answer) as (service, model):
            answer = await self.ask(model)

        assert answer.timings.attempts == self.requests(service) == 3

    @however_it_breaks
    async def test_a_broken_answer_is_an_error(self, how: Any) -> None:
        """Half an answer is never taken for a short one."""
        await self.failed(self.ask, Broken(how))

    @pytest.mark.parametrize("how", ["reset", "end"])
    async def test_a_connection_that_breaks_is_tried_again(self, how: Any) -> None:
        """Half an answer in one piece was shown to nobody, and the next attempt has a whole one."""
        async with self.asked(Broken(how), self.answer) as (_, model):
            answer = await self.ask(model)

        assert answer.timings.attempts == 2

    async def test_a_cancelled_call_releases_the_connection(self) -> None:
        """The service sees the connection closed before it has answered."""
        async with self.asked(Broken("stall")) as (service, model):
            call = asyncio.create_task(self.ask(model))
            await service.was_asked()
            call.cancel()
            with pytest.raises(asyncio.CancelledError):
                await call
            await service.was_left()

        assert service.left == 1

    async def test_one_connection_serves_many_calls(self) -> None:
        """Calls of all kinds share it, one after the other."""
        async with self.asked(self.answer) as (service, model):
            for ask in (*self.asks, *reversed(self.asks)) * 2:
                await ask(model)

        assert self.requests(service) == 4 * len(self.asks)
        assert service.connections == 1

    async def test_nobody_there_is_an_error_that_may_pass(self) -> None:
        """An address where nothing listens is tried as often as the host's Retry says."""
        async with self.case.serving(self.answer) as service:
            options = self.case.to(service)
        async with self.model(**options) as model:
            with pytest.raises(errors.ProviderError) as caught:
                await self.ask(model)

        assert type(caught.value) is errors.UnavailableError
        assert caught.value.attempts == 3

    async def test_tls_is_not_asked_for_twice_where_nobody_speaks_it(self) -> None:
        """The server hangs up: the error says how its address begins, after one attempt."""
        async with self.case.serving(self.answer) as service:
            options = self.case.to(service)
            name = address_in(options, service)
            options[name] = options[name].replace("http:", "https:")
            async with self.model(**options) as model:
                with pytest.raises(errors.ProviderError) as caught:
                    await self.ask(model)

        assert type(caught.value) is errors.ProviderError
        assert "does not speak TLS" in str(caught.value)
        assert f"{name}=" in str(caught.value)
        assert caught.value.attempts == 1
        assert self.requests(service) == 0

    async def test_a_key_is_shown_nowhere(self, caplog: pytest.LogCaptureFixture) -> None:
        """No repr, error, traceback, pickle or log line has it, though the service repeats it."""
        caplog.set_level(logging.DEBUG)
        replies = Failure(500, f"no, {SECRET}"), self.answer
        async with self.asked(*replies, retry=Retry(attempts=1)) as (_, model):
            with pytest.raises(errors.ProviderError) as caught:
                await self.ask(model)
            await self.ask(model)
        error = caught.value
        shown = [repr(model), repr(error), str(error), str(copy.copy(error)), caplog.text]

        assert [text for text in shown if SECRET in text] == []
        assert SECRET.encode() not in pickle.dumps(error)
        assert SECRET not in "".join(traceback.format_exception(error))


def address_in(settings: Mapping[str, Any], service: Service) -> str:
    """Return the name of the one among *settings* that holds the address of *service*."""
    return next(name for name, value in settings.items() if f":{service.port}" in str(value))
