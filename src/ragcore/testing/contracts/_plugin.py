"""What every plugin keeps before its first model is opened."""

from __future__ import annotations

import subprocess
import sys

import ragcore


class PluginContract:
    """
    What every plugin keeps before its first model is opened.

    Attributes:
        package: The import name of the plugin.
        completes: The providers of completions that it brings.
        embeds: The providers of embeddings that it brings.
        sdk: Import names of what only an open model needs: the SDK, numpy, what the SDK brings.
    """

    package: str
    completes: tuple[str, ...] = ()
    embeds: tuple[str, ...] = ()
    sdk: tuple[str, ...] = ()

    def test_it_is_installed(self) -> None:
        """Its providers are listed, each with its tasks."""
        found = [(task, info.name) for info in ragcore.providers().providers for task in info.tasks]
        promised = [("completion", name) for name in self.completes]
        promised += [("embedding", name) for name in self.embeds]

        assert promised
        assert [one for one in promised if one not in found] == []

    def test_listing_providers_imports_no_sdk(self) -> None:
        """Neither importing the plugin nor listing its providers imports what takes long."""
        code = (
            f"import sys, {self.package}, ragcore; ragcore.providers(); "
            f"print(sorted({set(self.sdk)} & set(sys.modules)))"
        )
        done = subprocess.run(  # noqa: S603  # our own code
            [sys.executable, "-c", code], capture_output=True, text=True, check=False
        )

        assert (done.stdout.strip(), done.stderr) == ("[]", "")
