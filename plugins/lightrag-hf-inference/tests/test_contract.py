"""What every provider keeps, for Hugging Face's Inference API."""

from __future__ import annotations

from hf_inference_double import HF_INFERENCE

from ragcore.testing.contracts import HTTPCompletionContract, HTTPEmbeddingContract, PluginContract


class TestPlugin(PluginContract):
    package = "lightrag_hf_inference"
    completes = embeds = ("hf-inference",)
    sdk = ("huggingface_hub", "httpx", "numpy")


class TestCompletion(HTTPCompletionContract):
    case = HF_INFERENCE


class TestEmbedding(HTTPEmbeddingContract):
    case = HF_INFERENCE
