"""Tests of completion, from a model's name to its answer."""

import asyncio
import os
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import (
    AutoModelForCausalLM,
    BertConfig,
    BertModel,
    MistralConfig,
    MistralForCausalLM,
)

from lightrag_hf._completion import HFCompletion, open_completion
from lightrag_hf.options import HFLLMOptions, HFOptions
from ragcore import (
    Completion,
    CompletionRequest,
    ContextLengthError,
    InvalidRequestError,
    Message,
    NotFoundError,
    OptionsError,
    UnsupportedError,
    Usage,
    assistant,
    user,
)

QUESTION = user("What is the capital of France?")
COUNT = user("Count from 1 to 20, with commas.")

SaveModel = Callable[..., Path]
TinyModel = Callable[..., Any]


def on_cpu(**wanted: Any) -> HFLLMOptions:
    """Return options by which a model runs on the CPU, and is freed after the test."""
    return HFLLMOptions(device="cpu", keep_alive=0.0, **wanted)


def request(*messages: Message, **options: Any) -> CompletionRequest:
    """Return a request as the host makes it; *max_output_tokens* is no option."""
    limit = options.pop("max_output_tokens", None)
    return CompletionRequest(tuple(messages), on_cpu(**options), max_output_tokens=limit)


@pytest.fixture
async def smollm2(smollm2_gguf: Path, model_cache: Path) -> AsyncIterator[HFCompletion]:
    """Return the real model, loaded."""
    options = HFLLMOptions(device="cpu")
    async with open_completion(HFOptions(), str(smollm2_gguf), options) as backend:
        yield backend


@pytest.fixture
async def tiny(save_model: SaveModel) -> AsyncIterator[HFCompletion]:
    """Return a tiny model, loaded from a folder."""
    async with open_completion(HFOptions(), str(save_model()), on_cpu()) as backend:
        yield backend


async def open_and_ask(folder: Path, *messages: Message, **options: Any) -> Completion:
    """Open the model in *folder* and ask it."""
    async with open_completion(HFOptions(), str(folder), on_cpu()) as backend:
        return await backend.complete(request(*messages, **options))


async def test_a_real_model_answers(smollm2: HFCompletion) -> None:
    """A GGUF file is a model that knows France."""
    found = await smollm2.complete(request(QUESTION))

    assert found.text == "The capital of France is Paris."
    assert found.finish_reason == "stop"
    assert found.usage == Usage(37, 8)


async def test_the_real_model_says_the_same_in_company(smollm2: HFCompletion) -> None:
    """Greedy and seeded answers are those of generate(), eight at once and one by one."""
    model, tokenizer = smollm2._engine.model, smollm2._engine.tokenizer
    questions = [user(f"Name {n} things that one may find in a kitchen.") for n in range(2, 10)]

    def expected(message: Any, seed: int | None) -> str:
        turns = [{"role": "user", "content": message.content}]
        inputs = tokenizer.apply_chat_template(
            turns, add_generation_prompt=True, return_tensors="pt"
        )
        torch.manual_seed(seed or 0)
        tokens = model.generate(**inputs, max_new_tokens=10, do_sample=seed is not None)
        answer = tokens[0, inputs["input_ids"].shape[1] :]
        return str(tokenizer.decode(answer, skip_special_tokens=True))

    for seed in (None, 11):
        sampling = {"seed": seed, "do_sample": seed is not None}
        asked = [request(question, max_new_tokens=10, **sampling) for question in questions]
        wanted = [expected(question, seed) for question in questions]
        at_once = await asyncio.gather(*[smollm2.complete(one) for one in asked])
        alone = [await smollm2.complete(one) for one in asked]

        assert [found.text for found in at_once] == wanted
        assert [found.text for found in alone] == wanted


async def test_streaming_comes_token_by_token(smollm2: HFCompletion) -> None:
    """The chunks join to the answer, and only the last has the reason."""
    chunks = [chunk async for chunk in smollm2.stream(request(QUESTION))]

    *before, last = chunks
    assert "".join(chunk.text for chunk in chunks) == "The capital of France is Paris."
    assert len(chunks) == 8
    assert last.finish_reason == "stop"
    assert all(chunk.finish_reason is None and chunk.usage is None for chunk in before)


async def test_a_stop_string_ends_the_answer_and_is_not_in_it(smollm2: HFCompletion) -> None:
    """Stop strings end an answer, also where a token has only a part of them."""
    whole = (await smollm2.complete(request(QUESTION))).text

    found = await smollm2.complete(request(QUESTION, stop=["ce is Par", "nowhere"]))

    assert found.text == whole.partition("ce is Par")[0]
    assert found.finish_reason == "stop"


@pytest.mark.parametrize("name", ["max_new_tokens", "max_output_tokens"])
async def test_a_cut_answer_says_so(smollm2: HFCompletion, name: str) -> None:
    """The token limit is the reason, however it was set."""
    found = await smollm2.complete(request(COUNT, **{name: 6}))

    assert found.finish_reason == "length"
    assert found.usage is not None
    assert found.usage.output_tokens == 6


async def test_nothing_is_computed_on_the_event_loops_thread(tiny: HFCompletion) -> None:
    """Prompts are read, and models run, in other threads."""
    threads: set[str] = set()
    tokenizer, model = tiny._engine.tokenizer, tiny._engine.model
    render = tokenizer.apply_chat_template

    def note(*args: Any, **wanted: Any) -> Any:
        threads.add(threading.current_thread().name)
        return render(*args, **wanted)

    tokenizer.apply_chat_template = note
    model.register_forward_hook(lambda *_: threads.add(threading.current_thread().name))
    await tiny.complete(request(user("Hi"), max_new_tokens=3))

    assert len(threads) == 2
    assert threading.current_thread().name not in threads


async def test_without_a_limit_the_answer_fills_the_window(tiny: HFCompletion) -> None:
    """An answer goes on to the end of num_ctx, not to generate()'s 20 tokens."""
    tiny._engine._eos = frozenset()
    found = await tiny.complete(request(user("Hi"), num_ctx=120))

    assert found.usage is not None
    assert found.usage.total_tokens == 120
    assert found.finish_reason == "length"


async def test_a_prompt_over_the_window_is_an_error(tiny: HFCompletion) -> None:
    """Both numbers are named, for the window that was asked for and for the model's own."""
    with pytest.raises(ContextLengthError, match=r"\d+ tokens, and the context window 40"):
        await tiny.complete(request(user("Hi" * 30), num_ctx=40))
    with pytest.raises(ContextLengthError, match="context window 512"):
        await tiny.complete(request(user("Hi" * 600), num_ctx=4000))


async def test_num_ctx_raises_the_window_of_scaled_rope(
    save_model: SaveModel, tiny_model: TinyModel
) -> None:
    """Its frequencies reach beyond what the model's file says."""
    rope = {"rope_type": "linear", "rope_theta": 10_000.0, "factor": 4.0}
    folder = save_model(tiny_model(rope_parameters=rope, max_position_embeddings=64))
    long = user("Hi" * 40)

    with pytest.raises(ContextLengthError, match="context window 64"):
        await open_and_ask(folder, long)
    found = await open_and_ask(folder, long, num_ctx=200, max_new_tokens=3)

    assert found.usage is not None
    assert found.usage.total_tokens > 64
    with pytest.raises(ContextLengthError, match="context window 256"):
        await open_and_ask(folder, user("Hi" * 150), num_ctx=1000)


async def test_options_out_of_range_are_errors(tiny: HFCompletion) -> None:
    """What no model could follow is refused by name."""
    with pytest.raises(OptionsError, match="temperature"):
        await tiny.complete(request(user("Hi"), temperature=-0.5))


async def test_the_templates_objection_is_an_error(tiny: HFCompletion) -> None:
    """What the template refuses, the caller hears."""
    with pytest.raises(InvalidRequestError, match="The user has to begin"):
        await tiny.complete(request(assistant("Hello"), user("Hi")))


async def test_leaving_a_stream_stops_it(tiny: HFCompletion) -> None:
    """Who stops reading stops the generation."""
    tiny._engine._eos = frozenset()
    passes: list[int] = []
    tiny._engine.model.register_forward_hook(lambda *_: passes.append(1))

    async with aclosing(tiny.stream(request(user("Hi")))) as chunks:
        async for _ in chunks:
            break
    left_after = len(passes)
    await asyncio.sleep(0.3)

    assert len(passes) - left_after <= 5


async def test_settings_of_the_model_are_followed(
    save_model: SaveModel, tiny_model: TinyModel
) -> None:
    """Its generation_config says how long, until when, and how an answer is."""
    model = tiny_model()
    model.generation_config.max_new_tokens = 3
    model.generation_config.eos_token_id = None

    found = await open_and_ask(save_model(model), user("Hi"))

    assert found.usage is not None
    assert found.usage.output_tokens <= 3


async def test_a_model_without_a_chat_template_is_an_error(save_model: SaveModel) -> None:
    """No template, no prompt, no answer."""
    folder = save_model()
    (folder / "chat_template.jinja").unlink()

    with pytest.raises(UnsupportedError, match="chat template"):
        await open_and_ask(folder, user("Hi"))


async def test_an_encoder_is_no_completion_model(save_model: SaveModel) -> None:
    """A model that only embeds is refused before half of it would be random."""
    encoder = BertModel(
        BertConfig(
            vocab_size=259,
            hidden_size=16,
            num_hidden_layers=1,
            num_attention_heads=2,
            intermediate_size=16,
        )
    )

    with pytest.raises(UnsupportedError, match="BertModel"):
        await open_and_ask(save_model(encoder), user("Hi"))


async def test_a_folder_without_tokenizer_is_an_error(save_model: SaveModel) -> None:
    """The error says which files are missing."""
    with pytest.raises(UnsupportedError, match=r"tokenizer\.json"):
        await open_and_ask(save_model(tokenizer=None), user("Hi"))


async def test_a_missing_folder_is_an_error(tmp_path: Path) -> None:
    """The error says which one, and from where it was looked for."""
    with pytest.raises(NotFoundError, match="nothing-here"):
        await open_and_ask(tmp_path / "nothing-here", user("Hi"))


async def test_callers_of_one_model_share_it(save_model: SaveModel) -> None:
    """Two who ask for the same model, with other options per call, have one engine."""
    folder = str(save_model())
    first, second = on_cpu(), on_cpu(temperature=0.5)
    async with (
        open_completion(HFOptions(), folder, first) as one,
        open_completion(HFOptions(), folder, second) as other,
    ):
        assert one._engine is other._engine


async def test_weights_have_the_type_that_was_asked_for(save_model: SaveModel) -> None:
    """On a CPU the default is float32, in which batches change no answer."""
    folder = save_model(AutoModelForCausalLM.from_pretrained(save_model()).bfloat16())
    for dtype, wanted in (("auto", torch.float32), ("bfloat16", torch.bfloat16)):
        async with open_completion(HFOptions(), str(folder), on_cpu(dtype=dtype)) as backend:
            assert backend._engine.model.dtype == wanted


FORK = """
import asyncio, os, sys
from lightrag_hf._completion import open_completion
from lightrag_hf.options import HFLLMOptions, HFOptions
from ragcore import CompletionRequest, user

async def ask():
    options = HFLLMOptions(device="cpu", max_new_tokens=8)
    async with open_completion(HFOptions(), sys.argv[1], options) as backend:
        found = await backend.complete(CompletionRequest((user("Hi"),), options))
        return found.text.encode()

in_parent = asyncio.run(ask())
child = os.fork()
if child == 0:
    sys.exit(3 if asyncio.run(ask()) == in_parent else 4)
_, status = os.waitpid(child, 0)
print(os.waitstatus_to_exitcode(status))
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_a_forked_child_loads_its_own_model_and_answers(save_model: SaveModel) -> None:
    """A fork after a model has answered leaves the child one that works, and a clean exit."""
    done = subprocess.run(  # noqa: S603  # our own interpreter
        [sys.executable, "-c", FORK, str(save_model())],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )

    assert (done.returncode, done.stdout) == (0, "3\n"), done.stderr


async def test_a_seed_is_followed_where_generate_answers(
    save_model: SaveModel, tiny_model: TinyModel
) -> None:
    """Models that can't share a cache give the same answer for the same seed, one after another."""
    folder = save_model(tiny_model(MistralForCausalLM, MistralConfig, sliding_window=16))
    asked = request(user("Hi"), seed=5, temperature=1.5, max_new_tokens=12)

    async with open_completion(HFOptions(), str(folder), on_cpu()) as backend:
        found = await asyncio.gather(*[backend.complete(asked) for _ in range(3)])

    assert len({answer.text for answer in found}) == 1


@pytest.mark.parametrize("least", [None, 6])
@pytest.mark.parametrize("of_model", [256, [256, 257], None])
async def test_an_answer_ends_where_model_or_tokenizer_say(
    save_model: SaveModel, tiny_model: TinyModel, of_model: Any, least: int | None
) -> None:
    """Ends of both count; before min_new_tokens none does."""
    model = tiny_model()
    with torch.no_grad():
        for weights in model.parameters():
            weights.zero_()
        model.model.embed_tokens.weight.fill_(1.0)
        model.model.norm.weight.fill_(1.0)
        # Whatever is asked, the model says where the tokenizer ends.
        model.lm_head.weight[258] = 1.0
    model.generation_config.eos_token_id = of_model
    model.generation_config.min_new_tokens = least

    found = await open_and_ask(save_model(model), user("Hi"), max_new_tokens=20, top_k=1)

    assert found.finish_reason == "stop"
    assert found.usage is not None
    assert found.usage.output_tokens == 1 + (least or 0)
