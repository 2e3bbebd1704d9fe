"""
JSON Schema of options: it takes what the class takes.

``RAGCORE_EXAMPLES=10000`` makes each property take so many examples instead of 200.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal

import pytest
from every_option import (
    BOTH,
    VALUES,
    EveryLightRAGOptions,
    EveryOptions,
    Mode,
    field_of,
    one_valid,
    thorough,
    written,
)
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

import ragcore
from ragcore import BindingOptions, OptionsError, Secret, option
from ragcore._discovery.host_options import HOST_OPTIONS
from ragcore.options import Check

every_group = pytest.mark.parametrize("group", BOTH)


def validator(group: type[BindingOptions]) -> Draft202012Validator:
    made = group.json_schema()
    Draft202012Validator.check_schema(made)
    return Draft202012Validator(json.loads(json.dumps(made)))


def takes(group: type[BindingOptions], given: dict[str, Any]) -> bool:
    try:
        group(**given)
    except OptionsError:
        return False
    return True


# Whole numbers that no float holds are not what JSON programs exchange (RFC 8259, section 6).
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.integers(-20, 80)
    | st.integers(-20, 80).map(float)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text()
    | st.sampled_from(["low", "high", "auto", "float32", "16", "true", "1.5", "nan", 16, 16.0]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)


class StrictOptions(BindingOptions, binding="strict", any_of=("key", "url")):
    """Something has to be set."""

    name: str = option("Has to be set.")
    maybe: int | None = option("Has to be set, to a number.", minimum=0)
    key: Secret | None = option("One of two.", default=None, secret=True)
    url: str | None = option("The other.", default=None)


def names_of(group: type[BindingOptions]) -> list[str]:
    return [field.name for field in group.fields()]


@pytest.mark.parametrize("group", [*BOTH, StrictOptions])
@thorough
@given(data=st.data())
def test_any_object_is_taken_by_both_or_by_neither(
    group: type[BindingOptions], data: st.DataObject
) -> None:
    """Known and unknown names, null, values of every type."""
    known = st.sampled_from(names_of(group))
    given = data.draw(st.dictionaries(known | st.text(), JSON, max_size=5))

    assert validator_of[group].is_valid(given) == takes(group, given)


validator_of = {group: validator(group) for group in (*BOTH, StrictOptions)}


@every_group
@thorough
@given(data=st.data())
def test_one_value_is_taken_by_both_or_by_neither(
    group: type[BindingOptions], data: st.DataObject
) -> None:
    """Valid ones as often as others."""
    name, value = data.draw(one_valid(group).filter(lambda pair: pair[1] is not None))
    as_json = written(value) if isinstance(value, Secret | Path | Mode) else value
    given = {name: json.loads(json.dumps(as_json))}
    other = {name: data.draw(JSON)}

    assert takes(group, given)
    assert validator_of[group].is_valid(given)
    assert validator_of[group].is_valid(other) == takes(group, other)


@thorough
@given(
    st.fixed_dictionaries(
        {},
        optional={
            "name": st.none() | st.text() | st.integers(),
            "maybe": st.none() | st.integers(-2, 2),
            "key": st.none() | st.text(),
            "url": st.none() | st.text(),
        },
    )
)
def test_what_has_to_be_set_is_required_by_both(given: dict[str, Any]) -> None:
    """By itself, or one of several; null is not set."""
    assert validator_of[StrictOptions].is_valid(given) == takes(StrictOptions, given)


def installed() -> list[type[BindingOptions]]:
    groups = [group for one in ragcore.providers().providers for group in one.options]
    return list(dict.fromkeys([*groups, *HOST_OPTIONS]))


def without_checks_of_their_own(groups: Sequence[type[BindingOptions]]) -> list[Any]:
    """Those whose schema is all there is to say, and where nothing has to be set."""
    return [
        group
        for group in groups
        if "__attrs_post_init__" not in dir(group)
        and not any(field.required or _is_silent(field.check) for field in group.fields())
    ]


def _is_silent(check: Check | None) -> bool:
    """Say whether the schema can't tell what *check* does."""
    return check is not None and not check.schema()


@pytest.mark.parametrize("group", installed(), ids=lambda group: str(group.__name__))
def test_every_installed_groups_schema_is_valid(group: type[BindingOptions]) -> None:
    """Draft 2020-12, with a property for whatever can be written."""
    made = group.json_schema()
    Draft202012Validator.check_schema(made)

    assert json.loads(json.dumps(made)) == made
    assert set(made["properties"]) == {field.name for field in group.fields() if field.variables}


@pytest.mark.parametrize(
    "group", without_checks_of_their_own(installed()), ids=lambda group: str(group.__name__)
)
@thorough
@given(data=st.data())
def test_every_installed_group_takes_what_its_schema_takes(
    group: type[BindingOptions], data: st.DataObject
) -> None:
    """Whatever stands there."""
    writable = [field.name for field in group.fields() if field.variables]
    given = data.draw(st.dictionaries(st.sampled_from(writable), JSON, max_size=3))

    assert Draft202012Validator(group.json_schema()).is_valid(given) == takes(group, given)


# --- what it says --------------------------------------------------------------------------


def test_a_property_says_what_is_known_of_an_option() -> None:
    """Help, type, range, default, variables."""
    found = EveryOptions.json_schema()["properties"]

    assert found["workers"] == {
        "description": "At least one.",
        "type": ["integer", "null"],
        "minimum": 1,
        "maximum": 64,
        "default": 4,
        "x-environment": ["EVERY_WORKERS"],
    }
    assert found["region"]["x-environment"] == ["EVERY_REGION", "EVERY_AREA"]
    assert found["dtype"]["enum"] == ["auto", "float32", 16, None]
    assert found["key"] == {
        "description": "Key.",
        "type": ["string", "null"],
        "writeOnly": True,
        "x-environment": ["EVERY_KEY"],
    }


@every_group
def test_every_default_is_taken(group: type[BindingOptions]) -> None:
    """A form that is filled with the defaults and sent back is fine."""
    found = group.json_schema()["properties"]
    defaults = {name: one["default"] for name, one in found.items() if "default" in one}

    assert defaults
    assert validator(group).is_valid(defaults)
    assert takes(group, defaults)
    assert set(found) == set(VALUES[group])


CANARY = "sk-canary-0123456789"


class LeakyOptions(BindingOptions, binding="leaky"):
    key: Secret = option("Key.", default=Secret(CANARY))
    other: Secret | None = option("Other.", default=None, secret=True, provider_default=CANARY)
    text: str = option("Text.", default=CANARY, secret=True)
    keys: dict[str, Secret] | None = option("Keys.", default=None)
    more: list[Secret] = option("More.", default=[Secret(CANARY)])


def test_the_default_of_a_secret_is_told_nowhere() -> None:
    """Though it stands in the code, as a placeholder for servers that want none does."""
    told = [
        json.dumps(LeakyOptions.json_schema()),
        LeakyOptions.generate_dot_env_sample(),
        str(list(LeakyOptions.args_env_name_type_value())),
        " ".join(field.unset for field in LeakyOptions.fields()),
        repr(LeakyOptions()),
    ]

    assert not [text for text in told if CANARY in text]
    assert all(field.secret for field in LeakyOptions.fields())


class PartlyOptions(BindingOptions, binding="partly", any_of=("session", "maker")):
    session: object = option("Session.", default=None, env=None)
    maker: Secret | Callable[[], str] | None = option("A token, or what makes one.", default=None)
    gaps: list[int | None] | None = option("Some missing.", default=None)
    level: Literal["low", None] = option("Low.", default=None)  # noqa: PYI061  # one of its values


@pytest.mark.parametrize(
    ("given", "is_valid"),
    [
        ({}, False),
        ({"maker": "token"}, True),
        ({"maker": "token", "gaps": [1, None]}, True),
        ({"maker": "token", "gaps": [1, "x"]}, False),
        ({"maker": "token", "level": None}, True),
        ({"maker": "token", "level": "None"}, False),
        ({"maker": 5}, False),
        ({"session": "x", "maker": "token"}, False),
    ],
)
def test_what_json_has_no_word_for_is_left_out(given: dict[str, Any], *, is_valid: bool) -> None:
    """An object stays a keyword; what else the option may be can be written."""
    assert validator(PartlyOptions).is_valid(given) == is_valid
    assert "session" in given or takes(PartlyOptions, given) == is_valid


def test_a_schema_names_its_group() -> None:
    """By its binding and its docstring."""
    found = EveryLightRAGOptions.json_schema()

    assert found["title"] == "every_light"
    assert found["description"] == "Written as LightRAG's are."
    assert field_of(EveryLightRAGOptions, "seed").default is None
