"""An index knows what made its vectors: other embeddings are refused, and can make them anew."""

from __future__ import annotations

import asyncio
import copy
import hashlib
import json
import logging
import os
import re
import shlex
import signal
import subprocess
import sys
import textwrap
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Literal

import attrs
import numpy as np
import numpy.typing as npt
import pytest
from cli_running import run
from lightrag import LightRAG
from lightrag.exceptions import IndexFlushError
from lightrag.utils import EmbeddingFunc, Tokenizer

from ragcore import (
    Capabilities,
    EmbeddingIdentityError,
    EmbeddingProvider,
    EmbeddingRequest,
    Embeddings,
    OptionsError,
    PluginError,
    RequestTimeoutError,
    Retry,
    UnavailableError,
    hookimpl,
    option,
)
from ragcore.lightrag import embedding_func, from_env, reembed
from ragcore.lightrag._identity import PROBES
from ragcore.lightrag._index import Stored
from ragcore.options import BindingOptions, Prefixes
from ragcore.testing import CharacterTokenizer, plugin

Vectors = npt.NDArray[np.float32]

RECORD = "ragcore_embedding.json"
STORES = ("vdb_chunks.json", "vdb_entities.json", "vdb_relationships.json")


# --- an embedding of bags of words ----------------------------------------------------------


class WordsOptions(BindingOptions, binding="words"):
    """Where it is; nothing comes of it."""

    url: str = option("Address.", default="http://127.0.0.1:1")
    api_key: str | None = option("Key.", default=None, secret=True)


class WordsEmbeddingOptions(Prefixes, binding="words_embedding"):
    """How it embeds."""

    revision: str | None = option("Which weights.", default=None)
    pooling: Literal["mean", "max"] = option("How words become a text.", default="mean")
    normalize: bool | None = option("To length 1.", default=None, provider_default=False)
    dtype: Literal["float32", "int8"] = option("Of the numbers.", default="float32")
    quantization: str | None = option("Of the weights.", default=None)
    workers: int = option("Nothing comes of it.", default=1)


class Words:
    """A plugin whose models, ``words:SEED-LENGTH``, add up made-up vectors of words."""

    @hookimpl
    def ragcore_embedding_providers(self) -> Iterator[EmbeddingProvider]:
        for name, says in (("words", None), ("sdrow", None), ("told", "told"), ("odd", "odd")):
            yield EmbeddingProvider(
                name=name,
                connection=WordsOptions,
                options=WordsEmbeddingOptions,
                connect=f"{__name__}:connect",
                backend=f"{__name__}:Backend",
                describe=f"{__name__}:describe",
                identity=says and f"{__name__}:{says}",
                capabilities=Capabilities(input_type=True),
                retry=Retry(attempts=1),
            )


@asynccontextmanager
async def connect(connection: WordsOptions) -> AsyncIterator[None]:
    yield None


def describe(model_name: str, options: WordsEmbeddingOptions) -> tuple[int, int]:
    return int(model_name.rpartition("-")[2]), 1000


def told(
    model_name: str, options: WordsEmbeddingOptions, *, connection: WordsOptions
) -> dict[str, Any]:
    return {"longest": options.workers * 100, "revision": connection.url, "pooling": ("mean",)}


def odd(*_: object) -> list[str]:
    return ["pooling"]


@attrs.define
class Asked:
    """What models were asked for, and when they are to fail."""

    requests: list[EmbeddingRequest] = attrs.field(factory=list)
    last: int = 10**9
    kills: bool = False
    seconds: float = 0.0

    @property
    def texts(self) -> list[str]:
        return [text for request in self.requests for text in request.texts if text not in PROBES]

    async def note(self, request: EmbeddingRequest) -> None:
        if len(self.requests) >= self.last:
            if self.kills:
                os.kill(os.getpid(), signal.SIGKILL)
            raise UnavailableError("gone")
        self.requests.append(request)
        await asyncio.sleep(self.seconds)


ASKED = Asked()


class Backend:
    def __init__(self, client: None, model_name: str, options: WordsEmbeddingOptions) -> None:
        self.model_name, self.options = model_name, options

    async def embed(self, request: EmbeddingRequest) -> Embeddings:
        await ASKED.note(request)
        return Embeddings(bags(request.texts, self.model_name, self.options))


def bags(
    texts: Sequence[str], model_name: str, options: WordsEmbeddingOptions | None = None
) -> Vectors:
    """Return the vectors of *texts*, shape ``(len(texts), length)``."""
    options = options or WordsEmbeddingOptions()
    seed, _, length = f"{model_name}".rpartition("-")
    words = [text.split() or [""] for text in texts]
    rows = [[of_word(w, f"{seed}{options.revision or ''}", int(length)) for w in t] for t in words]
    pool = np.max if options.pooling == "max" else np.mean
    vectors = np.array([pool(row, axis=0) for row in rows])
    if options.dtype == "int8":
        vectors = np.round(vectors * 40) / 40
    if options.normalize:
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors.astype(np.float32)


def of_word(word: str, seed: str, length: int) -> npt.NDArray[np.float64]:
    digest = hashlib.sha256(f"{seed} {word}".encode()).digest()
    return np.random.default_rng(list(digest)).normal(size=length)


@pytest.fixture(autouse=True)
def words(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.delenv("WORKSPACE", raising=False)
    ASKED.__init__()  # type: ignore[misc]  # as it was
    with plugin(Words(), distribution="words-plugin"):
        yield


def function(folder: Path, model: str = "words:a-16", **options: Any) -> EmbeddingFunc:
    return embedding_func(model, working_dir=folder, **options)


async def made(folder: Path, model: str = "words:a-16", **options: Any) -> Path:
    """Have *folder* know what embeds there."""
    await function(folder, model, **options)(["A lighthouse."], context="document")
    return folder


async def opened(folder: Path, model: str = "words:a-16", **options: Any) -> None:
    """Do what LightRAG does first."""
    await function(folder, model, **options)(["Who?"], context="query")


# --- what is refused, and what is not -------------------------------------------------------

CHANGES: dict[str, tuple[str, dict[str, Any], str]] = {
    "model": ("words:b-16", {}, "what they make of the same text"),
    "provider": ("sdrow:b-16", {}, "what they make of the same text"),
    "dimensions": ("words:a-24", {}, "dimensions"),
    "revision": ("words:a-16", {"revision": "2"}, "revision"),
    "pooling": ("words:a-16", {"pooling": "max"}, "pooling"),
    "normalisation": ("words:a-16", {"normalize": True}, "normalize"),
    "number type": ("words:a-16", {"dtype": "int8"}, "dtype"),
    "quantisation": ("words:a-16", {"quantization": "8bit"}, "quantization"),
    "prefix of queries": ("words:a-16", {"query_prefix": "query: "}, "query_prefix"),
    "prefix of documents": ("words:a-16", {"document_prefix": "text: "}, "document_prefix"),
    "both prefixes": (
        "words:a-16",
        {"query_prefix": "query: ", "document_prefix": "text: "},
        "query_prefix, document_prefix",
    ),
    "all at once": (
        "words:b-24",
        {"pooling": "max", "normalize": True},
        "dimensions, pooling, normalize",
    ),
}


@pytest.mark.parametrize("change", CHANGES)
async def test_another_embedding_is_refused(change: str, tmp_path: Path) -> None:
    """Before it embeds a text, with both sides, what differs, and the two ways out."""
    model, options, different = CHANGES[change]
    await made(tmp_path)
    ASKED.requests.clear()

    with pytest.raises(EmbeddingIdentityError) as caught:
        await opened(tmp_path, model, **options)
    said = str(caught.value)

    assert ASKED.texts == []
    assert re.search(r"^  model +words:a-16 +" + re.escape(model) + "$", said, re.MULTILINE)
    assert re.search(rf"Different: .*{different}", said)
    assert "Open the index with its own embedding again" in said
    assert f"ragcore rag reembed --working-dir {shlex.quote(str(tmp_path))} -m {model}" in said
    for name, value in options.items():
        shown = json.dumps(value) if isinstance(value, bool) else str(value)
        assert shlex.join(["-o", f"{name}={shown}"]) in said


EQUALS: dict[str, tuple[str, dict[str, Any]]] = {
    "the same": ("words:a-16", {}),
    "where and who": ("words:a-16", {"url": "http://127.0.0.1:2", "api_key": "key"}),
    "how it is called": ("words:a-16", {"timeout": 9, "batch_size": 2, "max_concurrency": 1}),
    "defaults, said": ("words:a-16", {"pooling": "mean", "normalize": False, "query_prefix": ""}),
    "options that decide nothing": ("words:a-16", {"workers": 4}),
    "another provider of the same weights": ("sdrow:a-16", {"normalize": True}),
}


@pytest.mark.parametrize("equal", EQUALS)
async def test_the_same_vectors_are_accepted(equal: str, tmp_path: Path) -> None:
    """Whatever they are called, and whoever makes them."""
    model, options = EQUALS[equal]
    await made(tmp_path)
    before = (tmp_path / RECORD).read_bytes()

    await opened(tmp_path, model, **options)
    await made(tmp_path, model, **options)

    assert (tmp_path / RECORD).read_bytes() == before


async def test_the_length_that_vectors_have_is_compared_under_one_name(tmp_path: Path) -> None:
    """A service that begins to scale its vectors says nothing of it."""
    await made(tmp_path)
    record = json.loads((tmp_path / RECORD).read_text())
    record["facts"] = {}
    scaled = [packed(1.1 * vector) for vector in unpacked(record["probes"]["document"])]
    record["probes"]["document"] = scaled
    (tmp_path / RECORD).write_text(json.dumps(record))

    with pytest.raises(EmbeddingIdentityError, match="Different: the length that vectors are"):
        await opened(tmp_path)


def unpacked(texts: Sequence[str]) -> list[Vectors]:
    import base64

    return [np.frombuffer(base64.b64decode(text), np.float32) for text in texts]


def packed(vector: Vectors) -> str:
    import base64

    return base64.b64encode(vector.tobytes()).decode()


async def test_a_provider_says_what_decides(tmp_path: Path) -> None:
    """In place of what its options are called; files count under one name alone."""
    url = "http://127.0.0.1:2"
    await made(tmp_path, "told:a-16")

    await opened(tmp_path, "told:a-16", quantization="8bit", revision="")
    await opened(tmp_path, "words:a-16", url=url, workers=4)
    for options, different in (({"workers": 4}, "longest"), ({"url": url}, "revision")):
        with pytest.raises(EmbeddingIdentityError, match=rf"Different: {different}\."):
            await opened(tmp_path, "told:a-16", **options)
    with pytest.raises(PluginError, match=r"identity\(\) returned a list, not a mapping"):
        await made(tmp_path / "odd", "odd:a-16")


async def test_a_record_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    """With what to do about it."""
    for text in ("", "[]", '{"format": 99}', '{"format": 1}'):
        (tmp_path / RECORD).write_text(text)

        with pytest.raises(EmbeddingIdentityError, match=f"{RECORD} does not say .* remove it"):
            await made(tmp_path)


# --- when it is found out -------------------------------------------------------------------


async def test_it_is_found_out_once(tmp_path: Path) -> None:
    """By the first call; others at the same time wait for it, and copies have it from there."""
    embed = function(tmp_path)
    ASKED.seconds = 0.05

    await asyncio.gather(*[embed([f"text {n}"], context="document") for n in range(5)])
    await copy.deepcopy(embed)(["more"], context="query")
    probes = [request for request in ASKED.requests if request.texts == PROBES]

    assert [request.input_type for request in probes] == ["document", "query"]
    assert len(ASKED.texts) == 6


async def test_all_who_wait_are_refused(tmp_path: Path) -> None:
    """Those who came while the first was being refused, and those who come later."""
    await made(tmp_path)
    embed = function(tmp_path, "words:b-16")
    ASKED.requests.clear()
    ASKED.seconds = 0.05

    first = await asyncio.gather(*[embed(["text"]) for _ in range(5)], return_exceptions=True)
    probes = len(ASKED.requests)
    with pytest.raises(EmbeddingIdentityError):
        await embed(["text"])

    assert {type(outcome) for outcome in first} == {EmbeddingIdentityError}
    assert probes == 2
    assert ASKED.texts == []


async def test_what_failed_is_tried_again(tmp_path: Path) -> None:
    """An error of the service decides nothing; one who gave up takes nobody along."""
    embed = function(tmp_path)
    ASKED.last = 0
    with pytest.raises(UnavailableError):
        await embed(["text"])
    ASKED.last, ASKED.seconds = 99, 0.05

    hasty = asyncio.create_task(embed(["hasty"]))
    await asyncio.sleep(0.02)
    patient = asyncio.create_task(embed(["patient"]))
    await asyncio.sleep(0.02)
    hasty.cancel()
    vectors = await patient

    assert vectors.shape == (1, 16)
    assert (tmp_path / RECORD).exists()


async def test_it_has_the_time_of_the_call(tmp_path: Path) -> None:
    """The deadline is one, for finding out and embedding."""
    embed = function(tmp_path, timeout=0.2)
    ASKED.seconds = 5.0

    began = asyncio.get_running_loop().time()
    with pytest.raises(RequestTimeoutError):
        await embed(["text"])

    assert asyncio.get_running_loop().time() - began < 2


async def test_it_works_in_two_loops_at_once(tmp_path: Path) -> None:
    """Programs index in threads of their own."""
    embed = function(tmp_path)
    ASKED.seconds = 0.05

    def in_a_loop_of_its_own() -> Any:
        return asyncio.run(embed(["text"]))

    here, there = await asyncio.gather(embed(["text"]), asyncio.to_thread(in_a_loop_of_its_own))

    assert np.array_equal(here, there)
    assert sum(request.texts == PROBES for request in ASKED.requests) == 2


def test_a_forked_child_finds_out_by_itself(tmp_path: Path) -> None:
    """gunicorn forks after the functions are made, perhaps after they were called."""
    program = """
    import asyncio, os, sys
    import test_lightrag_identity as tests
    from pathlib import Path
    from ragcore import EmbeddingIdentityError
    from ragcore.testing import CharacterTokenizer, plugin

    with plugin(tests.Words(), distribution="words-plugin"):
        folder = Path(sys.argv[1])
        mine, others = tests.function(folder), tests.function(folder, "words:b-16")
        asyncio.run(mine(["text"]))
        if child := os.fork():
            sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
        tests.ASKED.requests.clear()
        asyncio.run(mine(["text"]))
        assert len(tests.ASKED.requests) == 3, tests.ASKED.requests
        try:
            asyncio.run(others(["text"]))
        except EmbeddingIdentityError:
            os._exit(7)
    """
    done = in_a_process(program, str(tmp_path))

    assert (done.returncode, done.stderr) == (7, "")


def in_a_process(program: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(  # noqa: S603  # our own program
        [sys.executable, "-W", "error", "-c", textwrap.dedent(program), *arguments],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        env={**os.environ, "PYTHONPATH": f"{Path(__file__).parent}:{os.getenv('PYTHONPATH', '')}"},
    )


async def test_a_query_stores_nothing_and_records_nothing(tmp_path: Path) -> None:
    """Of an index that is empty; the first document decides."""
    await opened(tmp_path, "words:b-16")
    assert not (tmp_path / RECORD).exists()

    embed = function(tmp_path)
    await embed(["Who?"], context="query")
    await embed(["A lighthouse."], context="document")

    assert json.loads((tmp_path / RECORD).read_text())["model"] == "a-16"


async def test_without_a_folder_nothing_is_recorded(tmp_path: Path) -> None:
    """And nothing is asked beside what was to be embedded."""
    await embedding_func("words:a-16")(["text"])

    assert [request.texts for request in ASKED.requests] == [("text",)]


async def test_each_workspace_has_its_own(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """As LightRAG has it: said, or by the environment."""
    await made(tmp_path)
    await made(tmp_path, "words:b-16", workspace="one")
    monkeypatch.setenv("WORKSPACE", "two")
    await made(tmp_path, "words:c-16")
    with pytest.raises(OptionsError, match=r"workspace: '\.\./x' is not the name of a folder"):
        function(tmp_path, workspace="../x")
    with pytest.raises(EmbeddingIdentityError, match="--workspace two -m words:a-16"):
        await opened(tmp_path)

    assert all((tmp_path / folder / RECORD).exists() for folder in ("", "one", "two"))


async def test_from_env_knows_the_folder(tmp_path: Path) -> None:
    """With the workspace and the prefixes of LightRAG's variables."""
    environ = {
        "WORKSPACE": "one",
        "EMBEDDING_BINDING": "words",
        "EMBEDDING_MODEL": "a-16",
        "EMBEDDING_ASYMMETRIC": "true",
        "EMBEDDING_QUERY_PREFIX": "query: ",
        "EMBEDDING_DOCUMENT_PREFIX": "NO_PREFIX",
    }
    embed = from_env(environ, working_dir=tmp_path)["embedding_func"]
    await embed(["text"], context="document")
    facts = json.loads((tmp_path / "one" / RECORD).read_text())["facts"]
    environ["EMBEDDING_QUERY_PREFIX"] = "q: "
    changed = from_env(environ, working_dir=tmp_path)["embedding_func"]

    with pytest.raises(EmbeddingIdentityError, match="Different: query_prefix"):
        await changed(["text"], context="document")

    assert facts["query_prefix"] == "query: "
    assert facts["document_prefix"] is None


async def test_vectors_that_are_elsewhere_are_not_compared(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """One line of the log says so, and what embeds is recorded."""
    caplog.set_level(logging.INFO, "ragcore")
    await made(tmp_path / "new")
    (tmp_path / "done").mkdir()
    status = {"doc-1": {"status": "processed", "content_length": 3}}
    (tmp_path / "done/kv_store_doc_status.json").write_text(json.dumps(status, indent=2))
    await made(tmp_path / "done")
    await made(tmp_path / "done")
    said = [one for one in caplog.records if "another storage" in one.getMessage()]

    assert [one.levelname for one in said] == ["INFO", "WARNING"]
    assert str(tmp_path / "done") in said[1].getMessage()
    assert (tmp_path / "done" / RECORD).exists()


async def test_a_folder_that_cannot_be_written_is_named(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """An index that only answers questions may lie where nothing can be written."""
    (tmp_path / f"{RECORD}.tmp.{os.getpid()}").mkdir()

    await made(tmp_path)

    assert f"{RECORD} can't be written" in caplog.text


# --- LightRAG -------------------------------------------------------------------------------

NAMES = ("Ada", "Babbage", "Smeaton", "Rudyerd", "Winstanley", "Stevenson", "Fresnel", "Brunel")
VERBS = ("built", "knew", "wrote to", "learnt from", "met")


def knowledge(count: int) -> dict[str, Any]:
    """Return *count* chunks, some entities, and relations between them."""
    people = [f"{one} {other}" for one in NAMES for other in NAMES]
    told = [
        f"{people[n % 64]} {VERBS[n % 5]} {people[n * 7 % 64]} in {1600 + n}" for n in range(count)
    ]
    files = [{"source_id": str(n), "file_path": "told.md"} for n in range(count)]
    return {
        "chunks": [{"content": text, **file} for text, file in zip(told, files, strict=True)],
        "entities": [
            {"entity_name": person, "entity_type": "person", "description": f"Of {n}.", **files[0]}
            for n, person in enumerate(people)
        ],
        "relationships": [
            {
                "src_id": people[n],
                "tgt_id": people[n + 1],
                "keywords": VERBS[n % 5],
                "description": told[n],
                **files[0],
            }
            for n in range(min(count, 63))
        ],
    }


async def indexed(folder: Path, embed: EmbeddingFunc, count: int = 40) -> Path:
    """Have LightRAG index into *folder*."""
    rag = engine(folder, embed)
    await rag.initialize_storages()
    await rag.ainsert_custom_kg(knowledge(count))
    await rag.finalize_storages()
    return folder


def engine(folder: Path, embed: EmbeddingFunc) -> LightRAG:
    async def complete(*_: Any, **__: Any) -> str:
        return "An answer."

    return LightRAG(
        working_dir=str(folder),
        llm_model_func=complete,
        embedding_func=embed,
        tokenizer=Tokenizer("characters", CharacterTokenizer()),
    )


def lightrags_own(model: str = "a-16") -> EmbeddingFunc:
    """Return an embedding that LightRAG is handed by somebody else."""

    async def embed(texts: list[str], **_: Any) -> Vectors:
        return bags(texts, model)

    return EmbeddingFunc(embedding_dim=int(model.rpartition("-")[2]), func=embed)


async def test_an_index_of_lightrags_own_is_compared(tmp_path: Path) -> None:
    """What it has stored is embedded again: the same is recorded, another is refused."""
    await indexed(tmp_path, lightrags_own())

    with pytest.raises(EmbeddingIdentityError, match="Different: the vectors of stored texts"):
        await opened(tmp_path, "words:b-16")
    with pytest.raises(EmbeddingIdentityError, match=r"dimensions +16 +24"):
        function(tmp_path, "words:a-24")
    assert not (tmp_path / RECORD).exists()
    await opened(tmp_path)
    assert (tmp_path / RECORD).exists()


async def test_vectors_that_are_nearly_those_stored_are_accepted(tmp_path: Path) -> None:
    """LightRAG keeps a norm and rounds; another number type is no other model."""
    await indexed(tmp_path, lightrags_own())

    await opened(tmp_path, dtype="int8", normalize=True)

    assert json.loads((tmp_path / RECORD).read_text())["facts"]["dtype"] == "int8"


async def test_the_engine_stores_no_vector_of_another_embedding(tmp_path: Path) -> None:
    """Inserting and asking fail, and no row is added or replaced."""
    await indexed(tmp_path, function(tmp_path))
    before = {name: rows for name, (_, _, rows) in stored(tmp_path).items()}
    rag = engine(tmp_path, function(tmp_path, "words:b-16"))
    await rag.initialize_storages()

    with pytest.raises(IndexFlushError, match="Open the index with its own embedding again"):
        await rag.ainsert_custom_kg({**knowledge(50), "entities": [], "relationships": []})
    with pytest.raises(EmbeddingIdentityError):
        await rag.chunks_vdb.query("Who?", top_k=3)

    assert {name: rows for name, (_, _, rows) in stored(tmp_path).items()} == before
    await engine(tmp_path, function(tmp_path)).initialize_storages()


def contents(folder: Path) -> dict[str, bytes]:
    return {name: (folder / name).read_bytes() for name in STORES}


# --- making them anew -----------------------------------------------------------------------


def stored(folder: Path) -> dict[str, tuple[list[str], Vectors, list[dict[str, Any]]]]:
    """Return of each file the ids, the vectors, and the rows without what vectors are stored as."""
    found = {}
    for name in STORES:
        file = Stored.read(folder / name)
        rows = [{**row, "vector": ""} for row in file.content["data"]]
        found[name] = [row["__id__"] for row in rows], file.vectors(), rows
    return found


def neighbours(ids: list[str], vectors: Vectors, count: int = 5) -> dict[str, list[str]]:
    nearest = np.argsort(-(vectors @ vectors.T), axis=1, kind="stable")[:, :count]
    return {ids[row]: [ids[at] for at in found] for row, found in enumerate(nearest)}


def agreement(folder: Path, other: Path) -> float:
    """Return which share of nearest neighbours two indexes have in common."""
    pairs = []
    for ones, others in zip(stored(folder).values(), stored(other).values(), strict=True):
        one, another = neighbours(*ones[:2]), neighbours(*others[:2])
        pairs += [(set(one[name]), set(another[name])) for name in another]
    return sum(len(a & b) for a, b in pairs) / sum(len(b) for _, b in pairs)


async def test_an_index_made_anew_is_one_that_is_new(tmp_path: Path) -> None:
    """Neighbours, answers of the engine, and all that is stored beside vectors."""
    old = await indexed(tmp_path / "old", function(tmp_path / "old"))
    fresh = await indexed(tmp_path / "fresh", function(tmp_path / "fresh", "words:b-24"))
    before = stored(old)

    done = await reembed(old, embedding_func("words:b-24"))
    after = stored(old)

    assert done is not None
    assert done.counts == {"chunks": 40, "entities": 64, "relations": 40}
    assert (done.reference, done.dimensions, done.resumed) == ("words:b-24", 24, 0)
    assert {name: rows for name, (_, _, rows) in after.items()} == {
        name: rows for name, (_, _, rows) in before.items()
    }
    assert agreement(old, fresh) >= 0.999
    assert sorted(path.name for path in old.iterdir()) == sorted(p.name for p in fresh.iterdir())
    found = [await asked(folder, "words:b-24") for folder in (old, fresh)]
    assert found[0] == found[1]
    with pytest.raises(EmbeddingIdentityError):
        await opened(old)


async def asked(folder: Path, model: str) -> list[list[str]]:
    """Return what LightRAG finds, in each of its vector storages."""
    rag = engine(folder, function(folder, model))
    await rag.initialize_storages()
    stores = (rag.chunks_vdb, rag.entities_vdb, rag.relationships_vdb)
    found = [await store.query("Smeaton met Ada Brunel in 1620", top_k=5) for store in stores]
    vectors = await rag.chunks_vdb.get_vectors_by_ids([row["id"] for row in found[0]])
    assert {len(vector) for vector in vectors.values()} == {24}
    await rag.finalize_storages()
    return [[row["id"] for row in rows] for rows in found]


async def test_there_is_nothing_to_do_twice(tmp_path: Path) -> None:
    """Unless it is forced; an index without a record gets one."""
    await indexed(tmp_path, lightrags_own())
    before = contents(tmp_path)

    assert await reembed(tmp_path, embedding_func("words:a-16")) is None
    assert await reembed(tmp_path, embedding_func("words:a-16")) is None
    assert (tmp_path / RECORD).exists()
    assert contents(tmp_path) == before
    assert await reembed(tmp_path, embedding_func("words:a-16"), force=True) is not None


async def test_what_was_interrupted_is_gone_on_with(tmp_path: Path) -> None:
    """No text is embedded twice; until then the index is what it was."""
    await indexed(tmp_path, function(tmp_path))
    before = contents(tmp_path)
    ASKED.requests.clear()
    ASKED.last = 4  # two for the probes
    with pytest.raises(UnavailableError):
        await reembed(tmp_path, embedding_func("words:b-24"))
    first = set(ASKED.texts)
    ASKED.last = 99

    assert contents(tmp_path) == before
    await opened(tmp_path)
    ASKED.requests.clear()
    seen: list[tuple[int, int]] = []
    done = await reembed(
        tmp_path, embedding_func("words:b-24"), progress=lambda *at: seen.append(at)
    )
    second = set(ASKED.texts)

    assert done is not None
    assert done.resumed == len(first) == 128
    assert not first & second
    assert len(first | second) == 144
    assert seen == [(128, 144), (144, 144)]


async def test_another_embedding_begins_anew(tmp_path: Path) -> None:
    """Vectors of two are never mixed; nor is what was not written to its end used."""
    await indexed(tmp_path, function(tmp_path))
    ASKED.requests.clear()
    ASKED.last = 4
    with pytest.raises(UnavailableError):
        await reembed(tmp_path, embedding_func("words:b-24"))
    collected = tmp_path / "ragcore_reembedding.jsonl"
    collected.write_bytes(collected.read_bytes()[:-7])
    ASKED.last = len(ASKED.requests) + 2

    with pytest.raises(UnavailableError):
        await reembed(tmp_path, embedding_func("words:b-24"))
    ASKED.last = 99
    done = await reembed(tmp_path, embedding_func("words:c-24"))

    assert done is not None
    assert done.resumed == 0
    assert not collected.exists()


KILLED = """
import asyncio, sys
import test_lightrag_identity as tests
from pathlib import Path
from ragcore.lightrag import embedding_func, reembed
from ragcore.testing import CharacterTokenizer, plugin

tests.ASKED.last, tests.ASKED.kills = 4, True
with plugin(tests.Words(), distribution="words-plugin"):
    asyncio.run(reembed(Path(sys.argv[1]), embedding_func("words:b-24")))
"""


async def test_what_was_killed_is_gone_on_with(tmp_path: Path) -> None:
    """By a signal that nothing can catch."""
    old = await indexed(tmp_path / "old", function(tmp_path / "old"))
    fresh = await indexed(tmp_path / "fresh", function(tmp_path / "fresh", "words:b-24"))

    killed = await asyncio.to_thread(in_a_process, KILLED, str(old))
    done = await reembed(old, embedding_func("words:b-24"))

    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert done is not None
    assert done.resumed == 128
    assert agreement(old, fresh) >= 0.999


@pytest.mark.parametrize("replaced", [0, 1, 2])
async def test_half_replaced_files_are_not_used(
    replaced: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By neither embedding; the next run replaces them all, without embedding a text again."""
    await indexed(tmp_path, function(tmp_path))
    replace = Path.replace
    moved: list[Path] = []

    def fail(path: Path, target: Path) -> Path:
        if path.suffix == ".reembedded":
            if len(moved) == replaced:
                raise RuntimeError("no power")
            moved.append(path)
        return replace(path, target)

    monkeypatch.setattr(Path, "replace", fail)
    with pytest.raises(RuntimeError):
        await reembed(tmp_path, embedding_func("words:b-16"))
    monkeypatch.setattr(Path, "replace", replace)
    for model in ("words:a-16", "words:b-16"):
        with pytest.raises(EmbeddingIdentityError, match="partly old and partly new"):
            await opened(tmp_path, model)
    ASKED.requests.clear()
    done = await reembed(tmp_path, embedding_func("words:b-16"))

    assert done is not None
    assert ASKED.texts == []
    await opened(tmp_path, "words:b-16")
    assert not any((tmp_path / f"{name}.before-reembed").exists() for name in STORES)


async def test_an_index_that_changed_meanwhile_is_not_replaced(tmp_path: Path) -> None:
    """What was inserted would be lost; a second run has it as well."""
    await indexed(tmp_path, function(tmp_path))
    more = knowledge(41)["chunks"]

    def insert(done: int, count: int) -> None:
        if done == count:
            file = Stored.read(tmp_path / STORES[0])
            row = {**file.content["data"][0], "__id__": "chunk-new", "content": more[40]["content"]}
            attrs.evolve(
                file, content={**file.content, "data": [*file.content["data"], row]}
            ).with_vectors(np.ones((41, 16), np.float32)).write(file.path)

    with pytest.raises(OptionsError, match="changed while new vectors were made"):
        await reembed(tmp_path, embedding_func("words:b-24"), progress=insert)
    done = await reembed(tmp_path, embedding_func("words:b-24"))

    assert done is not None
    assert done.counts["chunks"] == 41
    assert done.resumed == 144


async def test_what_is_no_index_is_named(tmp_path: Path) -> None:
    """With the tool that LightRAG brings for other storages, and for old files."""
    with pytest.raises(OptionsError, match=r"no vectors of LightRAG's default .* lightrag-rebuild"):
        await reembed(tmp_path, embedding_func("words:a-16"))
    (tmp_path / STORES[0]).write_text("{}")
    with pytest.raises(OptionsError, match=r"vdb_chunks\.json is not a file of LightRAG's default"):
        await reembed(tmp_path, embedding_func("words:a-16"))
    old = {
        "embedding_dim": 16,
        "data": [{"__id__": "1"}],
        "matrix": packed(np.ones(16, np.float32)),
    }
    (tmp_path / STORES[0]).write_text(json.dumps(old))
    with pytest.raises(OptionsError, match="texts of vectors are missing"):
        await reembed(tmp_path, embedding_func("words:a-16"))


# --- the command ----------------------------------------------------------------------------


async def test_the_command_of_the_error_is_the_cure(tmp_path: Path) -> None:
    """As it stands there: with the model, its options, and the folder."""
    folder = await indexed(tmp_path / "an index", function(tmp_path / "an index"))
    changed = {"pooling": "max", "query_prefix": "query: "}
    with pytest.raises(EmbeddingIdentityError) as caught:
        await opened(folder, "words:b-16", **changed)
    command = str(caught.value).splitlines()[-1]

    done, again = await asyncio.to_thread(lambda: [run(*shlex.split(command)[1:]) for _ in "12"])
    await opened(folder, "words:b-16", **changed)

    assert (done.exit_code, again.exit_code) == (0, 0)
    assert "vectors of 40 chunks, 64 entities, 40 relations are by words:b-16 now" in done.stdout
    assert "nothing to do: the vectors are by that embedding already" in again.stdout


async def test_the_command_says_how_to_go_on(tmp_path: Path) -> None:
    """Where it failed, with what is kept; and then goes on."""
    await indexed(tmp_path, function(tmp_path))
    arguments = ["rag", "reembed", "--working-dir", str(tmp_path), "-m", "words:b-24"]
    ASKED.requests.clear()
    ASKED.last = 4

    failed = await asyncio.to_thread(run, *arguments)
    ASKED.last = 99
    done = await asyncio.to_thread(run, *arguments)

    assert failed.exit_code == 1
    assert "The vectors of 128 of 144 texts are kept: the same command goes on." in failed.stderr
    assert "gone" in failed.stderr
    assert "an interrupted run had made 128 of them" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["-o", "pooling"], "-o pooling: is not of the form option=value"),
        (["-o", "poolign=max"], "-o poolign: no such option. Did you mean 'pooling'?"),
        (["-o", "pooling=least"], "--words-embedding-pooling: 'least' is not one of"),
        (["-m", "wrods:a-16"], "No provider 'wrods'"),
        (["--dimensions", "0"], "'--dimensions': 0 is not in the range"),
    ],
)
def test_what_makes_no_sense_is_named(arguments: list[str], problem: str, tmp_path: Path) -> None:
    """Before anything is done."""
    done = run("rag", "reembed", "--working-dir", str(tmp_path), "-m", "words:a-16", *arguments)

    assert done.exit_code in {1, 2}
    assert problem in done.stderr
