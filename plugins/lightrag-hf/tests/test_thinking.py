"""Tests of models that think first, between tags."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from tokenizers import Tokenizer
from transformers import GPT2Config, GPT2LMHeadModel, PreTrainedTokenizerFast

import ragcore

SaveModel = Callable[..., Path]
POSITIONS = 256


def saying(answer: str, tokenizer: PreTrainedTokenizerFast) -> Any:
    """Return a model that answers "hi" with *answer*: its tokens depend on the position alone."""
    text: Any = tokenizer.apply_chat_template(
        [{"role": "user", "content": "hi"}], tokenize=False, add_generation_prompt=True
    )
    begin = len(tokenizer(text, add_special_tokens=False)["input_ids"]) - 1
    tokens = tokenizer(answer, add_special_tokens=False)["input_ids"]
    config = GPT2Config(
        vocab_size=len(tokenizer),
        n_positions=POSITIONS,
        n_embd=POSITIONS,
        n_layer=1,
        n_head=1,
        n_inner=4,
        bos_token_id=None,
        eos_token_id=tokenizer.eos_token_id,
        tie_word_embeddings=False,
    )
    model: Any = GPT2LMHeadModel(config)
    with torch.no_grad():
        for weights in (*model.transformer.h.parameters(), model.transformer.wte.weight):
            weights.zero_()
        model.lm_head.weight.zero_()
        model.transformer.wpe.weight.copy_(torch.eye(POSITIONS))
        for at, token in enumerate([*tokens, tokenizer.eos_token_id], begin):
            model.lm_head.weight[token, at] = 5.0
    return model


def with_template(tokenizer: PreTrainedTokenizerFast, more: str) -> PreTrainedTokenizerFast:
    """Return *tokenizer* with *more* at the end of its chat template."""
    return PreTrainedTokenizerFast(  # type: ignore[no-untyped-call]  # as it is there
        tokenizer_object=tokenizer.backend_tokenizer,
        eos_token=tokenizer.eos_token,
        pad_token=tokenizer.pad_token,
        chat_template=f"{tokenizer.chat_template}{more}",
    )


@pytest.mark.parametrize(
    ("template", "said"),
    [
        ("", "<think>\nA poet.\n</think>\n\nGoethe"),
        # As DeepSeek-R1, QwQ and Qwen3-Thinking have it.
        ("<think>\n", "A poet.\n</think>\n\nGoethe"),
    ],
    ids=["by the model", "by the template"],
)
async def test_thinking_is_no_text(
    template: str, said: str, save_model: SaveModel, tiny_tokenizer: PreTrainedTokenizerFast
) -> None:
    """It is reasoning, in one piece and streamed, whoever writes the tag that opens it."""
    tokenizer = with_template(tiny_tokenizer, template)
    folder = save_model(saying(said, tokenizer), tokenizer)
    async with ragcore.completion(f"hf:{folder}", device="cpu", keep_alive=0.0) as model:
        answer = await model.complete("hi")
        async with model.stream("hi") as chunks:
            pieces = [chunk async for chunk in chunks]

    assert (answer.text, answer.reasoning) == ("Goethe", "A poet.")
    assert "".join(piece.text for piece in pieces) == "Goethe"
    assert "".join(piece.reasoning for piece in pieces) == "A poet."


async def test_a_template_that_closes_the_tag_begins_no_thinking(
    save_model: SaveModel, tiny_tokenizer: PreTrainedTokenizerFast
) -> None:
    """Some write an empty thought, so that the model does not think."""
    tokenizer = with_template(tiny_tokenizer, "<think>\n\n</think>\n\n")
    folder = save_model(saying("Goethe", tokenizer), tokenizer)
    async with ragcore.completion(f"hf:{folder}", device="cpu", keep_alive=0.0) as model:
        answer = await model.complete("hi")

    assert (answer.text, answer.reasoning) == ("Goethe", "")


async def test_the_thoughts_alone_are_no_answer(
    save_model: SaveModel, tiny_tokenizer: PreTrainedTokenizerFast
) -> None:
    """A limit that is reached while the model thinks is said."""
    tokenizer = with_template(tiny_tokenizer, "<think>\n")
    folder = save_model(saying("A poet.\n</think>\n\nGoethe", tokenizer), tokenizer)
    async with ragcore.completion(f"hf:{folder}", device="cpu", keep_alive=0.0) as model:
        with pytest.raises(ragcore.TruncatedResponseError):
            await model.complete("hi", max_output_tokens=5)


async def test_tags_that_are_special_tokens_part_thoughts_too(
    save_model: SaveModel, tiny_tokenizer: PreTrainedTokenizerFast
) -> None:
    """Such tags are no text for the tokenizer, and yet what tells thoughts from the answer."""
    backend = Tokenizer.from_str(tiny_tokenizer.backend_tokenizer.to_str())
    backend.add_special_tokens(["<think>", "</think>"])
    tokenizer = PreTrainedTokenizerFast(  # type: ignore[no-untyped-call]  # as it is there
        tokenizer_object=backend, eos_token="<|im_end|>", chat_template=tiny_tokenizer.chat_template
    )
    folder = save_model(saying("<think>A poet.</think>Goethe", tokenizer), tokenizer)
    async with ragcore.completion(f"hf:{folder}", device="cpu", keep_alive=0.0) as model:
        answer = await model.complete("hi")

    assert (answer.text, answer.reasoning) == ("Goethe", "A poet.")


async def test_a_tag_at_the_end_of_what_a_user_says_begins_no_thinking(
    save_model: SaveModel, tiny_tokenizer: PreTrainedTokenizerFast
) -> None:
    """Only the template begins an answer."""
    tokenizer = with_template(tiny_tokenizer, "")
    tokenizer.chat_template = "{{ messages[0].content }}"
    folder = save_model(tokenizer=tokenizer)
    async with ragcore.completion(f"hf:{folder}", device="cpu", keep_alive=0.0) as model:
        answer = await model.complete("What is <think>", max_output_tokens=9)

    assert answer.reasoning == ""
