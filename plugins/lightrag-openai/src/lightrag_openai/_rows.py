"""
OpenAI-compatible endpoints that come with this plugin, a row each.

Addresses, variables and restrictions are those of each service's own documentation.

Third parties make theirs with :func:`lightrag_openai.compatible`.
"""

from __future__ import annotations

from lightrag_openai._endpoint import Endpoint

_UPSTAGE = (
    "embedding",
    "embedding-query",
    "embedding-passage",
    "solar-embedding-1-large",
    "solar-embedding-1-large-query",
    "solar-embedding-1-large-passage",
)

ROWS: tuple[Endpoint, ...] = (
    # https://api-docs.deepseek.com: JSON objects only, text only, no embeddings
    Endpoint(
        "deepseek",
        base_url="https://api.deepseek.com/v1",
        api_key_env="DEEPSEEK_API_KEY",
        json_schema=False,
        images=False,
        embeds=False,
        refuses=("seed", "logit_bias", "service_tier"),
    ),
    # https://console.upstage.ai/docs: separate models for queries and passages, 100 texts a request
    Endpoint(
        "upstage",
        base_url="https://api.upstage.ai/v1",
        api_key_env="UPSTAGE_API_KEY",
        images=False,
        embedding_models={
            "embedding": ("embedding-query", "embedding-passage"),
            "solar-embedding-1-large": (
                "solar-embedding-1-large-query",
                "solar-embedding-1-large-passage",
            ),
        },
        embedding_sizes=dict.fromkeys(_UPSTAGE, (4096, 4000)),
        can_choose_dimensions=False,
        max_batch=100,
        max_batch_tokens=204_800,
    ),
    # https://openrouter.ai/docs
    Endpoint(
        "openrouter",
        base_url="https://openrouter.ai/api/v1",
        api_key_env="OPENROUTER_API_KEY",
    ),
    # https://console.groq.com/docs/openai: what it does not take answers 400
    Endpoint(
        "groq",
        base_url="https://api.groq.com/openai/v1",
        api_key_env="GROQ_API_KEY",
        max_tokens="max_completion_tokens",
        refuses=("logit_bias", "store"),
        embeds=False,
    ),
    # https://docs.together.ai/docs/openai-api-compatibility
    Endpoint(
        "together",
        base_url="https://api.together.xyz/v1",
        api_key_env="TOGETHER_API_KEY",
        can_choose_dimensions=False,
    ),
    # https://docs.mistral.ai/api: unknown fields answer 422; its seed is random_seed
    Endpoint(
        "mistral",
        base_url="https://api.mistral.ai/v1",
        api_key_env="MISTRAL_API_KEY",
        renames={"seed": "random_seed"},
        refuses=(
            "logit_bias",
            "max_completion_tokens",
            "verbosity",
            "service_tier",
            "safety_identifier",
            "prompt_cache_key",
            "store",
            "user",
        ),
        stream_usage=False,
        embedding_sizes={"mistral-embed": (1024, 8192)},
        can_choose_dimensions=False,
        max_batch_tokens=16_384,
    ),
    # https://docs.x.ai/docs
    Endpoint(
        "xai",
        base_url="https://api.x.ai/v1",
        api_key_env="XAI_API_KEY",
        refuses=("logit_bias",),
        embeds=False,
    ),
    # https://docs.api.nvidia.com/nim: embedding models tell queries from passages
    Endpoint(
        "nvidia",
        base_url="https://integrate.api.nvidia.com/v1",
        api_key_env="NVIDIA_API_KEY",
        refuses=("logit_bias", "service_tier", "store"),
        input_types={"query": "query", "document": "passage"},
        can_choose_dimensions=False,
    ),
    # https://docs.vllm.ai/en/latest/serving/openai_compatible_server.html
    Endpoint(
        "vllm",
        base_url="http://localhost:8000/v1",
        api_key_env="VLLM_API_KEY",
        needs_key=False,
        max_batch=None,
    ),
    # https://lmstudio.ai/docs/app/api/endpoints/openai
    Endpoint(
        "lmstudio",
        base_url="http://localhost:1234/v1",
        api_key_env="LMSTUDIO_API_KEY",
        needs_key=False,
        can_choose_dimensions=False,
        max_batch=None,
    ),
    # https://github.com/ggml-org/llama.cpp/tree/master/tools/server
    Endpoint(
        "llamacpp",
        base_url="http://localhost:8080/v1",
        api_key_env="LLAMACPP_API_KEY",
        needs_key=False,
        can_choose_dimensions=False,
        max_batch=None,
    ),
    # https://huggingface.co/docs/text-generation-inference/messages_api
    Endpoint(
        "tgi",
        base_url="http://localhost:3000/v1",
        api_key_env="TGI_API_KEY",
        needs_key=False,
        embeds=False,
    ),
    # https://huggingface.co/docs/text-embeddings-inference: 32 texts a request by default
    Endpoint(
        "tei",
        base_url="http://localhost:8080/v1",
        api_key_env="TEI_API_KEY",
        needs_key=False,
        completes=False,
        max_batch=32,
    ),
)
