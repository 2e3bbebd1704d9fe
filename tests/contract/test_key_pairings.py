"""
LightRAG's variables with two providers at once, every pairing: a key goes to its own one's host.

One provider is the base binding, the other a role's and, if it embeds, the embedding's. Every
variable that holds some provider's key has a canary in it, and each double is asked what it saw.
"""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import attrs
import pytest

from contract.cases import CASES, skipped
from contract.test_keys import SECRETS
from ragcore.lightrag import aclose, from_env
from ragcore.testing.contracts import Case
from ragcore.testing.server import Answer, Service, Vectors

OWN = {
    "openai": ("OPENAI_",),
    "azure": ("AZURE_",),
    "llamacpp": ("LLAMACPP_",),
    "deepseek": ("DEEPSEEK_",),
    "anthropic": ("ANTHROPIC_",),
    "ollama": ("OLLAMA_",),
    "bedrock": ("AWS_",),
    "hf-inference": ("HF_", "HUGGING_FACE_"),
}
LIGHTRAGS = ("LLM", "QUERY_LLM", "EMBEDDING")
KEYS = {name: f"canary-{name}-0123456789" for name in SECRETS} | {
    f"{name}_BINDING_API_KEY": f"canary-{name}_BINDING_API_KEY-0123456789" for name in LIGHTRAGS
}
# Of the models that have a known one.
LENGTHS = {"bedrock": 1024, "ollama": 384}
# Which of LightRAG's variables for addresses, and which for keys, are set: beside those, the
# providers' own hold.
SETTINGS = [
    ((), ()),
    (("LLM",), ("LLM",)),
    ((), ("LLM",)),
    (("LLM",), ()),
    (("QUERY_LLM", "EMBEDDING"), ("QUERY_LLM", "EMBEDDING")),
    (("QUERY_LLM", "EMBEDDING"), ("LLM",)),
    (("LLM",), ("QUERY_LLM", "EMBEDDING")),
    (LIGHTRAGS, LIGHTRAGS),
]


@attrs.frozen
class Pair:
    """Two providers and their doubles: the base's, and another's."""

    base: Case
    other: Case
    doubles: dict[str, Service]

    @property
    def embedder(self) -> Case | None:
        """Who embeds; the other, if it does."""
        return next((case for case in (self.other, self.base) if case.embedding_model), None)

    def environment(self, hosts: tuple[str, ...], keys: tuple[str, ...]) -> dict[str, str]:
        """Return the variables of an environment in which both are used."""
        own = [self._own(case) for case in (self.base, self.other)]
        named = {name: case for name, case in self._named() if case is not None}
        addresses = {
            f"{name}_BINDING_HOST": self._address(case)
            for name, case in named.items()
            if name in hosts
        }
        given = {f"{name}_BINDING_API_KEY" for name in keys}
        unset = {f"{name}_BINDING_API_KEY" for name in LIGHTRAGS} - given
        if "bedrock" in self.doubles:
            # Sent over https only; the other credentials do for a double.
            unset.add("AWS_BEARER_TOKEN_BEDROCK")
        return {
            **{name: key for name, key in KEYS.items() if name not in unset},
            **own[0],
            **own[1],
            **{f"{name}_BINDING": case.provider for name, case in named.items()},
            **addresses,
            "LLM_MODEL": self.base.model,
            "QUERY_LLM_MODEL": self.other.model,
            "EMBEDDING_MODEL": self.embedder.embedding_model if self.embedder else "",
            "EMBEDDING_DIM": str(self._length) if self.embedder else "",
        }

    @property
    def _length(self) -> int:
        return LENGTHS.get(self.embedder.provider, 8) if self.embedder else 0

    def _named(self) -> Iterator[tuple[str, Case | None]]:
        return iter(zip(LIGHTRAGS, (self.base, self.other, self.embedder), strict=True))

    def _own(self, case: Case) -> dict[str, str]:
        """Return the variables that lead to *case*'s double; keys are canaries already."""
        variables = case.environment(self.doubles[case.provider])
        variables = {name: text for name, text in variables.items() if name not in KEYS}
        if case.provider == "azure":
            variables["AZURE_EMBEDDING_ENDPOINT"] = variables["AZURE_OPENAI_ENDPOINT"]
        return dict(variables)

    def _address(self, case: Case) -> str:
        options = case.options(self.doubles[case.provider]).values()
        [address] = [text for text in options if str(text).startswith("http")]
        return str(address)

    async def ask(self) -> None:
        """Have both asked, by the functions that LightRAG would be handed."""
        made = from_env()
        for double in self.doubles.values():
            double.requests.clear()
            double.replies[:] = [Answer()]
        for func in (
            made["llm_model_func"],
            *(config.func for config in made["role_llm_configs"].values()),
        ):
            assert await func("Who?") == "Goethe"
        if self.embedder:
            self.doubles[self.embedder.provider].replies[:] = [Vectors([[0.5] * self._length])]
            await made["embedding_func"](["one"])
        await aclose()

    def strangers(self, case: Case) -> list[str]:
        """Return the variables whose keys *case*'s double saw, and should not have."""
        mine = {f"{name}_BINDING_API_KEY" for name, whose in self._named() if whose is case}
        return [
            name
            for name in self.seen(case)
            if name not in mine and not name.startswith(OWN[case.provider])
        ]

    def seen(self, case: Case) -> list[str]:
        """Return the variables whose keys *case*'s double saw."""
        requests = self.doubles[case.provider].requests
        carried = " ".join(f"{r.path} {r.headers} {r.body!r}" for r in requests)
        return [name for name, key in KEYS.items() if key in carried]


@asynccontextmanager
async def serving(base: Case, other: Case) -> AsyncIterator[Pair]:
    async with base.serving(Answer()) as one, other.serving(Answer()) as two:
        yield Pair(base, other, {base.provider: one, other.provider: two})


PAIRS = [
    pytest.param(
        base,
        other,
        id=f"{base.provider}-{other.provider}",
        marks=skipped(base, other),
    )
    for base, other in itertools.permutations(CASES, 2)
]


@pytest.mark.parametrize(("base", "other"), PAIRS)
async def test_a_key_reaches_its_own_providers_host_only(
    base: Case, other: Case, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Wherever addresses and keys are set, in LightRAG's words or in the providers'."""
    strangers: dict[Any, list[str]] = {}
    silent: list[Any] = []
    async with serving(base, other) as pair:
        for setting in SETTINGS:
            with monkeypatch.context() as patched:
                for name in KEYS:
                    patched.delenv(name, raising=False)
                for name, text in pair.environment(*setting).items():
                    patched.setenv(name, text)
                await pair.ask()
            strangers |= {(setting, case.provider): pair.strangers(case) for case in (base, other)}
            silent += [(setting, case.provider) for case in (base, other) if not pair.seen(case)]

    assert {where: names for where, names in strangers.items() if names} == {}
    assert silent == []


@pytest.mark.parametrize(
    ("base", "other"), [pair for pair in PAIRS if "bedrock" not in str(pair.id)]
)
async def test_a_key_that_is_named_for_a_binding_is_used(
    base: Case, other: Case, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It goes before the provider's own; what the test above looks for can be there."""
    async with serving(base, other) as pair:
        for name, text in pair.environment(LIGHTRAGS, LIGHTRAGS).items():
            monkeypatch.setenv(name, text)
        await pair.ask()

    assert "LLM_BINDING_API_KEY" in pair.seen(base)
    assert "QUERY_LLM_BINDING_API_KEY" in pair.seen(other)
    if pair.embedder:
        assert "EMBEDDING_BINDING_API_KEY" in pair.seen(pair.embedder)


def test_every_case_is_known_here() -> None:
    """A provider that is added says which variables are its own."""
    assert set(OWN) == {case.provider for case in CASES}
