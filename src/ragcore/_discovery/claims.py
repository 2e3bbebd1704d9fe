"""Who may use which provider name."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Literal

import attrs

from ragcore._discovery.catalogue import SHIPPED
from ragcore._discovery.foreign import SetAside
from ragcore._discovery.sources import ALLOW, DENY, Source, normalised
from ragcore.hookspecs import CompletionProvider, EmbeddingProvider

Task = Literal["completion", "embedding"]
Record = CompletionProvider | EmbeddingProvider


@attrs.frozen
class Claim:
    """A provider record and who brings it."""

    source: Source
    task: Task
    record: Record

    @property
    def names(self) -> tuple[str, ...]:
        return (self.record.name, *self.record.aliases)


def probable_names(source: Source) -> tuple[str, ...]:
    """Return what a plugin that can't be asked probably provides."""
    name = normalised(source.distribution)
    shipped = [provider for provider, owner in SHIPPED.items() if owner == name]
    likely = (source.entry_point, name, re.sub("^(ragcore|lightrag)-", "", name))
    return (*(own for own in likely if SHIPPED.get(own, name) == name), *shipped)


@attrs.frozen
class Refused:
    """A claim that does not stand, why, and which of its names nobody else has."""

    claim: Claim
    why: SetAside
    names: tuple[str, ...]


def settled(claims: list[Claim]) -> tuple[list[Claim], list[Refused]]:
    """Keep the claims that stand, and say of the others why they don't."""
    rightful, trespassing = _sorted_out(claims, _trespass)
    owners: dict[str, set[str]] = {}
    for claim in rightful:
        for name in claim.names:
            owners.setdefault(name, set()).add(normalised(claim.source.distribution))
    counts = Counter((claim.task, name) for claim in rightful for name in claim.names)
    standing, contested = _sorted_out(rightful, partial(_contested, owners, counts))
    taken = {name for claim in standing for name in claim.names}
    return standing, [
        Refused(claim, why, tuple(name for name in claim.names if name not in taken))
        for claim, why in trespassing + contested
    ]


def _sorted_out(
    claims: Iterable[Claim], verdict: Callable[[Claim], SetAside | None]
) -> tuple[list[Claim], list[tuple[Claim, SetAside]]]:
    judged = [(claim, verdict(claim)) for claim in claims]
    kept = [claim for claim, why in judged if why is None]
    return kept, [(claim, why) for claim, why in judged if why is not None]


def _trespass(claim: Claim) -> SetAside | None:
    own = normalised(claim.source.distribution)
    for name in claim.names:
        if SHIPPED.get(name, own) != own:
            return SetAside(
                f"it claims the provider name {name!r}, which belongs to {SHIPPED[name]}",
                f"Uninstall it, or set {DENY}={claim.source.distribution}",
            )
    return None


def _contested(
    owners: Mapping[str, set[str]], counts: Mapping[tuple[Task, str], int], claim: Claim
) -> SetAside | None:
    own = normalised(claim.source.distribution)
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
