"""
Strict conversion: keywords are checked, text is parsed, and nothing is guessed.

Two cattrs converters know the types an option can have. A hook that can't convert raises
:class:`Unconvertible`, whose text completes the sentence "'hot' is not …".
"""

from __future__ import annotations

import functools
import json
import math
import os
import types
import typing
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from ragcore._secrets import Secret

if typing.TYPE_CHECKING:
    import cattrs

Hook = Callable[[Any, Any], Any]


class Unconvertible(ValueError):  # noqa: N818  # it completes a sentence
    """Says what was wanted: ``a number``, ``one of 'low', 'high'``."""


def from_value(annotation: Any, value: Any) -> Any:
    """
    Return *value* if it has the type; a ``str`` becomes a secret or a path where one is wanted.

    Raises:
        Unconvertible: It has another type.
    """
    return _values().structure(value, annotation)


def from_text(annotation: Any, text: str) -> Any:
    """
    Convert *text* as it stands in an environment variable; lists and dicts are JSON.

    Raises:
        Unconvertible: It does not say one.
    """
    return _texts().structure(text, annotation)


def describe(annotation: Any) -> str:
    """Return what values of the type are, in words: ``a whole number``."""
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is Literal:
        return "one of " + ", ".join(map(repr, arguments))
    if _is_union(annotation):
        return " or ".join(describe(kind) for kind in _kinds(annotation))
    if _is_list(annotation):
        return f"a list, each item {describe(arguments[0])}"
    if _is_dict(annotation) and arguments:
        return f"{_WORDS[dict]}, each value {describe(arguments[1])}"
    kind = origin or annotation
    return _WORDS.get(kind, f"a {getattr(kind, '__name__', kind)}")


_WORDS = {
    bool: "True or False",
    int: "a whole number",
    float: "a number",
    str: "a text (str)",
    Path: "a path",
    Secret: "a text (str) or a ragcore.Secret",
    dict: "a dict with str keys",
    Any: "anything",
}


def _is_union(annotation: Any) -> bool:
    return typing.get_origin(annotation) in (typing.Union, types.UnionType)


def _is_literal(annotation: Any) -> bool:
    return typing.get_origin(annotation) is Literal


def _is_list(annotation: Any) -> bool:
    return typing.get_origin(annotation) in (list, tuple, Sequence)


def _is_dict(annotation: Any) -> bool:
    return (typing.get_origin(annotation) or annotation) in (dict, Mapping)


def _kinds(annotation: Any) -> list[Any]:
    return [kind for kind in typing.get_args(annotation) if kind is not type(None)]


# --- keywords -----------------------------------------------------------------------------


@functools.cache
def _values() -> cattrs.Converter:
    converter = _converter(_instance)
    for kind in (bool, int, str):
        converter.register_structure_hook(kind, _exactly)
    converter.register_structure_hook(float, _number)
    converter.register_structure_hook(Path, _path)
    converter.register_structure_hook(Secret, _secret)
    converter.register_structure_hook_factory(_is_dict, _dict_of)
    converter.register_structure_hook_func(_is_literal, _choice)
    converter.register_structure_hook_factory(_is_list, _list_of)
    return converter


def _exactly(value: Any, kind: Any) -> Any:
    # bool is a subclass of int, and True is no number of tokens.
    if isinstance(value, kind) and not (kind is int and isinstance(value, bool)):
        return value
    raise Unconvertible(describe(kind))


def _number(value: Any, kind: Any) -> float:
    if isinstance(value, int | float) and not isinstance(value, bool):
        try:
            number = float(value)
        except OverflowError:
            raise Unconvertible(describe(kind)) from None
        if math.isfinite(number):
            return number
    raise Unconvertible(describe(kind))


def _path(value: Any, kind: Any) -> Path:
    if isinstance(value, str | os.PathLike):
        return Path(value)
    raise Unconvertible(describe(kind))


def _secret(value: Any, kind: Any) -> Secret:
    if isinstance(value, str):
        return Secret(value)
    if isinstance(value, Secret):
        return value
    raise Unconvertible(describe(kind))


def _dict_of(annotation: Any, converter: cattrs.Converter) -> Hook:
    _, kind = typing.get_args(annotation) or (str, Any)

    def convert(given: Any, _: Any) -> dict[str, Any]:
        if not isinstance(given, Mapping) or not all(isinstance(key, str) for key in given):
            raise Unconvertible(describe(annotation))
        try:
            return {key: converter.structure(value, kind) for key, value in given.items()}
        except Unconvertible:
            raise Unconvertible(describe(annotation)) from None

    return convert


def _choice(value: Any, annotation: Any) -> Any:
    for choice in typing.get_args(annotation):
        # 1 == True: the type belongs to the choice.
        if type(value) is type(choice) and value == choice:
            return choice
    raise Unconvertible(describe(annotation))


def _list_of(annotation: Any, converter: cattrs.Converter) -> Hook:
    item = typing.get_args(annotation)[0]
    build: Callable[[Iterable[Any]], Any] = list if typing.get_origin(annotation) is list else tuple

    def convert(value: Any, _: Any) -> Any:
        if not isinstance(value, list | tuple | set | frozenset):
            raise Unconvertible(describe(annotation))
        try:
            return build(converter.structure(one, item) for one in value)
        except Unconvertible:
            raise Unconvertible(describe(annotation)) from None

    return convert


def _instance(value: Any, annotation: Any) -> Any:
    kind = typing.get_origin(annotation) or annotation
    if kind is Any or (callable(value) if kind is Callable else _is_instance(value, kind)):
        return value
    raise Unconvertible(describe(annotation))


def _is_instance(value: Any, kind: Any) -> bool:
    try:
        return isinstance(value, kind)
    except TypeError:
        # A Protocol that can't be checked at run time: the type checker has seen to it.
        return True


# --- text ---------------------------------------------------------------------------------

_TRUE, _FALSE = ("true", "1", "yes", "on"), ("false", "0", "no", "off")


@functools.cache
def _texts() -> cattrs.Converter:
    converter = _converter(_keyword_only)
    converter.register_structure_hook(bool, _bool_from_text)
    converter.register_structure_hook(int, _int_from_text)
    converter.register_structure_hook(float, _number_from_text)
    converter.register_structure_hook(str, _exactly)
    converter.register_structure_hook(Path, _path)
    converter.register_structure_hook(Secret, _secret)
    converter.register_structure_hook_func(_is_dict, _json)
    converter.register_structure_hook_func(_is_list, _json)
    converter.register_structure_hook_func(_is_literal, _choice_from_text)
    return converter


def _bool_from_text(text: str, _: Any) -> bool:
    word = text.strip().lower()
    if word not in _TRUE + _FALSE:
        raise Unconvertible("true or false")
    return word in _TRUE


def _int_from_text(text: str, kind: Any) -> int:
    try:
        return int(text)
    except ValueError:
        raise Unconvertible(describe(kind)) from None


def _number_from_text(text: str, kind: Any) -> float:
    try:
        return _number(float(text), kind)
    except ValueError:
        raise Unconvertible(describe(kind)) from None


def _choice_from_text(text: str, annotation: Any) -> Any:
    for choice in typing.get_args(annotation):
        if str(choice) == text.strip():
            return choice
    raise Unconvertible(describe(annotation))


def _json(text: str, annotation: Any) -> Any:
    try:
        return from_value(annotation, json.loads(text))
    except (ValueError, RecursionError):
        wanted = describe(annotation).removeprefix("a ")
        raise Unconvertible(f"JSON for a {wanted}") from None


def _keyword_only(_: str, annotation: Any) -> Any:
    raise Unconvertible(f"a way to give {describe(annotation)}; pass it as a keyword")


# --- both ---------------------------------------------------------------------------------


def _converter(fallback: Hook) -> cattrs.Converter:
    import cattrs

    converter = cattrs.Converter(detailed_validation=False)
    # Last registered, first asked: this one answers for what no other hook knows.
    converter.register_structure_hook_func(lambda _: True, fallback)
    converter.register_structure_hook_factory(_is_union, _first_of)
    return converter


def _first_of(annotation: Any, converter: cattrs.Converter) -> Hook:
    kinds = _kinds(annotation)

    def convert(value: Any, _: Any) -> Any:
        wanted = []
        for kind in kinds:
            try:
                return converter.structure(value, kind)
            except Unconvertible as exc:
                wanted.append(str(exc))
        raise Unconvertible(" or ".join(wanted))

    return convert
