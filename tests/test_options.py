"""Options: keywords, environment, defaults; strict, complete, and silent about secrets."""

from __future__ import annotations

import copy
import json
import logging
import pickle
import subprocess
import sys
import textwrap
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal, Protocol

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ragcore import BindingOptions, OptionsError, Secret, option
from ragcore.options import Bound, Sources, merge, read, refuse_twice


class Opener(Protocol):
    """Can't be checked at run time."""

    def open(self) -> None:
        """Open."""


class AcmeOptions(BindingOptions, binding="acme"):
    api_key: Secret | None = option("Key.", default=None, secret=True)
    base_url: str = option("Where.", default="https://acme", env=("ACME_URL", "ACME_HOST"))
    opener: Opener | None = option("Opens.", default=None, env=None)
    hook: Callable[[], str] | None = option("Called.", default=None, env=None)


class AcmeLLMOptions(BindingOptions, binding="acme_llm"):
    temperature: float | None = option("Randomness.", default=None, scope="call", minimum=0)
    top_k: int | None = option("How many.", default=None, scope="call")
    think: bool | Literal["low", "high"] | None = option("First?", default=None, scope="call")
    flag: bool | None = option("Yes or no.", default=None)
    stop: list[str] | None = option("Where to stop.", default=None, scope="call")
    sizes: tuple[int, ...] | None = option("Sizes.", default=None)
    names: Sequence[str] | None = option("Names.", default=None)
    headers: dict[str, str] | None = option("Headers.", default=None)
    extra: dict[str, Any] | None = option("Anything.", default=None)
    folder: Path | None = option("Where.", default=None)
    dtype: Literal["auto", "float32", 16] = option("Numbers.", default="auto")
    plain: int | None = None


GROUPS = [AcmeOptions, AcmeLLMOptions]


def env(environ: dict[str, str]) -> AcmeLLMOptions:
    (found,) = read([AcmeLLMOptions], {}, environ)
    assert isinstance(found, AcmeLLMOptions)
    return found


def problems(groups: list[type[BindingOptions]], keywords: Any, **environ: str) -> list[str]:
    with pytest.raises(OptionsError) as caught:
        read(groups, keywords, environ)
    assert str(caught.value) == "\n".join(caught.value.problems)
    return list(caught.value.problems)


# --- where values come from ----------------------------------------------------------------


def test_keyword_beats_environment_beats_default() -> None:
    """In that order, for each option by itself."""
    environ = {"ACME_LLM_TOP_K": "5", "ACME_LLM_TEMPERATURE": "0.5"}

    (found,) = read([AcmeLLMOptions], {"top_k": 7}, environ)

    assert found == AcmeLLMOptions(top_k=7, temperature=0.5, dtype="auto")


def test_none_and_empty_are_not_set() -> None:
    """A keyword of None lets the environment speak, an empty variable the default."""
    environ = {"ACME_LLM_TOP_K": "5", "ACME_LLM_TEMPERATURE": ""}

    (found,) = read([AcmeLLMOptions], {"top_k": None, "temperature": None, "dtype": None}, environ)

    assert found.asdict() == {"top_k": 5}
    assert found.dtype == "auto"


def test_zero_and_false_are_set() -> None:
    """What is falsy is not unset."""
    options = AcmeLLMOptions(temperature=0, flag=False, stop=[])

    assert options.asdict() == {"temperature": 0.0, "flag": False, "stop": []}


def test_aliases_come_after_the_standard_name() -> None:
    """An alias is read where the standard name is unset or empty."""
    (both,) = read([AcmeOptions], {}, {"ACME_URL": "one", "ACME_HOST": "two"})
    (alias,) = read([AcmeOptions], {}, {"ACME_URL": "", "ACME_HOST": "two"})
    (derived,) = read([AcmeOptions], {}, {"ACME_BASE_URL": "three"})

    assert [found.base_url for found in (both, alias, derived)] == [
        "one",
        "two",
        "https://acme",
    ]


def test_keyword_only_options_have_no_variable() -> None:
    """Nothing in an environment can name an object."""
    (field,) = [field for field in AcmeOptions.fields() if field.name == "opener"]
    (found,) = read([AcmeOptions], {}, {"ACME_OPENER": "x"})

    assert field.variables == ()
    assert found.asdict() == {}
    assert found.opener is None


def test_a_bare_field_is_an_option_too() -> None:
    """Without `option()`, with its derived variable."""
    assert env({"ACME_LLM_PLAIN": "5"}).plain == 5


# --- conversion ----------------------------------------------------------------------------

TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1)
VALUES: dict[str, st.SearchStrategy[Any]] = {
    "temperature": st.floats(0, allow_nan=False, allow_infinity=False),
    "top_k": st.integers(-(2**64), 2**64),
    "think": st.booleans() | st.sampled_from(["low", "high"]),
    "flag": st.booleans(),
    "stop": st.lists(TEXT),
    "sizes": st.lists(st.integers()).map(tuple),
    "headers": st.dictionaries(TEXT, TEXT),
    "extra": st.dictionaries(TEXT, st.integers() | st.booleans() | TEXT | st.lists(TEXT)),
    "folder": TEXT.map(Path),
    "dtype": st.sampled_from(["auto", "float32", 16]),
}


def written(value: Any) -> str:
    """Return how one writes *value* into an environment."""
    return json.dumps(value) if isinstance(value, list | tuple | dict) else str(value)


@given(st.data())
def test_values_survive_the_environment(data: st.DataObject) -> None:
    """Written as text and read again, a value is equal and of the same type."""
    given = data.draw(st.fixed_dictionaries({}, optional=VALUES))
    environ = {f"ACME_LLM_{name.upper()}": written(value) for name, value in given.items()}

    found = env(environ)

    assert found == AcmeLLMOptions(**given)
    for name, value in given.items():
        assert type(getattr(found, name)) is type(value)


@given(st.data())
def test_a_value_survives_being_given_again(data: st.DataObject) -> None:
    """`asdict` and back: what is set, and nothing else."""
    options = AcmeLLMOptions(**data.draw(st.fixed_dictionaries({}, optional=VALUES)))

    assert AcmeLLMOptions(**options.asdict()) == options
    assert None not in options.asdict().values()


# Where JSON is wanted, null is "not set".
SETTING = TEXT.filter(lambda text: text.strip() != "null")


@given(name=st.sampled_from([*VALUES, "names", "plain"]), text=SETTING)
def test_any_text_is_read_or_refused_by_name(name: str, text: str) -> None:
    """No other exception, whatever stands in the environment."""
    variable = f"ACME_LLM_{name.upper()}"
    try:
        found = env({variable: text})
    except OptionsError as exc:
        (problem,) = exc.problems
        assert problem.startswith(f"{variable}: ")
        assert problem.endswith(f" @ acme_llm.{name}")
    else:
        assert getattr(found, name) is not None


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text() | st.integers(), inner),
    max_leaves=5,
)


@given(name=st.sampled_from([*VALUES, "names", "plain"]), value=ANYTHING)
def test_any_keyword_is_taken_or_refused_by_name(name: str, value: Any) -> None:
    """Taken as it is, never bent: only a number may become a float, a text a path."""
    try:
        options = AcmeLLMOptions(**{name: value})
    except OptionsError as exc:
        (problem,) = exc.problems
        assert problem.startswith(f"{name}: ")
        assert problem.endswith(f" @ acme_llm.{name}")
    else:
        kept = getattr(options, name)
        assert value is None or kept == value or kept in (tuple(value), Path(str(value)))


@pytest.mark.parametrize("text", ["true", "True", "1", "yes", "ON", " on "])
def test_yes_is_written_in_many_ways(text: str) -> None:
    """As people write it."""
    assert env({"ACME_LLM_FLAG": text}).flag is True


@pytest.mark.parametrize("text", ["false", "False", "0", "no", "OFF"])
def test_no_is_written_in_many_ways(text: str) -> None:
    """The text "false" is not truth."""
    assert env({"ACME_LLM_FLAG": text}).flag is False


@pytest.mark.parametrize(
    ("keyword", "said"),
    [
        ({"temperature": "hot"}, "temperature: 'hot' is not a number"),
        ({"temperature": "0.5"}, "temperature: '0.5' is not a number"),
        ({"temperature": True}, "temperature: True is not a number"),
        ({"temperature": float("nan")}, "temperature: nan is not a number"),
        ({"temperature": 10**400}, "is not a number"),
        ({"temperature": -0.1}, "temperature: -0.1 is not 0 or more"),
        ({"top_k": 1.5}, "top_k: 1.5 is not a whole number"),
        ({"top_k": True}, "top_k: True is not a whole number"),
        ({"flag": 1}, "flag: 1 is not True or False"),
        ({"think": "medium"}, "think: 'medium' is not True or False or one of 'low', 'high'"),
        ({"think": 1}, "think: 1 is not True or False or one of"),
        ({"stop": "abc"}, "stop: 'abc' is not a list, each item a text (str)"),
        ({"stop": ["a", 1]}, "stop: ['a', 1] is not a list, each item a text (str)"),
        ({"names": "abc"}, "names: 'abc' is not a list, each item a text (str)"),
        ({"headers": {"a": 1}}, "is not a dict with str keys, each value a text (str)"),
        ({"headers": {1: "a"}}, "is not a dict with str keys"),
        ({"folder": 5}, "folder: 5 is not a path"),
        ({"dtype": "16"}, "dtype: '16' is not one of 'auto', 'float32', 16"),
    ],
)
def test_a_bad_keyword_is_shown_with_what_was_wanted(keyword: dict[str, Any], said: str) -> None:
    """A keyword must have the type; nothing is converted or guessed."""
    (problem,) = problems([AcmeLLMOptions], keyword)

    assert said in problem


@pytest.mark.parametrize(
    ("name", "text", "wanted"),
    [
        ("temperature", "hot", "a number"),
        ("temperature", "inf", "a number"),
        ("temperature", "-1", "0 or more"),
        ("top_k", "1.5", "a whole number"),
        ("flag", "maybe", "true or false"),
        ("stop", "abc", "JSON for a list, each item a text (str)"),
        ("stop", '"abc"', "JSON for a list"),
        ("stop", "[1]", "JSON for a list"),
        ("stop", "[" * 100_000, "JSON for a list"),
        ("headers", '{"a": 1}', "JSON for a dict with str keys"),
        ("headers", "[]", "JSON for a dict"),
        ("dtype", "float64", "one of 'auto', 'float32', 16"),
    ],
)
def test_a_bad_variable_is_named(name: str, text: str, wanted: str) -> None:
    """With its value and what was wanted."""
    (problem,) = problems([AcmeLLMOptions], {}, **{f"ACME_LLM_{name.upper()}": text})

    assert problem.startswith(f"ACME_LLM_{name.upper()}: {text!r} is not ")
    assert wanted in problem


def test_what_stands_for_an_option_as_a_keyword_hides_its_variables() -> None:
    """A token that the caller names is not joined by a key from the environment."""

    class Two(BindingOptions, binding="two"):
        key: str | None = option("Key.", default=None, unless=("token",))
        token: str | None = option("Token.", default=None, unless=("key",))

    environ = {"TWO_KEY": "k", "TWO_TOKEN": "t"}
    read_by = [read([Two], keywords, environ)[0] for keywords in ({}, {"token": "mine"})]

    assert [one.asdict() for one in read_by] == [{"key": "k", "token": "t"}, {"token": "mine"}]


def test_all_problems_come_at_once() -> None:
    """Of every group, from keywords and environment alike."""

    class Strict(BindingOptions, binding="strict"):
        token: str = option("Token.")
        secret_key: Secret = option("Key.", secret=True)
        session: object = option("Session.", env=None)
        workers: int = option("Workers.", env=("WORKERS", "W"))

    found = problems(
        [Strict, AcmeLLMOptions],
        {"temprature": 1, "secret_key": b"sk-1234", "top_k": "x"},
        ACME_LLM_FLAG="maybe",
        W="many",
    )

    assert sorted(found) == [
        "ACME_LLM_FLAG: 'maybe' is not true or false @ acme_llm.flag",
        "W: 'many' is not a whole number @ strict.workers",
        "secret_key: the value is not a text (str) or a ragcore.Secret @ strict.secret_key",
        "session: missing: pass session= @ strict.session",
        "temprature: unknown option; did you mean 'temperature'?",
        "token: missing: pass token= or set STRICT_TOKEN @ strict.token",
        "top_k: 'x' is not a whole number @ acme_llm.top_k",
    ]


def test_an_unknown_option_is_named() -> None:
    """With the nearest, or with all there are."""
    (near,) = problems([AcmeLLMOptions], {"top_j": 1})
    (far,) = problems([AcmeOptions], {"zzz": 1})

    assert near == "top_j: unknown option; did you mean 'top_k'?"
    assert far == "zzz: unknown option; there are: api_key, base_url, hook, opener"


def test_what_cannot_be_checked_is_taken() -> None:
    """A Protocol is for type checkers; a callable must be callable."""
    opener = object()

    assert AcmeOptions(opener=opener).opener is opener  # type: ignore[arg-type]  # on purpose
    with pytest.raises(OptionsError, match="hook: 5 is not"):
        AcmeOptions(hook=5)  # type: ignore[arg-type]  # on purpose


def test_the_classes_own_checks_are_options_errors() -> None:
    """A validator, or a check across fields, speaks as the host does."""

    class Checked(BindingOptions, binding="checked"):
        low: int = option("Low.", default=0)
        high: int = option("High.", default=9)

        def __attrs_post_init__(self) -> None:
            if self.low > self.high:
                raise ValueError("low is above high")

    for make in (lambda: Checked(low=10), lambda: read([Checked], {"low": 10}, {})):
        with pytest.raises(OptionsError, match="low is above high @ checked"):
            make()


def test_a_validator_of_attrs_is_an_options_error() -> None:
    """Which raises a TypeError, with the attribute and the value behind its message."""

    class Validated(BindingOptions, binding="validated"):
        low: Any = option("Low.", default=None)

        @low.validator  # type: ignore[untyped-decorator]  # to type checkers it is its value
        def _is_small(self, attribute: Any, value: object) -> None:
            raise TypeError("low is no size", attribute, value)

    with pytest.raises(OptionsError) as caught:
        Validated(low="canary")

    assert caught.value.problems == ("low is no size @ validated",)


def test_the_checks_of_several_classes_are_told_at_once() -> None:
    """What is wrong with the connection hides nothing of what is wrong with the task."""

    class Here(BindingOptions, binding="here"):
        low: int = option("Low.", default=0)

        def __attrs_post_init__(self) -> None:
            raise ValueError(f"{self.binding()} is no place")

    class There(Here, binding="there"):
        pass

    assert problems([Here, There], {}) == ["here is no place @ here", "there is no place @ there"]


# --- variables of another program ----------------------------------------------------------


class BoundOptions(BindingOptions, binding="bound", any_of=("token", "url")):
    host: str = option("Host.")
    token: str | None = option("Token.", default=None)
    url: str | None = option("Address.", default=None)

    def __attrs_post_init__(self) -> None:
        if self.host == self.url:
            raise ValueError("url: is the host's; pass url=, or leave out host=")


def bound_to(environ: dict[str, str], **variables: Any) -> Sources:
    bound = {name: Bound(f"THEIR_{name.upper()}", value) for name, value in variables.items()}
    return Sources(environ=environ, role="query", bound=bound)


def test_a_bound_option_goes_before_variables_and_after_keywords() -> None:
    """Also before those of a role; where it says nothing, they are read."""
    environ = {"QUERY_BOUND_HOST": "role", "BOUND_TOKEN": "own"}
    sources = bound_to(environ, host="theirs", token=None)

    (found,) = read([BoundOptions], {}, sources=sources)
    (given,) = read([BoundOptions], {"host": "keyword"}, sources=sources)

    assert (found.host, found.token) == ("theirs", "own")
    assert given.host == "keyword"


@pytest.mark.parametrize(
    ("variables", "said"),
    [
        (
            {"host": None, "token": None},
            {
                "THEIR_HOST: missing: set THEIR_HOST or BOUND_HOST @ bound.host",
                "THEIR_TOKEN: missing: set THEIR_TOKEN or BOUND_TOKEN, or url= @ bound.token",
            },
        ),
        (
            {"host": "h", "url": None},
            {
                "token: missing: pass token= or set BOUND_TOKEN, or THEIR_URL @ bound.token",
            },
        ),
        ({"host": 5, "url": "u"}, {"THEIR_HOST: 5 is not a text (str) @ bound.host"}),
        (
            {"host": "h", "url": "h"},
            {"THEIR_URL: is the host's; set THEIR_URL, or leave out host= @ bound"},
        ),
    ],
)
def test_problems_of_a_bound_option_name_its_variable(
    variables: dict[str, Any], said: set[str]
) -> None:
    """What is missing, what has another type, and what the class itself says."""
    with pytest.raises(OptionsError) as caught:
        read([BoundOptions], {}, sources=bound_to({}, **variables))

    assert set(caught.value.problems) == said


# --- classes -------------------------------------------------------------------------------


class Reach(BindingOptions):
    workers: int | None = option("Threads.", default=None)


class Local(Reach, binding="local"):
    device: str = option("Where.", default="cpu")


class Remote(Local, binding="remote"):
    device: str = option("Where it is.", default="gpu", env="REMOTE_DEV")


def test_fields_are_inherited_and_named_anew() -> None:
    """A group's variables begin with its own name, also those of inherited fields."""
    found = {field.where: field.variables for field in Remote.fields()}

    assert found == {
        "remote.workers": ("REMOTE_WORKERS",),
        "remote.device": ("REMOTE_DEV",),
    }
    assert Local.fields()[0].variables == ("LOCAL_WORKERS",)
    assert (Remote().device, Local().device) == ("gpu", "cpu")
    assert isinstance(Remote(), Local)


def test_a_mixin_is_no_group() -> None:
    """Without `binding=` there are no variables, and no instances."""
    assert Reach.binding() == ""
    with pytest.raises(TypeError, match="mixin"):
        Reach()


def test_a_class_is_frozen_and_keyword_only() -> None:
    """Nobody can forget the decorator."""
    with pytest.raises(TypeError):
        Local("gpu")  # type: ignore[call-arg, arg-type]  # on purpose
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        Local().device = "gpu"  # type: ignore[misc]  # on purpose


@pytest.mark.parametrize("name", ["fields", "asdict", "binding"])
def test_an_option_must_not_hide_a_method(name: str) -> None:
    """It would break the class far away from here."""
    with pytest.raises(TypeError, match=f"can't be named {name}"):
        type("Hiding", (BindingOptions,), {"__annotations__": {name: int}}, binding="hiding")


def test_a_field_knows_how_it_was_declared() -> None:
    """All that documentation needs."""
    fields = {field.name: field for field in (*AcmeOptions.fields(), *AcmeLLMOptions.fields())}

    assert fields["api_key"].secret
    assert fields["base_url"].help == "Where."
    assert fields["base_url"].default == "https://acme"
    assert fields["temperature"].scope == "call"
    assert fields["temperature"].minimum == 0
    assert fields["folder"].scope == "model"
    assert not fields["temperature"].required


# --- calls ---------------------------------------------------------------------------------


def test_a_call_sets_what_is_for_calls() -> None:
    """The rest keeps the model's values; without options it is the model's own."""
    base = AcmeLLMOptions(temperature=0.5, flag=True, dtype="float32")

    assert merge(base, {"top_k": 3, "temperature": None}) == AcmeLLMOptions(
        temperature=0.5, flag=True, dtype="float32", top_k=3
    )
    assert merge(base, {}) is base


def test_none_for_a_call_is_not_set() -> None:
    """Of a model-scoped option, too: wrappers pass None for everything."""
    base = AcmeLLMOptions(flag=True)

    assert merge(base, {"flag": None}) == base


def test_what_is_for_the_model_is_refused_for_a_call() -> None:
    """Together with all other problems."""
    with pytest.raises(OptionsError) as caught:
        merge(AcmeLLMOptions(), {"flag": True, "top_k": "x", "temperature": -1, "zzz": 1})

    assert sorted(problem.split(":")[0] for problem in caught.value.problems) == [
        "flag",
        "temperature",
        "top_k",
        "zzz",
    ]


# --- secrets -------------------------------------------------------------------------------

KEY = "sk-very-secret-1234"


def shown(thing: Any) -> list[str]:
    record = logging.LogRecord("x", 30, "x", 1, "%s %r", (thing, thing), None)
    return [repr(thing), str(thing), f"{thing}", f"{thing!r:>30}", record.getMessage()]


@pytest.mark.parametrize("given", [KEY, Secret(KEY)])
def test_a_secret_is_wrapped_and_never_shown(given: Any) -> None:
    """In no repr, str, format or log line of it or of what holds it."""
    options = AcmeOptions(api_key=given)

    assert options.api_key == Secret(KEY)
    assert options.api_key is not None
    assert options.api_key.get() == KEY
    for thing in (options, options.api_key, options.asdict(), attrs.asdict(options), [options]):
        assert not [text for text in shown(thing) if KEY in text]
    assert f"{options.api_key:>12}" == "   Secret(…)"


def test_a_secret_from_the_environment_is_wrapped() -> None:
    """As from a keyword."""
    (found,) = read([AcmeOptions], {}, {"ACME_API_KEY": KEY})

    assert found == AcmeOptions(api_key=Secret(KEY))
    assert KEY not in repr(found)


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_a_secret_does_not_travel(protocol: int) -> None:
    """Neither by itself nor in options."""
    for thing in (Secret(KEY), AcmeOptions(api_key=Secret(KEY))):
        with pytest.raises(TypeError, match="pickled"):
            pickle.dumps(thing, protocol)


def test_a_secret_is_copied_within_the_process() -> None:
    """LightRAG copies what it is given, on every query."""
    options = AcmeOptions(api_key=Secret(KEY))

    assert copy.deepcopy(options) == copy.copy(options) == options


def test_a_secret_is_compared_by_value() -> None:
    """So that equal connections share a client; to a str it is unequal."""
    assert Secret(KEY) == Secret(KEY)
    assert hash(Secret(KEY)) == hash(Secret(KEY))
    assert Secret(KEY) != Secret("other")
    assert Secret(KEY) != KEY


@pytest.mark.parametrize("value", [None, b"x", 5])
def test_a_secret_is_made_from_a_str(value: Any) -> None:
    """An unset key is no secret called None."""
    with pytest.raises(TypeError, match="str"):
        Secret(value)


def test_no_error_shows_a_secret() -> None:
    """Whatever is wrong with it, or with something beside it."""

    class Odd(BindingOptions, binding="odd"):
        undeclared: Secret = option("Typed as a secret.")
        declared: int | None = option("Declared as one.", default=None, secret=True)
        headers: dict[str, str] | None = option("May hold one.", default=None, secret=True)

    found = "\n".join(
        problems([Odd], {"undeclared": KEY.encode(), "headers": {"Authorization": 5, "key": KEY}})
        + problems([Odd], {"undeclared": KEY, "unknown": KEY, "declared": KEY})
        + problems([Odd], {"undeclared": KEY}, ODD_DECLARED=KEY, ODD_HEADERS=KEY)
    )

    assert found.count("the value is not") == 5
    assert KEY not in found
    assert KEY not in repr(Odd(undeclared=Secret(KEY), headers={"key": KEY}))


# --- type checkers -------------------------------------------------------------------------

PROGRAM = """
from ragcore import BindingOptions, Secret, option

class Acme(BindingOptions, binding="acme"):
    token: str = option("Token.")
    top_k: int | None = option("How many.", default=None)

Acme(token="t", top_k=3)
Acme()
Acme(token=5)
Acme(token="t", top_j=3)
Acme("t")
Acme(token="t").top_k = 4
"""


def test_type_checkers_see_missing_and_misused_fields(tmp_path: Path) -> None:
    """What would fail at run time is marked in the editor."""
    program = tmp_path / "program.py"
    program.write_text(textwrap.dedent(PROGRAM))
    command = [sys.executable, "-m", "mypy", "--strict", "--no-error-summary", str(program)]
    done = subprocess.run(  # noqa: S603  # our own code
        [*command, "--cache-dir", str(tmp_path / "cache")],
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
    )

    marked = [line.split(":")[1:] for line in done.stdout.splitlines() if ": error:" in line]

    assert [int(line) for line, *_ in marked] == [9, 10, 11, 12, 12, 13] or [
        int(line) for line, *_ in marked
    ] == [9, 10, 11, 12, 13]


def test_the_native_twin_of_a_calls_parameter_is_refused_beside_it() -> None:
    """Two ways to say one thing, with two values, would leave one of them out."""

    class TwinOptions(BindingOptions, binding="twin"):
        max_new_tokens: int | None = option(
            "Longest answer.", default=None, scope="call", same_as="max_output_tokens"
        )

    with pytest.raises(OptionsError, match=r"max_output_tokens: max_new_tokens is set too.*@ twin"):
        refuse_twice(TwinOptions(max_new_tokens=5), "max_output_tokens")

    refuse_twice(TwinOptions(), "max_output_tokens")


def test_any_of_names_options() -> None:
    """The author of a class is told when it is defined."""
    with pytest.raises(TypeError, match="OddOptions: any_of= names no option: kye"):

        class OddOptions(BindingOptions, binding="odd", any_of=("key", "kye")):
            key: str | None = option("Key.", default=None)


def test_a_type_that_can_not_be_found_is_told() -> None:
    """With the usual reason, and not as a NameError from nowhere."""

    class LostOptions(BindingOptions, binding="lost"):
        lost: Nowhere | None = option("Lost.", default=None)  # type: ignore[name-defined]  # noqa: F821

    with pytest.raises(TypeError, match=r"LostOptions: .*'Nowhere' is not defined.*TYPE_CHECKING"):
        LostOptions.fields()


class Halves(BindingOptions, binding="halves"):
    text: str | None = option("Text.", default=None)
    texts: list[str] | None = option("Texts.", default=None, scope="call")
    named: dict[str, str] | None = option("Named texts.", default=None)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("text", "a\ud800"),
        ("texts", ["a", "\udfff"]),
        ("named", {"a": "\ud800"}),
        ("named", {"\ud800": "a"}),
    ],
)
def test_half_of_a_character_is_refused(name: str, value: Any) -> None:
    """No service can be sent one."""
    with pytest.raises(OptionsError, match=f"{name}: holds half of a character"):
        Halves(**{name: value})


def test_half_of_a_character_is_refused_for_a_call() -> None:
    """And in a variable, which has it where its bytes are no UTF-8."""
    with pytest.raises(OptionsError, match="texts: holds half"):
        merge(Halves(), {"texts": ["\ud800"]})
    with pytest.raises(OptionsError, match="HALVES_TEXT: holds half"):
        read([Halves], {}, {"HALVES_TEXT": "a\udcff"})
