"""``generate()`` for one call: models and settings that the shared decode loop does not know."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import attrs
import torch
from torch import Tensor
from transformers import GenerationConfig, StoppingCriteria

from lightrag_hf._calls import Call
from lightrag_hf._sampling import OF_SAMPLING

# Settings of a model that its answers don't depend on, or that the shared loop follows too.
_FOLLOWED = {
    *("do_sample", "temperature", "top_k", "top_p", "min_p", "repetition_penalty"),
    *("eos_token_id", "bos_token_id", "pad_token_id", "decoder_start_token_id", "stop_strings"),
    *("max_new_tokens", "max_length", "use_cache", "cache_implementation", "cache_config"),
    *("output_attentions", "output_hidden_states", "output_scores", "output_logits"),
    *("return_dict_in_generate", "num_return_sequences", "compile_config", "disable_compile"),
    *("early_stopping", "length_penalty", "renormalize_logits", "transformers_version"),
    *("is_assistant", "max_cache_len", "continuous_batching_config", "prefill_chunk_size"),
}

# Values by which a file says "not used".
_UNUSED: dict[str, Any] = {
    "num_beams": 1,
    "num_beam_groups": 1,
    "guidance_scale": 1,
    "typical_p": 1,
    "encoder_repetition_penalty": 1,
}


def needs_generate(generation_config: GenerationConfig) -> list[str]:
    """Return the names of settings that only ``generate()`` follows."""
    return [
        name
        for name, value in generation_config.to_diff_dict().items()
        if not (name.startswith("_") or name in _FOLLOWED)
        and value not in (None, False, 0, _UNUSED.get(name))
        and value != []
    ]


@torch.inference_mode()
def generate(model: Any, call: Call, is_stopped: Callable[[], bool]) -> None:
    """
    Answer *call*.

    Args:
        model: Of any kind that ``generate()`` knows.
        call: Over at the end, unless it was given up.
        is_stopped: Asked for every token; once it says yes, the call is given up.
    """
    prompt = torch.tensor([call.tokens], device=model.device)
    delivery = _Delivery(call, is_stopped)
    # The beams of a search change their minds, so its answer comes at the end.
    is_streamed = (model.generation_config.num_beams or 1) == 1
    devices = [model.device] if model.device.type == "cuda" else []
    with torch.random.fork_rng(devices, enabled=call.ask.sampling.seed is not None):
        if call.ask.sampling.seed is not None:
            torch.manual_seed(call.ask.sampling.seed)
        answer = model.generate(
            prompt,
            attention_mask=torch.ones_like(prompt),
            streamer=delivery if is_streamed else None,
            stopping_criteria=[delivery],
            **_settings(model.generation_config, call),
        )
    _deliver(call, answer[0, len(call.tokens) :])
    if not (call.is_over or is_stopped()):
        call.cut()


class _Delivery(StoppingCriteria):
    """A streamer that hands tokens on, and a criterion that stops when nobody wants more."""

    def __init__(self, call: Call, is_stopped: Callable[[], bool]) -> None:
        self._call = call
        self._is_stopped = is_stopped
        self._is_answer = False

    def put(self, value: Tensor) -> None:
        if self._is_answer:
            _deliver(self._call, value)
        # The first that come are the prompt.
        self._is_answer = True

    def end(self) -> None:
        """Nothing is held back."""

    def __call__(self, input_ids: Tensor, _scores: Any, **_kwargs: Any) -> Tensor:
        is_over = self._call.is_over or self._is_stopped()
        return torch.full((len(input_ids),), is_over, device=input_ids.device)


def _deliver(call: Call, tokens: Tensor) -> None:
    for token in tokens.flatten().tolist():
        if not call.is_over:
            call.take(token)


def _settings(generation_config: GenerationConfig, call: Call) -> dict[str, Any]:
    eos = sorted(call.eos) or None
    padding = generation_config.pad_token_id
    sampling = attrs.asdict(call.ask.sampling)
    del sampling["seed"]
    if not call.ask.sampling.do_sample:
        # transformers warns of settings that greedy decoding does not use.
        sampling |= dict.fromkeys(OF_SAMPLING)
    return {
        **sampling,
        "min_p": sampling["min_p"] or None,
        "max_new_tokens": call.ask.max_tokens,
        "eos_token_id": eos,
        "pad_token_id": padding if padding is not None or eos is None else eos[0],
        "stop_strings": None,
        "num_return_sequences": 1,
        "return_dict_in_generate": False,
    }
