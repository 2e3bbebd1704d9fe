"""Makes a conversation out of what a caller gives, and refuses text that can't be sent."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from ragcore._calls.characters import check_text
from ragcore._records import Message, system, user
from ragcore.errors import InvalidRequestError

Messages = str | Message | Iterable[Message | Mapping[str, Any]]


def conversation(given: Messages, instructions: str | None) -> tuple[Message, ...]:
    """
    Return the messages to send: *instructions* first, as a system message, if there are any.

    Raises:
        InvalidRequestError: There is no message, or one holds a lone surrogate.
        TypeError: Something in it is neither a :class:`ragcore.Message` nor a dict of one.
    """
    messages = _messages(given)
    if instructions is not None:
        messages = (system(instructions), *messages)
    if not messages:
        raise InvalidRequestError("there is no message to answer")
    check_text([message.content for message in messages], "message")
    return messages


def _messages(given: Messages) -> tuple[Message, ...]:
    if isinstance(given, str):
        return (user(given),)
    if isinstance(given, Message):
        return (given,)
    # One dict is one message, as one Message is; its keys are none.
    several = (given,) if isinstance(given, Mapping) else given
    return tuple(_message(one) for one in several)


def _message(given: object) -> Message:
    if isinstance(given, Message):
        return given
    if isinstance(given, Mapping) and set(given) == {"role", "content"}:
        return Message(given["role"], given["content"])
    raise TypeError(
        f"{given!r:.80} is not a Message; use ragcore.user(), system() or assistant(), or a dict "
        "with 'role' and 'content'."
    )
