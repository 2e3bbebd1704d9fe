"""Checks of options: told by name wherever a value comes from, and the same in JSON Schema."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from every_option import parsed, thorough
from hypothesis import given
from hypothesis import strategies as st
from schema_agreement import class_takes, documents, schema_takes

from ragcore import BindingOptions, OptionsError, Secret, option
from ragcore.options import Pattern, Prefixes, Sources, merge, read

CANARY = "canary 0123456789"
ADDRESS = Pattern(r"https?://[a-z.]+", "is no address, such as https://acme.com")
KEY = Pattern("[!-~]+", "has characters that no header can carry")
HEADERS = Pattern("[ -~]*", "has what no header can be", names="[A-Za-z-]+")


class Even:
    """A rule of somebody's own."""

    def problem(self, value: Any) -> str | None:
        return "is odd" if value % 2 else None

    def schema(self) -> dict[str, Any]:
        return {"multipleOf": 2}


class CheckedOptions(BindingOptions, binding="checked"):
    url: str | None = option("Address.", default=None, check=ADDRESS)
    key: Secret | None = option("Key.", default=None, check=KEY)
    headers: dict[str, str] | None = option("Headers.", default=None, check=HEADERS)
    secret_headers: dict[str, str] | None = option(
        "More.", default=None, secret=True, check=HEADERS
    )
    extra: dict[str, Any] | None = option("Anything.", default=None, check=ADDRESS)
    urls: list[str] | None = option("Addresses.", default=None, scope="call", check=ADDRESS)
    pairs: int | None = option("Socks.", default=None, minimum=0, check=Even())


def problems(call: Callable[[], object]) -> list[str]:
    with pytest.raises(OptionsError) as caught:
        call()
    return list(caught.value.problems)


def from_flag(text: str) -> BindingOptions:
    args = parsed(CheckedOptions, argv=["--checked-url", text])
    return CheckedOptions(**CheckedOptions.options_dict(args))


SAYING: dict[str, Callable[[str], Any]] = {
    "url": lambda text: CheckedOptions(url=text),
    "CHECKED_URL": lambda text: read([CheckedOptions], {}, {"CHECKED_URL": text}),
    "--checked-url": from_flag,
    "QUERY_CHECKED_URL": lambda text: read(
        [CheckedOptions], {}, sources=Sources({"QUERY_CHECKED_URL": text}, role="query")
    ),
}


@pytest.mark.parametrize("name", SAYING)
def test_a_value_that_breaks_the_rule_is_told_by_the_name_it_was_set_by(name: str) -> None:
    """Keyword, variable, flag, variable of a role; what keeps the rule is taken."""
    SAYING[name]("https://acme.com")

    assert problems(lambda: SAYING[name]("acme")) == [
        f"{name}: is no address, such as https://acme.com @ checked.url"
    ]


def test_a_variable_of_a_file_is_checked() -> None:
    """As the environment's are."""
    sources = Sources(environ={}, dotenv={"CHECKED_PAIRS": "3"})

    assert problems(lambda: read([CheckedOptions], {}, sources=sources)) == [
        "CHECKED_PAIRS: is odd @ checked.pairs"
    ]


def test_what_breaks_rules_is_told_with_all_other_problems() -> None:
    """In one error."""
    environ = {"CHECKED_URL": "acme", "CHECKED_PAIRS": "many", "CHECKED_KEY": "a b"}

    found = problems(lambda: read([CheckedOptions], {"colour": "red"}, environ))

    assert [problem.partition(":")[0] for problem in found] == [
        "colour",
        "CHECKED_URL",
        "CHECKED_KEY",
        "CHECKED_PAIRS",
    ]


def test_type_and_range_are_checked_first() -> None:
    """A rule sees only what the type has."""
    assert problems(lambda: CheckedOptions(pairs=-1)) == [
        "pairs: -1 is not 0 or more @ checked.pairs"
    ]


@pytest.mark.parametrize(
    "values", [{"key": CANARY}, {"secret_headers": {CANARY: "x"}}, {"secret_headers": {"a": "\n"}}]
)
def test_a_secret_that_breaks_a_rule_is_not_shown(values: dict[str, Any]) -> None:
    """Neither itself nor the name of a header."""
    (found,) = problems(lambda: CheckedOptions(**values))

    assert found.startswith(f"{next(iter(values))}: has ")
    assert "canary" not in found


@pytest.mark.parametrize(
    ("headers", "takes"),
    [({}, True), ({"X-A": "b"}, True), ({"X-A": "b\n"}, False), ({"X A": "b"}, False)],
)
def test_a_pattern_is_for_the_values_of_a_dict_and_another_for_its_keys(
    headers: dict[str, str], *, takes: bool
) -> None:
    """A pattern matches from end to end, line breaks included."""
    assert class_takes(CheckedOptions, {"headers": headers}) is takes
    assert schema_takes(CheckedOptions, {"headers": headers}) is takes


def test_repeated_flags_are_checked_as_one_list() -> None:
    """When the options are taken out."""
    good = parsed(CheckedOptions, argv=["--checked-urls=https://a.b", "--checked-urls=http://c.d"])
    bad = parsed(CheckedOptions, argv=["--checked-urls=https://a.b", "--checked-urls=c.d"])

    assert CheckedOptions.options_dict(good) == {"urls": ["https://a.b", "http://c.d"]}
    assert problems(lambda: CheckedOptions.options_dict(bad)) == [
        "--checked-urls: is no address, such as https://acme.com @ checked.urls"
    ]


def test_an_option_of_a_call_is_checked() -> None:
    """By its keyword."""
    assert problems(lambda: merge(CheckedOptions(), {"urls": ["acme"]})) == [
        "urls: is no address, such as https://acme.com @ checked.urls"
    ]


@thorough
@given(st.data())
def test_class_and_schema_agree(data: st.DataObject) -> None:
    """On any JSON object, patterns and rules of one's own included."""
    for document in data.draw(documents(CheckedOptions)):
        assert schema_takes(CheckedOptions, document) is class_takes(CheckedOptions, document)


def test_the_schema_says_the_rules() -> None:
    """Beside the type; of dicts and lists inside."""
    found = CheckedOptions.json_schema()["properties"]
    address = r"^(?:https?://[a-z.]+)(?![\s\S])"

    assert found["url"]["pattern"] == address
    assert found["key"]["pattern"] == r"^(?:[!-~]+)(?![\s\S])"
    assert found["urls"]["items"] == {"type": "string", "pattern": address}
    assert found["extra"]["additionalProperties"] == {"pattern": address}
    assert found["headers"]["propertyNames"] == {"pattern": r"^(?:[A-Za-z-]+)(?![\s\S])"}
    assert found["pairs"]["multipleOf"] == 2


# --- prefixes ------------------------------------------------------------------------------


class PrefixedOptions(Prefixes, binding="prefixed"):
    normalize: bool = option("Scale.", default=True)


def test_prefixes_are_options_of_the_class_that_inherits_them() -> None:
    """With its variables, for any call."""
    variables = {field.name: field.variables for field in PrefixedOptions.fields()}
    (found,) = read([PrefixedOptions], {}, {"PREFIXED_QUERY_PREFIX": "query: "})

    assert variables["document_prefix"] == ("PREFIXED_DOCUMENT_PREFIX",)
    assert found.query_prefix == "query: "
    assert merge(found, {"document_prefix": "passage: "}).asdict() == {
        "query_prefix": "query: ",
        "document_prefix": "passage: ",
    }
