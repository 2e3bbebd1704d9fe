"""Discovery through real entry points: what works, what is set aside, and what is said of it."""

from __future__ import annotations

import json
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import attrs
import pytest

import ragcore
from ragcore._discovery.loading import build
from ragcore._discovery.registry import Registry
from ragcore._discovery.sources import Source
from ragcore.hookspecs import CompletionProvider, EmbeddingProvider, hookimpl
from ragcore.testing import ScriptedEmbeddingOptions, ScriptedLLMOptions, ScriptedOptions, plugin

GOOD = """
from ragcore.testing import ScriptedLLMOptions, ScriptedOptions
import ragcore

@ragcore.hookimpl
def ragcore_completion_providers():
    yield ragcore.CompletionProvider(
        name="NAME", aliases=ALIASES, connection=ScriptedOptions, options=ScriptedLLMOptions,
        connect="ragcore.testing._script:_connect",
        backend="ragcore.testing._script:_ScriptedBackend",
    )
"""

ASK = """
import asyncio, json, sys
import ragcore
from ragcore.testing import Script

installed = ragcore.providers()

async def ask(name):
    try:
        async with ragcore.completion(f"{name}:any", script=Script("Goethe")) as model:
            return (await model.complete("Who?")).text
    except ragcore.RagcoreError as exc:
        return [type(exc).__name__, str(exc)]

print(json.dumps({
    "providers": {p.name: [p.distribution, p.version, p.tasks] for p in installed.providers},
    "broken": {b.distribution: [b.entry_point, b.reason, b.cure] for b in installed.broken},
    "asked": {name: asyncio.run(ask(name)) for name in sys.argv[1:]},
}))
"""


def good(name: str, *aliases: str) -> str:
    """Return the source of a plugin that works."""
    return GOOD.replace("NAME", name).replace("ALIASES", repr(aliases))


class Site:
    """A folder with installed distributions."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def install(
        self, distribution: str, source: str, *, entry_points: str = "", module: str = ""
    ) -> None:
        """Have *distribution* with one module, named by an entry point."""
        stem = distribution.replace("-", "_")
        module = module or f"{stem}_module"
        (self.folder / f"{module}.py").write_text(textwrap.dedent(source))
        info = self.folder / f"{stem}-1.2.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(
            f"Metadata-Version: 2.1\nName: {distribution}\nVersion: 1.2\n"
        )
        entry_points = entry_points or f"[ragcore]\n{distribution} = {module}\n"
        (info / "entry_points.txt").write_text(entry_points)

    def run(self, code: str, *arguments: str, **environ: str) -> str:
        """Run *code* in a new interpreter that sees the folder, and return what it prints."""
        done = subprocess.run(  # noqa: S603  # our own code
            [sys.executable, "-c", code, *arguments],
            env={"PYTHONPATH": str(self.folder), "PYTHONUTF8": "1", **environ},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def ask(self, *names: str, **environ: str) -> Any:
        """Return what is installed, and what providers of *names* answer."""
        return json.loads(self.run(ASK, *names, **environ))


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path)


def test_a_plugin_is_found_by_its_entry_point(site: Site) -> None:
    """A distribution that nobody told us of is listed, and answers."""
    site.install("acme-ragcore", good("acme", "acme_llm"))

    found = site.ask("acme", "acme_llm")

    assert found["providers"]["acme"] == ["acme-ragcore", "1.2", ["completion"]]
    assert found["asked"] == {"acme": "Goethe", "acme_llm": "Goethe"}


UNWELL = {
    "raises-at-import": ("raise ValueError('no luck')", "ValueError: no luck"),
    "exits-at-import": ("import sys; sys.exit(3)", "SystemExit: 3"),
    "panics-at-import": ("class P(BaseException): ...\nraise P('panic')", "P: panic"),
    "lacks-its-sdk": ("import an_sdk_nobody_has", "No module named 'an_sdk_nobody_has'"),
    "shows-no-message": (
        "class E(Exception):\n    def __str__(self): raise KeyError\nraise E",
        "E: its message can't be shown",
    ),
    "has-bad-syntax": ("def (", "SyntaxError"),
    "misspells": (
        """
        import ragcore
        @ragcore.hookimpl
        def ragcore_completion_provider():
            return []
        """,
        "is no hook of ragcore; did its authors mean ragcore_completion_providers?",
    ),
    "misspells-the-prefix": (
        """
        import ragcore
        @ragcore.hookimpl
        def ragcor_options():
            return []
        """,
        "ragcor_options is no hook of ragcore; did its authors mean ragcore_options?",
    ),
    "forgets-the-marker": (
        "def ragcore_completion_providers():\n    return []",
        "ragcore_completion_providers lacks @ragcore.hookimpl",
    ),
    "is-async": (
        """
        import ragcore
        @ragcore.hookimpl
        async def ragcore_completion_providers():
            return []
        """,
        "ragcore_completion_providers is async",
    ),
    "is-async-under-another-name": (
        """
        import ragcore
        @ragcore.hookimpl(specname="ragcore_options")
        async def options():
            return []
        """,
        "options is async",
    ),
    "is-a-wrapper": (
        """
        import ragcore
        @ragcore.hookimpl(wrapper=True)
        def ragcore_completion_providers():
            return (yield)
        """,
        "ragcore_completion_providers is a wrapper",
    ),
    "wants-arguments": (
        """
        import ragcore
        @ragcore.hookimpl
        def ragcore_completion_providers(config):
            return []
        """,
        "config",
    ),
    "has-no-hook": ("x = 1", "it implements no hook"),
    "raises-in-hook": (
        """
        import ragcore
        @ragcore.hookimpl
        def ragcore_embedding_providers():
            raise RuntimeError("not today")
        """,
        "ragcore_embedding_providers failed: RuntimeError: not today",
    ),
    "raises-midway": (
        good("raises-midway") + "    raise RuntimeError('after the first')\n",
        "ragcore_completion_providers failed: RuntimeError: after the first",
    ),
    "returns-none": (
        """
        import ragcore
        @ragcore.hookimpl
        def ragcore_completion_providers():
            pass
        """,
        "ragcore_completion_providers failed: TypeError",
    ),
    "returns-garbage": (
        """
        import ragcore
        class Sly:
            def __repr__(self): raise SystemExit
        @ragcore.hookimpl
        def ragcore_completion_providers():
            return [Sly()]
        """,
        "ragcore_completion_providers returned a Sly, no CompletionProvider",
    ),
    "returns-no-options": (
        """
        import ragcore
        @ragcore.hookimpl
        def ragcore_options():
            return [dict]
        """,
        "ragcore_options returned a type, no BindingOptions class",
    ),
    "names-unknown-types": (
        """
        from __future__ import annotations
        import ragcore
        class O(ragcore.BindingOptions, binding="o"):
            x: Nowhere | None = ragcore.option("?", default=None)
        @ragcore.hookimpl
        def ragcore_options():
            return [O]
        """,
        "options O: TypeError",
    ),
    "has-bad-capabilities": (
        good("odd").replace("name=", "capabilities=lambda name: None, name="),
        "capabilities returned a NoneType, no Capabilities",
    ),
    "fails-in-capabilities": (
        good("odd").replace("name=", "capabilities=lambda name: 1 / 0, name="),
        "capabilities: ZeroDivisionError",
    ),
    "has-no-retry": (good("odd").replace("name=", "retry=None, name="), "'retry' must be"),
    "has-one-alias": (good("odd").replace("aliases=()", "aliases='odder'"), "'odder' is one str"),
    "shouts-its-name": (good("ODD"), "lower case"),
    "asks-while-loading": (
        "import ragcore\nragcore.providers()",
        "PluginError: A plugin asked for providers while plugins were being loaded",
    ),
    "declares-twice": (
        good("twice").replace("options=ScriptedLLMOptions", "options=Mine")
        + """
class Mine(ragcore.BindingOptions, binding="scripted"):
    api_key: str | None = ragcore.option("Again.", default=None)
""",
        "option 'api_key' of provider 'twice' is declared twice, by ScriptedOptions and by Mine",
    ),
    "takes-a-name-of-the-host": (
        good("greedy").replace("options=ScriptedLLMOptions", "options=Mine")
        + """
class Mine(ragcore.BindingOptions, binding="ragcore"):
    timeout: float | None = ragcore.option("Mine, too.", default=None)
""",
        "option 'timeout' of provider 'greedy' is declared twice, by the host and by Mine",
    ),
    "takes-a-word-of-calls": (
        good("wordy").replace("options=ScriptedLLMOptions", "options=Mine")
        + """
class Mine(ragcore.BindingOptions, binding="wordy"):
    max_output_tokens: int | None = ragcore.option("Mine.", default=None, scope="call")
""",
        "option 'max_output_tokens' of provider 'wordy' is declared twice, by the host and by Mine",
    ),
}


def test_each_unwell_plugin_is_reported_and_the_others_work(site: Site) -> None:
    """Whatever a plugin does, it is set aside alone: with distribution, reason and cure."""
    for distribution, (source, _) in UNWELL.items():
        site.install(distribution, source)
    site.install("lightrag-hf", good("hf"))

    found = site.ask("hf", *UNWELL)
    asked = found["asked"]

    assert asked.pop("hf") == "Goethe"
    assert set(found["broken"]) == set(UNWELL)
    for distribution, (_, reason) in UNWELL.items():
        entry_point, said, cure = found["broken"][distribution]
        assert entry_point == distribution
        assert reason in said
        assert distribution in cure
        # The plugin could not say what it provides; the name of the entry point is the best guess.
        assert asked[distribution][0] == "PluginError"
        for part in (distribution, said, cure):
            assert part in asked[distribution][1]


def test_a_second_hf_is_set_aside(site: Site) -> None:
    """A name that this project ships belongs to the distribution that ships it."""
    site.install("lightrag-hf", good("hf"))
    site.install("usurper", good("hf"))
    site.install("sly-usurper", good("sly", "hf"))

    found = site.ask("hf", "sly")

    assert found["asked"]["hf"] == "Goethe"
    assert found["providers"]["hf"][0] == "lightrag-hf"
    for stranger in ("usurper", "sly-usurper"):
        _, reason, cure = found["broken"][stranger]
        assert reason == "it claims the provider name 'hf', which belongs to lightrag-hf"
        assert f"RAGCORE_DISABLE_PLUGINS={stranger}" in cure
    assert found["asked"]["sly"][0] == "PluginError"


def test_a_broken_owner_does_not_lose_its_name(site: Site) -> None:
    """A stranger does not get `openai` because lightrag-openai fails to load."""
    site.install("lightrag-openai", "import an_sdk_nobody_has")
    site.install("usurper", good("openai"))

    found = site.ask("openai", "azure")

    assert set(found["broken"]) == {"lightrag-openai", "usurper"}
    assert found["asked"]["openai"][0] == "PluginError"
    assert "lightrag-openai" in found["asked"]["azure"][1]


def test_two_strangers_with_one_name_are_both_set_aside(site: Site) -> None:
    """Neither is guessed to be the right one; asking says who they are and how to decide."""
    site.install("acme-one", good("acme"))
    site.install("acme-two", good("other", "acme"))

    found = site.ask("acme")

    assert set(found["broken"]) == {"acme-one", "acme-two"}
    kind, message = found["asked"]["acme"]
    assert kind == "PluginError"
    for part in ("acme-one", "acme-two", "RAGCORE_DISABLE_PLUGINS", "RAGCORE_PLUGINS"):
        assert part in message


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("RAGCORE_DISABLE_PLUGINS", "Acme_Two"),
        ("RAGCORE_DISABLE_PLUGINS", " acme.two , something-else"),
        ("RAGCORE_PLUGINS", "ACME-ONE"),
    ],
)
def test_the_environment_decides_between_strangers(site: Site, variable: str, value: str) -> None:
    """Names of distributions are compared as package indexes compare them."""
    site.install("acme-one", good("acme"))
    site.install("acme-two", good("acme"))

    found = site.ask("acme", **{variable: value})

    assert found["broken"] == {}
    assert found["providers"]["acme"][0] == "acme-one"
    assert found["asked"]["acme"] == "Goethe"


def test_the_denied_is_not_even_imported(site: Site) -> None:
    """Switching a plugin off helps against one that ends the process hard."""
    site.install("deadly", "import os; os._exit(7)")

    assert site.ask(RAGCORE_DISABLE_PLUGINS="deadly")["broken"] == {}


def test_what_is_switched_off_is_said(site: Site) -> None:
    """Somebody who forgot the variable learns of it, and is not told to install again."""
    site.install("lightrag-hf", good("hf"))
    site.install("acme-one", good("acme"))

    found = site.ask("acme", "hf", RAGCORE_DISABLE_PLUGINS="acme-one,lightrag-hf")

    for name, distribution in (("acme", "acme-one"), ("hf", "lightrag-hf")):
        kind, message = found["asked"][name]
        assert kind == "UnknownProviderError"
        assert "RAGCORE_DISABLE_PLUGINS" in message
        assert distribution in message
        assert "pip install" not in message


def test_the_variable_that_switches_off_is_named(site: Site) -> None:
    """The allow-list, or the deny-list; not where the provider is merely misspelt."""
    site.install("acme-one", good("acme"))
    site.install("acme-two", good("zeta"))

    asked = site.ask("acme", "zetta", RAGCORE_PLUGINS="acme-two")["asked"]

    (_, missed), (_, misspelt) = asked["acme"], asked["zetta"]
    assert "Switched off by RAGCORE_PLUGINS: acme-one" in missed
    assert "RAGCORE_DISABLE_PLUGINS" not in missed
    assert misspelt.endswith("Did you mean 'zeta'?")


def test_one_distribution_may_have_two_entry_points(site: Site) -> None:
    """Two modules of one package, or one module twice, clash with nobody."""
    (site.folder / "second.py").write_text(good("second"))
    points = "[ragcore]\nfirst = two_module\nagain = two_module\nsecond = second\n"
    site.install("two", good("first"), entry_points=points)

    found = site.ask("first", "second")

    assert found["broken"] == {}
    assert found["asked"] == {"first": "Goethe", "second": "Goethe"}


def test_one_distribution_must_not_bring_a_name_twice(site: Site) -> None:
    """Nor is it guessed which it meant."""
    site.install("twins", good("twin") + "    yield next(iter(ragcore_completion_providers()))\n")

    kind, message = site.ask("twin")["asked"]["twin"]

    assert kind == "PluginError"
    assert "twins" in message
    assert "it brings two completion providers named 'twin'" in message


def test_two_distributions_with_one_module(site: Site) -> None:
    """The second is set aside, and says whose module it has."""
    site.install("one", good("acme"), module="shared")
    site.install("two", good("acme"), module="shared")

    found = site.ask("acme")

    assert found["asked"]["acme"] == "Goethe"
    assert len(found["broken"]) == 1
    assert "its module is that of" in next(iter(found["broken"].values()))[1]


def test_an_unreadable_entry_point_file_harms_nobody(site: Site) -> None:
    """A file that importlib.metadata chokes on costs its own distribution only."""
    site.install("garbled", "", entry_points="[ragcore]\nthis is no entry point\n")
    site.install("acme", good("acme"))

    found = site.ask("acme")

    assert found["asked"]["acme"] == "Goethe"
    assert found["broken"]["garbled"][1] == "ValueError: its entry_points.txt can't be read"


def test_a_distribution_without_metadata_harms_nobody(site: Site) -> None:
    """Half-removed distributions exist."""
    site.install("acme", good("acme"))
    site.install("half-gone", good("half"))
    (site.folder / "half_gone-1.2.dist-info" / "METADATA").unlink()

    assert site.ask("acme")["asked"]["acme"] == "Goethe"


def test_other_groups_do_not_concern_us(site: Site) -> None:
    """An entry point of somebody else's group is not loaded."""
    site.install("stranger", "raise ValueError", entry_points="[pytest12]\nx = stranger_module\n")

    assert site.ask()["broken"] == {}


def test_listing_asks_for_no_lazy_name(site: Site) -> None:
    """A module may list names in `__dir__` that cost an SDK to serve."""
    lazy = """
def __dir__():
    return [*globals(), "openai_complete", "ragcore_lazily"]

def __getattr__(name):
    if name.startswith("__"):
        raise AttributeError(name)
    import an_sdk_nobody_has
"""
    site.install("lazy", good("lazy") + lazy)

    found = site.ask("lazy")

    assert found["broken"] == {}
    assert found["asked"]["lazy"] == "Goethe"


def test_code_that_cannot_be_imported_is_a_plugin_error(site: Site) -> None:
    """The SDK is missed at first use: the error names distribution, reason, code and cure."""
    source = good("acme").replace("ragcore.testing._script:_connect", "acme_client:connect")
    site.install("acme-plugin", source)
    (site.folder / "acme_client.py").write_text("import an_sdk_nobody_has")

    kind, message = site.ask("acme")["asked"]["acme"]

    assert kind == "PluginError"
    for part in ("acme-plugin", "an_sdk_nobody_has", "acme_client:connect", "pip install"):
        assert part in message


def test_a_misnamed_attribute_is_a_plugin_error(site: Site) -> None:
    """`module:attribute` of which only the module exists is the plugin's fault."""
    site.install("acme", good("acme").replace("_script:_connect", "_script:connekt"))

    kind, message = site.ask("acme")["asked"]["acme"]

    assert kind == "PluginError"
    assert "connekt" in message


def test_nobody_is_told_to_install_what_was_typed(site: Site) -> None:
    """`pip install lightrag-evil` must not be advised to whoever types `evil`."""
    kind, message = site.ask("evil", RAGCORE_PLUGINS="none")["asked"]["evil"]

    assert kind == "UnknownProviderError"
    assert "lightrag-evil" not in message


# --- without a process of its own ----------------------------------------------------------


class Both:
    """Completes as one provider, and embeds as one or more."""

    def __init__(self, name: str, *embedding: str) -> None:
        self.name, self.embedding = name, embedding

    @hookimpl
    def ragcore_completion_providers(self) -> list[CompletionProvider]:
        return [
            CompletionProvider(
                name=self.name,
                connection=ScriptedOptions,
                options=ScriptedLLMOptions,
                connect="a:b",
                backend="a:c",
                capabilities=lambda model: ragcore.Capabilities(images=not model),
            )
        ]

    @hookimpl
    def ragcore_embedding_providers(self) -> list[EmbeddingProvider]:
        return [
            EmbeddingProvider(
                name=name,
                connection=ScriptedOptions,
                options=ScriptedEmbeddingOptions,
                connect="a:b",
                backend="a:d",
                capabilities=ragcore.Capabilities(max_batch=5),
            )
            for name in self.embedding
        ]


def source(implementation: object, distribution: str) -> Source:
    return Source(distribution, "1", distribution, lambda: implementation)


def built(**implementations: object) -> Registry:
    return build([source(i, name) for name, i in implementations.items()], {})


def test_both_tasks_of_a_provider_are_one_entry() -> None:
    """A provider that completes and embeds is listed once, with what both can do."""
    (info,) = built(acme=Both("acme", "acme")).installed().providers

    assert info.tasks == ("completion", "embedding")
    assert info.capabilities == ragcore.Capabilities(images=True, max_batch=5)
    assert info.options == (ScriptedOptions, ScriptedLLMOptions, ScriptedEmbeddingOptions)


@pytest.mark.parametrize(
    ("typed", "told"),
    [
        ("amce", "installed: acme). Did you mean 'acme'?"),
        ("ACME", "Did you mean 'acme'?"),
        ("bedrock", "Install it: pip install lightrag-bedrock"),
        ("azur", "Did you mean 'azure'? Install it: pip install lightrag-openai"),
    ],
)
def test_unknown_provider_is_told_what_there_is(typed: str, told: str) -> None:
    """A typing error gets a suggestion; a provider of ours that is missing, the command."""
    with pytest.raises(ragcore.UnknownProviderError) as caught:
        built(acme=Both("acme")).completion_provider(typed)

    assert told in str(caught.value)


def test_a_clash_costs_the_provider_and_not_the_plugin() -> None:
    """What nobody else claims goes on working."""
    registry = built(acme=Both("acme", "acme-embedding"), rival=Both("acme"))

    assert [info.name for info in registry.installed().providers] == ["acme-embedding"]
    assert registry.embedding_provider("acme-embedding").name == "acme-embedding"
    with pytest.raises(ragcore.PluginError, match="claimed by"):
        registry.completion_provider("acme")


def test_who_trespasses_on_our_names_does_not_contest_others() -> None:
    """A provider set aside for claiming `hf` takes nobody down with it."""

    class Greedy(Both):
        @hookimpl
        def ragcore_completion_providers(self) -> list[CompletionProvider]:
            (record,) = super().ragcore_completion_providers()
            return [attrs.evolve(record, name="hf", aliases=("acme",))]

    registry = built(greedy=Greedy("acme"), acme=Both("acme"))

    assert registry.completion_provider("acme").name == "acme"
    assert [plugin.distribution for plugin in registry.installed().broken] == ["greedy"]


def test_a_provider_without_the_task_is_unsupported() -> None:
    """The provider is there; it is the task that is not."""
    registry = built(acme=Both("acme"))

    with pytest.raises(ragcore.UnsupportedError, match="'acme' has no embedding"):
        registry.embedding_provider("acme")


def test_layers_hook_brings_layers() -> None:
    """In the order of the packages' names, each with the distribution that brings it."""

    class Layers:
        def __init__(self, *names: str) -> None:
            self.names = names

        @hookimpl
        def ragcore_layers(self) -> Iterator[ragcore.Layer]:
            for name in self.names:
                yield ragcore.Layer(name=name, around="call", wrap="acme:wrap")

    layers = built(zebra=Layers("first", "second"), acme=Layers("third")).layers

    assert [(distribution, layer.name) for distribution, layer in layers] == [
        ("acme", "third"),
        ("zebra", "first"),
        ("zebra", "second"),
    ]


def test_a_layer_that_is_none_sets_its_plugin_aside() -> None:
    """By what the hook returned."""

    class Wrong:
        @hookimpl
        def ragcore_layers(self) -> list[str]:
            return ["acme:wrap"]

    (broken,) = built(acme=Wrong()).broken

    assert broken.reason == "ragcore_layers returned a str, no Layer"


def test_options_hook_registers_groups() -> None:
    """The host's own option groups come by the same door as a plugin's."""

    class Tracing:
        @hookimpl
        def ragcore_options(self) -> list[type[ragcore.BindingOptions]]:
            return [ScriptedLLMOptions]

    groups = [group.binding() for group in built(tracing=Tracing()).option_groups]

    assert groups == ["ragcore", "ragcore", "scripted_llm"]


def test_hooks_are_called_once_a_process() -> None:
    """Asking twice does not load twice."""
    calls: list[str] = []

    class Counting:
        @hookimpl
        def ragcore_completion_providers(self) -> list[CompletionProvider]:
            calls.append("called")
            return []

    with plugin(Counting()):
        ragcore.providers()
        ragcore.providers()

    assert calls == ["called"]


def test_an_interrupt_while_loading_is_not_a_plugins_fault() -> None:
    """Ctrl-C ends the program, and not the plugin that happened to be loading."""

    def load() -> object:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        build([Source("acme", "1", "acme", load)], {})


def test_an_unknown_hook_may_be_optional() -> None:
    """A plugin for a newer host says so with pluggy's `optionalhook`, and is left alone."""

    class Modern(Both):
        @hookimpl(optionalhook=True)
        def ragcore_reranking_providers(self) -> list[object]:
            return []

    registry = built(modern=Modern("acme"))

    assert registry.installed().broken == ()
    assert registry.completion_provider("acme").name == "acme"


@pytest.mark.parametrize("reference", ["", "acme", ":large", "acme:", None, 5])
async def test_a_malformed_reference_is_refused(reference: Any) -> None:
    """`PROVIDER:MODEL`, or an OptionsError that says so."""
    with pytest.raises(ragcore.OptionsError, match="PROVIDER:MODEL"):
        async with ragcore.completion(reference):
            pass


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("connect", "no_colon"),
        ("connect", None),
        ("backend", ":attribute"),
        ("tokenizer", "module:"),
        ("name", "with:colon"),
        ("name", ""),
        ("connection", ragcore.BindingOptions),
        ("options", dict),
        ("capabilities", {"images": True}),
    ],
)
def test_a_record_checks_itself(field: str, value: object) -> None:
    """A slip in a record is found where it was made, and names the field."""
    fields: dict[str, Any] = {
        "name": "acme",
        "connection": ScriptedOptions,
        "options": ScriptedLLMOptions,
        "connect": "a:b",
        "backend": "a:c",
    }

    with pytest.raises((ValueError, TypeError), match=field):
        CompletionProvider(**fields | {field: value})


@pytest.mark.parametrize("module", ["client_is_coroutine", "backend_is_coroutine", "no_method"])
def test_wrong_kinds_of_code_are_plugin_errors(site: Site, module: str) -> None:
    """`connect` and `backend` that return the wrong thing are named, not tripped over."""
    faulty = {
        "client_is_coroutine": (
            "async def connect(connection): ...",
            "ragcore.testing._script:_connect",
        ),
        "backend_is_coroutine": (
            "async def backend(*_): ...",
            "ragcore.testing._script:_ScriptedBackend",
        ),
        "no_method": ("class backend:\n  def __init__(self, *_): ...", "_script:_ScriptedBackend"),
    }
    code, replaced = faulty[module]
    attribute = "connect" if "connect" in code else "backend"
    record = good("acme").replace(replaced.rpartition(".")[2], f"x:{attribute}")
    site.install("acme", record.replace("ragcore.testing.x:", f"{module}:"))
    (site.folder / f"{module}.py").write_text(code)

    kind, message = site.ask("acme")["asked"]["acme"]

    assert kind == "PluginError"
    assert "acme" in message
    assert "Ask the authors of acme" in message
