"""Option classes written as LightRAG's are: dataclasses with ``_binding_name`` and ``_help``."""

from __future__ import annotations

import dataclasses
import inspect
import re
import typing
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, ClassVar

import attrs

from ragcore.options._declaration import documented


@contextmanager
def adopted(cls: type) -> Iterator[None]:
    """
    Let attrs see the fields of *cls* that a dataclass would see.

    ``@dataclass`` runs after it, on the finished class. It replaces nothing that is the class's own
    already, and finds the defaults that it looks for.
    """
    mixed_in = _inherited(cls)
    found = {**mixed_in, **_own(cls)}
    annotations = {n: kind for n, (kind, _) in mixed_in.items()} | inspect.get_annotations(cls)
    # What begins with an underscore is no option, whether or not it is marked as a ClassVar.
    cls.__annotations__ = {n: kind for n, kind in annotations.items() if not n.startswith("_")}
    for name, (_, value) in found.items():
        setattr(cls, name, _declared(value, secret=_names_a_key(name)))
    yield
    cls.__annotations__ = annotations
    for name, (_, value) in found.items():
        if value is not attrs.NOTHING:
            setattr(cls, name, value)


_Found = dict[str, tuple[Any, Any]]


def _inherited(cls: type) -> _Found:
    """Return the fields of dataclasses that *cls* mixes in, with their types resolved."""
    found: _Found = {}
    for base in reversed(cls.__mro__[1:]):
        if "__dataclass_fields__" not in vars(base) or hasattr(base, "__attrs_attrs__"):
            continue
        hints = typing.get_type_hints(base)
        for field in dataclasses.fields(base):
            if not field.name.startswith("_"):
                found[field.name] = (hints[field.name], _value(field))
    return found


def _value(field: dataclasses.Field[Any]) -> Any:
    # Anew: @dataclass makes its own of what it finds in the class.
    if field.default_factory is not dataclasses.MISSING:
        return dataclasses.field(default_factory=field.default_factory, repr=field.repr)
    return dataclasses.field(default=field.default, repr=field.repr)


def _own(cls: type) -> _Found:
    """Return the own fields of *cls*, if it is written so."""
    if not _is_written_so(cls):
        return {}
    names = inspect.get_annotations(cls)
    values = {name: vars(cls).get(name, attrs.NOTHING) for name in names}
    return {
        name: (kind, values[name])
        for name, kind in names.items()
        if not (name.startswith("_") or _is_class_variable(kind))
        and not isinstance(values[name], _Declared)
    }


# What option() returns; attrs has no public name for it.
_Declared = type(attrs.field())


def _is_written_so(cls: type) -> bool:
    own = vars(cls)
    inherits_from_one = any("__dataclass_fields__" in vars(base) for base in cls.__mro__[1:])
    has_field = any(isinstance(value, dataclasses.Field) for value in own.values())
    return inherits_from_one or has_field or "_binding_name" in own


def _is_class_variable(kind: Any) -> bool:
    if isinstance(kind, str):
        return kind.startswith(("ClassVar", "typing.ClassVar", "t.ClassVar"))
    return kind is ClassVar or typing.get_origin(kind) is ClassVar


# Such a class has no other way to say so. Tokens of a vocabulary, and their numbers, are none.
_KEY = re.compile(
    r"(.*_)?(api_?key|(secret|access|private)_key|password|secret"
    r"|(auth|access|bearer|session|refresh|api|ad)_token)|token",
    re.IGNORECASE,
)


def _names_a_key(name: str) -> bool:
    return _KEY.fullmatch(name) is not None


def _declared(value: Any, *, secret: bool) -> Any:
    if not isinstance(value, dataclasses.Field):
        return documented(value, secret=secret)
    default = attrs.NOTHING if value.default is dataclasses.MISSING else value.default
    if value.default_factory is not dataclasses.MISSING:
        default = attrs.Factory(value.default_factory)
    return documented(default, secret=secret, shown=value.repr)
