"""Options as JSON Schema, draft 2020-12: it takes what the class takes."""

from __future__ import annotations

import typing
from pathlib import Path
from typing import Any

from ragcore.options._checks import Check
from ragcore.options._declaration import OptionField, summary_of
from ragcore.options._group import Group
from ragcore.options._secrets import Secret
from ragcore.options._types import (
    choices_of,
    is_choice,
    is_dict,
    is_list,
    is_union,
    is_writable,
    item_of,
    to_json,
    without_none,
)

_DIALECT = "https://json-schema.org/draft/2020-12/schema"
_NULL = {"type": "null"}


def schema(group: type[Group]) -> dict[str, Any]:
    """Return the schema of an object with the options of *group* as its properties."""
    fields = [field for field in group.fields() if field.variables]
    made: dict[str, Any] = {
        "$schema": _DIALECT,
        "title": group.binding(),
        "description": summary_of(group),
        "type": "object",
        "properties": {field.name: _property(field) for field in fields},
        "additionalProperties": False,
    }
    if required := [field.name for field in fields if field.required]:
        made["required"] = required
    if group.any_of():
        names = [field.name for field in fields if field.name in group.any_of()]
        made["anyOf"] = [_is_set(name) for name in names] or [False]
    return made


def _is_set(name: str) -> dict[str, Any]:
    return {"required": [name], "properties": {name: {"not": _NULL}}}


def _property(field: OptionField) -> dict[str, Any]:
    about: dict[str, Any] = {"description": field.help}
    if field.secret:
        about["writeOnly"] = True
    elif not field.required and field.default is not None:
        about["default"] = to_json(field.default)
    if field.variables:
        about["x-environment"] = list(field.variables)
    kind = _checked(_type(without_none(field.type)) | _range(field), field.check)
    return about | (kind if field.required else _or_null(kind))


def _range(field: OptionField) -> dict[str, Any]:
    # Alone they concern numbers only, whatever else the type is.
    limits = {"minimum": field.minimum, "maximum": field.maximum}
    return {name: limit for name, limit in limits.items() if limit is not None}


def _checked(kind: dict[str, Any], check: Check | None) -> dict[str, Any]:
    rules = dict(check.schema()) if check else {}
    # What is said of texts concerns the values of a dict, and the items of a list.
    inside = next((name for name in ("additionalProperties", "items") if name in kind), None)
    if inside and "pattern" in rules:
        kind = kind | {inside: kind[inside] | {"pattern": rules.pop("pattern")}}
    return kind | rules


def _or_null(kind: dict[str, Any]) -> dict[str, Any]:
    match kind:
        case {"type": str(name), **rest}:
            return {"type": [name, "null"], **rest}
        case {"enum": list(choices), **rest}:
            return {"enum": [*choices, None], **rest}
        case {"anyOf": list(kinds), **rest}:
            return {"anyOf": [*kinds, _NULL], **rest}
        case _:
            # Takes anything.
            return kind


def _type(annotation: Any) -> dict[str, Any]:
    if is_choice(annotation):
        return {"enum": list(choices_of(annotation))}
    if is_union(annotation):
        kinds = [_type(kind) for kind in typing.get_args(annotation) if is_writable(kind)]
        one = kinds[0] if len(kinds) == 1 else {"anyOf": kinds}
        return _or_null(one) if type(None) in typing.get_args(annotation) else one
    if is_list(annotation):
        return {"type": "array", "items": _type(item_of(annotation))}
    if is_dict(annotation):
        _, value = typing.get_args(annotation) or (str, Any)
        return {"type": "object", "additionalProperties": _type(value)}
    return dict(_SIMPLE.get(annotation, {}))


_SIMPLE: dict[Any, dict[str, Any]] = {
    bool: {"type": "boolean"},
    int: {"type": "integer"},
    float: {"type": "number"},
    str: {"type": "string"},
    Path: {"type": "string"},
    Secret: {"type": "string"},
}
