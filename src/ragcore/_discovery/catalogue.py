"""
The provider names that this project's own distributions ship.

A name here belongs to its distribution, whether installed or not, and is what a message
suggests to install. Nothing else in the host knows a provider.
"""

from __future__ import annotations

SHIPPED = {
    "openai": "lightrag-openai",
    "azure": "lightrag-openai",
    "azure_openai": "lightrag-openai",
    "deepseek": "lightrag-openai",
    "upstage": "lightrag-openai",
    "openrouter": "lightrag-openai",
    "groq": "lightrag-openai",
    "together": "lightrag-openai",
    "mistral": "lightrag-openai",
    "xai": "lightrag-openai",
    "vllm": "lightrag-openai",
    "lmstudio": "lightrag-openai",
    "llamacpp": "lightrag-openai",
    "tgi": "lightrag-openai",
    "tei": "lightrag-openai",
    "anthropic": "lightrag-anthropic",
    "bedrock": "lightrag-bedrock",
    "aws_bedrock": "lightrag-bedrock",
    "ollama": "lightrag-ollama",
    "hf": "lightrag-hf",
    "hf-inference": "lightrag-hf-inference",
}
