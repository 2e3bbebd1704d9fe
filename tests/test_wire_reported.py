"""A body is read for what a service says in it, in whatever shape."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import ragcore
from ragcore import (
    AuthenticationError,
    ContentFilterError,
    ContextLengthError,
    InvalidRequestError,
    NotFoundError,
    PermissionDeniedError,
    ProviderError,
    QuotaExceededError,
    RateLimitError,
    RequestTimeoutError,
    RequestTooLargeError,
    UnavailableError,
)
from ragcore.wire import Phrase, is_lost, misdirected, reported, said

WORDS = "the blue lamp is broken"
FIELD = [{"loc": ["body", "lamp"], "msg": WORDS, "type": "extra_forbidden"}]
SHAPES: list[object] = [
    WORDS,
    {"error": {"message": WORDS, "type": "t", "code": "c"}},
    {"error": WORDS},
    {"error": [WORDS]},
    {"message": WORDS},
    {"Message": WORDS},
    {"detail": WORDS},
    {"detail": FIELD},
    {"object": "error", "message": {"detail": FIELD}, "type": "invalid_request_error"},
    {"errors": [{"message": WORDS}]},
    {"msg": WORDS},
    [{"error": {"code": 400, "message": WORDS}}],
    {"base_resp": {"status_code": 1008, "status_msg": WORDS}},
    {"error": {"message": "Provider returned error", "metadata": {"raw": WORDS}}},
    {"error": {"message": "no", "metadata": {"raw": json.dumps({"error": {"message": WORDS}})}}},
    {"code": "invalid-argument", "error": WORDS},
    {"error": "Unauthorized", "message": WORDS},
    {"error": json.dumps({"error": {"code": 400, "message": WORDS}})},
    {"error": None, "message": WORDS},
    json.dumps({"error": WORDS}),
    json.dumps({"error": WORDS}).encode(),
    f"<html><head><title>{WORDS}</title><style>p {{ }}</style></head></html>",
    f"  {WORDS}\n\n",
    {"lamp": WORDS},
]


@pytest.mark.parametrize("body", SHAPES, ids=str)
def test_the_services_words_are_found(body: object) -> None:
    """Wherever it puts them, in one line."""
    message, _ = said(body)

    assert WORDS in message
    assert message == " ".join(message.split())
    assert "<" not in message


@pytest.mark.parametrize("body", [None, "", {}, [], b""])
def test_a_body_that_says_nothing(body: object) -> None:
    """Has no message; its error has one."""
    assert said(body) == ("", ())
    assert reported(body, 502).args[0] == "the service answered 502 and said no more"
    assert "said no more" in str(reported(body))


def test_codes_are_found_the_most_telling_first() -> None:
    """At any depth; what was asked is not looked at."""
    body = {
        "type": "error",
        "error": {"type": "a", "details": {"error_code": "b"}, "code": 429},
        "input": {"code": "asked"},
    }

    assert said(body)[1] == ("b", "429", "error", "a")


def test_a_message_is_bounded_and_tears_no_key() -> None:
    """What is half a key can't be found and taken out."""
    key = "sk-" + "k" * 80
    message, _ = said({"error": "x " * 220 + key + " and more" * 100})

    assert len(message) <= 501
    assert "sk-" not in message


ANY = st.recursive(
    st.none() | st.booleans() | st.floats() | st.text(max_size=8) | st.binary(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["error", "message", "code", "detail", "x"]), inner)
    ),
)


@given(ANY)
def test_any_body_makes_an_error(body: Any) -> None:
    """None breaks the reading of it."""
    assert isinstance(reported(body), ProviderError)
    assert isinstance(reported(json.dumps(body, default=str), 500), UnavailableError)


@pytest.mark.parametrize(
    "body",
    [
        "[" * 100_000,
        "<" * 1_000_000,
        "<script>" * 100_000,
        {"error": "too long " * 1_000_000},
        [{"error": "x"}] * 100_000,
        "{" + '"error": {' * 500 + '"message": "x"' + "}" * 501,
    ],
    ids=["deep", "tags", "scripts", "long", "wide", "nested"],
)
def test_reading_a_huge_body_takes_no_time(body: object) -> None:
    """It is cut before it is looked at."""
    began = time.perf_counter()
    reported(body, 400)

    assert time.perf_counter() - began < 2


# (status, body, class), as plugins have seen them.
KINDS: list[tuple[int | None, object, type[ProviderError]]] = [
    (400, "no", InvalidRequestError),
    (400, {"error": {"message": "no", "code": "context_length_exceeded"}}, ContextLengthError),
    (400, "the request exceeds the available context size", ContextLengthError),
    (500, {"error": {"type": "exceed_context_size_error"}}, ContextLengthError),
    (500, "input is too large to process. increase the batch size", ContextLengthError),
    (400, "prompt is too long: 210000 tokens > 200000 maximum", ContextLengthError),
    (400, "Input is too long for requested model.", ContextLengthError),
    (422, "`inputs` tokens + `max_new_tokens` must be <= 4096", ContextLengthError),
    (413, "`inputs` must have less than 512 tokens. Given: 600", ContextLengthError),
    (400, "maximum prompt length is 9 but the request contains 10 tokens", ContextLengthError),
    (400, "[input_too_large] Current message exceeds budget", ContextLengthError),
    (400, "Cannot truncate prompt with n_keep (15) >= n_ctx (10)", ContextLengthError),
    (400, "Range of input length should be [1, 100]", ContextLengthError),
    (400, "The input token count (15) exceeds the maximum number of tokens", ContextLengthError),
    (400, "The maximum tokens you requested exceeds the model limit of 8.", InvalidRequestError),
    (400, "Output blocked by content filtering policy", ContentFilterError),
    (400, {"error": {"innererror": {"code": "ResponsibleAIPolicyViolation"}}}, ContentFilterError),
    (400, "The guardrail did intervene", ContentFilterError),
    (400, "The provided model identifier is invalid.", NotFoundError),
    (400, "Your credit balance is too low", QuotaExceededError),
    (402, "Insufficient Balance", QuotaExceededError),
    (429, "You exceeded your current quota, please check your plan", QuotaExceededError),
    (429, "Budget has been exceeded! Current cost: 3", QuotaExceededError),
    (429, "you have reached your weekly usage limit, upgrade", QuotaExceededError),
    (429, {"error": {"message": "no", "code": "billing_not_active"}}, QuotaExceededError),
    (429, {"error": {"message": "no", "type": "insufficient_quota"}}, QuotaExceededError),
    (429, "Rate limit reached; visit https://example.com/billing", RateLimitError),
    (429, "Too many tokens per day, please wait", QuotaExceededError),
    (429, "Too many requests, please wait", RateLimitError),
    (429, "Rate limit reached on tokens per minute (TPM): Limit 100, Used 90", RateLimitError),
    (429, "Quota exceeded for generate_requests_per_minute_per_project", RateLimitError),
    (429, "Rate limit on requests per day. Please try again in 7.2s", RateLimitError),
    (429, "Request too large for m on tokens per minute (TPM)", RequestTooLargeError),
    (413, {"error": {"message": "Request too large for m", "code": "rate_limit_exceeded"}},
     RequestTooLargeError),
    (413, {"message": "batch size 100 > maximum allowed batch size 32"}, RequestTooLargeError),
    (400, "batch size is invalid, it should not be larger than 10", RequestTooLargeError),
    (400, "at most 100 requests can be in one batch", RequestTooLargeError),
    (400, {"error": {"message": "Requested 453357 tokens", "code": "max_tokens_per_request"}},
     RequestTooLargeError),
    (401, "the prompt is too long", AuthenticationError),
    (403, "no", PermissionDeniedError),
    (404, "no", NotFoundError),
    (424, "Request failed during generation", UnavailableError),
    (429, {"error": "Model is overloaded", "error_type": "overloaded"}, RateLimitError),
    (503, "no", UnavailableError),
    (504, "no", RequestTimeoutError),
    # With status 200, or in a stream.
    (200, {"error": {"message": "no", "code": 502}}, UnavailableError),
    (None, {"error": {"message": "no", "http_status_code": 422}}, InvalidRequestError),
    (None, {"error": {"message": "no", "code": "429"}}, RateLimitError),
    (None, {"type": "error", "error": {"type": "overloaded_error", "message": "no"}},
     UnavailableError),
    (None, {"error": {"message": "no", "type": "server_error"}}, UnavailableError),
    (None, {"message": "no", "code": "rate_limit_exceeded"}, RateLimitError),
    (None, "unauthorized", AuthenticationError),
    (None, "model 'x' not found", NotFoundError),
    (None, "the prompt exceeds the context length", ContextLengthError),
    (None, "no", ProviderError),
]  # fmt: skip


@pytest.mark.parametrize(("status", "body", "kind"), KINDS, ids=str)
def test_the_class_says_whether_trying_again_helps(
    status: int | None, body: object, kind: type[ProviderError]
) -> None:
    """By code, status and words, as services put it."""
    error = reported(body, status)

    assert type(error) is kind
    assert status in (None, 200) or error.status == status


def test_a_service_that_says_nothing_of_the_kind() -> None:
    """Has the class that the plugin gives it."""
    error = reported({"error": "no"}, unknown=UnavailableError)

    assert (type(error), error.status) == (UnavailableError, None)


def test_geminis_limit_a_minute_is_waited_for() -> None:
    """Though it is called a quota; one of a day is no matter of waiting."""

    def answer(quota: str) -> object:
        details = [{"violations": [{"quotaId": quota}]}, {"retryDelay": "0.3s"}]
        message = "You exceeded your current quota, see billing."
        return [{"error": {"code": 429, "message": message, "details": details}}]

    a_minute, a_day = (reported(answer(f"Requests{time}"), 429) for time in ("PerMinute", "PerDay"))

    assert (type(a_minute), a_minute.retry_after) == (RateLimitError, 0.3)
    assert type(a_day) is QuotaExceededError


def test_a_services_own_codes_and_phrases_come_first() -> None:
    """And a cure is said."""
    own = Phrase("context length", ContextLengthError, cure="raise num_ctx=")
    by_words = reported("the context length is 5", 400, more_phrases=[own])
    by_code = reported({"code": "nuts"}, 400, codes={"nuts": QuotaExceededError})

    assert str(by_words) == "the context length is 5; raise num_ctx= [status 400]"
    assert type(by_code) is QuotaExceededError


def test_too_many_texts_have_a_cure() -> None:
    """The option that sends fewer."""
    assert "batch_size=" in str(reported("batch size 9 > maximum allowed batch size 8", 422))


def test_the_address_is_named() -> None:
    """A 404 is often one of the address."""
    error = reported({"detail": "Not Found"}, 404, address="http://x/v1/v1/chat")

    assert error.args == ("http://x/v1/v1/chat: Not Found",)


def test_a_redirect_names_the_new_address() -> None:
    """It is never followed, and no matter of waiting."""
    error = reported("moved", 307, headers={"Location": "https://other.example/v1"})

    assert type(error) is InvalidRequestError
    assert error.status == 307
    assert "https://other.example/v1" in str(error)


def test_headers_and_body_say_when_and_which() -> None:
    """The headers' word counts first."""
    body = {"error": "loading", "estimated_time": 20.0, "request_id": "of the body"}
    quiet = reported(body, 503)
    told = reported(body, 503, headers={"Retry-After": "7", "X-Request-ID": "of the headers"})

    assert (quiet.retry_after, quiet.request_id) == (20, "of the body")
    assert (told.retry_after, told.request_id) == (7, "of the headers")


def test_one_request_too_large_is_no_reason_to_wait() -> None:
    """It is the request that has to change."""
    assert issubclass(ragcore.RequestTooLargeError, InvalidRequestError)
    assert not issubclass(ragcore.RequestTooLargeError, ragcore.TransientError)


def test_a_redirect_without_an_address_names_none() -> None:
    """And a long one is cut."""
    bare = reported("moved", 304)
    long = reported("moved", 307, headers={"location": "https://x/" + "a" * 9_000})

    assert bare.args == ("moved",)
    assert len(long.args[0]) < 300


def test_an_answer_of_another_server_names_address_and_option() -> None:
    """What follows a question mark may be secret."""
    error = misdirected(reported("Not Found", 404), "http://x/chat?key=canary", "base_url")

    assert error.args == ("Not Found; http://x/chat was asked: is base_url= right?",)


def test_a_message_can_be_printed() -> None:
    """Halves of characters, which UTF-8 can't carry, are replaced."""
    assert reported({"message": "no \ud800"}, 400).args == ("no ?",)


def test_a_missing_model_is_not_lost() -> None:
    """A 404 that knows of no model may be another server's."""
    assert is_lost(reported("Not Found", 404))
    assert not is_lost(reported("The model `m` does not exist", 404))
    assert not is_lost(reported("DeploymentNotFound", 404))
    assert not is_lost(reported("no", 400))
