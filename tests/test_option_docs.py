"""
The pages about options, and the sample of a ``.env``, say what the classes say.

After a change of options write them anew with
``RAGCORE_WRITE_DOCS=1 nox -s tests -- tests/test_option_docs.py``.
"""

from __future__ import annotations

import io
import os
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

import attrs
import dotenv
import pytest

from ragcore import BindingOptions
from ragcore._discovery.loading import registry
from ragcore.cli._groups import all_groups, host_groups
from ragcore.options import OptionField, Sources, read
from ragcore.options._declaration import summary_of
from ragcore.options._sample import sample
from ragcore.options._types import describe

Group = type[BindingOptions]

REFERENCE = Path(__file__).parents[1] / "docs/reference"
HEAD = """\
# Options of {distribution}

A keyword beats the environment of a role (`EXTRACT_…`), which beats a flag, which beats the
environment, which beats the default. A default is what holds where nothing is set, at the service
or here; it is not sent. `call`: may be set for a single call, too. Flags are understood in
LightRAG's spelling as well: `--openai-llm-top_p`.

All of it as a file: [{distribution}.env](../env/{distribution}.env). Written by
`tests/test_option_docs.py` out of the option classes.
"""
COLUMNS = ("option", "type and range", "default", "variables", "flag", "scope", "what it says")


def by_distribution() -> dict[str, list[Group]]:
    """Return the option classes of the host and of each plugin of ours."""
    claims = registry().claims.values()
    # Plugins can register groups beside the host's.
    own = [group for group in host_groups() if group.__module__.startswith("ragcore.")]
    brings: dict[str, list[Group]] = {"lightrag-core": own}
    for name in dict.fromkeys(claim.record.name for claim in claims):
        for claim in claims:
            if claim.record.name == name:
                groups = brings.setdefault(claim.source.distribution, [])
                groups += [claim.record.connection, claim.record.options]
    known = all_groups()
    return {
        distribution: [group for group in dict.fromkeys(groups) if group in known]
        for distribution, groups in brings.items()
        if distribution.startswith("lightrag-")
    }


GROUPS = by_distribution()
every_distribution = pytest.mark.parametrize("distribution", sorted(GROUPS))


# --- pages ---------------------------------------------------------------------------------


def page(distribution: str, groups: Iterable[Group]) -> str:
    """Return the page about *groups*; those with the same options share a section."""
    sections: dict[object, list[Group]] = {}
    for group in groups:
        sections.setdefault(_likeness(group), []).append(group)
    parts = [HEAD.format(distribution=distribution), *map(_section, sections.values())]
    return "\n".join(parts)


def _likeness(group: Group) -> object:
    likes = [
        attrs.evolve(field, binding="", variables=_relative(group, field.variables))
        for field in group.fields()
    ]
    return repr(likes)


def _relative(group: Group, names: Iterable[str]) -> tuple[str, ...]:
    prefix = f"{group.binding()}_".upper()
    return tuple(re.sub(f"^{re.escape(prefix)}", "…_", name) for name in names)


def _section(groups: list[Group]) -> str:
    group = groups[0]
    fields = group.fields()
    told = [_option(field) for field in fields if field.variables]
    keywords = [_keyword(field) for field in fields if not field.variables]
    parts = [
        f"## {_code(one.binding() for one in groups)}",
        _about(groups),
        f"Of {_code(group.any_of())} one at least is needed." if group.any_of() else "",
        "\n".join([_row(COLUMNS), _row("---" for _ in COLUMNS), *told]),
        "Keyword arguments only:" if keywords else "",
        "\n".join(keywords),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _about(groups: list[Group]) -> str:
    group = groups[0]
    if len(groups) == 1:
        return f"`{group.__module__.split('.')[0]}.{group.__name__}`: {summary_of(group)}"
    return (
        "Each has the same options under its own name; variables and flags are those of "
        f"`{group.binding()}` here."
    )


def _option(field: OptionField) -> str:
    flag = f"`{field.flags[-1]}`"
    default = field.unset.removeprefix("default: ")
    words = (f"`{field.name}`", field.wanted, default, _code(field.variables), flag, field.scope)
    return _row((*words, field.help))


def _keyword(field: OptionField) -> str:
    role = f"for a role: `EXTRACT_{field.role_env}`" if field.role_env else ""
    about = "; ".join(filter(None, (describe(field.type), field.unset, role)))
    return f"- `{field.name}` ({about}): {field.help}"


def _code(words: Iterable[str]) -> str:
    return ", ".join(f"`{word}`" for word in words)


def _row(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"


@every_distribution
def test_the_page_says_what_the_classes_say(distribution: str) -> None:
    """Every option with its names, its type and what it is for; written here if asked for."""
    said = kept(REFERENCE / f"options/{distribution}.md", page(distribution, GROUPS[distribution]))

    assert said == page(distribution, GROUPS[distribution])


@every_distribution
def test_the_sample_says_what_the_classes_say(distribution: str) -> None:
    """Each variable once; written here if asked for."""
    said = kept(REFERENCE / f"env/{distribution}.env", sample(GROUPS[distribution]))

    assert said == sample(GROUPS[distribution])


def kept(path: Path, made: str) -> str:
    """Return what the file says, after writing it if that is asked for."""
    if os.environ.get("RAGCORE_WRITE_DOCS"):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(made, "utf-8")
    return path.read_text("utf-8")


def test_there_is_a_page_for_each_distribution_and_no_other() -> None:
    """Nothing of ours is left out, and nothing is there that is no more."""
    pages = {path.stem for path in (REFERENCE / "options").glob("*.md")}
    samples = {path.stem for path in (REFERENCE / "env").glob("*.env")}

    assert pages == samples == set(GROUPS)
    assert len(GROUPS) == 7


def test_no_option_is_without_help() -> None:
    """One sentence each, that does not say again what is said for it."""
    helps = {
        field.where: field.help
        for groups in GROUPS.values()
        for group in groups
        for field in group.fields()
    }

    assert [where for where, text in helps.items() if not text.endswith(".")] == []
    assert [where for where, text in helps.items() if "unset" in text] == []


# --- samples -------------------------------------------------------------------------------

ASSIGNMENT = re.compile(r"^# (?=[A-Z0-9_]+=)", re.MULTILINE)


def golden(distribution: str) -> str:
    """Return the sample as it is in the docs."""
    return (REFERENCE / f"env/{distribution}.env").read_text("utf-8")


def parsed(text: str) -> dict[str, str | None]:
    """Return what python-dotenv reads; it reads nothing of the environment."""
    return dotenv.dotenv_values(stream=io.StringIO(text), interpolate=True)


def uncommented(text: str) -> Iterator[str]:
    """Yield *text* with one assignment each that is none any more a comment."""
    for match in ASSIGNMENT.finditer(text):
        yield text[: match.start()] + text[match.end() :]


def holding(groups: Iterable[Group], variables: dict[str, str | None]) -> list[dict[str, object]]:
    """Return the values of all options, where *variables* are all that is set."""
    texts = {name: text or "" for name, text in variables.items()}
    sources = Sources(environ={}, dotenv=texts)
    return [_values(group, sources) for group in groups]


def _values(group: Group, sources: Sources) -> dict[str, object]:
    needed = [field.name for field in group.fields() if field.required]
    keywords = dict.fromkeys([*needed, *group.any_of()[:1]], "https://sample")
    [made] = read([group], keywords, sources=sources)
    return {field.name: getattr(made, field.name) for field in group.fields()}


@every_distribution
def test_the_sample_sets_nothing_as_it_is(distribution: str) -> None:
    """All of it is comments."""
    assert parsed(golden(distribution)) == {}


@every_distribution
def test_each_line_of_the_sample_sets_what_holds_anyway(distribution: str) -> None:
    """One at a time, by python-dotenv and by ragcore."""
    groups = GROUPS[distribution]
    before = holding(groups, {})
    found = [parsed(text) for text in uncommented(golden(distribution))]
    variables = {field.variables[0] for g in groups for field in g.fields() if field.variables}

    assert {name for one in found for name in one} == variables
    assert [len(one) for one in found] == [1] * len(found)
    for one in found:
        assert holding(groups, one) == before


@every_distribution
def test_all_lines_of_the_sample_together_set_what_holds_anyway(distribution: str) -> None:
    """As somebody has it who takes off every comment."""
    groups = GROUPS[distribution]
    every = parsed(ASSIGNMENT.sub("", golden(distribution)))

    assert len(every) == len(list(uncommented(golden(distribution))))
    assert holding(groups, every) == holding(groups, {})
