"""
Where a provider is and who asks: what LightRAG has two variables for, whoever it is.

They become keywords of the connection of the provider that they were set for, and of no other.
"""

from __future__ import annotations

import typing
from typing import Any

import attrs

from ragcore._calls.opening import Opening
from ragcore.hookspecs import CompletionProvider, EmbeddingProvider
from ragcore.lightrag._problems import Problems
from ragcore.lightrag._variables import Said
from ragcore.options import BindingOptions, OptionField, Secret

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


@attrs.frozen
class Account:
    """
    What was said of where a provider is and who asks.

    Attributes:
        host_variable: What sets *host*, whether or not it does.
        key_variable: What sets *key*, whether or not it does.
    """

    host: Said | None
    key: Said | None
    host_variable: str
    key_variable: str

    def names(self, connection: type[BindingOptions]) -> dict[str, str]:
        """Return what messages call the keywords."""
        address, key = address_field(connection), key_field(connection)
        names = {address.name: self.host_variable} if address else {}
        return names | ({key.name: self.key_variable} if key else {})

    def keywords(self, provider: Provider, problems: Problems) -> dict[str, Any]:
        """Return it as keywords of *provider*'s connection."""
        return self._where(provider, problems) | self._who(provider, problems)

    def _where(self, provider: Provider, problems: Problems) -> dict[str, Any]:
        if self.host is None or self.host.value in _THE_SDKS_OWN:
            return {}
        if field := address_field(provider.connection):
            return {field.name: self.host.value}
        problems.add(
            f"{self.host.variable}: {provider.name} has no address that could be set; unset it"
        )
        return {}

    def _who(self, provider: Provider, problems: Problems) -> dict[str, Any]:
        if self.key is None:
            return {}
        if field := key_field(provider.connection):
            # A class in LightRAG's style has a str.
            return {field.name: self.key.value if _is_secret(field) else self.key.value.get()}
        problems.warn(
            f"{self.key.variable} is not used: {provider.name} has no single key; "
            "its own variables say who asks"
        )
        return {}
