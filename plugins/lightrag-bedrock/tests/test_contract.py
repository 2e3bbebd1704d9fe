"""What every provider keeps, for Amazon Bedrock."""

from __future__ import annotations

from bedrock_double import BEDROCK

from ragcore.testing.contracts import HTTPCompletionContract, HTTPEmbeddingContract, PluginContract


class TestPlugin(PluginContract):
    package = "lightrag_bedrock"
    completes = embeds = ("bedrock",)
    sdk = ("boto3", "botocore", "urllib3", "numpy")


class TestCompletion(HTTPCompletionContract):
    case = BEDROCK
    image_urls = False


class TestEmbedding(HTTPEmbeddingContract):
    case = BEDROCK
