"""The command line: what there is, what can be set; light, and quiet about what it should be."""

from __future__ import annotations

import io
import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import attrs
import pytest
from cli_running import AcmeLLMOptions, AcmeOptions, Broken, only_acme, run
from dotenv import dotenv_values

from ragcore import Capabilities
from ragcore.cli import _output, _providers, main
from ragcore.testing import plugin

SDKS = {
    "anthropic",
    "boto3",
    "botocore",
    "httpx",
    "httpx2",
    "huggingface_hub",
    "numpy",
    "ollama",
    "openai",
    "stamina",
    "torch",
    "transformers",
}


@pytest.fixture(autouse=True)
def acme(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    with only_acme(monkeypatch, tmp_path):
        yield


def installed(*arguments: str, **more: Any) -> subprocess.CompletedProcess[str]:
    """Run the command in a process of its own, with every plugin that is installed here."""
    environ = {name: value for name, value in os.environ.items() if name != "RAGCORE_PLUGINS"}
    command = [sys.executable, "-m", "ragcore", *arguments]
    return subprocess.run(  # noqa: S603  # our own code
        command, capture_output=True, text=True, check=False, env=environ, **more
    )


# --- the command itself ---------------------------------------------------------------------


def test_version_and_help_are_there() -> None:
    """With a line for every command."""
    version, usage = run("--version"), run("--help")

    assert version.stdout.startswith("ragcore ")
    assert [line.split()[0] for line in usage.stdout.split("Commands:\n")[1].splitlines()] == [
        "env-sample",
        "options",
        "providers",
        "rag",
    ]


def test_the_script_and_the_module_are_one() -> None:
    """`python -m ragcore` calls itself ragcore."""
    done = installed("--help")

    assert done.returncode == 0
    assert done.stdout.startswith("Usage: ragcore [OPTIONS] COMMAND")


@pytest.mark.parametrize(
    "arguments",
    [
        ["--help"],
        ["options", "--help"],
        ["providers"],
        ["providers", "--json"],
        ["options"],
        ["options", "--json"],
        ["options", "--json-schema"],
        ["options", "--explain"],
        ["env-sample"],
    ],
)
def test_no_command_imports_an_sdk(arguments: list[str]) -> None:
    """With every plugin installed; asking for help loads no plugin, either."""
    code = (
        "import json, sys; from ragcore.cli import main; "
        f"main({arguments!r}, standalone_mode=False); "
        "print('\\n' + json.dumps(sorted(sys.modules)))"
    )
    environ = {name: value for name, value in os.environ.items() if name != "RAGCORE_PLUGINS"}
    done = subprocess.run(  # noqa: S603  # our own code
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environ
    )
    modules = set(json.loads(done.stdout.splitlines()[-1]))
    found = {name.partition(".")[0] for name in modules}

    assert found & SDKS == set()
    if "--help" in arguments:
        assert "rich" not in found
        assert not any(name.startswith("lightrag_") for name in found)
    else:
        assert "ragcore_parrot" in found


def test_a_misspelt_command_is_named() -> None:
    """With what was probably meant, and the status of a usage error."""
    done = run("optons")

    assert done.exit_code == 2
    assert "No such command 'optons'. Did you mean 'options'?" in done.stderr


def test_interrupted_is_130(tmp_path: Path) -> None:
    """As shells have it, and without a traceback."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    process = subprocess.Popen(  # noqa: S603  # our own code
        [sys.executable, "-m", "ragcore", "options", "--explain", "--env-file", str(pipe)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # A job in the background inherits that it is ignored.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # noqa: PLW1509
    )

    # Opening it returns when the command has opened it, too, and waits for what is in it.
    with pipe.open("w"):
        process.send_signal(signal.SIGINT)
        out, err = process.communicate()

    assert process.returncode == 130
    assert (out, err.strip()) == ("", "")


def test_a_closed_pipe_is_no_traceback() -> None:
    """As of `ragcore options --json | head`."""
    environ = {name: value for name, value in os.environ.items() if name != "RAGCORE_PLUGINS"}
    process = subprocess.Popen(  # our own code
        [sys.executable, "-m", "ragcore", "options", "--json"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environ,
    )
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.readline()
    process.stdout.close()
    err = process.stderr.read()
    process.stderr.close()
    process.wait()

    assert err == b""


def test_what_an_encoding_lacks_is_escaped() -> None:
    """Rather than that the command fails."""
    environ = {**os.environ, "PYTHONIOENCODING": "latin-1", "PARROT_CAGE": "\u00fcber\u2026"}
    environ.pop("RAGCORE_PLUGINS")
    done = subprocess.run(  # our own code
        [sys.executable, "-m", "ragcore", "options", "parrot", "--explain"],
        capture_output=True,
        check=False,
        env=environ,
    )

    assert (done.returncode, done.stderr) == (0, b"")
    assert b"\xfcber\\u2026" in done.stdout


# --- providers ------------------------------------------------------------------------------


def test_providers_says_what_there_is() -> None:
    """A line each, with its whole content."""
    done = run("providers")

    assert done.exit_code == 0
    assert done.stdout == (
        "provider  tasks                  distribution   capabilities"
        "                         aliases\n"
        "acme      completion, embedding  acme-plugin 0  JSON Schema, context of 4096 tokens"
        "  acme_cloud\n"
    )


def test_broken_plugins_are_told_with_reason_and_cure() -> None:
    """On stderr; what works is listed, and the command has not failed."""
    with plugin(Broken(), distribution="broken-plugin"):
        done = run("providers")
        data = json.loads(run("providers", "--json").stdout)

    assert done.exit_code == 0
    assert "acme-plugin 0" in done.stdout
    assert done.stderr.startswith("Broken: broken-plugin (entry point 'broken-plugin'): ")
    assert "no luck" in done.stderr
    assert "pip install --upgrade broken-plugin" in done.stderr
    (broken,) = data["broken"]
    assert broken.keys() == {"distribution", "entry_point", "reason", "cure"}


def test_providers_as_data_has_everything() -> None:
    """Under keys that stay."""
    data = json.loads(run("providers", "--json").stdout)

    assert data == {
        "providers": [
            {
                "name": "acme",
                "aliases": ["acme_cloud"],
                "tasks": ["completion", "embedding"],
                "distribution": "acme-plugin",
                "version": "0",
                "capabilities": attrs.asdict(Capabilities(json_schema=True, context_window=4096)),
                "options": ["acme", "acme_llm", "acme_embedding"],
            }
        ],
        "broken": [],
    }


@pytest.mark.parametrize("name", [field.name for field in attrs.fields(Capabilities)])
def test_every_capability_has_words(name: str) -> None:
    """None is left out of the list; what is not there is."""
    value: Any = 7 if name.startswith(("max_", "context")) else True
    there = Capabilities(**{name: value})

    assert len(_providers.in_words(there).split(", ")) == 1
    assert _providers.in_words(there)
    assert _providers.in_words(Capabilities()) == ""


def test_nothing_installed_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    """With what to install."""
    monkeypatch.setenv("RAGCORE_PLUGINS", "none")
    with plugin(Broken(), distribution="other"):
        done = run("providers")

    assert (done.exit_code, done.stdout) == (0, "")
    assert "pip install" in done.stderr


def test_what_a_variable_switches_off_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """With the variable, where plugins are listed and where options are looked for."""
    monkeypatch.setenv("RAGCORE_DISABLE_PLUGINS", "Acme_Plugin")
    with plugin(Broken(), distribution="other"):
        listed, asked = run("providers"), run("options", "acme")

    for done in (listed, asked):
        assert "Switched off by RAGCORE_DISABLE_PLUGINS: acme-plugin." in done.stderr
    assert (listed.exit_code, asked.exit_code) == (0, 2)


# --- options --------------------------------------------------------------------------------


def test_options_are_lines_with_all_there_is_to_know() -> None:
    """Type and range, default of the provider, scope, variables, flags, help."""
    done = run("options", "acme_llm")

    assert done.exit_code == 0
    lines = [line.split("  ") for line in done.stdout.splitlines()]
    assert [[cell.strip() for cell in line if cell] for line in lines[:4]] == [
        ["acme_llm: How it answers."],
        ["option", "takes", "default", "scope", "variables", "flags", "help"],
        [
            "acme_llm.temperature",
            "number, 0 to 2",
            "0.7",
            "call",
            "ACME_LLM_TEMPERATURE",
            "--acme-llm-temperature",
            "Randomness.",
        ],
        [
            "acme_llm.top_k",
            "whole number",
            "unset",
            "model",
            "ACME_LLM_TOP_K",
            "--acme-llm-top_k, --acme-llm-top-k",
            "How many; [bold] is no markup.",
        ],
    ]


@pytest.mark.parametrize(
    ("name", "bindings"),
    [
        ("acme", ["acme", "acme_llm", "acme_embedding"]),
        ("acme_cloud", ["acme", "acme_llm"]),
        ("acme_llm", ["acme_llm"]),
        ("ragcore", ["ragcore"]),
        ("lightrag_llm", ["lightrag_llm"]),
        (
            "",
            ["ragcore", "lightrag_llm", "lightrag_embedding", "acme", "acme_llm", "acme_embedding"],
        ),
    ],
)
def test_a_name_is_a_provider_an_alias_or_a_binding(name: str, bindings: list[str]) -> None:
    """A provider's name goes before a binding's; none is all."""
    data = json.loads(run("options", *filter(None, [name]), "--json").stdout)

    assert [group["binding"] for group in data["groups"]] == bindings


def test_a_keyword_is_said_to_take_what_it_takes() -> None:
    """It is no JSON."""
    group, *_ = json.loads(run("options", "acme", "--json").stdout)["groups"]
    (client,) = [one for one in group["options"] if one["name"] == "client"]
    (row,) = [line for line in run("options", "acme").stdout.splitlines() if "acme.client" in line]

    assert client["type"] == "anything"
    assert row.split()[1] == "anything"


def test_options_as_data_has_everything() -> None:
    """Under keys that stay."""
    (group,) = json.loads(run("options", "acme_llm", "--json").stdout)["groups"]

    assert group["options"][0] == {
        "name": "temperature",
        "type": "number",
        "minimum": 0,
        "maximum": 2,
        "required": False,
        "default": None,
        "provider_default": 0.7,
        "variables": ["ACME_LLM_TEMPERATURE"],
        "flags": ["--acme-llm-temperature"],
        "scope": "call",
        "secret": False,
        "help": "Randomness.",
    }
    assert len(group["options"]) == len(AcmeLLMOptions.fields())


def test_what_is_a_keyword_only_is_listed() -> None:
    """It can be set, though not from here."""
    lines = run("options", "acme").stdout.splitlines()

    assert [line for line in lines if line.startswith("acme.client") and "keyword only" in line]


def test_a_schema_is_that_of_the_group() -> None:
    """Of several groups, an object by binding."""
    one = json.loads(run("options", "acme_llm", "--json-schema").stdout)
    all_of_it = json.loads(run("options", "acme", "--json-schema").stdout)

    assert one == AcmeLLMOptions.json_schema()
    assert list(all_of_it) == ["acme", "acme_llm", "acme_embedding"]
    assert all_of_it["acme"] == AcmeOptions.json_schema()


def test_an_unknown_binding_is_named_with_those_there_are() -> None:
    """A usage error, for both commands that take one."""
    for command in ("options", "env-sample"):
        done = run(command, "acme_lm")

        assert done.exit_code == 2
        assert "no binding or provider 'acme_lm'. Did you mean 'acme_llm'?" in done.stderr
        assert "acme, acme_cloud, acme_embedding, acme_llm, lightrag_emb" in done.stderr


def test_options_of_a_broken_plugin_are_an_error() -> None:
    """With its reason and cure, and status 1."""
    with plugin(Broken(), distribution="broken-plugin"):
        done = run("options", "broken-plugin")

    assert done.exit_code == 1
    assert "no luck" in done.stderr
    assert "Traceback" not in done.stderr


def test_third_parties_are_shown_like_all_others() -> None:
    """The parrot, which is installed."""
    done = installed("options", "parrot", "--json")

    assert [group["binding"] for group in json.loads(done.stdout)["groups"]] == [
        "parrot",
        "parrot_llm",
        "parrot_embedding",
    ]


# --- env-sample -----------------------------------------------------------------------------


def test_a_sample_says_what_it_is_and_sets_nothing() -> None:
    """All is comments; python-dotenv reads nothing out of it."""
    done = run("env-sample", "acme")

    assert done.stdout.startswith("# Options of ragcore and its providers, made by: ragcore env-s")
    assert "# ACME_LLM_MODE=good\n" in done.stdout
    assert "RAGCORE_TIMEOUT" not in done.stdout
    assert dotenv_values(stream=io.StringIO(done.stdout)) == {}


def test_a_sample_is_data_as_well() -> None:
    """The same variables with the same values, in the same order."""
    data = json.loads(run("env-sample", "acme", "--json").stdout)
    commented = run("env-sample", "acme").stdout
    lines = "\n".join(re.findall(r"^# ([A-Z_]+=.*)$", commented, re.MULTILINE))

    assert data["variables"]
    assert {one["variable"]: one["value"] for one in data["variables"]} == dict(
        dotenv_values(stream=io.StringIO(lines))
    )


def test_a_sample_has_every_variable_once() -> None:
    """Of the host, and of every provider that is installed."""
    done = installed("env-sample")
    names = [
        line[2:].partition("=")[0]
        for line in done.stdout.splitlines()
        if line.startswith("# ") and line[2:].partition("=")[0].isupper() and "=" in line
    ]
    wanted = {
        option["variables"][0]
        for group in json.loads(installed("options", "--json").stdout)["groups"]
        for option in group["options"]
        if option["variables"]
    }

    assert set(names) == wanted
    assert len(names) == len(wanted)


def test_a_sample_without_its_comments_changes_nothing(tmp_path: Path) -> None:
    """Read back by the command, every value is that which holds anyway."""
    sample = installed("env-sample").stdout
    lines = (line.removeprefix("# ") for line in sample.splitlines())
    kept = [line for line in lines if line.partition("=")[0].isupper() and "=" in line]
    (tmp_path / "all.env").write_text("\n".join(kept), "utf-8")
    before, after = (
        json.loads(installed("options", "--explain", "--json", *more, cwd=tmp_path).stdout)
        for more in ([], ["--env-file", "all.env"])
    )

    assert after["problems"] == before["problems"] == []
    assert values(after) == values(before)
    assert "all.env" in {option["file"] for group in after["groups"] for option in group["options"]}


def values(data: Any) -> list[Any]:
    return [option["value"] for group in data["groups"] for option in group["options"]]


# --- tables ---------------------------------------------------------------------------------


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_terminal_gets_cells_that_are_folded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is cut off, and brackets are no markup."""
    terminal = Terminal()
    monkeypatch.setattr(sys, "stdout", terminal)
    monkeypatch.setenv("COLUMNS", "30")

    _output.write_table(("one", "two", "three"), [("x" * 60, "[b]c", "y" * 60)], ((0, 1), (2,)))

    written = re.sub(r"\x1b\[[\d;]*m", "", terminal.getvalue())
    assert max(map(len, written.splitlines())) <= 30
    assert (written.count("x"), written.count("y")) == (60, 60)
    assert "[b]c" in written


def test_a_terminal_is_not_commanded(capsys: pytest.CaptureFixture[str]) -> None:
    """What would move its cursor is written as an escape."""
    _output.write_table(("one",), [("\x1b[2J\nnext",)], ((0,),))

    assert capsys.readouterr().out == "one\n\\x1b[2J\\nnext\n"


def test_a_terminal_gets_names_without_their_binding(monkeypatch: pytest.MonkeyPatch) -> None:
    """The heading says it, and columns are few."""
    terminal = Terminal()
    monkeypatch.setattr(sys, "stdout", terminal)

    main(["options", "acme_llm"], standalone_mode=False)

    assert "acme_llm: How it answers." in terminal.getvalue()
    assert " temperature " in terminal.getvalue()
    assert "acme_llm.temperature" not in terminal.getvalue()
