"""
Options as flags: what a parser makes of them, and which source goes before which.

``RAGCORE_EXAMPLES=10000`` makes each property take so many examples instead of 200.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from typing import Any

import pytest
from every_option import (
    BOTH,
    NO_NUMBER,
    SETTING,
    TEXT,
    EveryLightRAGOptions,
    EveryOptions,
    environment,
    field_of,
    one_valid,
    parsed,
    problems_of,
    thorough,
    typed,
    variable_of,
    written,
)
from hypothesis import given
from hypothesis import strategies as st

from ragcore import BindingOptions, OptionsError, Secret, option
from ragcore._discovery.host_options import HostEmbeddingOptions, HostOptions
from ragcore.options import Sources, read

every_group = pytest.mark.parametrize("group", BOTH)


def from_argv(group: type[BindingOptions], *argv: str) -> dict[str, Any]:
    return group.options_dict(parsed(group, argv=argv))


def refused(group: type[BindingOptions], *argv: str) -> list[str]:
    args = parsed(group, argv=argv)
    with pytest.raises(OptionsError) as caught:
        group.options_dict(args)
    return problems_of(caught.value)


# --- how they are written ------------------------------------------------------------------


@every_group
@thorough
@given(data=st.data())
def test_both_spellings_and_both_ways_to_give_a_value_agree(
    group: type[BindingOptions], data: st.DataObject
) -> None:
    """`--flag=value`, or `--flag value` where argparse does not take that for another flag."""
    name, value = data.draw(one_valid(group))
    text = written(value)
    ways = [[f"{flag}={text}"] for flag in field_of(group, name).flags if text != "--"]
    if not text.startswith("-"):
        ways += [[flag, text] for flag in field_of(group, name).flags]

    found = [from_argv(group, *argv) for argv in ways]

    assert [typed(one) for one in found] == [typed({name: value})] * len(ways)


@thorough
@given(st.lists(TEXT.filter(lambda text: not text.lstrip().startswith("[")), min_size=1))
def test_repeated_flags_are_a_list(texts: list[str]) -> None:
    """In their order; each brings an item, as it stands."""
    argv = [f"--every-stop={text}" for text in texts if text != "--"]

    found = from_argv(EveryOptions, *argv)

    assert found.get("stop", []) == [text for text in texts if text != "--"]


def test_a_json_list_and_repeated_flags_are_joined() -> None:
    """So a list that begins in a script can go on at the prompt."""
    found = from_argv(EveryOptions, "--every-sizes=[1, 2]", "--every-sizes", "3")

    assert found == {"sizes": (1, 2, 3)}


def test_items_have_the_lists_type() -> None:
    """Each that is wrong is told of; right ones beside it don't hide it."""
    wrong = refused(
        EveryOptions, "--every-sizes=1", "--every-sizes=x", "--every-sizes=2", "--every-sizes=y"
    )

    assert wrong == [
        "--every-sizes: 'x' is not a whole number @ every.sizes",
        "--every-sizes: 'y' is not a whole number @ every.sizes",
    ]


@pytest.mark.parametrize(
    "text",
    ["-x", "--every-count", "@file", "a\nb", "Ä 漢字 🎈", "1 %", "%(default)s", " x ", ""],
)
def test_a_text_is_taken_as_it_stands(text: str) -> None:
    """Whatever it begins with, and an empty one too."""
    assert from_argv(EveryOptions, f"--every-name={text}") == {"name": text}


def test_the_last_of_several_flags_counts() -> None:
    """As with argparse's own; the first may even be wrong."""
    found = from_argv(EveryOptions, "--every-count=x", "--every-count=1", "--every-count=2")

    assert found == {"count": 2}


def test_the_spelling_that_was_used_is_named() -> None:
    """With dashes, or with LightRAG's underscores."""

    class Two(BindingOptions, binding="two_words"):
        max_tokens: int | None = option("Most.", default=None)

    both = [refused(Two, f"--two-words-{name}=x") for name in ("max_tokens", "max-tokens")]

    assert [line.partition(":")[0] for lines in both for line in lines] == [
        "--two-words-max_tokens",
        "--two-words-max-tokens",
    ]


def test_a_parser_forgets_what_it_parsed() -> None:
    """A second command line does not go on with the lists of the first."""
    parser = argparse.ArgumentParser()
    EveryOptions.add_args(parser)

    for stop in ("a", "b"):
        args = parser.parse_args(["--every-stop", stop])
        assert EveryOptions.options_dict(args) == {"stop": [stop]}


@pytest.mark.parametrize("kind", ["parents", "subparser", "known"])
def test_parsers_of_all_kinds_have_flags(kind: str) -> None:
    """As parents, as commands, and where flags of others are left over."""
    inner = argparse.ArgumentParser(add_help=False)
    argv = ["--every-sizes=1", "--every-sizes=2"]
    if kind == "subparser":
        outer = argparse.ArgumentParser()
        EveryOptions.add_args(outer.add_subparsers().add_parser("run"))
        args = outer.parse_args(["run", *argv])
    else:
        EveryOptions.add_args(inner)
        outer = argparse.ArgumentParser(parents=[inner])
        args, _ = outer.parse_known_args([*argv, "--other"])

    assert EveryOptions.options_dict(args) == {"sizes": (1, 2)}


def test_help_says_all_that_one_wants_to_know() -> None:
    """Type, range, default, variable; a per cent sign is no placeholder."""
    parser = argparse.ArgumentParser(prog="acme")
    for group in BOTH:
        group.add_args(parser)

    told = " ".join(parser.format_help().split())

    assert (
        "--every-workers WORKERS At least one. (whole number, 1 to 64; default: 4; "
        "variable: EVERY_WORKERS)"
    ) in told
    assert "100 % is 1. (number, 0 to 1; variable: EVERY_SHARE)" in told
    assert "Yes or no. (true | false; variable: EVERY_FLAG)" in told
    assert "0 to 200 % (number; default: 1.0; variable: EVERY_LIGHT_TEMPERATURE)" in told
    assert "--every-light-extra_body" in told
    assert "--every-light-extra-body EXTRA_BODY" in told


# --- several groups ------------------------------------------------------------------------


class ShortOptions(BindingOptions, binding="short"):
    size: int | None = option("Size.", default=None)
    session: object = option("Session.", default=None, env=None)


class ShortTaskOptions(BindingOptions, binding="short_task"):
    size: int | None = option("Size.", default=None)


def test_a_group_takes_its_own_from_a_parser_of_many() -> None:
    """By exact names: a binding that begins like another's is another."""
    args = parsed(
        ShortOptions,
        ShortTaskOptions,
        EveryOptions,
        argv=["--short-size=1", "--short-task-size=2", "--every-count=3"],
    )

    assert ShortOptions.options_dict(args) == {"size": 1}
    assert ShortTaskOptions.options_dict(args) == {"size": 2}
    assert EveryOptions.options_dict(args) == {"count": 3}


def test_what_is_not_a_flag_is_not_taken_from_a_namespace() -> None:
    """Neither what only looks like an option, nor one that is a keyword only."""
    args = argparse.Namespace(short_size=1, short_session=object(), short_other=2, size=3)

    assert ShortOptions.options_dict(args) == {"size": 1}


def test_groups_of_one_binding_share_their_flags(monkeypatch: pytest.MonkeyPatch) -> None:
    """As the host's two do."""
    monkeypatch.delenv("RAGCORE_TIMEOUT", raising=False)
    args = parsed(HostOptions, HostEmbeddingOptions, argv=["--ragcore-timeout=5"])

    assert HostOptions.options_dict(args) == {"timeout": 5.0}
    assert HostEmbeddingOptions.options_dict(args) == {"timeout": 5.0}


def test_a_problem_of_one_group_is_no_other_groups() -> None:
    """Who has no bad flag is not held up."""
    args = parsed(ShortOptions, EveryOptions, argv=["--short-size=x", "--every-count=3"])

    assert EveryOptions.options_dict(args) == {"count": 3}
    with pytest.raises(OptionsError, match=r"^--short-size: 'x' is not a whole number @ short"):
        ShortOptions.options_dict(args)


# --- which source goes before which --------------------------------------------------------

STRONGEST_FIRST = ["keyword", "role", "flag", "environment", ".env", "default"]


def sources_of(name: str, texts: Mapping[str, str]) -> Sources:
    """Return what holds where the option *name* is set to *texts*, by source."""
    variable = variable_of(EveryOptions, name)
    flag = field_of(EveryOptions, name).flags[0]
    return Sources(
        environ={
            key: texts[source]
            for key, source in ((f"VLM_{variable}", "role"), (variable, "environment"))
            if source in texts
        },
        dotenv={variable: texts[".env"]} if ".env" in texts else {},
        flags=vars(parsed(EveryOptions, argv=[f"{flag}={texts['flag']}"]))
        if "flag" in texts
        else {},
        role="vlm",
    )


@pytest.mark.parametrize("weakest", range(1, 5))
@pytest.mark.parametrize("wrong", [False, True])
def test_the_stronger_source_wins(weakest: int, *, wrong: bool) -> None:
    """The weaker one is not even read, so that it may hold anything."""
    stronger, weaker = STRONGEST_FIRST[weakest - 1 : weakest + 1]
    texts = {stronger: "7", weaker: "(wrong)" if wrong else "8"}
    keywords = {"workers": 7} if stronger == "keyword" else {}

    (found,) = read([EveryOptions], keywords, sources=sources_of("workers", texts))

    assert found.asdict() == {"workers": 7}


@thorough
@given(st.dictionaries(st.sampled_from(STRONGEST_FIRST[:-1]), st.integers(1, 64)))
def test_the_strongest_of_all_wins(values: dict[str, int]) -> None:
    """Whichever there are; where there is none, the default holds, and is not sent."""
    keywords = {"workers": values["keyword"]} if "keyword" in values else {}
    texts = {source: str(value) for source, value in values.items()}
    wanted = [values[source] for source in STRONGEST_FIRST if source in values]

    (found,) = read([EveryOptions], keywords, sources=sources_of("workers", texts))

    assert found.asdict() == ({"workers": wanted[0]} if wanted else {})
    assert found.workers == (wanted or [4])[0]


def test_a_wrong_value_of_the_strongest_is_not_passed_over() -> None:
    """A typo in a flag does not bring back the environment's value."""
    with pytest.raises(OptionsError, match=r"^--every-workers: 'x' is not a whole number"):
        read(
            [EveryOptions],
            {},
            sources=sources_of("workers", {"flag": "x", "environment": "8", ".env": "9"}),
        )


@pytest.mark.parametrize("name", ["count", "sizes", "headers", "think"])
def test_a_flag_hides_a_wrong_variable(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of any type, lists too: what is not read is not reported."""
    monkeypatch.setenv(variable_of(EveryOptions, name), "(wrong)")
    right = {"count": "1", "sizes": "1", "headers": "{}", "think": "low"}[name]

    assert list(from_argv(EveryOptions, f"--every-{name}={right}")) == [name]
    (problem,) = refused(EveryOptions)
    assert problem.startswith(f"EVERY_{name.upper()}: '(wrong)' is not ")


@pytest.mark.parametrize("name", ["sizes", "count"])
def test_a_wrong_flag_hides_a_wrong_variable(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """One mends what one has typed, first."""
    monkeypatch.setenv(variable_of(EveryOptions, name), "(wrong)")

    (problem,) = refused(EveryOptions, f"--every-{name}=x")

    assert problem == f"--every-{name}: 'x' is not a whole number @ every.{name}"


def test_a_flag_replaces_the_environments_list(monkeypatch: pytest.MonkeyPatch) -> None:
    """Flags are added to each other, and to nothing else."""
    monkeypatch.setenv("EVERY_STOP", '["environment"]')

    assert from_argv(EveryOptions) == {"stop": ["environment"]}
    assert from_argv(EveryOptions, "--every-stop=a", "--every-stop=b") == {"stop": ["a", "b"]}


@every_group
@thorough
@given(data=st.data())
def test_the_environment_is_what_a_flag_defaults_to(
    group: type[BindingOptions], data: st.DataObject
) -> None:
    """As in LightRAG, read when the flags are added."""
    name, value = data.draw(one_valid(group))

    with pytest.MonkeyPatch.context() as patched:
        patched.setenv(variable_of(group, name), written(value))
        args = parsed(group)

    assert typed(group.options_dict(args)) == typed({name: value})


class PairOptions(BindingOptions, binding="pair"):
    key: Secret | None = option("Key.", default=None, unless=("key", "token", "maker"))
    token: Secret | None = option("Token.", default=None, unless=("key", "token", "maker"))
    maker: object = option("Makes tokens.", default=None, env=None)


PAIR = {"PAIR_KEY": "weak", "PAIR_TOKEN": "weak"}


def test_a_credential_hides_weaker_ones_of_another_kind() -> None:
    """Between any two sources; of one source, both are there."""
    token = {"PAIR_TOKEN": "strong"}
    sources = [
        Sources(environ={"QUERY_PAIR_TOKEN": "strong", **PAIR}, role="query"),
        Sources(environ=PAIR, flags={"pair_token": Secret("strong")}),
        Sources(environ=token, dotenv=PAIR),
    ]

    found = [read([PairOptions], {}, sources=one)[0].asdict() for one in sources]
    made = object()
    by_keyword = read([PairOptions], {"maker": made}, PAIR)[0].asdict()
    together = read([PairOptions], {}, PAIR)[0].asdict()

    assert found == [{"token": Secret("strong")}] * len(sources)
    assert by_keyword == {"maker": made}
    assert set(together) == {"key", "token"}


def test_a_credentials_flag_hides_variables_of_another_kind(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """In what a parser leaves, where variables are defaults of flags."""
    for name, text in PAIR.items():
        monkeypatch.setenv(name, text)

    assert set(from_argv(PairOptions)) == {"key", "token"}
    assert from_argv(PairOptions, "--pair-token=a") == {"token": Secret("a")}
    assert from_argv(PairOptions, "--pair-token=a", "--pair-key=b") == {
        "token": Secret("a"),
        "key": Secret("b"),
    }


# --- roles ---------------------------------------------------------------------------------


def test_a_roles_variables_go_over_the_flags(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of the same provider; another provider's role has its own variables only."""
    monkeypatch.setenv("EVERY_NAME", "base")
    monkeypatch.setenv("EXTRACT_EVERY_COUNT", "2")
    monkeypatch.setenv("EXTRACT_EVERY_THINK", "high")
    monkeypatch.setenv("QUERY_EVERY_COUNT", "3")
    args = parsed(EveryOptions, argv=["--every-count=1", "--every-rate=0.5"])
    own = {"count": 2, "think": "high"}

    assert EveryOptions.options_dict_for_role(args, "extract") == {
        "name": "base",
        "rate": 0.5,
        **own,
    }
    assert EveryOptions.options_dict_for_role(args, "extract", True) == own
    assert EveryOptions.options_dict_for_role(args, "vlm")["count"] == 1


@every_group
@thorough
@given(data=st.data())
def test_a_roles_value_has_the_type(group: type[BindingOptions], data: st.DataObject) -> None:
    """As anywhere else."""
    name, value = data.draw(one_valid(group))

    with pytest.MonkeyPatch.context() as patched:
        patched.setenv(f"KEYWORD_{variable_of(group, name)}", written(value))
        found = group.options_dict_for_role(parsed(group), "keyword", is_cross_provider=True)

    assert typed(found) == typed({name: value})


def test_a_roles_wrong_values_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """LightRAG sends them as they are; a JSON list where an object is wanted, too."""
    wrong = {
        "TEMPERATURE": "hot",
        "EXTRA_BODY": "[1]",
        "STOP": "{}",
        "NUMA": "ture",
        "TOP_K": "1.5",
    }
    for name, text in wrong.items():
        monkeypatch.setenv(f"EXTRACT_EVERY_LIGHT_{name}", text)

    with pytest.raises(OptionsError) as caught:
        EveryLightRAGOptions.options_dict_for_role(parsed(EveryLightRAGOptions), "extract")

    named = [problem.partition(":")[0] for problem in problems_of(caught.value)]
    assert sorted(named) == sorted(f"EXTRACT_EVERY_LIGHT_{name}" for name in wrong)


@every_group
@thorough
@given(data=st.data())
def test_any_text_for_a_role_is_read_or_refused_by_name(
    group: type[BindingOptions], data: st.DataObject
) -> None:
    """One error about all of them."""
    names = [field.name for field in group.fields()]
    texts = data.draw(st.dictionaries(st.sampled_from(names), SETTING))
    environ = {f"VLM_{name}": text for name, text in environment(group, texts).items()}
    sources = Sources(environ=environ, role="vlm", only_role=True)

    try:
        found = set(read([group], {}, sources=sources)[0].asdict())
        named: list[str] = []
    except OptionsError as error:
        found = set(texts)
        named = [problem.partition(":")[0] for problem in problems_of(error)]

    assert found == set(texts)
    assert len(set(named)) == len(named)
    assert set(named) <= set(environ)


# --- LightRAG's descriptions ---------------------------------------------------------------


def test_flags_are_described_as_lightrag_does() -> None:
    """Under its names; the type without None, the default that documents."""
    described = {one["argname"]: one for one in EveryLightRAGOptions.args_env_name_type_value()}

    assert described["every-light-temperature"] == {
        "argname": "every-light-temperature",
        "env_name": "EVERY_LIGHT_TEMPERATURE",
        "type": float,
        "default": 1.0,
        "help": "every_light -- 0 to 200 %",
    }
    assert described["every-light-most"]["type"] is int
    assert described["every-light-stop"]["default"] == []
    assert described["every-light-key"]["default"] is None
    assert list(described) == [f.flags[0][2:] for f in EveryLightRAGOptions.fields()]


@thorough
@given(NO_NUMBER)
def test_a_text_in_a_union_with_numbers_stays_one(text: str) -> None:
    """Whichever of the two is named first."""
    found = from_argv(EveryOptions, f"--every-keep={text}x", f"--every-late={text}x")

    assert found == {"keep": f"{text}x", "late": f"{text}x"}
