"""What goes wrong at the service has a name."""

import inspect
import pkgutil
from importlib import import_module

import anthropic
import httpx2
import pytest
from anthropic_double import KEY, REQUEST_ID, AnthropicService, asked

import ragcore
from lightrag_anthropic._errors import TABLE, translated
from ragcore.testing.server import Answer, Failure

# Of signing in as a workload, which has no better name than that it failed.
BY_THE_ROOT = ("WorkloadIdentityError",)


def exceptions_of_the_sdk() -> list[type[Exception]]:
    """Return every exception class that the SDK's public modules define."""
    modules = [anthropic, anthropic._exceptions]
    modules += [
        import_module(f"anthropic.lib.{found.name}")
        for found in pkgutil.iter_modules(import_module("anthropic.lib").__path__)
        if found.name in ("credentials", "streaming")
    ]
    classes = {
        value
        for module in modules
        for _, value in inspect.getmembers(module, inspect.isclass)
        if issubclass(value, Exception) and value.__module__.startswith("anthropic")
    }
    return sorted(classes, key=lambda cls: cls.__name__)


@pytest.mark.parametrize("cls", exceptions_of_the_sdk())
def test_every_exception_of_the_sdk_has_a_row(cls: type[Exception]) -> None:
    """Its own or its base's, below the root; the root's row is for the root alone."""
    row = next(kind for kind in cls.__mro__ if kind in TABLE)

    assert row is not anthropic.AnthropicError or cls is row or cls.__name__ in BY_THE_ROOT


@pytest.mark.parametrize(
    ("failure", "error", "attempts"),
    [
        (Failure(400), ragcore.InvalidRequestError, 1),
        (Failure(401), ragcore.AuthenticationError, 1),
        (Failure(402), ragcore.QuotaExceededError, 1),
        (Failure(403), ragcore.PermissionDeniedError, 1),
        (Failure(404), ragcore.NotFoundError, 1),
        (Failure(408), ragcore.RequestTimeoutError, 3),
        (Failure(409), ragcore.UnavailableError, 3),
        (Failure(413), ragcore.ContextLengthError, 1),
        (Failure(422), ragcore.InvalidRequestError, 1),
        (Failure(429), ragcore.RateLimitError, 3),
        (Failure(429, code="billing_error"), ragcore.QuotaExceededError, 1),
        (Failure(429, code="enforced_spend_limit_reached"), ragcore.QuotaExceededError, 1),
        (Failure(429, code="ramp_limit_exceeded"), ragcore.RateLimitError, 3),
        (Failure(400, "Your credit balance is too low"), ragcore.QuotaExceededError, 1),
        (
            Failure(400, "prompt is too long: 210000 tokens > 200000 maximum"),
            ragcore.ContextLengthError,
            1,
        ),
        (
            Failure(400, "Output blocked by content filtering policy"),
            ragcore.ContentFilterError,
            1,
        ),
        (Failure(500), ragcore.UnavailableError, 3),
        (Failure(503), ragcore.UnavailableError, 3),
        (Failure(504), ragcore.RequestTimeoutError, 3),
        (Failure(529), ragcore.UnavailableError, 3),
        (Failure(307, headers={"Location": "http://localhost:9/"}), ragcore.ProviderError, None),
    ],
    ids=lambda value: (
        f"{value.status}-{value.code or value.message[:12]}" if isinstance(value, Failure) else None
    ),
)
async def test_a_status_and_whether_it_is_tried_again(
    failure: Failure, error: type[ragcore.ProviderError], attempts: int | None
) -> None:
    """With the service's own words, its status and the request's identifier."""
    async with AnthropicService(failure).running() as service, asked(service) as model:
        with pytest.raises(error) as caught:
            await model.complete("Who?")

    assert type(caught.value) is error or attempts is None
    assert failure.message in str(caught.value)
    assert caught.value.request_id == REQUEST_ID
    assert KEY not in str(caught.value)
    assert attempts is None or len(service.requests) == attempts


async def test_retry_after_is_carried() -> None:
    """As the service sent it."""
    failure = Failure(429, headers={"retry-after": "7"})
    async with (
        AnthropicService(failure).running() as service,
        asked(service, retry=ragcore.Retry(attempts=1)) as model,
    ):
        with pytest.raises(ragcore.RateLimitError) as caught:
            await model.complete("Who?")

    assert caught.value.retry_after == 7


async def test_nobody_there() -> None:
    """Refused connections are tried again, and say what happened."""
    async with AnthropicService(Answer()).running() as service:
        address = service.url
    service.port = int(address.rpartition(":")[2])
    async with asked(service) as model:
        with pytest.raises(ragcore.UnavailableError, match=r"reach .*: ConnectError") as caught:
            await model.complete("Who?")

    assert caught.value.attempts == 3


def test_what_the_sdk_times_out() -> None:
    """Is a timeout of ours, which is none of Python's."""
    exc = anthropic.APITimeoutError(httpx2.Request("POST", "http://localhost"))

    with pytest.raises(ragcore.RequestTimeoutError), translated():
        raise exc
