"""How a connection was set up: which options an error puts in doubt, and what has set them."""

from __future__ import annotations

import re
import typing
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Self

import attrs

from ragcore.errors import AuthenticationError, ProviderError
from ragcore.options import BindingOptions, OptionField, Secret, Sources, found
from ragcore.wire import is_lost, transport_error

_LOOPBACK = re.compile(r"://(localhost|127\.|\[::1\])")

# What providers call an address.
_ADDRESSES = ("base_url", "endpoint_url", "endpoint", "host", "url")


def address_field(connection: type[BindingOptions]) -> OptionField | None:
    """Return the option that says where a provider is."""
    fields = {field.name: field for field in connection.fields()}
    return next((fields[name] for name in _ADDRESSES if name in fields), None)


def is_key(field: OptionField) -> bool:
    """Say whether *field* says who asks; headers can be secret, too, but are no key."""
    return Secret in (field.type, *typing.get_args(field.type))


@attrs.frozen
class Setup:
    """
    The options of a connection, as messages name them.

    Attributes:
        variables: By option, the variable or flag that has set it, or would.
        keywords: The options that a keyword has set.
    """

    connection: BindingOptions
    variables: Mapping[str, str]
    keywords: frozenset[str]

    @classmethod
    def of(
        cls, connection: BindingOptions, keywords: Mapping[str, Any], sources: Sources | None
    ) -> Self:
        """Find out what *connection* was read from."""
        sources = sources or Sources()
        own = {field.name: field.variables[0] for field in connection.fields() if field.variables}
        bound = {name: one.variable for name, one in sources.bound.items()}
        offers = found(type(connection), keywords, sources)
        by_keyword = {name for name, offer in offers.items() if offer.origin == "keyword"}
        said = {name: offer.name for name, offer in offers.items() if name not in by_keyword}
        return cls(connection, own | bound | said, frozenset(by_keyword))

    @property
    def address_option(self) -> str:
        """What to call the option that holds the address; empty if there is none."""
        field = address_field(type(self.connection))
        return self._named(field) if field else ""

    @property
    def address(self) -> str | None:
        """What the user says of where the service is, without a password; None if nothing."""
        field = address_field(type(self.connection))
        value = getattr(self.connection, field.name) if field else None
        return None if value is None else re.sub(r"^([\w+.-]+://)?[^/]*@", r"\1", str(value))

    def doubts(self, error: ProviderError) -> Iterator[str]:
        """Yield what to say after the message of *error*, a sentence each."""
        message = str(error.args[0]) if error.args else ""
        if isinstance(error, AuthenticationError):
            yield from self._asks(message, [*self._keys()])
        elif is_lost(error) or _is_of_network(error):
            yield from self._where(message)

    def _where(self, message: str) -> Iterator[str]:
        field = address_field(type(self.connection))
        if field is None:
            return
        if self.address is not None:
            if "://" not in message:
                yield f"{self.address} was asked"
            yield from self._asks(message, [field])
        elif _LOOPBACK.search(message) and f"{field.name}=" not in message:
            yield f"where it is elsewhere, say so by {self._named(field)}"

    def _keys(self) -> Iterator[OptionField]:
        secrets = [field for field in self.connection.fields() if field.secret]
        given = [field for field in secrets if self._is_set(field)]
        yield from given or filter(is_key, secrets)

    def _asks(self, message: str, fields: Sequence[OptionField]) -> Iterator[str]:
        unnamed = [self._named(field) for field in fields if f"{field.name}=" not in message]
        if unnamed and self._is_set(fields[0]):
            yield f"is {' or '.join(unnamed)} right?"
        elif unnamed:
            yield f"not set: {', '.join(unnamed)}"
        for field in fields:
            variable = self.variables.get(field.name, "")
            is_unsaid = self._named(field) not in unnamed and variable not in message
            if is_unsaid and self._is_set(field) and field.name not in self.keywords:
                yield f"{field.name}= comes from {variable}"

    def _named(self, field: OptionField) -> str:
        variable = self.variables.get(field.name)
        return f"{field.name}=" + (f" ({variable})" if variable else "")

    def _is_set(self, field: OptionField) -> bool:
        return getattr(self.connection, field.name) is not None


def _is_of_network(error: ProviderError) -> bool:
    cause = error.__cause__
    return cause is not None and type(transport_error(cause)) is type(error)
