"""What the SDK raises is translated, class by class."""

from __future__ import annotations

import importlib
import pkgutil
import traceback
from collections.abc import Iterator

import openai
import pytest
from openai_double import OpenAI

import ragcore
from lightrag_openai._errors import TABLE
from ragcore import (
    ContentFilterError,
    ContextLengthError,
    InvalidRequestError,
    ProviderError,
    QuotaExceededError,
    RateLimitError,
    Retry,
)
from ragcore.testing.server import Failure


def sdk_errors() -> set[type[BaseException]]:
    for module in pkgutil.iter_modules(openai.__path__, "openai."):
        if module.name.rpartition(".")[2] in ("_exceptions", "_base_client", "_client"):
            importlib.import_module(module.name)
    importlib.import_module("openai.lib.azure")
    exported = {kind for kind in list(vars(openai).values()) if is_error(kind)}
    return exported | set(below(openai.OpenAIError))


def is_error(kind: object) -> bool:
    return isinstance(kind, type) and issubclass(kind, Exception)


def below(kind: type[BaseException]) -> Iterator[type[BaseException]]:
    for child in kind.__subclasses__():
        yield child
        yield from below(child)


def test_every_error_of_the_sdk_has_its_row() -> None:
    """One that a new release brings fails here, until somebody has thought about it."""
    found = {kind.__name__ for kind in sdk_errors() if kind.__module__.startswith("openai")}

    assert not found - set(TABLE)
    assert len(found) > 15


WORDS = [
    (429, "You exceeded your current quota, please check your plan", "", QuotaExceededError),
    (429, "Budget has been exceeded! Current cost: 3", "", QuotaExceededError),
    (429, "no", "insufficient_quota", QuotaExceededError),
    (429, "no", "billing_not_active", QuotaExceededError),
    (402, "Insufficient Balance", "", QuotaExceededError),
    (
        429,
        "Rate limit reached; visit https://platform.openai.com/account/billing",
        "",
        RateLimitError,
    ),
    (400, "This model's maximum context length is 8 tokens", "", ContextLengthError),
    (400, "no", "context_length_exceeded", ContextLengthError),
    (400, "the request exceeds the available context size", "", ContextLengthError),
    (413, "`inputs` must have less than 512 tokens. Given: 600", "", ContextLengthError),
    (400, "The response was filtered", "content_filter", ContentFilterError),
    (400, "Unsupported parameter", "unsupported_parameter", InvalidRequestError),
]


@pytest.mark.parametrize(("status", "message", "code", "kind"), WORDS)
async def test_the_code_and_the_words_say_more_than_the_status(
    status: int, message: str, code: str, kind: type[ProviderError]
) -> None:
    """As OpenAI, Azure and servers like them put it."""
    async with (
        OpenAI(Failure(status, message, code)).running() as service,
        ragcore.completion(
            "openai:a", api_key="k", base_url=service.base_url, retry=Retry(attempts=1)
        ) as model,
    ):
        with pytest.raises(ProviderError, match="openai:a") as caught:
            await model.complete("Who?")

    assert type(caught.value) is kind
    assert (caught.value.status, caught.value.request_id) == (status, "req-1")


async def test_a_key_that_the_service_repeats_is_not_shown() -> None:
    """Neither in the error nor in what caused it."""
    failure = Failure(401, "Incorrect API key provided: sk-canary.")
    async with (
        OpenAI(failure).running() as service,
        ragcore.completion("openai:a", api_key="sk-canary", base_url=service.base_url) as model,
    ):
        with pytest.raises(ragcore.AuthenticationError) as caught:
            await model.complete("Who?")

    assert "Incorrect API key provided: …" in str(caught.value)
    assert "sk-canary" not in repr(caught.value)
    assert "sk-canary" not in "".join(traceback.format_exception(caught.value))
