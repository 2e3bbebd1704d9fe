"""Tests of the engine: equality with generate(), sharing, cancelling, failing, closing."""

import asyncio
import gc
import inspect
import logging
import subprocess
import sys
import threading
import weakref
from collections.abc import Callable, Iterator, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import (
    GPT2Config,
    GPT2LMHeadModel,
    LlamaConfig,
    LlamaForCausalLM,
    MistralConfig,
    MistralForCausalLM,
    PreTrainedTokenizerFast,
    Qwen3Config,
    Qwen3ForCausalLM,
)
from transformers.utils.generic import ModelOutput

from lightrag_hf._calls import Ask
from lightrag_hf._engine import Engine
from lightrag_hf._sampling import Sampling
from ragcore import Chunk, InterruptedStreamError, ProviderError, Usage

OpenEngine = Callable[[Any], Engine]
TinyModel = Callable[..., Any]

LENGTH = 24
PROMPTS = [list(range(1 + n, 5 + 7 * n)) for n in range(8)]
SAMPLINGS = [
    {"temperature": 0.7},
    {"temperature": 1.5, "top_k": 0, "top_p": 0.8},
    {"top_k": 20, "top_p": 0.9, "repetition_penalty": 1.3},
    {"top_k": 0, "min_p": 0.1},
]


@pytest.fixture
def open_engine(tiny_tokenizer: PreTrainedTokenizerFast) -> Iterator[OpenEngine]:
    """Return what starts an engine; it is closed after the test."""
    engines: list[Engine] = []

    def start(model: Any) -> Engine:
        engines.append(Engine(model, tiny_tokenizer, "tiny"))
        return engines[-1]

    yield start
    for engine in engines:
        engine.close()


@pytest.fixture
def engine(open_engine: OpenEngine, tiny_model: TinyModel) -> Engine:
    """Return an engine that has a Llama."""
    return open_engine(tiny_model())


async def answer(engine: Engine, prompt: Sequence[int], **wanted: Any) -> str:
    """Return the text of an answer."""
    ask = Ask(prompt=prompt, max_tokens=LENGTH, sampling=Sampling(**wanted))
    return "".join([chunk.text async for chunk in engine.answer(ask)])


def expected(engine: Engine, prompt: Sequence[int], seed: int | None = None, **wanted: Any) -> str:
    """Return what generate() says."""
    if seed is not None:
        torch.manual_seed(seed)
    inputs = torch.tensor([list(prompt)])
    wanted = {"do_sample": seed is not None} | wanted
    tokens = engine.model.generate(
        inputs, attention_mask=torch.ones_like(inputs), max_new_tokens=LENGTH, **wanted
    )
    text: str = engine.tokenizer.decode(tokens[0, len(prompt) :], skip_special_tokens=True)
    return text


async def one_after_the_other(engine: Engine, prompts: Sequence[Sequence[int]]) -> list[str]:
    """Return the answers to *prompts*, each asked when a pass was made since the last one."""
    rows = rows_of_passes(engine.model)
    answers = []
    for prompt in prompts:
        rows.clear()
        answers.append(asyncio.create_task(answer(engine, prompt)))
        while not rows:
            await asyncio.sleep(0)
    return list(await asyncio.gather(*answers))


async def together(engine: Engine, **wanted: Any) -> list[str]:
    return list(await asyncio.gather(*[answer(engine, prompt, **wanted) for prompt in PROMPTS]))


def out_of_memory() -> Exception:
    return torch.OutOfMemoryError("CUDA out of memory.")


class FreeMemory:
    """What psutil says of the machine's memory."""

    def __init__(self, available: int) -> None:
        self.available = available


def fail_when(
    model: Any,
    when: Callable[[torch.Tensor], bool],
    error: Callable[[], Exception] = out_of_memory,
) -> Any:
    """Make forward passes raise an error for certain inputs."""

    def check(_module: Any, _args: Any, inputs: dict[str, Any]) -> None:
        if when(inputs["input_ids"]):
            raise error()

    return model.register_forward_pre_hook(check, with_kwargs=True)


def rows_of_passes(model: Any) -> list[int]:
    """Return a list that will tell of each forward pass how many rows it has."""
    rows: list[int] = []
    model.register_forward_pre_hook(
        lambda _module, _args, inputs: rows.append(len(inputs["input_ids"])), with_kwargs=True
    )
    return rows


@pytest.mark.parametrize(
    ("model_class", "config_class", "names"),
    [
        (LlamaForCausalLM, LlamaConfig, {}),
        (Qwen3ForCausalLM, Qwen3Config, {"head_dim": 8}),
        (GPT2LMHeadModel, GPT2Config, {}),
        (MistralForCausalLM, MistralConfig, {"sliding_window": None}),
        (MistralForCausalLM, MistralConfig, {"sliding_window": 16}),
    ],
)
async def test_greedy_answers_equal_generate_alone_and_together(
    open_engine: OpenEngine,
    tiny_model: TinyModel,
    model_class: Any,
    config_class: Any,
    names: dict[str, Any],
) -> None:
    """Eight answers are the same one by one, at once, and by generate(), for any architecture."""
    engine = open_engine(tiny_model(model_class, config_class, **names))
    wanted = [expected(engine, prompt) for prompt in PROMPTS]

    alone = [await answer(engine, prompt) for prompt in PROMPTS]
    at_once = await together(engine)

    assert alone == wanted
    assert at_once == wanted
    assert len(set(wanted)) > 1


CHANGING: dict[str, dict[str, Any]] = {
    "dynamic": {"factor": 4.0},
    "longrope": {
        "factor": 4.0,
        "original_max_position_embeddings": 64,
        "short_factor": [1.0] * 4,
        "long_factor": [4.0] * 4,
    },
}


@pytest.mark.parametrize("kind", CHANGING)
async def test_company_changes_no_rotary_frequencies(
    open_engine: OpenEngine, tiny_model: TinyModel, kind: str
) -> None:
    """Those of some models depend on the longest of a pass, or of a pass before."""
    rope = {"rope_type": kind, "rope_theta": 10_000.0, **CHANGING[kind]}
    limit = 64 if kind == "dynamic" else 256
    prompts = [[n % 250 for n in range(1, length)] for length in (10, 50, 64, 100)]

    def model() -> Any:
        return tiny_model(rope_parameters=rope, max_position_embeddings=limit)

    engine = open_engine(model())
    found = await asyncio.gather(*(answer(engine, prompt) for prompt in prompts[::-1]))

    alone = [expected(open_engine(model()), prompt) for prompt in prompts[::-1]]
    assert found == alone


@pytest.mark.parametrize("settings", SAMPLINGS)
async def test_seeded_answers_equal_generate_alone_and_together(
    engine: Engine, settings: dict[str, Any]
) -> None:
    """A seed gives the answer that generate() gives after torch.manual_seed, in any company."""
    wanted = [expected(engine, prompt, seed=3, **settings) for prompt in PROMPTS]

    alone = [await answer(engine, p, do_sample=True, seed=3, **settings) for p in PROMPTS]
    at_once = await together(engine, do_sample=True, seed=3, **settings)

    assert alone == wanted
    assert at_once == wanted


async def test_calls_join_while_others_are_answered(engine: Engine) -> None:
    """Who comes later joins the batch, and changes nobody's answer."""
    found = await one_after_the_other(engine, PROMPTS)

    assert found == [expected(engine, prompt) for prompt in PROMPTS]


async def test_fifty_calls_of_very_different_length(
    open_engine: OpenEngine, tiny_model: TinyModel
) -> None:
    """From one token to several pieces of a prompt, each answer is what it is alone."""
    engine = open_engine(tiny_model(max_position_embeddings=4096))
    prompts = [[(7 * n + at) % 250 for at in range(1 + 31 * n % 1500)] for n in range(50)]

    found = await one_after_the_other(engine, prompts)

    assert found == [expected(engine, prompt) for prompt in prompts]


async def test_answers_go_on_while_a_long_prompt_is_read(
    open_engine: OpenEngine, tiny_model: TinyModel
) -> None:
    """Between two pieces of a prompt, each answer under way gets a token."""
    engine = open_engine(tiny_model(max_position_embeddings=4096, eos_token_id=None))
    engine._eos = frozenset()
    long = [n % 250 for n in range(2000)]
    wanted = [expected(engine, prompt) for prompt in (PROMPTS[0], long)]
    columns: list[int] = []
    engine.model.register_forward_pre_hook(
        lambda _module, _args, inputs: columns.append(inputs["input_ids"].shape[1]),
        with_kwargs=True,
    )

    found = await one_after_the_other(engine, [PROMPTS[0], long])

    first, last = columns.index(512), len(columns) - columns[::-1].index(2000 % 512)
    assert found == wanted
    assert columns[first:last] == [512, 1, 512, 1, 512, 1, 2000 % 512]


async def test_a_prompt_nobody_waits_for_is_not_read_to_its_end(
    open_engine: OpenEngine, tiny_model: TinyModel
) -> None:
    """A call that is given up stops being read at the next piece."""
    engine = open_engine(tiny_model(max_position_embeddings=100_000))
    rows = rows_of_passes(engine.model)
    is_given_up = threading.Event()

    def hold(*_: object) -> None:
        # However busy the machine is, the first piece lasts until nobody waits any more.
        is_given_up.wait(60)

    engine.model.register_forward_pre_hook(hold)
    task = asyncio.create_task(answer(engine, [1] * 50_000))
    while not rows:
        await asyncio.sleep(0)
    task.cancel()
    await asyncio.wait([task])
    is_given_up.set()

    assert await answer(engine, PROMPTS[0]) == expected(engine, PROMPTS[0])
    assert len(rows) < 50


async def test_unseeded_answers_differ(engine: Engine) -> None:
    """Without a seed, sampling says something else each time."""
    found = {await answer(engine, PROMPTS[3], do_sample=True, temperature=2.0) for _ in range(4)}

    assert len(found) > 1


async def test_calls_share_forward_passes(engine: Engine) -> None:
    """Eight calls take far fewer passes than eight times one call's."""
    rows = rows_of_passes(engine.model)

    await together(engine)

    assert max(rows) == len(PROMPTS)
    assert len(rows) < 3 * LENGTH


# ``past_key_values``, and since transformers 5.24 ``cache``.
CACHE = list(inspect.signature(LlamaForCausalLM.forward).parameters)[4]


@dataclass
class RenamedOutput(ModelOutput):
    """What a pass returns in a release that has another name for the cache."""

    logits: Any = None
    memory: Any = None


def keep_as_it_is(_model: Any) -> None:
    """Change nothing."""


def rename_cache(model: Any) -> None:
    """Make *model* one of a release that has another name for the cache."""
    forward = model.forward

    def renamed(
        *,
        input_ids: Any,
        attention_mask: Any = None,
        position_ids: Any = None,
        memory: Any = None,
        **settings: Any,
    ) -> RenamedOutput:
        settings |= {CACHE: memory, "position_ids": position_ids}
        output = forward(input_ids, attention_mask, **settings)
        return RenamedOutput(logits=output.logits, memory=output[CACHE])

    model.forward = renamed


def take_cache_by_its_old_name(model: Any) -> None:
    """Make *model* one of the code that came with a model before transformers 5.24."""
    forward = model.forward

    def older(
        *,
        input_ids: Any,
        attention_mask: Any = None,
        position_ids: Any = None,
        past_key_values: Any = None,
        **settings: Any,
    ) -> Any:
        settings |= {CACHE: past_key_values, "position_ids": position_ids}
        return forward(input_ids, attention_mask, **settings)

    model.forward = older


def hide_cache(model: Any) -> None:
    """Make *model* not say by which name it takes a cache."""
    forward = model.forward

    def secretive(
        *, input_ids: Any, attention_mask: Any = None, position_ids: Any = None, **settings: Any
    ) -> Any:
        return forward(input_ids, attention_mask, position_ids, **settings)

    model.forward = secretive


def refuse_company(model: Any) -> None:
    """Make *model* read one row at a time."""
    fail_when(model, lambda tokens: len(tokens) > 1, lambda: ValueError("one row, please"))


def forbid_repetition(model: Any) -> None:
    """Give *model* a setting that only generate() follows."""
    model.generation_config.no_repeat_ngram_size = 1


@pytest.mark.parametrize("change", [keep_as_it_is, rename_cache, take_cache_by_its_old_name])
async def test_calls_share_forward_passes_whatever_the_cache_is_called(
    open_engine: OpenEngine,
    tiny_model: TinyModel,
    caplog: pytest.LogCaptureFixture,
    change: Callable[[Any], None],
) -> None:
    """Four calls take the passes of one, by each name that a release has for the cache."""
    plain = open_engine(tiny_model())
    wanted = [expected(plain, prompt) for prompt in PROMPTS[:4]]
    model = tiny_model()
    change(model)
    engine = open_engine(model)
    rows = rows_of_passes(model)

    found = list(await asyncio.gather(*[answer(engine, prompt) for prompt in PROMPTS[:4]]))

    assert found == wanted
    assert max(rows) == 4
    assert len(rows) < 2 * LENGTH
    assert not caplog.records


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (hide_cache, "it fills no cache that it is given"),
        (refuse_company, "it fills no cache that it is given"),
        (forbid_repetition, "its settings have no_repeat_ngram_size"),
    ],
)
async def test_a_model_with_a_plain_cache_that_shares_no_passes_is_warned_of(
    open_engine: OpenEngine,
    tiny_model: TinyModel,
    caplog: pytest.LogCaptureFixture,
    change: Callable[[Any], None],
    reason: str,
) -> None:
    """One warning names the model and the reason, and its calls are answered all the same."""
    model = tiny_model()
    change(model)
    engine = open_engine(model)

    assert await together(engine) == [expected(engine, prompt) for prompt in PROMPTS]
    [warning] = [record for record in caplog.records if record.levelno >= logging.WARNING]
    assert f"tiny answers one call at a time: {reason}" in warning.getMessage()


def test_a_model_that_cannot_share_by_its_nature_is_not_warned_of(
    open_engine: OpenEngine, tiny_model: TinyModel, caplog: pytest.LogCaptureFixture
) -> None:
    """A sliding window in the cache is told as information."""
    caplog.set_level(logging.INFO, "lightrag_hf")

    open_engine(tiny_model(MistralForCausalLM, MistralConfig, sliding_window=16))

    [record] = caplog.records
    assert record.levelno == logging.INFO
    assert record.getMessage() == "tiny answers one call at a time: its cache can't be shared."


@pytest.mark.parametrize("sliding_window", [None, 16])
async def test_a_call_nobody_reads_stops_within_a_few_tokens(
    open_engine: OpenEngine, tiny_model: TinyModel, sliding_window: int | None
) -> None:
    """Leaving the generator stops the generation, by whichever way the model runs."""
    model = tiny_model(
        MistralForCausalLM,
        MistralConfig,
        sliding_window=sliding_window,
        eos_token_id=None,
        max_position_embeddings=100_000,
    )
    engine = open_engine(model)
    passes: list[int] = []
    model.register_forward_hook(lambda *_: passes.append(1))

    async with aclosing(engine.answer(Ask(prompt=PROMPTS[0], max_tokens=50_000))) as chunks:
        async for _ in chunks:
            break
    left_after = len(passes)
    await asyncio.sleep(0.5)

    assert len(passes) - left_after <= 5


async def test_a_cancelled_task_stops_its_call(engine: Engine) -> None:
    """Cancelling the reader frees its place, and others go on."""
    engine._eos = frozenset()
    wanted = [expected(engine, prompt, eos_token_id=None) for prompt in PROMPTS]
    tasks = [asyncio.create_task(answer(engine, prompt)) for prompt in PROMPTS]
    rows = rows_of_passes(engine.model)
    while len(rows) < 5:
        await asyncio.sleep(0)
    for task in tasks[::2]:
        task.cancel()

    found = await asyncio.gather(*tasks, return_exceptions=True)

    assert [isinstance(one, asyncio.CancelledError) for one in found] == [True, False] * 4
    assert found[1::2] == wanted[1::2]
    assert rows[-1] == 4


async def test_batch_is_halved_until_memory_suffices(engine: Engine) -> None:
    """When memory runs out, all calls get the same answers by smaller batches."""
    wanted = [expected(engine, prompt) for prompt in PROMPTS]
    rows = []

    def is_too_much(tokens: torch.Tensor) -> bool:
        rows.append(len(tokens))
        return len(tokens) > 2

    fail_when(engine.model, is_too_much)

    assert await together(engine) == wanted
    assert max(rows) > 2


async def test_memory_that_runs_out_midway_costs_no_seeded_answer(engine: Engine) -> None:
    """Rows that had to leave go on where they were, random numbers included."""
    settings = {"do_sample": True, "seed": 5, "temperature": 1.2}
    wanted = [expected(engine, prompt, seed=5, temperature=1.2) for prompt in PROMPTS]
    passes: list[int] = []

    def is_too_much(tokens: torch.Tensor) -> bool:
        passes.append(len(tokens))
        return len(tokens) > 3 and len(passes) % 7 == 0

    fail_when(engine.model, is_too_much)

    assert await together(engine, **settings) == wanted


async def test_no_more_rows_are_answered_at_once_than_memory_allows(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the cache would take is compared with what is free, before a kernel has to kill."""
    engine._eos = frozenset()
    wanted = [expected(engine, prompt, eos_token_id=None) for prompt in PROMPTS]
    rows = rows_of_passes(engine.model)
    monkeypatch.setattr("psutil.virtual_memory", lambda: FreeMemory(250_000))

    assert await together(engine) == wanted
    assert 1 < max(rows[3:]) < len(PROMPTS)


async def test_a_call_for_which_memory_is_too_little_is_an_error(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The error says how much is needed and free, and who needs less is answered."""
    long = Ask(prompt=[7] * 400, max_tokens=LENGTH)
    monkeypatch.setattr("psutil.virtual_memory", lambda: FreeMemory(150_000))

    with pytest.raises(ProviderError, match=r"0\.2 MiB are needed, and cpu has 0\.1 left"):
        await anext(engine.answer(long))
    assert await answer(engine, PROMPTS[0]) == expected(engine, PROMPTS[0])


async def test_who_finds_no_room_beside_others_waits_for_them(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where memory is too little to join, the answer comes later, and nobody else's is lost."""
    wanted = [expected(engine, prompt) for prompt in PROMPTS]

    def refuse(*_: Any) -> None:
        raise MemoryError

    monkeypatch.setattr("lightrag_hf._batch._joined", refuse)

    assert await one_after_the_other(engine, PROMPTS) == wanted


async def test_one_row_that_is_too_much_is_an_error_and_the_engine_lives(engine: Engine) -> None:
    """Out of memory with a single row is that call's error, and no other's."""
    hook = fail_when(engine.model, lambda _: True)

    with pytest.raises(ProviderError, match="memory"):
        await answer(engine, PROMPTS[0])

    hook.remove()
    assert await answer(engine, PROMPTS[0]) == expected(engine, PROMPTS[0])


async def test_a_failing_pass_fails_only_the_call_concerned(engine: Engine) -> None:
    """Whatever a pass raises, calls that are not its cause are answered."""
    poison = 250
    wanted = [expected(engine, prompt) for prompt in PROMPTS]
    fail_when(
        engine.model, lambda tokens: poison in tokens[:, 0], lambda: IndexError("no such token")
    )

    *found, failed = await asyncio.gather(
        *[answer(engine, prompt) for prompt in PROMPTS],
        answer(engine, [poison] * 80),
        return_exceptions=True,
    )

    assert found == wanted
    assert isinstance(failed, ProviderError)
    assert "no such token" in str(failed)


async def test_logits_that_are_no_number_are_an_error(engine: Engine) -> None:
    """A model whose numbers overflow says so instead of talking nonsense."""
    engine.model.lm_head.weight.data.fill_(torch.nan)

    with pytest.raises(ProviderError, match="float32"):
        await answer(engine, PROMPTS[0])


@pytest.mark.parametrize("sliding_window", [None, 16])
async def test_closing_gives_waiting_calls_an_error(
    open_engine: OpenEngine, tiny_model: TinyModel, sliding_window: int | None
) -> None:
    """Nobody waits for ever for an engine that was closed, nor asks it in vain."""
    model = tiny_model(
        MistralForCausalLM,
        MistralConfig,
        sliding_window=sliding_window,
        eos_token_id=None,
        max_position_embeddings=100_000,
    )
    engine = open_engine(model)
    chunks = engine.answer(Ask(prompt=PROMPTS[0], max_tokens=90_000))
    await anext(chunks)

    await asyncio.to_thread(engine.close)

    with pytest.raises(InterruptedStreamError, match="closed"):
        async for _ in chunks:
            pass
    with pytest.raises(InterruptedStreamError, match="closed"):
        await answer(engine, PROMPTS[0])


def test_closing_frees_the_weights(
    tiny_tokenizer: PreTrainedTokenizerFast, tiny_model: TinyModel
) -> None:
    """Nothing holds the model once its engine is closed."""
    model = tiny_model()
    engine = Engine(model, tiny_tokenizer, "tiny")
    asyncio.run(answer(engine, PROMPTS[0]))
    alive = weakref.ref(model)

    engine.close()
    del model
    gc.collect()

    assert alive() is None


def test_a_loop_closed_midway_does_not_stop_the_engine(
    open_engine: OpenEngine, tiny_model: TinyModel
) -> None:
    """A loop that was closed while its call ran takes nothing with it but that call."""
    engine = open_engine(tiny_model(max_position_embeddings=100_000, eos_token_id=None))
    engine._eos = frozenset()
    wanted = expected(engine, PROMPTS[1])
    loop = asyncio.new_event_loop()
    chunks = engine.answer(Ask(prompt=PROMPTS[0], max_tokens=90_000))
    loop.run_until_complete(anext(chunks))
    loop.close()

    rows = rows_of_passes(engine.model)

    assert asyncio.run(answer(engine, PROMPTS[1])) == wanted
    assert rows[-1] == 1


def test_several_event_loops_at_once(engine: Engine) -> None:
    """Loops in several threads share one engine."""
    wanted = [expected(engine, prompt) for prompt in PROMPTS]
    found: dict[int, list[str]] = {}

    def run(n: int) -> None:
        found[n] = asyncio.run(together(engine))

    threads = [threading.Thread(target=run, args=(n,)) for n in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert found == dict.fromkeys(range(3), wanted)


async def test_settings_of_the_model_that_only_generate_knows_are_followed(
    open_engine: OpenEngine, tiny_model: TinyModel
) -> None:
    """A model's generation_config is obeyed as a whole."""
    model = tiny_model()
    model.generation_config.no_repeat_ngram_size = 1
    engine = open_engine(model)

    assert await together(engine) == [expected(engine, prompt) for prompt in PROMPTS]


async def test_beams_are_followed(open_engine: OpenEngine, tiny_model: TinyModel) -> None:
    """Beam search cannot be streamed, and its answer comes at the end."""
    model = tiny_model()
    model.generation_config.num_beams = 3
    engine = open_engine(model)

    assert await answer(engine, PROMPTS[2]) == expected(engine, PROMPTS[2])


async def test_last_chunk_says_why_and_what_it_cost(engine: Engine) -> None:
    """The finish reason and the usage are on the last chunk, and on no other."""
    engine._eos = frozenset()
    chunks = [chunk async for chunk in engine.answer(Ask(prompt=PROMPTS[0], max_tokens=5))]

    *before, last = chunks
    assert last.finish_reason == "length"
    assert last.usage == Usage(len(PROMPTS[0]), 5)
    assert all(chunk == Chunk(chunk.text) for chunk in before)


EXIT_WHILE_BUSY = """
import asyncio, sys
from transformers import AutoTokenizer, MistralConfig, MistralForCausalLM
from lightrag_hf._calls import Ask
from lightrag_hf._engine import Engine
from lightrag_hf._loading import shared

config = MistralConfig(
    vocab_size=259, hidden_size=256, num_hidden_layers=4, num_attention_heads=4,
    num_key_value_heads=4, intermediate_size=512, max_position_embeddings=100000,
    eos_token_id=None, sliding_window=int(sys.argv[2]) or None,
)
tokenizer = AutoTokenizer.from_pretrained(sys.argv[1])
model = MistralForCausalLM(config).eval()
lent = shared("busy", lambda: Engine(model, tokenizer, "busy"), Engine.close, 300.0)

async def begin():
    engine = await lent.__aenter__()
    await anext(engine.answer(Ask(prompt=[1, 2, 3], max_tokens=90000)))

asyncio.new_event_loop().run_until_complete(begin())
print("leaving")
"""


@pytest.mark.parametrize("sliding_window", [0, 16])
def test_the_process_ends_while_a_model_answers(
    tmp_path: Path, tiny_tokenizer: PreTrainedTokenizerFast, sliding_window: int | None
) -> None:
    """The engine's thread is stopped at exit, and aborts nothing."""
    tiny_tokenizer.save_pretrained(tmp_path)

    done = subprocess.run(  # noqa: S603  # our own interpreter
        [sys.executable, "-c", EXIT_WHILE_BUSY, str(tmp_path), str(sliding_window)],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )

    assert (done.returncode, done.stdout) == (0, "leaving\n"), done.stderr
