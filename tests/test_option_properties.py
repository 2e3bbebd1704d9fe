"""
Options, whatever they are set to: the same value from everywhere, or one error about all of them.

``RAGCORE_EXAMPLES=10000`` makes each property take so many examples instead of 200.
"""

from __future__ import annotations

import argparse
import decimal
import enum
import fractions
import pathlib
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pytest
from every_option import (
    BOTH,
    SETTING,
    TEXT,
    VALUES,
    EveryOptions,
    environment,
    field_of,
    one_valid,
    parsed,
    problems_of,
    thorough,
    typed,
    valid,
    written,
)
from hypothesis import given
from hypothesis import strategies as st

from ragcore import BindingOptions, OptionsError, Secret, option
from ragcore.options import Sources, read

every_group = pytest.mark.parametrize("group", BOTH)


# --- valid ---------------------------------------------------------------------------------


def from_keywords(group: type[BindingOptions], values: Mapping[str, Any]) -> BindingOptions:
    return group(**values)


def from_variables(group: type[BindingOptions], values: Mapping[str, Any]) -> Any:
    variables = environment(group, {name: written(value) for name, value in values.items()})
    return read([group], {}, variables)[0]


def from_dotenv(group: type[BindingOptions], values: Mapping[str, Any]) -> Any:
    variables = environment(group, {name: written(value) for name, value in values.items()})
    return read([group], {}, sources=Sources(environ={}, dotenv=variables))[0]


def from_role(group: type[BindingOptions], values: Mapping[str, Any]) -> Any:
    variables = environment(group, {name: written(value) for name, value in values.items()})
    of_role = {f"EXTRACT_{name}": text for name, text in variables.items()}
    sources = Sources(environ=of_role, role="extract", only_role=True)
    return read([group], {}, sources=sources)[0]


def from_flags(group: type[BindingOptions], values: Mapping[str, Any]) -> BindingOptions:
    argv = [f"{field_of(group, name).flags[-1]}={written(v)}" for name, v in values.items()]
    return group(**group.options_dict(parsed(group, argv=argv)))


WAYS = [from_keywords, from_variables, from_dotenv, from_role, from_flags]


@pytest.mark.parametrize("way", WAYS)
@every_group
@thorough
@given(data=st.data())
def test_a_value_is_the_same_from_everywhere(
    way: Callable[[type[BindingOptions], Mapping[str, Any]], BindingOptions],
    group: type[BindingOptions],
    data: st.DataObject,
) -> None:
    """Keyword, variable, `.env`, variable of a role, flag: of one value and one type."""
    values = data.draw(valid(group))

    found = way(group, values)

    assert typed(found.asdict()) == typed(values)
    assert found == group(**values)


@every_group
@thorough
@given(data=st.data())
def test_each_value_by_itself_is_the_same_from_everywhere(
    group: type[BindingOptions], data: st.DataObject
) -> None:
    """One option at a time, so that each gets its share of odd values."""
    name, value = data.draw(one_valid(group))

    found = [way(group, {name: value}).asdict() for way in WAYS]

    assert [typed(one) for one in found] == [typed({name: value})] * len(WAYS)


@pytest.mark.parametrize("text", ["1.0", "16.00", " 7 "])
def test_a_whole_number_may_be_written_as_json_does(text: str) -> None:
    """What a keyword takes, 1.0, can be written."""
    found = read([EveryOptions], {}, {"EVERY_COUNT": text})[0].asdict()["count"]

    assert typed(found) == typed(int(float(text)))
    assert EveryOptions(count=float(text)).count == found  # type: ignore[arg-type]  # as in JSON


def test_an_option_of_any_type_is_written_as_json() -> None:
    """As its help says."""

    class AnyOptions(BindingOptions, binding="any"):
        thing: Any = option("Anything.", default=None)

    (found,) = read([AnyOptions], {}, {"ANY_THING": '{"a": [1, null]}'})

    assert found == AnyOptions(thing={"a": [1, None]})
    with pytest.raises(OptionsError, match="ANY_THING: 'x' is not JSON"):
        read([AnyOptions], {}, {"ANY_THING": "x"})


@pytest.mark.parametrize("kind", [complex, set[str], tuple[int, str], list[object]])
def test_what_cannot_be_written_is_a_keyword_only(kind: Any) -> None:
    """A variable that is named for it is refused, where the plugin's author sees it."""

    def declared(**more: Any) -> type[BindingOptions]:
        space = {"__annotations__": {"odd": kind | None}, "odd": option("Odd.", **more)}
        return type("OddOptions", (BindingOptions,), space, binding="odd")

    with pytest.raises(TypeError, match=r"OddOptions\.odd: .* nothing that ODD could say"):
        declared(default=None, env="ODD").fields()

    assert not declared(default=None).fields()[0].variables
    assert not declared(default=None, env=None).fields()[0].variables


def test_a_tuple_of_fixed_length_keeps_its_types() -> None:
    """As a keyword; it is no list of its first type."""

    class FixedOptions(BindingOptions, binding="fixed"):
        pair: tuple[int, str] | None = option("Pair.", default=None, env=None)

    assert FixedOptions(pair=(1, "a")).pair == (1, "a")


@pytest.mark.parametrize("text", ['{"a": NaN}', '{"a": Infinity}', '{"a": 1e400}', "{" * 9999])
def test_what_is_no_json_is_refused(text: str) -> None:
    """Also what Python would read, and no service would."""
    with pytest.raises(OptionsError, match=r"EVERY_EXTRA: .* is not JSON for a dict"):
        read([EveryOptions], {}, {"EVERY_EXTRA": text})


@pytest.mark.parametrize("name", ["stop", "sizes", "extra", "bare"])
def test_null_is_not_set_where_json_is_wanted(name: str) -> None:
    """As in LightRAG's samples; a text may be called null."""
    environ = environment(EveryOptions, {name: " null ", "name": "null"})

    assert read([EveryOptions], {}, environ)[0].asdict() == {"name": "null"}


# --- invalid -------------------------------------------------------------------------------


def alone(group: type[BindingOptions], text: str, name: str) -> list[str]:
    """Return what is wrong with *text* as a variable of one option."""
    try:
        read([group], {}, environment(group, {name: text}))
    except OptionsError as error:
        return problems_of(error)
    return []


@every_group
@thorough
@given(data=st.data())
def test_every_bad_variable_is_named_once(group: type[BindingOptions], data: st.DataObject) -> None:
    """Any texts: one error about all that are invalid, a line each, and no other exception."""
    texts = data.draw(st.dictionaries(st.sampled_from([*VALUES[group]]), SETTING))
    wrong = {name: line for name, text in texts.items() for line in alone(group, text, name)}

    try:
        found = set(read([group], {}, environment(group, texts))[0].asdict())
        problems: list[str] = []
    except OptionsError as error:
        found = set(texts)
        problems = problems_of(error)

    assert found == set(texts)
    assert sorted(problems) == sorted(wrong.values())
    for name, line in wrong.items():
        one = field_of(group, name)
        assert line.startswith(f"{one.variables[0]}: ")
        assert line.endswith(f" @ {one.where}")


@every_group
@thorough
@given(data=st.data())
def test_every_bad_flag_is_named_once(group: type[BindingOptions], data: st.DataObject) -> None:
    """Parsing goes on; the error comes when the options are taken out, with all of them."""
    # argparse itself fails on a value of "--" before Python 3.13.
    texts = data.draw(
        st.dictionaries(st.sampled_from([*VALUES[group]]), TEXT.filter(lambda t: t != "--"))
    )
    argv = [f"{field_of(group, name).flags[0]}={text}" for name, text in texts.items()]
    args = parsed(group, argv=argv)

    try:
        found = group.options_dict(args)
    except OptionsError as error:
        named = [problem.partition(": ")[0] for problem in problems_of(error)]
        assert len(set(named)) == len(named)
        assert set(named) <= {field_of(group, name).flags[0] for name in texts}
    else:
        assert set(found) == set(texts)


class Colour(enum.Enum):
    RED = "red"


class Unprintable:
    def __repr__(self) -> str:
        raise RuntimeError("no repr")


class BytesPath:
    def __fspath__(self) -> bytes:
        return b"folder"


class Unequal:
    __hash__ = None  # type: ignore[assignment]  # as numpy's arrays

    def __eq__(self, other: object) -> bool:
        raise RuntimeError("no comparison")


ODD = [
    Colour.RED,
    Unprintable(),
    BytesPath(),
    Unequal(),
    np.array([1.0, 2.0]),
    np.array([[1], [2]]),
    np.float32(0.5),
    np.int64(3),
    np.bool_(True),
    decimal.Decimal(1),
    fractions.Fraction(1, 2),
    pathlib.PurePosixPath("x"),
    10**5000,
    -(10**400),
    float("nan"),
    float("inf"),
    1j,
    b"bytes",
    bytearray(b"x"),
    range(3),
    int,
    print,
    object(),
    Secret("x"),
    "\ud800",
    [Unprintable()],
    {"a": Unprintable()},
    {1: 2},
    {"a", "b"},
    iter([1]),
    ValueError("several\nlines"),
]
ANYTHING = st.recursive(
    st.booleans() | st.integers() | st.floats() | st.text() | st.binary(),
    lambda inner: (
        st.lists(inner)
        | st.dictionaries(st.text() | st.integers(), inner)
        | st.lists(inner).map(tuple)
    ),
    max_leaves=5,
)


@every_group
@thorough
@given(data=st.data())
def test_every_bad_keyword_is_named_once(group: type[BindingOptions], data: st.DataObject) -> None:
    """Any objects: one error about all that are invalid, a line each, and no other exception."""
    values = data.draw(st.dictionaries(st.sampled_from([*VALUES[group]]), ANYTHING))

    try:
        found = group(**values)
    except OptionsError as error:
        named = [problem.partition(": ")[0] for problem in problems_of(error)]
        assert len(set(named)) == len(named)
        assert set(named) <= set(values)
    else:
        assert set(found.asdict()) == set(values)


@every_group
@pytest.mark.parametrize("position", range(len(ODD)))
def test_an_odd_object_is_taken_or_refused_by_name(
    group: type[BindingOptions], position: int
) -> None:
    """Whatever its repr, its comparison and its conversions do."""
    values = dict.fromkeys(VALUES[group], ODD[position])

    with pytest.raises(OptionsError) as caught:
        group(**values)

    named = {problem.partition(": ")[0] for problem in problems_of(caught.value)}
    assert named <= set(values)
    assert len(named) == len(caught.value.problems)


@every_group
@thorough
@given(data=st.data())
def test_any_namespace_is_taken_or_refused_by_flag(
    group: type[BindingOptions], data: st.DataObject
) -> None:
    """One that was made by hand, with any objects."""
    values = data.draw(st.dictionaries(st.sampled_from([*VALUES[group]]), ANYTHING))
    args = argparse.Namespace(**{field_of(group, n).destination: v for n, v in values.items()})

    try:
        found = group.options_dict(args)
    except OptionsError as error:
        named = {problem.partition(": ")[0] for problem in problems_of(error)}
        assert named <= {field_of(group, name).flags[0] for name in values}
    else:
        assert set(found) == set(values)


refuse: Callable[..., BindingOptions] = EveryOptions


@thorough
@given(st.text() | st.sampled_from(["self", "cls", "group", "__init__", "_given"]))
def test_an_unknown_keyword_is_named_on_one_line(name: str) -> None:
    """Whatever it is called."""
    known = {field.name for field in EveryOptions.fields()}
    if name in known:
        return

    with pytest.raises(OptionsError) as caught:
        refuse(**{name: 1})

    (problem,) = problems_of(caught.value)
    assert "unknown option" in problem


WRONG_PLACES = ["keyword", "role", "flag", "environment", ".env"]


@thorough
@given(
    st.dictionaries(
        st.sampled_from(["flag", "count", "rate", "level", "think", "sizes", "headers", "either"]),
        st.sampled_from(WRONG_PLACES),
        min_size=1,
    )
)
def test_what_is_wrong_in_several_places_is_one_error(places: dict[str, str]) -> None:
    """Each line names the keyword, variable or flag that one has to mend."""
    texts: dict[str, dict[str, str]] = {place: {} for place in WRONG_PLACES}
    for name, place in places.items():
        texts[place][name] = "(wrong)"
    of_role = environment(EveryOptions, texts["role"])
    environ = environment(EveryOptions, texts["environment"]) | {
        f"QUERY_{name}": text for name, text in of_role.items()
    }
    argv = [f"{field_of(EveryOptions, name).flags[0]}={t}" for name, t in texts["flag"].items()]
    sources = Sources(
        environ=environ,
        dotenv=environment(EveryOptions, texts[".env"]),
        flags=vars(parsed(EveryOptions, argv=argv)),
        role="query",
    )

    with pytest.raises(OptionsError) as caught:
        read([EveryOptions], texts["keyword"], sources=sources)

    named = {problem.partition(": ")[0] for problem in problems_of(caught.value)}
    assert named == {name_at(place, name) for name, place in places.items()}


def name_at(place: str, name: str) -> str:
    variable = f"EVERY_{name.upper()}"
    names = {"keyword": name, "role": f"QUERY_{variable}", "flag": f"--every-{name}"}
    return names.get(place, variable)
