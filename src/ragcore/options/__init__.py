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
"""

from ragcore.options._binding_options import BindingOptions
from ragcore.options._declaration import OptionField, Scope, option
from ragcore.options._reading import Sources, merge, read, refuse_twice
from ragcore.options._secrets import Secret, secrets_in, without

__all__ = [
    "BindingOptions",
    "OptionField",
    "Scope",
    "Secret",
    "Sources",
    "merge",
    "option",
    "read",
    "refuse_twice",
    "secrets_in",
    "without",
]
