"""
JSON Schemas as OpenAI's strict mode wants them.

Rules: https://platform.openai.com/docs/guides/structured-outputs#supported-schemas
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ragcore import JSONSchema

_OF_ONE = ("items", "not", "if", "then", "else")
_OF_MANY = ("anyOf", "allOf", "oneOf", "prefixItems")
_BY_NAME = ("properties", "$defs", "definitions", "patternProperties")


def strict(wanted: JSONSchema) -> tuple[Mapping[str, Any], bool]:
    """
    Return the schema, and whether strict mode can be asked for.

    In strict mode objects are closed and have all their properties. What fits a schema narrowed in
    that way fits the one that was given, too. An object with properties of any name can't be
    closed: then the schema is sent as it was given, without strict mode.
    """
    if not wanted.strict or _has_open_object(wanted.schema):
        return dict(wanted.schema), False
    return _closed(wanted.schema), True


def _has_open_object(schema: Any) -> bool:
    if not isinstance(schema, Mapping):
        return False
    further = schema.get("additionalProperties", False)
    is_object = schema.get("type") == "object"
    if further is not False or (is_object and "properties" not in schema):
        return True
    return any(_has_open_object(part) for part in _parts(schema))


def _parts(schema: Mapping[str, Any]) -> list[Any]:
    one = [schema[key] for key in _OF_ONE if key in schema]
    many = [part for key in _OF_MANY for part in schema.get(key, ())]
    named = [part for key in _BY_NAME for part in schema.get(key, {}).values()]
    return [*one, *many, *named]


def _closed(schema: Any) -> Any:
    if not isinstance(schema, Mapping):
        return schema
    closed = dict(schema)
    for key in _OF_ONE:
        if key in closed:
            closed[key] = _closed(closed[key])
    for key in _OF_MANY:
        if key in closed:
            closed[key] = [_closed(part) for part in closed[key]]
    for key in _BY_NAME:
        if key in closed:
            closed[key] = {name: _closed(part) for name, part in closed[key].items()}
    if "properties" in closed:
        closed |= {"additionalProperties": False, "required": list(closed["properties"])}
    return closed
