"""Tests of chat templates: which one, and what it makes of messages."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from transformers import PreTrainedTokenizerFast

import ragcore
from lightrag_hf._template import Prompter
from lightrag_hf.options import HFLLMOptions
from ragcore import InvalidRequestError, Message, OptionsError, UnsupportedError, system, user
from ragcore import assistant as said

TURNS = "{% for m in messages %}[{{ m.role }}]{{ m.content }}{% endfor %}[answer]"
REFUSES_SYSTEM = (
    "{% if messages[0].role == 'system' %}{{ raise_exception('System role not supported') }}"
    "{% endif %}" + TURNS
)
ALTERNATES = (
    "{% for m in messages %}{% if (m.role == 'user') != (loop.index0 % 2 == 0) %}"
    "{{ raise_exception('Conversation roles must alternate user/assistant/user/assistant/...') }}"
    "{% endif %}{% endfor %}" + TURNS
)
LEAVES_SYSTEM_OUT = (
    "{% for m in messages %}{% if m.role != 'system' %}[{{ m.role }}]{{ m.content }}{% endif %}"
    "{% endfor %}[answer]"
)
# As Phi 4's.
FIRST_SYSTEM = (
    "{% for m in messages %}{% if loop.first or m.role != 'system' %}[{{ m.role }}]{{ m.content }}"
    "{% endif %}{% endfor %}"
)
# As DeepSeek-R1's.
LAST_SYSTEM = (
    "{% for m in messages if m.role == 'system' %}{% if loop.last %}[system]{{ m.content }}"
    "{% endif %}{% endfor %}"
    "{% for m in messages if m.role != 'system' %}[{{ m.role }}]{{ m.content }}{% endfor %}"
)
# As Llama Guard 3 and SmolVLM have it.
IN_PARTS = (
    "{% for m in messages %}[{{ m.role }}]{% for part in m.content %}"
    "{% if part.type == 'text' %}{{ part.text }}{% endif %}{% endfor %}{% endfor %}[answer]"
)
SYSTEM_REFUSED_IN_PARTS = (
    "{% if messages[0].role == 'system' %}{{ raise_exception('System role not supported') }}"
    "{% endif %}" + IN_PARTS
)
TALK = (system("Be brief."), user("Hi"))

SaveModel = Callable[..., Path]


@pytest.fixture
def written(tiny_tokenizer: PreTrainedTokenizerFast) -> Callable[..., str]:
    """Return what gives the prompt as text."""

    def write(template: str, *messages: Message, **options: Any) -> str:
        prompter = Prompter(tiny_tokenizer)
        wanted = HFLLMOptions(chat_template=template, **options)
        return str(tiny_tokenizer.decode(list(prompter.prompt(messages, wanted).tokens)))

    return write


@pytest.mark.parametrize(
    "template",
    [REFUSES_SYSTEM, ALTERNATES, LEAVES_SYSTEM_OUT, SYSTEM_REFUSED_IN_PARTS],
    ids=["refused", "not alternating", "left out", "refused in parts"],
)
def test_what_the_system_says_goes_to_the_user_where_it_may_not_speak(
    template: str, written: Callable[..., str]
) -> None:
    """The text stands before the user's, as Gemma's makers advise."""
    prompt = written(template, *TALK, said("Hello"), user("Bye"))

    assert prompt == "[user]Be brief.\n\nHi[assistant]Hello[user]Bye[answer]"


def test_a_system_message_stays_where_it_may(written: Callable[..., str]) -> None:
    """Nothing is moved that the template accepts."""
    prompt = written(TURNS, *TALK, system("Be long."), user("Why?"))

    assert prompt == "[system]Be brief.[user]Hi[system]Be long.[user]Why?[answer]"


def test_a_later_system_message_goes_into_the_turn_beside_it(written: Callable[..., str]) -> None:
    """The order of what was said is kept."""
    prompt = written(ALTERNATES, user("Hi"), said("Hello"), system("Be brief."), user("Bye"))

    assert prompt == "[user]Hi[assistant]Hello[user]Be brief.\n\nBye[answer]"


@pytest.mark.parametrize("template", [FIRST_SYSTEM, LAST_SYSTEM], ids=["first", "last"])
def test_the_system_speaks_first_where_it_may(template: str, written: Callable[..., str]) -> None:
    """Only what a template leaves out is said in the user's name."""
    prompt = written(template, *TALK, said("Hello"), system("Be long."), user("Bye"))

    assert prompt == "[system]Be brief.[user]Hi[assistant]Hello[user]Be long.\n\nBye"
    assert written(template, system("Be brief."), *TALK).startswith(
        "[system]Be brief.\n\nBe brief.[user]Hi"
    )


def test_two_turns_of_the_user_become_one_where_roles_have_to_alternate(
    written: Callable[..., str],
) -> None:
    """Both texts are read."""
    assert written(ALTERNATES, user("Hi"), user("there")) == "[user]Hi\n\nthere[answer]"


def test_a_system_message_alone_is_a_users(written: Callable[..., str]) -> None:
    """A template that refuses it gets a turn of the user."""
    assert written(REFUSES_SYSTEM, system("Be brief.")) == "[user]Be brief.[answer]"


def test_parts_are_given_to_a_template_that_wants_them(written: Callable[..., str]) -> None:
    """No text is lost where a text would be read letter by letter."""
    assert written(IN_PARTS, *TALK) == "[system]Be brief.[user]Hi[answer]"


@pytest.mark.parametrize(
    ("template", "why"),
    [
        ("{{ raise_exception('No.') }}", "TemplateError: No."),
        ("Hello.", "leaves out the text of the user message"),
        ("", "leaves out the text of the user message"),
        ("Hi there!", "leaves out the text of the user message"),
        ("{{ messages[0].content[:1] }}", "leaves out the text of the user message"),
        ("{{ nothing.at.all }}", "UndefinedError"),
        ("{{ 1 / 0 }}", "ZeroDivisionError"),
        ("{% if %}", "TemplateSyntaxError"),
        ("{{ ''.__class__.__mro__ }}", "SecurityError"),
        ("{{ messages | nothing }}", "TemplateAssertionError"),
        ("{{ bos_token + messages[0].content }}", "'bos_token' is undefined"),
        ("{{ messages.append(1) }}", "SecurityError"),
    ],
)
def test_a_template_that_does_not_do_is_an_error_that_says_why(
    template: str, why: str, written: Callable[..., str]
) -> None:
    """No answer is given to anything but what was asked, and the cure is named."""
    with pytest.raises(InvalidRequestError, match=rf"\(user\): .*{re.escape(why)}") as caught:
        written(template + "{{ '' }}", user("Hi"))

    assert "chat_template=" in str(caught.value)


@pytest.mark.parametrize(
    "template", ["{{ messages[-1].content }}", LEAVES_SYSTEM_OUT.replace("system", "assistant")]
)
def test_a_history_that_is_left_out_is_an_error(template: str, written: Callable[..., str]) -> None:
    """A template that forgets what was said before would answer something else."""
    with pytest.raises(InvalidRequestError, match="leaves out the text of the"):
        written(template, user("Hi"), said("Hello"), user("Bye"))


@pytest.mark.parametrize(
    ("change", "wanted"),
    [
        ("trim", "Hi\nthere"),
        ("upper", "\n HI\nTHERE  "),
        ("tojson", '"\\n Hi\\nthere  "'),
        ("replace('i', 'o')", "\n Ho\nthere  "),
    ],
)
def test_a_text_may_be_written_in_another_way(
    change: str, wanted: str, written: Callable[..., str]
) -> None:
    """Such a text is not left out."""
    template = f"Hi! {{{{ messages[0].content | {change} }}}}"

    assert written(template, user("\n Hi\nthere  ")) == f"Hi! {wanted}"


def test_what_reasoning_models_thought_before_may_be_left_out(
    written: Callable[..., str],
) -> None:
    """Qwen3 and DeepSeek-R1 look for the tag that closes it."""
    template = TURNS.replace("m.content", "m.content.split('</think>')[-1].strip()")
    prompt = written(template, user("Hi"), said("<think>\nHm.\n</think>\n\nHello"), user("Bye"))

    assert prompt == "[user]Hi[assistant]Hello[user]Bye[answer]"


def test_variables_reach_the_template(written: Callable[..., str]) -> None:
    """What a template calls enable_thinking, or knows as documents, can be set."""
    template = (
        "{{ messages[0].content }}{% for one in documents or () %}<{{ one.text }}>{% endfor %}"
        "{% if enable_thinking is defined and not enable_thinking %}<think></think>{% endif %}"
    )
    variables = {"enable_thinking": False, "documents": [{"text": "a"}]}

    assert written(template, user("Hi")) == "Hi"
    assert written(template, user("Hi"), chat_template_kwargs=variables) == "Hi<a><think></think>"
    with pytest.raises(InvalidRequestError, match="tokenize"):
        written(template, user("Hi"), chat_template_kwargs={"tokenize": True})


class TestSeveralTemplates:
    @pytest.fixture
    def folder(self, save_model: SaveModel) -> Path:
        """Return a model with several templates, as their names."""
        folder = save_model()
        (folder / "chat_template.jinja").unlink()
        path = folder / "tokenizer_config.json"
        named = [
            {"name": name, "template": f"{name}: {TURNS}"}
            for name in ("default", "rag", "tool_use")
        ]
        path.write_text(json.dumps(json.loads(path.read_text()) | {"chat_template": named}))
        return folder

    async def read(self, folder: Path, **options: Any) -> int:
        """Return how many tokens the model reads."""
        options |= {"device": "cpu", "keep_alive": 0.0}
        async with ragcore.completion(f"hf:{folder}", **options) as model:
            answer = await model.complete("Hi", max_output_tokens=1)
        assert answer.usage is not None
        return answer.usage.input_tokens

    async def test_the_default_is_taken_or_the_one_that_is_named(
        self, folder: Path, tmp_path: Path
    ) -> None:
        """A template is chosen by its name, as a file, or written out."""
        file = tmp_path / "own.jinja"
        file.write_text(f"1234567890{TURNS}", "utf-8")
        length = len("[user]Hi[answer]")

        assert await self.read(folder) == length + len("default: ")
        assert await self.read(folder, chat_template="rag") == length + len("rag: ")
        assert await self.read(folder, chat_template=str(file)) == length + 10
        assert await self.read(folder, chat_template=TURNS) == length

    async def test_one_that_is_not_there_is_an_error(self, folder: Path) -> None:
        """The error names those that are."""
        with pytest.raises(OptionsError, match=r"'rga'.*default, rag, tool_use"):
            await self.read(folder, chat_template="rga")

    async def test_without_a_default_one_has_to_be_chosen(self, folder: Path) -> None:
        """The error names what there is to choose from."""
        path = folder / "tokenizer_config.json"
        path.write_text(path.read_text().replace('"default"', '"other"'))

        with pytest.raises(UnsupportedError, match=r"chat_template= \(other, rag, tool_use\)"):
            await self.read(folder)
        assert await self.read(folder, chat_template="rag") > 0

    async def test_files_of_their_own_come_first(self, folder: Path) -> None:
        """As transformers reads them: the default one, and more in a folder."""
        (folder / "additional_chat_templates").mkdir()
        (folder / "additional_chat_templates/rag.jinja").write_text(f"R{TURNS}")
        (folder / "chat_template.jinja").write_text(TURNS)
        length = len("[user]Hi[answer]")

        assert await self.read(folder) == length
        assert await self.read(folder, chat_template="rag") == length + 1


@pytest.mark.parametrize("name", ["chat_template.json", "processor_config.json"])
async def test_a_template_for_a_processor_serves(name: str, save_model: SaveModel) -> None:
    """Models that look at images keep it there."""
    folder = save_model()
    (folder / "chat_template.jinja").unlink()
    (folder / name).write_text(json.dumps({"chat_template": IN_PARTS}))

    async with ragcore.completion(f"hf:{folder}", device="cpu", keep_alive=0.0) as model:
        answer = await model.complete("Hi", max_output_tokens=1)

    assert answer.usage is not None
    assert answer.usage.input_tokens == len("[user]Hi[answer]")


async def test_the_cure_of_a_missing_template_works_at_once(save_model: SaveModel) -> None:
    """A file that is put into the folder is read, though the model is still loaded."""
    folder = save_model()
    (folder / "chat_template.jinja").unlink()
    options: dict[str, Any] = {"device": "cpu", "max_output_tokens": 1}
    async with ragcore.completion(f"hf:{folder}", keep_alive=9.0, **options) as model:
        with pytest.raises(UnsupportedError, match=r"put a chat_template\.jinja into its folder"):
            await model.complete("Hi")

    (folder / "chat_template.jinja").write_text(TURNS)
    async with ragcore.completion(f"hf:{folder}", keep_alive=0.0, **options) as model:
        await model.complete("Hi")


async def test_a_template_that_is_no_text_is_an_error(save_model: SaveModel) -> None:
    """The error names the file."""
    path = save_model() / "own.jinja"
    path.write_bytes(b"\xff\xfe")

    async with ragcore.completion(f"hf:{path.parent}", device="cpu", keep_alive=0.0) as model:
        with pytest.raises(UnsupportedError, match=r"own\.jinja.*UTF-8"):
            await model.complete("Hi", chat_template=str(path))


async def test_a_template_beside_a_gguf_file_is_read(
    tmp_path: Path, model_cache: Path, smollm2_gguf: Path
) -> None:
    """It goes before the one in the file, as in a folder."""
    file = tmp_path / "model.gguf"
    file.symlink_to(smollm2_gguf)
    options: dict[str, Any] = {"device": "cpu", "keep_alive": 0.0, "max_output_tokens": 1}
    read = []
    for template in (None, "{{ messages[0].content }}"):
        if template:
            (tmp_path / "chat_template.jinja").write_text(template)
        async with ragcore.completion(f"hf:{file}", **options) as model:
            answer = await model.complete("hello")
        assert answer.usage is not None
        read.append(answer.usage.input_tokens)

    assert read[0] > read[1]
    assert read[1] <= len("hello")
