"""
Reads chat completions, the format of OpenAI's API, which many services speak.

Wire format: https://platform.openai.com/docs/api-reference/chat
"""

from __future__ import annotations

from ragcore._records import Chunk, Completion, FinishReason
from ragcore.errors import ContentFilterError
from ragcore.wire._answers import finish_reason, text_and_thoughts, text_in, unlike, usage_in
from ragcore.wire._objects import DONE, Object, without_error

_COUNTS = ("prompt_tokens", "completion_tokens")


def chat_completion(
    answer: Object, request_id: str | None = None, address: str = "", option: str = ""
) -> Completion:
    """
    Return the chat completion that *answer* is.

    Args:
        answer: As :func:`object_in` returns it.
        request_id: The service's identifier of the request.
        address: What was asked, for the error of an answer that is something else.
        option: The user's option that holds the address.

    Raises:
        ProviderError: It is none, or reports an error, or that the model refused.
        InterruptedStreamError: It ended for a reason that is not known; the error has the text.
    """
    match without_error(answer).get("choices"):
        case [dict(choice), *_]:
            message = _message_in(without_error(choice), "message")
        case _:
            raise unlike(answer, "chat completion", address, option)
    text, thought = text_and_thoughts(message.get("content"))
    refusal = text_in(message, "refusal")
    if refusal and not text:
        raise ContentFilterError(f"the model refused: {refusal}")
    reason = finish_reason(choice.get("finish_reason"), text)
    return Completion(
        text=text,
        finish_reason="content_filter" if refusal else reason,
        usage=usage_in(answer, *_COUNTS),
        reasoning=_reasoning_in(message) or thought,
        model=text_in(answer, "model") or None,
        request_id=request_id,
    )


class ChatReader:
    """Reads a streamed chat completion, one of :func:`objects` at a time."""

    def __init__(self) -> None:
        self._reason: object = None
        self._usage: Object = {}
        self._refusal = ""
        self._said = False

    def read(self, event: Object) -> Chunk | None:
        """
        Return what *event* adds to the answer, or None if that is nothing yet.

        Raises:
            ProviderError: It is no part of a chat completion, or reports an error.
        """
        if event is DONE:
            # Some say no reason; this is an end all the same.
            self._reason = self._reason or "stop"
            return None
        if event.get("usage"):
            self._usage = event
        match event.get("choices"):
            case [dict(choice), *_]:
                return self._chunk(without_error(choice))
            case []:
                return None
            case None if event.get("usage"):
                return None
        raise unlike(event, "part of a chat completion")

    def _chunk(self, choice: Object) -> Chunk | None:
        self._reason = choice.get("finish_reason") or self._reason
        delta = choice.get("delta")
        if not isinstance(delta, dict):
            # A service that has not streamed its answer says it in one message; one that has may
            # repeat it so.
            delta = _message_in(choice, "delta", *(() if self._said else ("message",)))
        self._refusal += text_in(delta, "refusal")
        text, thought = text_and_thoughts(delta.get("content"))
        reasoning = _reasoning_in(delta) or thought
        self._said = self._said or bool(text)
        return Chunk(text, reasoning) if text or reasoning else None

    def end(self) -> Chunk | None:
        """Return the last chunk; None where the service gave no reason for the end."""
        if self._refusal and not self._said:
            raise ContentFilterError(f"the model refused: {self._refusal}")
        if not self._reason:
            return None
        reason: FinishReason = finish_reason(self._reason)
        return Chunk(
            finish_reason="content_filter" if self._refusal else reason,
            usage=usage_in(self._usage, *_COUNTS),
        )


def _message_in(choice: Object, *names: str) -> Object:
    """Return what *choice* says under one of *names*, or as bare text, as old completions do."""
    said = next(
        (choice[name] for name in names if choice.get(name) is not None), choice.get("text")
    )
    return said if isinstance(said, dict) else {"content": said}


def _reasoning_in(message: Object) -> str:
    # DeepSeek, xAI, vLLM and llama.cpp say the one; OpenRouter, Groq, Together, later vLLM and
    # text-generation-inference the other; where both come they are the same.
    return text_in(message, "reasoning_content") or text_in(message, "reasoning")
