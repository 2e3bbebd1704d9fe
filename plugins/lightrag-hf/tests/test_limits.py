"""Tests of how many tokens a model reads, as its configuration says."""

from typing import Any

import pytest

from lightrag_hf._limits import Window, highest_limit, own_limit

ROPE: dict[str, Any] = {"rope_theta": 10_000.0, "factor": 4.0}


@pytest.mark.parametrize(
    ("config", "limit"),
    [
        ({"model_type": "llama", "max_position_embeddings": 64}, 64),
        ({"model_type": "gpt2", "n_positions": 64, "n_ctx": 32}, 64),
        ({"model_type": "mpt", "max_seq_len": 64}, 64),
        ({"model_type": "chatglm", "seq_length": 64}, 64),
        ({"model_type": "roberta", "max_position_embeddings": 66, "pad_token_id": 1}, 64),
        ({"model_type": "xlm-roberta", "max_position_embeddings": 66, "pad_token_id": 0}, 65),
        ({"model_type": "camembert", "max_position_embeddings": 66}, 64),
        ({"model_type": "mpnet", "max_position_embeddings": 66, "pad_token_id": None}, 64),
        (
            {
                "model_type": "esm",
                "max_position_embeddings": 66,
                "position_embedding_type": "rotary",
            },
            66,
        ),
        ({"model_type": "gemma3", "text_config": {"max_position_embeddings": 64}}, 64),
        ({"model_type": "t5", "n_positions": 64, "relative_attention_num_buckets": 32}, None),
        ({"model_type": "bloom"}, None),
        ({"model_type": "xlnet", "max_position_embeddings": -1}, None),
    ],
    ids=lambda value: value["model_type"] if isinstance(value, dict) else None,
)
def test_the_limit_is_the_models_own_whatever_it_is_called(
    config: dict[str, Any], limit: int | None
) -> None:
    """Models of RoBERTa's kind count from behind the padding's position."""
    assert own_limit(config) == limit


@pytest.mark.parametrize(
    ("more", "limit"),
    [
        ({}, 64),
        ({"rope_parameters": ROPE | {"rope_type": "linear"}}, 256),
        ({"rope_scaling": {"type": "dynamic", "factor": 2.0}}, 128),
        (
            {
                "rope_parameters": ROPE
                | {"rope_type": "yarn", "original_max_position_embeddings": 32}
            },
            128,
        ),
        ({"rope_parameters": ROPE | {"rope_type": "llama3"}}, 64),
        ({"rope_parameters": {"full_attention": {"rope_type": "default"}}}, 64),
        ({"alibi": True}, None),
    ],
    ids=str,
)
def test_scaled_rope_reads_more_if_asked_to(more: dict[str, Any], limit: int | None) -> None:
    """What the file says of Llama 3 and of LongRoPE is scaled already."""
    assert highest_limit({"max_position_embeddings": 64, **more}) == limit


def test_num_ctx_moves_the_window_up_to_the_highest() -> None:
    """Without it, the window is the model's own."""
    window = Window(usual=64, highest=256)

    assert [window.asked(asked) for asked in (None, 10, 200, 1000)] == [64, 10, 200, 256]
