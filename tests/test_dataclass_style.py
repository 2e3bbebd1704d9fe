"""
Option classes written as LightRAG's are, with annotations that are types, not texts.

Those of ``every_option`` are under ``from __future__ import annotations``.
"""

import argparse
import copy
import dataclasses
import pickle
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, ClassVar, List, Literal, Union  # noqa: UP035

import attrs
import pytest

import ragcore
from ragcore import BindingOptions, Completion, CompletionProvider, OptionsError, Secret, option
from ragcore.testing import plugin


@dataclass
class _Mixin:
    num_ctx: int = 32768
    stop: List[str] = field(default_factory=list)  # noqa: UP006

    _help: ClassVar[dict[str, str]] = {
        "num_ctx": "Context window.",
        "think": "Whether to think.",
    }


@dataclass
class PirateLLMOptions(_Mixin, BindingOptions):  # type: ignore[misc]  # LightRAG's aren't frozen
    """Options of a provider that was written for LightRAG."""

    _binding_name: ClassVar[str] = "pirate_llm"

    think: Union[bool, Literal["low", "high"]] = True  # noqa: UP007
    temperature: float = 1.0
    max_tokens: int = None  # type: ignore[assignment]  # as LightRAG writes it
    extra_body: dict = None  # type: ignore[assignment, type-arg]


def by_name(group: Any) -> dict[str, Any]:
    return {one.name: one for one in group.fields()}


# --- what works ----------------------------------------------------------------------------


def test_it_has_a_group_fields_and_help() -> None:
    """Own and mixed-in ones; the mixin's come first, as in a dataclass."""
    fields = by_name(PirateLLMOptions)

    assert PirateLLMOptions.binding() == PirateLLMOptions._binding_name == "pirate_llm"
    assert list(fields) == ["num_ctx", "stop", "think", "temperature", "max_tokens", "extra_body"]
    assert fields["num_ctx"].help == PirateLLMOptions._help["num_ctx"] == "Context window."
    assert fields["think"].help == "Whether to think."
    assert fields["temperature"].help == ""
    assert fields["num_ctx"].variables == ("PIRATE_LLM_NUM_CTX",)
    assert {one.scope for one in fields.values()} == {"call"}


def test_defaults_are_had_but_not_sent() -> None:
    """As in LightRAG, where they document what the service does."""
    options = PirateLLMOptions(temperature=0.5)

    assert options.num_ctx == 32768
    assert options.asdict() == {"temperature": 0.5}
    assert by_name(PirateLLMOptions)["temperature"].unset == "default: 1.0"
    assert PirateLLMOptions().stop is not PirateLLMOptions().stop
    assert PirateLLMOptions().max_tokens is None


def test_it_is_a_dataclass_still() -> None:
    """For code that asks dataclasses about it."""
    options = PirateLLMOptions(temperature=0.5)

    assert dataclasses.is_dataclass(PirateLLMOptions)
    assert [one.name for one in dataclasses.fields(PirateLLMOptions)] == list(
        by_name(PirateLLMOptions)
    )
    assert dataclasses.asdict(options)["temperature"] == 0.5
    assert dataclasses.replace(options, temperature=0.7).temperature == 0.7
    assert copy.deepcopy(options).asdict() == options.asdict()


def test_what_is_named_as_a_key_is_a_secret() -> None:
    """The class has no other way to say so; tokens that are counted or set are none."""

    @dataclass
    class PirateOptions(BindingOptions):
        _binding_name: ClassVar[str] = "pirate"

        api_key: str = None  # type: ignore[assignment]  # as LightRAG writes it
        admin_password: str = "canary"
        max_tokens: int = 5
        eos_token: str = "</s>"
        host: str = "http://localhost"

    options = PirateOptions(api_key="canary")

    assert [one.name for one in PirateOptions.fields() if one.secret] == [
        "api_key",
        "admin_password",
    ]
    assert options.asdict() == {"api_key": "canary"}
    assert "canary" not in f"{options!r}{PirateOptions.generate_dot_env_sample()}"
    assert "canary" not in f"{PirateOptions.json_schema()}"
    with pytest.raises(TypeError, match="pickled"):
        pickle.dumps(options)


def test_it_is_strict() -> None:
    """Types, names, and one error about all."""
    make: Any = PirateLLMOptions

    with pytest.raises(OptionsError) as caught:
        make(temperature="hot", think="hgih", num_ctz=1)

    assert sorted(problem.partition(":")[0] for problem in caught.value.problems) == [
        "num_ctz",
        "temperature",
        "think",
    ]


def test_it_is_frozen() -> None:
    """Models share it."""
    options = PirateLLMOptions()

    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        options.temperature = 0.5  # type: ignore[misc]  # on purpose
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        del options.temperature


def test_equal_ones_are_equal() -> None:
    """By their options, whichever were set."""
    assert PirateLLMOptions(temperature=1.0) == PirateLLMOptions()
    assert PirateLLMOptions(temperature=0.5) != PirateLLMOptions()
    assert repr(PirateLLMOptions()).startswith("PirateLLMOptions(num_ctx=32768, stop=[], ")


class UndecoratedOptions(_Mixin, BindingOptions):  # type: ignore[misc]  # as above
    _binding_name = "undecorated"

    many: List[int] = field(default_factory=lambda: [1])  # noqa: UP006
    few: int = 1


@dataclass(frozen=True)
class FrozenOptions(BindingOptions):
    _binding_name: ClassVar[str] = "frozen"
    few: int = 1


@dataclass(frozen=True, kw_only=True, order=True)
class OrderedOptions(BindingOptions):
    _binding_name: ClassVar[str] = "ordered"
    few: int = 1


@dataclass
class MarkedOptions(BindingOptions):
    # Neither is marked as a ClassVar.
    _binding_name: str = "marked"  # type: ignore[misc]  # on purpose
    _private: int = 5
    _: dataclasses.KW_ONLY
    few: int = 1


@dataclass
class PartlyOursOptions(BindingOptions, binding="partly_ours"):
    few: int = option("Few.", default=1)
    stop: List[str] = field(default_factory=list)  # noqa: UP006


@pytest.mark.parametrize(
    "group",
    [UndecoratedOptions, FrozenOptions, OrderedOptions, MarkedOptions, PartlyOursOptions],
)
def test_it_may_be_written_in_many_ways(group: type[BindingOptions]) -> None:
    """Without the decorator, with its arguments, with half the annotations, half in our style."""
    options = group(few=2)
    few = by_name(group)["few"]

    assert options.asdict() == {"few": 2}
    assert options == group(few=2) != group()
    assert few.variables == (f"{group._binding_name}_FEW".upper(),)
    assert not [name for name in by_name(group) if name.startswith("_")]
    with pytest.raises(AttributeError):
        options.few = 3  # type: ignore[attr-defined]  # each of them has it


@dataclass
class BuccaneerLLMOptions(PirateLLMOptions):  # type: ignore[misc]  # as above
    _binding_name: ClassVar[str] = "buccaneer_llm"

    temperature: float = 0.2
    rum: int = 1


def test_a_class_inherits_from_another() -> None:
    """Fields and help; variables begin with its own name."""
    fields = by_name(BuccaneerLLMOptions)

    assert list(fields) >= ["num_ctx", "stop"]
    assert fields["num_ctx"].help == "Context window."
    assert fields["num_ctx"].variables == ("BUCCANEER_LLM_NUM_CTX",)
    assert BuccaneerLLMOptions(rum=2).asdict() == {"rum": 2}
    assert BuccaneerLLMOptions().temperature == 0.2
    assert isinstance(BuccaneerLLMOptions(), PirateLLMOptions)


@dataclass
class HiddenOptions(BindingOptions):
    _binding_name: ClassVar[str] = "hidden"

    token: str = field(default="", repr=False)
    key: Secret | None = None


def test_what_a_dataclass_keeps_from_its_repr_is_kept() -> None:
    """And a secret is one by its type."""
    options = HiddenOptions(token="sk-1", key="sk-2")  # type: ignore[arg-type]  # it is wrapped

    assert "sk-" not in repr(options)
    assert by_name(HiddenOptions)["key"].secret


@dataclass
class CheckedOptions(BindingOptions):
    _binding_name: ClassVar[str] = "checked_style"

    low: int = 0
    high: int = 9

    def __post_init__(self) -> None:
        if self.low > self.high:
            raise ValueError("low is above high")


def test_its_own_check_is_made() -> None:
    """And speaks as the host does."""
    assert CheckedOptions(low=1).low == 1
    with pytest.raises(OptionsError, match="low is above high @ checked_style"):
        CheckedOptions(low=10)


# --- what does not, and says so ------------------------------------------------------------


def test_a_nameless_argument_is_refused() -> None:
    """An option that is added in between would change its meaning."""
    make: Any = PirateLLMOptions

    with pytest.raises(TypeError, match=r"takes keywords only: write PirateLLMOptions\(option="):
        make(2048)


def test_slots_are_refused() -> None:
    """With them, `dataclass` makes another class of it."""

    class Slotted(BindingOptions):
        _binding_name = "slotted"
        few: int = 1

    with pytest.raises(TypeError, match="Slotted: options can't have slots: leave out slots=True"):
        dataclass(slots=True)(Slotted)


def test_a_class_without_a_name_says_so() -> None:
    """A group of its own needs variables of its own."""

    @dataclass
    class Nameless(PirateLLMOptions):  # type: ignore[misc]  # as above
        rum: int = 1

    with pytest.raises(TypeError, match=r"Nameless is a mixin: .* binding='…' or _binding_name"):
        Nameless()


# --- the way of a call ---------------------------------------------------------------------


@dataclass
class PirateOptions(BindingOptions):
    """Where the ship is."""

    _binding_name: ClassVar[str] = "pirate"

    host: str = "localhost"
    token: Secret = None  # type: ignore[assignment]  # as LightRAG writes it


@asynccontextmanager
async def connect(connection: PirateOptions) -> AsyncIterator[PirateOptions]:
    yield connection


class Backend:
    def __init__(self, client: PirateOptions, model: str, options: PirateLLMOptions) -> None:
        self._host = client.host

    async def complete(self, request: ragcore.CompletionRequest) -> Completion:
        return Completion(f"{self._host} {request.options.asdict()}")


class Plugin:
    @ragcore.hookimpl
    def ragcore_completion_providers(self) -> Iterable[CompletionProvider]:
        yield CompletionProvider(
            name="pirate",
            connection=PirateOptions,
            options=PirateLLMOptions,
            connect=f"{__name__}:connect",
            backend=f"{__name__}:Backend",
        )


async def test_a_plugin_may_have_such_classes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Read, checked, and set for a single call, as any other's."""
    monkeypatch.setenv("PIRATE_HOST", "ship")
    monkeypatch.setenv("PIRATE_LLM_STOP", '["arr"]')
    with plugin(Plugin()):
        async with ragcore.completion("pirate:parrot", temperature=0.5) as model:
            answer = await model.complete("Ahoy", max_tokens=7)
        with pytest.raises(OptionsError, match="temprature: unknown option; did you mean"):
            async with ragcore.completion("pirate:parrot", temprature=0.5):
                pass  # pragma: no cover

    assert answer.text == "ship {'stop': ['arr'], 'temperature': 0.5, 'max_tokens': 7}"


def test_a_server_may_use_it_as_lightrags_does(monkeypatch: pytest.MonkeyPatch) -> None:
    """Flags, roles and a sample, by the names that its code calls."""
    monkeypatch.setenv("EXTRACT_PIRATE_LLM_TEMPERATURE", "0.25")
    parser = argparse.ArgumentParser()
    PirateLLMOptions.add_args(parser)
    args = parser.parse_args(["--pirate-llm-num_ctx", "1024", "--pirate-llm-think", "on"])

    assert PirateLLMOptions.options_dict(args) == {"num_ctx": 1024, "think": True}
    assert PirateLLMOptions.options_dict_for_role(args, "extract", False) == {
        "num_ctx": 1024,
        "think": True,
        "temperature": 0.25,
    }
    assert "# PIRATE_LLM_NUM_CTX=32768\n" in PirateLLMOptions.generate_dot_env_sample()
