"""The `.env` file: below the environment, read by the command alone, and not trusted."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from cli_running import AcmeLLMOptions, AcmeOptions, only_acme, run

from ragcore import BindingOptions, OptionsError, Secret, option
from ragcore.cli._environment import environment
from ragcore.options import Sources, read

EVIL = "http://evil.example"


@pytest.fixture(autouse=True)
def acme(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    with only_acme(monkeypatch, tmp_path):
        yield


def sources(
    text: str,
    *,
    is_trusted: bool = False,
    role: str | None = None,
    keywords: Mapping[str, object] | None = None,
) -> Sources:
    """Return what a command gets that reads both groups with *text* as its `.env`."""
    Path(".env").write_text(text, "utf-8")
    found = environment(None, is_trusted=is_trusted)
    return found.sources([AcmeOptions, AcmeLLMOptions], keywords, role=role)


def connection(text: str, *, is_trusted: bool = False) -> AcmeOptions:
    (made,) = read([AcmeOptions], {}, sources=sources(text, is_trusted=is_trusted))
    assert isinstance(made, AcmeOptions)
    return made


# --- the file -------------------------------------------------------------------------------


def test_the_environment_goes_before_the_file(monkeypatch: pytest.MonkeyPatch) -> None:
    """And nothing of the file is put into the environment."""
    monkeypatch.setenv("ACME_TOKEN", "from-environment")
    made = connection("ACME_TOKEN=from-file\nexport ACME_KEY='from-file'  # comment\n")

    assert made.token == Secret("from-environment")
    assert made.api_key == Secret("from-file")
    assert "ACME_KEY" not in os.environ


def test_no_file_is_no_error() -> None:
    """Nor is a folder of that name, where some keep a virtual environment."""
    none = environment(None, is_trusted=False).sources([AcmeOptions])
    Path(".env").mkdir()
    folder = environment(None, is_trusted=False).sources([AcmeOptions])

    assert none.dotenv == folder.dotenv == {}


def test_a_file_that_is_named_has_to_be_there() -> None:
    """A usage error."""
    done = run("options", "--explain", "--env-file", "nowhere.env")

    assert done.exit_code == 2
    assert "'nowhere.env' does not exist" in done.stderr


def test_a_named_file_is_read_instead() -> None:
    """Not on top of `.env`."""
    Path(".env").write_text("ACME_LLM_TOP_K=1\n")
    Path("other.env").write_text("ACME_LLM_MODE=fast\n")
    found = environment(Path("other.env"), is_trusted=False)

    assert found.file.values == {"ACME_LLM_MODE": "fast"}


@pytest.mark.parametrize(
    ("data", "line"),
    [
        (b"ACME_LLM_TOP_K=1\nACME_TOKEN=canary\xff\n", 2),
        (b"ACME_LLM_TOP_K=1\n\nACME_TOKEN='canary\n", 3),
        (b"ACME TOKEN canary\n", 1),
        ("ACME_TOKEN=canary\n".encode("utf-16"), 1),
    ],
)
def test_what_can_not_be_read_is_told_by_its_line(data: bytes, line: int) -> None:
    """And not by what stands there, which may be a key."""
    Path(".env").write_bytes(data)
    done = run("options", "--explain")

    assert done.exit_code == 1
    assert f".env, line {line}: is not " in done.stderr
    assert "canary" not in done.output


def test_a_mark_of_utf_8_is_no_part_of_a_name() -> None:
    """As editors on Windows write it."""
    Path(".env").write_bytes(b"\xef\xbb\xbfACME_TOKEN=a\r\nACME_KEY=b\r\n")

    assert environment(None, is_trusted=False).file.values == {"ACME_TOKEN": "a", "ACME_KEY": "b"}


def test_what_does_not_look_does_not_fail() -> None:
    """A broken file is no matter of a list."""
    Path(".env").write_text("not a line\n")

    assert run("options").exit_code == 0
    assert run("env-sample").exit_code == 0


# --- addresses ------------------------------------------------------------------------------


@pytest.mark.parametrize("address", ["ACME_BASE_URL", "ACME_URL", "ACME_GATEWAY"])
@pytest.mark.parametrize("key", ["ACME_API_KEY", "ACME_KEY", "ACME_TOKEN"])
def test_a_key_from_elsewhere_does_not_go_where_the_file_says(
    address: str, key: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Aliases count; the message names both, and two cures."""
    monkeypatch.setenv(key, "canary")
    with pytest.raises(OptionsError) as caught:
        sources(f"{address}={EVIL}\nACME_LLM_TOP_K=1\n")

    (problem,) = caught.value.problems
    assert problem.startswith(f"{address}: stands in .env, but {key} comes from the environment")
    assert "have both in .env alone, or pass --trust-env-file" in problem
    assert "canary" not in problem


def test_headers_may_be_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    """They go along with each request."""
    monkeypatch.setenv("ACME_DEFAULT_HEADERS", '{"Authorization": "canary"}')

    with pytest.raises(OptionsError, match="ACME_DEFAULT_HEADERS comes from the environment"):
        sources(f"ACME_BASE_URL={EVIL}\nACME_KEY=mine\n")


def test_what_an_sdk_finds_by_itself_is_from_elsewhere() -> None:
    """In variables, files, the machine's identity: none of it is seen here, and all of it goes."""

    class Account(BindingOptions, binding="account"):
        endpoint: str | None = option("Where.", default=None)
        token: Secret | None = option("Used instead of keys.", default=None)
        key: Secret | None = option("Key.", default=None, env=None, role_env="ACME_SDK_SECRET")

    Path(".env").write_text(f"ACCOUNT_ENDPOINT={EVIL}\n", "utf-8")
    with pytest.raises(OptionsError, match=r"stands in \.env, but the SDK finds keys by itself"):
        environment(None, is_trusted=False).sources([Account])

    Path(".env").write_text(f"ACCOUNT_ENDPOINT={EVIL}\nACCOUNT_TOKEN=theirs\n", "utf-8")
    assert environment(None, is_trusted=False).sources([Account])


def test_a_file_does_not_say_what_is_trusted() -> None:
    """A stranger's code would run."""

    class Hub(BindingOptions, binding="hub"):
        trust_remote_code: bool = option("Run code of the model.", default=False)

    Path(".env").write_text("HUB_TRUST_REMOTE_CODE=true\n", "utf-8")
    trusted = environment(None, is_trusted=True).sources([Hub])

    assert read([Hub], {}, sources=trusted)[0].asdict() == {"trust_remote_code": True}
    with pytest.raises(OptionsError, match=r"HUB_TRUST_REMOTE_CODE: stands in \.env"):
        environment(None, is_trusted=False).sources([Hub])


def test_a_key_from_the_same_file_goes_there() -> None:
    """Whoever wrote one wrote the other."""
    made = connection(f"ACME_BASE_URL={EVIL}\nACME_KEY=theirs\n")

    assert (made.base_url, made.api_key) == (EVIL, Secret("theirs"))


def test_one_key_from_elsewhere_is_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    """That another stands in the file does not help."""
    monkeypatch.setenv("ACME_TOKEN", "canary")

    with pytest.raises(OptionsError, match="ACME_TOKEN comes from the environment"):
        sources(f"ACME_BASE_URL={EVIL}\nACME_KEY=theirs\n")


def test_a_stronger_key_from_elsewhere_is_from_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    """The environment's key is what would be sent."""
    monkeypatch.setenv("ACME_KEY", "canary")

    with pytest.raises(OptionsError, match="ACME_KEY comes from the environment"):
        sources(f"ACME_BASE_URL={EVIL}\nACME_KEY=theirs\n")


def test_without_a_key_there_is_nothing_to_collect() -> None:
    """The address is used."""
    found = sources(f"ACME_BASE_URL={EVIL}\n")

    assert found.dotenv["ACME_BASE_URL"] == EVIL


def test_an_address_of_ones_own_takes_any_key(monkeypatch: pytest.MonkeyPatch) -> None:
    """The file's address is not what holds."""
    monkeypatch.setenv("ACME_KEY", "mine")
    monkeypatch.setenv("ACME_BASE_URL", "http://mine.example")
    made = connection(f"ACME_BASE_URL={EVIL}\n")

    assert made.base_url == "http://mine.example"


@pytest.mark.parametrize("variable", ["EXTRACT_ACME_BASE_URL", "EXTRACT_ACME_URL"])
def test_a_role_is_no_way_round(variable: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its variables are stronger than the environment's, and stand in a file all the same."""
    monkeypatch.setenv("ACME_KEY", "canary")
    monkeypatch.setenv("ACME_BASE_URL", "http://mine.example")

    with pytest.raises(OptionsError, match=f"{variable}: stands in .env"):
        sources(f"{variable}={EVIL}\n", role="extract")


def test_the_key_of_a_role_is_from_elsewhere_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its variable is named."""
    monkeypatch.setenv("QUERY_ACME_TOKEN", "canary")

    with pytest.raises(OptionsError, match="QUERY_ACME_TOKEN comes from the environment"):
        sources(f"ACME_BASE_URL={EVIL}\n", role="query")


def test_keys_from_the_command_line_are_from_elsewhere() -> None:
    """As a flag, and as what a command takes for a keyword."""
    with pytest.raises(OptionsError, match="api_key comes from the command line"):
        sources(f"ACME_BASE_URL={EVIL}\n", keywords={"api_key": "canary"})
    done = run("options", "acme", "--explain", "--acme-api-key", "canary")

    assert done.exit_code == 1
    assert "--acme-api_key comes from the command line" in done.stderr
    assert "canary" not in done.output


def test_a_trusted_file_may_say_where_keys_go(monkeypatch: pytest.MonkeyPatch) -> None:
    """That is what --trust-env-file is for."""
    monkeypatch.setenv("ACME_KEY", "mine")
    made = connection(f"ACME_BASE_URL={EVIL}\n", is_trusted=True)
    done = run("options", "acme", "--explain", "--trust-env-file")

    assert (made.base_url, made.api_key) == (EVIL, Secret("mine"))
    assert done.exit_code == 0


# --- references -----------------------------------------------------------------------------


def test_a_file_may_refer_to_itself() -> None:
    """To what stands above, and to what is nowhere, which has a default."""
    made = connection("NAME=a\nACME_KEY=${NAME}-${NOWHERE:-b}\n")

    assert made.api_key == Secret("a-b")


@pytest.mark.parametrize(
    "text",
    [
        f"ACME_BASE_URL={EVIL}/${{OTHER_SECRET}}\n",
        f"ACME_BASE_URL={EVIL}/${{OTHER_SECRET:-x}}\nACME_KEY=theirs\n",
        f"ACME_BASE_URL={EVIL}\nACME_KEY=${{OTHER_SECRET}}\n",
        f"A=${{OTHER_SECRET}}\nB=${{A}}\nACME_BASE_URL={EVIL}\nACME_KEY='${{B}}'\n",
        "ACME_LLM_MODE=${OTHER_SECRET}\n",
    ],
)
def test_a_file_does_not_see_the_environment(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else an address could carry any key away, and a key of the file be one of somebody else."""
    monkeypatch.setenv("OTHER_SECRET", "canary")
    with pytest.raises(OptionsError) as caught:
        sources(text)
    done = run("options", "acme", "--explain")

    (problem,) = caught.value.problems
    assert "refers to OTHER_SECRET of the environment" in problem
    assert done.exit_code == 1
    assert problem in done.stderr
    assert "canary" not in done.output


def test_what_nobody_reads_may_refer_to_anything(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is for other programs; and a later line may say it anew."""
    monkeypatch.setenv("HOME", "/home/somebody")
    made = connection("DATA=${HOME}/data\nACME_KEY=${HOME}\nACME_KEY=plain\n")

    assert made.api_key == Secret("plain")


def test_a_trusted_file_sees_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """As other programs read it."""
    monkeypatch.setenv("MY_KEY", "mine")
    made = connection(f"ACME_BASE_URL={EVIL}\nACME_KEY=${{MY_KEY}}\n", is_trusted=True)

    assert made.api_key == Secret("mine")


# --- canaries -------------------------------------------------------------------------------

COMMANDS = [
    ["providers"],
    ["providers", "--json"],
    ["options"],
    ["options", "--json"],
    ["options", "--json-schema"],
    ["options", "--explain"],
    ["options", "--explain", "--json"],
    ["options", "--explain", "--role", "vlm"],
    ["options", "--explain", "--trust-env-file"],
    ["env-sample"],
]
FLAGS = ["--acme-api-key", "canary-flag", "--acme-token=canary token", "--acme-llm-top-k", "bad"]


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
@pytest.mark.parametrize("prefix", ["", "VLM_"])
@pytest.mark.parametrize("place", ["environment", "file"])
@pytest.mark.parametrize("key", ["canary", "canary with space"])
def test_no_command_says_a_secret(
    command: list[str], prefix: str, place: str, key: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of any installed provider, by any of its names, good or bad."""
    monkeypatch.delenv("RAGCORE_PLUGINS")
    names = secret_variables()
    if place == "environment":
        for name in names:
            monkeypatch.setenv(f"{prefix}{name}", key)
    else:
        Path(".env").write_text("".join(f"{prefix}{name}='{key}'\n" for name in names))
    done = run(*command, *(FLAGS if "--explain" in command else []))

    assert len(names) > 20
    assert done.exit_code == (1 if "--explain" in command else 0)
    assert "canary" not in done.output


def secret_variables() -> list[str]:
    groups = json.loads(run("options", "--json").stdout)["groups"]
    return [
        name
        for group in groups
        for option in group["options"]
        if option["secret"]
        for name in option["variables"]
    ]
