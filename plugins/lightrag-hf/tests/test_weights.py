"""Tests of weights that are not there: an error, and never random numbers."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModel, AutoModelForCausalLM, BertConfig, BertModel

from lightrag_hf._completion import open_completion
from lightrag_hf._gguf import converted
from lightrag_hf._weights import whole_model
from lightrag_hf.options import HFLLMOptions, HFOptions
from ragcore import NotFoundError, OptionsError, ProviderError, RagcoreError, UnsupportedError

Weights = dict[str, torch.Tensor]


def rewrite(folder: Path, change: Callable[[Weights], Weights]) -> None:
    """Change the weights in *folder*."""
    path = folder / "model.safetensors"
    found = {name: weight.contiguous() for name, weight in change(load_file(path)).items()}
    save_file(found, path, metadata={"format": "pt"})


def configure(folder: Path, **said: Any) -> None:
    """Let the configuration in *folder* say something else."""
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | said))


def without(part: str) -> Callable[[Weights], Weights]:
    """Return what leaves out the weights with *part* in their name."""
    return lambda weights: {name: one for name, one in weights.items() if part not in name}


def prefixed(weights: Weights) -> Weights:
    """Return *weights* as a wrapper around the model saves them."""
    return {f"module.{name}": one for name, one in weights.items()}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (without("lm_head"), r"lacks 1 .* LlamaForCausalLM \(lm_head\.weight\)"),
        (without("layers.1."), r"lacks 9 .*model\.layers\.1"),
        (prefixed, r"has others \(module\.lm_head\.weight"),
    ],
)
def test_missing_weights_are_an_error(save_model: Any, change: Any, said: str) -> None:
    """Some of them, or all of them under other names."""
    folder = save_model()
    rewrite(folder, change)

    with pytest.raises(UnsupportedError, match=said):
        whole_model(AutoModelForCausalLM, "tiny", folder)


def test_tied_weights_stand_in_the_file_once(save_model: Any, tiny_model: Any) -> None:
    """The head of such a model is its embedding."""
    folder = save_model(tiny_model(tie_word_embeddings=True))

    assert "lm_head.weight" not in load_file(folder / "model.safetensors")
    assert whole_model(AutoModelForCausalLM, "tiny", folder)


SIZES: dict[str, Any] = {
    "vocab_size": 20,
    "hidden_size": 16,
    "intermediate_size": 16,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
}


def test_a_pooler_may_be_missing(tmp_path: Path) -> None:
    """Vectors are made without it."""
    BertModel(BertConfig(**SIZES)).save_pretrained(tmp_path)
    rewrite(tmp_path, without("pooler"))

    assert whole_model(AutoModel, "tiny", tmp_path)


@pytest.mark.parametrize(
    "change",
    [
        without("intermediate"),
        lambda weights: weights | {"encoder.layer.0.mlp.gate.weight": torch.ones(2)},
    ],
)
def test_code_that_the_weights_need_is_asked_for(tmp_path: Path, change: Any) -> None:
    """transformers has a class of that name too, which has no place for them."""
    BertModel(BertConfig(**SIZES)).save_pretrained(tmp_path)
    configure(tmp_path, auto_map={"AutoModel": "modeling_own.OwnModel"})
    rewrite(tmp_path, change)

    with pytest.raises(OptionsError, match="pass trust_remote_code=True"):
        whole_model(AutoModel, "tiny", tmp_path)


def test_code_that_nothing_needs_is_left_alone(tmp_path: Path) -> None:
    """Many models have been taken into transformers since; heads are not asked for."""
    BertModel(BertConfig(**SIZES)).save_pretrained(tmp_path)
    configure(tmp_path, auto_map={"AutoModel": "modeling_own.OwnModel"})
    rewrite(tmp_path, lambda weights: weights | {"cls.predictions.bias": torch.ones(2)})

    assert whole_model(AutoModel, "tiny", tmp_path)


async def failure(folder: Path) -> RagcoreError:
    """Return what opening the model in *folder* raises."""
    options = HFLLMOptions(device="cpu", keep_alive=0.0)
    with pytest.raises(RagcoreError) as caught:
        async with open_completion(HFOptions(), str(folder), options):
            pass
    return caught.value


POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 1234\n"


@pytest.mark.parametrize("name", ["model.safetensors", "tokenizer.json", "config.json"])
async def test_a_pointer_of_git_lfs_is_told(save_model: Any, name: str) -> None:
    """It stands where the file should."""
    folder = save_model()
    (folder / name).write_bytes(POINTER)

    error = await failure(folder)

    assert isinstance(error, NotFoundError)
    assert name in str(error)
    assert "git lfs pull" in str(error)


def cut(folder: Path) -> None:
    """Leave the last weights out of their file."""
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-100])


def name_a_shard(folder: Path) -> None:
    """Let an index name a file that is not there."""
    names = load_file(folder / "model.safetensors")
    index = {"metadata": {}, "weight_map": dict.fromkeys(names, "model-00001-of-00002.safetensors")}
    (folder / "model.safetensors").unlink()
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))


def pickle(folder: Path) -> None:
    """Save something else than weights."""
    (folder / "model.safetensors").unlink()
    torch.save({"path": folder}, folder / "pytorch_model.bin")


def add_adapter(folder: Path) -> None:
    """Add an adapter to a whole model."""
    (folder / "adapter_config.json").write_text('{"base_model_name_or_path": "org/base"}')


def keep_adapter(folder: Path) -> None:
    """Leave an adapter alone."""
    add_adapter(folder)
    (folder / "config.json").unlink()


@pytest.mark.parametrize(
    ("change", "kind", "said"),
    [
        (cut, ProviderError, "damaged.*fetch the model again"),
        (name_a_shard, NotFoundError, "model-00001-of-00002.*fetch the model again"),
        (pickle, ProviderError, "could run code"),
        (add_adapter, UnsupportedError, "adapter of org/base.*merge_and_unload"),
        (keep_adapter, UnsupportedError, "adapter of org/base.*merge_and_unload"),
        (lambda folder: configure(folder, num_hidden_layers=3), UnsupportedError, "lacks 9"),
        (lambda folder: configure(folder, hidden_size=64), UnsupportedError, "other shapes"),
        (lambda folder: configure(folder, is_encoder_decoder=True), UnsupportedError, "an encoder"),
        (lambda folder: configure(folder, hidden_size="big"), UnsupportedError, "hidden_size"),
    ],
    ids=lambda value: getattr(value, "__name__", None),
)
async def test_files_that_do_not_make_a_model_are_told(
    save_model: Any, change: Any, kind: type[RagcoreError], said: str
) -> None:
    """Each with what to do."""
    folder = save_model()
    change(folder)

    error = await failure(folder)

    assert isinstance(error, kind)
    assert re.search(said, str(error))


def test_a_part_of_a_split_gguf_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By its name; under another name, by the weights that it lacks."""
    monkeypatch.setenv("RAGCORE_CACHE_DIR", str(tmp_path / "cache"))
    part, renamed = tmp_path / "tiny-00001-of-00002.gguf", tmp_path / "tiny.gguf"
    write_half(part)
    renamed.write_bytes(part.read_bytes())

    with pytest.raises(UnsupportedError, match="llama-gguf-split --merge"):
        converted(part, torch.float32)
    with pytest.raises(UnsupportedError, match=r"lacks 9 .*model\.layers\.1"):
        converted(renamed, torch.float32)


def write_half(path: Path) -> None:
    """Write a Llama of two layers, of which only the first has weights."""
    words = ["a", "b", "c", "<s>", "</s>"]
    writer = gguf.GGUFWriter(str(path), "llama")
    writer.add_context_length(128)
    writer.add_embedding_length(32)
    writer.add_block_count(2)
    writer.add_feed_forward_length(32)
    writer.add_head_count(4)
    writer.add_head_count_kv(4)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_rope_dimension_count(8)
    writer.add_vocab_size(len(words))
    writer.add_tokenizer_model("gpt2")
    writer.add_token_list(words)
    writer.add_token_merges(["a b"])
    writer.add_bos_token_id(3)
    writer.add_eos_token_id(4)
    shapes = {"token_embd": (len(words), 32), "output": (len(words), 32), "output_norm": (32,)}
    square = ("attn_q", "attn_k", "attn_v", "attn_output", "ffn_gate", "ffn_up", "ffn_down")
    shapes |= {f"blk.0.{name}": (32, 32) for name in square}
    shapes |= {f"blk.0.{name}": (32,) for name in ("attn_norm", "ffn_norm")}
    for name, shape in shapes.items():
        writer.add_tensor(f"{name}.weight", np.ones(shape, np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
