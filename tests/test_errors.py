"""Errors: the tree, what they say, and that they travel."""

from __future__ import annotations

import copy
import pickle
import re

import pytest

import ragcore
from ragcore import errors
from ragcore.errors import (
    InterruptedStreamError,
    InvalidRequestError,
    OptionsError,
    ProviderError,
    RagcoreError,
    RateLimitError,
)
from ragcore.testing import Script, scripted

ALL = [
    value
    for value in vars(errors).values()
    if isinstance(value, type) and issubclass(value, RagcoreError)
]


def drawn() -> dict[str, str]:
    """Return child and parent of every line of the tree in the module's docstring."""
    parents: dict[str, str] = {}
    above: list[str] = []
    for line in (errors.__doc__ or "").splitlines():
        if match := re.match(r"^    ([│├└─ ]*)([A-Z]\w+Error)\b", line):
            depth, name = len(match[1]) // 4, match[2]
            above[depth:] = [name]
            parents[name] = above[depth - 1] if depth else "Exception"
    return parents


def test_the_tree_in_the_docstring_is_the_tree() -> None:
    """What is drawn at the top of errors.py is what the classes are."""
    actual = {kind.__name__: kind.__bases__[0].__name__ for kind in ALL}

    assert drawn() == actual


@pytest.mark.parametrize("kind", ALL)
def test_every_error_is_made_from_one_string_and_exported(kind: type[RagcoreError]) -> None:
    """`Error("what happened")` suffices, and the text is the message."""
    assert str(kind("what happened")) == "what happened"
    assert getattr(ragcore, kind.__name__) is kind


@pytest.mark.parametrize("kind", ALL)
@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_every_error_survives_pickling_and_copying(kind: type[RagcoreError], protocol: int) -> None:
    """Nothing that an error knows is lost on the way; its cause stays at home."""
    error = kind("what happened")
    for name in vars(error):
        setattr(error, name, ("x",) if name in ("positions", "problems") else "x")
    error.__cause__ = ValueError("an SDK's")

    travelled = pickle.loads(pickle.dumps(error, protocol))  # noqa: S301  # our own

    assert type(travelled) is kind
    assert travelled.args == error.args
    assert vars(travelled) == vars(error)
    assert travelled.__cause__ is None
    assert vars(copy.copy(error)) == vars(error)


@pytest.mark.parametrize("kind", ALL)
def test_no_error_is_a_builtin_timeout(kind: type[RagcoreError]) -> None:
    """Schedulers, LightRAG's among them, take a TimeoutError for their own."""
    assert not issubclass(kind, TimeoutError | OSError)


def test_context_is_shown() -> None:
    """The message ends with all that one would quote to the service's support."""
    error = RateLimitError(
        "slow down",
        provider="acme",
        model="large",
        status=429,
        request_id="r1",
        retry_after=2.5,
        attempts=3,
    )

    assert str(error) == (
        "slow down [acme:large, status 429, request r1, retry after 2.5 s, 3 attempts]"
    )


def test_positions_are_shown_and_not_by_the_thousand() -> None:
    """A few are named, the others counted."""
    assert str(InvalidRequestError("bad", positions=[4, 7])) == "bad [at 4, 7]"
    assert str(InvalidRequestError("bad", positions=range(12))).endswith("8, 9 and 2 more]")


def test_options_error_lists_problems() -> None:
    """One line each; made from a string, the string is the problem."""
    assert OptionsError("a\nb", problems=["a", "b"]).problems == ("a", "b")
    assert OptionsError("a").problems == ("a",)
    assert isinstance(OptionsError("a"), ValueError)


def test_interrupted_stream_carries_text() -> None:
    """Half an answer may be of use."""
    assert InterruptedStreamError("broke", text="Goe").text == "Goe"


def sdk_call(key: str) -> None:
    """Fail as SDKs do: with a key in the frame, one exception during another."""
    try:
        int(f"first {len(key)}")
    except ValueError:
        raise ValueError("second") from OSError("third")


def translated(kind: type[ProviderError]) -> ProviderError:
    error = kind("refused")
    try:
        sdk_call("sk-very-secret")
    except ValueError as exc:
        error.__cause__ = exc
    return error


def behind(error: BaseException) -> list[BaseException]:
    """Return all causes and contexts of *error*, and theirs."""
    found: list[BaseException] = []
    left = [error]
    while left:
        one = left.pop()
        more = [e for e in (one.__cause__, one.__context__) if e is not None and e not in found]
        found += more
        left += more
    return found


async def test_no_frame_of_the_sdk_hangs_on_an_error() -> None:
    """Frames of an SDK hold keys in their locals; error reporters send locals away."""
    script = Script(translated(ragcore.AuthenticationError))
    with scripted():
        async with ragcore.completion("scripted:any", script=script) as model:
            with pytest.raises(ragcore.AuthenticationError) as caught:
                await model.complete("hi")

    causes = behind(caught.value)

    assert {str(cause) for cause in causes} == {
        "invalid literal for int() with base 10: 'first 14'",
        "second",
        "third",
    }
    assert all(cause.__traceback__ is None for cause in causes)


async def test_an_error_says_who_failed() -> None:
    """Provider and model are filled in by the host, unless the plugin knows better."""
    script = Script(ProviderError("no"), ProviderError("no", provider="inner", model="small"))
    with scripted():
        async with ragcore.completion("scripted:any", script=script) as model:
            with pytest.raises(ProviderError) as first:
                await model.complete("hi")
            with pytest.raises(ProviderError) as second:
                await model.complete("hi")

    assert (first.value.provider, first.value.model) == ("scripted", "any")
    assert (second.value.provider, second.value.model) == ("inner", "small")
    assert first.value.attempts == 1
