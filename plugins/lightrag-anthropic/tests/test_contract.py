"""What every provider keeps, for Anthropic."""

from __future__ import annotations

from anthropic_double import ANTHROPIC

from ragcore.testing.contracts import HTTPCompletionContract, PluginContract


class TestPlugin(PluginContract):
    package = "lightrag_anthropic"
    completes = ("anthropic",)
    sdk = ("anthropic", "httpx", "pydantic", "numpy")


class TestCompletion(HTTPCompletionContract):
    case = ANTHROPIC
