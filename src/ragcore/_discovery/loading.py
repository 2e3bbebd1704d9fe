"""
Finds plugins and keeps the broken ones from harming the others; the only user of pluggy's manager.

Each entry point of the group ``ragcore`` is loaded by itself, its hooks are called one by one, and
whatever goes wrong sets aside that plugin alone, with the reason and the cure.
"""

from __future__ import annotations

import functools
import inspect
import os
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from types import ModuleType
from typing import Any

import attrs
import pluggy

from ragcore import hookspecs
from ragcore._discovery import host_options
from ragcore._discovery.claims import Claim, Record, Task, probable_names, settled
from ragcore._discovery.foreign import SetAside, run_foreign
from ragcore._discovery.host_options import CALL_PARAMETERS, HOST_OPTIONS
from ragcore._discovery.registry import BrokenPlugin, Registry
from ragcore._discovery.sources import Source, entry_points, normalised, switch
from ragcore._records import Capabilities
from ragcore.errors import PluginError
from ragcore.hookspecs import ENTRY_POINT_GROUP, CompletionProvider, EmbeddingProvider, Layer
from ragcore.options import BindingOptions, imports_classes, nearest

_HOST = Source("lightrag-core", "", "ragcore", lambda: host_options)

_lock = threading.RLock()
_loading = threading.local()
_temporary: list[Source] = []


def _start_afresh() -> None:
    # A forked child has its parent's lock, and not the thread that would release it.
    global _lock  # noqa: PLW0603
    _lock = threading.RLock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_start_afresh)


@imports_classes
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
        return build([*entry_points(), *temporary.values()], os.environ)
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


def build(sources: Iterable[Source], environ: Mapping[str, str]) -> Registry:
    """Load each of *sources* that *environ* does not switch off, and settle who owns which name."""
    manager = _Manager(ENTRY_POINT_GROUP)
    manager.add_hookspecs(hookspecs)
    sources = list(sources)
    switches = [(source, switch(source, environ)) for source in sources]
    on = [source for source, variable in switches if variable is None]
    claims: list[Claim] = []
    groups: list[type[BindingOptions]] = []
    layers: list[tuple[str, Layer]] = []
    broken: dict[BrokenPlugin, tuple[str, ...]] = {}

    def set_aside(source: Source, why: SetAside, names: Iterable[str]) -> None:
        plugin = BrokenPlugin(
            distribution=source.distribution,
            entry_point=source.entry_point,
            reason=why.reason,
            cure=why.cure,
        )
        broken[plugin] = (*broken.get(plugin, ()), *names)

    for source in (_HOST, *on):
        try:
            found = _load(manager, source)
        except SetAside as exc:
            set_aside(source, exc, probable_names(source))
        else:
            claims += found.claims
            groups += found.groups
            layers += [(source.distribution, layer) for layer in found.layers]
    claims, refused = settled(claims)
    for one in refused:
        set_aside(one.claim.source, one.why, one.names)
    return Registry(
        claims={(claim.task, name): claim for claim in claims for name in claim.names},
        option_groups=tuple(groups),
        broken=tuple(broken),
        layers=tuple(sorted(layers, key=lambda layer: normalised(layer[0]))),
        broken_names={name: plugin for plugin, names in broken.items() for name in names},
        switched_off={normalised(source.distribution): by for source, by in switches if by},
    )


# --- one plugin -----------------------------------------------------------------------------


@attrs.frozen
class _Brought:
    """What one plugin brings."""

    claims: list[Claim] = attrs.field(factory=list)
    groups: list[type[BindingOptions]] = attrs.field(factory=list)
    layers: list[Layer] = attrs.field(factory=list)


def _load(manager: pluggy.PluginManager, source: Source) -> _Brought:
    cure = f"Upgrade or uninstall it: pip install --upgrade {source.distribution}"
    # pluggy keys plugins by name, and an entry point's name need not be unique.
    name = f"{source.distribution}/{source.entry_point}"
    plugin = run_foreign(source.load, cure)
    if other := manager.get_name(plugin):
        if other.startswith(f"{source.distribution}/"):
            # One module behind two entry points has said all it has to say.
            return _Brought()
        raise SetAside(f"its module is that of {other.split('/')[0]}", cure)
    try:
        return run_foreign(lambda: _registered(manager, plugin, source, name), cure)
    except SetAside:
        if manager.get_plugin(name) is plugin:
            manager.unregister(name=name)
        raise


def _registered(
    manager: pluggy.PluginManager, plugin: object, source: Source, name: str
) -> _Brought:
    _check_functions(plugin, source)
    manager.register(plugin, name=name)
    manager.check_pending()
    return _ask(manager, plugin, source)


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
        close = nearest(hook, _HOOKS, likeness=0)
        raise SetAside(f"{hook} is no hook of ragcore; did its authors mean {close}?", mend)
    if inspect.iscoroutinefunction(function) or inspect.isasyncgenfunction(function):
        raise SetAside(f"{name} is async; hooks are plain functions", mend)
    if marks.get("wrapper") or marks.get("hookwrapper"):
        raise SetAside(f"{name} is a wrapper; hooks are called one by one", mend)
    return hook in _HOOKS


def _ask(manager: pluggy.PluginManager, plugin: object, source: Source) -> _Brought:
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
    layers = [_layer(source, layer) for layer in results("ragcore_layers")]
    return _Brought(claims, groups, layers)


def _listed_results(function: Callable[[], Iterable[Any]]) -> list[Any]:
    # A generator does its work, and fails, only when it is read.
    return list(function())


def _group(source: Source, group: object) -> type[BindingOptions]:
    cure = f"Ask the authors of {source.distribution} to mend it"
    if not (isinstance(group, type) and issubclass(group, BindingOptions)):
        raise SetAside(f"ragcore_options returned {_a(group)}, no BindingOptions class", cure)
    run_foreign(group.fields, cure, f"options {group.__name__}: ")
    return group


def _layer(source: Source, layer: object) -> Layer:
    if not isinstance(layer, Layer):
        cure = f"Ask the authors of {source.distribution} to mend it"
        raise SetAside(f"ragcore_layers returned {_a(layer)}, no Layer", cure)
    return layer


def _a(thing: object) -> str:
    # Not its repr: that is other people's code, too.
    return f"a {type(thing).__name__}"


def _claim(source: Source, task: Task, kind: type[Record], record: object) -> Claim:
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
    return Claim(source, task, record)
