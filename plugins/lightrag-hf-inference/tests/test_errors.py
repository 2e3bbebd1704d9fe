"""What goes wrong at the service has a name."""

import pytest
from hf_inference_double import REQUEST_ID, TOKEN, HFInferenceService, completing

import ragcore
from ragcore.testing.server import Answer, Failure


@pytest.mark.parametrize(
    ("failure", "error", "attempts"),
    [
        (Failure(400), ragcore.InvalidRequestError, 1),
        (Failure(401), ragcore.AuthenticationError, 1),
        (Failure(402, "You have exceeded your monthly credits"), ragcore.QuotaExceededError, 1),
        (Failure(403), ragcore.PermissionDeniedError, 1),
        (Failure(404), ragcore.NotFoundError, 1),
        (Failure(408), ragcore.RequestTimeoutError, 3),
        (Failure(422), ragcore.InvalidRequestError, 1),
        (
            Failure(422, "`inputs` tokens + `max_new_tokens` must be <= 4096", "validation"),
            ragcore.ContextLengthError,
            1,
        ),
        (Failure(424, "Request failed during generation"), ragcore.UnavailableError, 3),
        (Failure(429), ragcore.RateLimitError, 3),
        (Failure(429, "Model is overloaded", "overloaded"), ragcore.RateLimitError, 3),
        (Failure(500), ragcore.UnavailableError, 3),
        (Failure(502), ragcore.UnavailableError, 3),
        (Failure(503), ragcore.UnavailableError, 3),
        (Failure(504), ragcore.RequestTimeoutError, 3),
    ],
    ids=lambda value: (
        f"{value.status}-{value.code or value.message[:12]}" if isinstance(value, Failure) else None
    ),
)
async def test_a_status_and_whether_it_is_tried_again(
    failure: Failure, error: type[ragcore.ProviderError], attempts: int
) -> None:
    """With the service's own words, its status and the request's identifier."""
    async with HFInferenceService(failure).running() as service, completing(service) as model:
        with pytest.raises(error) as caught:
            await model.complete("Who?")

    assert type(caught.value) is error
    assert failure.message in str(caught.value)
    assert (caught.value.status, caught.value.request_id) == (failure.status, REQUEST_ID)
    assert TOKEN not in str(caught.value)
    assert len(service.requests) == attempts


async def test_retry_after_is_carried() -> None:
    """As the service sent it."""
    failure = Failure(429, headers={"retry-after": "7"})
    async with (
        HFInferenceService(failure).running() as service,
        completing(service, retry=ragcore.Retry(attempts=1)) as model,
    ):
        with pytest.raises(ragcore.RateLimitError) as caught:
            await model.complete("Who?")

    assert caught.value.retry_after == 7


async def test_nobody_there() -> None:
    """Refused connections are tried again, and say what happened."""
    async with HFInferenceService(Answer()).running() as service:
        pass
    async with completing(service) as model:
        with pytest.raises(ragcore.UnavailableError, match=r"reach .*: ConnectError") as caught:
            await model.complete("Who?")

    assert caught.value.attempts == 3
