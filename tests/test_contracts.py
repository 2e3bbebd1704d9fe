"""The contracts find what a provider gets wrong; plugins' tests show that good ones pass."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import AbstractAsyncContextManager
from typing import Any, ClassVar

import numpy as np
import pytest

import ragcore
from ragcore import Capabilities, CompletionModel, EmbeddingModel, EmbeddingRequest, Embeddings
from ragcore.testing import Script, scripted
from ragcore.testing.contracts import (
    CompletionContract,
    HTTPCompletionContract,
    LocalCompletionContract,
    LocalEmbeddingContract,
    PluginContract,
)


@pytest.fixture(autouse=True)
def provider() -> Iterator[None]:
    with scripted(Capabilities(images=True)):
        yield


class Endless(LocalCompletionContract):
    """A model that knows no limit, and looks at images, which its author forgot to say."""

    images = False
    json_schema = False

    def opened(self, **options: Any) -> AbstractAsyncContextManager[CompletionModel]:
        return ragcore.completion("scripted:x", script=Script(forever="Goethe"), **options)


class Crowded(LocalEmbeddingContract):
    """A model whose vectors depend on the other texts of a request."""

    def opened(self, **options: Any) -> AbstractAsyncContextManager[EmbeddingModel]:
        script = Script(forever=self.vectors)
        return ragcore.embedding("scripted:x", script=script, **options)

    def vectors(self, request: EmbeddingRequest) -> Embeddings:
        return Embeddings(np.full((len(request.texts), 2), len(request.texts), np.float32))


async def test_what_is_right_passes() -> None:
    """The scripted provider answers, streams and embeds."""
    await Endless().test_it_answers()
    await Endless().test_it_streams()
    await Endless().test_a_stream_that_is_left_leaves_the_model_usable()
    await Crowded().test_it_embeds()


async def test_an_answer_beyond_its_limit_is_found() -> None:
    """A model that ignores *max_output_tokens* fails its contract."""
    with pytest.raises(AssertionError):
        await Endless().test_the_limit_cuts_the_answer()


async def test_a_capability_that_is_not_as_said_is_found() -> None:
    """A model that takes images fails a contract that says it takes none."""
    with pytest.raises(pytest.fail.Exception, match="UnsupportedError"):
        await Endless().test_what_it_lacks_is_refused()


async def test_a_vector_that_depends_on_other_texts_is_found() -> None:
    """A text has one vector, alone or in company."""
    with pytest.raises(AssertionError):
        await Crowded().test_a_vector_depends_on_its_own_text_alone()


def test_a_plugin_that_imports_its_sdk_is_found() -> None:
    """Loading is seen in a new interpreter."""

    class Eager(PluginContract):
        package, completes, sdk = "json", ("scripted",), ("json.decoder",)

    Eager().test_it_is_installed()
    with pytest.raises(AssertionError):
        Eager().test_listing_providers_imports_no_sdk()


def test_a_provider_that_is_not_there_is_found() -> None:
    """A provider that the plugin promises has to be listed with the task."""

    class Absent(PluginContract):
        embeds = ("no-such-provider",)

    with pytest.raises(AssertionError):
        Absent().test_it_is_installed()


def test_a_provider_says_why_it_is_exempt() -> None:
    """By the name of the test, which has to be there."""

    class Walled(HTTPCompletionContract):
        exempt: ClassVar = {"test_a_redirect_is_not_followed": "its service has one address"}

    class Mistaken(HTTPCompletionContract):
        exempt: ClassVar = {"test_a_redirect": "its service has one address"}

    Walled().skip_if_exempt("test_it_answers")
    with pytest.raises(pytest.skip.Exception, match="one address"):
        Walled().skip_if_exempt("test_a_redirect_is_not_followed")
    with pytest.raises(AssertionError):
        Mistaken().skip_if_exempt("test_it_answers")


async def test_a_contract_without_a_model_says_what_is_missing() -> None:
    """The author is told which method to write."""
    with pytest.raises(NotImplementedError, match=r"CompletionContract .* opened\(\)"):
        await CompletionContract().test_it_answers()


def test_fakes_and_server_need_no_pytest() -> None:
    """Only the contracts import it."""
    code = "import sys, ragcore.testing.server; sys.exit('pytest' in sys.modules)"

    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0  # noqa: S603
