"""An error that puts an option in doubt names it, and what has set it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from ragcore import (
    AuthenticationError,
    BindingOptions,
    NotFoundError,
    ProviderError,
    RateLimitError,
    Secret,
    UnavailableError,
    option,
)
from ragcore._calls.edge import AtTheEdge
from ragcore._calls.setup import Setup
from ragcore.options import Bound, Sources, read

HERE = "http://localhost:1234/v1"
THERE = "http://me:password@example.org/v1"


class AcmeOptions(BindingOptions, binding="acme"):
    """Whose account it is, and where."""

    api_key: Secret | None = option("Key.", default=None, secret=True)
    headers: dict[str, str] | None = option("Headers.", default=None, secret=True)
    base_url: str | None = option("Where.", default=None)


def told(
    error: ProviderError,
    keywords: Mapping[str, Any] | None = None,
    environ: Mapping[str, str] | None = None,
    bound: Mapping[str, Bound] | None = None,
) -> str:
    """Return what *error* says when it comes from a provider that was set up so."""
    sources = Sources(environ=environ or {}, bound=bound or {})
    (connection,) = read([AcmeOptions], keywords or {}, sources=sources)
    setup = Setup.of(connection, keywords or {}, sources)
    with (
        pytest.raises(ProviderError) as caught,
        AtTheEdge("acme-plugin", "acme", "m", setup=setup),
        # Twice, as the layers of a call do.
        AtTheEdge("acme-plugin", "acme", "m", setup=setup),
    ):
        raise error
    return str(caught.value.args[0])


def no_host() -> ProviderError:
    """Return what a plugin makes of a name that nobody knows."""
    error = UnavailableError("can't reach the service: gaierror: Name or service not known")
    error.__cause__ = ConnectionRefusedError()
    return error


KEY, ADDRESS = {"api_key": Secret("k")}, {"base_url": HERE}
IN_VARIABLES = {"ACME_API_KEY": "k", "ACME_BASE_URL": HERE}
BOUND = {
    "api_key": Bound("LLM_BINDING_API_KEY", Secret("k")),
    "base_url": Bound("LLM_BINDING_HOST", HERE),
}


def test_a_refused_key_is_named_as_it_was_set() -> None:
    """By the provider's variable, by LightRAG's, or by keyword, which a variable can replace."""
    assert told(AuthenticationError("no"), KEY) == "no; is api_key= (ACME_API_KEY) right?"
    assert told(AuthenticationError("no"), {}, IN_VARIABLES) == (
        "no; is api_key= (ACME_API_KEY) right?"
    )
    assert told(AuthenticationError("no"), {}, IN_VARIABLES, BOUND) == (
        "no; is api_key= (LLM_BINDING_API_KEY) right?"
    )


def test_headers_may_hold_the_key() -> None:
    """Every secret that is set may be the wrong one."""
    keywords = {**KEY, "headers": {"Authorization": "Basic …"}}

    assert told(AuthenticationError("no"), keywords) == (
        "no; is api_key= (ACME_API_KEY) or headers= (ACME_HEADERS) right?"
    )


def test_where_no_key_is_set_the_error_says_how() -> None:
    """A service may want one that its option leaves open; headers are no key to look for."""
    assert told(AuthenticationError("no")) == "no; not set: api_key= (ACME_API_KEY)"


def test_what_a_plugin_has_named_is_not_named_again() -> None:
    """Only the variable that the plugin can't know is added."""
    error = AuthenticationError("no; pass api_key= or sign in")

    assert told(error, KEY) == "no; pass api_key= or sign in"
    error = AuthenticationError("no; pass api_key= or sign in")
    assert told(error, {}, {}, BOUND) == (
        "no; pass api_key= or sign in; api_key= comes from LLM_BINDING_API_KEY"
    )


@pytest.mark.parametrize("error", [NotFoundError("Not Found"), no_host()], ids=["404", "network"])
def test_an_address_in_doubt_is_named_as_it_was_set(error: ProviderError) -> None:
    """With the address, where the message has none."""
    before = str(error)

    assert told(error, {}, {}, BOUND) == (
        f"{before}; {HERE} was asked; is base_url= (LLM_BINDING_HOST) right?"
    )


def test_a_password_in_an_address_is_not_shown() -> None:
    """The rest of the address is."""
    message = told(NotFoundError("Not Found"), {"base_url": THERE})

    assert (
        message == "Not Found; http://example.org/v1 was asked; is base_url= (ACME_BASE_URL) right?"
    )


@pytest.mark.parametrize(
    "error",
    [
        NotFoundError("the model `gpt` does not exist"),
        RateLimitError("slow down"),
        UnavailableError("overloaded"),
        ProviderError("no such luck"),
    ],
)
def test_what_no_option_can_change_is_left_as_it_is(error: ProviderError) -> None:
    """The service was there, and knew who asked."""
    before = str(error)

    assert told(error, {**KEY, **ADDRESS}) == before


def test_where_a_server_is_looked_for_is_said_how_to_change() -> None:
    """On this machine, unless somebody says something else."""
    error = no_host()
    error.args = ("can't reach http://localhost:8000/v1: connection refused",)

    assert told(error) == (
        "can't reach http://localhost:8000/v1: connection refused; where it is elsewhere, say so "
        "by base_url= (ACME_BASE_URL)"
    )


def test_an_address_that_nobody_set_is_not_in_doubt() -> None:
    """The service's own is right."""
    before = str(no_host())

    assert told(no_host()) == before
