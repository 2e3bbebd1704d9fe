"""Whether queries are embedded unlike documents, and by which options."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Self

import attrs

from ragcore._calls.opening import Opening
from ragcore.hookspecs import EmbeddingProvider
from ragcore.lightrag._problems import Problems
from ragcore.lightrag._variables import Said
from ragcore.options import BindingOptions, Bound

# What providers call the texts before queries and before documents.
_FIELDS = (("query_prefix", "document_prefix"), ("query_prompt", "document_prompt"))
_NO_PREFIX = "NO_PREFIX"
_VARIABLES = ("EMBEDDING_QUERY_PREFIX", "EMBEDDING_DOCUMENT_PREFIX")


def _fields(options: type[BindingOptions]) -> tuple[str, ...]:
    """Return the options that put a text before queries and before documents; or nothing."""
    names = {field.name for field in options.fields()}
    return next((pair for pair in _FIELDS if names.issuperset(pair)), ())


def is_asymmetric(opening: Opening[EmbeddingProvider]) -> bool:
    """Say whether it matters what a text is embedded as: by the model's nature, or by a prefix."""
    names = _fields(opening.provider.options)
    has_prefix = any(getattr(opening.options, name) for name in names)
    return has_prefix or opening.capabilities.input_type


@attrs.frozen
class Prefixes:
    """
    What LightRAG's variables say of queries and documents.

    Attributes:
        asymmetric: Whether they differ; None if nobody said.
        texts: By variable, what goes before; those that are not set are missing.
    """

    asymmetric: bool | None
    texts: Mapping[str, str]

    @classmethod
    def of(cls, environ: Mapping[str, str], said: Mapping[str, Said], problems: Problems) -> Self:
        """Take them out of what was *said*; an empty one leaves it open what was meant."""
        if empty := [variable for variable in _VARIABLES if environ.get(variable) == ""]:
            for variable in empty:
                problems.add(
                    f"{variable}: empty; write {_NO_PREFIX} where nothing goes before a text, "
                    "or unset it"
                )
            return cls(None, {})
        asymmetric = said.get("embedding_asymmetric")
        texts = {
            variable: said[variable.lower()].value
            for variable in _VARIABLES
            if variable.lower() in said
        }
        return cls(
            asymmetric.value if asymmetric else None,
            {name: "" if text == _NO_PREFIX else text for name, text in texts.items()},
        )

    def bound(self, options: type[BindingOptions], problems: Problems) -> dict[str, Bound]:
        """Return what *options* are bound to; the texts are left out if they are not to be used."""
        names = _fields(options)
        texts = self.texts if self._are_used(options, problems) else {}
        return {
            name: Bound(variable, texts.get(variable))
            for name, variable in zip(names, _VARIABLES, strict=False)
        }

    def _are_used(self, options: type[BindingOptions], problems: Problems) -> bool:
        if not self.texts:
            return False
        if not self.asymmetric:
            state = "unset" if self.asymmetric is None else "false"
            problems.warn(f"EMBEDDING_ASYMMETRIC is {state}: {self._given} not used")
            return False
        if not _fields(options):
            problems.warn(f"{self._given} not used: {options.binding()} has no prefixes to set")
            return False
        self._check_texts(problems)
        return True

    @property
    def _given(self) -> str:
        return f"{' and '.join(self.texts)} {'is' if len(self.texts) == 1 else 'are'}"

    def _check_texts(self, problems: Problems) -> None:
        for variable in _VARIABLES:
            if variable not in self.texts:
                problems.add(
                    f"{variable}: missing: EMBEDDING_ASYMMETRIC is true, and "
                    f"{next(iter(self.texts))} is set; write {_NO_PREFIX} for none"
                )
        if not any(self.texts.values()):
            problems.add(
                f"{self._given} {_NO_PREFIX}: nothing would differ; set one of them, or unset "
                "EMBEDDING_ASYMMETRIC"
            )

    def check(self, opening: Opening[EmbeddingProvider], problems: Problems) -> None:
        """Note where queries and documents are to differ, and would be embedded alike."""
        has_fields = bool(_fields(opening.provider.options))
        if not self.asymmetric or is_asymmetric(opening) or (has_fields and self.texts):
            return
        cure = f"set {' and '.join(_VARIABLES)} ({_NO_PREFIX} for none), or " if has_fields else ""
        problems.add(
            f"EMBEDDING_ASYMMETRIC: {opening.provider.name} makes no difference between queries "
            f"and documents; {cure}unset it"
        )
