"""
What a model's sentence-transformers files say about embedding with it; imports no torch.

Two generations are about. The older has one boolean per pooling mode and the length limit in
``sentence_bert_config.json``; the newer has ``pooling_mode`` and the limit with the tokenizer.

Source:
    https://sbert.net/docs/package_reference/sentence_transformer/modules.html
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import attrs

from lightrag_hf._files import read_json, read_modules
from lightrag_hf.options import HFEmbeddingOptions
from ragcore import InputType, UnsupportedError

_log = logging.getLogger("lightrag_hf")

# In the order in which the older files concatenate.
_OLD_POOLING = {
    "pooling_mode_cls_token": "cls",
    "pooling_mode_max_tokens": "max",
    "pooling_mode_mean_tokens": "mean",
    "pooling_mode_mean_sqrt_len_tokens": "mean_sqrt_len_tokens",
    "pooling_mode_weightedmean_tokens": "weightedmean",
    "pooling_mode_lasttoken": "lasttoken",
}

_PROMPT_NAMES: Mapping[InputType, Sequence[str]] = {
    "query": ("query",),
    "document": ("document", "passage", "corpus"),
}

_WIDTHS = ("hidden_size", "d_model", "dim", "n_embd", "embed_dim")

# Tokenizers without a limit say a far higher number.
_UNKNOWN_LENGTH = 10**9


@attrs.frozen
class Stage:
    """
    What is done to a pooled vector.

    Attributes:
        folder: With the weights, if it has any.
        settings: Of its ``config.json``.
    """

    kind: Literal["Dense", "LayerNorm", "Normalize"]
    folder: Path = Path()
    settings: Mapping[str, Any] = attrs.field(factory=dict)


@attrs.frozen
class Recipe:
    """
    How a model embeds.

    Attributes:
        transformer: Folder of model and tokenizer.
        pooling: How the last hidden states become one vector; the results are concatenated.
        include_prompt: Whether the prompt's tokens are pooled.
        stages: What is done to that vector, in order.
        max_length: Tokens of a text, special ones included; None: without limit.
        lower_case: Texts are lowered first.
        chat: How a text is put into the chat template: ``"flat"`` or ``"structured"`` content;
            None: it is not.
        template_options: Further arguments of the chat template.
        prompts: By name; see :meth:`prompt`.
        cut_dimensions: How many numbers of a vector are kept; None: all.
    """

    transformer: Path
    pooling: tuple[str, ...]
    include_prompt: bool = True
    stages: tuple[Stage, ...] = ()
    max_length: int | None = None
    lower_case: bool = False
    chat: Literal["flat", "structured"] | None = None
    template_options: Mapping[str, Any] = attrs.field(factory=dict)
    prompts: Mapping[str, str] = attrs.field(factory=dict)
    default_prompt_name: str | None = None
    cut_dimensions: int | None = None

    def prompt(self, input_type: InputType) -> str:
        """Return what stands before a text of that type; the model's default if it has none."""
        names = [*_PROMPT_NAMES[input_type], self.default_prompt_name or ""]
        return next((self.prompts[name] for name in names if name in self.prompts), "")


def read_recipe(folder: Path, options: HFEmbeddingOptions) -> Recipe:
    """
    Return how the model in *folder* embeds, with what *options* say otherwise.

    Raise UnsupportedError if the files ask for something that is not done here.
    """
    modules = read_modules(folder)
    return _overridden(_listed(folder, modules) if modules else _default(folder), options)


def transformer_folder(folder: Path) -> Path:
    """Return where in *folder* the model itself and its tokenizer are."""
    modules = read_modules(folder)
    return folder / modules[0]["path"] if modules else folder


def _listed(folder: Path, modules: list[dict[str, str]]) -> Recipe:
    _require(len(modules) > 1, folder, "no pooling")
    first, second, *rest = modules
    _require(_kind(first) == "Transformer", folder, f"the module {first['type']!r}")
    _require(_kind(second) == "Pooling", folder, f"the module {second['type']!r}")
    transformer = folder / first["path"]
    pooling = read_json(folder / second["path"] / "config.json")
    general = read_json(folder / "config_sentence_transformers.json")
    own = _transformer_settings(transformer)
    return Recipe(
        transformer=transformer,
        pooling=_modes(pooling) or ("mean",),
        include_prompt=pooling.get("include_prompt", True),
        stages=tuple(stage for module in rest for stage in _stages(folder, module)),
        max_length=_max_length(transformer, own.get("max_seq_length")),
        lower_case=own.get("do_lower_case", False),
        chat=_chat(own),
        template_options=own.get("processing_kwargs", {}).get("chat_template", {}),
        prompts={name: text or "" for name, text in general.get("prompts", {}).items()},
        default_prompt_name=general.get("default_prompt_name"),
        cut_dimensions=general.get("truncate_dim"),
    )


def _default(folder: Path) -> Recipe:
    """Return what sentence-transformers does with a model that was not made for it."""
    config = read_json(folder / "config.json")
    architectures = config.get("architectures") or [""]
    is_causal = architectures[0].endswith("ForCausalLM") and config.get("is_causal", True)
    mode = "lasttoken" if is_causal else "mean"
    _log.info(
        "%s has no sentence-transformers files: %s pooling, vectors not normalised", folder, mode
    )
    return Recipe(
        transformer=folder,
        pooling=(mode,),
        max_length=_max_length(folder, None),
        chat="flat" if _has_chat_template(folder) else None,
    )


def _has_chat_template(folder: Path) -> bool:
    in_file = (folder / "chat_template.jinja").is_file()
    return in_file or "chat_template" in read_json(folder / "tokenizer_config.json")


def _overridden(recipe: Recipe, options: HFEmbeddingOptions) -> Recipe:
    said = {"query": options.query_prompt, "document": options.document_prompt}
    prompts = {name: text for name, text in said.items() if text is not None}
    return attrs.evolve(
        recipe,
        pooling=(options.pooling,) if options.pooling else recipe.pooling,
        stages=_normalized(recipe.stages, options.normalize),
        max_length=options.max_length or recipe.max_length,
        prompts={**recipe.prompts, **prompts},
    )


def _normalized(stages: tuple[Stage, ...], wanted: bool | None) -> tuple[Stage, ...]:
    if wanted is None:
        return stages
    others = tuple(stage for stage in stages if stage.kind != "Normalize")
    return (*others, Stage("Normalize")) if wanted else others


def _stages(folder: Path, module: dict[str, str]) -> list[Stage]:
    """Return what *module* does to a vector: one stage, or nothing."""
    path = folder / module["path"]
    settings = read_json(path / "config.json")
    for name in ("module_input_name", "module_output_name"):
        on = settings.get(name) or "sentence_embedding"
        _require(on == "sentence_embedding", folder, f"{_kind(module)} of {on!r}")
    match kind := _kind(module):
        case "Dense" | "LayerNorm" | "Normalize":
            return [Stage(kind, path, settings)]
        case "Dropout":
            return []
    raise unsupported(folder, f"the module {module['type']!r}")


def _kind(module: dict[str, str]) -> str:
    """Return the class; packages were renamed from one generation to the next."""
    kind = module["type"].rpartition(".")[2]
    return kind if module["type"].startswith("sentence_transformers.") else module["type"]


def _modes(settings: dict[str, Any]) -> tuple[str, ...]:
    if mode := settings.get("pooling_mode"):
        return (mode,) if isinstance(mode, str) else tuple(mode)
    return tuple(mode for name, mode in _OLD_POOLING.items() if settings.get(name))


def _transformer_settings(transformer: Path) -> dict[str, Any]:
    """Return what is in ``sentence_bert_config.json``; long ago the name told the architecture."""
    path = next(iter(sorted(transformer.glob("sentence_*_config.json"))), None)
    settings = read_json(path) if path else {}
    for name in ("query_length", "document_length", "query_expansion"):
        _require(settings.get(name) is None, transformer, f"{name}={settings.get(name)!r}")
    task = settings.get("transformer_task", "feature-extraction")
    _require(task == "feature-extraction", transformer, f"transformer_task={task!r}")
    output = settings.get("modality_config", {}).get("text", {}).get("method_output_name")
    _require(
        output in (None, "last_hidden_state", ["last_hidden_state"]),
        transformer,
        f"output {output!r}",
    )
    return settings


def _chat(settings: dict[str, Any]) -> Literal["flat", "structured"] | None:
    message = settings.get("modality_config", {}).get("message")
    if message is None:
        return None
    return "structured" if message.get("format") == "structured" else "flat"


def _max_length(transformer: Path, said: int | None) -> int | None:
    """Return *said*, or the lesser of the tokenizer's and the model's limit."""
    if said is not None:
        return said
    of_tokenizer = read_json(transformer / "tokenizer_config.json").get("model_max_length")
    of_model = read_json(transformer / "config.json").get("max_position_embeddings")
    known = [limit for limit in (of_tokenizer, of_model) if limit and 0 < limit < _UNKNOWN_LENGTH]
    return int(min(known)) if known else None


def dimensions_of(recipe: Recipe) -> int | None:
    """Return the length of a vector; None where the files do not say."""
    dense = (stage.settings for stage in recipe.stages if stage.kind == "Dense")
    projected = [int(settings["out_features"]) for settings in dense]
    if recipe.cut_dimensions or projected:
        return recipe.cut_dimensions or projected[-1]
    config = read_json(recipe.transformer / "config.json")
    config |= config.get("text_config") or {}
    width = next((config[name] for name in _WIDTHS if name in config), None)
    return width and width * len(recipe.pooling)


def _require(is_so: bool, folder: Path, what: str) -> None:
    if not is_so:
        raise unsupported(folder, what)


def unsupported(folder: Path, what: str) -> UnsupportedError:
    """Return the error of a model that asks for *what*."""
    return UnsupportedError(
        f"the model in {str(folder)!r} asks for {what}, which lightrag-hf can't do; embed with "
        "another model"
    )
