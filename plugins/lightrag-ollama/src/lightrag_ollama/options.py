"""What a user sets: where Ollama is, and how its models answer and embed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from lightrag_ollama._host import HOST
from ragcore import BindingOptions, Secret, option
from ragcore.options import Pattern, Prefixes
from ragcore.wire import JSON

# ASCII that is seen. An empty key is none.
_KEY = Pattern("[!-~]*", "holds characters that a key can't have, such as a space or a line break")


class OllamaOptions(BindingOptions, binding="ollama"):
    """
    Where Ollama is.

    The key is for the host that is named; where none is, for Ollama's cloud alone: the server of
    this machine, which is asked by default, does not get it.
    """

    host: str | None = option(
        "Address of the server, as the ollama command takes it.",
        default=None,
        provider_default="this machine, and https://ollama.com for models whose name ends in "
        "-cloud or :cloud",
        check=HOST,
    )
    api_key: Secret | None = option(
        "Key for the host that is named; where none is, for https://ollama.com alone.",
        default=None,
        secret=True,
        check=_KEY,
    )


class OllamaModelOptions(BindingOptions):
    """
    The entries of ``options`` in a request.

    What is unset follows the model's own file, or else is Ollama's default, which the help names.

    Ollama reads all of them with each request. A change of those that say how a model is loaded
    (``num_ctx`` and from ``num_gpu`` on) makes it load the model again.

    Source:
        https://docs.ollama.com/modelfile#parameter and the SDK's ``Options``.
    """

    num_ctx: int | None = option(
        "Context window in tokens, prompt and answer together.",
        default=None,
        scope="call",
        provider_default="what the server decides, which may be little",
    )
    num_predict: int | None = option(
        "Longest answer in tokens; -1: no limit.",
        default=None,
        scope="call",
        provider_default=-1,
        same_as="max_output_tokens",
    )
    num_keep: int | None = option(
        "Tokens at the beginning of the prompt to keep when the context is full.",
        default=None,
        scope="call",
    )
    seed: int | None = option(
        "Seed of the sampling: the same one gives the same answer.", default=None, scope="call"
    )
    temperature: float | None = option(
        "Randomness, from 0, which always takes the likeliest token.",
        default=None,
        scope="call",
        provider_default=0.8,
    )
    top_k: int | None = option(
        "Sample among so many of the likeliest tokens; 0: all.",
        default=None,
        scope="call",
        provider_default=40,
    )
    top_p: float | None = option(
        "Sample among the likeliest tokens that add up to this probability, 0 to 1.",
        default=None,
        scope="call",
        provider_default=0.9,
    )
    min_p: float | None = option(
        "Sample among tokens at least this likely, relative to the likeliest, 0 to 1.",
        default=None,
        scope="call",
        provider_default=0,
    )
    tfs_z: float | None = option("Tail-free sampling; 1: off.", default=None, scope="call")
    typical_p: float | None = option(
        "Locally typical sampling, 0 to 1; 1: off.", default=None, scope="call"
    )
    repeat_last_n: int | None = option(
        "Tokens to look back at for repetitions; 0: none, -1: num_ctx.",
        default=None,
        scope="call",
        provider_default=64,
    )
    repeat_penalty: float | None = option(
        "Divides the scores of tokens that were there before; 1: no penalty.",
        default=None,
        scope="call",
        provider_default=1.1,
    )
    presence_penalty: float | None = option(
        "Taken off the scores of tokens that were there before, -2 to 2.",
        default=None,
        scope="call",
    )
    frequency_penalty: float | None = option(
        "Taken off the scores of tokens, for each time they were there, -2 to 2.",
        default=None,
        scope="call",
    )
    penalize_newline: bool | None = option(
        "Whether line breaks count as repetitions.", default=None, scope="call"
    )
    mirostat: int | None = option("Mirostat sampling: 0 (off), 1 or 2.", default=None, scope="call")
    mirostat_tau: float | None = option(
        "Entropy that Mirostat aims at.", default=None, scope="call"
    )
    mirostat_eta: float | None = option("Learning rate of Mirostat.", default=None, scope="call")
    stop: list[str] | None = option(
        "Texts that end the answer; they are not part of it.", default=None, scope="call"
    )
    num_gpu: int | None = option(
        "Layers to put on GPUs; -1: as many as fit.", default=None, scope="call"
    )
    main_gpu: int | None = option(
        "Number of the GPU for small tensors.", default=None, scope="call"
    )
    num_batch: int | None = option(
        "Tokens of a prompt that are computed at once.", default=None, scope="call"
    )
    num_thread: int | None = option(
        "Threads to compute with; 0: the server decides.", default=None, scope="call"
    )
    numa: bool | None = option("Whether to reckon with NUMA nodes.", default=None, scope="call")
    low_vram: bool | None = option("Whether to save GPU memory.", default=None, scope="call")
    f16_kv: bool | None = option(
        "Whether keys and values are kept in 16 bits.", default=None, scope="call"
    )
    use_mmap: bool | None = option(
        "Whether to map the model's file into memory.", default=None, scope="call"
    )
    use_mlock: bool | None = option(
        "Whether to keep the model from being swapped out.", default=None, scope="call"
    )
    logits_all: bool | None = option(
        "Whether logits of all tokens are computed.", default=None, scope="call"
    )
    vocab_only: bool | None = option(
        "Whether to load the vocabulary alone.", default=None, scope="call"
    )
    embedding_only: bool | None = option(
        "Whether to load the model for embedding alone.", default=None, scope="call"
    )


def _names() -> set[str]:
    return {field.name for field in OllamaModelOptions.fields()}


class _Further:
    """The rule that a further entry is JSON, and has no option of its own."""

    def problem(self, value: Mapping[str, Any]) -> str | None:
        """Return which entries have one, or can't be sent; None if all are right."""
        if twice := ", ".join(sorted(_names() & set(value))):
            return f"{twice} is an option of its own; set that"
        return JSON.problem(value)

    def schema(self) -> dict[str, Any]:
        """Return that an entry's name is none of theirs."""
        return {"propertyNames": {"not": {"enum": sorted(_names())}}}


class OllamaRequestOptions(OllamaModelOptions):
    """What completion and embedding have in common."""

    keep_alive: float | str | None = option(
        "How long the model stays loaded afterwards: seconds, or a text such as 10m; 0: not at "
        "all, negative: for good.",
        default=None,
        scope="call",
    )
    extra_fields: dict[str, Any] | None = option(
        "Further entries of the request's options, for those that have no name here.",
        default=None,
        scope="call",
        check=_Further(),
    )


class OllamaLLMOptions(OllamaRequestOptions, binding="ollama_llm"):
    """How a model answers; unset: as the model's own file says, or else Ollama's default."""

    think: bool | Literal["low", "medium", "high"] | None = option(
        "Whether, or how much, to think first; a model that can't refuses.",
        default=None,
        scope="call",
        provider_default="as the model does by itself",
    )
    overflow: Literal["error", "cut"] = option(
        "What becomes of a conversation that is longer than the context window: 'error' refuses "
        "it, 'cut' lets the server drop its oldest part without a word.",
        default="error",
        scope="call",
    )


class OllamaEmbeddingOptions(OllamaRequestOptions, Prefixes, binding="ollama_embedding"):
    """How a model embeds; unset: as the model's own file says, or else Ollama's default."""


def entries(options: OllamaRequestOptions) -> dict[str, Any]:
    """Return the request's ``options``: what is set, under Ollama's own names."""
    known = _names()
    named = {name: value for name, value in options.asdict().items() if name in known}
    return named | (options.extra_fields or {})
