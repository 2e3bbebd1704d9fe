"""
Option classes with every type that an option can have, and values for them.

``RAGCORE_EXAMPLES=10000`` makes each property of options take so many examples instead of 200.
"""

from __future__ import annotations

import argparse
import enum
import json
import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Dict, List, Literal, Optional, Tuple, Union  # noqa: UP035

from hypothesis import settings
from hypothesis import strategies as st

from ragcore import BindingOptions, OptionsError, Secret, option
from ragcore.options import OptionField

thorough = settings(max_examples=int(os.environ.get("RAGCORE_EXAMPLES", "200")))


class Mode(enum.Enum):
    FAST = "fast"
    SLOW = "slow"


class Size(enum.IntEnum):
    ONE = 1
    TWO = 2


class EveryOptions(BindingOptions, binding="every"):
    """Written in our style."""

    flag: bool | None = option("Yes or no.", default=None)
    count: int | None = option("How many.", default=None, scope="call")
    workers: int = option("At least one.", default=4, minimum=1, maximum=64)
    rate: float | None = option("Any number.", default=None)
    share: float | None = option("100 % is 1.", default=None, minimum=0, maximum=1)
    name: str | None = option("Any text.", default=None)
    region: str | None = option("Where.", default=None, env=("EVERY_REGION", "EVERY_AREA"))
    level: Literal["low", "high"] | None = option("How much.", default=None)
    dtype: Literal["auto", "float32", 16] = option("Numbers.", default="auto")
    mode: Mode = option("An enumeration.", default=Mode.FAST)
    size: Size | None = option("One of numbers.", default=None)
    think: bool | Literal["low", "high"] | None = option("First?", default=None)
    keep: float | str | None = option("Seconds, or words.", default=None)
    late: str | float | None = option("Words, or seconds.", default=None)
    either: int | bool | None = option("A number, or not.", default=None)
    stop: list[str] | None = option("Where to stop.", default=None, scope="call")
    sizes: tuple[int, ...] | None = option("Sizes.", default=None)
    names: Sequence[str] | None = option("Names.", default=None)
    levels: list[Literal["low", "high"]] | None = option("Levels.", default=None)
    gaps: list[int | None] | None = option("Some are missing.", default=None)
    table: list[list[float]] | None = option("Rows.", default=None)
    anything: list | None = option("A bare list.", default=None)  # type: ignore[type-arg]
    extra: dict[str, Any] | None = option("Anything.", default=None)
    headers: dict[str, str] | None = option("Headers.", default=None)
    bare: dict | None = option("A bare dict.", default=None)  # type: ignore[type-arg]
    folder: Path | None = option("Where.", default=None)
    key: Secret | None = option("Key.", default=None, secret=True)
    plain: int | None = None


@dataclass
class _Sampling:
    temperature: float = 1.0
    top_k: int = 40
    stop: List[str] = field(default_factory=list)  # noqa: UP006
    _help: ClassVar[dict[str, str]] = {"temperature": "0 to 200 %", "stop": "Where to stop."}


@dataclass
class EveryLightRAGOptions(_Sampling, BindingOptions):  # type: ignore[misc]  # to be frozen, too
    """Written as LightRAG's are."""

    think: Union[bool, Literal["low", "high"]] = True  # noqa: UP007
    numa: bool = False
    name: str = ""
    seed: int = None  # type: ignore[assignment]  # as LightRAG writes it
    most: Optional[int] = None  # noqa: UP045
    folder: Optional[Path] = None  # noqa: UP045
    key: Optional[Secret] = None  # noqa: UP045
    sizes: Tuple[int, ...] = ()  # noqa: UP006
    headers: Dict[str, str] = field(default_factory=dict)  # noqa: UP006
    extra_body: dict = None  # type: ignore[type-arg, assignment]  # as LightRAG writes it

    _binding_name: ClassVar[str] = "every_light"


BOTH: list[type[BindingOptions]] = [EveryOptions, EveryLightRAGOptions]

# --- valid values --------------------------------------------------------------------------

# Neither an environment nor a command line can hold other texts.
TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1)
# What sets an option, right or wrong; null does not, where JSON is wanted.
SETTING = TEXT.filter(lambda text: text.strip() != "null")
WHOLE = st.integers(-(2**64), 2**64)
NUMBER = st.floats(allow_nan=False, allow_infinity=False)
JSON = st.recursive(
    st.none() | st.booleans() | WHOLE | NUMBER | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=5,
)
LEVEL = st.sampled_from(["low", "high"])


def _reads_as_number(text: str) -> bool:
    try:
        return math.isfinite(float(text))
    except ValueError:
        return False


NO_NUMBER = TEXT.filter(lambda text: not _reads_as_number(text))

_OURS: dict[str, st.SearchStrategy[Any]] = {
    "flag": st.booleans(),
    "count": WHOLE,
    "workers": st.integers(1, 64),
    "rate": NUMBER,
    "share": st.floats(0, 1),
    "name": TEXT,
    "region": TEXT,
    "level": LEVEL,
    "dtype": st.sampled_from(["auto", "float32", 16]),
    "mode": st.sampled_from(Mode),
    "size": st.sampled_from(Size),
    "think": st.booleans() | LEVEL,
    "keep": NUMBER | NO_NUMBER,
    "late": NUMBER | NO_NUMBER,
    "either": WHOLE | st.booleans(),
    "stop": st.lists(TEXT),
    "sizes": st.lists(WHOLE).map(tuple),
    "names": st.lists(TEXT).map(tuple),
    "levels": st.lists(LEVEL),
    "gaps": st.lists(WHOLE | st.none()),
    "table": st.lists(st.lists(NUMBER, max_size=3), max_size=3),
    "anything": st.lists(JSON, max_size=3),
    "extra": st.dictionaries(TEXT, JSON, max_size=3),
    "headers": st.dictionaries(TEXT, TEXT),
    "bare": st.dictionaries(TEXT, JSON, max_size=3),
    "folder": TEXT.map(Path),
    "key": TEXT.map(Secret),
    "plain": WHOLE,
}
_LIGHTRAGS: dict[str, st.SearchStrategy[Any]] = {
    "temperature": NUMBER,
    "top_k": WHOLE,
    "stop": st.lists(TEXT),
    "think": st.booleans() | LEVEL,
    "numa": st.booleans(),
    "name": TEXT,
    "seed": WHOLE,
    "most": WHOLE,
    "folder": TEXT.map(Path),
    "key": TEXT.map(Secret),
    "sizes": st.lists(WHOLE).map(tuple),
    "headers": st.dictionaries(TEXT, TEXT),
    "extra_body": st.dictionaries(TEXT, JSON, max_size=3),
}
VALUES: dict[type[BindingOptions], dict[str, st.SearchStrategy[Any]]] = {
    EveryOptions: _OURS,
    EveryLightRAGOptions: _LIGHTRAGS,
}


def valid(group: type[BindingOptions]) -> st.SearchStrategy[dict[str, Any]]:
    """Some options of *group*, with values that have their types."""
    return st.fixed_dictionaries({}, optional=VALUES[group])


def one_valid(group: type[BindingOptions]) -> st.SearchStrategy[tuple[str, Any]]:
    """One option of *group*, each as likely, with a value."""
    pairs = [st.tuples(st.just(name), values) for name, values in VALUES[group].items()]
    return st.one_of(pairs)


def written(value: Any) -> str:
    """Return how one writes *value* into an environment."""
    if isinstance(value, Secret):
        return value.get()
    if isinstance(value, enum.Enum):
        return str(value.value)
    return json.dumps(value) if isinstance(value, list | tuple | dict) else str(value)


def typed(value: Any) -> Any:
    """Return *value* so that only what has the same types inside is equal to it."""
    match value:
        case list() | tuple():
            return type(value), [typed(one) for one in value]
        case dict():
            return dict, {key: typed(one) for key, one in value.items()}
        case _:
            return type(value), value


# --- what is written where -----------------------------------------------------------------


def variable_of(group: type[BindingOptions], name: str) -> str:
    """Return the standard variable of an option."""
    return field_of(group, name).variables[0]


def field_of(group: type[BindingOptions], name: str) -> OptionField:
    """Return an option as it was declared."""
    return next(one for one in group.fields() if one.name == name)


def environment(group: type[BindingOptions], texts: Mapping[str, str]) -> dict[str, str]:
    """Return *texts*, by name of the option, as variables."""
    return {variable_of(group, name): text for name, text in texts.items()}


def parsed(*groups: type[BindingOptions], argv: Sequence[str] = ()) -> argparse.Namespace:
    """Return what a parser with the flags of *groups* makes of *argv*."""
    parser = argparse.ArgumentParser(prog="acme", exit_on_error=False)
    for group in groups:
        group.add_args(parser)
    return parser.parse_args(list(argv))


def problems_of(error: OptionsError) -> list[str]:
    """Return what is wrong, one line each, none twice."""
    assert str(error) == "\n".join(error.problems)
    assert len(set(error.problems)) == len(error.problems)
    assert not [problem for problem in error.problems if len(problem.splitlines()) != 1]
    return list(error.problems)
