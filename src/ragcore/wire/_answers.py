"""Reads what answers say, in whatever shape services put it."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ragcore._records import FinishReason, Usage
from ragcore.errors import InterruptedStreamError, ProviderError, UnavailableError
from ragcore.wire._reported import misdirected, reported
from ragcore.wire._said import said

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt


def decoded(body: str | bytes, address: str = "", option: str = "") -> Any:
    """
    Return what the JSON in *body* says; bytes that are no UTF-8 become U+FFFD.

    Args:
        body: The answer, or a part of it.
        address: What was asked, for the error; see :func:`misdirected`.
        option: The user's option that holds the address.

    Raises:
        UnavailableError: It is no JSON, or more than can be read: another attempt may get it whole.
        ProviderError: It is a page or a text, which says something else.
    """
    text = body if isinstance(body, str) else body.decode(json.detect_encoding(body), "replace")
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as exc:
        error = _unreadable(text)
        raise misdirected(error, address, option) if address else error from exc


def _unreadable(text: str) -> ProviderError:
    if text.lstrip()[:1] in ("{", "["):
        return UnavailableError(f"the JSON that came can't be read: {said(text)[0]}")
    return reported(text, unknown=UnavailableError)


def object_in(
    body: str | bytes, wanted: str, address: str = "", option: str = ""
) -> dict[str, Any]:
    """
    Return the JSON object in *body*, which is to be a *wanted*; arguments as in :func:`decoded`.

    Raises:
        ProviderError: As :func:`decoded` and :func:`unlike` say.
    """
    answer = decoded(body, address, option)
    if not isinstance(answer, dict):
        raise unlike(answer, wanted, address, option)
    return answer


def unlike(answer: object, wanted: str, address: str = "", option: str = "") -> ProviderError:
    """
    Return the error that an *answer* stands for which is not what was *wanted*.

    What it says may name the class; else it is taken for damaged, and another may be whole. It
    names the *address* and its *option*, as :func:`misdirected` does, where they are given.
    """
    error = reported(answer, unknown=UnavailableError)
    error.args = (f"what came back is no {wanted}: {said(answer)[0] or repr(answer)[:80]}",)
    return misdirected(error, address, option) if address else error


def text_and_thoughts(content: object) -> tuple[str, str]:
    """
    Return the text and the reasoning in the content of a message.

    Args:
        content: A text, a part, a list of them, or None.

    Raises:
        UnavailableError: It is none of these.

    Source:
        Parts that think: https://docs.mistral.ai/capabilities/reasoning/
    """
    return _text_and_thoughts(content, _DEEPEST_CONTENT)


def _text_and_thoughts(content: object, depth: int) -> tuple[str, str]:
    match content:
        case None:
            return "", ""
        case str():
            return content, ""
        case _ if depth == 0:
            raise UnavailableError("the content of a message is nested too deep")
        case list():
            parts = [_text_and_thoughts(part, depth - 1) for part in content]
            return "".join(text for text, _ in parts), "".join(thought for _, thought in parts)
        case {"type": "thinking" | "reasoning" | "reasoning_text" as kind, **part}:
            thoughts = _text_and_thoughts(part.get(kind) or part.get("text"), depth - 1)
            return "", "".join(thoughts)
        case {"text": text} | {"value": text}:
            return _text_and_thoughts(text, depth - 1)
        case {"type": str()}:
            return "", ""
    raise UnavailableError(f"what came is no content of a message: {said(content)[0]}")


_DEEPEST_CONTENT = 20


_WORDS: dict[FinishReason, str] = {
    "stop": """
        stop stopped eos eos_token stop_sequence stop_token end_turn end complete completed finish
        finished done tool_call tool_calls tool_use function_call
    """,
    "length": """
        length max_tokens max_length max_output_tokens max_new_tokens model_length error_limit
        model_context_window_exceeded
    """,
    "content_filter": """
        content_filter content_filtered sensitive safety image_safety recitation blocklist spii
        prohibited_content error_toxic refusal guardrail_intervened
    """,
}
_FINISH_REASONS = {word: reason for reason, words in _WORDS.items() for word in words.split()}
_FAILED = ("abort", "aborted", "error", "insufficient_system_resource", "network_error")


def finish_reason(word: object, text: str = "") -> FinishReason:
    """
    Return what a service's *word* for the end of an answer means, in any case.

    Args:
        word: As OpenAI, Anthropic, Cohere, DeepSeek, Gemini, Mistral, text-generation-inference,
            vLLM, Z.AI or a gateway says it.
        text: What had come until then, for the error.

    Raises:
        UnavailableError: The service says that it broke down.
        InterruptedStreamError: The word is not known: the answer may be cut.
    """
    name = word.lower() if isinstance(word, str) else ""
    if name in _FAILED:
        raise UnavailableError(f"the service broke off while it answered: {name!r}")
    if name not in _FINISH_REASONS:
        shown = said(word)[0] if word else repr(word)
        raise InterruptedStreamError(
            f"the answer ended for a reason that is not known: {shown!r}", text=text
        )
    return _FINISH_REASONS[name]


def count(usage: object, *path: str) -> int | None:
    """Return the number of tokens that stands in *usage* at *path*; None if there is none."""
    for name in path:
        usage = usage.get(name) if isinstance(usage, Mapping) else None
    if isinstance(usage, bool) or not isinstance(usage, int | float):
        return None
    return int(usage) if 0 <= usage < _MOST_TOKENS else None


def counted(headers: Mapping[str, str], name: str) -> int | None:
    """Return the number of tokens that the header of that *name* says; None if it says none."""
    said = headers.get(name, "")
    return int(said) if re.fullmatch("[0-9]{1,15}", said) else None


_MOST_TOKENS = 2**53  # above it, JSON's numbers are not exact


def usage_in(answer: Mapping[str, Any], of_input: str, of_output: str) -> Usage | None:
    """
    Return the tokens that *answer* counts under these names; None if it counts none.

    Details stand where OpenAI puts them.
    """
    usage = answer.get("usage")
    put_in, put_out = count(usage, of_input), count(usage, of_output)
    if put_in is None and put_out is None:
        return None
    cached = count(usage, f"{of_input}_details", "cached_tokens")
    return Usage(
        put_in or 0,
        put_out or 0,
        # DeepSeek counts cached tokens at the top.
        cached_input_tokens=cached or count(usage, "prompt_cache_hit_tokens") or 0,
        reasoning_tokens=count(usage, f"{of_output}_details", "reasoning_tokens") or 0,
    )


def text_in(part: Mapping[str, Any], name: str) -> str:
    """Return the text of that *name*; empty if there is none."""
    text = part.get(name)
    return text if isinstance(text, str) else ""


def vector(numbers: object) -> npt.NDArray[np.float32]:
    """
    Return a vector that came as JSON.

    Raises:
        ProviderError: It is no list of numbers, or an empty one; a text or a boolean is no number.
    """
    import numpy as np

    if not isinstance(numbers, list) or not numbers or not set(map(type, numbers)) <= {int, float}:
        raise ProviderError(f"what came back is no vector: {_beginning(numbers)}")
    try:
        # What overflows becomes infinity, which the host finds.
        with np.errstate(over="ignore"):
            return np.asarray(numbers, np.float32)
    except OverflowError as exc:
        raise ProviderError("a number of a vector is out of all bounds") from exc


def table(vectors: Sequence[npt.NDArray[np.float32]], texts: int) -> npt.NDArray[np.float32]:
    """
    Return the *vectors* of so many *texts* as the rows of a table.

    Raises:
        ProviderError: There are more or fewer, or they differ in length.
    """
    import numpy as np

    if len(vectors) != texts:
        raise ProviderError(f"{len(vectors)} vectors came back for {texts} texts")
    lengths = {vector.size for vector in vectors}
    if len(lengths) > 1:
        raise ProviderError(f"vectors of different lengths came back: {sorted(lengths)}")
    return np.stack(vectors)


def _beginning(numbers: object) -> str:
    return said(numbers[:3] if isinstance(numbers, list) else numbers)[0] or "it is empty"
