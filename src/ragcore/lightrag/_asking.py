"""``llm_model_func``: what LightRAG asks its questions by."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Iterable, Iterator, Mapping, Sequence
from typing import Any

from ragcore._calls.fallback import resolve
from ragcore._calls.opening import Opening
from ragcore._calls.owner import Owner
from ragcore._calls.stream import CompletionStream
from ragcore._records import Fallback, Image, JSONObject, Message, user
from ragcore.errors import OptionsError
from ragcore.hookspecs import CompletionProvider
from ragcore.lightrag._keeper import COMPLETIONS, USERS, WORK
from ragcore.lightrag._telling import Telling, begun, engines_errors
from ragcore.options import Sources, raise_all

# What a completion takes in the field's words, and what LightRAG says for it.
_LIGHTRAGS_WORDS = {
    "limits": "limits=, when the function is made",
    "max_output_tokens": "max_tokens=",
    "system": "system_prompt=",
}


CompletionFunction = Callable[..., Coroutine[Any, Any, Any]]


def llm_model_func(reference: str | Fallback, **options: Any) -> CompletionFunction:
    """
    Make LightRAG's ``llm_model_func`` out of a model.

    Nothing is opened yet. The first call opens the model; later ones, and those of other functions
    that were made alike, share it.

    Args:
        reference: ``"provider:model"``, or :func:`ragcore.fallback` of several.
        options: As in :func:`ragcore.completion`. Here *timeout* is 450 seconds if it is not set,
            which ends before LightRAG's own patience does, and *on_unsupported* is ``"prompt"``, so
            that a model without a JSON mode is asked for JSON in words.

    Returns:
        A coroutine function ``(prompt, system_prompt=None, history_messages=None, **arguments)``
        that returns a ``str``; ``TruncatedResponse``, which LightRAG does not cache, if it was cut;
        or an asynchronous iterator of non-empty ``str`` with ``stream=True``, if the model streams.
        Where limits have calls wait, users' questions (with *stream* or *enable_cot*) go before
        LightRAG's work on documents.
        Call-scoped options of the provider are arguments too, as in ``llm_model_kwargs``. A list of
        OpenAI's ``messages=`` takes the place of prompt, system prompt, history and images.

    Raises:
        UnknownProviderError: Nothing installed goes by that name.
        PluginError: The plugin is broken.
        OptionsError: Options are missing, unknown or invalid; all problems at once.
    """
    return completing(COMPLETIONS.in_time(resolved(reference, options)))


def resolved(
    reference: str | Fallback, options: Mapping[str, Any], sources: Sources | None = None
) -> Opening[CompletionProvider]:
    """Find who completes *reference*, and read its options; what it can't do is asked in words."""
    return resolve(reference, {"on_unsupported": "prompt", **options}, sources)


def completing(
    opening: Opening[CompletionProvider], *, answers_users: bool = False
) -> CompletionFunction:
    """
    Make the function that LightRAG calls; a closure, which it can copy.

    *answers_users* says that all it is asked is a user's question, or a part of one.
    """

    async def complete(
        prompt: str,
        system_prompt: str | None = None,
        history_messages: Iterable[Mapping[str, Any]] | None = None,
        *,
        stream: bool | None = None,
        enable_cot: bool = False,
        response_format: Any = None,
        image_inputs: Sequence[Any] | None = None,
        max_tokens: int | None = None,
        timeout: float | None = None,  # noqa: ASYNC109  # the deadline of all attempts together
        token_tracker: Any = None,
        hashing_kv: object = None,  # LightRAG's cache, passed with every call
        keyword_extraction: bool = False,
        entity_extraction: bool = False,
        messages: Iterable[Mapping[str, Any]] | None = None,  # in place of all others
        **options: Any,
    ) -> Any:
        _refuse_foreign_words(options)
        if response_format is None and (keyword_extraction or entity_extraction):
            response_format = JSONObject()
        if messages is None:
            asked = _conversation(prompt, history_messages or (), image_inputs or ())
        else:
            asked, system_prompt = tuple(_turns("messages", messages)), None
        arguments = {
            "system": system_prompt,
            "response_format": response_format,
            "max_output_tokens": max_tokens,
            **options,
        }
        # LightRAG asks for the keywords of a question with a response format and nothing else.
        says_more = system_prompt or history_messages or image_inputs or messages
        finds_keywords = response_format is not None and stream is None and not says_more
        is_for_user = answers_users or stream or enable_cot or finds_keywords
        arguments.setdefault("priority", USERS if is_for_user else WORK)
        shows_reasoning = enable_cot and response_format is None
        telling = Telling(opening.reference, shows_reasoning, token_tracker)
        async with COMPLETIONS.lent(opening) as (model, left):
            arguments["timeout"] = left if timeout is None else timeout
            with engines_errors():
                if stream and model.can_stream:
                    return await begun(streamed(asked, arguments), telling)
                return telling.whole(await model.complete(asked, **arguments))

    def streamed(messages: Any, arguments: Mapping[str, Any]) -> Owner[CompletionStream]:
        return COMPLETIONS.reading(opening, lambda model: model.stream(messages, **arguments))

    return complete


def _refuse_foreign_words(options: Mapping[str, Any]) -> None:
    raise_all(
        [
            f"{name}: LightRAG's word for it is {word}"
            for name, word in _LIGHTRAGS_WORDS.items()
            if name in options
        ]
    )


def _conversation(
    prompt: str, history: Iterable[Mapping[str, Any]], images: Iterable[Any]
) -> tuple[Message, ...]:
    shown = [_image(number, image) for number, image in enumerate(images)]
    return (*_turns("history_messages", history), user(prompt, images=shown))


def _turns(name: str, given: Iterable[Mapping[str, Any]]) -> Iterator[Message]:
    for number, turn in enumerate(given):
        try:
            yield _turn(turn)
        except (AttributeError, KeyError, TypeError, ValueError) as exc:
            raise OptionsError(
                f"{name}: number {number} is not {{'role': 'system' | 'user' | 'assistant', "
                f"'content': str, or a list of OpenAI's parts}}, but {turn!r:.80}"
            ) from exc


def _turn(turn: Mapping[str, Any]) -> Message:
    content = turn["content"]
    if not isinstance(content, list):
        return Message(turn["role"], content)
    texts = [part["text"] for part in content if part["type"] == "text"]
    images = [part["image_url"]["url"] for part in content if part["type"] == "image_url"]
    if len(texts) + len(images) < len(content):
        raise ValueError("a part is neither a text nor an image")
    return Message(turn["role"], "\n".join(texts), images=map(Image.from_url, images))


def _image(number: int, given: Any) -> Image:
    """Understand LightRAG's ``{"base64": …, "mime_type": …}``, and base64 or a data URL alone."""
    try:
        if isinstance(given, str):
            return Image.from_base64(given)
        return Image.from_base64(given["base64"], given.get("mime_type"))
    except (AttributeError, KeyError, TypeError, ValueError) as exc:
        raise OptionsError(
            f"image_inputs: number {number} is not base64, a data URL, or a dict with 'base64' "
            f"and 'mime_type': {exc}"
        ) from exc
