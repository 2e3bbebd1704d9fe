"""
Options compared with those of the installed LightRAG, which is asked in a process of its own.

Its classes for our providers: every name is ours, and means the same.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import dotenv
import pytest

from lightrag_bedrock.options import BedrockLLMOptions
from lightrag_ollama.options import OllamaEmbeddingOptions, OllamaLLMOptions
from lightrag_openai.options import OpenAILLMOptions
from ragcore import BindingOptions, OptionsError
from ragcore.options import Sources, read

GROUPS: list[type[BindingOptions]] = [
    OllamaLLMOptions,
    OllamaEmbeddingOptions,
    OpenAILLMOptions,
    BedrockLLMOptions,
]
every_group = pytest.mark.parametrize("group", GROUPS)

# Runs in LightRAG's process: answers questions about its classes.
PROGRAM = """
import argparse, json, os, sys
from lightrag.llm import binding_options
from lightrag.llm.binding_options import BindingOptions

def parsed(group, argv, environ):
    before = dict(os.environ)
    os.environ.update(environ)
    try:
        parser = argparse.ArgumentParser()
        group.add_args(parser)
        args = parser.parse_args(argv)
        return {
            "flags": group.options_dict(args),
            "role": group.options_dict_for_role(args, "extract"),
            "cross": group.options_dict_for_role(args, "extract", True),
        }
    finally:
        os.environ.clear()
        os.environ.update(before)

def described(group):
    return [one | {"type": str(one["type"])} for one in group.args_env_name_type_value()]

questions = json.load(sys.stdin)
answers = {
    "sample": BindingOptions.generate_dot_env_sample(),
    "described": {
        name: described(getattr(binding_options, name)) for name in questions["groups"]
    },
    "parsed": [
        parsed(getattr(binding_options, one["group"]), one["argv"], one["environ"])
        for one in questions["parse"]
    ],
}
json.dump(answers, sys.stdout)
"""


def ask(folder: Path, *parse: dict[str, Any]) -> dict[str, Any]:
    """Ask LightRAG, in a folder without a `.env`."""
    questions = {"groups": [group.__name__ for group in GROUPS], "parse": parse}
    done = subprocess.run(  # noqa: S603  # our own code
        [sys.executable, "-c", PROGRAM],
        input=json.dumps(questions),
        capture_output=True,
        text=True,
        check=True,
        cwd=folder,
        env={name: text for name, text in os.environ.items() if not _is_an_options(name)},
    )
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


def _is_an_options(variable: str) -> bool:
    return any(f"{group.binding()}_".upper() in variable for group in GROUPS)


# Several ways to write a value of each of the types that LightRAG has; within all ranges of ours.
TEXTS: dict[str, list[str]] = {
    "int": ["1", " 2 "],
    "float": ["0.25", "1", "1e-3"],
    "bool": ["true", "True", "t", "on", "yes", "1", "false", "f", "off", "no", "0", "YES"],
    "str": ["medium", "a b", "ä"],
    "dict": ['{"a": {"b": [1, 2.5, null, true, "ä"]}}', "{}"],
    "List[str]": ['["</s>", "\\n\\n"]', "[]"],
    "Union[bool, Literal[low, medium, high]]": ["on", "t", "off", "low", "HIGH", " medium ", "1"],
}


def texts_for(kind: str) -> list[str]:
    """Return texts that are valid for one of LightRAG's types."""
    plain = re.sub(r"typing\.|<class '|'>|'", "", kind).removesuffix(" | None")
    return TEXTS[plain]


@pytest.fixture(scope="module")
def theirs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What LightRAG says of its classes."""
    return ask(tmp_path_factory.mktemp("lightrag"))


def cases(theirs: dict[str, Any]) -> list[dict[str, Any]]:
    """Return each option with each text, as flag, variable and variable of a role."""
    return [
        {"group": name, **case}
        for name, fields in theirs["described"].items()
        for field in fields
        for text in texts_for(field["type"])
        for case in (
            {"argv": [f"--{field['argname']}={text}"], "environ": {}},
            {"argv": [], "environ": {field["env_name"]: text}},
            {"argv": [], "environ": {f"EXTRACT_{field['env_name']}": text}},
        )
    ]


def parsed(group: type[BindingOptions], argv: list[str], environ: dict[str, str]) -> dict[str, Any]:
    """Return what ours make of the same, as LightRAG's program does."""
    with pytest.MonkeyPatch.context() as patched:
        for name in [one for one in os.environ if _is_an_options(one)]:
            patched.delenv(name)
        for name, text in environ.items():
            patched.setenv(name, text)
        parser = argparse.ArgumentParser()
        group.add_args(parser)
        args = parser.parse_args(argv)
        return {
            "flags": group.options_dict(args),
            "role": group.options_dict_for_role(args, "extract"),
            "cross": group.options_dict_for_role(args, "extract", True),
        }


# --- names ---------------------------------------------------------------------------------


@every_group
def test_every_name_of_theirs_is_ours(group: type[BindingOptions], theirs: dict[str, Any]) -> None:
    """Field, flag, variable, key of a `.env` file; ours may be more."""
    described = theirs["described"][group.__name__]
    ours = {one["argname"]: one for one in group.args_env_name_type_value()}
    fields = {field.name: field for field in group.fields()}

    assert len(described) > 3
    for one in described:
        field = fields[one["argname"].removeprefix(f"{group.binding()}-".replace("_", "-"))]
        assert one.keys() == ours[one["argname"]].keys()
        assert one["env_name"] == ours[one["argname"]]["env_name"] == field.variables[0]
        assert f"--{one['argname']}" in field.flags


@every_group
def test_a_parser_takes_all_their_flags(
    group: type[BindingOptions], theirs: dict[str, Any]
) -> None:
    """At once, beside those of the other groups, as their server has them."""
    described = theirs["described"][group.__name__]
    parser = argparse.ArgumentParser()
    for one in GROUPS:
        one.add_args(parser)
    argv = [f"--{one['argname']}={texts_for(one['type'])[0]}" for one in described]

    found = group.options_dict(parser.parse_args(argv))

    assert len(found) == len(described)


# --- values --------------------------------------------------------------------------------


def test_every_valid_text_is_the_same_value(theirs: dict[str, Any], tmp_path: Path) -> None:
    """From a flag, a variable, a role's variable; within a provider and across."""
    asked = cases(theirs)
    groups = {group.__name__: group for group in GROUPS}

    answers = ask(tmp_path, *asked)["parsed"]
    ours = [parsed(groups[case["group"]], case["argv"], case["environ"]) for case in asked]

    differing = [
        (case, their_answer, our_answer)
        for case, their_answer, our_answer in zip(asked, answers, ours, strict=True)
        if their_answer != our_answer
    ]
    assert len(asked) > 300
    assert differing == []


DIFFERENT = [
    (OllamaLLMOptions, "NUMA", "ture", False),
    (OpenAILLMOptions, "STOP", "</s>", None),
    (OpenAILLMOptions, "EXTRA_BODY", "[1]", None),
    (BedrockLLMOptions, "EXTRA_FIELDS", "{", None),
]


@pytest.mark.parametrize(("group", "name", "text", "theirs_has"), DIFFERENT)
def test_a_typo_is_told_where_theirs_is_silent(
    group: type[BindingOptions], name: str, text: str, theirs_has: object, tmp_path: Path
) -> None:
    """A typo is no False, and bad JSON is not left out."""
    variable = f"{group.binding()}_{name}".upper()
    case = {"group": group.__name__, "argv": [], "environ": {variable: text}}

    (answer,) = ask(tmp_path, case)["parsed"]

    assert answer["flags"].get(name.lower()) == theirs_has
    with pytest.raises(OptionsError, match=f"^{variable}: "):
        parsed(group, [], {variable: text})


WRONG_FOR_ROLES = [
    (OllamaLLMOptions, "TEMPERATURE", "hot"),
    (OpenAILLMOptions, "STOP", "{}"),
    (BedrockLLMOptions, "MAX_TOKENS", "many"),
]


@pytest.mark.parametrize(("group", "name", "text"), WRONG_FOR_ROLES)
def test_a_roles_bad_value_is_not_sent(
    group: type[BindingOptions], name: str, text: str, tmp_path: Path
) -> None:
    """Theirs sends what it can't convert, or what has another type."""
    variable = f"EXTRACT_{group.binding()}_{name}".upper()
    case = {"group": group.__name__, "argv": [], "environ": {variable: text}}

    (answer,) = ask(tmp_path, case)["parsed"]

    assert name.lower() in answer["role"]
    with pytest.raises(OptionsError, match=f"^{variable}: "):
        parsed(group, [], {variable: text})


# --- .env ----------------------------------------------------------------------------------


@every_group
def test_their_sample_is_read(group: type[BindingOptions], theirs: dict[str, Any]) -> None:
    """Each line without its sign, but for those that say None."""
    lines = re.findall(r"^# ([A-Z][A-Z0-9_]*=.*)$", theirs["sample"], re.MULTILINE)
    uncommented = "\n".join(line for line in lines if not line.endswith("=None"))
    dotenv_file = dotenv.dotenv_values(stream=io.StringIO(uncommented))
    texts = {name: text or "" for name, text in dotenv_file.items()}
    prefix = f"{group.binding()}_".upper()
    own = {n for n, text in texts.items() if n.startswith(prefix) and text not in ("", "null")}

    (found,) = read([group], {}, sources=Sources(environ={}, dotenv=texts))

    defaults = {one["env_name"]: one["default"] for one in theirs["described"][group.__name__]}
    assert own
    assert {f"{group.binding()}_{n}".upper(): v for n, v in found.asdict().items()} == {
        name: defaults[name] for name in own
    }
