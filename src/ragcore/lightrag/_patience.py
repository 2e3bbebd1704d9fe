"""How long LightRAG waits for a call, and how much of that we take."""

from __future__ import annotations

import attrs

from ragcore._calls.opening import Opening, ProviderT

# LightRAG doubles its limits and adds to them; 30 years is a limit that no call reaches.
_FOR_EVER = 10**9


@attrs.frozen
class Patience:
    """
    How long one attempt and a whole call may take, in seconds.

    LightRAG gives up after twice what it allots to an attempt. Our deadline is before, so that our
    error, which says what went wrong, comes out.

    Attributes:
        attempt: What LightRAG allots to one attempt unless it is told otherwise.
        deadline: What a call takes then at most, all attempts together.
    """

    attempt: float
    deadline: float

    def deadline_for(self, attempt: float) -> float:
        """Return the deadline for another time of an attempt; 0, for none, stays 0."""
        return self.deadline * attempt / self.attempt


COMPLETION = Patience(attempt=240.0, deadline=450.0)
EMBEDDING = Patience(attempt=30.0, deadline=55.0)


def within(
    opening: Opening[ProviderT], patience: Patience, attempt: int | None = None
) -> Opening[ProviderT]:
    """
    Return *opening* with a deadline that ends before LightRAG's own patience does.

    A deadline that somebody has set stands; beside *attempt*, the shorter one does. *attempt* is
    seconds for one attempt, 0 for no limit; None leaves that to the provider.
    """
    own = opening.host.timeout
    if attempt is None:
        timeout = patience.deadline if own is None else own
        return _with_host(opening, timeout=timeout)
    attempt = min(attempt, _FOR_EVER)
    limits = [limit for limit in (own, patience.deadline_for(attempt)) if limit]
    return _with_host(
        opening,
        timeout=min(limits, default=0.0),
        retry=attrs.evolve(opening.retry, attempt_timeout=attempt or None),
    )


def _with_host(opening: Opening[ProviderT], **values: object) -> Opening[ProviderT]:
    return attrs.evolve(opening, host=attrs.evolve(opening.host, **values))


def engines_limit(attempt: int | None) -> int | None:
    """Return what LightRAG is told for *attempt* seconds: it would take 0 for no time at all."""
    return None if attempt is None else min(attempt or _FOR_EVER, _FOR_EVER)
