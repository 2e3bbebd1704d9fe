"""
Strict conversion: keywords are checked, text is parsed, and nothing is guessed.

Two cattrs converters know the types an option can have. They agree: what a keyword takes can be
written as text, and is the same value again. So a whole number may be written ``1.0``, as in JSON,
and where a ``str`` is one of several types, one that reads as another of them is that other.

A hook that can't convert raises :class:`Unconvertible`, whose text completes the sentence
"'hot' is not …".
"""

from __future__ import annotations

import enum
import functools
import json
import math
import os
import re
import types
import typing
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, NoReturn

from ragcore.options._secrets import Secret

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


def says_nothing(annotation: Any, text: str) -> bool:
    """Say whether *text* is how one writes "not set": nothing, or null where JSON is wanted."""
    kind = bare(annotation)
    is_json = kind is Any or is_list(kind) or is_dict(kind)
    return not text or (is_json and text.strip() == "null")


def to_text(value: Any) -> str:
    """
    Return *value* as one writes it into an environment; None is an empty text.

    A secret is written out.
    """
    if value is None:
        return ""
    if isinstance(value, Secret):
        return value.get()
    if isinstance(value, enum.Enum):
        return to_text(value.value)
    is_json = isinstance(value, bool | dict | list | tuple)
    return json.dumps(value, default=to_text) if is_json else str(value)


def to_json(value: Any) -> Any:
    """Return *value* as JSON has it."""
    return json.loads(json.dumps(value, default=to_text))


def describe(annotation: Any) -> str:
    """Return what values of the type are, in words: ``a whole number``."""
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if is_choice(annotation):
        return "one of " + ", ".join(map(repr, choices_of(annotation)))
    if is_union(annotation):
        return " or ".join(describe(kind) for kind in _kinds(annotation))
    if is_list(annotation):
        return f"a list, each item {describe(arguments[0])}" if arguments else "a list"
    if is_dict(annotation) and arguments:
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


def describe_text(annotation: Any) -> str:
    """Return how one writes values of the type as text, in words: ``JSON list of text``."""
    if is_choice(annotation):
        return " | ".join(map(to_text, choices_of(annotation)))
    if is_union(annotation):
        return " | ".join(describe_text(kind) for kind in _kinds(annotation) if is_writable(kind))
    if is_list(annotation):
        return f"JSON list of {describe_text(item_of(annotation))}"
    if is_dict(annotation):
        _, kind = typing.get_args(annotation) or (str, Any)
        return "JSON object" if kind is Any else f"JSON object of {describe_text(kind)}"
    return _TEXT_WORDS.get(annotation, describe(annotation))


_TEXT_WORDS = {
    bool: "true | false",
    int: "whole number",
    float: "number",
    str: "text",
    Path: "path",
    Secret: "secret",
    Any: "JSON",
}


def is_union(annotation: Any) -> bool:
    """Say whether it is one of several types."""
    return typing.get_origin(annotation) in (typing.Union, types.UnionType)


def is_choice(annotation: Any) -> bool:
    """Say whether it is one of several values: a Literal, or an enumeration."""
    is_enumeration = isinstance(annotation, type) and issubclass(annotation, enum.Enum)
    return is_enumeration or typing.get_origin(annotation) is Literal


def choices_of(annotation: Any) -> dict[Any, Any]:
    """Return the values of a choice, None apart, as one writes them; each with what it means."""
    if typing.get_origin(annotation) is Literal:
        return {one: one for one in typing.get_args(annotation) if one is not None}
    return {one.value: one for one in annotation}


def is_list(annotation: Any) -> bool:
    """Say whether its values are lists, or tuples of any length."""
    kind, arguments = typing.get_origin(annotation) or annotation, typing.get_args(annotation)
    if kind is tuple:
        return not arguments or arguments[1:] == (...,)
    return kind in (list, Sequence)


def item_of(annotation: Any) -> Any:
    """Return the type of the items of a list."""
    return (typing.get_args(annotation) or (Any,))[0]


def is_writable(annotation: Any) -> bool:
    """Say whether text, or JSON, can have one of its values."""
    if is_union(annotation):
        return any(map(is_writable, _kinds(annotation)))
    if is_list(annotation):
        return is_writable(item_of(annotation))
    if is_dict(annotation):
        return is_writable((typing.get_args(annotation) or (str, Any))[1])
    return is_choice(annotation) or annotation in _TEXT_WORDS


def holds_secrets(annotation: Any) -> bool:
    """Say whether a value of it is a secret, or may hold some."""
    return annotation is Secret or any(map(holds_secrets, typing.get_args(annotation)))


def without_none(annotation: Any) -> Any:
    """Return the type without None, among several types or several values."""
    if is_union(annotation):
        return typing.Union[tuple(_kinds(annotation))]  # noqa: UP007  # made at run time
    if typing.get_origin(annotation) is Literal:
        return Literal[tuple(choices_of(annotation))]
    return annotation


def bare(annotation: Any) -> Any:
    """Return the type without ``| None``; a union of more stays one."""
    kinds = _kinds(annotation)
    return kinds[0] if is_union(annotation) and len(kinds) == 1 else annotation


def is_dict(annotation: Any) -> bool:
    """Say whether its values are dicts with str keys."""
    return (typing.get_origin(annotation) or annotation) in (dict, Mapping)


def _kinds(annotation: Any) -> list[Any]:
    return [kind for kind in typing.get_args(annotation) if kind is not type(None)]


# --- keywords -----------------------------------------------------------------------------


@functools.cache
def _values() -> cattrs.Converter:
    converter = _converter(_instance)
    _register(converter, _VALUES, _choice)
    converter.register_structure_hook_factory(is_dict, _dict_of)
    converter.register_structure_hook_factory(is_list, _list_of)
    converter.register_structure_hook_func(_is_union_with_str, _str_or_other)
    return converter


def _exactly(value: Any, kind: Any) -> Any:
    if isinstance(value, kind):
        return value
    raise Unconvertible(describe(kind))


def _whole_number(value: Any, kind: Any) -> int:
    # bool is a subclass of int, and True is no number of tokens.
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    if isinstance(value, float) and value.is_integer():
        return int(value)
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
    path = os.fspath(value) if isinstance(value, os.PathLike) else value
    if isinstance(path, str):
        return Path(path)
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
    if value is None and None in typing.get_args(annotation):
        return None
    for choice, meant in choices_of(annotation).items():
        if value is meant or _is_same(value, choice):
            return meant
    raise Unconvertible(describe(annotation))


def _is_same(value: Any, choice: Any) -> bool:
    # 1 == True, and True is no number; but 16.0 is 16. What else there is, such as an array, may
    # have a comparison of its own.
    is_plain = isinstance(value, str | int | float)
    return is_plain and isinstance(value, bool) is isinstance(choice, bool) and value == choice


def _is_union_with_str(annotation: Any) -> bool:
    return is_union(annotation) and str in typing.get_args(annotation)


def _str_or_other(value: Any, annotation: Any) -> Any:
    if isinstance(value, str):
        return from_text(annotation, value)
    return _first_of(annotation, _values())(value, annotation)


def _list_of(annotation: Any, converter: cattrs.Converter) -> Hook:
    item = item_of(annotation)
    kind = typing.get_origin(annotation) or annotation
    build: Callable[[Iterable[Any]], Any] = list if kind is list else tuple

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


_VALUES: dict[Any, Hook] = {
    bool: _exactly,
    int: _whole_number,
    float: _number,
    str: _exactly,
    Path: _path,
    Secret: _secret,
}


# --- text ---------------------------------------------------------------------------------

_TRUE, _FALSE = ("true", "1", "yes", "t", "on"), ("false", "0", "no", "f", "off")


@functools.cache
def _texts() -> cattrs.Converter:
    converter = _converter(_keyword_only)
    _register(converter, _TEXTS, _choice_from_text)
    converter.register_structure_hook_func(lambda kind: kind is Any, _json)
    converter.register_structure_hook_func(is_dict, _json)
    converter.register_structure_hook_func(is_list, _json)
    return converter


def _bool_from_text(text: str, _: Any) -> bool:
    word = text.strip().lower()
    if word not in _TRUE + _FALSE:
        raise Unconvertible("true or false")
    return word in _TRUE


def _int_from_text(text: str, kind: Any) -> int:
    try:
        return int(_ZEROS.sub("", text))
    except ValueError:
        raise Unconvertible(describe(kind)) from None


# Behind a decimal point; JSON has 1.0 for 1, too.
_ZEROS = re.compile(r"(?<=\d)\.0+(?=\s*$)")


def _number_from_text(text: str, kind: Any) -> float:
    try:
        return _number(float(text), kind)
    except ValueError:
        raise Unconvertible(describe(kind)) from None


def _choice_from_text(text: str, annotation: Any) -> Any:
    word, choices = text.strip(), choices_of(annotation)
    for same in (str.__eq__, _is_same_word):
        for choice, meant in choices.items():
            if same(str(choice), word):
                return meant
    raise Unconvertible(describe(annotation))


def _is_same_word(one: str, other: str) -> bool:
    return one.casefold() == other.casefold()


def _json(text: str, annotation: Any) -> Any:
    try:
        value = json.loads(text, parse_constant=_no_json, parse_float=_finite)
        return from_value(annotation, value)
    except (ValueError, RecursionError):
        wanted = describe(annotation).removeprefix("a ")
        raise Unconvertible(f"JSON for a {wanted}") from None


def _no_json(word: str) -> NoReturn:
    raise ValueError(f"{word} is not JSON")


def _finite(text: str) -> float:
    number = float(text)
    if math.isinf(number):
        raise ValueError(f"{text} is too large")
    return number


def _keyword_only(_: str, annotation: Any) -> Any:
    raise Unconvertible(f"a way to give {describe(annotation)}; pass it as a keyword")


_TEXTS: dict[Any, Hook] = {
    bool: _bool_from_text,
    int: _int_from_text,
    float: _number_from_text,
    str: _exactly,
    Path: _path,
    Secret: _secret,
}


# --- both ---------------------------------------------------------------------------------


def _converter(fallback: Hook) -> cattrs.Converter:
    import cattrs

    converter = cattrs.Converter(detailed_validation=False)
    # Last registered, first asked: this one answers for what no other hook knows.
    converter.register_structure_hook_func(lambda _: True, fallback)
    converter.register_structure_hook_factory(is_union, _first_of)
    return converter


def _register(converter: cattrs.Converter, hooks: Mapping[Any, Hook], choose: Hook) -> None:
    converter.register_structure_hook_func(is_choice, choose)
    for kind, hook in hooks.items():
        converter.register_structure_hook(kind, _unless_a_choice(hook, choose))


def _unless_a_choice(hook: Hook, choose: Hook) -> Hook:
    # cattrs takes an enumeration of numbers for a number.
    def convert(value: Any, kind: Any) -> Any:
        return choose(value, kind) if is_choice(kind) else hook(value, kind)

    return convert


def _first_of(annotation: Any, converter: cattrs.Converter) -> Hook:
    kinds = _kinds(annotation)
    narrow_first = sorted(kinds, key=_breadth)
    can_be_none = type(None) in typing.get_args(annotation)

    def convert(value: Any, _: Any) -> Any:
        if value is None and can_be_none:
            return None
        wanted = {}
        for kind in narrow_first:
            try:
                return converter.structure(value, kind)
            except Unconvertible as exc:
                wanted[kind] = str(exc)
        raise Unconvertible(" or ".join(wanted[kind] for kind in kinds))

    return convert


def _breadth(kind: Any) -> int:
    """Rank types by how many texts say one: what a narrow one does not take is left for others."""
    if is_choice(kind):
        return 0
    return {int: 1, float: 1, bool: 2, str: 4}.get(kind, 3)
