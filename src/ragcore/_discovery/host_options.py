"""The host's own options, which every model has beside its provider's; registered as plugins do."""

from __future__ import annotations

from collections.abc import Iterable

from ragcore._records import OnUnsupported, Retry
from ragcore.hookspecs import hookimpl
from ragcore.options import BindingOptions, option


class HostOptions(BindingOptions, binding="ragcore"):
    """How a call is made, whoever serves it."""

    timeout: float | None = option(
        "Deadline of a call in seconds, everything included; 0 for none.", default=None, minimum=0
    )
    retry: Retry | None = option(
        "How persistent a call is.",
        default=None,
        env=None,
        provider_default="as the provider says",
    )
    on_unsupported: OnUnsupported = option(
        "What the model can't do: 'error' refuses, 'warn' leaves it out with a line in the log, "
        "'prompt' asks for it in words where that is possible.",
        default="error",
    )


class HostCompletionOptions(HostOptions, binding="ragcore"):
    """How a call is made and how long answers are, whoever gives them."""

    max_output_tokens: int | None = option(
        "Upper bound of an answer, in tokens.", default=None, env=None, minimum=1
    )


class HostEmbeddingOptions(HostOptions, binding="ragcore"):
    """How a call is made and how texts are embedded, whoever does it."""

    batch_size: int | None = option(
        "Texts in one request.",
        default=None,
        minimum=1,
        provider_default="as many as the provider takes",
    )
    max_concurrency: int = option("Requests of one call under way at once.", default=8, minimum=1)
    dimensions: int | None = option(
        "Length of a vector, for models that can choose.", default=None, env=None, minimum=1
    )


HOST_OPTIONS: tuple[type[BindingOptions], ...] = (
    HostOptions,
    HostCompletionOptions,
    HostEmbeddingOptions,
)

# What a call takes beside options: no option may have such a name.
CALL_PARAMETERS = (
    "input_type",
    "limits",
    "messages",
    "reference",
    "response_format",
    "self",
    "system",
    "texts",
    "truncate",
)


@hookimpl
def ragcore_options() -> Iterable[type[BindingOptions]]:
    """Register the options that belong to no provider."""
    return HOST_OPTIONS
