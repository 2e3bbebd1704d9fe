"""
Where a provider is and who asks: what LightRAG has two variables for, whoever it is.

Options of the connection of the provider that they were set for are bound to them, and no other's.
"""

from __future__ import annotations

import typing
from typing import Any

from ragcore._calls.opening import Opening
from ragcore.hookspecs import CompletionProvider, EmbeddingProvider
from ragcore.lightrag._problems import Problems
from ragcore.options import BindingOptions, Bound, OptionField, Secret

Provider = CompletionProvider | EmbeddingProvider

DEFAULT_MODEL = "default"

# What providers call an address, and what LightRAG writes for one that the SDK knows by itself.
_ADDRESSES = ("base_url", "endpoint_url", "endpoint", "host", "url")
_THE_SDKS_OWN = ("DEFAULT_BEDROCK_ENDPOINT", "DEFAULT_GEMINI_ENDPOINT")


def address_field(connection: type[BindingOptions]) -> OptionField | None:
    """Return the option that says where a provider is."""
    fields = {field.name: field for field in connection.fields()}
    return next((fields[name] for name in _ADDRESSES if name in fields), None)


def key_field(connection: type[BindingOptions]) -> OptionField | None:
    """Return the option that says who asks; None if there is not one, but several."""
    fields = connection.fields()
    keys = [f for f in fields if f.name == "api_key"] or [f for f in fields if _is_secret(f)]
    return keys[0] if len(keys) == 1 else None


def model_field(connection: type[BindingOptions]) -> OptionField | None:
    """Return the option that names the model where a reference says :data:`DEFAULT_MODEL`."""
    return next((field for field in connection.fields() if field.same_as == "model"), None)


def model_of(opening: Opening[Any]) -> str:
    """Return the model of *opening*, by its own name where the reference leaves it open."""
    field = model_field(type(opening.connection))
    if field is None or opening.model_name != DEFAULT_MODEL:
        return opening.model_name
    return getattr(opening.connection, field.name) or DEFAULT_MODEL


def _is_secret(field: OptionField) -> bool:
    # Headers can be secret, too, but are no key.
    return Secret in (field.type, *typing.get_args(field.type))


def bound_account(
    provider: Provider, host: Bound, key: Bound, problems: Problems
) -> dict[str, Bound]:
    """Return what the options of *provider*'s connection are bound to, of *host* and *key*."""
    address, who = address_field(provider.connection), key_field(provider.connection)
    if host.value in _THE_SDKS_OWN:
        host = Bound(host.variable)
    if host.value is not None and address is None:
        problems.add(f"{host.variable}: {provider.name} has no address that could be set; unset it")
    if key.value is not None and who is None:
        problems.warn(
            f"{key.variable} is not used: {provider.name} has no single key; "
            "its own variables say who asks"
        )
    if key.value is not None and who is not None and not _is_secret(who):
        # A class in LightRAG's style has a str.
        key = Bound(key.variable, key.value.get())
    return {field.name: one for field, one in ((address, host), (who, key)) if field is not None}
