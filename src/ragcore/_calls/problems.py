"""What is wrong with several models at once."""

from __future__ import annotations

import logging

import attrs

from ragcore.errors import OptionsError, RagcoreError
from ragcore.options import raise_all

_log = logging.getLogger("ragcore")


class Problems:
    """What is wrong, to be told all at once; each thing once, since several models may share it."""

    def __init__(self) -> None:
        self._found: dict[str, type[RagcoreError]] = {}
        self._warned: set[str] = set()

    def add(self, problem: str, error: type[RagcoreError] = OptionsError) -> None:
        """Note a *problem* that would be an *error* if it were the only one."""
        self._found.setdefault(problem, error)

    def warn(self, warning: str) -> None:
        """Log what is not used, and does no harm."""
        if warning not in self._warned:
            self._warned.add(warning)
            _log.warning(warning)

    def noted(self, asked_by: str = "") -> _Noted:
        """Note what a block raises, each after *asked_by*, and go on after it."""
        return _Noted(self, f"{asked_by}: " if asked_by else "")

    @property
    def found(self) -> list[str]:
        """What was noted, each thing once."""
        return list(self._found)

    def raise_all(self) -> None:
        """
        Raise what was found, if anything was.

        Raises:
            OptionsError: With every problem.
            RagcoreError: Of its own class, if a provider is the only problem.
        """
        match list(self._found.items()):
            case [(problem, error)] if error is not OptionsError:
                raise error(problem)
        raise_all(self.found)


@attrs.frozen
class _Noted:
    # A class, since a type checker takes it that @contextmanager passes all errors on.
    problems: Problems
    before: str

    def __enter__(self) -> None:
        pass

    def __exit__(self, _: object, error: BaseException | None, __: object) -> bool:
        match error:
            case OptionsError():
                for problem in error.problems:
                    self.problems.add(self.before + problem)
            case RagcoreError():
                self.problems.add(f"{self.before}{error}", type(error))
            case _:
                return False
        return True
