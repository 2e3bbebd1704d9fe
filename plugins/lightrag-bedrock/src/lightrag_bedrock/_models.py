"""
Which models an account may use, as the control plane lists them.

Source:
    https://docs.aws.amazon.com/bedrock/latest/APIReference/API_ListFoundationModels.html and
    API_ListInferenceProfiles.html
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing
from typing import Any

from lightrag_bedrock._connect import Bedrock
from lightrag_bedrock._errors import translated
from lightrag_bedrock._families import family_of

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
            models = control.list_foundation_models(byOutputModality=output)["modelSummaries"]
            arns = {model["modelArn"].rpartition("/")[2] for model in models}
            return [*_named(models), *_of_models(_profiles(control), arns)]

    with translated():
        return await client.threads.run(work)


def _named(models: Iterable[Mapping[str, Any]]) -> Iterator[str]:
    """Yield models that can be named themselves; others are reached through a profile only."""
    for model in models:
        if _ON_DEMAND in model.get("inferenceTypesSupported", [_ON_DEMAND]):
            yield model["modelId"]


def _profiles(control: Any) -> Iterator[Mapping[str, Any]]:
    for page in control.get_paginator("list_inference_profiles").paginate():
        yield from page.get("inferenceProfileSummaries", [])


def _of_models(profiles: Iterable[Mapping[str, Any]], names: set[str]) -> Iterator[str]:
    for profile in profiles:
        models = {model["modelArn"].rpartition("/")[2] for model in profile.get("models", [])}
        if models & names:
            yield profile["inferenceProfileId"]
