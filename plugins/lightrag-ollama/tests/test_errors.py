"""What goes wrong has its name in ragcore's tree."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import ssl

import httpx
import ollama
import pytest
from ollama_double import OllamaService, completion

import ragcore
from lightrag_ollama._errors import ROWS, Asked, translated
from ragcore import (
    AuthenticationError,
    ContextLengthError,
    InvalidRequestError,
    NotFoundError,
    PermissionDeniedError,
    ProviderError,
    QuotaExceededError,
    RagcoreError,
    RateLimitError,
    RequestTimeoutError,
    Retry,
    UnavailableError,
    UnsupportedError,
)
from ragcore.testing.server import Answer, Failure

STATUSES: list[tuple[int, str, type[RagcoreError], int]] = [
    (400, "invalid options", InvalidRequestError, 1),
    (400, "the input length exceeds the context length", ContextLengthError, 1),
    (500, '{"error":{"type":"exceed_context_size_error"}}', ContextLengthError, 1),
    (400, '"llama3.2" does not support thinking', UnsupportedError, 1),
    (500, "this model is missing data required for image input", UnsupportedError, 1),
    (401, "unauthorized", AuthenticationError, 1),
    (402, "add credits", QuotaExceededError, 1),
    (403, "this model requires a subscription", PermissionDeniedError, 1),
    (408, "slow", RequestTimeoutError, 3),
    (409, "conflict", UnavailableError, 3),
    (429, "too many concurrent requests", RateLimitError, 3),
    (429, "you have reached your weekly usage limit, upgrade", QuotaExceededError, 1),
    (500, "timed out waiting for llama runner to start", UnavailableError, 3),
    (500, "model requires more system memory (9 GiB) than is available", ProviderError, 1),
    (502, "<html>Bad gateway</html>", UnavailableError, 3),
    (503, "server busy, please try again.", UnavailableError, 3),
    (504, "gateway timeout", RequestTimeoutError, 3),
]


@pytest.mark.parametrize(("status", "message", "error", "attempts"), STATUSES)
async def test_a_status_is_an_error_and_tried_again_if_that_may_help(
    status: int, message: str, error: type[RagcoreError], attempts: int
) -> None:
    """Counted on the wire, for answers in one piece and in many."""
    async with (
        OllamaService(Failure(status, message)).running() as service,
        completion(service) as model,
    ):
        with pytest.raises(error) as caught:
            await model.complete("Who?")
        made = len(service.requests)
        with pytest.raises(error):
            async with model.stream("Who?"):
                pass

    assert type(caught.value) is error
    assert made == attempts
    assert len(service.requests) == 2 * attempts


async def test_what_the_runner_says_is_taken_out_of_its_wrapping() -> None:
    """Ollama passes on JSON as a sentence; a cure is added."""
    said = (
        '{"error":{"code":400,"message":"request (9 tokens) exceeds the available context size"}}'
    )
    async with OllamaService(Failure(400, said)).running() as service, completion(service) as model:
        with pytest.raises(ContextLengthError, match=r": request \(9 tokens\).*num_ctx") as caught:
            await model.complete("Who?")

    assert "{" not in str(caught.value)


async def test_an_error_names_who_and_what() -> None:
    """Provider, model, status, the server's sentence and what it asks to wait."""
    failure = Failure(503, "server busy", headers={"Retry-After": "0.5"})
    async with (
        OllamaService(failure).running() as service,
        completion(service, retry=Retry(attempts=1)) as model,
    ):
        with pytest.raises(UnavailableError, match="server busy") as caught:
            await model.complete("Who?")

    assert caught.value.provider == "ollama"
    assert caught.value.model == "llama3.2"
    assert caught.value.status == 503
    assert caught.value.retry_after == 0.5
    assert service.url.removeprefix("http://") in str(caught.value)


async def test_a_missing_model_says_how_to_get_it_and_what_is_there() -> None:
    """So that a typing error is seen, too."""
    failure = Failure(404, "model 'lama3.2' not found")
    async with (
        OllamaService(failure).running() as service,
        completion(service, "lama3.2") as model,
    ):
        with pytest.raises(NotFoundError) as caught:
            await model.complete("Who?")

    assert "ollama pull lama3.2" in str(caught.value)
    assert "llama3.2:latest, all-minilm:latest" in str(caught.value)
    assert [request.path for request in service.requests] == ["/api/chat", "/api/tags"]


async def test_an_address_without_an_api_is_told_from_a_missing_model() -> None:
    """A path such as /v1 that belongs to another API."""
    async with (
        OllamaService(Failure(404, "404 page not found")).running() as service,
        completion(service, host=f"{service.url}/v1") as model,
    ):
        with pytest.raises(NotFoundError, match="without /api or /v1"):
            await model.complete("Who?")


async def test_a_server_that_is_not_running_says_how_to_start_it(
    unused_tcp_port: int,
) -> None:
    """After as many attempts as there are."""
    retry = Retry(attempts=2, wait_initial=0, wait_max=0)
    host = f"127.0.0.1:{unused_tcp_port}"
    async with ragcore.completion("ollama:llama3.2", host=host, retry=retry) as model:
        with pytest.raises(UnavailableError, match=r"ollama serve.*OLLAMA_HOST") as caught:
            await model.complete("Who?")
    async with ragcore.embedding("ollama:all-minilm", host=host, retry=retry) as model:
        with pytest.raises(UnavailableError, match="ollama serve"):
            await model.embed(["a"])

    assert caught.value.attempts == 2


def test_a_certificate_that_is_not_trusted_is_no_server_to_start() -> None:
    """The error says what to do about it, and is not tried again."""
    exc = httpx.ConnectError("x")
    exc.__cause__ = ssl.SSLCertVerificationError("self-signed certificate")
    with (
        pytest.raises(ProviderError, match="SSL_CERT_FILE") as caught,
        translated(Asked("https://x", "m")),
    ):
        raise exc

    assert type(caught.value) is ProviderError
    assert "ollama serve" not in str(caught.value)


async def test_a_model_that_is_still_loading_is_waited_for() -> None:
    """A failure, then the answer."""
    replies = (Failure(500, "timed out waiting for llama runner to start"), Answer("Goethe"))
    async with OllamaService(*replies).running() as service, completion(service) as model:
        answer = await model.complete("Who?")

    assert answer.text == "Goethe"
    assert answer.timings.attempts == 2


@pytest.mark.parametrize(
    ("message", "error"),
    [
        ("unauthorized", AuthenticationError),
        ("the prompt exceeds the context length", ContextLengthError),
        ("you've reached your hourly usage limit", QuotaExceededError),
    ],
)
async def test_an_error_in_a_stream_has_its_class_by_its_sentence(
    message: str, error: type[ProviderError]
) -> None:
    """There is no status there."""
    async with (
        OllamaService(Failure(400, message, in_stream=True)).running() as service,
        completion(service) as model,
    ):
        with pytest.raises(error):
            async with model.stream("Who?") as chunks:
                [chunk async for chunk in chunks]


def exceptions() -> set[type[BaseException]]:
    """Return what the SDK defines."""
    modules = [
        importlib.import_module(f"ollama.{m.name}") for m in pkgutil.iter_modules(ollama.__path__)
    ]
    found = {
        kind
        for module in [ollama, *modules]
        for _, kind in inspect.getmembers(module, inspect.isclass)
        if issubclass(kind, BaseException)
    }
    return {kind for kind in found if kind.__module__.split(".")[0] == "ollama"}


@pytest.mark.parametrize("kind", sorted(exceptions(), key=repr))
def test_every_exception_of_the_sdk_is_translated(kind: type[BaseException]) -> None:
    """By the table, with the original as its cause."""
    original = kind("x")
    with pytest.raises(RagcoreError) as caught, translated(Asked("http://x", "m")):
        raise original

    assert caught.value.__cause__ is original
    assert isinstance(original, tuple(ROWS))


def test_transport_errors_are_worth_another_attempt() -> None:
    """Connections that break, and servers that are slow."""
    transient: tuple[type[httpx.TransportError], ...] = (
        httpx.ReadError,
        httpx.RemoteProtocolError,
        httpx.ReadTimeout,
        httpx.PoolTimeout,
    )
    for kind in transient:
        with pytest.raises(ragcore.TransientError), translated(Asked("http://x", "m")):
            raise kind("x")
