"""
Contracts: the tests that every provider has to pass, for an author to subclass. They need pytest.

What comes in: an installed provider, and the double of its service or a model on this machine. What
goes out: one test a rule. May be imported by the tests of plugins.

A contract is a class whose methods are tests. Its subclass says who is asked, and pytest finds it::

    from acme_double import AcmeService    # in acme's tests: a ragcore.testing.server.Service

    from ragcore.testing.contracts import (
        SECRET,
        Case,
        HTTPCompletionContract,
        HTTPEmbeddingContract,
        PluginContract,
    )

    ACME = Case(
        "acme",
        AcmeService,
        lambda service: {"api_key": SECRET, "base_url": service.url},
        lambda service: {"ACME_API_KEY": SECRET, "ACME_BASE_URL": service.url},
        model="acme-large",
        embedding_model="acme-embed",
    )

    class TestPlugin(PluginContract):
        package, sdk = "ragcore_acme", ("acme_sdk", "httpx")
        completes = embeds = ("acme",)

    class TestCompletion(HTTPCompletionContract):
        case = ACME
        images = False

    class TestEmbedding(HTTPEmbeddingContract):
        case = ACME

A provider that can't have what a test is about says why: ``exempt: ClassVar = {"test_…": "why"}``.

A model that runs on this machine keeps :class:`LocalCompletionContract` or
:class:`LocalEmbeddingContract`: there the author writes ``opened()``, which opens the model. Both
kinds build on :class:`CompletionContract` and :class:`EmbeddingContract`, which every model keeps.

The tests are coroutines: ``pip install 'lightrag-core[testing]'``, and tell pytest-asyncio
``asyncio_mode = "auto"``.
"""
# ruff: noqa: E402  # pytest explains the asserts of a module only if it is told before the import

import pkgutil

import pytest

pytest.register_assert_rewrite(
    *(module.name for module in pkgutil.iter_modules(__path__, f"{__name__}."))
)

from ragcore.testing.contracts._completion import (
    CompletionContract,
    HTTPCompletionContract,
    LocalCompletionContract,
)
from ragcore.testing.contracts._embedding import (
    EmbeddingContract,
    HTTPEmbeddingContract,
    LocalEmbeddingContract,
)
from ragcore.testing.contracts._http import Case
from ragcore.testing.contracts._model import SECRET
from ragcore.testing.contracts._plugin import PluginContract

__all__ = [
    "SECRET",
    "Case",
    "CompletionContract",
    "EmbeddingContract",
    "HTTPCompletionContract",
    "HTTPEmbeddingContract",
    "LocalCompletionContract",
    "LocalEmbeddingContract",
    "PluginContract",
]
