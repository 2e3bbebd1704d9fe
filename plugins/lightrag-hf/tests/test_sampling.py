"""Tests of which sampling options are in force, and of the choice itself."""

from collections.abc import Sequence
from typing import Any

import pytest
import torch
from transformers import GenerationConfig

from lightrag_hf._sampling import Chooser, Sampling, choose, sampling_of
from lightrag_hf.options import HFLLMOptions
from ragcore import OptionsError

VOCABULARY = 50


def own_settings(**wanted: Any) -> GenerationConfig:
    """Return what a model's generation_config.json says."""
    return GenerationConfig(**wanted)  # type: ignore[no-untyped-call]  # as it is there


def test_unset_options_are_the_models_own() -> None:
    """What nobody sets is what generation_config.json says."""
    own = own_settings(
        do_sample=True, temperature=0.6, top_k=20, top_p=0.95, min_p=0.1, repetition_penalty=1.1
    )

    assert sampling_of(HFLLMOptions(), own) == Sampling(
        do_sample=True, temperature=0.6, top_k=20, top_p=0.95, min_p=0.1, repetition_penalty=1.1
    )


def test_what_the_model_leaves_open_is_what_generate_takes() -> None:
    """Without a word from anybody an answer is greedy; sampling takes the 50 likeliest."""
    assert sampling_of(HFLLMOptions(), own_settings()) == Sampling()
    assert Sampling().top_k == 50


@pytest.mark.parametrize(
    ("options", "do_sample"),
    [
        ({"temperature": 0.5}, True),
        ({"top_p": 0.9}, True),
        ({"temperature": 0.0}, False),
        ({"temperature": 0.0, "do_sample": True}, False),
        ({"temperature": 0.5, "do_sample": False}, False),
        ({"seed": 1}, False),
    ],
)
def test_asking_for_randomness_is_asking_to_sample(
    options: dict[str, Any], do_sample: bool
) -> None:
    """A temperature or a choice among tokens samples, 0 is greedy, and do_sample decides."""
    assert sampling_of(HFLLMOptions(**options), own_settings()).do_sample is do_sample


def test_temperature_zero_beats_a_model_that_samples() -> None:
    """0 is greedy whatever the model does by itself."""
    own = own_settings(do_sample=True, temperature=0.6)

    assert not sampling_of(HFLLMOptions(temperature=0.0), own).do_sample


def test_all_values_out_of_range_are_named() -> None:
    """Problems are told at once."""
    with pytest.raises(OptionsError) as caught:
        HFLLMOptions(temperature=-1.0, top_p=1.5, top_k=-2, min_p=2, seed=-1, num_ctx=0)

    assert names(caught.value) == ["num_ctx", "temperature", "top_k", "top_p", "min_p", "seed"]


def test_what_a_range_cannot_say_is_refused_all_the_same() -> None:
    """Zero where it must be more, and a seed that fits no register."""
    options = HFLLMOptions(top_p=0, repetition_penalty=0, seed=2**63)

    with pytest.raises(OptionsError) as caught:
        sampling_of(options, own_settings())
    assert names(caught.value) == ["top_p", "repetition_penalty", "seed"]


def names(error: OptionsError) -> list[str]:
    """Return the options that *error* is about."""
    return [problem.partition(":")[0] for problem in error.problems]


def test_rows_with_different_options_are_chosen_as_if_alone() -> None:
    """What a row gets does not depend on the options of its neighbours."""
    samplings = [
        Sampling(),
        Sampling(do_sample=True, seed=1, temperature=2.0, top_k=0),
        Sampling(do_sample=True, seed=2, top_k=3),
        Sampling(do_sample=True, seed=3, top_p=0.5, repetition_penalty=2.0),
        Sampling(do_sample=True, seed=4, min_p=0.4, top_k=1000),
    ]
    logits = torch.randn(len(samplings), VOCABULARY, generator=torch.Generator().manual_seed(0))
    tokens = [[0, 1, 60], [2], [3, 4], [5], [6]]

    def chosen(rows: Sequence[int]) -> list[int]:
        choosers = [Chooser(samplings[n], torch.device("cpu")) for n in rows]
        return choose(
            logits[list(rows)].clone(),
            [(c, tokens[n]) for c, n in zip(choosers, rows, strict=True)],
        )

    assert chosen(range(5)) == [chosen([n])[0] for n in range(5)]


def test_unseeded_choices_keep_to_the_candidates() -> None:
    """Rows without a seed draw among the candidates only."""
    logits = torch.randn(1, VOCABULARY, generator=torch.Generator().manual_seed(0))
    best = set(logits[0].topk(3).indices.tolist())
    chooser = Chooser(Sampling(do_sample=True, top_k=3, temperature=5.0), torch.device("cpu"))

    found = {choose(logits.clone(), [(chooser, [])])[0] for _ in range(100)}

    assert found == best
