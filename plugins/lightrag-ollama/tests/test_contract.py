"""What every provider keeps, for Ollama."""

from __future__ import annotations

from ollama_double import OLLAMA

from ragcore.testing.contracts import HTTPCompletionContract, HTTPEmbeddingContract, PluginContract


class TestPlugin(PluginContract):
    package = "lightrag_ollama"
    completes = embeds = ("ollama",)
    sdk = ("ollama", "httpx", "pydantic", "numpy")


class TestCompletion(HTTPCompletionContract):
    case = OLLAMA
    image_urls = False


class TestEmbedding(HTTPEmbeddingContract):
    case = OLLAMA
