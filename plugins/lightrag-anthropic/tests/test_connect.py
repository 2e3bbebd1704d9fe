"""Who asks whom: credentials, addresses, and where they must not go."""

import logging
import pickle
from typing import Any

import httpx2
import pytest
from anthropic_double import KEY, MODEL, AnthropicService, asked

import ragcore
from lightrag_anthropic import AnthropicOptions
from lightrag_anthropic._connect import connect, list_models
from ragcore.testing.server import Answer, Failure

CANARY = "sk-ant-canary-"


async def authorization(
    service: AnthropicService, monkeypatch: pytest.MonkeyPatch, **options: Any
) -> str:
    """Return what is sent as proof of who asks."""
    monkeypatch.setenv("ANTHROPIC_BASE_URL", service.url)
    async with ragcore.completion(f"anthropic:{MODEL}", **options) as model:
        await model.complete("Who?")
    return service.requests[-1].headers["authorization"]


async def test_variables_of_the_sdk(monkeypatch: pytest.MonkeyPatch) -> None:
    """Key, token and address; of key and token the key, as the SDK has it."""
    async with AnthropicService(Answer()).running() as service:
        monkeypatch.setenv("ANTHROPIC_AUTH_TOKEN", "the-token")
        token = await authorization(service, monkeypatch)
        monkeypatch.setenv("ANTHROPIC_API_KEY", "the-key")
        key = await authorization(service, monkeypatch)

    assert token == "Bearer the-token"
    assert key == "Bearer the-key"


async def test_the_hosts_limits_are_the_only_ones() -> None:
    """The SDK's would end a call after ten minutes, whatever the user has set."""
    async with connect(AnthropicOptions(api_key=ragcore.Secret("k"))) as client:
        limits = client.timeout

    assert isinstance(limits, httpx2.Timeout)
    assert (limits.read, limits.write, limits.pool) == (None, None, None)


async def test_what_is_passed_beats_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    """A token passed is not set aside for a key that lies about."""
    monkeypatch.setenv("ANTHROPIC_API_KEY", "stray-key")
    monkeypatch.setenv("ANTHROPIC_AUTH_TOKEN", "stray-token")
    async with AnthropicService(Answer()).running() as service:
        token = await authorization(service, monkeypatch, auth_token="mine")
        key = await authorization(service, monkeypatch, api_key="mine-too")

    assert token == "Bearer mine"
    assert key == "Bearer mine-too"


async def test_the_sdk_reads_no_variable_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither headers nor keys but those of the options, in any request."""
    for name in (
        "ANTHROPIC_AUTH_TOKEN",
        "ANTHROPIC_IDENTITY_TOKEN",
        "ANTHROPIC_WEBHOOK_SIGNING_KEY",
        "OPENAI_API_KEY",
        "AWS_BEARER_TOKEN_BEDROCK",
        "HF_TOKEN",
    ):
        monkeypatch.setenv(name, f"canary-{name}")
    monkeypatch.setenv("ANTHROPIC_CUSTOM_HEADERS", "Authorization: canary\nX-Stray: canary")
    async with AnthropicService(Answer()).running() as service, asked(service) as model:
        await model.complete("Who?")

    assert "canary-" not in str(service.requests[0].headers).replace(KEY, "")
    assert "x-stray" not in service.requests[0].headers
    assert service.requests[0].headers["authorization"] == f"Bearer {KEY}"


async def test_headers_of_the_options_are_sent() -> None:
    """Such as those that switch on what is in beta."""
    async with (
        AnthropicService(Answer()).running() as service,
        asked(service, default_headers={"anthropic-beta": "novelty-2026"}) as model,
    ):
        await model.complete("Who?")

    assert service.requests[0].headers["anthropic-beta"] == "novelty-2026"


async def test_without_credentials_both_ways_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is found on the machine goes to no address but Anthropic's."""
    monkeypatch.setenv("ANTHROPIC_IDENTITY_TOKEN", "canary")
    monkeypatch.setenv("ANTHROPIC_FEDERATION_RULE_ID", "rule")
    monkeypatch.setenv("ANTHROPIC_ORGANIZATION_ID", "org")
    async with AnthropicService(Answer()).running() as service:
        with pytest.raises(ragcore.OptionsError, match=r"ANTHROPIC_API_KEY.*ANTHROPIC_AUTH_TOKEN"):
            async with ragcore.completion(f"anthropic:{MODEL}", base_url=service.url) as model:
                await model.complete("Who?")

    assert not service.requests


async def test_without_anything_the_key_is_missed() -> None:
    """Before any request."""
    with pytest.raises(ragcore.OptionsError, match="ANTHROPIC_API_KEY"):
        async with ragcore.completion(f"anthropic:{MODEL}") as model:
            await model.complete("Who?")


async def test_an_identity_of_the_machine_is_used_for_anthropic(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As the SDK finds it, where neither key, token nor address is set."""
    monkeypatch.setenv("ANTHROPIC_IDENTITY_TOKEN", "canary")
    monkeypatch.setenv("ANTHROPIC_FEDERATION_RULE_ID", "rule")
    monkeypatch.setenv("ANTHROPIC_ORGANIZATION_ID", "org")
    async with connect(AnthropicOptions()) as client:
        has_credentials = client.credentials is not None
        address = str(client.base_url)

    assert has_credentials
    assert address.startswith("https://api.anthropic.com")


@pytest.mark.parametrize(
    "address",
    ["me:canary@localhost:1", "http://me:canary", "http://me:canary@localhost", "http://"],
)
async def test_what_is_no_address_is_refused(address: str) -> None:
    """By the name of its option; it may hold a password, and is not shown."""
    with pytest.raises(ragcore.OptionsError, match="base_url") as caught:
        async with ragcore.completion(f"anthropic:{MODEL}", api_key=KEY, base_url=address) as model:
            await model.complete("Who?")

    assert "canary" not in str(caught.value)


@pytest.mark.parametrize("name", ["api_key", "auth_token"])
async def test_an_empty_key_is_refused(name: str) -> None:
    """HTTP could not carry it."""
    options: dict[str, Any] = {name: ""}
    with pytest.raises(ragcore.OptionsError, match=f"{name}: is empty"):
        async with ragcore.completion(f"anthropic:{MODEL}", **options) as model:
            await model.complete("Who?")


async def test_a_key_with_a_line_break_is_refused_and_not_shown() -> None:
    """The HTTP library would quote it."""
    with pytest.raises(ragcore.OptionsError, match="api_key") as caught:
        async with ragcore.completion(f"anthropic:{MODEL}", api_key=f"{KEY}\n") as model:
            await model.complete("Who?")

    assert KEY not in str(caught.value)


async def test_all_problems_of_an_account_come_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Key, address and headers are checked when options are read, each by its variable's name."""
    monkeypatch.setenv("ANTHROPIC_API_KEY", f"{KEY}\u00e9")
    monkeypatch.setenv("ANTHROPIC_BASE_URL", "localhost:1")
    monkeypatch.setenv("ANTHROPIC_DEFAULT_HEADERS", f'{{"X-Gateway-Key": "{CANARY}\\n"}}')
    with pytest.raises(ragcore.OptionsError) as caught:
        async with ragcore.completion(f"anthropic:{MODEL}"):
            pass

    assert [problem.partition(":")[0] for problem in caught.value.problems] == [
        "ANTHROPIC_API_KEY",
        "ANTHROPIC_BASE_URL",
        "ANTHROPIC_DEFAULT_HEADERS",
    ]
    assert CANARY not in str(caught.value)


async def test_no_key_in_log_repr_error_or_pickle(caplog: pytest.LogCaptureFixture) -> None:
    """Of a call that goes well, and of one that does not."""
    caplog.set_level(logging.DEBUG)
    async with AnthropicService(Answer(), Failure(401, f"bad key {KEY[:4]}")).running() as service:
        headers = {"X-Gateway-Key": f"{CANARY}gateway"}
        async with asked(service, default_headers=headers) as model:
            await model.complete("Who?")
            with pytest.raises(ragcore.AuthenticationError) as caught:
                await model.complete("Who?")
            shown = repr(model) + repr(AnthropicOptions(api_key=ragcore.Secret(KEY)))

    dumped = pickle.dumps(caught.value)
    assert caplog.records
    assert CANARY not in caplog.text
    assert CANARY not in shown + repr(caught.value) + str(caught.value)
    assert CANARY.encode() not in dumped


async def test_models_of_the_account() -> None:
    """By name, as a reference takes them."""
    async with AnthropicService(Answer()).running() as service:
        connection = AnthropicOptions(api_key=ragcore.Secret(KEY), base_url=service.url)
        async with connect(connection) as client:
            names = list(await list_models(client))

    assert names == ["claude-opus-5-5", "claude-haiku-5-5"]


async def test_listing_models_fails_by_name() -> None:
    """As a call does."""
    async with AnthropicService(Failure(401)).running() as service:
        connection = AnthropicOptions(api_key=ragcore.Secret(KEY), base_url=service.url)
        async with connect(connection) as client:
            with pytest.raises(ragcore.AuthenticationError):
                await list_models(client)


async def test_one_client_serves_all_models_of_an_account() -> None:
    """Over as many connections as are needed, closed at the end."""
    async with (
        AnthropicService(Answer()).running() as service,
        asked(service) as one,
        asked(service, "claude-opus-5-5") as other,
    ):
        await one.complete("Who?")
        await other.complete("Who?")

    assert service.connections == 1
