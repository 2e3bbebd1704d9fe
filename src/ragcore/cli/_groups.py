"""Option groups by the names that users know: of a binding, of a provider, or its alias."""

from __future__ import annotations

import click

from ragcore._discovery.loading import registry
from ragcore.errors import PluginError
from ragcore.lightrag import VARIABLES
from ragcore.options import BindingOptions, nearest

Group = type[BindingOptions]


def all_groups() -> list[Group]:
    """Return the groups of the host, then those of each provider, connections first."""
    providers = registry().installed().providers
    return _without_bases([*host_groups(), *(group for one in providers for group in one.options)])


def host_groups() -> list[Group]:
    """Return the groups that belong to no provider; the last are what ``from_env`` reads."""
    return [*registry().option_groups, *VARIABLES]


def groups_named(name: str) -> list[Group]:
    """
    Return the groups of the provider *name*, or else those of the binding.

    Raises:
        PluginError: A provider goes by that name, and is broken.
        click.BadParameter: Nothing goes by that name.
    """
    groups = _of_provider(name) or [group for group in all_groups() if group.binding() == name]
    if not groups:
        raise _unknown(name)
    return groups


def _of_provider(name: str) -> list[Group]:
    records = [claim.record for (_, own), claim in registry().claims.items() if own == name]
    return _without_bases(
        [group for record in records for group in (record.connection, record.options)]
    )


def _without_bases(groups: list[Group]) -> list[Group]:
    """Leave out groups that another of the same binding contains."""
    return [group for group in dict.fromkeys(groups) if not _is_contained(group, groups)]


def _is_contained(group: Group, groups: list[Group]) -> bool:
    return any(
        other is not group and issubclass(other, group) and other.binding() == group.binding()
        for other in groups
    )


def _unknown(name: str) -> Exception:
    found = registry()
    if broken := found.broken_names.get(name):
        return PluginError(f"What can be set for {name!r} is not known: {broken}")
    names = {group.binding() for group in all_groups()} | {known for _, known in found.claims}
    close = nearest(name, names)
    cure = f" Did you mean {close!r}?" if close else ""
    there, off = ", ".join(sorted(names)), found.what_is_off()
    return click.BadParameter(
        " ".join([f"no binding or provider {name!r}.{cure} There are: {there}.", *off]),
        param_hint="BINDING",
    )
