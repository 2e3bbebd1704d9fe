"""Credentials of one of LightRAG's roles, and what is not read beside them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from bedrock_double import Bedrock

import ragcore
from lightrag_bedrock import BedrockOptions
from ragcore import OptionsError, Retry
from ragcore._calls.opening import completion_model, resolve_completion, resolve_embedding
from ragcore.options import Sources, read
from ragcore.testing.server import Answer, Request

MODEL = "bedrock:amazon.nova-lite-v1:0"
ROLE = {
    "EXTRACT_AWS_REGION": "eu-west-3",
    "EXTRACT_AWS_ACCESS_KEY_ID": "AKIDROLE",
    "EXTRACT_AWS_SECRET_ACCESS_KEY": "canary-role",
    "EXTRACT_AWS_SESSION_TOKEN": "token-of-the-role",
}
PLAIN = {
    "AWS_REGION": "us-east-1",
    "AWS_ACCESS_KEY_ID": "AKIDPLAIN",
    "AWS_SECRET_ACCESS_KEY": "canary-plain",
    "AWS_SESSION_TOKEN": "token-of-all",
    "AWS_BEARER_TOKEN_BEDROCK": "bearer-of-all",
    "AWS_PROFILE": "work",
}


@pytest.fixture(autouse=True)
def profiles(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Have a profile with keys of its own."""
    (tmp_path / "config").write_text("[profile work]\nregion = ap-south-1\n")
    (tmp_path / "keys").write_text(
        "[work]\naws_access_key_id = AKIDWORK\naws_secret_access_key = canary\n"
    )
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "keys"))


async def request_of_role(**options: Any) -> Request:
    """Return what a call for the role "extract" sends."""
    async with Bedrock(Answer()).running() as service:
        keywords = {"endpoint_url": service.url, "retry": Retry(attempts=1), **options}
        opening = resolve_completion(MODEL, keywords, Sources(role="extract"))
        async with completion_model(opening) as model:
            await model.complete("hi")
    return service.requests[-1]


def role_options(environ: dict[str, str], **keywords: Any) -> BedrockOptions:
    """Return what is read for the role "extract"."""
    [options] = read([BedrockOptions], keywords, sources=Sources(environ=environ, role="extract"))
    assert isinstance(options, BedrockOptions)
    return options


async def test_keys_of_a_role_sign_its_requests(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not a key, profile or bearer token that the environment has for all."""
    for name, value in (PLAIN | ROLE).items():
        monkeypatch.setenv(name, value)

    request = await request_of_role()

    assert "Credential=AKIDROLE/" in request.headers["authorization"]
    assert "/eu-west-3/bedrock/" in request.headers["authorization"]
    assert request.headers["x-amz-security-token"] == "token-of-the-role"


async def test_a_role_without_keys_has_those_of_all(monkeypatch: pytest.MonkeyPatch) -> None:
    """As boto3 finds them."""
    for name in ("AWS_REGION", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, PLAIN[name])

    request = await request_of_role()

    assert "Credential=AKIDPLAIN/" in request.headers["authorization"]


def test_keys_of_all_are_left_to_boto3() -> None:
    """They are one of its ways to find credentials, and no option."""
    options = role_options(PLAIN)

    assert options.asdict().keys() == {"region", "bearer_token", "profile"}


@pytest.mark.parametrize(
    "keywords",
    [
        {"access_key_id": "AKIDOWN", "secret_access_key": "own"},
        {"bearer_token": "own"},
        {"session": object()},
        {"profile": "own"},
    ],
)
def test_credentials_that_are_given_hide_those_of_a_role(keywords: dict[str, Any]) -> None:
    """And those of the environment, but for boto3's own."""
    options = role_options(PLAIN | ROLE, **keywords)

    found = set(options.asdict()) - {"region"}
    assert found - {"bearer_token", "profile"} == set(keywords) - {"bearer_token", "profile"}
    for name, value in keywords.items():
        own = getattr(options, name)
        assert (own.get() if isinstance(own, ragcore.Secret) else own) == value


@pytest.mark.parametrize("missing", ["access_key_id", "secret_access_key"])
def test_half_a_pair_is_refused_by_the_name_of_the_other(missing: str) -> None:
    """When the options are read, long before a request is signed."""
    variable = f"EXTRACT_AWS_{missing.upper()}"

    with pytest.raises(OptionsError, match=f"{missing}=.*AWS_{missing.upper()}") as caught:
        role_options({name: value for name, value in ROLE.items() if name != variable})
    assert "canary" not in str(caught.value)
    assert len(caught.value.problems) == 1


@pytest.mark.parametrize("alias", ["bedrock", "aws_bedrock"])
def test_lightrags_name_of_the_provider_is_known(alias: str) -> None:
    """For both tasks."""
    completes = resolve_completion(f"{alias}:amazon.nova-lite-v1:0", {}).provider
    embeds = resolve_embedding(f"{alias}:amazon.titan-embed-text-v2:0", {}).provider

    assert (completes.name, embeds.name) == ("bedrock", "bedrock")
