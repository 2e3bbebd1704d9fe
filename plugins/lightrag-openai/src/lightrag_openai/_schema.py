"""
JSON Schemas as OpenAI's strict mode wants them.

Rules: https://platform.openai.com/docs/guides/structured-outputs#supported-schemas
"""

from __future__ import annotations

import itertools
import logging
import re
from collections.abc import Iterable, Mapping
from typing import Any

import attrs

from ragcore import JSONSchema

Schema = dict[str, Any]

_log = logging.getLogger("lightrag_openai")

# What strict mode takes as it is; all else that bears on what fits keeps a schema out of it.
_KEPT = ("type", "enum", "const", "title", "description")
_BOUNDS = (
    *("pattern", "format", "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"),
    *("multipleOf", "minItems", "maxItems"),
)
_REWRITTEN = (
    *("$defs", "definitions", "$ref", "anyOf", "oneOf", "allOf"),
    *("properties", "required", "additionalProperties", "items"),
)
# Says nothing of what fits.
_NOTES = (
    *("title", "description", "default", "example", "examples", "discriminator", "deprecated"),
    *("readOnly", "writeOnly", "$comment", "$schema", "$id"),
)
_FORMATS = (
    *("date-time", "time", "date", "duration", "email", "hostname", "ipv4", "ipv6", "uuid"),
)
_TYPES = {str: "string", bool: "boolean", int: "number", float: "number", type(None): "null"}
_NOT_OF_NAMES = re.compile("[^A-Za-z0-9_-]")
_LONGEST_NAME = 64


class _NotStrictError(Exception):
    """Strict mode would refuse the schema; says why."""


class Schemas:
    """
    Puts schemas as the API wants them.

    Args:
        reference: The model, for the log.
        closed: Whether strict mode wants them closed and complete, as OpenAI's does.
        bounds: Whether that mode knows patterns, formats, least and most.
    """

    def __init__(self, reference: str, *, closed: bool, bounds: bool) -> None:
        self._reference = reference
        self._closed = closed
        self._bounds = bounds
        self._told: set[tuple[str, str]] = set()

    def asked(self, wanted: JSONSchema) -> Schema:
        """Return name and schema as the API wants them, and whether strict mode is asked for."""
        name = _NOT_OF_NAMES.sub("_", wanted.name)[:_LONGEST_NAME]
        schema, is_strict = dict(wanted.schema), wanted.strict
        if is_strict and self._closed:
            schema, is_strict = self._narrowed(wanted)
        return {"name": name, "schema": schema, "strict": is_strict}

    def _narrowed(self, wanted: JSONSchema) -> tuple[Schema, bool]:
        """
        Return the schema, and whether strict mode takes it.

        In strict mode objects are closed and have all their properties. What fits a schema narrowed
        in that way fits the one that was given, too. One that can't be put so is sent as it was
        given, which the log says once.
        """
        try:
            return _Rewriting(wanted.schema, self._bounds).whole(), True
        except _NotStrictError as exc:
            self._tell(wanted.name, str(exc))
        except (AttributeError, TypeError, RecursionError):
            self._tell(wanted.name, "it can't be understood")
        return dict(wanted.schema), False

    def _tell(self, name: str, why: str) -> None:
        if (name, why) not in self._told:
            self._told.add((name, why))
            _log.warning(
                "%s: the schema %r is sent without strict mode: %s", self._reference, name, why
            )


@attrs.frozen
class _Rewriting:
    """Rewrites the schema *root*, which keeps its meaning."""

    root: Mapping[str, Any]
    bounds: bool

    def whole(self) -> Schema:
        """Return the root, which has to be an object, and can't be a reference to one."""
        root: Mapping[str, Any] = self.root
        if "$ref" in root:
            rest = {name: value for name, value in root.items() if name != "$ref"}
            root = {**self._target(root["$ref"]), **rest}
        whole = self._part(root)
        if whole.get("type") != "object":
            raise _NotStrictError("it is not of the type object")
        return whole

    def _part(self, schema: Any) -> Schema:
        if not isinstance(schema, Mapping):
            raise _NotStrictError(f"{schema!r} is a part of it")
        known = (*_KEPT, *_REWRITTEN, *_NOTES, *(_BOUNDS if self.bounds else ()))
        if unknown := [name for name in schema if name not in known]:
            raise _NotStrictError(f"it uses {unknown[0]!r}")
        kept = {name: schema[name] for name in (*_KEPT, *_BOUNDS) if name in schema}
        named = {
            name: {key: self._part(part) for key, part in schema[name].items()}
            for name in ("$defs", "definitions")
            if name in schema
        }
        return {**named, **_checked(kept), **self._form(schema)}

    def _form(self, schema: Mapping[str, Any]) -> Schema:
        """Return what says how *schema* is made up of others."""
        if alternatives := _alternatives(schema):
            if "oneOf" in schema:
                self._check_apart(alternatives)
            return {"anyOf": [self._part(one) for one in alternatives]}
        if "$ref" in schema:
            self._target(schema["$ref"])
            return {"$ref": schema["$ref"]}
        return self._typed(schema)

    def _typed(self, schema: Mapping[str, Any]) -> Schema:
        types = ["object"] if "properties" in schema and "type" not in schema else _types_of(schema)
        if not types:
            raise _NotStrictError("a part of it has no type")
        form: Schema = {"type": schema.get("type", types[0] if len(types) == 1 else types)}
        if "object" in types:
            form |= self._closed(schema)
        if "array" in types:
            form["items"] = self._part(schema.get("items"))
        return form

    def _closed(self, schema: Mapping[str, Any]) -> Schema:
        properties = schema.get("properties")
        if properties is None or schema.get("additionalProperties", False) is not False:
            raise _NotStrictError("its objects have properties of any name")
        if not set(schema.get("required", ())) <= set(properties):
            raise _NotStrictError("it requires properties that it does not describe")
        return {
            "properties": {name: self._part(part) for name, part in properties.items()},
            "required": list(properties),
            "additionalProperties": False,
        }

    def _target(self, reference: Any) -> Mapping[str, Any]:
        """Return what *reference* leads to."""
        found: Any = self.root
        way = str(reference).split("/")
        for name in way[1:]:
            key = name.replace("~1", "/").replace("~0", "~")
            found = found.get(key) if isinstance(found, Mapping) else None
        if way[0] != "#" or not isinstance(found, Mapping):
            raise _NotStrictError(f"it refers to {reference!r}, which is not in it")
        return found

    def _check_apart(self, alternatives: Iterable[Any]) -> None:
        """Refuse alternatives of which two may fit at once, which ``anyOf`` would take."""
        each = [self._target(one["$ref"]) if "$ref" in one else one for one in alternatives]
        if not all(_are_apart(*pair) for pair in itertools.combinations(each, 2)):
            raise _NotStrictError("it uses 'oneOf', of which more than one may fit")


def _alternatives(schema: Mapping[str, Any]) -> list[Any]:
    """Return the parts of which one is to fit; a reference with notes beside it is one of one."""
    found = {name: schema[name] for name in ("anyOf", "oneOf", "allOf") if name in schema}
    if "$ref" in schema and len(schema) > 1:
        found["$ref"] = [{"$ref": schema["$ref"]}]
    if not found:
        return []
    parts = next(iter(found.values()))
    if len(found) > 1 or not set(schema) <= {*found, *_NOTES, "$defs", "definitions"}:
        raise _NotStrictError(f"it uses {next(iter(found))!r} beside other keywords")
    if "allOf" in found and len(parts) != 1:
        raise _NotStrictError("it uses 'allOf'")
    if not all(isinstance(part, Mapping) for part in parts):
        raise _NotStrictError(f"{parts!r:.50} is a part of it")
    return list(parts)


def _are_apart(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Whether nothing fits both: their types differ, or a property that both require does."""
    types, others = (
        {"number" if name == "integer" else name for name in _types_of(schema)}
        for schema in (one, other)
    )
    if types and others and not types & others:
        return True
    shared = set(one.get("required", ())) & set(other.get("required", ()))
    return any(_exclude(one, other, name) for name in shared)


def _exclude(one: Mapping[str, Any], other: Mapping[str, Any], name: str) -> bool:
    values, others = (_values(schema.get("properties", {}).get(name)) for schema in (one, other))
    return bool(values and others) and not any(value in others for value in values)


def _values(schema: Any) -> list[Any]:
    if not isinstance(schema, Mapping):
        return []
    return [schema["const"]] if "const" in schema else list(schema.get("enum", ()))


def _types_of(schema: Mapping[str, Any]) -> list[str]:
    """Return the types of *schema*, which its values may say."""
    said = schema.get("type")
    if said is not None:
        return [said] if isinstance(said, str) else list(said)
    return sorted({_TYPES[type(value)] for value in _values(schema) if type(value) in _TYPES})


def _checked(kept: Schema) -> Schema:
    """Return *kept* without formats that are unknown, which say nothing of what fits."""
    if re.search(r"\(\?[=!<]", str(kept.get("pattern", ""))):
        raise _NotStrictError("it uses a pattern that looks around")
    if kept.get("format") not in _FORMATS:
        kept.pop("format", None)
    return kept
