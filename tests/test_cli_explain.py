"""`ragcore options --explain`: what holds, who says so, and what is wrong with it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cli_running import ADDRESS, only_acme, run


@pytest.fixture(autouse=True)
def acme(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    with only_acme(monkeypatch, tmp_path):
        yield


def explained(*arguments: str) -> dict[str, tuple[Any, str]]:
    """Return value and source of each option, as the text says them."""
    lines = run("options", *arguments, "--explain").stdout.splitlines()
    cells = [[cell.strip() for cell in line.split("  ") if cell] for line in lines if "." in line]
    return {name: (value, source) for name, value, source in filter(_is_row, cells)}


def _is_row(cells: list[str]) -> bool:
    return len(cells) == 3


def as_data(*arguments: str) -> dict[str, Any]:
    """Return the options by name, as the JSON says them."""
    data = json.loads(run("options", *arguments, "--explain", "--json").stdout)
    return {
        f"{group['binding']}.{option['name']}": option
        for group in data["groups"]
        for option in group["options"]
    }


def test_each_source_goes_before_those_below_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Role, flag, environment, `.env`, default: each is named."""
    name, role, flag = "ACME_LLM_TEMPERATURE", "EXTRACT_ACME_LLM_TEMPERATURE", "0.3"
    option = "acme_llm.temperature"
    said = [explained("acme_llm")]
    (tmp_path / ".env").write_text(f"{name}=0.1\n")
    said += [explained("acme_llm")]
    monkeypatch.setenv(name, "0.2")
    said += [explained("acme_llm")]
    said += [explained("acme_llm", "--acme-llm-temperature", flag)]
    monkeypatch.setenv(role, "0.4")
    said += [explained("acme_llm", "--acme-llm-temperature", flag, "--role", "extract")]
    said += [explained("acme_llm", "--acme-llm-temperature", flag, "--role", "query")]

    assert [one[option] for one in said] == [
        ("-", "unset"),
        ("0.1", f".env: {name}"),
        ("0.2", name),
        ("0.3", "flag --acme-llm-temperature"),
        ("0.4", role),
        ("0.3", "flag --acme-llm-temperature"),
    ]
    assert said[0]["acme_llm.mode"] == ("good", "default")


def test_aliases_and_role_variables_of_a_file_are_named(tmp_path: Path) -> None:
    """By the name that stands there, and the file's."""
    (tmp_path / "other.env").write_text("ACME_URL=http://a\nKEYWORD_ACME_LLM_TOP_K=3\n")
    found = explained("--env-file", "other.env", "--role", "keyword")

    assert found["acme.base_url"] == ("http://a", "other.env: ACME_URL")
    assert found["acme_llm.top_k"] == ("3", "other.env: KEYWORD_ACME_LLM_TOP_K")


def test_secrets_are_set_or_unset(monkeypatch: pytest.MonkeyPatch) -> None:
    """In text and in data; headers may hold a key, too."""
    monkeypatch.setenv("ACME_KEY", "canary")
    monkeypatch.setenv("ACME_DEFAULT_HEADERS", '{"Authorization": "canary"}')
    text, data = explained("acme"), as_data("acme")

    assert text["acme.api_key"] == ("set", "ACME_KEY")
    assert text["acme.token"] == ("unset", "unset")
    assert text["acme.default_headers"] == ("set", "ACME_DEFAULT_HEADERS")
    assert [data[f"acme.{name}"]["value"] for name in ("api_key", "token")] == ["set", "unset"]


def test_headers_that_are_none_are_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    """A typo does not make a key public."""
    flag = ["--acme-default-headers", "Authorization: canary"]
    from_flag = run("options", "acme", "--explain", *flag)
    monkeypatch.setenv("ACME_DEFAULT_HEADERS", "Authorization: canary")
    from_environment = run("options", "acme", "--explain")

    for done, name in (
        (from_flag, "--acme-default_headers"),
        (from_environment, "ACME_DEFAULT_HEADERS"),
    ):
        assert f"{name}: the value is not JSON object of text @ acme.default_headers" in done.stderr
        assert "canary" not in done.output


def test_data_has_values_with_their_types(monkeypatch: pytest.MonkeyPatch) -> None:
    """And the source under keys that stay."""
    monkeypatch.setenv("ACME_LLM_STOP", '["a", "b"]')
    found = as_data("acme")

    assert found["acme_llm.stop"] == {
        "name": "stop",
        "value": ["a", "b"],
        "origin": "environment",
        "source": "ACME_LLM_STOP",
        "file": None,
        "invalid": False,
        "secret": False,
    }
    assert found["acme.base_url"]["value"] == ADDRESS
    assert found["acme_llm.top_k"]["value"] is None
    assert found["acme_llm.top_k"]["origin"] == "unset"


def test_what_is_required_is_said_and_is_no_failure() -> None:
    """Nobody has to have set up all providers to look at them."""
    done = run("options", "--explain")

    assert done.exit_code == 0
    assert explained()["acme_embedding.size"] == ("-", "unset, required")


def test_all_that_is_invalid_is_told_at_once(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """By variable or flag; the rest is shown, and the status is 1."""
    monkeypatch.setenv("ACME_LLM_TOP_K", "many")
    (tmp_path / ".env").write_text("ACME_EMBEDDING_SIZE=big\nACME_LLM_MODE=fast\n")
    done = run("options", "acme", "--explain", "--acme-llm-temperature", "3")
    data = json.loads(
        run("options", "acme", "--explain", "--json", "--acme-llm-temperature", "3").stdout
    )

    assert done.exit_code == 1
    assert done.stderr.splitlines() == [
        "Error: --acme-llm-temperature: '3' is not 0 to 2 @ acme_llm.temperature",
        "Error: ACME_LLM_TOP_K: 'many' is not a whole number @ acme_llm.top_k",
        "Error: ACME_EMBEDDING_SIZE: 'big' is not a whole number @ acme_embedding.size",
    ]
    assert [f"Error: {problem}" for problem in data["problems"]] == done.stderr.splitlines()
    assert "ACME_LLM_TOP_K" in done.stdout
    assert "invalid" in done.stdout
    assert ".env: ACME_LLM_MODE" in done.stdout


def test_what_a_class_checks_is_told_without_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its message is its author's, and the key in it is taken out."""
    monkeypatch.setenv("ACME_API_KEY", "canary here")
    done = run("options", "acme", "--explain")

    assert done.exit_code == 1
    assert done.stderr == "Error: api_key: … has a space @ acme\n"


def test_a_password_in_an_address_is_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    """The rest of the address is."""
    monkeypatch.setenv("ACME_BASE_URL", "http://me:canary@acme.example/v1")
    monkeypatch.setenv("ACME_LLM_TOP_K", "http://me:canary@acme.example/v1")
    done = run("options", "acme", "--explain")

    assert "http://…@acme.example/v1" in done.stdout
    assert "canary" not in done.output


def test_a_short_key_leaves_messages_readable(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A local server's key may be any."""
    monkeypatch.setenv("ACME_API_KEY", "a")
    (tmp_path / ".env").write_text("ACME_BASE_URL=http://elsewhere\n")
    done = run("options", "acme", "--explain")

    assert "stands in .env, but ACME_API_KEY comes from the environment" in done.output


def test_a_password_with_an_at_sign_is_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nor one in a list; what stands behind the host is."""
    monkeypatch.setenv("ACME_BASE_URL", "http://me:canary@canary@acme.example/@v1")
    monkeypatch.setenv("ACME_LLM_STOP", '["http://me:canary@acme.example/v1"]')
    done = run("options", "acme", "--explain")

    assert "http://…@acme.example/@v1" in done.stdout
    assert '["http://…@acme.example/v1"]' in done.stdout.replace(r"\u2026", "…")
    assert "canary" not in done.output


def test_a_list_is_repeated_flags_or_json() -> None:
    """As everywhere."""
    repeated = as_data("acme_llm", "--acme-llm-stop", "a", "--acme-llm-stop", "b")
    at_once = as_data("acme_llm", '--acme-llm-stop=["a", "b"]')

    assert repeated["acme_llm.stop"]["value"] == at_once["acme_llm.stop"]["value"] == ["a", "b"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--acme-llm-tempratur", "x"], "Did you mean --acme-llm-temperature?"),
        (["--acme-llm-tempratur=canary"], "No such flag: --acme-llm-tempratur."),
        (["--acme-llm-mode", "fast", "canary"], "A value belongs to no flag"),
        (["--acme-llm-mode"], "expected one argument"),
        (["--acme-base-url", "canary"], "It may belong to a group that is not shown."),
    ],
)
def test_a_flag_that_is_none_is_a_usage_error(arguments: list[str], message: str) -> None:
    """With the cure, and without what was to be its value."""
    done = run("options", "acme_llm", "--explain", *arguments)

    assert done.exit_code == 2
    assert message in done.stderr
    assert "canary" not in done.output


@pytest.mark.parametrize(
    "arguments",
    [
        ["acme_llm", "--acme-llm-mode", "fast"],
        ["--role", "query"],
        ["--trust-env-file"],
        ["--explain", "--json-schema"],
    ],
)
def test_what_would_be_without_effect_is_a_usage_error(arguments: list[str]) -> None:
    """What sets options goes with --explain, which goes with no schema."""
    done = run("options", *arguments)

    assert done.exit_code == 2
    assert "--explain" in done.stderr


@pytest.mark.parametrize("name", ["LLM_BINDING", "EMBEDDING_BINDING"])
def test_a_binding_that_is_not_there_is_a_problem(
    monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """As `from_env` would say it, with the nearest name and what is installed."""
    monkeypatch.setenv(name, "acm")
    done = run("options", f"lightrag_{name.split('_', maxsplit=1)[0].lower()}", "--explain")

    assert done.exit_code == 1
    assert f"{name}: No provider 'acm' (installed: acme). Did you mean 'acme'?" in done.stderr


@pytest.mark.parametrize("binding", ["acme", "acme_cloud", "openai-ollama"])
def test_a_binding_that_is_there_is_none(monkeypatch: pytest.MonkeyPatch, binding: str) -> None:
    """By name, by alias, or by LightRAG's name for two of them."""
    monkeypatch.setenv("LLM_BINDING", binding)

    assert run("options", "lightrag_llm", "--explain").exit_code == 0


def test_a_role_has_a_binding_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """The message names the role's variable."""
    monkeypatch.setenv("QUERY_LLM_BINDING", "acm")
    done = run("options", "lightrag_llm", "--explain", "--role", "query")

    assert "Error: QUERY_LLM_BINDING: No provider 'acm'" in done.stderr


def test_misspelt_variables_are_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Those of the environment and of the file; they don't change the exit status."""
    monkeypatch.setenv("ACME_LLM_TEMPRATURE", "1")
    (tmp_path / ".env").write_text("EXTRACT_LLM_BINDNG=acme\n")
    done = run("options", "acme_llm", "--explain")
    data = json.loads(run("options", "acme_llm", "--explain", "--json").stdout)

    assert done.exit_code == 0
    assert done.stderr.splitlines() == [
        f"Warning: {name} is set, and nothing reads it: did you mean {meant}?"
        for name, meant in data["misspelt"].items()
    ]
    assert data["misspelt"] == {
        "EXTRACT_LLM_BINDNG": "EXTRACT_LLM_BINDING",
        "ACME_LLM_TEMPRATURE": "ACME_LLM_TEMPERATURE",
    }
