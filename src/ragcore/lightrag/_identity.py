"""
What made the vectors of an index, so that no others are compared with them.

It is written beside LightRAG's files: provider, model, length of a vector, what else decides about
vectors, and the vectors of three fixed texts. The same weights under another name make the same
vectors, so these tell what goes by another name.
"""

from __future__ import annotations

import asyncio
import json
import shlex
from collections.abc import Awaitable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, Self

import attrs

from ragcore._calls.attempts import Deadline
from ragcore._calls.opening import Opening
from ragcore._records import InputType
from ragcore.errors import EmbeddingIdentityError
from ragcore.hookspecs import EmbeddingProvider
from ragcore.lightrag._index import Folder, cosines, packed_rows, unpacked_rows, write
from ragcore.options import OptionField, to_json, to_text

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Vectors = npt.NDArray[np.float32]

_RECORD = "ragcore_embedding.json"
_FORMAT = 1

# Prose, other scripts and accents, and code: models differ in what they make of these.
PROBES = (
    "The keeper lit the lamp before the storm reached the lighthouse.",
    "Où est née l'idée ? Die Straße war grün; Αθήνα, Москва, 東京, 서울.",
    "def area(r): return 3.14159 * r ** 2",
)
_INPUT_TYPES: tuple[InputType, ...] = ("document", "query")

# The same weights in another number type, or on another machine, agree to more than that.
_SAME = 0.999
_SAME_LENGTH = 0.01

# What options that decide about vectors are called, or parts of their names.
_DECISIVE = {"dtype", "normalize", "pooling", "prefix", "prompt", "quantization", "revision"}
# What tells files apart, which may hold the same numbers under another name.
_OF_FILES = {"revision", "weights"}


@attrs.frozen(eq=False)
class Identity:
    """
    What makes vectors.

    Attributes:
        provider: Name of the provider.
        model: Name of the model.
        dimensions: Length of a vector.
        facts: What else decides about vectors, by name, as far as it is known.
        probes: The vectors of :data:`PROBES`, by what they are embedded as; empty if not made yet.
    """

    provider: str
    model: str
    dimensions: int
    facts: Mapping[str, Any] = attrs.field(factory=dict)
    probes: Mapping[InputType, Vectors] = attrs.field(factory=dict, repr=False)

    @property
    def reference(self) -> str:
        """``"provider:model"``."""
        return f"{self.provider}:{self.model}"

    def shown(self) -> dict[str, str]:
        """Return what people are shown, by name."""
        facts = {name: _in_words(fact) for name, fact in self.facts.items()}
        return {"model": self.reference, "dimensions": str(self.dimensions), **facts}

    def unlike(self, now: Identity) -> list[str]:
        """Say in what *now* differs; in nothing if its vectors can be compared with these."""
        facts = list(self._facts_unlike(now))
        if self.dimensions != now.dimensions:
            return ["dimensions", *facts]
        return [*facts, *self._probes_unlike(now)]

    def _facts_unlike(self, now: Identity) -> Iterator[str]:
        """Compare what both know, if one provider speaks of both."""
        if self.provider != now.provider:
            return
        compared = set(now.facts)
        if self.model != now.model or not now.probes:
            # Before the model is opened, its files may not all be here.
            compared -= _OF_FILES
        elif "weights" in self.facts and "weights" in now.facts:
            # A new revision may have the old weights.
            compared -= {"revision"}
        for name, fact in self.facts.items():
            if name in compared and now.facts[name] != fact:
                yield name

    def _probes_unlike(self, now: Identity) -> Iterator[str]:
        if not self.probes or not now.probes:
            return
        pairs = [(self._probes_as(kind), now._probes_as(kind)) for kind in _INPUT_TYPES]
        least = min(min(cosines(then, present)) for then, present in pairs)
        if least < _SAME:
            yield f"what they make of the same text (cosine {least:.3f})"
        elif self.reference == now.reference and not all(_as_long(*pair) for pair in pairs):
            yield "the length that vectors are scaled to"

    def _probes_as(self, kind: InputType) -> Vectors:
        # A symmetric model embeds queries as documents.
        return self.probes.get(kind, self.probes["document"])

    def as_json(self) -> dict[str, Any]:
        """Return it as it is written."""
        return {
            "format": _FORMAT,
            "provider": self.provider,
            "model": self.model,
            "dimensions": self.dimensions,
            "facts": dict(self.facts),
            "probes": {kind: packed_rows(vectors) for kind, vectors in self.probes.items()},
        }

    @classmethod
    def from_json(cls, data: Any) -> Self:
        """
        Return what :meth:`as_json` was asked for.

        Raises:
            ValueError: *data* is something else.
        """
        if not isinstance(data, dict) or data.get("format") != _FORMAT:
            raise ValueError(f"it is not of format {_FORMAT}")
        try:
            known = {name: data[name] for name in ("provider", "model", "dimensions", "facts")}
            probes = {kind: unpacked_rows(rows) for kind, rows in data["probes"].items()}
        except (KeyError, TypeError, AttributeError) as exc:
            raise ValueError(f"it lacks {exc}") from exc
        return cls(**known, probes=probes)


def _in_words(fact: Any) -> str:
    return "none" if fact is None else json.dumps(fact, ensure_ascii=False)


def _as_long(ones: Vectors, others: Vectors) -> bool:
    import numpy as np

    of_ones, of_others = np.linalg.norm(ones, axis=1), np.linalg.norm(others, axis=1)
    return bool(np.allclose(of_ones, of_others, rtol=_SAME_LENGTH))


# --- the record -----------------------------------------------------------------------------


def record_of(folder: Folder) -> Path:
    """Return where it is written what made the vectors in *folder*."""
    return folder.path / _RECORD


def recorded(folder: Folder) -> Identity | None:
    """
    Return what made the vectors in *folder*; None if that is not written there.

    Raises:
        EmbeddingIdentityError: What is written there can't be read.
    """
    path = record_of(folder)
    try:
        return Identity.from_json(json.loads(path.read_text("utf-8")))
    except FileNotFoundError:
        return None
    except OSError as exc:
        raise EmbeddingIdentityError(f"{path} can't be read: {exc.strerror}") from exc
    except ValueError as exc:
        raise EmbeddingIdentityError(
            f"{path} does not say what made the vectors there: {exc}; remove it, and stored texts "
            "are embedded again to find out"
        ) from exc


def record(folder: Folder, identity: Identity) -> None:
    """Write down what made the vectors in *folder*."""
    folder.path.mkdir(parents=True, exist_ok=True)
    write(record_of(folder), lambda file: json.dump(identity.as_json(), file, indent=1))


# --- what makes vectors now -----------------------------------------------------------------


class Embed(Protocol):
    """Embeds texts, as LightRAG's function does, but without looking at an index."""

    def __call__(
        self, texts: Sequence[str], *, input_type: InputType, deadline: Deadline
    ) -> Awaitable[Vectors]: ...


@attrs.frozen(eq=False)
class Maker:
    """
    What makes the vectors of LightRAG's function.

    Attributes:
        opening: What opens the model.
        dimensions: Length of a vector.
        asked: Length that the model is asked for; None for its own.
        max_tokens: Tokens of the longest text; None where unknown.
        is_asymmetric: Whether queries are embedded unlike documents.
        embed: Makes them.
    """

    opening: Opening[EmbeddingProvider]
    dimensions: int
    asked: int | None
    max_tokens: int | None
    is_asymmetric: bool
    embed: Embed

    def identity(self, probes: Mapping[InputType, Vectors] | None = None) -> Identity:
        """Return what is known of it; blocks while files are read."""
        provider, model = self.opening.provider.name, self.opening.model_name
        return Identity(provider, model, self.dimensions, _facts(self.opening), probes or {})

    async def probed(self, deadline: Deadline) -> Identity:
        """Return all there is to know of it; embeds the probes."""
        kinds = _INPUT_TYPES if self.is_asymmetric else _INPUT_TYPES[:1]
        probes = {
            kind: await self.embed(PROBES, input_type=kind, deadline=deadline) for kind in kinds
        }
        # The model is open now, and its files are here.
        return await asyncio.to_thread(self.identity, probes)

    def command(self, folder: Folder) -> str:
        """Return what makes the vectors in *folder* anew, as one writes it in a shell."""
        options = self.opening.options.asdict()
        fields = [field for field in self.opening.options.fields() if field.name in options]
        words = ["ragcore", "rag", "reembed", "--working-dir", str(folder.working_dir)]
        words += ["--workspace", folder.workspace] if folder.workspace else []
        words += ["-m", self.opening.reference]
        words += ["--dimensions", str(self.asked)] if self.asked else []
        for field in (field for field in fields if field.flags and not field.secret):
            words += ["-o", f"{field.name}={to_text(options[field.name])}"]
        return shlex.join(words)


def _facts(opening: Opening[EmbeddingProvider]) -> dict[str, Any]:
    if opening.provider.identity is None:
        fields = opening.options.fields()
        decisive = [field for field in fields if _DECISIVE & set(field.name.split("_"))]
        return {field.name: _holds(opening, field) for field in decisive}
    facts = opening.ask(opening.provider.identity)
    if not isinstance(facts, Mapping):
        raise opening.wrong_type("identity", facts, "a mapping")
    return dict(to_json(dict(facts)))


def _holds(opening: Opening[EmbeddingProvider], field: OptionField) -> Any:
    """Return what holds for an option, set or not; nothing and an empty text are alike."""
    value = getattr(opening.options, field.name)
    value = field.provider_default if value is None else value
    return None if value == "" else to_json(value)


# --- refusals -------------------------------------------------------------------------------


def refusal(
    folder: Folder,
    then: Mapping[str, str],
    now: Mapping[str, str],
    unlike: Sequence[str],
    command: str,
) -> EmbeddingIdentityError:
    """
    Return the error about an index that something else has made.

    Args:
        folder: Where the index is.
        then: What made it, as :meth:`Identity.shown` has it.
        now: What was to be used, likewise.
        unlike: In what they differ.
        command: Makes the vectors anew.
    """
    return EmbeddingIdentityError(
        f"{folder.path}: the vectors of this index were made by another embedding, and can't be "
        f"compared with those that {now['model']} makes now. Different: {', '.join(unlike)}.\n\n"
        f"{_side_by_side(then, now)}\n\n"
        "Open the index with its own embedding again, or have its vectors made anew by this one:\n"
        f"  {command}"
    )


def _side_by_side(then: Mapping[str, str], now: Mapping[str, str]) -> str:
    rows = [("", "the index", "now")]
    rows += [(name, then.get(name, "?"), now.get(name, "?")) for name in {**then, **now}]
    names, thens, _ = (max(map(len, column)) for column in zip(*rows, strict=True))
    return "\n".join(f"  {name:{names}}  {one:{thens}}  {other}" for name, one, other in rows)
