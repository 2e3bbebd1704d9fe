"""
A `.env` sample: each line is read back, by python-dotenv and by us.

``RAGCORE_EXAMPLES=10000`` makes each property take so many examples instead of 200.
"""

from __future__ import annotations

import io
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import dotenv
import pytest
from every_option import (
    BOTH,
    TEXT,
    EveryLightRAGOptions,
    EveryOptions,
    environment,
    one_valid,
    thorough,
    typed,
    valid,
    written,
)
from hypothesis import given
from hypothesis import strategies as st

import ragcore
from ragcore import BindingOptions, Secret, option
from ragcore._discovery.host_options import HOST_OPTIONS
from ragcore.options import Sources, read
from ragcore.options._sample import line

every_group = pytest.mark.parametrize("group", BOTH)


def read_back(written: str, folder: Path) -> dict[str, str | None]:
    """Return what python-dotenv reads, with its defaults, from a file."""
    file = folder / ".env"
    file.write_text(written, encoding="utf-8", newline="")
    return dotenv.dotenv_values(file)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("env")


# Texts that are made of what means something in a .env file.
SIGNS = st.lists(
    st.sampled_from([*"'\"\\$ #=\n\r\t{}:-n%", "${", "${HOME}", "export ", "\u2028", "\x85", "ä"])
).map("".join)


@thorough
@given(text=TEXT | SIGNS | st.just(""))
def test_any_text_is_read_back_from_its_line(folder: Path, text: str) -> None:
    """Quotes, line breaks, comments and what python-dotenv would replace."""
    assert read_back(f"{line('ACME_NAME', text)}\nACME_NEXT=1\n", folder) == {
        "ACME_NAME": text,
        "ACME_NEXT": "1",
    }


@every_group
@thorough
@given(data=st.data())
def test_a_value_is_the_same_from_a_file(
    group: type[BindingOptions], folder: Path, data: st.DataObject
) -> None:
    """Written with `line()`, read by python-dotenv, taken by the class."""
    one = dict([data.draw(one_valid(group))])
    for values in (one, data.draw(valid(group))):
        texts = environment(group, {name: written(value) for name, value in values.items()})
        file = "".join(f"{line(name, text)}\n" for name, text in texts.items())

        found = read_back(file, folder)

        assert found == texts
        sources = Sources(environ={}, dotenv={name: text or "" for name, text in found.items()})
        assert typed(read([group], {}, sources=sources)[0].asdict()) == typed(values)


# --- samples -------------------------------------------------------------------------------

_SETTING = re.compile(r"^# ([A-Z][A-Z0-9_]*=.*)$", re.MULTILINE)


def uncommented(sample: str) -> dict[str, str | None]:
    lines = "\n".join(_SETTING.findall(sample))
    return dict(dotenv.dotenv_values(stream=io.StringIO(lines)))


class OddOptions(BindingOptions, binding="odd"):
    """Has every kind of default: 100 % of them."""

    needed: str = option("Has to be set.")
    unset: int | None = option("Not set.", default=None)
    number: float = option("A number.", default=1e-07)
    flag: bool = option("Yes or no.", default=False)
    words: str = option("Text.", default='it\'s "quoted" # ${HOME}\n and \\ more')
    many: list[str] = option("Texts.", default=["a b", "#", "$"])
    table: dict[str, Any] = option("Anything.", default={"a": [1, None, "ä"]})
    folder: Path = option("Where.", default=Path("some where"))
    long: int = option("Told at length. " * 20, default=5, minimum=1)
    known: int | None = option("Known.", default=None, provider_default=7)
    key: Secret = option("Key.", default=Secret("placeholder"))
    maker: object = option("Makes keys.", default=None, env=None)


def installed() -> list[type[BindingOptions]]:
    groups = [group for one in ragcore.providers().providers for group in one.options]
    return list(dict.fromkeys([*groups, *HOST_OPTIONS]))


@pytest.mark.parametrize(
    "group", [OddOptions, *BOTH, *installed()], ids=lambda group: str(group.__name__)
)
def test_a_sample_without_its_signs_sets_what_holds_anyway(group: type[BindingOptions]) -> None:
    """Each line, and there is one for each option that has a variable."""
    needed = {field.name: "x" for field in group.fields() if field.required}
    found = uncommented(group.generate_dot_env_sample())
    texts = {name: text or "" for name, text in found.items()}
    defaults = {f.name: f.default for f in group.fields() if not f.required and not f.secret}

    assert list(texts) == [field.variables[0] for field in group.fields() if field.variables]
    (made,) = read([group], needed, texts) if not _checks_itself(group) else (None,)
    if made is not None:
        assert {name: getattr(made, name) for name in defaults} == defaults


def _checks_itself(group: type[BindingOptions]) -> bool:
    return "__attrs_post_init__" in dir(group) or bool(group.any_of())


def test_a_sample_is_comments_for_people() -> None:
    """Title, help with type, range and default, and nothing that is set."""
    sample = OddOptions.generate_dot_env_sample()

    assert sample.startswith("# --- odd: Has every kind of default: 100 % of them.\n\n")
    assert "# Has to be set. (text; required)\n# ODD_NEEDED=\n" in sample
    assert "# Not set. (whole number)\n# ODD_UNSET=\n" in sample
    assert "# Known. (whole number; default: 7)\n# ODD_KNOWN=\n" in sample
    assert "# Key. (secret)\n# ODD_KEY=\n" in sample
    assert dotenv.dotenv_values(stream=io.StringIO(sample)) == {}
    assert max(map(len, sample.splitlines())) <= 100
    assert "MAKER" not in sample


PROGRAM = """
import ragcore
print(ragcore.BindingOptions.generate_dot_env_sample())
"""


def test_the_base_has_a_sample_of_all_classes() -> None:
    """Those of plugins that nobody has asked for yet, too; a shared variable is there once."""
    done = subprocess.run(  # noqa: S603  # our own code
        [sys.executable, "-X", "utf8", "-c", PROGRAM],
        capture_output=True,
        encoding="utf-8",
        check=True,
    )
    names = [setting.partition("=")[0] for setting in _SETTING.findall(done.stdout)]

    assert len(set(names)) == len(names)
    assert {
        variable
        for group in installed()
        for variable in [field.variables[0] for field in group.fields() if field.variables]
    } <= set(names)


def test_the_sample_of_a_lightrag_class_sets_what_is_its_default() -> None:
    """Which the class tells but does not send until somebody sets it."""
    found = uncommented(EveryLightRAGOptions.generate_dot_env_sample())

    assert found["EVERY_LIGHT_TEMPERATURE"] == "1.0"
    assert found["EVERY_LIGHT_THINK"] == "true"
    assert found["EVERY_LIGHT_SEED"] == ""
    assert set(found) == {field.variables[0] for field in EveryLightRAGOptions.fields()}
    assert EveryOptions.generate_dot_env_sample().count("EVERY_REGION") == 1
