"""Every error that botocore knows, and every one that Bedrock's model names, has a name here."""

from __future__ import annotations

import inspect
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import botocore.session
import pytest
from bedrock_double import Bedrock
from botocore import eventstream, exceptions, parsers

import ragcore
from lightrag_bedrock._errors import BY_CODE, TABLE, of_answer, translated
from ragcore import Retry
from ragcore.testing.server import Failure
from ragcore.wire import finish_reason, transport_error

ROOTS = {"BotoCoreError", "UndefinedModelAttributeError"}


def defined_in(module: Any) -> list[type[Exception]]:
    return [
        cls
        for _, cls in inspect.getmembers(module, inspect.isclass)
        if issubclass(cls, Exception)
        and not issubclass(cls, Warning)
        and cls.__module__ == module.__name__
    ]


def row_of(cls: type[Exception]) -> str:
    """Return the name of the nearest class that has a row."""
    return next((kind.__name__ for kind in cls.__mro__ if kind.__name__ in TABLE), "")


def test_every_row_is_about_a_class() -> None:
    """A name that nothing has would say nothing."""
    modules = exceptions, eventstream, parsers

    assert [name for name in TABLE if not any(hasattr(one, name) for one in modules)] == []


@pytest.mark.parametrize("cls", defined_in(exceptions), ids=lambda cls: cls.__name__)
def test_every_class_of_botocore_is_mapped(cls: type[Exception]) -> None:
    """By its code, by a row of its own or its base's, or, named below, as of no concern here."""
    row = row_of(cls)

    assert row
    if row in ROOTS:
        is_of_the_network = transport_error(cls.__new__(cls)) is not None
        assert is_of_the_network or cls.__name__ in ROOTS | OF_NO_CONCERN


# What calls of this package can't raise, or what would be a defect of it: ProviderError.
OF_NO_CONCERN = {
    "AliasConflictParameterError",
    "ApiVersionNotFoundError",
    "AwsChunkedWrapperError",
    "ChecksumError",
    "DataNotFoundError",
    "FlexibleChecksumError",
    "InvalidDNSNameError",
    "InvalidEndpointDiscoveryConfigurationError",
    "InvalidExpressionError",
    "InvalidS3AddressingStyleError",
    "MD5UnavailableError",
    "MissingServiceIdError",
    "OperationNotPageableError",
    "PaginationError",
    "StubAssertionError",
    "StubResponseError",
    "UnStubbedResponseError",
    "UnknownClientMethodError",
    "UnknownServiceError",
    "UnknownServiceStyle",
    "UnseekableStreamError",
    "UnsupportedOutpostResourceError",
    "UnsupportedS3AccesspointConfigurationError",
    "UnsupportedS3ArnError",
    "UnsupportedS3ConfigurationError",
    "UnsupportedS3ControlArnError",
    "UnsupportedS3ControlConfigurationError",
    "UnsupportedServiceProtocolsError",
    "WaiterConfigError",
    "WaiterError",
}


@pytest.mark.parametrize("cls", defined_in(eventstream), ids=lambda cls: cls.__name__)
def test_every_class_of_a_stream_is_mapped(cls: type[Exception]) -> None:
    """What lies below botocore's event stream is the network's."""
    assert row_of(cls)


@pytest.mark.parametrize("service", ["bedrock-runtime", "bedrock"])
def test_every_modelled_error_is_mapped(service: str) -> None:
    """The service's model in botocore names them."""
    model = botocore.session.Session().get_service_model(service)
    shapes = [model.shape_for(name) for name in model.shape_names]
    codes = {shape.name.lower() for shape in shapes if shape.metadata.get("exception")}

    assert codes
    assert codes <= set(BY_CODE)


def test_every_member_of_a_stream_is_known() -> None:
    """An event is read, or left for a reason; an exception is mapped."""
    model = botocore.session.Session().get_service_model("bedrock-runtime")
    members = set(model.shape_for("ConverseStreamOutput").members)
    errors = {name for name in members if name.endswith("Exception")}

    assert {name.lower() for name in errors} <= set(BY_CODE)
    assert members - errors == {
        "messageStart",  # says the role only
        "contentBlockStart",  # of tools and images, which are not asked for
        "contentBlockDelta",
        "contentBlockStop",
        "messageStop",
        "metadata",
    }


def test_every_stop_reason_is_known() -> None:
    """It is an end of an answer, or an error."""
    model = botocore.session.Session().get_service_model("bedrock-runtime")
    unusable = {"malformed_model_output", "malformed_tool_use"}

    for reason in set(model.shape_for("StopReason").enum) - unusable:
        assert finish_reason(reason)


@asynccontextmanager
async def model_of(service: Bedrock, keys: dict[str, Any]) -> AsyncIterator[Any]:
    settings = {"endpoint_url": service.url, "retry": Retry(2, wait_initial=0, wait_max=0), **keys}
    async with ragcore.completion("bedrock:amazon.nova-lite-v1:0", **settings) as model:
        yield model


async def streamed_answer(model: ragcore.CompletionModel) -> None:
    async with model.stream("hi") as chunks:
        [chunk async for chunk in chunks]


@pytest.mark.parametrize(
    ("failure", "expected"),
    [
        (Failure(400), ragcore.InvalidRequestError),
        (Failure(400, "Input is too long for requested model."), ragcore.ContextLengthError),
        (Failure(400, "prompt is too long: 9 tokens > 8 maximum"), ragcore.ContextLengthError),
        (Failure(400, "The maximum tokens you requested exceeds the model limit of 8192."),
         ragcore.InvalidRequestError),
        (Failure(400, "The provided model identifier is invalid."), ragcore.NotFoundError),
        (Failure(400, "Output blocked by content filtering policy"), ragcore.ContentFilterError),
        (Failure(400, "no", "ServiceQuotaExceededException"), ragcore.QuotaExceededError),
        (Failure(429, "Too many tokens per day, please wait"), ragcore.QuotaExceededError),
        (Failure(429, "no", "insufficient_quota"), ragcore.QuotaExceededError),
        (Failure(429, "Too many requests, please wait"), ragcore.RateLimitError),
        (Failure(429, "loading", "ModelNotReadyException"), ragcore.UnavailableError),
        (Failure(401), ragcore.AuthenticationError),
        (Failure(403), ragcore.PermissionDeniedError),
        (Failure(403, "no", "ExpiredTokenException"), ragcore.AuthenticationError),
        (Failure(403, "no", "UnrecognizedClientException"), ragcore.AuthenticationError),
        (Failure(403, "Authentication failed: Please make sure your API Key is valid."),
         ragcore.AuthenticationError),
        (Failure(404), ragcore.NotFoundError),
        (Failure(408), ragcore.RequestTimeoutError),
        (Failure(409), ragcore.UnavailableError),
        (Failure(424), ragcore.UnavailableError),
        (Failure(500), ragcore.UnavailableError),
        (Failure(502), ragcore.UnavailableError),
        (Failure(503), ragcore.UnavailableError),
        (Failure(504), ragcore.RequestTimeoutError),
    ],
    ids=lambda value: f"{value.status}-{value.code or value.message[:20]}"
    if isinstance(value, Failure) else value.__name__,
)  # fmt: skip
@pytest.mark.parametrize("streamed", [False, True])
async def test_failures(
    failure: Failure, expected: type[ragcore.ProviderError], streamed: bool, keys: dict[str, Any]
) -> None:
    """Have the class that says whether to try again, the status, the request and the message."""
    async with Bedrock(failure).running() as service, model_of(service, keys) as model:
        with pytest.raises(ragcore.ProviderError) as caught:
            await (streamed_answer(model) if streamed else model.complete("hi"))

    assert type(caught.value) is expected
    assert caught.value.status == failure.status
    assert caught.value.request_id == "request-1"
    assert caught.value.provider == "bedrock"
    assert failure.message in str(caught.value)
    assert len(service.requests) == (2 if issubclass(expected, ragcore.TransientError) else 1)


async def test_retry_after_is_read(keys: dict[str, Any]) -> None:
    """Gateways in front of Bedrock send it."""
    failure = Failure(429, headers={"Retry-After": "7"})
    async with Bedrock(failure).running() as service, model_of(service, keys) as model:
        with pytest.raises(ragcore.RateLimitError) as caught:
            await model.complete("hi", timeout=1)

    assert caught.value.retry_after == 7


@pytest.mark.parametrize(
    ("original", "expected"),
    [(400, ragcore.InvalidRequestError), (429, ragcore.UnavailableError),
     (500, ragcore.UnavailableError), (None, ragcore.UnavailableError)],
)  # fmt: skip
@pytest.mark.parametrize("code", ["ModelErrorException", "modelStreamErrorException"])
def test_a_models_own_error(code: str, original: Any, expected: type[Exception]) -> None:
    """Is worth another attempt unless the model refused the request."""
    response = {"Error": {"Code": code, "Message": "no"}, "originalStatusCode": original}

    assert type(of_answer(response)) is expected


def test_cures_are_said() -> None:
    """Where the service's own words leave one without a next step."""
    message = "Invocation of model ID x with on-demand throughput isn\u2019t supported."
    error = of_answer({"Error": {"Code": "ValidationException", "Message": message}})

    assert "inference profile" in str(error)


def test_a_code_with_its_namespace() -> None:
    """Is the code behind it."""
    response = {"Error": {"Code": "com.amazon.coral#ThrottlingException", "Message": "slow"}}

    assert isinstance(of_answer(response), ragcore.RateLimitError)


def test_an_error_that_says_nothing() -> None:
    """Is one all the same."""
    assert type(of_answer({})) is ragcore.UnavailableError


def test_what_is_no_error_of_botocore_passes() -> None:
    """A defect is not dressed up."""
    with pytest.raises(ZeroDivisionError), translated():
        raise ZeroDivisionError
