"""
Options: what a user sets, declared once.

A field of a :class:`BindingOptions` class is at the same time a keyword argument, an environment
variable, a command-line flag, a line of the ``.env`` sample and a property of the JSON Schema::

    class AcmeOptions(BindingOptions, binding="acme"):
        api_key: Secret = option("Key of your account.", secret=True)            # ACME_API_KEY
        base_url: str | None = option("Where Acme is.", default=None)            # ACME_BASE_URL
        workers: int | None = option("Threads.", default=None, scope="call")     # --acme-workers

A keyword beats the environment of a role (``EXTRACT_ACME_WORKERS``), which beats a flag, which
beats the environment, which beats the default. ``None`` and an empty variable mean "not set",
always, and what is not set is not sent. Text is converted where it comes from an environment or a
flag; a keyword must have the type.

What comes in: classes that declare options, and keywords, variables, flags and ``.env`` files that
set them. What goes out: instances with checked values, or one :class:`ragcore.OptionsError` about
all that is wrong; and what is said of options in samples, help and JSON Schema. May be imported by
everybody; it imports :mod:`ragcore.errors` alone.
"""

from ragcore.options._binding_options import BindingOptions, imports_classes
from ragcore.options._checks import Check, Pattern, holds_half
from ragcore.options._declaration import OptionField, Scope, option, summary_of
from ragcore.options._group import raise_all
from ragcore.options._nearest import nearest
from ragcore.options._prefixes import Prefixes
from ragcore.options._reading import Bound, Found, Origin, Sources, found, merge, read, refuse_twice
from ragcore.options._sample import entries, sample
from ragcore.options._secrets import SHORTEST, Secret, secrets_in, without
from ragcore.options._types import to_json, to_text

__all__ = [
    "SHORTEST",
    "BindingOptions",
    "Bound",
    "Check",
    "Found",
    "OptionField",
    "Origin",
    "Pattern",
    "Prefixes",
    "Scope",
    "Secret",
    "Sources",
    "entries",
    "found",
    "holds_half",
    "imports_classes",
    "merge",
    "nearest",
    "option",
    "raise_all",
    "read",
    "refuse_twice",
    "sample",
    "secrets_in",
    "summary_of",
    "to_json",
    "to_text",
    "without",
]
