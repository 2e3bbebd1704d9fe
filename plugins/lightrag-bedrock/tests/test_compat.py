"""LightRAG's functions for Amazon Bedrock, imported from here."""

from __future__ import annotations

import base64
import ssl
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.parse import unquote

import numpy as np
import pytest
import trustme
from bedrock_double import Bedrock

import lightrag_bedrock
from lightrag_bedrock import bedrock_complete, bedrock_complete_if_cache, bedrock_embed
from ragcore import PermissionDeniedError
from ragcore.testing.server import Answer, Failure, Vectors

MODEL = "amazon.nova-lite-v1:0"
COHERE = "cohere.embed-english-v3"
PNG = b"\x89PNG\r\n\x1a\n" + bytes(20)


def account(service: Bedrock, **more: Any) -> dict[str, Any]:
    return {
        "aws_access_key_id": "AKIDTEST",
        "aws_secret_access_key": "canary-secret-key",
        "aws_region": "us-west-2",
        "endpoint_url": service.url,
        **more,
    }


async def test_a_call_of_lightrags_is_a_request() -> None:
    """What its parameters say arrives: the account, the conversation, images, limits, options."""
    async with Bedrock(Answer("Goethe")).running() as service:
        answer = await bedrock_complete_if_cache(
            MODEL,
            "Who wrote Faust?",
            "Be brief.",
            [{"role": "user", "content": "Hello."}, {"role": "assistant", "content": "Yes?"}],
            image_inputs=[{"base64": base64.b64encode(PNG).decode(), "mime_type": "image/png"}],
            max_tokens=20,
            temperature=0.5,
            top_p=None,
            stop_sequences=["."],
            extra_fields={"reasoning_config": {"type": "enabled"}},
            hashing_kv=None,
            timeout=30,
            **account(service, aws_session_token="canary-token"),
        )

    [request] = service.requests
    asked = request.json
    assert answer == "Goethe"
    assert unquote(request.path) == f"/model/{MODEL}/converse"
    assert "Credential=AKIDTEST/" in request.headers["authorization"]
    assert "/us-west-2/bedrock/" in request.headers["authorization"]
    assert request.headers["x-amz-security-token"] == "canary-token"
    assert asked["system"] == [{"text": "Be brief."}]
    assert asked["inferenceConfig"] == {"maxTokens": 20, "temperature": 0.5, "stopSequences": ["."]}
    assert asked["additionalModelRequestFields"] == {"reasoning_config": {"type": "enabled"}}
    assert asked["messages"][0] == {"role": "user", "content": [{"text": "Hello."}]}
    assert base64.b64encode(PNG).decode() in str(asked["messages"][-1])


async def test_it_asks_lightrags_model_streams_and_counts() -> None:
    """With images, too, and with what the last event says of the cost."""
    counted: list[dict[str, int]] = []
    cache = SimpleNamespace(global_config={"llm_model_name": MODEL})
    async with Bedrock(Answer("Goethe", input_tokens=5, output_tokens=2)).running() as service:
        pieces = await bedrock_complete(
            "Who?",
            "Be brief.",
            [],
            False,
            False,
            hashing_kv=cache,
            stream=True,
            image_inputs=[base64.b64encode(PNG).decode()],
            token_tracker=SimpleNamespace(add_usage=counted.append),
            **account(service),
        )
        text = "".join([piece async for piece in pieces])

    assert text == "Goethe"
    assert unquote(service.requests[-1].path) == f"/model/{MODEL}/converse-stream"
    assert counted == [{"prompt_tokens": 5, "completion_tokens": 2, "total_tokens": 7}]


async def test_what_converse_has_not_is_left_out_and_said(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Once for each argument; OpenAI's word for a limit is understood."""
    async with Bedrock(*[Answer("Goethe")] * 2).running() as service:
        for _ in range(2):
            await bedrock_complete_if_cache(
                MODEL, "Who?", seed=7, max_completion_tokens=9, **account(service)
            )

    assert service.requests[-1].json["inferenceConfig"] == {"maxTokens": 9}
    assert [record.getMessage() for record in caplog.records] == [
        "bedrock: seed is left out: the provider has nothing like it"
    ]


@pytest.mark.parametrize("endpoint_url", [None, "", "DEFAULT_BEDROCK_ENDPOINT"])
async def test_the_regions_own_address_has_three_names(
    endpoint_url: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All of them leave the address to what the environment says, or else to the region."""
    async with Bedrock(Answer("Goethe"), Vectors([[0.5] * 1024])).running() as service:
        monkeypatch.setenv("AWS_ENDPOINT_URL_BEDROCK_RUNTIME", service.url)
        await bedrock_complete_if_cache(
            MODEL, "Who?", **account(service, endpoint_url=endpoint_url)
        )
        await bedrock_embed(["one"], **account(service, endpoint_url=endpoint_url))

    assert len(service.requests) == 2


async def test_an_api_key_is_a_bearer_token(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Which the original ignores; AWS keys go before it."""
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    monkeypatch.setenv("AWS_CA_BUNDLE", str(tmp_path / "ca.pem"))
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(tls)
    async with Bedrock(*[Answer("Goethe")] * 2).running(tls) as service:
        alone: dict[str, Any] = {"endpoint_url": service.url, "aws_region": "us-west-2"}
        await bedrock_complete_if_cache(MODEL, "Who?", api_key="canary-bearer", **alone)
        await bedrock_complete_if_cache(MODEL, "Who?", **account(service, api_key="canary-bearer"))

    by_key, by_account = (request.headers["authorization"] for request in service.requests)
    assert by_key == "Bearer canary-bearer"
    assert by_account.startswith("AWS4-HMAC-SHA256 Credential=AKIDTEST/")


async def test_texts_become_vectors() -> None:
    """Titan's of the length that is declared; Cohere is told queries from documents."""
    short = Vectors([[0.5, 1.5], [2.5, 3.5]])
    async with Bedrock(Vectors([[0.5] * 1024]), short, short).running() as service:
        titan = await bedrock_embed(["one"], **account(service))
        texts = ["one", "two"]
        plain = await bedrock_embed.func(texts, COHERE, **account(service))
        await bedrock_embed.func(texts, COHERE, context="query", **account(service))

    first, document, query = (request.json for request in service.requests)
    assert (titan.shape, titan.dtype) == ((1, 1024), np.float32)
    np.testing.assert_array_equal(plain, [[0.5, 1.5], [2.5, 3.5]])
    assert (first["inputText"], first["dimensions"]) == ("one", 1024)
    assert (document["texts"], document["input_type"]) == (texts, "search_document")
    assert query["input_type"] == "search_query"
    assert bedrock_embed.supports_asymmetric


async def test_errors_are_of_the_tree() -> None:
    """After one request where waiting does not help."""
    async with Bedrock(Failure(403, "no access")).running() as service:
        with pytest.raises(PermissionDeniedError, match="no access"):
            await bedrock_complete_if_cache(MODEL, "Who?", **account(service))

    assert len(service.requests) == 1


def test_an_unknown_name_is_none() -> None:
    """The module serves the names that it lists."""
    with pytest.raises(AttributeError, match="has no attribute 'bedrock_rerank'"):
        _ = lightrag_bedrock.bedrock_rerank
