"""The ways to ask for JSON, from the strictest down; and the JSON in what comes back."""

from __future__ import annotations

import json
import re
from typing import Any

import attrs

from ragcore._records import (
    Capabilities,
    CompletionRequest,
    JSONObject,
    JSONSchema,
    Message,
    Rung,
    system,
)

Format = JSONObject | JSONSchema

_OPEN = JSONSchema({"type": "object"}, strict=False)
_DECODER = json.JSONDecoder()
# A text with more openings than these is no answer in JSON.
_MOST_OPENINGS = 1000


@attrs.frozen
class Way:
    """
    A way to ask for JSON.

    Attributes:
        rung: What an answer says of it.
        native: What the service itself is asked for; None: nothing.
        worded: What the prompt asks for; None: nothing.
    """

    rung: Rung
    native: Format | None = None
    worded: Format | None = None

    def put(self, request: CompletionRequest, before: Way | None = None) -> CompletionRequest:
        """Return *request*, which asks for no JSON, or in the way *before* this, asking so."""
        messages = request.messages
        if self.worded is not None and (before is None or before.worded is None):
            messages = prompted(messages, self.worded)
        return attrs.evolve(request, messages=messages, response_format=self.native)


def is_native(format: Format, capabilities: Capabilities) -> bool:  # noqa: A002  # the field's word
    """Say whether the service itself can be asked for *format*."""
    if isinstance(format, JSONSchema):
        return capabilities.json_schema
    return capabilities.json_object


def ways(format: Format, capabilities: Capabilities) -> tuple[Way, ...]:  # noqa: A002
    """Return the ways to ask for *format*, the strictest first; the last one needs nothing."""
    found = [Way("native", format)] if is_native(format, capabilities) else []
    if isinstance(format, JSONSchema) and capabilities.json_object:
        found.append(Way("object", JSONObject(), format))
    if found and isinstance(format, JSONObject) and capabilities.json_schema:
        # For servers that have taken one for the other (LM Studio); who has no mode for objects
        # without a schema refuses this one, too.
        found.append(Way("schema", _OPEN, format))
    return (*found, Way("prompted", None, format))


def prompted(messages: tuple[Message, ...], format: Format) -> tuple[Message, ...]:  # noqa: A002
    """Return *messages* with the request for *format* added to the system message."""
    ask = "Answer with one JSON object and nothing else: no prose, no code fence."
    if isinstance(format, JSONSchema):
        ask = f"{ask}\nIt must fit this JSON Schema:\n{json.dumps(format.schema)}"
    if messages[0].role == "system":
        first = attrs.evolve(messages[0], content=f"{messages[0].content}\n\n{ask}")
        return (first, *messages[1:])
    return (system(ask), *messages)


def json_in(text: str, format: Format) -> str | None:  # noqa: A002
    """
    Return the JSON that *text* holds, without the prose or the fence around it; None for none.

    Of several pieces, the longest that is of the kind that *format* wants.
    """
    wanted = _kind(format)
    longest, passed = "", 0
    for number, opening in enumerate(re.finditer(r"\[" if wanted is list else r"\{", text)):
        if number == _MOST_OPENINGS:
            break
        if opening.start() < passed:
            continue
        try:
            _, passed = _DECODER.raw_decode(text, opening.start())
        except (ValueError, RecursionError):
            continue
        longest = max(longest, text[opening.start() : passed], key=len)
    return longest or _scalar(text, wanted)


def _kind(format: Format) -> type | None:  # noqa: A002
    """Return the type that *format* wants; None for any but a list or a dict."""
    if isinstance(format, JSONObject):
        return dict
    kinds = {"array": list, "object": dict}
    named = format.schema.get("type", "object")
    return kinds.get(named) if isinstance(named, str) else None


def _scalar(text: str, wanted: type | None) -> str | None:
    if wanted is not None:
        return None
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return None
    return text.strip()


def repaired(text: str, format: Format) -> str | None:  # noqa: A002
    """Return the JSON that a library makes of what is nearly JSON in *text*; None for none."""
    wanted = _kind(format) or dict
    start = text.find("[" if wanted is list else "{")
    if start < 0:
        return None
    import json_repair

    value: Any = json_repair.loads(text[start:])
    is_one = isinstance(value, wanted) and bool(value)
    return json.dumps(value, ensure_ascii=False) if is_one else None
