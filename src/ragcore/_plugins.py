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
from types import ModuleType
from typing import Any, Literal, NoReturn, TypeVar

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
        if name in SHIPPED and SHIPPED[name] not in self.switched_off:
            return f"{message} Install it: pip install {SHIPPED[name]}"
        if self.switched_off:
            message += f" Switched off by {ALLOW} or {DENY}: {', '.join(self.switched_off)}."
        if name in SHIPPED:
            return message
        if close := difflib.get_close_matches(name, {*names, *SHIPPED}, n=1):
            message += f" Did you mean {close[0]!r}?"
            if close[0] not in names and close[0] in SHIPPED:
                message += f" Install it: pip install {SHIPPED[close[0]]}"
        if self.broken:
            message += f" Set aside as broken: {'; '.join(map(str, self.broken))}"
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

_lock = threading.RLock()
_loading = threading.local()
_temporary: list[Source] = []


def _start_afresh() -> None:
    # A forked child has its parent's lock, and not the thread that would release it.
    global _lock  # noqa: PLW0603
    _lock = threading.RLock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_start_afresh)


def registry() -> Registry:
    """Return what is installed; found once per process."""
    with _lock:
        # A plugin that asks here would load itself again, and again.
        if getattr(_loading, "under_way", False):
            raise PluginError("A plugin asked for providers while plugins were being loaded.")
        return _registry()


@functools.cache
def _registry() -> Registry:
    _loading.under_way = True
    try:
        # Of one name the latest: a test may replace what its fixture plugged in.
        temporary = {(source.distribution, source.entry_point): source for source in _temporary}
        return build([*_entry_points(), *temporary.values()], os.environ)
    finally:
        _loading.under_way = False


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
    try:
        found = list(importlib.metadata.entry_points(group=ENTRY_POINT_GROUP))
    except Exception:  # noqa: BLE001  # one unreadable entry_points.txt, and none can be listed
        yield from _one_by_one()
        return
    for entry_point in found:
        yield _source(entry_point, entry_point.dist)


def _one_by_one() -> Iterator[Source]:
    seen = set()
    for distribution in importlib.metadata.distributions():
        name = _normalised(_name_of(distribution))
        if name in seen:
            continue
        seen.add(name)
        try:
            for entry_point in distribution.entry_points.select(group=ENTRY_POINT_GROUP):
                yield _source(entry_point, distribution)
        except Exception as exc:  # noqa: BLE001  # what importlib raises here it does not document
            yield Source(_name_of(distribution), "", "entry_points.txt", partial(_unreadable, exc))


def _unreadable(exc: Exception) -> NoReturn:
    raise ValueError("its entry_points.txt can't be read") from exc


def _name_of(distribution: importlib.metadata.Distribution | None) -> str:
    # A distribution whose METADATA is gone has no name, whatever its annotation says.
    return (distribution and distribution.metadata["Name"]) or "unknown"


def _source(
    entry_point: importlib.metadata.EntryPoint, distribution: importlib.metadata.Distribution | None
) -> Source:
    version = distribution and distribution.metadata["Version"]
    return Source(_name_of(distribution), version or "", entry_point.name, entry_point.load)


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
    manager = _Manager(ENTRY_POINT_GROUP)
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
            broken[_broken(source, exc)] = _probable_names(source)
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


def _probable_names(source: Source) -> tuple[str, ...]:
    """Return what a plugin that can't be asked probably provides."""
    name = _normalised(source.distribution)
    shipped = [provider for provider, owner in SHIPPED.items() if owner == name]
    likely = (source.entry_point, name, re.sub("^(ragcore|lightrag)-", "", name))
    return (*(own for own in likely if SHIPPED.get(own, name) == name), *shipped)


# --- one plugin -----------------------------------------------------------------------------


def _load(
    manager: pluggy.PluginManager, source: Source
) -> tuple[list[_Claim], list[type[BindingOptions]]]:
    cure = f"Upgrade or uninstall it: pip install --upgrade {source.distribution}"
    # pluggy keys plugins by name, and an entry point's name need not be unique.
    name = f"{source.distribution}/{source.entry_point}"
    plugin = run_foreign(source.load, cure)
    if other := manager.get_name(plugin):
        if other.startswith(f"{source.distribution}/"):
            # One module behind two entry points has said all it has to say.
            return [], []
        raise SetAside(f"its module is that of {other.split('/')[0]}", cure)
    try:
        return run_foreign(lambda: _registered(manager, plugin, source, name), cure)
    except SetAside:
        if manager.get_plugin(name) is plugin:
            manager.unregister(name=name)
        raise


def _registered(
    manager: pluggy.PluginManager, plugin: object, source: Source, name: str
) -> tuple[list[_Claim], list[type[BindingOptions]]]:
    _check_functions(plugin, source)
    manager.register(plugin, name=name)
    manager.check_pending()
    return _ask(manager, plugin, source)


def run_foreign(call: Callable[[], T], cure: str, doing: str = "") -> T:
    """
    Run other people's code, of which anything can be expected.

    Raises:
        SetAside: It raised, or tried to end the process; the reason begins with *doing*.
    """
    try:
        return call()
    except (SetAside, KeyboardInterrupt):
        raise
    except BaseException as exc:  # extension modules panic with classes of their own
        raise SetAside(f"{doing}{type(exc).__name__}: {_text_of(exc)}", cure) from exc


def _text_of(exc: BaseException) -> str:
    try:
        return str(exc) or "no message"
    except Exception:  # noqa: BLE001  # a broken __str__ must not hide who is broken
        return "its message can't be shown"


class _Manager(pluggy.PluginManager):
    """Looks at what a module defines, not at what it would import if it were asked for."""

    def parse_hookimpl_opts(self, plugin: object, name: str) -> pluggy.HookimplOpts | None:
        return super().parse_hookimpl_opts(plugin, name) if name in _names_in(plugin) else None


def _names_in(plugin: object) -> Iterable[str]:
    # Names that a module serves by __getattr__ may be listed by its __dir__, and cost an SDK.
    return vars(plugin) if isinstance(plugin, ModuleType) else dir(plugin)


_HOOKS = [name for name, hook in vars(hookspecs).items() if hasattr(hook, "ragcore_spec")]


def _check_functions(plugin: object, source: Source) -> None:
    """Refuse by name what pluggy would silently ignore, or call and get nothing from."""
    mend = f"Ask the authors of {source.distribution} to mend it"
    found = [
        name for name in _names_in(plugin) if _is_hook(name, getattr(plugin, name, None), mend)
    ]
    if not found:
        raise SetAside(f"it implements no hook; there are {', '.join(_HOOKS)}", mend)


def _is_hook(name: str, function: object, mend: str) -> bool:
    marks = getattr(function, f"{ENTRY_POINT_GROUP}_impl", None)
    if not isinstance(marks, dict):
        unmarked = name.startswith("ragcore_") and inspect.isroutine(function)
        if unmarked and not hasattr(function, f"{ENTRY_POINT_GROUP}_spec"):
            raise SetAside(f"{name} lacks @ragcore.hookimpl", mend)
        return False
    hook = marks.get("specname") or name
    if hook not in _HOOKS and not marks.get("optionalhook"):
        close = difflib.get_close_matches(hook, _HOOKS, n=1, cutoff=0)
        raise SetAside(f"{hook} is no hook of ragcore; did its authors mean {close[0]}?", mend)
    if inspect.iscoroutinefunction(function) or inspect.isasyncgenfunction(function):
        raise SetAside(f"{name} is async; hooks are plain functions", mend)
    if marks.get("wrapper") or marks.get("hookwrapper"):
        raise SetAside(f"{name} is a wrapper; hooks are called one by one", mend)
    return hook in _HOOKS


def _ask(
    manager: pluggy.PluginManager, plugin: object, source: Source
) -> tuple[list[_Claim], list[type[BindingOptions]]]:
    mend = f"Upgrade or uninstall it: pip install --upgrade {source.distribution}"

    def results(hook: str) -> list[Any]:
        own = (i for i in getattr(manager.hook, hook).get_hookimpls() if i.plugin is plugin)
        lists = [
            run_foreign(partial(_listed_results, impl.function), mend, f"{hook} failed: ")
            for impl in own
        ]
        return [result for results in lists for result in results]

    claims = [
        _claim(source, "completion", CompletionProvider, record)
        for record in results("ragcore_completion_providers")
    ] + [
        _claim(source, "embedding", EmbeddingProvider, record)
        for record in results("ragcore_embedding_providers")
    ]
    groups = [_group(source, group) for group in results("ragcore_options")]
    return claims, groups


def _listed_results(function: Callable[[], Iterable[Any]]) -> list[Any]:
    # A generator does its work, and fails, only when it is read.
    return list(function())


def _group(source: Source, group: object) -> type[BindingOptions]:
    cure = f"Ask the authors of {source.distribution} to mend it"
    if not (isinstance(group, type) and issubclass(group, BindingOptions)):
        raise SetAside(f"ragcore_options returned {_a(group)}, no BindingOptions class", cure)
    run_foreign(group.fields, cure, f"options {group.__name__}: ")
    return group


def _a(thing: object) -> str:
    # Not its repr: that is other people's code, too.
    return f"a {type(thing).__name__}"


def _claim(source: Source, task: Task, kind: type[Record], record: object) -> _Claim:
    cure = f"Ask the authors of {source.distribution} to mend it"
    if not isinstance(record, kind):
        raise SetAside(f"ragcore_{task}_providers returned {_a(record)}, no {kind.__name__}", cure)
    capabilities = run_foreign(lambda: record.capabilities_of(""), cure, "capabilities: ")
    if not isinstance(capabilities, Capabilities):
        raise SetAside(f"capabilities returned {_a(capabilities)}, no Capabilities", cure)
    owners = dict.fromkeys(CALL_PARAMETERS, "the host")
    owners |= {field.name: "the host" for group in HOST_OPTIONS for field in group.fields()}
    for group in dict.fromkeys((record.connection, record.options)):
        for field in run_foreign(group.fields, cure, f"options {group.__name__}: "):
            if owners.setdefault(field.name, group.__name__) != group.__name__:
                raise SetAside(
                    f"option {field.name!r} of provider {record.name!r} is declared twice, "
                    f"by {owners[field.name]} and by {group.__name__}",
                    cure,
                )
    return _Claim(source, task, record)


# --- names claimed twice --------------------------------------------------------------------


def _settled(
    claims: list[_Claim],
) -> tuple[list[_Claim], dict[BrokenPlugin, tuple[str, ...]]]:
    """Keep the claims that stand, and say of the others why they don't."""
    rightful, trespassing = _sorted_out(claims, _trespass)
    owners: dict[str, set[str]] = {}
    for claim in rightful:
        for name in claim.names:
            owners.setdefault(name, set()).add(_normalised(claim.source.distribution))
    counts = Counter((claim.task, name) for claim in rightful for name in claim.names)
    standing, contested = _sorted_out(rightful, partial(_contested, owners, counts))
    taken = {name for claim in standing for name in claim.names}
    set_aside: dict[BrokenPlugin, tuple[str, ...]] = {}
    for claim, why in trespassing + contested:
        plugin = _broken(claim.source, why)
        names = (name for name in claim.names if name not in taken)
        set_aside[plugin] = (*set_aside.get(plugin, ()), *names)
    return standing, set_aside


def _sorted_out(
    claims: Iterable[_Claim], verdict: Callable[[_Claim], SetAside | None]
) -> tuple[list[_Claim], list[tuple[_Claim, SetAside]]]:
    judged = [(claim, verdict(claim)) for claim in claims]
    kept = [claim for claim, why in judged if why is None]
    return kept, [(claim, why) for claim, why in judged if why is not None]


def _trespass(claim: _Claim) -> SetAside | None:
    own = _normalised(claim.source.distribution)
    for name in claim.names:
        if SHIPPED.get(name, own) != own:
            return SetAside(
                f"it claims the provider name {name!r}, which belongs to {SHIPPED[name]}",
                f"Uninstall it, or set {DENY}={claim.source.distribution}",
            )
    return None


def _contested(
    owners: Mapping[str, set[str]], counts: Mapping[tuple[Task, str], int], claim: _Claim
) -> SetAside | None:
    own = _normalised(claim.source.distribution)
    for name in claim.names:
        if others := owners[name] - {own}:
            rivals = ", ".join(sorted(others))
            return SetAside(
                f"the provider name {name!r} is claimed by {rivals} too",
                f"Set {DENY} to the one you don't want, or {ALLOW} to all that you do",
            )
        if counts[claim.task, name] > 1:
            return SetAside(
                f"it brings two {claim.task} providers named {name!r}",
                f"Ask the authors of {claim.source.distribution} to mend it",
            )
    return None
