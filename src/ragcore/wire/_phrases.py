"""The words by which services say what their status does not: one table, with sources."""

from __future__ import annotations

import re
from collections.abc import Iterable

import attrs

from ragcore.errors import (
    AuthenticationError,
    ContentFilterError,
    ContextLengthError,
    InvalidRequestError,
    NotFoundError,
    PermissionDeniedError,
    ProviderError,
    QuotaExceededError,
    RateLimitError,
    RequestTooLargeError,
    UnavailableError,
)


def _compiled(words: str) -> re.Pattern[str]:
    return re.compile(words, re.IGNORECASE)


@attrs.frozen
class Phrase:
    """
    Words of a service that name the class of an error.

    Attributes:
        words: A regular expression, searched for in the message and the codes, in any case.
        kind: The class that they mean.
        instead_of: The classes, by code or status, that they make more exact. Where neither code
            nor status says anything, every phrase counts.
        cure: What to do, put after the message.
    """

    words: re.Pattern[str] = attrs.field(converter=_compiled)
    kind: type[ProviderError]
    instead_of: tuple[type[ProviderError], ...] = (InvalidRequestError,)
    cure: str = ""


_TOO_MUCH = (InvalidRequestError, ContextLengthError, RateLimitError)
_NO_CREDIT = (InvalidRequestError, PermissionDeniedError, RateLimitError, UnavailableError)
_TOO_LONG = (InvalidRequestError, UnavailableError)  # llama.cpp and Ollama answer 500

# The first that fits counts. Sources are pages of documentation, or issues that quote the words.
PHRASES = (
    # More in one request than a minute's limit, which no wait lets pass:
    # Groq, continuedev/continue#10218; OpenAI, vanna-ai/vanna-flask#11.
    Phrase("request too large for", RequestTooLargeError, _TOO_MUCH),
    # A day's limit, by Gemini's quotaId: google-gemini/gemini-cli#8437.
    Phrase("PerDay", QuotaExceededError, (RateLimitError,)),
    # A minute's, which Gemini calls a quota, too: diegosouzapw/OmniRoute#9504; one that says when
    # to come back: Groq, elizaOS/eliza#4040.
    Phrase(r"per[ _-]?(min|second)|(retry|try again) in \d", RateLimitError, (RateLimitError,)),
    # A day's: Bedrock, minorun365/agent-book#29; Gemini, google-gemini/gemini-cli#10513.
    Phrase("per day|daily", QuotaExceededError, (RateLimitError,)),
    # No credit: OpenAI, Pythagora-io/gpt-pilot#340; DeepSeek,
    # https://api-docs.deepseek.com/quick_start/error_codes; LiteLLM, BerriAI/litellm#4208;
    # Anthropic, anthropics/claude-quickstarts#83; Ollama, diegosouzapw/OmniRoute#3709.
    Phrase(
        "insufficient_quota|exceeded your current quota|insufficient balance|budget_exceeded"
        "|budget has been exceeded|credit balance is too low|usage limit",
        QuotaExceededError,
        _NO_CREDIT,
    ),
    # Too long: OpenAI, The-Vibe-Company/quivr#505; vLLM, vllm-project/vllm#20409; llama.cpp,
    # ggml-org/llama.cpp#7389, gpustack/gpustack#1359; text-embeddings-inference,
    # huggingface/text-embeddings-inference#356. The last three, of lightrag-openai, have no source.
    Phrase(
        r"maximum context length|exceeds? the (available )?context size|context_length_exceeded"
        r"|exceed_context_size|too large to process|must have less than \d+ tokens"
        "|maximum input length|maximum sequence length|larger than the max",
        ContextLengthError,
        _TOO_LONG,
    ),
    # Too many texts: text-embeddings-inference, coze-dev/coze-studio#455; SiliconFlow,
    # apecloud/ApeRAG#716; DashScope, memodb-io/memobase#142; Gemini, geldata/gel#9032; Cohere,
    # langchain4j/langchain4j#1442; Azure, openai/openai-cookbook#252. Too much text in all:
    # OpenAI, spiceai/spiceai#6142.
    Phrase(
        "batch size|requests can be in one batch|number of texts must be at most|too many inputs"
        r"|max \d+ tokens per request",
        RequestTooLargeError,
        _TOO_MUCH,
        cure="batch_size= sends fewer texts at once",
    ),
    # Too long: Anthropic, https://platform.claude.com/docs/en/api/errors; Bedrock,
    # aws-samples/amazon-bedrock-workshop#136, ScrapeGraphAI/Scrapegraph-ai#400;
    # text-generation-inference, https://huggingface.co/docs/inference-providers; xAI,
    # cline/cline#3120, UKGovernmentBEIS/inspect_ai#5208; LM Studio,
    # lmstudio-ai/lmstudio-bug-tracker#546; OpenRouter, earendil-works/pi#4943; Z.AI,
    # earendil-works/pi#9805; DashScope, anomalyco/opencode#45834; Gemini,
    # google-gemini/gemini-cli#4231.
    Phrase(
        r"\b(input|prompt|message|request|text|document)s?\b.{0,60}\btoo long"
        r"|too many (input )?tokens|input tokens exceed|expected maxlength"
        r"|context (length|window|limit)|number of (input )?tokens\b.{0,200}\bexceed"
        "|max_(new_)?tokens`? must be <=|longer than the maximum|sequence length"
        "|maximum prompt length|input_too_large|n_keep .{0,20}>= n_ctx"
        "|maximum allowed input length|range of input length"
        "|input token count.{0,40}exceeds the maximum",
        ContextLengthError,
    ),
    # Filters: Azure, browser-use/browser-use#4783; Anthropic, anthropics/claude-code#6195;
    # Bedrock's guardrails, by lightrag-bedrock.
    Phrase(
        "ResponsibleAIPolicyViolation|content filter|guardrail.{0,200}(block|interven)",
        ContentFilterError,
    ),
    # No such model: Bedrock, aws-samples/amazon-bedrock-workshop#315.
    Phrase("model identifier is invalid", NotFoundError),
    # Without code and status, in a stream: Ollama, https://docs.ollama.com/api/errors.
    Phrase("too many requests|rate limit", RateLimitError, ()),
    Phrase("unauthorized", AuthenticationError, ()),
    Phrase("model.{0,200}not found", NotFoundError, ()),
)


def phrase_in(
    texts: Iterable[str], kind: type[ProviderError] | None, more: Iterable[Phrase] = ()
) -> Phrase | None:
    """
    Return the phrase in *texts* that says more than *kind* does.

    Args:
        texts: The message and the codes.
        kind: What code and status mean; None if they say nothing.
        more: A service's own phrases, which come first.
    """
    text = "\n".join(texts)[:_LONGEST]
    fitting = (one for one in (*more, *PHRASES) if kind is None or kind in one.instead_of)
    return next((one for one in fitting if one.words.search(text)), None)


_LONGEST = 10_000  # characters
