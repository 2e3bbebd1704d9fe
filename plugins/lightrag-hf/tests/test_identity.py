"""Tests of what a model says decides about its vectors, and of indexes that it has made."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import BertConfig, BertModel, PreTrainedTokenizerFast

import ragcore
from lightrag_hf._describe import identity
from lightrag_hf.options import HFEmbeddingOptions
from ragcore import EmbeddingIdentityError, EmbeddingRequest, Embeddings, Secret, UnsupportedError
from ragcore.lightrag import aclose, embedding_func
from ragcore.testing import Script, scripted

FIRST, SECOND, THIRD = "a" * 40, "b" * 40, "c" * 40
MODULES = [
    {"idx": 0, "name": "0", "path": "", "type": "sentence_transformers.models.Transformer"},
    {"idx": 1, "name": "1", "path": "1_Pooling", "type": "sentence_transformers.models.Pooling"},
]

SaveEncoder = Callable[..., Path]


@pytest.fixture
def save_encoder(
    tmp_path: Path, tiny_model: Any, tiny_tokenizer: PreTrainedTokenizerFast
) -> SaveEncoder:
    """Return what saves an encoder with random weights, as sentence-transformers would."""

    def save(name: str, seed: int = 0, **wanted: Any) -> Path:
        folder = tmp_path / "models" / name
        model = tiny_model(BertModel, BertConfig, **{"initializer_range": 0.2, **wanted})
        with torch.no_grad():
            generator = torch.Generator().manual_seed(seed)
            for weight in model.parameters():
                weight.normal_(0, 0.2, generator=generator)
        model.save_pretrained(folder)
        tiny_tokenizer.save_pretrained(folder)
        (folder / "modules.json").write_text(json.dumps(MODULES))
        (folder / "1_Pooling").mkdir(exist_ok=True)
        pooling = {"pooling_mode_mean_tokens": True, "word_embedding_dimension": 32}
        (folder / "1_Pooling/config.json").write_text(json.dumps(pooling))
        return folder

    return save


def put_on_hub(cache: Path, folder: Path, commit: str, name: str = "main") -> None:
    """Have *folder* as the model ``org/tiny`` in the hub's cache, at *commit*, which *name* is."""
    there = cache / "models--org--tiny"
    for path in (path for path in folder.rglob("*") if path.is_file()):
        blob = there / "blobs" / hashlib.sha256(path.read_bytes()).hexdigest()
        link = there / "snapshots" / commit / path.relative_to(folder)
        for parent in (blob.parent, link.parent, there / "refs"):
            parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, blob)
        link.symlink_to(blob)
    (there / "refs" / name).write_text(commit)


async def embeds(index: Path, model: str, **options: Any) -> None:
    """Do what LightRAG does when it stores vectors."""
    await embedding_func(model, working_dir=index, device="cpu", **options)(["A text."])


# --- what a model says ----------------------------------------------------------------------


def test_a_model_says_what_decides(save_encoder: SaveEncoder) -> None:
    """What its files say, and where they are overridden, what options say."""
    model = save_encoder("model")
    said = identity(str(model), HFEmbeddingOptions())
    overridden: dict[str, Any] = {"pooling": "cls", "normalize": True, "max_length": 9}

    assert said == {
        "dtype": "float32",
        "quantization": None,
        "pooling": "mean",
        "normalize": False,
        "max_length": 512,
        "query_prompt": "",
        "document_prompt": "",
    }
    assert identity(str(model), HFEmbeddingOptions(**overridden)) == {**said, **overridden}


@pytest.mark.parametrize(
    ("stored", "asked", "said"),
    [
        ("float32", "auto", "float32"),
        ("float32", "bfloat16", "bfloat16"),
        ("bfloat16", "auto", "bfloat16"),
        ("bfloat16", "float32", "bfloat16"),
        ("bfloat16", "float16", "float16"),
    ],
)
def test_a_number_type_that_holds_the_weights_decides_nothing(
    stored: str, asked: Any, said: str, save_encoder: SaveEncoder
) -> None:
    """On a CPU, weights of 16 bits become float32: they are the same numbers."""
    model = save_encoder("model")
    config = json.loads((model / "config.json").read_text())
    (model / "config.json").write_text(json.dumps({**config, "dtype": stored}))

    assert identity(str(model), HFEmbeddingOptions(dtype=asked))["dtype"] == said


# --- what an index takes --------------------------------------------------------------------

CHANGES: dict[str, dict[str, Any]] = {
    "pooling": {"pooling": "cls"},
    "normalize": {"normalize": True},
    "query_prompt": {"query_prompt": "query: "},
    "document_prompt": {"document_prompt": "passage: "},
    "dtype": {"dtype": "bfloat16"},
    "quantization": {"quantization": "8bit"},
    "max_length": {"max_length": 100},
}


@pytest.mark.parametrize("fact", CHANGES)
async def test_other_options_are_refused(
    fact: str, save_encoder: SaveEncoder, tmp_path: Path
) -> None:
    """By name, with both values, before the model is loaded."""
    model = save_encoder("model")
    await embeds(tmp_path / "index", f"hf:{model}")

    with pytest.raises(EmbeddingIdentityError, match=rf"Different: {fact}\.") as caught:
        await embeds(tmp_path / "index", f"hf:{model}", **CHANGES[fact])

    assert f"{fact}=" in str(caught.value).splitlines()[-1]


@pytest.mark.parametrize(
    ("name", "other"),
    [
        ("another", {"seed": 1}),
        ("model", {"seed": 1}),
        ("another", {"hidden_size": 16}),
        ("model", {"hidden_size": 16}),
    ],
)
async def test_other_weights_are_refused(
    name: str, other: dict[str, Any], save_encoder: SaveEncoder, tmp_path: Path
) -> None:
    """Under another name, and in the same folder."""
    await embeds(tmp_path / "index", f"hf:{save_encoder('model')}", keep_alive=0.0)
    await aclose()  # whoever has it in memory goes on with it
    changed = save_encoder(name, **other)

    with pytest.raises(EmbeddingIdentityError, match=r"Different: (dimensions|what they make)"):
        await embeds(tmp_path / "index", f"hf:{changed}")


async def test_another_revision_is_refused_if_its_weights_are_others(
    save_encoder: SaveEncoder, tmp_path: Path
) -> None:
    """A new commit of the README changes no vector."""
    cache, index = tmp_path / "cache", tmp_path / "index"
    model = save_encoder("model")
    put_on_hub(cache, model, FIRST)
    (model / "README.md").write_text("Now with words.")
    put_on_hub(cache, model, SECOND, "readme")
    put_on_hub(cache, save_encoder("model", seed=1), THIRD, "trained")
    hub = {"cache_dir": cache, "offline": True}

    await embeds(index, "hf:org/tiny", **hub)
    await embeds(index, "hf:org/tiny", revision="readme", **hub)
    with pytest.raises(EmbeddingIdentityError, match=f"{FIRST}.*{THIRD}") as caught:
        await embeds(index, "hf:org/tiny", revision="trained", **hub)

    assert "Different: weights, what they make of the same text" in str(caught.value)
    assert "revision=trained" in str(caught.value)


async def test_the_same_weights_are_accepted(save_encoder: SaveEncoder, tmp_path: Path) -> None:
    """In another folder, by their name on the hub, and with defaults that are said."""
    index, model = tmp_path / "index", save_encoder("model")
    copied = shutil.copytree(model, tmp_path / "copy")
    put_on_hub(tmp_path / "cache", model, FIRST)
    defaults: dict[str, Any] = {
        "pooling": "mean",
        "normalize": False,
        "dtype": "float32",
        "query_prompt": "",
    }

    await embeds(index, f"hf:{model}")
    await embeds(index, f"hf:{copied}")
    await embeds(index, "hf:org/tiny", cache_dir=tmp_path / "cache", offline=True)
    await embeds(index, f"hf:{model}", **defaults)
    await embeds(index, f"hf:{model}", batch_tokens=8, token=Secret("hf_secret"), max_tokens=100)

    assert "hf_secret" not in (index / "ragcore_embedding.json").read_text()


async def test_a_server_of_the_same_weights_is_accepted(
    save_encoder: SaveEncoder, tmp_path: Path
) -> None:
    """It computes a little otherwise, and scales its vectors; one of other weights is refused."""
    index, model = tmp_path / "index", save_encoder("model")
    await embeds(index, f"hf:{model}")

    with scripted():
        server = Script(*await answers_of(model))
        same = embedding_func("scripted:tiny", script=server, dimensions=32, working_dir=index)
        assert (await same(["A text."])).shape == (1, 32)
        server = Script(*await answers_of(save_encoder("other", seed=1)))
        other = embedding_func("scripted:tiny", script=server, dimensions=32, working_dir=index)
        with pytest.raises(EmbeddingIdentityError, match=f"hf:{model} +scripted:tiny"):
            await other(["A text."])


async def answers_of(model: Path) -> list[Callable[[EmbeddingRequest], Embeddings]]:
    """Return what a server of *model* answers to the probes, and to one text."""
    from ragcore.lightrag._identity import PROBES

    noise = np.random.default_rng(0)
    async with ragcore.embedding(f"hf:{model}", device="cpu") as embedder:
        found = (await embedder.embed([*PROBES, "A text."])).vectors
    vectors = found / np.linalg.norm(found, axis=1, keepdims=True)
    vectors += noise.normal(0, 0.002, vectors.shape).astype(np.float32)
    probes, text = Embeddings(vectors[:3]), Embeddings(vectors[3:])
    return [lambda _: probes, lambda _: probes, lambda _: text]


async def test_what_cannot_be_loaded_is_named(save_encoder: SaveEncoder, tmp_path: Path) -> None:
    """A new index is not recorded by a model that does not open."""
    with pytest.raises(UnsupportedError, match="bitsandbytes"):
        await embeds(tmp_path / "index", f"hf:{save_encoder('model')}", quantization="8bit")

    assert not (tmp_path / "index").exists()
