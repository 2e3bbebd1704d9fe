"""
Which models an account may use, as the control plane lists them.

Source:
    https://docs.aws.amazon.com/bedrock/latest/APIReference/API_ListFoundationModels.html and
    API_ListInferenceProfiles.html
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import closing
from typing import Any

from lightrag_bedrock._answers import readable, without_metadata
from lightrag_bedrock._connect import Bedrock
from lightrag_bedrock._errors import translated
from lightrag_bedrock._families import family_of
from ragcore.wire import text_in, unlike

_ON_DEMAND = "ON_DEMAND"


async def list_completion_models(client: Bedrock) -> Iterable[str]:
    """Return models and profiles that answer in text."""
    return await _list(client, "TEXT")


async def list_embedding_models(client: Bedrock) -> Iterable[str]:
    """Return models and profiles that embed, of the families that this package speaks."""
    return [name for name in await _list(client, "EMBEDDING") if family_of(name)]


async def _list(client: Bedrock, output: str) -> list[str]:
    def work() -> list[str]:
        with closing(client.open_control()) as control:
            answer = control.list_foundation_models(byOutputModality=output)
            models = [*_objects_in(answer, "modelSummaries")]
            return [*_named(models), *_of_models(_profiles(control), _names_of(models))]

    with translated():
        return await client.threads.run(work)


def _objects_in(answer: dict[str, Any], name: str) -> Iterator[dict[str, Any]]:
    listed = readable(answer).get(name)
    if not isinstance(listed, list):
        raise unlike(without_metadata(answer), f"list of {name}")
    yield from (one for one in listed if isinstance(one, dict))


def _names_of(models: Iterable[dict[str, Any]]) -> set[str]:
    return {text_in(model, "modelArn").rpartition("/")[2] for model in models} - {""}


def _named(models: Iterable[dict[str, Any]]) -> Iterator[str]:
    """Yield models that can be named themselves; others are reached through a profile only."""
    for model in models:
        if (name := text_in(model, "modelId")) and _ON_DEMAND in _ways_of(model):
            yield name


def _ways_of(model: dict[str, Any]) -> list[object]:
    ways = model.get("inferenceTypesSupported")
    return ways if isinstance(ways, list) else [_ON_DEMAND]


def _profiles(control: Any) -> Iterator[dict[str, Any]]:
    for page in control.get_paginator("list_inference_profiles").paginate():
        yield from _objects_in(page, "inferenceProfileSummaries")


def _of_models(profiles: Iterable[dict[str, Any]], names: set[str]) -> Iterator[str]:
    for profile in profiles:
        name = text_in(profile, "inferenceProfileId")
        if name and _names_of(_objects_in(profile, "models")) & names:
            yield name
