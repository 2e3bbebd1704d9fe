"""Where requests go, and what they carry to whom."""

from __future__ import annotations

import logging
from typing import Any

import attrs
import httpx2
import pytest
from openai_double import AzureOpenAI, OpenAI

import ragcore
from lightrag_openai import AzureOpenAIOptions, OpenAIOptions
from lightrag_openai._connect import list_models
from lightrag_openai._rows import ROWS
from ragcore import CompletionModel, OptionsError, Retry, Secret
from ragcore._calls.opening import resolve_completion
from ragcore.testing.server import Answer, Failure, Request, Vectors

ONCE = Retry(attempts=1)

# What the SDK, or another provider's plugin, reads.
CANARIES = {
    name: f"canary-{name}"
    for name in (
        "OPENAI_API_KEY",
        "OPENAI_ADMIN_KEY",
        "OPENAI_ORG_ID",
        "OPENAI_PROJECT_ID",
        "OPENAI_WEBHOOK_SECRET",
        "AZURE_OPENAI_API_KEY",
        "AZURE_OPENAI_AD_TOKEN",
        "AZURE_EMBEDDING_API_KEY",
        "ANTHROPIC_API_KEY",
        "LLM_BINDING_API_KEY",
        "EMBEDDING_BINDING_API_KEY",
        *(str(row.api_key_env) for row in ROWS),
    )
} | {"OPENAI_CUSTOM_HEADERS": "X-Canary: canary-header\nAuthorization: Bearer canary-ambient"}


@pytest.fixture
def canaries(monkeypatch: pytest.MonkeyPatch) -> None:
    """Set every variable that holds something secret."""
    for name, value in CANARIES.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("OPENAI_BASE_URL", "http://localhost:9/nobody")


async def request_of(service: OpenAI, reference: str, **options: Any) -> Request:
    """Return what one completion sends."""
    async with (
        service.running(),
        ragcore.completion(reference, **options, **where(service, reference)) as model,
    ):
        await model.complete("Who?")
    return service.requests[0]


def where(service: OpenAI, reference: str) -> dict[str, Any]:
    is_azure = reference.startswith("azure")
    return {"endpoint": service.url} if is_azure else {"base_url": service.base_url}


@pytest.mark.usefixtures("canaries")
@pytest.mark.parametrize("row", [row for row in ROWS if row.completes], ids=lambda row: row.name)
async def test_an_endpoint_gets_its_own_key_and_no_others(row: Any) -> None:
    """Nothing of OpenAI's goes to it, from whatever variable."""
    request = await request_of(OpenAI(Answer()), f"{row.name}:a")
    carried = f"{request.headers} {request.body!r}"

    assert request.headers["authorization"] == f"Bearer canary-{row.api_key_env}"
    assert carried.count("canary") == 1


@pytest.mark.usefixtures("canaries")
@pytest.mark.parametrize("name", ["llamacpp", "vllm", "lmstudio"])
async def test_a_local_server_needs_no_key(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """And then gets none, not even OpenAI's."""
    monkeypatch.delenv(f"{name.upper()}_API_KEY")
    request = await request_of(OpenAI(Answer()), f"{name}:a")

    assert "authorization" not in request.headers
    assert "canary" not in f"{request.headers}"


@pytest.mark.usefixtures("canaries")
async def test_azure_gets_its_own_key_and_no_others() -> None:
    """Entra's token comes before the key, as in the SDK; what the caller names, before both."""
    by_environment = await request_of(AzureOpenAI(Answer()), "azure:dep")
    by_key = await request_of(AzureOpenAI(Answer()), "azure:dep", api_key="mine")
    by_token = await request_of(AzureOpenAI(Answer()), "azure:dep", ad_token="mine")

    assert by_environment.headers["authorization"] == "Bearer canary-AZURE_OPENAI_AD_TOKEN"
    assert by_key.headers["api-key"] == "mine"
    assert by_token.headers["authorization"] == "Bearer mine"
    assert "canary" not in f"{by_key.headers} {by_token.headers}"
    assert f"{by_environment.headers}".count("canary") == 1


@pytest.mark.usefixtures("canaries")
async def test_openai_gets_its_own_variables_and_no_others() -> None:
    """Key, organization, project and headers."""
    request = await request_of(OpenAI(Answer()), "openai:a")

    assert request.headers["authorization"] == "Bearer canary-OPENAI_API_KEY"
    assert request.headers["openai-organization"] == "canary-OPENAI_ORG_ID"
    assert request.headers["openai-project"] == "canary-OPENAI_PROJECT_ID"
    assert request.headers["x-canary"] == "canary-header"
    assert "canary-ambient" not in f"{request.headers}"
    assert f"{request.headers} {request.body!r}".count("canary-") == 4


async def test_a_server_in_place_of_openai_needs_no_key() -> None:
    """OpenAI itself does."""
    request = await request_of(OpenAI(Answer()), "openai:a")

    assert "authorization" not in request.headers
    with pytest.raises(OptionsError, match="OPENAI_API_KEY"):
        OpenAIOptions()


@pytest.mark.parametrize("is_async", [False, True])
async def test_a_token_provider_is_asked_for_each_request(is_async: bool) -> None:
    """It may return a token or an awaitable of one."""
    tokens = iter(["first", "second"])

    async def later() -> str:
        return next(tokens)

    provider: Any = later if is_async else lambda: next(tokens)
    async with (
        AzureOpenAI(Answer()).running() as service,
        ragcore.completion(
            "azure_openai:dep", endpoint=service.url, ad_token_provider=provider
        ) as model,
    ):
        await model.complete("Who?")
        await model.complete("Who?")
    sent = [request.headers["authorization"] for request in service.requests]

    assert sent == ["Bearer first", "Bearer second"]


async def test_azure_is_asked_at_its_own_paths(monkeypatch: pytest.MonkeyPatch) -> None:
    """With deployment and version in the address, from the variables of each task."""
    service = AzureOpenAI(Answer(), Vectors([[1.0]]))
    async with service.running():
        for prefix in ("AZURE_OPENAI", "AZURE_EMBEDDING"):
            monkeypatch.setenv(f"{prefix}_ENDPOINT", service.url)
            monkeypatch.setenv(f"{prefix}_API_KEY", f"key-of-{prefix}")
            monkeypatch.setenv(f"{prefix}_API_VERSION", f"version-of-{prefix}")
        async with ragcore.completion("azure:chat") as model:
            await model.complete("Who?")
        async with ragcore.embedding("azure:emb") as embedding:
            await embedding.embed(["a"])
    chat, emb = service.requests

    assert chat.path == (
        "/openai/deployments/chat/chat/completions?api-version=version-of-AZURE_OPENAI"
    )
    assert emb.path == "/openai/deployments/emb/embeddings?api-version=version-of-AZURE_EMBEDDING"
    assert chat.headers["api-key"] == "key-of-AZURE_OPENAI"
    assert emb.headers["api-key"] == "key-of-AZURE_EMBEDDING"


@pytest.mark.parametrize(
    ("reference", "options", "deployment"),
    [
        ("azure:mine", {}, "mine"),
        ("azure:default", {}, "of-the-environment"),
        ("azure:gpt-4o", {"deployment": "named"}, "named"),
        ("azure:gpt-4o", {"deployment": "of-the-environment"}, "of-the-environment"),
    ],
)
async def test_the_deployment_that_the_caller_names_is_asked(
    reference: str, options: dict[str, Any], deployment: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It beats that of the environment."""
    monkeypatch.setenv("AZURE_OPENAI_DEPLOYMENT", "of-the-environment")
    request = await request_of(AzureOpenAI(Answer()), reference, api_key="k", **options)

    assert request.path.startswith(f"/openai/deployments/{deployment}/chat")


def test_azure_needs_some_credential() -> None:
    """Which is said, with the variable."""
    with pytest.raises(OptionsError, match="AZURE_OPENAI_API_KEY"):
        AzureOpenAIOptions(endpoint="https://a")


async def test_headers_of_the_user_are_sent() -> None:
    """Beside the SDK's own, and in their place."""
    headers = {"X-Mine": "yes", "User-Agent": "mine/1"}
    for reference in ("openai:a", "azure:a", "vllm:a"):
        service = AzureOpenAI(Answer()) if "azure" in reference else OpenAI(Answer())
        request = await request_of(service, reference, api_key="k", default_headers=headers)

        assert request.headers["x-mine"] == "yes"
        assert request.headers["user-agent"] == "mine/1"


@pytest.mark.parametrize("reference", ["openai:a", "azure:a", "vllm:a"])
async def test_headers_of_the_user_are_shown_nowhere(
    reference: str, caplog: pytest.LogCaptureFixture
) -> None:
    """They may hold a key: not in a repr, an error that quotes it, or a log at DEBUG."""
    headers = {"Authorization": "Bearer canary-0123456789", "X-Gateway-Key": "canary-gateway"}
    failure = Failure(401, "no such key: canary-0123456789, canary-gateway")
    service = AzureOpenAI(failure) if "azure" in reference else OpenAI(failure)
    caplog.set_level(logging.DEBUG)
    options = {"api_key": "k-0123456789", "default_headers": headers, "retry": ONCE}
    async with service.running():
        opening = resolve_completion(reference, options | where(service, reference))
        async with CompletionModel.opened(opening) as model:
            with pytest.raises(ragcore.AuthenticationError) as caught:
                await model.complete("Who?")

    assert service.requests[0].headers["x-gateway-key"] == "canary-gateway"
    shown = [str(caught.value), repr(caught.value.__cause__), caplog.text, repr(opening)]
    assert not [text for text in shown if "canary" in text]


@pytest.mark.parametrize("reference", ["openai:a", "azure:a", "vllm:a"])
async def test_an_http_client_of_the_user_is_used_and_stays_open(reference: str) -> None:
    """It is theirs to close."""
    service = AzureOpenAI(Answer()) if "azure" in reference else OpenAI(Answer())
    async with httpx2.AsyncClient(headers={"X-Mine": "yes"}) as http_client:
        request = await request_of(service, reference, api_key="k", http_client=http_client)

        assert request.headers["x-mine"] == "yes"
        assert not http_client.is_closed


async def test_a_proxy_of_the_environment_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    """As by any other program."""
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    async with OpenAI(Answer()).running() as proxy:
        monkeypatch.setenv("HTTP_PROXY", proxy.url)
        options: dict[str, Any] = {"api_key": "k", "base_url": "http://nowhere.invalid/v1"}
        async with ragcore.completion("openai:a", **options) as model:
            await model.complete("Who?")

    assert proxy.requests[0].path == "http://nowhere.invalid/v1/chat/completions"


async def test_connections_are_limited() -> None:
    """To as many as were said."""
    import asyncio

    async with (
        OpenAI(Answer()).running() as service,
        ragcore.completion("vllm:a", base_url=service.base_url, max_connections=2) as model,
    ):
        await asyncio.gather(*(model.complete("Who?") for _ in range(8)))

    assert (len(service.requests), service.connections) == (8, 2)


async def test_models_are_listed() -> None:
    """Those of the account."""
    from lightrag_openai._connect import connect

    async with (
        OpenAI(Answer()).running() as service,
        connect(OpenAIOptions(api_key=Secret("k"), base_url=service.base_url)) as client,
    ):
        assert list(await list_models(client)) == ["the-model", "another"]


def test_options_show_no_key() -> None:
    """Nor does what is made of them."""
    shown = repr(OpenAIOptions(api_key=Secret("sk-canary"))) + repr(Secret("sk-canary"))

    assert "sk-canary" not in shown
    assert attrs.fields(OpenAIOptions)


BAD_KEY = "api_key: is empty, or has characters that no HTTP header can carry"
BAD_HEADER = "default_headers: has names or values that no HTTP header can carry"
REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "a line break in the key": ({"api_key": "sk-canary\n"}, BAD_KEY),
    "an accent in the key": ({"api_key": "sk-canary\xe9"}, BAD_KEY),
    "an empty key": ({"api_key": ""}, "api_key: is empty"),
    "a line break in a header": ({"default_headers": {"X-A": "canary\n"}}, BAD_HEADER),
    "an accent in a header": ({"default_headers": {"X-A": "canary\xe9"}}, BAD_HEADER),
    "no name of a header": ({"default_headers": {"X A": "canary"}}, BAD_HEADER),
}
NO_ADDRESSES = (
    "http://me:canary@localhost:9",
    "http://me:canary",
    "me:canary@localhost",
    "ftp://me:canary@localhost",
    "https://",
    " http://localhost ",
    "http://localhost/v1?api-version=canary",
)


@pytest.mark.parametrize("reference", ["openai:a", "vllm:a", "azure:a"])
@pytest.mark.parametrize("what", REFUSED)
async def test_what_no_header_carries_is_refused(reference: str, what: str) -> None:
    """Before anything is sent, by the option's name, and its value is not shown."""
    options, problem = REFUSED[what]
    service = OpenAI(Answer())
    async with service.running():
        connection = {"api_key": "k"} | where(service, reference) | options
        with pytest.raises(OptionsError, match=problem) as caught:
            await complete(reference, connection)

    assert "canary" not in str(caught.value)
    assert service.requests == []


@pytest.mark.parametrize("reference", ["openai:a", "vllm:a", "azure:a"])
@pytest.mark.parametrize("address", NO_ADDRESSES)
async def test_what_is_no_address_is_refused(reference: str, address: str) -> None:
    """At once, without trying again; it may hold a password, and is not shown."""
    name = "endpoint" if reference.startswith("azure") else "base_url"
    with pytest.raises(OptionsError, match=f"{name}: is not http://") as caught:
        await complete(reference, {"api_key": "k", name: address})

    assert "canary" not in str(caught.value)


async def complete(reference: str, connection: dict[str, Any]) -> None:
    async with ragcore.completion(reference, **connection) as model:
        await model.complete("Who?")


@pytest.mark.parametrize("name", ["organization", "project"])
@pytest.mark.parametrize("value", ["a\nb", "a\r\nX-Evil: 1", "a\x00", "жу", "a\ud800"])
async def test_what_no_header_can_carry_is_refused(name: str, value: str) -> None:
    """When options are read, before anything is sent."""
    with pytest.raises(OptionsError, match=name):
        resolve_completion("openai:m", {"api_key": "k", name: value})


@pytest.mark.parametrize("version", ["", "a b", "2024\r\n", "../x", "x&y=1", "x#"])
async def test_a_version_that_is_none_is_refused(version: str) -> None:
    """It stands in the address."""
    with pytest.raises(OptionsError, match="api_version"):
        async with ragcore.completion(
            "azure:m", endpoint="http://localhost:9", api_key="k", api_version=version
        ):
            pass


@pytest.mark.parametrize("name", ["..", ".", "../../admin", "a/b", "a?b", "a#b", "%2e%2e", "a\\b"])
async def test_a_deployment_keeps_its_place_in_the_address(name: str) -> None:
    """By whatever option it is named, and whatever is asked."""
    async with AzureOpenAI(Answer()).running() as service:
        where: dict[str, Any] = {"endpoint": service.url, "api_key": "k"}
        with pytest.raises(OptionsError, match="name of a deployment"):
            async with ragcore.completion(f"azure:{name}", **where) as model:
                await model.complete("Who?")
        with pytest.raises(OptionsError, match="name of a deployment"):
            async with ragcore.completion("azure:m", deployment=name, **where) as model:
                await model.complete("Who?")
        with pytest.raises(OptionsError, match="name of a deployment"):
            async with ragcore.embedding(
                "azure:default", default_deployment=name, **where
            ) as texts:
                await texts.embed(["a"])

    assert service.requests == []


@pytest.mark.parametrize("name", ["a/b", "meta/llama-3.1:free", "a#b?"])
async def test_a_model_may_have_any_name_elsewhere(name: str) -> None:
    """It stands in the body."""
    request = await request_of(OpenAI(Answer()), f"openrouter:{name}", api_key="k")

    assert request.json["model"] == name
    assert request.path == "/v1/chat/completions"


@pytest.mark.parametrize("bad", [float("nan"), object(), {1, 2}, "a\ud800", b"a"])
async def test_extra_fields_are_json(bad: Any) -> None:
    """Of a model and of a call."""
    with pytest.raises(OptionsError, match="extra_body"):
        async with ragcore.completion("openai:m", api_key="k", extra_body={"x": bad}):
            pass
    async with ragcore.completion("openai:m", api_key="k") as model:
        with pytest.raises(OptionsError, match="extra_body"):
            await model.complete("Who?", extra_body={"x": [bad]})


@pytest.mark.parametrize("reference", ["openai:m", "azure:m", "vllm:m"])
async def test_the_limits_of_time_are_the_hosts(reference: str) -> None:
    """The SDK's ten minutes would cut an attempt that is allowed twenty."""
    option = "endpoint" if reference == "azure:m" else "base_url"
    opening = resolve_completion(reference, {option: "http://localhost:9", "api_key": "k"})
    async with opening.client() as client:
        timeout = client.sdk.timeout

    assert (timeout.read, timeout.write, timeout.pool) == (None, None, None)


async def test_the_limits_of_a_client_of_ones_own_stay() -> None:
    """Whoever has set them wants them."""
    async with httpx2.AsyncClient(timeout=7) as mine:
        opening = resolve_completion("openai:m", {"api_key": "k", "http_client": mine})
        async with opening.client() as client:
            assert client.sdk.timeout == httpx2.Timeout(7)
