"""What every provider keeps, for OpenAI, Azure, and two of those that are like OpenAI."""

from __future__ import annotations

import pytest
from openai_double import AZURE, DEEPSEEK, LLAMACPP, OPENAI

from ragcore import QuotaExceededError
from ragcore.testing.contracts import HTTPCompletionContract, HTTPEmbeddingContract, PluginContract
from ragcore.testing.server import Failure


class TestPlugin(PluginContract):
    package = "lightrag_openai"
    completes = ("openai", "azure", "llamacpp", "deepseek")
    embeds = ("openai", "azure", "llamacpp", "tei")
    sdk = ("openai", "httpx2", "aiohttp", "numpy")


class CompatibleContract(HTTPCompletionContract):
    @pytest.mark.parametrize("code", ["insufficient_quota", "budget_exceeded", "billing_error"])
    async def test_no_credit_is_no_matter_of_waiting(self, code: str) -> None:
        """Though the status is that of a rate limit."""
        async with self.asked(Failure(429, "You have no credit.", code)) as (service, model):
            with pytest.raises(QuotaExceededError):
                await model.complete("Who?")

        assert len(service.requests) == 1


class TestOpenAI(CompatibleContract):
    case = OPENAI


class TestAzure(CompatibleContract):
    case = AZURE


class TestLlamaCpp(CompatibleContract):
    case = LLAMACPP


class TestDeepSeek(CompatibleContract):
    case = DEEPSEEK
    json_schema = False
    images = False


class TestOpenAIEmbedding(HTTPEmbeddingContract):
    case = OPENAI
    numbers_vectors = True


class TestAzureEmbedding(HTTPEmbeddingContract):
    case = AZURE
    numbers_vectors = True


class TestLlamaCppEmbedding(HTTPEmbeddingContract):
    case = LLAMACPP
    numbers_vectors = True
