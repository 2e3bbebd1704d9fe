"""Who asks whom: tokens, addresses, and where they must not go."""

import logging
import pickle
import threading
from pathlib import Path
from typing import Any

import pytest
from hf_inference_double import MODEL, TOKEN, HFInferenceService, completing, embedding
from huggingface_hub import constants
from huggingface_hub.utils import _detect_agent

import ragcore
from lightrag_hf_inference import HFInferenceEmbeddingOptions, HFInferenceOptions
from lightrag_hf_inference._connect import ROUTER, connect, list_models
from lightrag_hf_inference._embedding import HFInferenceEmbedding
from ragcore.testing.server import Answer, Failure, Vectors


@pytest.mark.parametrize("variable", ["HF_INFERENCE_TOKEN", "HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"])
async def test_variables_of_the_sdk(variable: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its own first, then Hugging Face's."""
    monkeypatch.setenv(variable, "hf_mine")
    async with (
        HFInferenceService(Answer()).running() as service,
        completing(service, token=None) as model,
    ):
        await model.complete("Who?")

    assert service.requests[0].headers["authorization"] == "Bearer hf_mine"


async def test_a_token_passed_beats_all_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    """And no other provider's key is in the request."""
    for name in ("HF_TOKEN", "HF_INFERENCE_TOKEN", "OPENAI_API_KEY", "ANTHROPIC_API_KEY"):
        monkeypatch.setenv(name, f"stray-{name}")
    async with HFInferenceService(Answer()).running() as service, completing(service) as model:
        await model.complete("Who?")

    assert service.requests[0].headers["authorization"] == f"Bearer {TOKEN}"
    assert "stray" not in str(service.requests[0].headers)


@pytest.fixture
def login() -> str:
    """Leave a token on this machine, as ``hf auth login`` does."""
    Path(constants.HF_TOKEN_PATH).write_text("hf_login")
    return "hf_login"


async def test_the_login_of_this_machine_goes_to_no_endpoint(login: str) -> None:
    """The SDK would send it, to any address, for completion and embedding."""
    async with HFInferenceService(Answer()).running() as service:
        async with completing(service, token=None) as model:
            await model.complete("Who?")
            async with model.stream("Who?") as chunks:
                await anext(chunks)
        service.replies = [Vectors([[1.0]])]
        async with embedding(service, token=None) as embedder:
            await embedder.embed(["Faust"])
        async with connect(HFInferenceOptions(base_url=service.url)) as account:
            await list_models(account)

    assert len(service.requests) == 4
    assert login not in str(service.requests)


async def test_the_login_of_this_machine_is_for_the_router(login: str) -> None:
    """Where nothing else is said."""
    async with connect(HFInferenceOptions()) as account:
        token = account.token_for(None)

    assert token == ragcore.Secret(login)


async def test_the_router_needs_a_token() -> None:
    """Before any request."""
    with pytest.raises(ragcore.OptionsError, match="HF_INFERENCE_TOKEN"):
        async with ragcore.completion(f"hf-inference:{MODEL}") as model:
            await model.complete("Who?")


async def test_another_providers_key_is_not_sent_to_the_router() -> None:
    """Nor to that provider: its own plugin does that."""
    with pytest.raises(ragcore.OptionsError, match="hf_") as caught:
        async with ragcore.completion(f"hf-inference:{MODEL}", token="sk-together") as model:
            await model.complete("Who?")

    assert "sk-together" not in str(caught.value)


async def test_embeddings_come_from_hugging_faces_own_servers() -> None:
    """Behind the router, under the model's name and task."""
    async with connect(HFInferenceOptions(token=ragcore.Secret(TOKEN))) as account:
        backend = HFInferenceEmbedding(account, "BAAI/bge-m3", HFInferenceEmbeddingOptions())

    path = "hf-inference/models/BAAI/bge-m3/pipeline/feature-extraction"
    assert backend._url == f"{ROUTER}/{path}"


@pytest.mark.parametrize(
    ("options", "name"),
    [
        ({"base_url": f"me:{TOKEN}@localhost:1"}, "base_url"),
        ({"base_url": f"http://me:{TOKEN}"}, "base_url"),
        ({"base_url": f"http://me:{TOKEN}@localhost"}, "base_url"),
        ({"token": f"{TOKEN}\n"}, "token"),
    ],
)
async def test_a_bad_option_is_named_and_not_shown(options: dict[str, Any], name: str) -> None:
    """What is no address, or has a password; a line break that came with a token."""
    with pytest.raises(ragcore.OptionsError, match=name) as caught:
        async with ragcore.completion(f"hf-inference:{MODEL}", **options):
            pass

    assert TOKEN not in str(caught.value)


async def test_who_pays_is_said() -> None:
    """To the router it is an organisation's name."""
    async with (
        HFInferenceService(Answer()).running() as service,
        completing(service, bill_to="my-org") as model,
    ):
        await model.complete("Who?")

    assert service.requests[0].headers["x-hf-bill-to"] == "my-org"


async def test_a_redirect_is_not_followed() -> None:
    """It could carry the token to another host."""
    async with HFInferenceService(Answer()).running() as other:
        moved = Failure(307, headers={"Location": f"{other.url}/v1/chat/completions"})
        async with HFInferenceService(moved).running() as service, completing(service) as model:
            with pytest.raises(ragcore.InvalidRequestError, match="moved"):
                await model.complete("Who?")

    assert not other.requests


async def test_no_token_in_log_repr_error_or_pickle(caplog: pytest.LogCaptureFixture) -> None:
    """Of a call that goes well, and of one that does not."""
    caplog.set_level(logging.DEBUG)
    async with (
        HFInferenceService(Answer(), Failure(401)).running() as service,
        completing(service) as model,
        connect(HFInferenceOptions(token=ragcore.Secret(TOKEN))) as account,
    ):
        await model.complete("Who?")
        with pytest.raises(ragcore.AuthenticationError) as caught:
            await model.complete("Who?")
        logging.getLogger("httpcore2").debug("authorization: Bearer %s", TOKEN)
        shown = repr(model) + repr(account)

    assert caplog.records
    assert TOKEN not in caplog.text + shown + repr(caught.value) + str(caught.value)
    assert TOKEN.encode() not in pickle.dumps(caught.value)


async def test_the_login_of_this_machine_is_in_no_log(
    login: str, caplog: pytest.LogCaptureFixture
) -> None:
    """The host, which knows no login, can't keep it out."""
    async with connect(HFInferenceOptions()):
        logging.getLogger("httpx2").error("Bearer %s", login)

    assert caplog.messages == ["Bearer …"]


async def test_models_of_an_endpoint() -> None:
    """By name, as a reference takes them."""
    async with HFInferenceService(Answer(), Failure(401)).running() as service:
        options = HFInferenceOptions(token=ragcore.Secret(TOKEN), base_url=f"{service.url}/v1")
        async with connect(options) as account:
            names = list(await list_models(account))
            with pytest.raises(ragcore.AuthenticationError):
                await list_models(account)

    assert names == [MODEL]


async def test_no_call_blocks_the_event_loop_for_the_sdks_own_lookups(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What it fetches for its user agent, it fetches before, and in a thread."""
    threads: list[threading.Thread] = []

    def load() -> dict[str, Any]:
        threads.append(threading.current_thread())
        return {"harnesses": {}}

    monkeypatch.setattr(_detect_agent, "_registry", None)
    monkeypatch.setattr(_detect_agent, "_load_registry", load)
    async with HFInferenceService(Answer()).running() as service, completing(service) as model:
        await model.complete("Who?")

    assert len(threads) == 1
    assert threads[0] is not threading.main_thread()


async def test_no_limit_of_time_is_set_but_to_connect() -> None:
    """The others are the host's."""
    async with connect(HFInferenceOptions(token=ragcore.Secret(TOKEN))) as account:
        limits = account.http.timeout

    assert (limits.connect, limits.read, limits.write, limits.pool) == (10, None, None, None)
