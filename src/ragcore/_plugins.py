"""
Finds plugins and keeps the broken ones from harming the others; the only user of pluggy's manager.

Each entry point of the group ``ragcore`` is loaded by itself, its hooks are called one by one, and
whatever goes wrong sets aside that plugin alone, with the reason and the cure.
"""

from __future__ import annotations

import difflib
import functools
import importlib.metadata
import inspect
import os
import re
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import Any, Literal, TypeVar

import attrs
import pluggy

from ragcore import _host_options, hookspecs
from ragcore._catalogue import SHIPPED
from ragcore._host_options import CALL_PARAMETERS, HOST_OPTIONS
from ragcore._records import Capabilities
from ragcore.errors import PluginError, UnknownProviderError, UnsupportedError
from ragcore.hookspecs import ENTRY_POINT_GROUP, CompletionProvider, EmbeddingProvider
from ragcore.options import BindingOptions

Task = Literal["completion", "embedding"]
Record = CompletionProvider | EmbeddingProvider
T = TypeVar("T")

ALLOW, DENY = "RAGCORE_PLUGINS", "RAGCORE_DISABLE_PLUGINS"


@attrs.frozen
class ProviderInfo:
    """
    An installed provider.

    Attributes:
        name: What stands before the colon in a reference.
        tasks: ``"completion"``, ``"embedding"`` or both.
        distribution: Name of the package that brings it.
        version: That package's version.
        capabilities: What its models can do at most, both tasks together.
        options: Its option classes, the connection's first.
    """

    name: str
    tasks: tuple[Task, ...]
    distribution: str
    version: str
    capabilities: Capabilities
    options: tuple[type[BindingOptions], ...]


@attrs.frozen
class BrokenPlugin:
    """A plugin, or one provider of it, that was set aside."""

    distribution: str
    entry_point: str
    reason: str
    cure: str

    def __str__(self) -> str:
        return f"{self.distribution} (entry point {self.entry_point!r}): {self.reason}. {self.cure}"


@attrs.frozen
class Installed:
    """What is installed: the providers that work, and what does not."""

    providers: tuple[ProviderInfo, ...]
    broken: tuple[BrokenPlugin, ...]


@attrs.frozen
class Source:
    """Where a plugin comes from: an entry point, without the work of loading it."""

    distribution: str
    version: str
    entry_point: str
    load: Callable[[], object]


@attrs.frozen
class _Claim:
    """A provider record and who brings it."""

    source: Source
    task: Task
    record: Record

    @property
    def names(self) -> tuple[str, ...]:
        return (self.record.name, *self.record.aliases)


class SetAside(Exception):  # noqa: N818  # not an error of anybody's: it carries the reason
    """Why a plugin can't be used, and what helps."""

    def __init__(self, reason: str, cure: str) -> None:
        super().__init__(reason)
        self.reason = reason.rstrip(".")
        self.cure = cure


# --- what is installed ----------------------------------------------------------------------


@attrs.frozen
class Registry:
    """All that was found, by task and name; aliases are names too."""

    claims: Mapping[tuple[Task, str], _Claim]
    option_groups: tuple[type[BindingOptions], ...]
    broken: tuple[BrokenPlugin, ...]
    broken_names: Mapping[str, BrokenPlugin]
    switched_off: tuple[str, ...]

    def completion_provider(self, name: str) -> CompletionProvider:
        """Find who completes under *name*, or raise what is wrong with it."""
        record = self._find("completion", name)
        assert isinstance(record, CompletionProvider)  # noqa: S101  # the key says so
        return record

    def embedding_provider(self, name: str) -> EmbeddingProvider:
        """Find who embeds under *name*, or raise what is wrong with it."""
        record = self._find("embedding", name)
        assert isinstance(record, EmbeddingProvider)  # noqa: S101  # the key says so
        return record

    def distribution_of(self, record: Record) -> str:
        """Return the name of the distribution that brings *record*."""
        return next(c.source.distribution for c in self.claims.values() if c.record is record)

    def installed(self) -> Installed:
        """Describe it for people."""
        by_name: dict[str, list[_Claim]] = {}
        for claim in dict.fromkeys(self.claims.values()):
            by_name.setdefault(claim.record.name, []).append(claim)
        infos = (_info(name, claims) for name, claims in sorted(by_name.items()))
        return Installed(tuple(infos), self.broken)

    def _find(self, task: Task, name: str) -> Record:
        if claim := self.claims.get((task, name)):
            return claim.record
        if broken := self.broken_names.get(name):
            raise PluginError(f"Provider {name!r} can't be used: {broken}")
        if any(known == name for _, known in self.claims):
            others = ", ".join(self._names(task)) or "none"
            raise UnsupportedError(
                f"Provider {name!r} has no {task} (installed with it: {others})."
            )
        raise UnknownProviderError(self._unknown(task, name))

    def _names(self, task: Task) -> list[str]:
        return sorted({c.record.name for (of, _), c in self.claims.items() if of == task})

    def _unknown(self, task: Task, name: str) -> str:
        names = self._names(task)
        message = f"No provider {name!r} (installed: {', '.join(names) or 'none'})."
        if name in SHIPPED:
            if SHIPPED[name] in self.switched_off:
                return f"{message} {SHIPPED[name]} is switched off by {ALLOW} or {DENY}."
            return f"{message} Install it: pip install {SHIPPED[name]}"
        if close := difflib.get_close_matches(name, {*names, *SHIPPED}, n=1):
            message += f" Did you mean {close[0]!r}?"
            if close[0] not in names and close[0] in SHIPPED:
                message += f" Install it: pip install {SHIPPED[close[0]]}"
        if self.broken:
            message += f" Set aside as broken: {', '.join(b.distribution for b in self.broken)}."
        return message


def _info(name: str, claims: list[_Claim]) -> ProviderInfo:
    source = claims[0].source
    capabilities = [claim.record.capabilities_of("") for claim in claims]
    groups = [g for c in claims for g in (c.record.connection, c.record.options)]
    return ProviderInfo(
        name=name,
        tasks=tuple(sorted(claim.task for claim in claims)),
        distribution=source.distribution,
        version=source.version,
        capabilities=functools.reduce(_either, capabilities),
        options=tuple(dict.fromkeys(groups)),
    )


def _either(one: Capabilities, other: Capabilities) -> Capabilities:
    names = [field.name for field in attrs.fields(Capabilities)]
    return Capabilities(**{n: getattr(one, n) or getattr(other, n) for n in names})


_HOST = Source("lightrag-core", "", "ragcore", lambda: _host_options)

_lock = threading.Lock()
_temporary: list[Source] = []


def registry() -> Registry:
    """Return what is installed; found once per process."""
    with _lock:
        return _registry()


@functools.cache
def _registry() -> Registry:
    return build([*_entry_points(), *_temporary], os.environ)


@contextmanager
def plugged(source: Source) -> Iterator[None]:
    """Have one more plugin for as long as the block runs."""
    _temporary.append(source)
    _registry.cache_clear()
    try:
        yield
    finally:
        _temporary.remove(source)
        _registry.cache_clear()


def _entry_points() -> Iterator[Source]:
    for entry_point in importlib.metadata.entry_points(group=ENTRY_POINT_GROUP):
        distribution = entry_point.dist
        yield Source(
            distribution=distribution.name if distribution else "unknown",
            version=distribution.version if distribution else "",
            entry_point=entry_point.name,
            load=entry_point.load,
        )


def _normalised(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def _listed(variable: str | None) -> set[str]:
    return {_normalised(name.strip()) for name in (variable or "").split(",") if name.strip()}


def _is_on(source: Source, environ: Mapping[str, str]) -> bool:
    name = _normalised(source.distribution)
    allowed = _listed(environ.get(ALLOW))
    return (not allowed or name in allowed) and name not in _listed(environ.get(DENY))


def build(sources: Iterable[Source], environ: Mapping[str, str]) -> Registry:
    """Load each of *sources* that *environ* does not switch off, and settle who owns which name."""
    manager = pluggy.PluginManager(ENTRY_POINT_GROUP)
    manager.add_hookspecs(hookspecs)
    sources = list(sources)
    on = [source for source in sources if _is_on(source, environ)]
    claims: list[_Claim] = []
    groups: list[type[BindingOptions]] = []
    broken: dict[BrokenPlugin, tuple[str, ...]] = {}
    for source in (_HOST, *on):
        try:
            found, more = _load(manager, source)
        except SetAside as exc:
            broken[_broken(source, exc)] = _names_of(source)
        else:
            claims += found
            groups += more
    claims, clashes = _settled(claims)
    broken |= clashes
    return Registry(
        claims={(claim.task, name): claim for claim in claims for name in claim.names},
        option_groups=tuple(groups),
        broken=tuple(broken),
        broken_names={name: plugin for plugin, names in broken.items() for name in names},
        switched_off=tuple(_normalised(s.distribution) for s in sources if s not in on),
    )


def _broken(source: Source, why: SetAside) -> BrokenPlugin:
    return BrokenPlugin(source.distribution, source.entry_point, why.reason, why.cure)


def _names_of(source: Source) -> tuple[str, ...]:
    """Return what a plugin that can't be asked probably provides."""
    name = _normalised(source.distribution)
    shipped = [provider for provider, owner in SHIPPED.items() if owner == name]
    own = [] if SHIPPED.get(source.entry_point, name) != name else [source.entry_point]
    return (*own, *shipped)


# --- one plugin -----------------------------------------------------------------------------


def _load(
    manager: pluggy.PluginManager, source: Source
) -> tuple[list[_Claim], list[type[BindingOptions]]]:
    cure = f"Upgrade or uninstall it: pip install --upgrade {source.distribution}"
    plugin = run_foreign(source.load, cure)
    _check_functions(plugin, source)
    # pluggy keys plugins by name, and an entry point's name need not be unique.
    name = f"{source.distribution}/{source.entry_point}"
    try:
        run_foreign(lambda: _register(manager, plugin, name), cure)
        return _ask(manager, plugin, source, cure)
    except SetAside:
        if manager.has_plugin(name):
            manager.unregister(name=name)
        raise


def _register(manager: pluggy.PluginManager, plugin: object, name: str) -> None:
    manager.register(plugin, name=name)
    manager.check_pending()


def run_foreign(call: Callable[[], T], cure: str) -> T:
    """
    Run other people's code, of which anything can be expected.

    Raises:
        SetAside: It raised, or tried to end the process.
    """
    try:
        return call()
    except (Exception, SystemExit) as exc:
        reason = str(exc) or "no message"
        raise SetAside(f"{type(exc).__name__}: {reason}", cure) from exc


def _check_functions(plugin: object, source: Source) -> None:
    """Refuse by name what pluggy would silently ignore, or call and get nothing from."""
    found = 0
    for name in dir(plugin):
        function = getattr(plugin, name, None)
        if not name.startswith("ragcore_") or not callable(function):
            continue
        if hasattr(function, "ragcore_spec"):
            continue
        marks = getattr(function, "ragcore_impl", None)
        ask = f"Ask the authors of {source.distribution} to mend it"
        if marks is None:
            raise SetAside(f"{name} lacks @ragcore.hookimpl", ask)
        if inspect.iscoroutinefunction(function) or inspect.isasyncgenfunction(function):
            raise SetAside(f"{name} is async; hooks are plain functions", ask)
        if marks.get("wrapper") or marks.get("hookwrapper"):
            raise SetAside(f"{name} is a wrapper; hooks are called one by one", ask)
        found += 1
    if not found:
        raise SetAside(
            "it implements no hook",
            f"Ask the authors of {source.distribution}: ragcore/hookspecs.py lists the hooks",
        )


def _ask(
    manager: pluggy.PluginManager, plugin: object, source: Source, cure: str
) -> tuple[list[_Claim], list[type[BindingOptions]]]:
    def results(hook: str) -> list[Any]:
        own = (i for i in getattr(manager.hook, hook).get_hookimpls() if i.plugin is plugin)
        lists = [run_foreign(partial(_listed_results, impl.function), cure) for impl in own]
        return [result for results in lists for result in results]

    claims = [
        _claim(source, "completion", CompletionProvider, record)
        for record in results("ragcore_completion_providers")
    ] + [
        _claim(source, "embedding", EmbeddingProvider, record)
        for record in results("ragcore_embedding_providers")
    ]
    groups = results("ragcore_options")
    for group in groups:
        if not (isinstance(group, type) and issubclass(group, BindingOptions)):
            raise SetAside(f"ragcore_options returned {group!r}, no BindingOptions class", cure)
    counts = Counter((claim.task, name) for claim in claims for name in claim.names)
    for (task, name), count in counts.items():
        if count > 1:
            raise SetAside(f"it brings two {task} providers named {name!r}", cure)
    return claims, groups


def _listed_results(function: Callable[[], Iterable[Any]]) -> list[Any]:
    # A generator does its work, and fails, only when it is read.
    return list(function())


def _claim(source: Source, task: Task, kind: type[Record], record: object) -> _Claim:
    cure = f"Ask the authors of {source.distribution} to mend it"
    if not isinstance(record, kind):
        raise SetAside(f"ragcore_{task}_providers returned {record!r}, no {kind.__name__}", cure)
    run_foreign(lambda: record.capabilities_of(""), cure)
    groups = dict.fromkeys((*HOST_OPTIONS, record.connection, record.options))
    owners = dict.fromkeys(CALL_PARAMETERS, "the host")
    for group in groups:
        for field in run_foreign(group.fields, cure):
            if owners.setdefault(field.name, field.binding) != field.binding:
                raise SetAside(
                    f"option {field.name!r} of provider {record.name!r} is declared twice, "
                    f"by {owners[field.name]} and by {field.binding}",
                    cure,
                )
    return _Claim(source, task, record)


# --- names claimed twice --------------------------------------------------------------------


def _settled(
    claims: list[_Claim],
) -> tuple[list[_Claim], dict[BrokenPlugin, tuple[str, ...]]]:
    """Keep the claims that stand, and say of the others why they don't."""
    owners: dict[str, set[str]] = {}
    for claim in claims:
        for name in claim.names:
            owners.setdefault(name, set()).add(_normalised(claim.source.distribution))
    standing: list[_Claim] = []
    set_aside: dict[BrokenPlugin, tuple[str, ...]] = {}
    for claim in claims:
        why = _contested(claim, owners)
        if why is None:
            standing.append(claim)
        else:
            set_aside[_broken(claim.source, why)] = claim.names
    taken = {name for claim in standing for name in claim.names}
    return standing, {
        plugin: tuple(name for name in names if name not in taken)
        for plugin, names in set_aside.items()
    }


def _contested(claim: _Claim, owners: Mapping[str, set[str]]) -> SetAside | None:
    own = _normalised(claim.source.distribution)
    for name in claim.names:
        if owner := SHIPPED.get(name):
            if owner != own:
                return SetAside(
                    f"it claims the provider name {name!r}, which belongs to {owner}",
                    f"Uninstall it, or set {DENY}={claim.source.distribution}",
                )
        elif others := owners[name] - {own}:
            rivals = ", ".join(sorted(others))
            return SetAside(
                f"the provider name {name!r} is claimed by {rivals} too",
                f"Set {DENY} to the one you don't want, or {ALLOW} to all that you do",
            )
    return None
