"""What every service keeps, whatever it is asked for, and how its double is asked."""

from __future__ import annotations

import asyncio
import copy
import functools
import logging
import math
import pickle
import ssl
import traceback
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from itertools import product
from pathlib import Path
from typing import Any, ClassVar

import attrs
import pytest

import ragcore
from ragcore import CompletionProvider, EmbeddingProvider, Retry, errors
from ragcore.testing.contracts._model import SECRET, ModelContract, ModelT
from ragcore.testing.server import Broken, Failure, Raw, Reply, Service

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

# What nobody can read, though its status is 200.
_UNREADABLE = {
    "a page": Raw(b"<html>Sign in first", "text/html"),
    "half an object": Raw(b'{"choices": [{"mess'),
    "half a list": Raw(b"[[0.1, 0."),
    "nothing": Raw(b""),
    "an encoding that was not said": Raw(b"\x1f\x8b\x08\x00\xff"),
    "lists without end": Raw(b"[" * 5_000),
    "objects without end": Raw(b'{"a":' * 5_000),
    "a number of 5,000 digits": Raw(b'{"created": ' + b"9" * 5_000 + b"}"),
}
# JSON that is no service's answer.
_STRANGE = (
    *(b"{}", b"[]", b"null", b"true", b"7", b'"Goethe"', b"[null]", b"[[]]", b"[7]", b'{"a": {}}'),
    *(b'{"error": null}', b'{"error": {}}', b'{"error": [7]}', b'{"message": {"role": null}}'),
    *(b'{"error": "\\ud800"}', b'{"choices": {"0": 1}}', b'{"data": 7, "embeddings": "x"}'),
)


def _inside(inner: Any, _: int) -> Any:
    return [inner]


# What no request in JSON can carry.
_NO_JSON: dict[str, Any] = {
    "an object": object(),
    "NaN": math.nan,
    "infinity": math.inf,
    "half a character": "\ud800",
    "bytes": b"Goethe",
    "a set": {1},
    "lists without end": functools.reduce(_inside, range(5_000), None),
}
# What the host says of an exception that a plugin has let through.
_NET = "in a way that it does not tell"

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
        address_option: The option that holds the address of the service.
        statuses: Each status of an error that the service sends, and the number of requests that
            three attempts make of it: 3 where another attempt may help, else 1.
    """

    provider: str
    double: Callable[..., Service]
    options: Callable[[Service], dict[str, Any]]
    environment: Callable[[Service], dict[str, str]]
    model: str = ""
    embedding_model: str = ""
    address_option: str = "base_url"
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

    def serving(self, *replies: Reply | Raw) -> AbstractAsyncContextManager[Service]:
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
        exempt: Why the provider can't have what a test is about, by the name of the test.
    """

    case: Case
    answer: Reply
    asked_for: bytes
    exempt: ClassVar[Mapping[str, str]] = {}

    @pytest.fixture(autouse=True)
    def _exempted(self, request: pytest.FixtureRequest) -> None:
        self.skip_if_exempt(request.function.__name__)

    def skip_if_exempt(self, test: str) -> None:
        """Skip the *test* of that name if the provider can't have what it is about."""
        assert [name for name in self.exempt if not hasattr(self, name)] == []
        if test in self.exempt:
            pytest.skip(self.exempt[test])

    def model(self, **options: Any) -> AbstractAsyncContextManager[ModelT]:
        """Return the model of *case*, not yet open, with *options*."""
        raise NotImplementedError

    @asynccontextmanager
    async def asked(
        self, *replies: Reply | Raw, **options: Any
    ) -> AsyncIterator[tuple[Service, ModelT]]:
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
        self, ask: Callable[..., Awaitable[Any]], *replies: Reply | Raw, **options: Any
    ) -> tuple[Service, errors.ProviderError]:
        """Return the double with *replies* and the error that comes of them."""
        async with self.asked(*replies, **options) as (service, model):
            with pytest.raises(errors.ProviderError) as caught:
                await ask(model)
        return service, caught.value

    def objects(self) -> list[str]:
        """Return the names of the options of a call that are objects."""
        fields = self.provider().options.fields()
        return [one.name for one in fields if one.scope == "call" and "dict" in str(one.type)]

    def provider(self) -> CompletionProvider | EmbeddingProvider:
        """Return the provider's record."""
        raise NotImplementedError

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

    async def test_what_a_service_lacks_is_asked_for_once(self) -> None:
        """A 501 says that the service has no such thing, which no other attempt changes."""
        for ask in self.asks:
            service, error = await self.failed(ask, Failure(501, "not implemented"))

            assert type(error) is errors.InvalidRequestError
            assert error.attempts == self.requests(service) == 1

    async def test_a_refused_key_is_named(self) -> None:
        """The error says which option holds the key, and which variable sets it."""
        if 401 not in self.case.statuses:
            pytest.skip("the service refuses keys by another status")
        for ask in self.asks:
            service, error = await self.failed(ask, Failure(401, "Invalid API Key"))

            options = self.case.options(service)
            for field in self.provider().connection.fields():
                if options.get(field.name) == SECRET:
                    assert f"{field.name}=" in str(error)
                    assert field.variables[0] in str(error)

    async def test_a_wrong_address_is_named(self) -> None:
        """A 404 of another server knows of no model: the error has the address and its option."""
        for ask in self.asks:
            service, error = await self.failed(ask, Failure(404, "Not Found"))

            assert type(error) is errors.NotFoundError
            assert f"{self.case.address_option}=" in str(error)
            assert f"localhost:{service.port}" in str(error)

    @pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
    async def test_a_redirect_is_not_followed(self, status: int) -> None:
        """Another host would get the question and the headers; the error has its address."""
        async with self.case.serving(self.answer) as elsewhere:
            there = f"{elsewhere.url}/there"
            moved = Failure(status, "moved", headers={"Location": there})
            for ask in self.asks:
                service, error = await self.failed(ask, moved)

                assert type(error) is errors.InvalidRequestError
                assert f"moved to {there}" in str(error)
                assert (error.status, self.requests(service)) == (status, 1)

        assert elsewhere.requests == []

    @pytest.mark.parametrize("reply", _UNREADABLE.values(), ids=_UNREADABLE.keys())
    async def test_what_cannot_be_read_is_tried_again(self, reply: Raw) -> None:
        """Its status is 200; it is an outage like a 502, and the next attempt is whole."""
        for ask in self.asks:
            async with self.asked(reply, self.answer) as (_, model):
                answer = await ask(model)

            assert answer.timings.attempts == 2

    @pytest.mark.parametrize("body", _STRANGE)
    async def test_json_of_another_kind_is_an_error(self, body: bytes) -> None:
        """The plugin sees it; the host's net is for what nobody has thought of."""
        for ask in self.asks:
            _, error = await self.failed(ask, Raw(body))

            assert _NET not in str(error)

    async def test_an_error_may_have_the_status_200(self) -> None:
        """Gateways report so; what is said names the class, and reaches the user."""
        error = b'{"error": {"message": "no more water", "type": "insufficient_quota"}}'
        for ask in self.asks:
            _, told = await self.failed(ask, Raw(error))

            assert type(told) is errors.QuotaExceededError
            assert "no more water" in str(told)

    async def test_a_kept_connection_that_was_closed_costs_no_attempt(self) -> None:
        """The server has not read what came over it."""
        async with self.asked(self.answer) as (service, model):
            service.hangs_up = True
            answers = [await ask(model) for ask in self.asks * 3]

        assert {answer.timings.attempts for answer in answers} == {1}
        assert service.connections == len(answers)

    async def test_an_authority_of_ones_own_is_trusted_where_it_is_named(
        self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        """``SSL_CERT_FILE`` names it; without it the error says so, after one attempt."""
        authority = pytest.importorskip("trustme").CA()
        authority.cert_pem.write_to_path(tmp_path / "authority.pem")
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        authority.issue_cert("localhost").configure_cert(tls)
        async with self.case.double(self.answer).running(tls) as service:
            async with self.model(**self.case.to(service)) as model:
                with pytest.raises(errors.ProviderError, match="SSL_CERT_FILE") as caught:
                    await self.ask(model)
            await ragcore.aclose()
            monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "authority.pem"))
            async with self.model(**self.case.to(service)) as model:
                await self.ask(model)

        assert (type(caught.value), caught.value.attempts) == (errors.ProviderError, 1)

    @pytest.mark.parametrize("value", _NO_JSON.values(), ids=_NO_JSON.keys())
    async def test_what_is_no_json_is_refused_where_options_are_read(self, value: Any) -> None:
        """Options that are objects go into the request, which is not made with such a value."""
        async with self.asked(self.answer) as (service, model):
            for name in self.objects():
                for ask in self.asks:
                    with pytest.raises(errors.OptionsError, match=name):
                        await ask(model, **{name: {"x": value}})

        assert service.requests == []

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

    @pytest.mark.parametrize("before", [470, 480, 490, 7_980, 7_990])
    async def test_half_a_key_is_shown_nowhere(self, before: int) -> None:
        """A long message is cut after the key is taken out of it, and not in its middle."""
        for ask in self.asks:
            _, error = await self.failed(ask, Failure(400, "x" * before + SECRET))

            assert SECRET[:12] not in f"{error}{vars(error)}{vars(error.__cause__ or error)}"


def address_in(settings: Mapping[str, Any], service: Service) -> str:
    """Return the name of the one among *settings* that holds the address of *service*."""
    return next(name for name, value in settings.items() if f":{service.port}" in str(value))
