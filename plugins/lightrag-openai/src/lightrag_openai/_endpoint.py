"""What distinguishes one endpoint that speaks OpenAI's API from another: data."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Literal

import attrs

from lightrag_openai.options import OPENAI_URL
from ragcore import Capabilities, InputType

MaxTokens = Literal["max_completion_tokens", "max_tokens"]
ModelSize = tuple[int | None, int | None]


@attrs.frozen(eq=False)
class Endpoint:
    """
    A service's ways, in a row.

    Attributes:
        name: What stands before the colon in a reference; errors carry it.
        base_url: Where it is, unless the user says otherwise; None where only the user knows.
        api_key_env: Variable of its key.
        needs_key: Whether it refuses requests without one.
        max_tokens: What it calls ``max_output_tokens``.
        refuses: Options that it does not take; setting one is an error.
        renames: What it calls an option, if not as OpenAI does.
        stream_usage: Whether a stream may be asked for its usage.
        strict_schemas: Whether schemas must be closed and complete, as OpenAI's strict mode wants.
        strict_bounds: Whether that mode knows bounds: patterns, formats, least and most.
        think_tags: Whether reasoning may come in the text, between ``<think>`` and ``</think>``.
            OpenAI's own models don't do that, servers that are used under its name do. ``"open"``:
            it begins there, since the chat template has opened it.
        json_object: Whether answers can be made JSON objects.
        json_schema: Whether answers can be made to fit a JSON Schema.
        images: Whether models may look at images.
        capabilities: Of its models, by name; it takes the place of the three flags before.
        completes: Whether it completes at all.
        embeds: Whether it embeds at all.
        encoding_format: How vectors travel, unless the user says otherwise.
        embedding_models: Names that stand for two models: one for queries, one for documents.
        input_types: What it is sent as ``input_type``.
        embedding_sizes: Dimensions and longest text, in tokens, of its embedding models.
        can_choose_dimensions: Whether models may be asked for shorter vectors.
        max_batch: Texts in one request.
        max_batch_tokens: Tokens in one request.
        address_option: The option that says where it is.
        name_in_address: Whether the model's name is a part of the address.
    """

    name: str
    base_url: str | None = None
    api_key_env: str | None = None
    needs_key: bool = True
    max_tokens: MaxTokens = "max_tokens"
    refuses: tuple[str, ...] = ()
    renames: Mapping[str, str] = attrs.field(factory=dict)
    stream_usage: bool = True
    strict_schemas: bool = False
    strict_bounds: bool = True
    think_tags: bool | Literal["open"] = True
    json_object: bool = True
    json_schema: bool = True
    images: bool = True
    capabilities: Callable[[str], Capabilities] | None = None
    completes: bool = True
    embeds: bool = True
    encoding_format: Literal["base64", "float"] = "float"
    embedding_models: Mapping[str, tuple[str, str]] = attrs.field(factory=dict)
    input_types: Mapping[str, str] = attrs.field(factory=dict)
    embedding_sizes: Mapping[str, ModelSize] = attrs.field(factory=dict)
    can_choose_dimensions: bool = True
    max_batch: int | None = 2048
    max_batch_tokens: int | None = None
    address_option: Literal["base_url", "endpoint"] = "base_url"
    name_in_address: bool = False

    @property
    def binding(self) -> str:
        """What begins its variables, in lower case."""
        return self.name.replace("-", "_").replace(".", "_")

    def completion_capabilities(self, model_name: str) -> Capabilities:
        """Return what the model of that name can do when it completes."""
        if self.capabilities is not None:
            return attrs.evolve(self.capabilities(model_name), think_tags=self.think_tags)
        return Capabilities(
            json_object=self.json_object,
            json_schema=self.json_schema,
            images=self.images,
            reasoning=True,
            think_tags=self.think_tags,
        )

    def embedding_capabilities(self, model_name: str) -> Capabilities:
        """Return what the model of that name can do when it embeds."""
        return Capabilities(
            dimensions=self.can_choose_dimensions and model_name not in _FIXED_LENGTH,
            input_type=bool(self.input_types) or model_name in self.embedding_models,
            max_batch=self.max_batch,
            max_batch_tokens=self.max_batch_tokens,
            context_window=self.size_of(model_name)[1],
        )

    def model_for(self, model_name: str, input_type: InputType) -> str:
        """Return the model that embeds *input_type* where *model_name* stands for two."""
        query, document = self.embedding_models.get(model_name, (model_name, model_name))
        return query if input_type == "query" else document

    def size_of(self, model_name: str) -> ModelSize:
        """Return the dimensions and the longest text of an embedding model, None where unknown."""
        return self.embedding_sizes.get(model_name, (None, None))


# The only model of OpenAI's that can't be asked for shorter vectors.
_FIXED_LENGTH = ("text-embedding-ada-002",)

_OPENAI_SIZES: dict[str, ModelSize] = {
    "text-embedding-3-small": (1536, 8192),
    "text-embedding-3-large": (3072, 8192),
    "text-embedding-ada-002": (1536, 8192),
}

# From before structured outputs (August 2024) or images, as OpenAI's page on models says.
_NO_JSON = ("o1-mini", "o1-preview")
_NO_SCHEMA = ("gpt-3.5", "gpt-4-", "o1-mini", "o1-preview", "gpt-4o-2024-05-13")
_NO_IMAGES = ("gpt-3.5", "gpt-4-0", "gpt-4-32k", "o1-mini", "o1-preview", "o3-mini")


def _openai_capabilities(model_name: str) -> Capabilities:
    # Fine-tunes are named ft:BASE:…; what is unknown is taken for one of today's.
    model = model_name.removeprefix("ft:")
    return Capabilities(
        json_object=not model.startswith(_NO_JSON),
        json_schema=model != "gpt-4" and not model.startswith(_NO_SCHEMA),
        images=model != "gpt-4" and not model.startswith(_NO_IMAGES),
        reasoning=True,
    )


def _like_openai(name: str, **more: Any) -> Endpoint:
    return Endpoint(
        name=name,
        max_tokens="max_completion_tokens",
        strict_schemas=True,
        capabilities=_openai_capabilities,
        encoding_format="base64",
        embedding_sizes=_OPENAI_SIZES,
        max_batch=2048,
        max_batch_tokens=300_000,
        **more,
    )


OPENAI = _like_openai("openai", base_url=OPENAI_URL, api_key_env="OPENAI_API_KEY")
# Bounds: https://learn.microsoft.com/azure/ai-services/openai/how-to/structured-outputs
AZURE = _like_openai(
    "azure",
    api_key_env="AZURE_OPENAI_API_KEY",
    strict_bounds=False,
    address_option="endpoint",
    name_in_address=True,
)
