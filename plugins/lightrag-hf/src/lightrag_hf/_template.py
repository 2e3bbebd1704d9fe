"""Messages -> a prompt, by the model's chat template."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from operator import itemgetter
from pathlib import Path
from typing import Any

import attrs

from lightrag_hf._control import ControlTokens
from lightrag_hf._files import read_json
from lightrag_hf._prompt import encoded
from lightrag_hf.options import HFLLMOptions
from ragcore import InvalidRequestError, Message, OptionsError, UnsupportedError
from ragcore.wire import described

_Turn = dict[str, Any]
_Form = Callable[[list[_Turn]], list[_Turn]]

_THINK = "<think>"

# Templates look for these in the model's own turns, to leave out what it thought.
_TAGS = (_THINK, "</think>")

_TEMPLATES_KEPT = 8


@attrs.frozen
class Prompt:
    """
    What a model reads.

    Attributes:
        tokens: At least one.
        begun: The beginning of the answer, where the template writes it: ``<think>``, or nothing.
    """

    tokens: Sequence[int]
    begun: str = ""


class Prompter:
    """
    Writes prompts for one model; safe to use from several threads.

    Args:
        tokenizer: As transformers loaded it.
        folder: Where the model came from; chat templates are looked for there too.
    """

    def __init__(self, tokenizer: Any, folder: Path | None = None) -> None:
        self._tokenizer = tokenizer
        self._folder = folder
        self._templates = _templates(tokenizer, folder)
        self._control = functools.lru_cache(_TEMPLATES_KEPT)(partial(ControlTokens, tokenizer))

    def prompt(self, messages: Sequence[Message], options: HFLLMOptions) -> Prompt:
        """
        Return the conversation as the model was trained to read it, up to where it answers.

        System messages go into the next turn of the user where the template refuses them, or
        leaves them out. Messages are given as lists of parts where it wants those.

        Raises:
            InvalidRequestError: The template refuses these messages, or leaves out some.
            OptionsError: There is no such template.
            UnsupportedError: The model has no chat template.
        """
        template = self._chosen(options.chat_template)
        control = self._control(template)
        rendering = _Rendering(self._tokenizer, template, control, options.chat_template_kwargs)
        rendered, marked = rendering.accepted(messages)
        if not options.allow_special_tokens and control.is_forged(rendered, marked):
            tokens = control.encoded(marked)
        else:
            tokens = encoded(self._tokenizer, rendered)
        if not tokens:
            raise InvalidRequestError(
                "the model's chat template makes an empty prompt of these messages; write "
                "something, or choose another template by chat_template="
            )
        return Prompt(tokens, _THINK if marked.rstrip().endswith(_THINK) else "")

    def _chosen(self, wanted: str | None) -> str:
        """Return the text of the template *wanted*, a name, a file or itself; else the model's."""
        if wanted is None:
            return self._default()
        if wanted in self._templates:
            return self._templates[wanted]
        if "{{" in wanted or "{%" in wanted:
            return wanted
        path = Path(wanted).expanduser()
        if path.is_file():
            return _text(path)
        names = ", ".join(sorted(self._templates)) or "none"
        raise OptionsError(
            f"chat_template: {wanted!r} is no template of the model (it has: {names}), no file "
            "and no template itself; give one of these @ hf_llm.chat_template"
        )

    def _default(self) -> str:
        if "default" in self._templates:
            return self._templates["default"]
        if self._templates:
            raise UnsupportedError(
                "this model has several chat templates and none of them is the default; choose by "
                f"chat_template= ({', '.join(sorted(self._templates))})"
            )
        where = f" ({str(self._folder)!r})" if self._folder else ""
        raise UnsupportedError(
            "this model has no chat template: it was not trained to answer, or its files lack it; "
            "take its variant for chats (often named 'Instruct' or 'Chat'), put a "
            f"chat_template.jinja into its folder{where} and open it again, or pass chat_template="
        )


def _templates(tokenizer: Any, folder: Path | None) -> dict[str, str]:
    """Return the templates by their names; what is in a file of its own comes first."""
    found = _named(tokenizer.chat_template)
    if folder is None:
        return found
    for name in ("processor_config.json", "chat_template.json"):
        # Models that also look at images keep it there.
        found = _named(read_json(folder / name).get("chat_template")) | found
    found |= {path.stem: _text(path) for path in folder.glob("additional_chat_templates/*.jinja")}
    file = folder / "chat_template.jinja"
    return found | ({"default": _text(file)} if file.is_file() else {})


def _named(given: Any) -> dict[str, str]:
    if isinstance(given, list):
        return {one["name"]: one["template"] for one in given}
    return dict(given) if isinstance(given, Mapping) else {"default": given} if given else {}


def _text(path: Path) -> str:
    try:
        return path.read_text("utf-8")
    except (OSError, ValueError) as exc:
        raise UnsupportedError(
            f"the chat template {str(path)!r} can't be read ({described(exc)}); save it as UTF-8 "
            "text, or pass another one by chat_template="
        ) from exc


class _ObjectionError(Exception):
    """A template does not do with messages in one form."""


@attrs.frozen
class _Rendering:
    """One template at work."""

    tokenizer: Any
    template: str
    control: ControlTokens
    variables: Mapping[str, Any] | None

    def accepted(self, messages: Sequence[Message]) -> tuple[str, str]:
        """Return what it makes of *messages*, and of marked ones, in the first form it accepts."""
        objections: list[Exception] = []
        for form in (*_FORMS, *_FORMS_IN_PARTS):
            try:
                return self._both(messages, form)
            except _ObjectionError as exc:
                objections.append(exc)
        roles = ", ".join(message.role for message in messages)
        # What it says of parts, where it wants none, is nothing that anybody wrote.
        said = dict.fromkeys(map(str, objections[: len(_FORMS)]))
        raise InvalidRequestError(
            f"the model's chat template refuses these messages ({roles}): {'; '.join(said)}; "
            "change them, or choose another template by chat_template="
        ) from objections[0].__cause__

    def _both(self, messages: Sequence[Message], form: _Form) -> tuple[str, str]:
        turns = [{"role": message.role, "content": message.content} for message in messages]
        rendered = self._render(form(turns), self.variables or {})
        given = form([*self._marked(turns)])
        marked = self._render(given, self._marked_variables())
        if any(repr(turn["content"][0]) in marked for turn in given if _is_in_parts(turn)):
            raise _ObjectionError("it does not know parts")
        there = self.control.places(marked)
        for place, turn in enumerate(turns):
            if place not in there and turn["content"].strip():
                raise _ObjectionError(f"it leaves out the text of the {turn['role']} message")
        return rendered, marked

    def _marked(self, turns: Sequence[_Turn]) -> Iterator[_Turn]:
        for place, turn in enumerate(turns):
            content = self.control.hidden(
                turn["content"], but=_TAGS if turn["role"] == "assistant" else ()
            )
            is_empty = not content.strip()
            yield turn | {"content": content if is_empty else self.control.ended(content, place)}

    def _marked_variables(self) -> Mapping[str, Any]:
        """Return the variables, whose documents and tools are nobody's word on what is said."""
        given = self.variables or {}
        return {
            name: value if isinstance(value, str) else self.control.hidden(value)
            for name, value in given.items()
        }

    def _render(self, turns: Sequence[_Turn], variables: Mapping[str, Any]) -> str:
        try:
            text: str = self.tokenizer.apply_chat_template(
                turns,
                chat_template=self.template,
                tokenize=False,
                add_generation_prompt=True,
                **variables,
            )
        except Exception as exc:  # a template is a program of the model's: it may raise anything
            raise _ObjectionError(described(exc)) from exc
        return text


def _as_is(turns: list[_Turn]) -> list[_Turn]:
    return turns


def _behind_system(turns: list[_Turn]) -> list[_Turn]:
    """Let the system begin and say nothing later; let the others alternate."""
    count = sum(1 for _ in itertools.takewhile(_is_of_system, turns))
    return _joined(turns[:count]) + _alternating(turns[count:])


def _alternating(turns: list[_Turn]) -> list[_Turn]:
    """Say in the user's name what the system says, and let roles alternate."""
    return _joined([turn | {"role": "user"} if _is_of_system(turn) else turn for turn in turns])


def _joined(turns: list[_Turn]) -> list[_Turn]:
    """Make one turn of neighbours that have one role."""
    return [
        {"role": role, "content": "\n\n".join(turn["content"] for turn in neighbours)}
        for role, neighbours in itertools.groupby(turns, itemgetter("role"))
    ]


def _in_parts(form: _Form, turns: list[_Turn]) -> list[_Turn]:
    return [turn | {"content": [{"type": "text", "text": turn["content"]}]} for turn in form(turns)]


def _is_of_system(turn: _Turn) -> bool:
    return bool(turn["role"] == "system")


def _is_in_parts(turn: _Turn) -> bool:
    return isinstance(turn["content"], list)


# Forms of a conversation, as templates want them; each changes more than the one before.
_FORMS: tuple[_Form, ...] = (_as_is, _behind_system, _alternating)
_FORMS_IN_PARTS: tuple[_Form, ...] = tuple(partial(_in_parts, form) for form in _FORMS)
