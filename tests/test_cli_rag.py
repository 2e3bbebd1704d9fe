"""``ragcore rag``: documents go in, answers come out, over any provider."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from cli_running import only_acme, run

from ragcore.cli._documents import documents_in
from ragcore.cli._rag import _engines_settings

# A plugin whose model finds two entities in any text, and answers any question alike.
PROGRAM = '''
import asyncio, sys
import numpy as np
import ragcore.testing
from ragcore import (
    BindingOptions, Chunk, Completion, CompletionProvider, EmbeddingProvider, Embeddings, hookimpl,
    option, Secret,
)
from contextlib import nullcontext

FOUND = """entity<|#|>John Smeaton<|#|>person<|#|>John Smeaton built a tower.
entity<|#|>Tower<|#|>artifact<|#|>The tower stands in the sea.
relation<|#|>John Smeaton<|#|>Tower<|#|>building<|#|>John Smeaton built the tower.
<|COMPLETE|>"""

class AcmeOptions(BindingOptions, binding="acme"):
    """Where it is."""
    api_key: Secret | None = option("Key.", default=None, secret=True)
    base_url: str = option("Where.", default="http://acme.example")

class TaskOptions(BindingOptions, binding="acme_task"):
    """Nothing to set."""

class Backend:
    def __init__(self, client, model_name, options):
        self.model_name = model_name
        if model_name == "telling":
            print(client, file=sys.stderr)

    async def complete(self, request):
        asked = request.messages[-1].content
        if request.response_format or "JSON" in request.messages[0].content:
            return Completion('{"high_level_keywords": ["sea"], "low_level_keywords": ["Tower"]}')
        if "bad document" in asked:
            raise ragcore.InvalidRequestError("no such words here")
        return Completion(FOUND)

    async def stream(self, request):
        yield Chunk("Smeaton ")
        yield Chunk("did.", finish_reason="stop")

    async def embed(self, request):
        rows = [[len(text) % 7 + 1.0, text.count("e") + 1.0, 1.0] for text in request.texts]
        vectors = np.array(rows, dtype=np.float32)
        return Embeddings(vectors[:, ::-1] if self.model_name == "backwards" else vectors)

def describe(model_name, options):
    return 3, 1000

def tokenizer(model_name, options):
    return ragcore.testing.CharacterTokenizer()

def connect(connection):
    return nullcontext(connection.api_key.get() if connection.api_key else "")

class Acme:
    both = dict(name="acme", connection=AcmeOptions, options=TaskOptions,
                connect="__main__:connect", backend="__main__:Backend")

    @hookimpl
    def ragcore_completion_providers(self):
        yield CompletionProvider(**self.both)

    @hookimpl
    def ragcore_embedding_providers(self):
        yield EmbeddingProvider(**self.both, describe="__main__:describe",
                                tokenizer="__main__:tokenizer")

from ragcore.cli import main
with ragcore.testing.plugin(Acme(), distribution="acme-plugin"):
    main(sys.argv[1:])
'''
MODELS = ("-m", "acme:large", "-e", "acme:small")


def rag(*arguments: str, folder: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run ``ragcore rag`` in *folder*, with nothing in the environment but *variables*."""
    return subprocess.run(  # noqa: S603  # our own program
        [sys.executable, "-c", PROGRAM, "rag", *arguments],
        capture_output=True,
        text=True,
        cwd=folder,
        check=False,
        env={name: os.environ[name] for name in ("PATH", "PYTHONPATH") if name in os.environ}
        | {"HOME": str(folder), **variables},
    )


def test_documents_are_indexed_and_asked_about(tmp_path: Path) -> None:
    """A second time nothing is to do; the answer is followed by its sources."""
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "tower.md").write_text("John Smeaton built a tower in the sea.")
    (tmp_path / "docs" / "bell.txt").write_text("It has a bell.")

    first = rag("index", "docs", *MODELS, folder=tmp_path)
    again = rag("index", "docs", *MODELS, folder=tmp_path)
    answers = {
        mode: rag("ask", "Who built the tower?", "--mode", mode, *MODELS, folder=tmp_path)
        for mode in ("naive", "hybrid")
    }

    assert (first.stderr, first.returncode) == ("", 0)
    assert first.stdout == "Indexed 2 documents in rag_storage.\n"
    assert again.stdout == "Indexed 0 documents in rag_storage, 2 were there already.\n"
    assert again.returncode == 0
    for answer in answers.values():
        assert (answer.stderr, answer.returncode) == ("", 0)
        said, _, sources = answer.stdout.partition("\n\nSources\n")
        assert said == "Smeaton did."
        assert {"- bell.txt", "- tower.md"} >= set(sources.splitlines()) > set()


def test_what_fails_is_named_and_the_rest_is_indexed(tmp_path: Path) -> None:
    """With the provider's own words, as often as it is tried; and what can't be read."""
    (tmp_path / "good.md").write_text("John Smeaton built a tower.")
    (tmp_path / "bad.md").write_text("A bad document.")
    (tmp_path / "broken.pdf").write_bytes(b"%PDF-nothing")

    done = rag("index", "good.md", "bad.md", "broken.pdf", *MODELS, folder=tmp_path)

    assert done.returncode == 1
    assert "broken.pdf: can't be read: " in done.stderr
    assert "bad.md: " in done.stderr
    assert "no such words here" in done.stderr
    assert done.stdout == "Indexed 1 document in rag_storage, 1 failed.\n"

    again = rag("index", "good.md", "bad.md", *MODELS, folder=tmp_path)
    assert again.returncode == 1
    assert "no such words here" in again.stderr
    assert again.stdout == "Indexed 0 documents in rag_storage, 1 were there already, 1 failed.\n"


def test_variables_say_who_is_asked(tmp_path: Path) -> None:
    """LightRAG's own, of the environment or of a .env file; what is missing is told at once."""
    (tmp_path / "tower.md").write_text("John Smeaton built a tower.")
    missing = rag("index", "tower.md", folder=tmp_path, LLM_BINDING="acme")
    (tmp_path / ".env").write_text(
        "EMBEDDING_BINDING=acme\nEMBEDDING_MODEL=small\nLLM_MODEL=large\nMAX_GLEANING=0\n"
    )
    found = rag("index", "tower.md", folder=tmp_path, LLM_BINDING="acme")

    assert missing.returncode == 1
    assert "LLM_MODEL: missing" in missing.stderr
    assert found.stdout == "Indexed 1 document in rag_storage.\n"


@pytest.mark.parametrize("address", ["LLM_BINDING_HOST", "EMBEDDING_BINDING_HOST", "ACME_BASE_URL"])
@pytest.mark.parametrize("key", ["ACME_API_KEY", "LLM_BINDING_API_KEY"])
def test_an_address_from_a_file_gets_no_key_from_elsewhere(
    tmp_path: Path, address: str, key: str
) -> None:
    """A folder of somebody else's can't collect keys; --trust-env-file says that it may."""
    (tmp_path / "tower.md").write_text("John Smeaton built a tower.")
    (tmp_path / ".env").write_text(f"{address}=http://evil.example\n")
    said = {"folder": tmp_path, key: "canary"}
    done = rag("index", "tower.md", *MODELS, **said)  # type: ignore[arg-type]
    trusted = rag("index", "tower.md", *MODELS, "--trust-env-file", **said)  # type: ignore[arg-type]

    is_another_task = (address, key) == ("EMBEDDING_BINDING_HOST", "LLM_BINDING_API_KEY")
    assert done.returncode == (0 if is_another_task else 1)
    assert is_another_task or f"{address}: stands in .env, but {key}" in done.stderr
    assert "canary" not in done.stderr + done.stdout
    assert trusted.returncode == 0


def test_asking_without_an_index_names_the_next_step(tmp_path: Path) -> None:
    """And makes no empty one."""
    done = rag("ask", "Who?", *MODELS, folder=tmp_path)

    assert done.returncode == 1
    assert "there is no index in 'rag_storage': ragcore rag index PATH makes one" in done.stderr
    assert not (tmp_path / "rag_storage").exists()


@pytest.fixture
def acme(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    with only_acme(monkeypatch, tmp_path):
        yield


@pytest.mark.usefixtures("acme")
def test_what_is_no_reference_is_told(tmp_path: Path) -> None:
    """With an example."""
    (tmp_path / "tower.md").write_text("A tower.")
    done = run("rag", "index", "tower.md", "-m", "large")

    assert done.exit_code == 1
    assert "'large' is not PROVIDER:MODEL, such as" in done.stderr


def test_documents_are_found_in_folders(tmp_path: Path) -> None:
    """Hidden ones and those of other kinds are no documents; names of files are told apart."""
    for name in ("a/one.md", "b/one.md", "b/two.txt", "b/.git/config.md", "b/picture.png"):
        file = tmp_path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(f"This is {name}.")
    (tmp_path / "b" / "empty.md").write_text(" \n")

    documents, problems = documents_in([tmp_path / "a", tmp_path / "b", tmp_path / "b" / "two.txt"])

    names = [document.name for document in documents]
    assert [name.rpartition("-")[2] for name in names] == ["one.md", "one.md", "two.txt"]
    assert len(set(names)) == 3
    assert len(problems) == 1
    assert problems[0].startswith(str(tmp_path / "b" / "empty.md"))


def test_a_file_tells_the_engine_settings_and_no_places() -> None:
    """LightRAG reads them from the process's environment."""
    settings = _engines_settings()

    assert {"TOP_K", "MAX_GLEANING", "MAX_PARALLEL_INSERT"} <= settings
    assert not any(word in name for name in settings for word in ("KEY", "URL", "HOST", "ENDPOINT"))


def test_another_embedding_is_told_once_and_can_be_taken(tmp_path: Path) -> None:
    """No document is marked as failed; after the command that the error names, all goes on."""
    (tmp_path / "tower.md").write_text("John Smeaton built a tower.")
    (tmp_path / "bell.md").write_text("It has a bell.")
    models = ("-m", "acme:large", "-e", "acme:backwards")
    rag("index", "tower.md", *MODELS, folder=tmp_path)

    refused = rag("index", "tower.md", "bell.md", *models, folder=tmp_path)
    unanswered = rag("ask", "Who?", *models, folder=tmp_path)
    command = refused.stderr.splitlines()[-1].removeprefix("  ragcore rag ").split()
    anew = rag(*command, folder=tmp_path)
    again = rag("index", "tower.md", "bell.md", *models, folder=tmp_path)
    answered = rag("ask", "Who?", *models, folder=tmp_path)

    assert (refused.returncode, refused.stdout) == (1, "")
    assert refused.stderr.count("made by another embedding") == 1
    assert "made by another embedding" in unanswered.stderr
    assert command == ["reembed", "--working-dir", "rag_storage", "-m", "acme:backwards"]
    assert anew.stdout.startswith("rag_storage: vectors of 1 chunks, 2 entities, 1 relations are")
    assert again.stdout == "Indexed 1 document in rag_storage, 1 were there already.\n"
    assert answered.stdout.startswith("Smeaton did.")


def test_a_key_goes_to_the_provider_whose_it_is(tmp_path: Path) -> None:
    """One that is for the provider of the variables is not for that of --embedding."""
    (tmp_path / "tower.md").write_text("John Smeaton built a tower.")
    theirs = {"EMBEDDING_BINDING": "openai", "EMBEDDING_BINDING_API_KEY": "canary"}

    models = ("-m", "acme:large", "-e", "acme:telling")

    done = rag("index", "tower.md", *models, folder=tmp_path, ACME_API_KEY="own", **theirs)

    assert done.returncode == 0
    assert done.stderr == "own\n"
