"""Which account, which address, and that no key shows."""

from __future__ import annotations

import copy
import logging
import pickle
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import boto3
import pytest
import trustme
from bedrock_double import Bedrock

import ragcore
from lightrag_bedrock import BedrockOptions
from ragcore import Retry, Secret
from ragcore.testing.server import Answer, Failure

ONCE = Retry(attempts=1)
MODEL = "bedrock:amazon.nova-lite-v1:0"


@pytest.fixture
def tls(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> ssl.SSLContext:
    """Return a server's TLS that botocore trusts."""
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    monkeypatch.setenv("AWS_CA_BUNDLE", str(tmp_path / "ca.pem"))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(context)
    return context


@asynccontextmanager
async def asked(service: Bedrock, **options: Any) -> AsyncIterator[ragcore.CompletionModel]:
    settings = {"endpoint_url": service.url, "retry": ONCE, **options}
    async with ragcore.completion(MODEL, **settings) as model:
        yield model


async def authorization(service: Bedrock, **options: Any) -> str:
    """Return what a call is signed with."""
    async with asked(service, **options) as model:
        await model.complete("hi")
    return service.requests[-1].headers["authorization"]


async def test_keys_that_are_given(keys: dict[str, Any]) -> None:
    """Sign, for the region; a session token goes along."""
    async with Bedrock(Answer()).running() as service:
        signed = await authorization(service, **keys, session_token="canary-token")

    assert signed.startswith("AWS4-HMAC-SHA256 Credential=AKIDTEST/")
    assert "/us-east-1/bedrock/" in signed
    assert service.requests[0].headers["x-amz-security-token"] == "canary-token"


async def test_keys_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """As boto3 finds them."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIDENV")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "canary")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-west-1")
    async with Bedrock(Answer()).running() as service:
        signed = await authorization(service)

    assert "Credential=AKIDENV/" in signed
    assert "/eu-west-1/bedrock/" in signed


async def test_a_profile(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Brings keys and region; named outright, it beats AWS_PROFILE."""
    (tmp_path / "config").write_text("[profile work]\nregion = ap-south-1\n[profile play]\n")
    (tmp_path / "keys").write_text(
        "[work]\naws_access_key_id = AKIDWORK\naws_secret_access_key = canary\n"
    )
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "keys"))
    monkeypatch.setenv("AWS_PROFILE", "play")
    async with Bedrock(Answer()).running() as service:
        signed = await authorization(service, profile="work")

    assert "Credential=AKIDWORK/" in signed
    assert "/ap-south-1/bedrock/" in signed


async def test_a_profile_that_is_not_there() -> None:
    """Is a matter of options."""
    async with Bedrock(Answer()).running() as service:
        with pytest.raises(ragcore.OptionsError, match="nowhere"):
            async with asked(service, profile="nowhere", region="us-east-1"):
                pass


async def test_a_session_of_the_callers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Has its own keys and region, whatever the environment says."""
    monkeypatch.setenv("AWS_REGION", "us-east-1")
    session = boto3.Session(
        aws_access_key_id="AKIDOWN", aws_secret_access_key="s", region_name="eu-north-1"
    )
    async with Bedrock(Answer()).running() as service:
        signed = await authorization(service, session=session)
        elsewhere = await authorization(service, session=session, region="us-west-2")

    assert "Credential=AKIDOWN/" in signed
    assert "/eu-north-1/bedrock/" in signed
    assert "/us-west-2/bedrock/" in elsewhere


@pytest.mark.parametrize("given", [True, False])
async def test_a_bearer_token(
    given: bool, tls: ssl.SSLContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Given outright or by the environment, it goes instead of credentials that are there too."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIDENV")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "canary")
    monkeypatch.setenv("AWS_BEARER_TOKEN_BEDROCK", "from-environment")
    options = {"bearer_token": "given"} if given else {}
    async with Bedrock(Answer()).running(tls) as service:
        sent = await authorization(service, region="us-east-1", **options)

    assert sent == f"Bearer {'given' if given else 'from-environment'}"
    assert "AKIDENV" not in str(service.requests)


async def test_keys_that_are_given_beat_a_bearer_token_of_the_environment(
    keys: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Which botocore would prefer."""
    monkeypatch.setenv("AWS_BEARER_TOKEN_BEDROCK", "canary-bearer")
    async with Bedrock(Answer()).running() as service:
        signed = await authorization(service, **keys)

    assert "Credential=AKIDTEST/" in signed
    assert "canary-bearer" not in str(service.requests)


async def test_a_cancelled_call_over_tls(tls: ssl.SSLContext) -> None:
    """Gives back its socket, too, and streams do."""
    from ragcore.testing.server import Broken

    async with Bedrock(Broken("stall"), Answer()).running(tls) as service:
        options = {"region": "us-east-1", "bearer_token": "b", "max_connections": 1}
        async with asked(service, **options) as model:
            async with model.stream("hi") as chunks:
                await anext(chunks)
            answer = await model.complete("hi", timeout=5)

    assert answer.text == "Goethe"


async def test_a_certificate_that_nobody_vouches_for(
    tls: ssl.SSLContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Is no better at another attempt; botocore reads its authority from a variable of its own."""
    monkeypatch.delenv("AWS_CA_BUNDLE")
    options = {"region": "us-east-1", "bearer_token": "b", "retry": None}
    async with Bedrock(Answer()).running(tls) as service, asked(service, **options) as model:
        with pytest.raises(ragcore.ProviderError, match="set AWS_CA_BUNDLE") as caught:
            await model.complete("hi")

    assert type(caught.value) is ragcore.ProviderError
    assert caught.value.attempts == 1


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"access_key_id": "a"}, "secret_access_key"),
        ({"secret_access_key": "a"}, "access_key_id"),
        ({"session_token": "a"}, "session_token"),
        ({"access_key_id": "a", "secret_access_key": "b", "bearer_token": "c"}, "bearer_token"),
        ({"session": boto3.Session(region_name="us-east-1"), "bearer_token": "c"}, "bearer_token"),
        ({"session": boto3.Session(region_name="us-east-1"), "profile": "c"}, "profile"),
        ({"bearer_token": "c"}, "https"),
    ],
)
async def test_what_does_not_go_together(options: dict[str, Any], named: str) -> None:
    """Is refused at the door, by name."""
    async with Bedrock(Answer()).running() as service:
        with pytest.raises(ragcore.OptionsError, match=named):
            async with asked(service, region="us-east-1", **options):
                pass

    assert service.requests == []


@pytest.mark.parametrize(
    "address",
    ["me:canary@localhost", "http://me:canary", "http://me:canary@localhost:9", "https://"],
)
async def test_what_is_no_address_is_refused(address: str, keys: dict[str, Any]) -> None:
    """At the door; it may hold a password, and is not shown."""
    with pytest.raises(ragcore.OptionsError, match="endpoint_url: is not http://") as caught:
        async with ragcore.completion(MODEL, **{**keys, "endpoint_url": address}):
            pass

    assert "canary" not in str(caught.value)


@pytest.mark.parametrize(
    "name", ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"]
)
@pytest.mark.parametrize("is_given", [True, False])
async def test_a_line_break_in_a_key_is_refused(
    name: str, is_given: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whether it is given or found, and urllib3 gets no header to quote."""
    found = {"AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b"} | {name: "canary\n"}
    given = {variable.lower().removeprefix("aws_"): key for variable, key in found.items()}
    for variable, key in found.items():
        monkeypatch.setenv(variable, key)
    service = Bedrock(Answer())
    with pytest.raises(ragcore.OptionsError, match="line break") as caught:
        async with (
            service.running(),
            asked(service, region="us-east-1", **(given if is_given else {})) as model,
        ):
            await model.complete("Who?")

    assert "canary" not in str(caught.value)
    assert service.requests == []


async def test_no_region() -> None:
    """Says where to set one."""
    async with Bedrock(Answer()).running() as service:
        with pytest.raises(ragcore.OptionsError, match="AWS_REGION"):
            async with asked(service, access_key_id="a", secret_access_key="b"):
                pass


async def test_an_impossible_region(keys: dict[str, Any]) -> None:
    """Is a matter of options."""
    with pytest.raises(ragcore.OptionsError, match="us east"):
        async with ragcore.completion(MODEL, **{**keys, "region": "us east"}):
            pass


async def test_no_credentials() -> None:
    """Says how to come by some."""
    async with (
        Bedrock(Answer()).running() as service,
        asked(service, region="us-east-1") as model,
    ):
        with pytest.raises(ragcore.AuthenticationError, match="AWS_PROFILE"):
            await model.complete("hi")

    assert service.requests == []


async def test_the_address_of_the_environment(
    keys: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Is botocore's own variable, for the service or for all."""
    async with Bedrock(Answer()).running() as service:
        for name in ("AWS_ENDPOINT_URL_BEDROCK_RUNTIME", "AWS_ENDPOINT_URL"):
            with monkeypatch.context() as environment:
                environment.setenv(name, service.url)
                async with ragcore.completion(MODEL, retry=ONCE, **keys) as model:
                    await model.complete("hi")

    assert len(service.requests) == 2


CANARIES = {
    "AWS_ACCESS_KEY_ID": "AKIDCANARY",
    "AWS_SECRET_ACCESS_KEY": "canary-aws-secret",
    "AWS_SESSION_TOKEN": "canary-aws-session",
    "OPENAI_API_KEY": "canary-openai",
    "AZURE_OPENAI_API_KEY": "canary-azure",
    "ANTHROPIC_API_KEY": "canary-anthropic",
    "HF_TOKEN": "canary-hf",
    "OLLAMA_API_KEY": "canary-ollama",
    "LLM_BINDING_API_KEY": "canary-binding",
    "EMBEDDING_BINDING_API_KEY": "canary-binding",
}


async def test_no_key_of_another_provider_is_sent(
    monkeypatch: pytest.MonkeyPatch, keys: dict[str, Any]
) -> None:
    """Nor one of the environment where others are given, nor the secret itself."""
    for name, value in CANARIES.items():
        monkeypatch.setenv(name, value)
    async with Bedrock(Answer()).running() as service:
        await authorization(service, **keys)

    assert "canary" not in str(service.requests).lower()


@pytest.mark.parametrize("by", ["options", "environment"])
async def test_no_key_shows(
    by: str,
    keys: dict[str, Any],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """In a log at DEBUG, an error, its cause, a repr or a pickle; wherever it came from."""
    for name, value in CANARIES.items():
        monkeypatch.setenv(name, value)
    given, token = {"region": "us-east-1"}, CANARIES["AWS_SESSION_TOKEN"]
    if by == "options":
        token = "canary-session-token"
        given = {**keys, "session_token": token}
    caplog.set_level(logging.DEBUG)
    message = (
        "The request signature we calculated does not match.\n\nThe Canonical String for this "
        f"request should have been\n'x-amz-security-token:{token}'"
    )
    failure = Failure(403, message, "InvalidSignatureException")
    async with Bedrock(failure).running() as service, asked(service, **given) as model:
        with pytest.raises(ragcore.AuthenticationError) as caught:
            await model.complete("hi")
        shown = [repr(model), repr(vars(model))]

    error: BaseException | None = caught.value
    shown += [str(error), repr(error), str(pickle.dumps(error)), caplog.text]
    while error is not None:
        shown += [repr(error), repr(vars(error))]
        assert error.__context__ is error.__cause__
        error = error.__cause__
    assert "canary" not in "".join(shown).lower()
    assert "botocore" in caplog.text


def test_options_keep_their_secrets(keys: dict[str, Any]) -> None:
    """In a repr, and from a pickle."""
    options = BedrockOptions(
        **keys, bearer_token=Secret("canary-bearer"), session_token=Secret("canary")
    )

    assert "canary" not in repr(options)
    assert copy.copy(options) == options
    with pytest.raises(TypeError, match="secret"):
        pickle.dumps(options)


async def test_one_client_for_all_models(keys: dict[str, Any]) -> None:
    """Of one account: its connections are shared."""
    async with (
        Bedrock(Answer()).running() as service,
        asked(service, **keys) as first,
        asked(service, **keys) as second,
    ):
        await first.complete("hi")
        await second.complete("hi")

    assert service.connections == 1


# --- which models there are -----------------------------------------------------------------


def summary(name: str, *, on_demand: bool = True) -> dict[str, Any]:
    return {
        "modelArn": f"arn:aws:bedrock:us-east-1::foundation-model/{name}",
        "modelId": name,
        "inferenceTypesSupported": ["ON_DEMAND"] if on_demand else ["INFERENCE_PROFILE"],
    }


def profile(name: str, model: str) -> dict[str, Any]:
    return {
        "inferenceProfileName": name,
        "inferenceProfileArn": f"arn:aws:bedrock:us-east-1:1:inference-profile/{name}",
        "inferenceProfileId": name,
        "status": "ACTIVE",
        "type": "SYSTEM_DEFINED",
        "models": [{"modelArn": f"arn:aws:bedrock:us-west-2::foundation-model/{model}"}],
    }


@pytest.mark.parametrize(
    ("task", "expected"),
    [("completion", ["a.one-v1:0", "us.a.two-v1:0"]), ("embedding", ["cohere.embed-english-v3"])],
)
async def test_lists_models(task: str, expected: list[str], keys: dict[str, Any]) -> None:
    """By the names that work: a model that is only reached through a profile is listed as that."""
    from lightrag_bedrock import _models
    from lightrag_bedrock._connect import connect

    service = Bedrock(Answer())
    service.models = (summary("a.one-v1:0"), summary("a.two-v1:0", on_demand=False))
    if task == "embedding":
        service.models = (summary("cohere.embed-english-v3"), summary("other.embed"))
    service.profiles = (profile("us.a.two-v1:0", "a.two-v1:0"), profile("us.b", "b"))
    async with (
        service.running(),
        connect(BedrockOptions(endpoint_url=service.url, **keys)) as client,
    ):
        listed = await getattr(_models, f"list_{task}_models")(client)

    assert list(listed) == expected
    assert ("EMBEDDING" in service.requests[0].path) == (task == "embedding")


async def test_a_list_that_is_forbidden(keys: dict[str, Any]) -> None:
    """Says so."""
    from lightrag_bedrock._connect import connect
    from lightrag_bedrock._models import list_completion_models

    async with (
        Bedrock(Failure(403)).running() as service,
        connect(BedrockOptions(endpoint_url=service.url, **keys)) as client,
    ):
        with pytest.raises(ragcore.PermissionDeniedError):
            await list_completion_models(client)
