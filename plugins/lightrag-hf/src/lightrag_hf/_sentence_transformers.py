"""
What a model's sentence-transformers files say about embedding with it; imports no torch.

Two generations are about. The older has one boolean per pooling mode and the length limit in
``sentence_bert_config.json``; the newer has ``pooling_mode`` and the limit with the tokenizer.

Source:
    https://sbert.net/docs/package_reference/sentence_transformer/modules.html
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import attrs

from lightrag_hf._files import read_json, read_modules
from lightrag_hf._limits import highest_limit, is_limit, own_limit, text_part
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

_POOLING_SETTINGS = {
    *("word_embedding_dimension", "embedding_dimension", "pooling_mode", "include_prompt"),
    *_OLD_POOLING,
}

# What sentence_bert_config.json may say. Memory that is saved, and padding that is left out, don't
# change vectors.
_SETTINGS = {
    *("max_seq_length", "do_lower_case", "transformer_task", "modality_config"),
    *("module_output_name", "processing_kwargs", "unpad_inputs"),
    *("model_args", "model_kwargs", "tokenizer_args", "processor_kwargs"),
    *("config_args", "config_kwargs"),
}
_MODEL_ARGUMENTS = {"dtype", "torch_dtype", "attn_implementation"}

# Arguments that say where files come from, for which there are options, or that change no vector.
_OF_LOADING = {
    *("subfolder", "token", "cache_dir", "revision", "local_files_only", "trust_remote_code"),
    *("device_map", "add_pooling_layer", "low_cpu_mem_usage", "use_safetensors"),
}
_OF_A_CALL = {
    *("padding", "padding_side", "pad_to_multiple_of", "return_tensors", "truncation"),
    "max_length",
}


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
        config: Of the transformer.
        config_arguments: What is said otherwise of it; :attr:`config` has that already.
        model_arguments: What ``from_pretrained`` is given, where no option says otherwise.
        tokenizer_arguments: Likewise, of the tokenizer.
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
    config: Mapping[str, Any] = attrs.field(factory=dict)
    config_arguments: Mapping[str, Any] = attrs.field(factory=dict)
    model_arguments: Mapping[str, Any] = attrs.field(factory=dict)
    tokenizer_arguments: Mapping[str, Any] = attrs.field(factory=dict)

    @property
    def is_normalised(self) -> bool:
        """Whether vectors have the length 1."""
        return any(stage.kind == "Normalize" for stage in self.stages)

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
    _require_known(pooling, _POOLING_SETTINGS, folder, "the pooling setting")
    own = _transformer_settings(transformer)
    config_arguments = _arguments(own, "config_args", "config_kwargs")
    tokenizer_arguments = _arguments(own, "tokenizer_args", "processor_kwargs")
    config = read_json(transformer / "config.json") | config_arguments
    said = _said_length(transformer, own, tokenizer_arguments)
    return Recipe(
        transformer=transformer,
        pooling=_modes(folder, pooling),
        include_prompt=pooling.get("include_prompt", True),
        stages=tuple(stage for module in rest for stage in _stages(folder, module)),
        max_length=_max_length(transformer, config, said),
        lower_case=own.get("do_lower_case", False),
        chat=_chat(own),
        template_options=own.get("processing_kwargs", {}).get("chat_template", {}),
        **_prompts(folder),
        config=config,
        config_arguments=config_arguments,
        model_arguments=_model_arguments(transformer, own),
        tokenizer_arguments=tokenizer_arguments,
    )


def _prompts(folder: Path) -> dict[str, Any]:
    """Return what the general file says, as fields of a recipe."""
    general = read_json(folder / "config_sentence_transformers.json")
    prompts = {name: text or "" for name, text in (general.get("prompts") or {}).items()}
    default = general.get("default_prompt_name")
    known = default is None or default in prompts or default in _PROMPT_NAMES
    _require(known, folder, f"the prompt {default!r}, which it does not have")
    return {
        "prompts": prompts,
        "default_prompt_name": default,
        "cut_dimensions": general.get("truncate_dim"),
    }


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
        max_length=_max_length(folder, config, None),
        config=config,
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


def _modes(folder: Path, settings: dict[str, Any]) -> tuple[str, ...]:
    mode = settings.get("pooling_mode")
    if mode is None:
        found = tuple(mode for name, mode in _OLD_POOLING.items() if settings.get(name))
        return found or ("mean",)
    modes = (mode,) if isinstance(mode, str) else tuple(mode)
    for one in modes:
        _require(one in _OLD_POOLING.values(), folder, f"the pooling {one!r}")
    return modes


def _transformer_settings(transformer: Path) -> dict[str, Any]:
    """Return what is in ``sentence_bert_config.json``; long ago the name told the architecture."""
    path = next(iter(sorted(transformer.glob("sentence_*_config.json"))), None)
    settings = read_json(path) if path else {}
    _require_known(settings, _SETTINGS, transformer, "the setting")
    task = settings.get("transformer_task", "feature-extraction")
    _require(task == "feature-extraction", transformer, f"transformer_task={task!r}")
    of_text = settings.get("modality_config", {}).get("text", {})
    method, output = of_text.get("method", "forward"), of_text.get("method_output_name")
    _require(method == "forward", transformer, f"the method {method!r}")
    output = output if isinstance(output, list) else [output or "last_hidden_state"]
    _require(output == ["last_hidden_state"], transformer, f"the output {output!r}")
    name = settings.get("module_output_name", "token_embeddings")
    _require(name == "token_embeddings", transformer, f"the output {name!r}")
    return settings


def _arguments(settings: Mapping[str, Any], old_name: str, name: str) -> dict[str, Any]:
    """Return the arguments that are called *name* today and once were *old_name*."""
    said = settings.get(old_name) or settings.get(name) or {}
    return {name: value for name, value in said.items() if name not in _OF_LOADING}


def _model_arguments(transformer: Path, settings: Mapping[str, Any]) -> dict[str, Any]:
    said = _arguments(settings, "model_args", "model_kwargs")
    _require_known(said, _MODEL_ARGUMENTS, transformer, "the model's argument")
    dtype = said.pop("torch_dtype", None)
    return {"dtype": dtype, **said}


def _said_length(
    transformer: Path, settings: Mapping[str, Any], tokenizer_arguments: Mapping[str, Any]
) -> int | None:
    """Return how many tokens the files for sentence-transformers say that a text may have."""
    processing = settings.get("processing_kwargs", {})
    call = {**processing.get("common", {}), **processing.get("text", {})}
    _require_known(call, _OF_A_CALL, transformer, "the tokenizer's argument")
    _require(bool(call.get("truncation", True)), transformer, "texts that are not cut")
    limits = (
        call.get("max_length"),
        tokenizer_arguments.get("model_max_length"),
        settings.get("max_seq_length"),
    )
    return next((limit for limit in limits if is_limit(limit)), None)


def _chat(settings: dict[str, Any]) -> Literal["flat", "structured"] | None:
    message = settings.get("modality_config", {}).get("message")
    if message is None:
        return None
    return "structured" if message.get("format") == "structured" else "flat"


def _max_length(transformer: Path, config: Mapping[str, Any], said: int | None) -> int | None:
    """Return *said*, or else the tokenizer's limit; the model's own if that is less."""
    of_tokenizer = read_json(transformer / "tokenizer_config.json").get("model_max_length")
    limits = (of_tokenizer, own_limit(config)) if said is None else (said, highest_limit(config))
    return min((limit for limit in limits if is_limit(limit)), default=None)


def dimensions_of(recipe: Recipe) -> int | None:
    """Return the length of a vector; None where the files do not say."""
    dense = (stage.settings for stage in recipe.stages if stage.kind == "Dense")
    projected = [int(settings["out_features"]) for settings in dense]
    if recipe.cut_dimensions or projected:
        return recipe.cut_dimensions or projected[-1]
    config = text_part(recipe.config)
    width = next((config[name] for name in _WIDTHS if name in config), None)
    return width and width * len(recipe.pooling)


def _require_known(
    said: Mapping[str, Any], known: Collection[str], folder: Path, what: str
) -> None:
    """Refuse what is set and not known: left out, it would change vectors."""
    for name, value in said.items():
        _require(name in known or value is None, folder, f"{what} {name}={value!r}")


def _require(is_so: bool, folder: Path, what: str) -> None:
    if not is_so:
        raise unsupported(folder, what)


def unsupported(folder: Path, what: str) -> UnsupportedError:
    """Return the error of a model that asks for *what*."""
    return UnsupportedError(
        f"the model in {str(folder)!r} asks for {what}, which lightrag-hf can't do; embed with "
        "another model"
    )
