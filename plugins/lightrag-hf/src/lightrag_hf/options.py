"""What a user sets: where models come from, how they are loaded, how they answer and embed."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from ragcore import BindingOptions, Secret, option
from ragcore.wire import ADDRESS, HEADER

LOGGERS = ("huggingface_hub", "httpx2", "httpcore2")

Pooling = Literal["cls", "mean", "max", "mean_sqrt_len_tokens", "weightedmean", "lasttoken"]

_DEVICE_HELP = "Where the model runs: auto (the best usable), cpu, cuda, cuda:1, xpu, mps."


class HFOptions(BindingOptions, binding="hf"):
    """Where models come from; a model given by its path needs none of these."""

    token: Secret | None = option(
        "Access token of the Hugging Face Hub, for gated and private models.",
        default=None,
        env=("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"),
        secret=True,
        check=HEADER,
    )
    cache_dir: Path | None = option(
        "Folder where downloaded models are kept.",
        default=None,
        provider_default="huggingface_hub's own",
        env=("HF_CACHE_DIR", "HF_HUB_CACHE"),
    )
    endpoint: str | None = option(
        "Address of the hub.",
        default=None,
        provider_default="https://huggingface.co",
        check=ADDRESS,
    )
    offline: bool = option(
        "Use only models that are on this machine.",
        default=False,
        env=("HF_OFFLINE", "HF_HUB_OFFLINE"),
    )


class HFModelOptions(BindingOptions):
    """
    How a model is loaded.

    Models are shared by all who name them with the same values of these; :attr:`keep_alive`
    only says how long one waits for its next user.
    """

    dtype: Literal["auto", "float32", "bfloat16", "float16"] = option(
        "Number type of the weights; auto: the model's own, and float32 on a CPU.", default="auto"
    )
    revision: str | None = option("Branch, tag or commit of the model on the hub.", default=None)
    attn_implementation: str | None = option(
        "How attention is computed: eager, sdpa, flash_attention_2.",
        default=None,
        provider_default="as transformers decides",
    )
    quantization: Literal["4bit", "8bit"] | None = option(
        "Shrink the weights while loading, by bitsandbytes.", default=None
    )
    trust_remote_code: bool = option("Run Python code that comes with the model.", default=False)
    max_memory: dict[str, Any] | None = option(
        'Most memory a device may give to weights, such as {"0": "10GiB", "cpu": "30GiB"}.',
        default=None,
    )
    offload_folder: Path | None = option(
        "Folder for weights that fit no device's memory.", default=None
    )
    keep_alive: float = option(
        "Seconds that a model stays loaded after its last use; 0: none, negative: for good.",
        default=300.0,
    )


class HFLLMOptions(HFModelOptions, binding="hf_llm"):
    """
    How a model answers; what is unset follows the model's own generation_config.json.

    Defaults that the help names are transformers', for models whose file does not say.
    """

    device: str = option(_DEVICE_HELP, default="auto", env=("HF_LLM_DEVICE", "HF_DEVICE"))
    num_ctx: int | None = option(
        "Context window in tokens, prompt and answer together.",
        default=None,
        scope="call",
        minimum=1,
        provider_default="the model's limit",
    )
    max_new_tokens: int | None = option(
        "Longest answer in tokens.",
        default=None,
        scope="call",
        minimum=1,
        provider_default="what is left of num_ctx",
        same_as="max_output_tokens",
    )
    temperature: float | None = option(
        "Randomness; 0 takes the likeliest token.",
        default=None,
        scope="call",
        minimum=0,
        provider_default=1,
    )
    top_k: int | None = option(
        "Sample among so many of the likeliest tokens; 0: all.",
        default=None,
        scope="call",
        minimum=0,
        provider_default=50,
    )
    top_p: float | None = option(
        "Sample among the likeliest tokens that add up to this probability, which is above 0.",
        default=None,
        scope="call",
        minimum=0,
        maximum=1,
        provider_default=1,
    )
    min_p: float | None = option(
        "Sample among tokens at least this likely, relative to the likeliest.",
        default=None,
        scope="call",
        minimum=0,
        maximum=1,
        provider_default=0,
    )
    repetition_penalty: float | None = option(
        "Divides the scores of tokens that were there before, by more than 0; 1: no penalty.",
        default=None,
        scope="call",
        minimum=0,
        provider_default=1,
    )
    do_sample: bool | None = option(
        "Sample, or else take the likeliest token.",
        default=None,
        scope="call",
        provider_default="true if temperature, top_k, top_p or min_p is set, else as the model's "
        "own settings say",
    )
    seed: int | None = option(
        "Seed of the sampling: the same one gives the same answer.",
        default=None,
        scope="call",
        minimum=0,
    )
    stop: list[str] | None = option(
        "Texts that end the answer; they are not part of it.", default=None, scope="call"
    )
    chat_template: str | None = option(
        "Chat template: the name of one of the model's, a file, or the template itself.",
        default=None,
        scope="call",
        provider_default="the model's default",
    )
    chat_template_kwargs: dict[str, Any] | None = option(
        'Variables for the chat template, such as {"enable_thinking": false}.',
        default=None,
        scope="call",
    )
    allow_special_tokens: bool = option(
        "Read special tokens in messages, such as <|im_end|>, as the model's own: a document may "
        "then speak in the name of the system.",
        default=False,
        scope="call",
    )


class HFEmbeddingOptions(HFModelOptions, binding="hf_embedding"):
    """How a model embeds; what is unset follows the model's sentence-transformers files."""

    device: str = option(_DEVICE_HELP, default="auto", env=("HF_EMBEDDING_DEVICE", "HF_DEVICE"))
    pooling: Pooling | None = option("How token vectors become one vector.", default=None)
    normalize: bool | None = option("Scale vectors to length 1.", default=None)
    max_length: int | None = option(
        "Longest text in tokens, prompt included.", default=None, provider_default="the model's"
    )
    query_prompt: str | None = option("Text put before each query.", default=None)
    document_prompt: str | None = option("Text put before each document.", default=None)
    batch_tokens: int | None = option(
        "Tokens in one forward pass, padding included.",
        default=None,
        provider_default="as the device can take",
    )
