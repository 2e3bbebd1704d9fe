"""Tests of messages as tokens."""

from collections.abc import Sequence
from typing import Any

import pytest
from tokenizers.processors import TemplateProcessing
from transformers import PreTrainedTokenizerFast

from lightrag_hf._prompt import room_for_answer, without_limits
from lightrag_hf._template import Prompter
from lightrag_hf.options import HFLLMOptions
from ragcore import (
    ContextLengthError,
    Message,
    UnsupportedError,
    assistant,
    system,
    user,
)


def prompt_tokens(tokenizer: Any, messages: Sequence[Message]) -> list[int]:
    """Return the tokens that a model is given."""
    return list(Prompter(tokenizer).prompt(messages, HFLLMOptions()).tokens)


@pytest.fixture
def tokenizer(tiny_tokenizer: PreTrainedTokenizerFast) -> PreTrainedTokenizerFast:
    """Return the tiny tokenizer, for this test to spoil."""
    spoilt = PreTrainedTokenizerFast(  # type: ignore[no-untyped-call]  # as it is there
        tokenizer_object=tiny_tokenizer.backend_tokenizer
    )
    spoilt.chat_template = tiny_tokenizer.chat_template
    return spoilt


def test_tokens_are_those_of_the_chat_template(tiny_tokenizer: PreTrainedTokenizerFast) -> None:
    """The conversation is read as transformers renders it, up to where the model answers."""
    messages = [system("Be brief."), user("Hi"), assistant("Hello"), user("Grüße 🦊?")]
    turns = [{"role": message.role, "content": message.content} for message in messages]

    wanted: Any = tiny_tokenizer.apply_chat_template(turns, add_generation_prompt=True)
    found = prompt_tokens(tiny_tokenizer, messages)

    assert found == wanted["input_ids"]
    assert str(tiny_tokenizer.decode(found)).endswith("<|im_start|>assistant\n")


def test_special_tokens_are_not_added_a_second_time(tokenizer: PreTrainedTokenizerFast) -> None:
    """What the tokenizer would put around a text is left to the template."""
    plain = prompt_tokens(tokenizer, [user("Hi")])
    tokenizer.backend_tokenizer.post_processor = TemplateProcessing(
        single="<|im_start|> $A", special_tokens=[("<|im_start|>", 257)]
    )
    try:
        assert prompt_tokens(tokenizer, [user("Hi")]) == plain
    finally:
        tokenizer.backend_tokenizer.post_processor = TemplateProcessing(single="$A")


def test_a_model_without_a_template_is_an_error(tokenizer: PreTrainedTokenizerFast) -> None:
    """No template, no prompt: the error names the cure."""
    tokenizer.chat_template = None

    with pytest.raises(UnsupportedError, match="Instruct"):
        prompt_tokens(tokenizer, [user("Hi")])


def test_nothing_is_cut_or_filled_up(tokenizer: PreTrainedTokenizerFast) -> None:
    """Limits that a tokenizer brings along don't touch prompts."""
    plain = prompt_tokens(tokenizer, [user("Hi")])
    tokenizer.backend_tokenizer.enable_truncation(4)
    tokenizer.backend_tokenizer.enable_padding(length=100)

    assert prompt_tokens(without_limits(tokenizer), [user("Hi")]) == plain


def test_a_prompt_that_leaves_no_room_names_both_numbers() -> None:
    """The error says how long the prompt is and what fits."""
    assert room_for_answer(range(99), 100) == 1
    with pytest.raises(ContextLengthError, match="100 tokens, and the context window 100"):
        room_for_answer(range(100), 100)


def test_a_prompt_of_megabytes_is_read_whole(tiny_tokenizer: PreTrainedTokenizerFast) -> None:
    """Two megabytes are nothing special, even with a token each byte."""
    tokens = prompt_tokens(tiny_tokenizer, [user("word " * 400_000)])

    assert len(tokens) > 2_000_000
