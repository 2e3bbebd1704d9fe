"""The host's own options, which every model has beside its provider's; registered as plugins do."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Literal

import attrs

from ragcore._limits import Limits
from ragcore._records import OnUnsupported, Retry
from ragcore.hookspecs import hookimpl
from ragcore.options import BindingOptions, option

_PROVIDERS = "as the provider says"
_OF_AN_ACCOUNT = ("concurrency", "requests_per_minute", "tokens_per_minute")


class HostOptions(BindingOptions, binding="ragcore"):
    """How a call is made, whoever serves it."""

    timeout: float | None = option(
        "Deadline of a call in seconds, everything included; 0 for none.", default=None, minimum=0
    )
    retry: Retry | None = option(
        "How persistent a call is; it goes before the options that say parts of it.",
        default=None,
        env=None,
        provider_default=_PROVIDERS,
    )
    retry_attempts: int | None = option(
        "Most attempts of a call; 1 never tries again.",
        default=None,
        minimum=1,
        provider_default=_PROVIDERS,
    )
    retry_attempt_timeout: float | None = option(
        "Deadline of one attempt in seconds; 0 for none.",
        default=None,
        minimum=0,
        provider_default=_PROVIDERS,
    )
    retry_first_chunk_timeout: float | None = option(
        "Longest wait for the first chunk of a stream in seconds; 0 for any. Then the attempt has "
        "timed out.",
        default=None,
        minimum=0,
        provider_default=_PROVIDERS,
    )
    retry_idle_timeout: float | None = option(
        "Longest silence of a stream between two chunks in seconds; 0 for any.",
        default=None,
        minimum=0,
        provider_default=_PROVIDERS,
    )
    retry_wait_initial: float | None = option(
        "Longest wait before the second attempt in seconds; it doubles with each.",
        default=None,
        minimum=0,
        provider_default=_PROVIDERS,
    )
    retry_wait_max: float | None = option(
        "Longest wait between two attempts in seconds, unless the service asks for more.",
        default=None,
        minimum=0,
        provider_default=_PROVIDERS,
    )
    retry_wait_longest: float | None = option(
        "Longest wait in seconds that a service may ask for; more is an error at once.",
        default=None,
        minimum=0,
        provider_default=_PROVIDERS,
    )
    limits: Limits | None = option(
        "The budget that calls draw on; it goes before the options that say parts of it.",
        default=None,
        env=None,
    )
    concurrency: int | Literal["auto"] | None = option(
        "Attempts of an account under way at once, in this process; 'auto' finds what the service "
        "takes.",
        default=None,
        minimum=1,
    )
    requests_per_minute: float | None = option(
        "Attempts of an account in any 60 seconds, in this process.", default=None, minimum=1
    )
    tokens_per_minute: float | None = option(
        "Tokens of an account in any 60 seconds, in this process.", default=None, minimum=1
    )
    on_unsupported: OnUnsupported = option(
        "What the model can't do: 'error' refuses, 'warn' leaves it out with a line in the log, "
        "'prompt' asks for it in words where that is possible.",
        default="error",
    )

    def limits_of_account(self) -> dict[str, Any]:
        """Return the limits that are set one by one, as :class:`ragcore.Limits` takes them."""
        values = {name: getattr(self, name) for name in _OF_AN_ACCOUNT}
        return {name: value for name, value in values.items() if value is not None}

    def persistence(self, default: Retry) -> Retry:
        """Return how persistent a call is: *retry*, or else *default* but for what is set."""
        if self.retry is not None:
            return self.retry
        parts = {
            name.removeprefix("retry_"): part
            for name, part in self.asdict().items()
            if name.startswith("retry_")
        }
        for name in ("attempt_timeout", "first_chunk_timeout", "idle_timeout"):
            parts |= {name: None} if parts.get(name) == 0 else {}
        return attrs.evolve(default, **parts)


class HostCompletionOptions(HostOptions, binding="ragcore"):
    """How a call is made and how long answers are, whoever gives them."""

    max_output_tokens: int | None = option(
        "Upper bound of an answer, in tokens.", default=None, env=None, minimum=1
    )
    hedge_after: float | None = option(
        "Seconds after which a call that has no answer, or no first chunk, is made once more "
        "beside the first; whichever answers first counts; 0 for never.",
        default=None,
        minimum=0,
        provider_default="never",
    )
    think_tags: Literal["open"] | None = option(
        "'open' where answers begin with reasoning that ends with </think>, and the chat template "
        "has opened it already.",
        default=None,
        provider_default=_PROVIDERS,
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


class EveryHostOption(HostCompletionOptions, HostEmbeddingOptions, binding="ragcore"):
    """How a call is made, and what is asked of the models of both tasks."""


HOST_OPTIONS = (HostOptions, HostCompletionOptions, HostEmbeddingOptions)

# What the calls of a task take, and those of the other don't, beside options.
CALLS: dict[type[HostOptions], tuple[str, tuple[str, ...]]] = {
    HostCompletionOptions: ("complete", ("messages", "response_format", "system")),
    HostEmbeddingOptions: ("embed", ("input_type", "texts", "truncate")),
}

# No provider's option may have such a name, or one of the host's.
CALL_PARAMETERS = (
    *(n for _, names in CALLS.values() for n in names),
    "priority",
    "reference",
    "self",
)


@hookimpl
def ragcore_options() -> Iterable[type[BindingOptions]]:
    """Register the options that belong to no provider, and can be set outside a program."""
    return (HostOptions, EveryHostOption)
