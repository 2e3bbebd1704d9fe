"""A key goes to the host of its own provider only, whatever other keys are there."""

from __future__ import annotations

import pytest

import ragcore
from contract.cases import CASES, cases
from ragcore.testing.contracts import Case
from ragcore.testing.server import Answer, Request

# Every variable that some provider's SDK, plugin or LightRAG reads a secret from.
SECRETS = (
    "ANTHROPIC_API_KEY",
    "ANTHROPIC_AUTH_TOKEN",
    "AWS_ACCESS_KEY_ID",
    "AWS_BEARER_TOKEN_BEDROCK",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "AZURE_EMBEDDING_API_KEY",
    "AZURE_OPENAI_AD_TOKEN",
    "AZURE_OPENAI_API_KEY",
    "DEEPSEEK_API_KEY",
    "EMBEDDING_BINDING_API_KEY",
    "GROQ_API_KEY",
    "HF_INFERENCE_TOKEN",
    "HF_TOKEN",
    "HUGGING_FACE_HUB_TOKEN",
    "LLAMACPP_API_KEY",
    "LLM_BINDING_API_KEY",
    "OLLAMA_API_KEY",
    "OPENAI_ADMIN_KEY",
    "OPENAI_API_KEY",
    "OPENAI_ORG_ID",
    "OPENAI_PROJECT_ID",
    "OPENROUTER_API_KEY",
)
# What belongs to whom, by how the variable begins.
OWN = {
    "openai": ("OPENAI_",),
    "azure": ("AZURE_OPENAI_",),
    "llamacpp": ("LLAMACPP_",),
    "deepseek": ("DEEPSEEK_",),
    "anthropic": ("ANTHROPIC_",),
    "ollama": ("OLLAMA_",),
    "bedrock": ("AWS_",),
    "hf-inference": ("HF_", "HUGGING_FACE_"),
}


@pytest.fixture(autouse=True)
def _canaries(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in SECRETS:
        monkeypatch.setenv(name, f"canary-{name}-0123456789")


def foreign(case: Case, requests: list[Request]) -> list[str]:
    carried = " ".join(f"{r.path} {r.headers} {r.body!r}" for r in requests)
    others = [name for name in SECRETS if not name.startswith(OWN[case.provider])]
    return [name for name in others if f"canary-{name}-0" in carried]


@cases()
async def test_no_key_of_another_provider_is_sent(case: Case) -> None:
    """With every variable set, and the caller's own key named."""
    async with (
        case.serving(Answer()) as service,
        ragcore.completion(case.reference, **case.to(service)) as model,
    ):
        await model.complete("Who?")

    assert foreign(case, service.requests) == []


@cases()
async def test_the_variables_of_the_service_lead_to_it(
    case: Case, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Address and key; nothing else is needed, and no one else's key goes along."""
    async with case.serving(Answer()) as service:
        for name in SECRETS:
            if name.startswith(OWN[case.provider]):
                monkeypatch.delenv(name)
        for name, value in case.environment(service).items():
            monkeypatch.setenv(name, value)
        async with ragcore.completion(case.reference) as model:
            answer = await model.complete("Who?")

    assert answer.text == "Goethe"
    assert foreign(case, service.requests) == []


def test_every_case_is_known_here() -> None:
    """A provider that is added says which variables are its own."""
    assert set(OWN) == {case.provider for case in CASES}
