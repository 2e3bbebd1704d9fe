"""What is installed: looked up by name, described for people."""

from __future__ import annotations

import functools
from collections.abc import Mapping

import attrs

from ragcore._discovery.catalogue import SHIPPED
from ragcore._discovery.claims import Claim, Record, Task
from ragcore._records import Capabilities
from ragcore.errors import PluginError, UnknownProviderError, UnsupportedError
from ragcore.hookspecs import CompletionProvider, EmbeddingProvider, Layer
from ragcore.options import BindingOptions, nearest


@attrs.frozen(kw_only=True)
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


@attrs.frozen(kw_only=True)
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
class Registry:
    """
    All that was found, by task and name; aliases are names too.

    Attributes:
        layers: What is put around calls and attempts, each with its distribution; outermost first.
        switched_off: Distributions that are not loaded, and the variable that says so.
    """

    claims: Mapping[tuple[Task, str], Claim]
    option_groups: tuple[type[BindingOptions], ...]
    broken: tuple[BrokenPlugin, ...]
    broken_names: Mapping[str, BrokenPlugin]
    layers: tuple[tuple[str, Layer], ...]
    switched_off: Mapping[str, str]

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

    def any_provider(self, name: str) -> Record:
        """Find the provider of that *name*, whatever its task, or raise what is wrong with it."""
        claims = (self.claims.get((task, name)) for task in ("completion", "embedding"))
        claim = next((claim for claim in claims if claim), None)
        return claim.record if claim else self._find("completion", name)

    def distribution_of(self, record: Record) -> str:
        """Return the name of the distribution that brings *record*."""
        return next(c.source.distribution for c in self.claims.values() if c.record is record)

    def installed(self) -> Installed:
        """Describe it for people."""
        by_name: dict[str, list[Claim]] = {}
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
        parts = [f"No provider {name!r} (installed: {', '.join(names) or 'none'})."]
        meant = name if name in SHIPPED else nearest(name.lower(), {*names, *SHIPPED})
        if meant and meant != name:
            parts.append(f"Did you mean {meant!r}?")
        distribution = SHIPPED.get(meant or "")
        is_absent = distribution is not None and distribution not in self.switched_off
        if meant not in names and is_absent:
            parts.append(f"Install it: pip install {distribution}")
        # A plugin that is not loaded might have the name, unless it belongs to another.
        if meant not in names and not (meant == name and is_absent):
            parts += self.what_is_off()
        if self.broken and name not in SHIPPED:
            parts.append(f"Set aside as broken: {'; '.join(map(str, self.broken))}")
        return " ".join(parts)

    def what_is_off(self) -> list[str]:
        """Say what is installed and not loaded, and which variable says so; nothing if all is."""
        return [
            f"Switched off by {variable}: "
            f"{', '.join(name for name, by in self.switched_off.items() if by == variable)}."
            for variable in sorted(set(self.switched_off.values()))
        ]


def _info(name: str, claims: list[Claim]) -> ProviderInfo:
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
