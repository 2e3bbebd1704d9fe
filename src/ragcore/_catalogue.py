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
    "anthropic": "lightrag-anthropic",
    "bedrock": "lightrag-bedrock",
    "aws_bedrock": "lightrag-bedrock",
    "ollama": "lightrag-ollama",
    "hf": "lightrag-hf",
    "hf-inference": "lightrag-hf-inference",
}
