"""
The functions of ``lightrag.llm``, one by one, beside those that plugins have under their names.

LightRAG's modules are read and not imported: importing one installs an SDK by pip.
"""

from __future__ import annotations

import ast
import functools
import inspect
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import attrs
import pytest
from test_import import loaded_after

from ragcore.lightrag import EmbeddingFunc

NAMES = {
    "anthropic": (
        "anthropic_complete",
        "anthropic_complete_if_cache",
        "anthropic_embed",
        "claude_3_haiku_complete",
        "claude_3_opus_complete",
        "claude_3_sonnet_complete",
    ),
    "bedrock": ("bedrock_complete", "bedrock_complete_if_cache", "bedrock_embed"),
    "hf": ("hf_embed", "hf_model_complete", "hf_model_if_cache", "initialize_hf_model"),
    "ollama": (
        "_ollama_model_if_cache",
        "ensure_think_supported",
        "ollama_embed",
        "ollama_model_complete",
    ),
    # LightRAG has its functions for Azure there, too.
    "openai": (
        "azure_openai_complete",
        "azure_openai_complete_if_cache",
        "azure_openai_embed",
        "create_openai_async_client",
        "gpt_4o_complete",
        "gpt_4o_mini_complete",
        "nvidia_openai_complete",
        "openai_complete",
        "openai_complete_if_cache",
        "openai_embed",
    ),
}
KINDS = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.VAR_KEYWORD)
_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)


@attrs.frozen
class Original:
    """A function of LightRAG's, as its source declares it."""

    node: ast.FunctionDef | ast.AsyncFunctionDef

    @property
    def positional(self) -> list[str]:
        """Return the parameters that can be given by position, in order."""
        return [one.arg for one in (*self.node.args.posonlyargs, *self.node.args.args)]

    @property
    def keyword_only(self) -> set[str]:
        """Return the others that are named."""
        return {one.arg for one in self.node.args.kwonlyargs}

    @property
    def defaults(self) -> dict[str, Any]:
        """Return what a parameter is if it is left out; a list stands for nothing."""
        values = [ast.literal_eval(one) for one in self.node.args.defaults]
        names = self.positional[len(self.positional) - len(values) :]
        return {
            name: None if value == [] else value for name, value in zip(names, values, strict=True)
        }

    @property
    def declared(self) -> dict[str, Any]:
        """Return the attributes of the ``EmbeddingFunc`` that it is, if it is one."""
        calls = [one for one in self.node.decorator_list if isinstance(one, ast.Call)]
        return {
            str(one.arg): ast.literal_eval(one.value)
            for call in calls
            if "wrap_embedding" in ast.unparse(call.func)
            for one in call.keywords
        }


@functools.cache
def originals(module: str) -> dict[str, Original]:
    """Return LightRAG's functions in ``lightrag.llm.`` *module*."""
    spec = find_spec("lightrag")
    if spec is None or spec.origin is None:
        pytest.skip("LightRAG is not installed")
    source = (Path(spec.origin).parent / "llm" / f"{module}.py").read_text("utf-8")
    return {
        node.name: Original(node) for node in ast.parse(source).body if isinstance(node, _FUNCTIONS)
    }


def ours(module: str, name: str) -> Any:
    """Return what the plugin has under that name."""
    return getattr(pytest.importorskip(f"lightrag_{module}"), name)


def function(found: Any) -> Any:
    """Return the function that an ``EmbeddingFunc`` calls, or else what is given."""
    return getattr(found, "func", found)


each_name = pytest.mark.parametrize(
    ("module", "name"),
    [pytest.param(module, name, id=name) for module, names in NAMES.items() for name in names],
)


@each_name
def test_a_parameter_is_where_lightrags_is(module: str, name: str) -> None:
    """By position, by its name, and among those that have none; left out, it is the same."""
    original = originals(module)[name]
    parameters = inspect.signature(function(ours(module, name))).parameters
    kinds = {kind: [one.name for one in parameters.values() if one.kind is kind] for kind in KINDS}
    positional = kinds[inspect.Parameter.POSITIONAL_OR_KEYWORD]
    defaults = {name: parameters[name].default for name in original.defaults}

    assert positional[: len(original.positional)] == original.positional
    assert original.keyword_only <= set(parameters)
    assert defaults == original.defaults
    assert bool(kinds[inspect.Parameter.VAR_KEYWORD]) >= bool(original.node.args.kwarg)


@each_name
def test_a_function_is_of_lightrags_kind(module: str, name: str) -> None:
    """It is awaited or not; what embeds is LightRAG's own object, and says the same of itself."""
    original, found = originals(module)[name], ours(module, name)
    said = {attribute: getattr(found, attribute) for attribute in original.declared}
    is_async = isinstance(original.node, ast.AsyncFunctionDef)

    assert inspect.iscoroutinefunction(function(found)) == is_async
    assert isinstance(found, EmbeddingFunc) == bool(original.declared)
    assert said == original.declared


@pytest.mark.parametrize("module", NAMES)
def test_names_are_served_when_they_are_asked_for(module: str) -> None:
    """The plugin lists them; importing it, and listing them, imports no SDK."""
    plugin = pytest.importorskip(f"lightrag_{module}")
    code = f"import lightrag_{module}; lightrag_{module}.__all__; dir(lightrag_{module})"

    assert set(NAMES[module]) <= set(plugin.__all__)
    assert loaded_after(code) == []


@pytest.mark.parametrize("module", NAMES)
def test_a_function_imports_no_sdk(module: str) -> None:
    """Nor does the function itself, before it asks: a server imports, forks, and then asks."""
    pytest.importorskip(f"lightrag_{module}")
    code = f"from lightrag_{module} import *"
    sdks = {"openai", "anthropic", "boto3", "botocore", "ollama", "torch", "transformers"}

    assert not sdks & set(loaded_after(code))
