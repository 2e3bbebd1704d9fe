"""
Canaries in every secret option of every installed provider, however they are set.

None of them may sing: in no repr, error, traceback, log line, schema, sample, help or pickle.
"""

from __future__ import annotations

import argparse
import copy
import json
import logging
import pickle
import traceback
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pytest

import ragcore
from ragcore import BindingOptions, OptionsError, Secret, option
from ragcore.options import OptionField, Sources, merge, read
from ragcore.options._reading import found

CANARY = "sk-canary-0123456789-abcdef"
ROLE = "extract"


def installed() -> list[type[BindingOptions]]:
    groups = [group for one in ragcore.providers().providers for group in one.options]
    return [
        group for group in dict.fromkeys(groups) if any(field.secret for field in group.fields())
    ]


def secrets_of(group: type[BindingOptions]) -> list[OptionField]:
    return [field for field in group.fields() if field.secret]


def canary_for(field: OptionField) -> Any:
    return {"X-Key": CANARY} if "dict" in str(field.type) else CANARY


def text_for(field: OptionField) -> str:
    value = canary_for(field)
    return value if isinstance(value, str) else json.dumps(value)


# What a class wants to be set beside an option.
BESIDE = {
    "access_key_id": {"secret_access_key": "x"},
    "secret_access_key": {"access_key_id": "x"},
    "session_token": {"access_key_id": "x", "secret_access_key": "x"},
}


def beside(group: type[BindingOptions], field: OptionField) -> dict[str, Any]:
    """Return what else has to be set."""
    needed = {one.name: "https://x.invalid" for one in group.fields() if one.required}
    if field.name == "default_headers" and "api_key" in {one.name for one in group.fields()}:
        needed["api_key"] = "x"
    return {n: v for n, v in needed.items() if n != field.name}


def keywords_for(group: type[BindingOptions], field: OptionField) -> dict[str, Any]:
    """Return all that has to be set, with a canary for *field*."""
    return beside(group, field) | BESIDE.get(field.name, {}) | {field.name: canary_for(field)}


def flags_of(group: type[BindingOptions], field: OptionField, flag: str) -> Mapping[str, Any]:
    parser = argparse.ArgumentParser()
    group.add_args(parser)
    return vars(parser.parse_args([f"{flag}={text_for(field)}"]))


Way = tuple[dict[str, Any], Sources]


def ways(group: type[BindingOptions], field: OptionField) -> Iterator[Way]:
    """Yield keywords and sources that set *field*, each in a way of its own."""
    text = text_for(field)
    yield keywords_for(group, field), Sources(environ={})
    for variable in field.variables:
        yield {}, Sources(environ={variable: text})
        yield {}, Sources(environ={}, dotenv={variable: text})
    for variable in field.role_variables(ROLE):
        halves = {one.name: one.role_variables(ROLE) for one in group.fields()}
        others = {halves[name][0]: value for name, value in BESIDE.get(field.name, {}).items()}
        yield {}, Sources(environ={variable: text, **others}, role=ROLE)
    for flag in field.flags:
        yield {}, Sources(environ={}, flags=flags_of(group, field, flag))


CASES = [
    pytest.param(group, field, id=field.where)
    for group in installed()
    for field in secrets_of(group)
]
every_secret = pytest.mark.parametrize(("group", "field"), CASES)


@pytest.fixture(autouse=True)
def _no_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    for group in installed():
        for field in group.fields():
            for variable in field.variables:
                monkeypatch.delenv(variable, raising=False)


def sung(*texts: str) -> list[str]:
    return [text for text in texts if CANARY in text]


def shown(thing: Any) -> list[str]:
    record = logging.LogRecord("x", logging.INFO, "x", 1, "%s %r", (thing, thing), None)
    return [repr(thing), str(thing), f"{thing}", f"{[thing]!r}", logging.Formatter().format(record)]


def test_every_provider_with_a_key_is_here() -> None:
    """So that nothing below is about nobody."""
    bindings = {group.binding() for group in installed()}

    assert {"openai", "azure_openai", "anthropic", "aws", "ollama", "hf", "hf_inference"} < bindings
    assert len(CASES) > 12


# --- objects -------------------------------------------------------------------------------


@every_secret
def test_no_object_shows_it(group: type[BindingOptions], field: OptionField) -> None:
    """Neither options, nor what was set of them, nor copies, nor what they were read from."""
    for keywords, sources in ways(group, field):
        (options,) = read([group], beside(group, field) | keywords, sources=sources)
        things = [
            options,
            copy.copy(options),
            copy.deepcopy(options),
            sources,
            found(group, beside(group, field) | keywords, sources),
            options.asdict(),
            copy.deepcopy(options.asdict()),
        ]

        assert getattr(options, field.name) is not None
        assert field.name in options.asdict()
        assert not sung(*[text for thing in things for text in shown(thing)])


@every_secret
def test_a_pickle_has_none_of_it(group: type[BindingOptions], field: OptionField) -> None:
    """It fails, rather than carrying a key elsewhere."""
    options = group(**keywords_for(group, field))

    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        with pytest.raises(TypeError, match=r"pickled|secret"):
            pickle.dumps(options, protocol)


# --- errors --------------------------------------------------------------------------------


def told_by(function: Callable[[], object]) -> list[str]:
    """Return all that an error says, those that it came from included."""
    with pytest.raises((OptionsError, TypeError)) as caught:
        function()
    told = []
    error: BaseException | None = caught.value
    assert isinstance(error, OptionsError)
    while error is not None:
        told += [*shown(error), *map(repr, vars(error).values()), *map(repr, error.args)]
        told += traceback.format_exception(error)
        error = error.__context__ or error.__cause__
    return told


@every_secret
def test_no_error_tells_it(group: type[BindingOptions], field: OptionField) -> None:
    """Of a neighbour that is wrong or unknown, of a wrong type, of what a call may not set."""
    for keywords, sources in ways(group, field):
        wrong = beside(group, field) | keywords | {"max_connectionz": 1}
        assert not sung(*told_by(lambda: read([group], wrong, sources=sources)))  # noqa: B023
    options = group(**keywords_for(group, field))
    for bad in (CANARY.encode(), [CANARY], {1: CANARY}, (CANARY,), [Secret(CANARY)]):
        assert not sung(*told_by(lambda: group(**keywords_for(group, field) | {field.name: bad})))  # noqa: B023
        assert not sung(*told_by(lambda: merge(options, {field.name: bad})))  # noqa: B023


class NumbersOptions(BindingOptions, binding="numbers"):
    """Secrets of types that a text may fail to be."""

    pin: int | None = ragcore.option("PIN.", default=None, secret=True)
    shares: list[float] | None = ragcore.option("Shares.", default=None, secret=True)
    headers: dict[str, str] | None = ragcore.option("Headers.", default=None, secret=True)
    tokens: dict[str, Secret] | None = ragcore.option("Tokens.", default=None)
    mode: bool | None = ragcore.option("Mode.", default=None, secret=True)


@pytest.mark.parametrize("field", NumbersOptions.fields(), ids=lambda field: str(field.name))
def test_no_failed_conversion_tells_it(field: OptionField) -> None:
    """Nor do the exceptions that it was noticed by; the text stands in Python's own."""
    variable = field.variables[0]
    parser = argparse.ArgumentParser()
    NumbersOptions.add_args(parser)
    args = parser.parse_args([f"{field.flags[0]}={CANARY}"])

    told = [
        told_by(lambda: read([NumbersOptions], {}, {variable: CANARY})),
        told_by(lambda: read([NumbersOptions], {}, {variable: f'{{"a": "{CANARY}'})),
        told_by(lambda: NumbersOptions.options_dict(args)),
        told_by(
            lambda: read(
                [NumbersOptions],
                {},
                sources=Sources(environ={f"VLM_{variable}": CANARY}, role="vlm"),
            )
        ),
    ]

    assert not sung(*[text for texts in told for text in texts], *shown(args))
    assert all("the value is not " in "".join(texts) for texts in told)


# --- command line --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("group", "field"),
    [case for case in CASES if isinstance(case.values[1], OptionField) and case.values[1].flags],
)
def test_no_command_line_tells_it(
    group: type[BindingOptions],
    field: OptionField,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Neither parsed arguments, nor help with defaults, nor a usage error."""
    monkeypatch.setenv(field.variables[0], text_for(field))
    parser = argparse.ArgumentParser(formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    group.add_args(parser)
    args = parser.parse_args([])

    assert field.name in group.options_dict(args)
    with pytest.raises(SystemExit):
        parser.parse_args([f"{field.flags[0]}={text_for(field)}", "--no-such-flag"])
    with pytest.raises(SystemExit):
        parser.parse_args([field.flags[0]])
    told = [*shown(args), parser.format_help(), *capsys.readouterr()]
    assert not sung(*told)


# --- documentation -------------------------------------------------------------------------


@every_secret
def test_no_documentation_tells_it(
    group: type[BindingOptions], field: OptionField, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Though the environment has it while schema and sample are made."""
    for variable in (*field.variables, *field.role_variables(ROLE)):
        monkeypatch.setenv(variable, text_for(field))

    told = [
        json.dumps(group.json_schema()),
        group.generate_dot_env_sample(),
        str(list(group.args_env_name_type_value())),
        str(group.fields()),
    ]

    assert not sung(*told)
    for one in secrets_of(group):
        assert "default" not in group.json_schema()["properties"].get(one.name, {})


def test_what_a_class_objects_to_is_told_without_its_secrets() -> None:
    """A check is its author's code, and may quote the key; so the check's own error is not told."""

    class PickyOptions(BindingOptions, binding="picky"):
        key: Secret = option("Key.", secret=True)
        headers: dict[str, str] | None = option("Headers.", default=None, secret=True)

        def __attrs_post_init__(self) -> None:
            raise ValueError(f"key: {self.key.get()} does not go with {self.headers!s} {HEADER}")

    with pytest.raises(OptionsError) as caught:
        PickyOptions(key=CANARY, headers={"X-Key": HEADER})  # type: ignore[arg-type]  # is wrapped

    told = "".join(traceback.format_exception(caught.value))
    assert str(caught.value) == "key: … does not go with {'X-Key': …} … @ picky"
    assert CANARY not in told
    assert caught.value.__cause__ is None
    assert caught.value.__context__ is None


HEADER = "header-0123456789"
