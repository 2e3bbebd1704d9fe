"""The choice of the next token: what ``generate()`` does, for rows that differ in their options."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Sequence
from typing import Any

import attrs
import torch
from torch import Tensor

from lightrag_hf.options import HFLLMOptions
from ragcore import OptionsError

# To ask for one of these is to ask for sampling.
OF_SAMPLING = ("temperature", "top_k", "top_p", "min_p")


@attrs.frozen(kw_only=True)
class Sampling:
    """
    How the tokens of one answer are chosen; all values are in force, none is "unset".

    Defaults are what ``generate()`` takes where neither the caller nor the model says anything.

    Attributes:
        top_k: 0 is all.
        seed: None: another answer each time.
    """

    do_sample: bool = False
    temperature: float = 1.0
    top_k: int = 50
    top_p: float = 1.0
    min_p: float = 0.0
    repetition_penalty: float = 1.0
    seed: int | None = None


def sampling_of(options: HFLLMOptions, generation_config: Any) -> Sampling:
    """
    Return what *options* ask for; what they leave open is the model's own, or ``generate()``'s.

    Temperature 0 is greedy. One OptionsError names all values that can't be.
    """
    _check(options)

    def effective(name: str) -> Any:
        values = (getattr(who, name, None) for who in (options, generation_config, Sampling()))
        return next(value for value in values if value is not None)

    return Sampling(
        do_sample=_do_sample(options, generation_config) and effective("temperature") > 0,
        temperature=float(effective("temperature")),
        top_k=int(effective("top_k")),
        top_p=float(effective("top_p")),
        min_p=float(effective("min_p")),
        repetition_penalty=float(effective("repetition_penalty")),
        seed=options.seed,
    )


def _do_sample(options: HFLLMOptions, generation_config: Any) -> bool:
    if options.do_sample is not None:
        return options.do_sample
    asked = (getattr(options, name) for name in OF_SAMPLING)
    return any(value is not None for value in asked) or bool(generation_config.do_sample)


# What a range with both its ends can't say.
_RULES: dict[str, tuple[Callable[[float], bool], str]] = {
    "top_p": (lambda value: value > 0, "above 0"),
    "repetition_penalty": (lambda value: value > 0, "above 0"),
    "seed": (lambda value: value < 2**63, "at most 2**63 - 1"),
}


def _check(options: HFLLMOptions) -> None:
    problems = [
        f"{name}: {value!r} is not {words} @ hf_llm.{name}"
        for name, (is_allowed, words) in _RULES.items()
        if (value := getattr(options, name)) is not None and not is_allowed(value)
    ]
    if problems:
        raise OptionsError("\n".join(problems), problems=problems)


class Chooser:
    """The choices of one answer: its options, and the state of its random numbers."""

    def __init__(self, sampling: Sampling, device: torch.device) -> None:
        self.sampling = sampling
        seed = secrets.randbits(63) if sampling.seed is None else sampling.seed
        self.generator = torch.Generator(device)
        self.generator.manual_seed(seed)


def choose(logits: Tensor, rows: Sequence[tuple[Chooser, Sequence[int]]]) -> list[int]:
    """
    Choose the next token of each row, as ``generate()`` would for the row alone.

    Args:
        logits: float32, shape ``(rows, vocabulary)``; may be overwritten.
        rows: Of each row its chooser and its tokens so far, prompt included.
    """
    _penalise_repetition(logits, rows)
    tokens: list[int] = logits.argmax(dim=-1).tolist()
    sampled = [n for n, (chooser, _) in enumerate(rows) if chooser.sampling.do_sample]
    if sampled:
        choosers = [rows[n][0] for n in sampled]
        for n, token in zip(sampled, _sample(logits[sampled], choosers), strict=True):
            tokens[n] = token
    return tokens


def _penalise_repetition(logits: Tensor, rows: Sequence[tuple[Chooser, Sequence[int]]]) -> None:
    for n, (chooser, tokens) in enumerate(rows):
        penalty = chooser.sampling.repetition_penalty
        if penalty != 1.0:
            # The prompt may have tokens that the output layer lacks.
            known = [token for token in set(tokens) if token < logits.shape[-1]]
            seen = torch.tensor(known, device=logits.device)
            scores = logits[n, seen]
            logits[n, seen] = torch.where(scores < 0, scores * penalty, scores / penalty)


def _sample(logits: Tensor, choosers: Sequence[Chooser]) -> list[int]:
    def column(value: Callable[[Sampling], float]) -> Tensor:
        values = [value(chooser.sampling) for chooser in choosers]
        return torch.tensor(values, device=logits.device).unsqueeze(1)

    logits = logits / column(lambda row: row.temperature)
    scores, tokens = _candidates(logits, column(lambda row: row.top_k))
    scores = _within_top_p(scores, column(lambda row: 1 - row.top_p))
    scores = _within_min_p(scores, column(lambda row: row.min_p))
    probabilities = scores.softmax(dim=-1)
    return [
        _draw(chooser, probabilities[n], tokens[n], logits.shape[-1])
        for n, chooser in enumerate(choosers)
    ]


def _candidates(scores: Tensor, top_k: Tensor) -> tuple[Tensor, Tensor]:
    """
    Return the scores and tokens that are among the *top_k* of their row, the likeliest first.

    Rows with fewer are filled up with scores of minus infinity. Where several tie for the last
    place, all are in: that is what ``generate()`` does.
    """
    vocabulary = scores.shape[-1]
    top_k = top_k.masked_fill(top_k == 0, vocabulary).clamp(max=vocabulary)
    best = scores.topk(int(top_k.max())).values
    last = best.gather(1, top_k - 1)
    most = int((scores >= last).sum(dim=-1).max())
    kept, tokens = scores.topk(most)
    return kept.masked_fill(kept < last, -torch.inf), tokens


def _within_top_p(scores: Tensor, left_out: Tensor) -> Tensor:
    """Drop the unlikeliest that together have at most *left_out*, never the likeliest."""
    from_the_end = scores.flip(-1).softmax(dim=-1).cumsum(dim=-1).flip(-1)
    dropped = (from_the_end <= left_out) & (left_out > 0)
    dropped[:, 0] = False
    return scores.masked_fill(dropped, -torch.inf)


def _within_min_p(scores: Tensor, min_p: Tensor) -> Tensor:
    """Drop what is less likely than *min_p* times the likeliest."""
    probabilities = scores.softmax(dim=-1)
    return scores.masked_fill(probabilities < min_p * probabilities[:, :1], -torch.inf)


def _draw(chooser: Chooser, probabilities: Tensor, tokens: Tensor, vocabulary: int) -> int:
    """
    Draw one of *tokens*.

    A seeded row must draw from the whole vocabulary, as ``generate()`` does, for the random
    numbers to fall on the same tokens; that takes a millisecond, which the others save.
    """
    is_seeded = chooser.sampling.seed is not None
    if is_seeded:
        probabilities = probabilities.new_zeros(vocabulary).scatter_(0, tokens, probabilities)
    drawn = int(torch.multinomial(probabilities.unsqueeze(0), 1, generator=chooser.generator))
    return drawn if is_seeded else int(tokens[drawn])
