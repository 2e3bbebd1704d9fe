"""Environment variables that nobody reads, and that look like one that somebody does."""

from __future__ import annotations

import functools
import logging
import os
from collections.abc import Iterable

from ragcore._discovery.loading import registry
from ragcore._discovery.sources import ALLOW, DENY
from ragcore.options import BindingOptions, nearest

_log = logging.getLogger("ragcore")

# Of 0 to 1, tried on the variables of LightRAG and of the SDKs: none of theirs is taken for ours.
_LIKE = 0.88
# Where the first word, which says whose the variable is, is another one.
_MUCH_ALIKE, _SHORTEST_WORD = 0.95, 5

_told: set[str] = set()


def misspelt(
    names: Iterable[str], groups: Iterable[type[BindingOptions]] = (), roles: Iterable[str] = ()
) -> dict[str, str]:
    """
    Return which of *names* are probably meant for an option, and what that one's variable is.

    Args:
        names: Of variables that are set.
        groups: Options beside those of plugins and of the host.
        roles: Those that have variables of their own, as in EXTRACT_LLM_MODEL.
    """
    known = _variables([*_installed(), *groups])
    known |= {f"{role.upper()}_{name}" for role in roles for name in known}
    by_word: dict[str, list[str]] = {}
    for name in known:
        by_word.setdefault(_first_word(name), []).append(name)
    found = {name: _meant(name, by_word) for name in names if name not in known}
    return {name: meant for name, meant in found.items() if meant is not None}


def tell_misspelt(
    names: Iterable[str], groups: Iterable[type[BindingOptions]] = (), roles: Iterable[str] = ()
) -> None:
    """Log what :func:`misspelt` finds, each variable once in the life of the process."""
    for name, meant in misspelt(names, groups, roles).items():
        if name not in _told:
            _told.add(name)
            _log.warning("%s", in_words(name, meant))


def in_words(name: str, meant: str) -> str:
    """Say that *name* was probably to be *meant*."""
    return f"{name} is set, and nothing reads it: did you mean {meant}?"


@functools.cache
def tell_misspelt_once() -> None:
    """Log what is misspelt in the process's environment, the first time that this is called."""
    tell_misspelt(os.environ)


def _installed() -> Iterable[type[BindingOptions]]:
    found = registry()
    records = [claim.record for claim in found.claims.values()]
    return (*found.option_groups, *(g for one in records for g in (one.connection, one.options)))


def _variables(groups: Iterable[type[BindingOptions]]) -> set[str]:
    fields = [field for group in dict.fromkeys(groups) for field in group.fields()]
    names = {name for field in fields for name in (*field.variables, field.role_env) if name}
    return names | {ALLOW, DENY}


def _first_word(name: str) -> str:
    return name.partition("_")[0]


def _meant(name: str, by_word: dict[str, list[str]]) -> str | None:
    word, likeness = _first_word(name), _LIKE
    if word not in by_word:
        word = nearest(word, by_word, _LIKE) or "" if len(word) >= _SHORTEST_WORD else ""
        likeness = _MUCH_ALIKE
    meant = nearest(name, by_word.get(word, ()), likeness)
    return meant if meant and not _differ_by_words(name, meant) else None


def _differ_by_words(one: str, other: str) -> bool:
    """Whether whole words make the difference, as in ANTHROPIC_AWS_BASE_URL, or TOP_K and TOP_P."""
    words, others = set(one.split("_")), set(other.split("_"))
    return words < others or others < words or any(len(word) == 1 for word in words ^ others)
