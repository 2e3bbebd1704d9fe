"""LightRAG's functions for models on this machine, imported from here."""

from __future__ import annotations

import asyncio
import base64
import gc
import os
import subprocess
import sys
import threading
import weakref
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from transformers import BertConfig, BertModel

import lightrag_hf
from lightrag_hf import (
    _foreign,
    hf_embed,
    hf_model_complete,
    hf_model_if_cache,
    initialize_hf_model,
)
from ragcore import OptionsError, ProviderError, UnsupportedError
from ragcore.lightrag import aclose

TEXTS = ["a", "a text", "a text that is longer than the others", ""]


@pytest.fixture
def encoder(tiny_model: Callable[..., Any]) -> Any:
    """Return a model that embeds, with random weights."""
    return tiny_model(BertModel, BertConfig)


class Given:
    """A model of a caller's that notes what becomes of it; three numbers a token."""

    def __init__(self, hidden: Any = None, device: str = "cpu") -> None:
        self.hidden = torch.ones(1, 2, 3) if hidden is None else hidden
        self.device = torch.device(device)
        self.moves: list[torch.device] = []
        self.threads: list[int] = []

    def to(self, device: torch.device) -> Given:
        self.moves.append(device)
        return self

    def parameters(self) -> Any:
        yield torch.zeros(1, device=self.device)

    def __call__(self, input_ids: Any, attention_mask: Any) -> Any:
        self.threads.append(threading.get_ident())
        return SimpleNamespace(last_hidden_state=self.hidden[: len(input_ids)])


class Read(dict[str, Any]):
    """What a tokenizer makes of texts; it notes where it is put."""

    def to(self, device: torch.device) -> Read:
        self["device"] = device
        return self


class Reader:
    """A tokenizer that knows nothing but the arguments LightRAG calls it with."""

    def __init__(self, *mask: list[int]) -> None:
        self.mask = torch.tensor(mask or ([1, 1],))
        self.read = Read()

    def __call__(self, texts: Any, return_tensors: str, padding: bool, truncation: bool) -> Read:
        self.read = Read(input_ids=self.mask[: len(texts)], attention_mask=self.mask[: len(texts)])
        return self.read


# --- hf_embed -------------------------------------------------------------------------------


async def test_a_vector_is_the_mean_over_the_tokens_of_its_text(
    encoder: Any, tiny_tokenizer: Any
) -> None:
    """Whatever stands beside it; in the order of the texts, and not normalised."""
    texts = TEXTS[:3]
    found = await hf_embed(texts, tokenizer=tiny_tokenizer, embed_model=encoder)

    with torch.no_grad():
        alone = [
            encoder(**tiny_tokenizer(text, return_tensors="pt")).last_hidden_state[0].mean(0)
            for text in texts
        ]
    assert (found.shape, found.dtype) == ((3, 32), np.float32)
    np.testing.assert_allclose(found, np.stack(alone), atol=1e-5)
    assert (np.abs(np.linalg.norm(found, axis=1) - 1) > 0.01).all()


async def test_padding_counts_nothing() -> None:
    """A row that is nothing but padding is zero, and no division by zero."""
    hidden = torch.tensor([[[2.0], [9.0]], [[9.0], [9.0]]])
    tokenizer = Reader([1, 0], [0, 0])

    found = await hf_embed(["a", "b"], tokenizer, Given(hidden))

    np.testing.assert_array_equal(found, [[2.0], [0.0]])


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float32])
async def test_vectors_are_float32(dtype: torch.dtype) -> None:
    """The sum too: halves overflow at 65,504."""
    found = await hf_embed(["a"], Reader(), Given(torch.full((1, 2, 3), 60000.0, dtype=dtype)))

    assert found.dtype == np.float32
    np.testing.assert_allclose(found, 60000.0, rtol=0.01)


async def test_a_text_is_cut_where_the_model_ends(encoder: Any, tiny_tokenizer: Any) -> None:
    """Also where the tokenizer knows no limit; or before, at max_token_size."""
    short, long = "a" * 512, "a" * 9000

    whole, cut = await hf_embed([short, long], tiny_tokenizer, encoder)
    [sooner] = await hf_embed.func(["a" * 20 + "b"], tiny_tokenizer, encoder, max_token_size=20)
    [as_short] = await hf_embed(["a" * 20], tiny_tokenizer, encoder)

    np.testing.assert_allclose(cut, whole, atol=1e-5)
    np.testing.assert_allclose(sooner, as_short, atol=1e-5)


async def test_what_is_embedded_at_once_is_bounded(encoder: Any, tiny_tokenizer: Any) -> None:
    """Long texts go in small batches; the vectors stay in order."""
    texts = [str(number) * 100 * (number % 5 + 1) for number in range(60)]
    shapes: list[tuple[int, ...]] = []
    hook = encoder.register_forward_pre_hook(
        lambda _, __, given: shapes.append(tuple(given["input_ids"].shape)), with_kwargs=True
    )

    found = await hf_embed(texts, tiny_tokenizer, encoder)

    hook.remove()
    [last] = await hf_embed(texts[-1:], tiny_tokenizer, encoder)
    assert len(shapes) > 1
    assert max(rows * columns for rows, columns in shapes) <= 8192
    np.testing.assert_allclose(found[-1], last, atol=1e-5)


async def test_prefixes_go_before_texts(encoder: Any, tiny_tokenizer: Any) -> None:
    """One before queries, another one before documents."""
    prefixes = {"query_prefix": "query: ", "document_prefix": "passage: "}

    query = await hf_embed(["x"], tiny_tokenizer, encoder, context="query", **prefixes)
    document = await hf_embed(["x"], tiny_tokenizer, encoder, **prefixes)
    plain = await hf_embed(["query: x", "passage: x"], tiny_tokenizer, encoder)

    np.testing.assert_allclose(np.concatenate([query, document]), plain, atol=1e-5)


async def test_a_model_on_the_cpu_goes_to_the_best_device(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The texts go where it is."""
    monkeypatch.setattr(_foreign, "choose_device", lambda _: torch.device("cuda"))
    model, tokenizer = Given(), Reader()

    await hf_embed(["a"], tokenizer, model)

    assert model.moves == [torch.device("cuda")]
    assert tokenizer.read["device"] == torch.device("cuda")


@pytest.mark.parametrize(
    ("placed", "device", "texts_on"),
    [(True, "cpu", "cpu"), (True, "meta", "cpu"), (False, "meta", "meta")],
)
async def test_a_model_that_was_placed_stays(
    placed: bool, device: str, texts_on: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By accelerate, in parts on disk perhaps, or by its caller."""
    monkeypatch.setattr(_foreign, "choose_device", lambda _: torch.device("cuda"))
    model, tokenizer = Given(device=device), Reader()
    if placed:
        model.hf_device_map = {"": device}  # type: ignore[attr-defined]  # as accelerate does

    await hf_embed(["a"], tokenizer, model)

    assert model.moves == []
    assert tokenizer.read["device"] == torch.device(texts_on)


async def test_it_computes_beside_the_event_loop() -> None:
    """In one thread, since a tokenizer serves one at a time."""
    model = Given()

    await asyncio.gather(*(hf_embed(["a"], Reader(), model) for _ in range(5)))

    assert len(set(model.threads)) == 1
    assert model.threads[0] != threading.get_ident()


async def test_a_call_that_is_given_up_while_it_waits_does_not_run() -> None:
    """The call before it goes on."""
    going, may_end = threading.Event(), threading.Event()
    model = Given()

    class Slow(Given):
        def __call__(self, input_ids: Any, attention_mask: Any) -> Any:
            going.set()
            may_end.wait(5)
            return super().__call__(input_ids, attention_mask)

    first = asyncio.create_task(hf_embed(["a"], Reader(), Slow()))
    await asyncio.to_thread(going.wait, 5)
    second = asyncio.create_task(hf_embed(["a"], Reader(), model))
    await asyncio.sleep(0)
    second.cancel()
    with pytest.raises(asyncio.CancelledError):
        await second
    may_end.set()
    await first
    await hf_embed(["a"], Reader(), Given())

    assert model.threads == []


async def test_what_a_call_brings_is_let_go(tiny_model: Any, tiny_tokenizer: Any) -> None:
    """LightRAG's own example loads the model in every call."""
    model = tiny_model(BertModel, BertConfig)
    there = weakref.ref(model)

    await hf_embed(["a"], tiny_tokenizer, model)
    del model
    gc.collect()

    assert there() is None


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_forked_child_embeds() -> None:
    """What its parent has computed with is not there any more."""
    code = """
import asyncio, os, sys
import test_compat
from lightrag_hf import hf_embed
def embed():
    return asyncio.run(hf_embed(["a"], test_compat.Reader(), test_compat.Given()))
embed()
child = os.fork()
if child == 0:
    os._exit(0 if embed().shape == (1, 3) else 1)
sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join([str(Path(__file__).parent), *sys.path]),
    }
    command = [sys.executable, "-W", "ignore", "-c", code]
    done = subprocess.run(command, env=environment, timeout=120, check=False)  # noqa: S603

    assert done.returncode == 0


async def test_nothing_gives_nothing() -> None:
    """An empty list, no vectors."""
    assert (await hf_embed([], Reader(), Given())).shape == (0, 0)


async def test_what_is_no_list_of_texts_is_refused() -> None:
    """The characters of a str are no texts."""
    with pytest.raises(OptionsError, match="pass a list"):
        await hf_embed("text", Reader(), Given())


async def test_errors_are_of_the_tree(tiny_model: Any, tiny_tokenizer: Any) -> None:
    """A model that completes has no hidden states; memory may run out."""

    class Full(Given):
        def __call__(self, input_ids: Any, attention_mask: Any) -> Any:
            raise torch.OutOfMemoryError("CUDA out of memory")

    with pytest.raises(UnsupportedError, match="load it by AutoModel"):
        await hf_embed(["a"], tiny_tokenizer, tiny_model())
    with pytest.raises(ProviderError, match="not enough memory for 'Full'"):
        await hf_embed(["a"], Reader(), Full())


# --- completion -----------------------------------------------------------------------------


async def test_a_model_of_this_machine_answers(save_model: Any) -> None:
    """An answer that was cut says so; a tracker is told; there is a stream."""
    counted: list[dict[str, int]] = []
    name = str(save_model())
    cache = SimpleNamespace(global_config={"llm_model_name": name})

    cut = await hf_model_if_cache(
        name,
        "Who wrote Faust?",
        "Be brief.",
        [{"role": "user", "content": "Hello."}],
        max_tokens=9,
        max_new_tokens=1,
        temperature=0.0,
        token_tracker=SimpleNamespace(add_usage=counted.append),
        hashing_kv=None,
    )
    pieces = await hf_model_complete(
        "Who?", None, [], False, False, True, hashing_kv=cache, stream=True, max_tokens=5
    )
    streamed = "".join([piece async for piece in pieces])

    await aclose()
    assert type(cut).__name__ == "TruncatedResponse"
    assert streamed
    [usage] = counted
    assert usage["completion_tokens"] == 1


async def test_images_are_refused(save_model: Any) -> None:
    """The original answers as if there were none."""
    picture = base64.b64encode(b"\x89PNG\r\n\x1a\n" + bytes(20)).decode()
    with pytest.raises(UnsupportedError, match="does not look at images"):
        await hf_model_if_cache(str(save_model()), "What is it?", image_inputs=[picture])
    await aclose()


async def test_a_model_is_loaded_once(
    save_model: Any, tiny_tokenizer: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """The functions that answer ask the copy that is handed out, which has a padding token."""
    caplog.set_level("INFO", "lightrag_hf")
    tiny_tokenizer.pad_token, kept = None, tiny_tokenizer.pad_token
    name = str(save_model())
    tiny_tokenizer.pad_token = kept

    model, tokenizer = initialize_hf_model(name)
    again, _ = initialize_hf_model(name)
    await hf_model_if_cache(name, "Who?", max_tokens=2)
    read = tokenizer(["Who?", "No"], return_tensors="pt", padding=True)
    written = model.generate(**read, max_new_tokens=2)

    await aclose()
    assert again is model
    assert caplog.text.count(f"Loaded {name}") == 1
    assert tokenizer.pad_token == tokenizer.eos_token
    assert written.shape[1] == read["input_ids"].shape[1] + 2


# --- the module -----------------------------------------------------------------------------


def test_importing_the_names_imports_no_torch() -> None:
    """Not before a model is asked: a server imports, forks, and then asks."""
    code = "import sys, lightrag_hf; [getattr(lightrag_hf, n) for n in lightrag_hf.__all__]; "
    code += "sys.exit('torch' in sys.modules or 'transformers' in sys.modules)"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run([sys.executable, "-c", code], env=environment, check=False)  # noqa: S603

    assert done.returncode == 0


def test_an_unknown_name_is_none() -> None:
    """The module serves the names that it lists."""
    with pytest.raises(AttributeError, match="has no attribute 'hf_rerank'"):
        _ = lightrag_hf.hf_rerank
