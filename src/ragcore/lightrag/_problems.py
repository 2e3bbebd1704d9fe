"""Collects what is wrong with an environment, to tell it all at once."""

from __future__ import annotations

import logging

import attrs

from ragcore.errors import (
    OptionsError,
    PluginError,
    ProviderError,
    RagcoreError,
    UnknownProviderError,
    UnsupportedError,
)

_log = logging.getLogger("ragcore")

# The last one is about a model that is described by its files.
_ABOUT_PROVIDERS = (PluginError, UnknownProviderError, UnsupportedError, ProviderError)


class Problems:
    """What was found so far, each thing once: four roles may inherit one mistake."""

    def __init__(self) -> None:
        self._found: dict[str, type[RagcoreError]] = {}
        self._warned: set[str] = set()

    def add(self, problem: str) -> None:
        """Note a problem with an option."""
        self._found.setdefault(problem, OptionsError)

    def warn(self, warning: str) -> None:
        """Log what is not used, and does no harm."""
        if warning not in self._warned:
            self._warned.add(warning)
            _log.warning(warning)

    def noted(self, asked_by: str = "") -> _Noted:
        """
        Note what a block raises about options and providers, and go on after it.

        Args:
            asked_by: Stands before each, where it does not say itself what it is about.
        """
        return _Noted(self, f"{asked_by}: " if asked_by else "")

    def add_error(self, error: BaseException, before: str) -> bool:
        """Note what *error* says, if it is about options or providers."""
        if isinstance(error, OptionsError):
            for problem in error.problems:
                self.add(before + problem)
            return True
        if isinstance(error, _ABOUT_PROVIDERS):
            self._found.setdefault(f"{before}{error}", type(error))
            return True
        return False

    def raise_all(self) -> None:
        """
        Raise what was found, if anything was.

        Raises:
            OptionsError: With every problem.
            RagcoreError: Of its own class, if a provider is the only problem.
        """
        match list(self._found.items()):
            case []:
                return
            case [(problem, error)] if error is not OptionsError:
                raise error(problem)
            case _:
                raise OptionsError("\n".join(self._found), problems=list(self._found))


@attrs.frozen
class _Noted:
    # A class, since a type checker takes it that @contextmanager passes all errors on.
    problems: Problems
    before: str

    def __enter__(self) -> None:
        pass

    def __exit__(self, _: object, error: BaseException | None, __: object) -> bool:
        return error is not None and self.problems.add_error(error, self.before)
