"""The host's own options: persistence in parts, as keywords, variables, flags and lines of .env."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import attrs
import pytest
from every_option import parsed

import ragcore
from ragcore import RateLimitError, Retry
from ragcore._discovery.host_options import HostCompletionOptions, HostEmbeddingOptions, HostOptions
from ragcore.lightrag import llm_model_func
from ragcore.options import Sources, read
from ragcore.testing import FakeClock, Script, scripted

PROVIDERS = Retry(attempts=5, attempt_timeout=60.0, wait_initial=2.0, wait_max=9.0)
PARTS: list[tuple[str, Any, Any]] = [
    ("attempts", "1", 1),
    ("attempt_timeout", "7.5", 7.5),
    ("attempt_timeout", "0", None),
    ("wait_initial", "0", 0.0),
    ("wait_max", "3", 3.0),
]


def from_keyword(name: str, text: str) -> HostOptions:
    keywords: dict[str, Any] = {f"retry_{name}": float(text)}
    return HostOptions(**keywords)


def from_variable(name: str, text: str) -> HostOptions:
    (found,) = read([HostOptions], {}, {f"RAGCORE_RETRY_{name.upper()}": text})
    assert isinstance(found, HostOptions)
    return found


def from_file(name: str, text: str) -> HostOptions:
    variables = {f"RAGCORE_RETRY_{name.upper()}": text}
    (found,) = read([HostOptions], {}, sources=Sources(environ={}, dotenv=variables))
    assert isinstance(found, HostOptions)
    return found


def from_flag(name: str, text: str) -> HostOptions:
    flag = f"--ragcore-retry-{name.replace('_', '-')}"
    return HostOptions(**HostOptions.options_dict(parsed(HostOptions, argv=[flag, text])))


@pytest.mark.parametrize("way", [from_keyword, from_variable, from_file, from_flag])
@pytest.mark.parametrize(("name", "text", "value"), PARTS)
def test_a_part_that_is_set_replaces_the_providers(
    way: Callable[[str, str], HostOptions], name: str, text: str, value: Any
) -> None:
    """All else stays as the provider says; an attempt of 0 seconds has no deadline."""
    expected = {**attrs.asdict(PROVIDERS), name: value}

    assert attrs.asdict(way(name, text).persistence(PROVIDERS)) == expected


def test_every_part_of_persistence_is_an_option() -> None:
    """What is added to Retry can be set, too."""
    names = {field.name for field in HostOptions.fields()}

    assert {f"retry_{part.name}" for part in attrs.fields(Retry)} <= names


def test_a_whole_retry_goes_before_its_parts() -> None:
    """And where nothing is set, the provider's holds."""
    whole = Retry(attempts=2)

    assert HostOptions(retry=whole, retry_attempts=7).persistence(PROVIDERS) == whole
    assert HostOptions().persistence(PROVIDERS) == PROVIDERS


def attempts_of_a_call(**options: Any) -> int:
    script = Script(forever=RateLimitError("slow down"))

    async def ask() -> None:
        async with ragcore.completion("scripted:any", script=script, **options) as model:
            await model.complete("Who wrote Faust?")

    with scripted(), FakeClock() as clock, pytest.raises(RateLimitError):
        clock.run(ask())
    return len(script.requests)


def test_a_call_is_as_persistent_as_a_variable_says(monkeypatch: pytest.MonkeyPatch) -> None:
    """A keyword goes before it."""
    monkeypatch.setenv("RAGCORE_RETRY_ATTEMPTS", "2")

    assert attempts_of_a_call() == 2
    assert attempts_of_a_call(retry_attempts=4) == 4


def test_lightrags_function_is_as_persistent_as_it_says() -> None:
    """As any call."""
    script = Script(forever=RateLimitError("slow down"))

    with scripted(), FakeClock() as clock, pytest.raises(RateLimitError):
        clock.run(llm_model_func("scripted:any", script=script, retry_attempts=2)("Who?"))

    assert len(script.requests) == 2


def test_the_longest_answer_is_an_option_of_completion_alone() -> None:
    """A keyword only: variables are the providers' own."""
    (field,) = [one for one in HostCompletionOptions.fields() if one.name == "max_output_tokens"]

    assert HostCompletionOptions(max_output_tokens=5).max_output_tokens == 5
    assert (field.variables, field.minimum) == ((), 1)
    assert "max_output_tokens" not in {one.name for one in HostEmbeddingOptions.fields()}
