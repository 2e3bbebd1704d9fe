"""
Fakes for tests: a provider that does what a script says, and a clock that doesn't wait.

A test hands in what a provider or a service is to do, and gets back what it was asked. Tests of the
host, of plugins and of users import this; the host itself never does. :mod:`ragcore.testing.server`
is the scripted HTTP server on which doubles of services are built, and
:mod:`ragcore.testing.contracts` has the tests that every provider has to pass.

::

    from ragcore.testing import FakeClock, Script, scripted

    def test_waits_as_told():
        script = Script(RateLimitError("slow down", retry_after=30), "Goethe")

        async def ask():
            async with ragcore.completion("scripted:any", script=script) as model:
                return await model.complete("Who wrote Faust?")

        with scripted(), FakeClock() as clock:
            assert clock.run(ask()).text == "Goethe"
            assert clock.time >= 30

What comes in: scripts, and coroutines to run. What goes out: a provider that does what its script
says, and time that passes at once. May be imported by tests alone.
"""

from ragcore.testing._clock import FakeClock
from ragcore.testing._script import (
    DIMENSIONS,
    CharacterTokenizer,
    Delay,
    Script,
    ScriptedEmbeddingOptions,
    ScriptedLLMOptions,
    ScriptedOptions,
    embeddings,
    plugin,
    scripted,
)

__all__ = [
    "DIMENSIONS",
    "CharacterTokenizer",
    "Delay",
    "FakeClock",
    "Script",
    "ScriptedEmbeddingOptions",
    "ScriptedLLMOptions",
    "ScriptedOptions",
    "embeddings",
    "plugin",
    "scripted",
]
