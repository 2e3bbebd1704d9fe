"""
Where a command reads options from: flags, the environment, and below it a ``.env`` file.

A ``.env`` comes with the folder it is in, and so perhaps from a stranger. What it says is not put
into :data:`os.environ`, where SDKs would find it; it sees none of the environment; and an address
from it gets no key from elsewhere, unless ``--trust-env-file`` is given.
"""

from __future__ import annotations

import io
import os
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import attrs
import click

from ragcore.errors import OptionsError
from ragcore.options import BindingOptions, Found, OptionField, Sources, found, raise_all

if TYPE_CHECKING:
    from dotenv.parser import Binding

Command = TypeVar("Command", bound=Callable[..., object])

_DEFAULT = Path(".env")
_ADDRESS_WORDS = {"url", "uri", "host", "endpoint", "address", "server"}


def env_file_options(command: Command) -> Command:
    """Give *command* ``--env-file`` and ``--trust-env-file``, for :func:`environment`."""
    file = click.option(
        "--env-file",
        type=click.Path(exists=True, dir_okay=False, path_type=Path),
        help="Read this file below the environment, instead of .env in the working folder.",
    )
    trust = click.option(
        "--trust-env-file",
        is_flag=True,
        help="Send keys from elsewhere to addresses from that file, and let it refer to the "
        "environment.",
    )
    return file(trust(command))


@attrs.frozen
class EnvFile:
    """
    A ``.env`` file as it was read.

    Attributes:
        name: How messages call it.
        values: Its variables.
        borrowing: Those of them that refer to a variable of the environment, with its name.
    """

    name: str = str(_DEFAULT)
    values: Mapping[str, str] = attrs.field(factory=dict, repr=False)
    borrowing: Mapping[str, str] = attrs.field(factory=dict, repr=False)

    def has(self, offer: Found) -> bool:
        """Say whether *offer* is from here: the environment, where it has the name, is asked."""
        is_variable = offer.is_text or offer.origin == "bound"
        return is_variable and offer.name in self.values and not os.environ.get(offer.name)


@attrs.frozen
class Environment:
    """The environment, and a ``.env`` file below it, which may be trusted or not."""

    file: EnvFile
    is_trusted: bool

    def sources(
        self,
        groups: Iterable[type[BindingOptions]],
        keywords: Mapping[str, Any] | None = None,
        *,
        flags: Mapping[str, Any] | None = None,
        role: str | None = None,
    ) -> Sources:
        """
        Return what to read *groups*, those of one provider, from.

        Raises:
            OptionsError: A key would go where an untrusted file says.
        """
        sources = self.unchecked_sources(flags=flags, role=role)
        raise_all(self.problems(groups, sources, keywords))
        return sources

    def variables(self) -> dict[str, str]:
        """Return the environment, and what the file says where it says nothing."""
        return {**self.file.values, **{name: text for name, text in os.environ.items() if text}}

    def unchecked_sources(
        self, *, flags: Mapping[str, Any] | None = None, role: str | None = None
    ) -> Sources:
        """Return what to read from, for who shows options and sends nothing."""
        return Sources(dotenv=self.file.values, flags=flags or {}, role=role)

    def problems(
        self,
        groups: Iterable[type[BindingOptions]],
        sources: Sources,
        keywords: Mapping[str, Any] | None = None,
    ) -> list[str]:
        """Return what is against reading *groups*, those of one provider, from *sources*."""
        if self.is_trusted:
            return []
        offers = [o for group in groups for o in found(group, keywords or {}, sources).values()]
        from_file = [offer for offer in offers if self.file.has(offer)]
        keys = [o for o in offers if is_confidential(o.field) and o not in from_file]
        elsewhere = [_said(key) for key in keys]
        if _sdk_finds_keys(groups) and not any(is_confidential(o.field) for o in from_file):
            elsewhere.append("the SDK finds keys by itself")
        return [
            *(self._borrows(o) for o in from_file if o.name in self.file.borrowing),
            *(self._trusts(o) for o in from_file if _is_trust(o)),
            *(self._collects(o, key) for o in from_file if _is_address(o) for key in elsewhere),
        ]

    def _borrows(self, offer: Found) -> str:
        lender = self.file.borrowing[offer.name]
        return (
            f"{offer.name}: stands in {self.file.name} and refers to {lender} of the environment, "
            f"which the file is not to see; write the value itself, or pass --trust-env-file "
            f"@ {offer.field.where}"
        )

    def _trusts(self, offer: Found) -> str:
        return (
            f"{offer.name}: stands in {self.file.name}, which is not to say what is trusted; set "
            f"it in the environment, or pass --trust-env-file @ {offer.field.where}"
        )

    def _collects(self, address: Found, key: str) -> str:
        return (
            f"{address.name}: stands in {self.file.name}, but {key}, and no key goes "
            f"where a file of this folder says; have both in {self.file.name} alone, or pass "
            f"--trust-env-file @ {address.field.where}"
        )


def environment(env_file: Path | None, *, is_trusted: bool) -> Environment:
    """
    Read *env_file*, or else ``.env`` in the working folder, if there is one.

    Raises:
        OptionsError: It can't be read, or a line of it says nothing.
    """
    if env_file is None and not _is_file(_DEFAULT):
        return Environment(EnvFile(), is_trusted)
    path = env_file or _DEFAULT
    return Environment(_read(path, os.environ, is_trusted=is_trusted), is_trusted)


def is_confidential(field: OptionField) -> bool:
    """Say whether values of *field* are keys, or may hold one as HTTP headers do."""
    return field.secret or field.name.endswith("headers")


def _said(key: Found) -> str:
    return f"{key.name} comes from the {'environment' if key.is_text else 'command line'}"


def _sdk_finds_keys(groups: Iterable[type[BindingOptions]]) -> bool:
    """Say whether an SDK reads variables, files and the machine's identity by itself."""
    return any(field.role_env for group in groups for field in group.fields())


def _is_trust(offer: Found) -> bool:
    try:
        return offer.field.name.startswith("trust_") and bool(offer.value())
    except OptionsError:
        # Told to whoever reads it.
        return False


def _is_address(offer: Found) -> bool:
    words = offer.field.name.split("_")
    # A plugin of somebody else may call it as it likes.
    return bool(_ADDRESS_WORDS & set(words)) or "://" in offer.raw


def _is_file(path: Path) -> bool:
    # Some keep a folder of that name, a virtual environment.
    return path.exists() and not path.is_dir()


def _read(path: Path, environ: Mapping[str, str], *, is_trusted: bool) -> EnvFile:
    written = _parsed(path, _text(path))
    values, borrowing = _resolved(written, environ, is_trusted=is_trusted)
    return EnvFile(str(path), values, borrowing)


def _text(path: Path) -> str:
    try:
        data = path.read_bytes()
    except OSError as exc:
        raise OptionsError(f"{path}: can't be read: {exc.strerror}") from exc
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as exc:
        line = data.count(b"\n", 0, exc.start) + 1
        raise OptionsError(f"{path}, line {line}: is not UTF-8; save the file as UTF-8") from None


def _parsed(path: Path, text: str) -> list[tuple[str, str]]:
    # dotenv_values() itself would log what it can't read, and go on.
    from dotenv.parser import parse_stream

    lines = list(parse_stream(io.StringIO(text, newline=None)))
    raise_all(
        [
            f"{path}, line {_line_of(line)}: is not NAME=value; quote what has more lines"
            for line in lines
            if line.error
        ]
    )
    return [(line.key, line.value) for line in lines if line.key and line.value is not None]


def _line_of(binding: Binding) -> int:
    # What python-dotenv takes for the beginning are the blank lines before it.
    before, _, _ = binding.original.string.partition(binding.original.string.strip())
    return binding.original.line + before.count("\n")


def _resolved(
    written: Iterable[tuple[str, str]], environ: Mapping[str, str], *, is_trusted: bool
) -> tuple[dict[str, str], dict[str, str]]:
    """Replace each ``${NAME}``, by *environ* only if it is trusted; say who refers to that."""
    from dotenv.variables import Variable, parse_variables

    values: dict[str, str] = {}
    borrowing: dict[str, str] = {}
    for name, text in written:
        parts = list(parse_variables(text))
        lenders = [
            borrowing.get(part.name, part.name)
            for part in parts
            if isinstance(part, Variable)
            and (part.name in borrowing or (part.name not in values and part.name in environ))
        ]
        borrowing.pop(name, None)
        if lenders:
            borrowing[name] = lenders[0]
        known = {**environ, **values} if is_trusted else values
        is_readable = is_trusted or not lenders
        # What can't be read is still there, for whoever looks for it to be told.
        values[name] = "".join(p.resolve(known) for p in parts) if is_readable else text
    return values, borrowing
