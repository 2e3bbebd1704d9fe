"""Does the JSON Schema of an option class take what the class takes? For any option class."""

from __future__ import annotations

import functools
import typing
from collections.abc import Callable, Hashable, Iterable
from typing import Any, cast

from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from ragcore import BindingOptions, OptionsError
from ragcore.options import OptionField, Pattern


def class_takes(group: type[BindingOptions], document: dict[str, Any]) -> bool:
    """Say whether *group* takes *document* as keywords."""
    try:
        group(**document)
    except OptionsError:
        return False
    return True


def schema_takes(group: type[BindingOptions], document: dict[str, Any]) -> bool:
    """Say whether *document* is valid; the schema itself has to be, too."""
    valid: bool = _validator(cast("Hashable", group)).is_valid(document)
    return valid


@functools.cache
def _validator(group: type[BindingOptions]) -> Draft202012Validator:
    schema = group.json_schema()
    Draft202012Validator.check_schema(schema)
    return Draft202012Validator(schema)


def edges(group: type[BindingOptions]) -> Iterable[dict[str, Any]]:
    """Yield JSON objects at the ends of each range, just within and just outside."""
    for field in group.fields():
        limits = [limit for limit in (field.minimum, field.maximum) if limit is not None]
        for limit in limits:
            for step in (-1, 0, 1):
                yield _complete(group) | {field.name: limit + step}


def _complete(group: type[BindingOptions]) -> dict[str, Any]:
    fields = [field for field in group.fields() if field.variables]
    required = [field.name for field in fields if field.required]
    any_of = [field.name for field in fields if field.name in group.any_of()]
    return dict.fromkeys([*required, *any_of[:1]], "sample")


def documents(group: type[BindingOptions]) -> st.SearchStrategy[Iterable[dict[str, Any]]]:
    """
    JSON objects that *group* may or may not take.

    For each option one that has what is needed beside, and this option with a value of about its
    type, so that it decides; others lack something, or are made of anything.
    """
    return _documents(cast("Hashable", group))


@functools.cache
def _documents(group: type[BindingOptions]) -> st.SearchStrategy[Iterable[dict[str, Any]]]:
    # An option that is a keyword only holds an object, which no JSON document can name.
    fields = [field for field in group.fields() if field.variables]
    text = _texts(sorted({word for field in fields for word in (field.name, *_choices(field))}))
    complete = _complete(group)
    needed = [*complete, *(field.name for field in fields if field.name in group.any_of())]
    return st.tuples(
        *[_like(field, text).map(_beside(complete, field.name)) for field in fields],
        st.dictionaries(_one_of(needed), st.none() | text, max_size=3),
        st.dictionaries(_one_of([field.name for field in fields]), _anything(text), max_size=2).map(
            lambda document: complete | document
        ),
    )


def _beside(document: dict[str, Any], name: str) -> Callable[[Any], dict[str, Any]]:
    return lambda value: document | {name: value}


def _one_of(names: list[str]) -> st.SearchStrategy[str]:
    return st.sampled_from([*names, "unknown"])


def _texts(words: list[str]) -> st.SearchStrategy[str]:
    endings = st.sampled_from(["", "\n", " ", "é"])
    return st.text() | st.tuples(st.sampled_from(words), endings).map("".join)


def _like(field: OptionField, text: st.SearchStrategy[str]) -> st.SearchStrategy[Any]:
    """Values that could be the option's, if not for their size or what they say."""
    match field.check:
        case Pattern(pattern):
            # What is made by chance hardly ever matches.
            text = text | st.from_regex(pattern, fullmatch=True)
    kinds: dict[type, st.SearchStrategy[Any]] = {
        bool: st.booleans(),
        int: st.integers(-200, 200),
        float: st.floats(-3, 3),
        list: st.lists(text, max_size=3),
        dict: st.dictionaries(text, text | st.integers(-200, 200), min_size=1, max_size=3),
    }
    parts = [field.type, *typing.get_args(field.type)]
    found = [kinds[kind] for part in parts if (kind := typing.get_origin(part) or part) in kinds]
    return st.one_of(*found, text)


def _anything(text: st.SearchStrategy[str]) -> st.SearchStrategy[Any]:
    # Whole numbers that no float holds are not JSON everywhere, and NaN is nowhere.
    numbers = st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False)
    return st.recursive(
        st.none() | st.booleans() | numbers | text,
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(text, inner, max_size=3),
        max_leaves=4,
    )


def _choices(field: OptionField) -> list[str]:
    kinds = [field.type, *typing.get_args(field.type)]
    return [
        choice
        for kind in kinds
        if typing.get_origin(kind) is typing.Literal
        for choice in typing.get_args(kind)
        if isinstance(choice, str)
    ]
