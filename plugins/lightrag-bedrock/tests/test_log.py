"""Credentials that botocore fetches by itself are not in its log."""

from __future__ import annotations

import logging
from datetime import UTC, datetime, timedelta
from typing import Any

import boto3
import botocore.session
import pytest
from bedrock_double import Bedrock
from botocore.credentials import RefreshableCredentials

import ragcore
from lightrag_bedrock._log import mask
from ragcore.testing.server import Answer


@pytest.mark.parametrize(
    "text",
    [
        "{'X-Amz-Security-Token': b'canary', 'Authorization': b'Bearer canary'}",
        "host:x\nx-amz-security-token:canary\n",
        "<SecretAccessKey>canary</SecretAccessKey><SessionToken>canary</SessionToken>",
        b'{"SecretAccessKey" : "canary", "Token" : "canary", "accessToken":"canary"}',
        {"roleCredentials": {"secretAccessKey": "canary", "sessionToken": "canary"}},
    ],
)
def test_named_credentials_are_masked(text: Any) -> None:
    """In headers, in lines to sign, in XML and in JSON."""
    shown = mask(str(text))

    assert "canary" not in shown
    assert "…" in shown


def test_other_text_is_not() -> None:
    """The log stays of use."""
    text = (
        "Sending http request: method=POST, url=https://x/model/m/converse, 'Content-Length': '61'"
    )

    assert mask(text) == text


async def test_credentials_that_are_refreshed(caplog: pytest.LogCaptureFixture) -> None:
    """Are not known beforehand, and are masked all the same."""
    session = botocore.session.Session()
    session._credentials = RefreshableCredentials(
        "AKIDTEST",
        "canary-secret",
        "canary-token",
        datetime.now(UTC) + timedelta(hours=2),
        refresh_using=dict,
        method="test",
    )
    caplog.set_level(logging.DEBUG)
    async with (
        Bedrock(Answer()).running() as service,
        ragcore.completion(
            "bedrock:amazon.nova-lite-v1:0",
            endpoint_url=service.url,
            region="us-east-1",
            session=boto3.Session(botocore_session=session),
        ) as model,
    ):
        await model.complete("hi")

    assert service.requests[0].headers["x-amz-security-token"] == "canary-token"
    assert "canary" not in caplog.text
    assert "botocore.endpoint" in caplog.text
