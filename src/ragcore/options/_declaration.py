"""One option as it was declared: what every use of it is made of."""

from __future__ import annotations

import functools
import typing
from collections.abc import Callable, Hashable
from typing import Any, Literal, TypedDict, Unpack, cast

import attrs

from ragcore.options._checks import Check
from ragcore.options._secrets import Secret, SecretDict
from ragcore.options._types import (
    Unconvertible,
    describe,
    describe_text,
    holds_secrets,
    is_writable,
    to_text,
)

Scope = Literal["model", "call"]

_DERIVED = "\0derived"
_METADATA = "ragcore"


class Declared(TypedDict, total=False):
    """What :func:`option` takes beside the help and the default."""

    env: str | tuple[str, ...] | None
    role_env: str | None
    secret: bool
    scope: Scope
    minimum: float | None
    maximum: float | None
    provider_default: Any
    check: Check | None
    same_as: str | None
    unless: tuple[str, ...]


def option(
    help: str,  # noqa: A002  # the word argparse and click use for it
    *,
    default: Any = attrs.NOTHING,
    **declared: Unpack[Declared],
) -> Any:
    """
    Declare one option of a :class:`BindingOptions` class.

    Args:
        help: One sentence for users; names the unit of a number.
        default: Left out: the option must be set. None: unset unless somebody sets it.
        env: Environment variable; in a tuple the first is the standard name and the rest are
            aliases. Left out: ``BINDING_FIELD``. None: a keyword argument only.
        role_env: Variable that is read with the prefix of a role only (``EXTRACT_…``), for an
            option without *env* because the SDK reads the variable itself.
        secret: The value is not to be shown; a ``str`` becomes a :class:`ragcore.Secret` where the
            type is one.
        scope: ``"call"`` if it may also be set for a single call.
        minimum: The least that a number may be, where the service documents it.
        maximum: The most that a number may be, where the service documents it.
        provider_default: What the service takes where this is unset; for documentation only.
        check: A rule for its values beside type and range, such as a :class:`Pattern`; whoever
            sets the option is told with all other problems, by the name it was set by.
        same_as: What the host calls the same thing. ``"max_output_tokens"``: a call that says both
            is refused. ``"model"``: it names the model that a reference leaves open,
            ``PROVIDER:default``.
        unless: Options that can stand for this one, such as other credentials. Where one of them
            is given by a stronger source, this one's weaker ones are not read.
    """
    field = OptionField(help=help, default=default, **declared)
    return _attribute(field, shown=True)


def documented(default: Any, *, secret: bool, shown: bool = True) -> Any:
    """Declare an option as LightRAG's classes do: for any call, with a default that is not sent."""
    known = None if default is attrs.NOTHING else _made(default)
    field = OptionField(default=default, provider_default=known, secret=secret, scope="call")
    return _attribute(field, shown=shown)


def _attribute(field: OptionField, *, shown: bool) -> Any:
    return attrs.field(
        default=field.default,
        metadata={_METADATA: field},
        repr=_shown if field.secret and shown else shown,
    )


def _shown(value: object) -> str:
    return repr(value) if value is None or isinstance(value, Secret) else "Secret(…)"


@attrs.frozen(kw_only=True)
class OptionField:
    """
    One option as it was declared, ready to be documented or read.

    Attributes:
        help: And what follows it: as :func:`option` takes them.
        default: ``attrs.NOTHING`` if it has to be set.
        secret: Whether it was declared as one, or its type holds some.
        binding: The name of its group.
        type: The annotation, resolved.
        variables: Environment variables, the standard name first; empty for keyword-only.
    """

    help: str = ""
    default: Any
    # Out of it come the variables; the same ones may have been declared in two ways.
    env: str | tuple[str, ...] | None = attrs.field(default=_DERIVED, repr=False)
    role_env: str | None = None
    secret: bool = False
    scope: Scope = "model"
    minimum: float | None = None
    maximum: float | None = None
    provider_default: Any = None
    check: Check | None = None
    same_as: str | None = None
    unless: tuple[str, ...] = ()
    binding: str = ""
    name: str = ""
    type: Any = None
    variables: tuple[str, ...] = ()

    @property
    def required(self) -> bool:
        """Whether somebody has to set it."""
        return self.default is attrs.NOTHING

    @property
    def where(self) -> str:
        """Its full name, as messages end with it."""
        return f"{self.binding}.{self.name}"

    @property
    def flags(self) -> tuple[str, ...]:
        """Its command-line flags, LightRAG's spelling first; empty for keyword-only."""
        if not self.variables:
            return ()
        prefix = f"--{self.binding.replace('_', '-')}-"
        return tuple(dict.fromkeys((prefix + self.name, prefix + self.name.replace("_", "-"))))

    @property
    def destination(self) -> str:
        """Its name among parsed command-line arguments."""
        return f"{self.binding}_{self.name}"

    @property
    def wanted(self) -> str:
        """What one writes for a value, in words: ``number, 0 to 2``."""
        return f"{self.kind}, {self._range}" if self._range else self.kind

    @property
    def kind(self) -> str:
        """The type in words: as one writes it, or as a keyword takes it if nothing else does."""
        return describe_text(self.type) if self.variables else describe(self.type)

    def explained(self, *more: str) -> str:
        """Return the help, and in brackets what the option takes, its default, and *more*."""
        about = "; ".join(filter(None, (self.wanted, self.unset, *more)))
        return f"{self.help} ({about})".lstrip()

    @property
    def unset(self) -> str:
        """What happens where it is not set, in words; empty if nothing is known."""
        if self.required:
            return "required"
        known = self.shown_default
        return "" if known is None else f"default: {to_text(known)}"

    @property
    def shown_default(self) -> Any:
        """What holds where it is not set, if that is known and may be shown."""
        if self.required or self.secret:
            return None
        return self.provider_default if self.default is None else self.default

    def role_variables(self, role: str) -> tuple[str, ...]:
        """Return the variables that set it for *role* alone."""
        names = self.variables or (self.role_env,)
        return tuple(f"{role.upper()}_{name}" for name in names if name)

    def checked(self, convert: Callable[[Any, Any], Any], value: Any) -> Any:
        """
        Return *value* as *convert* makes it.

        Raises:
            Unconvertible: It has another type, or is too small or too large.
        """
        converted = convert(self.type, value)
        is_number = isinstance(converted, int | float) and not isinstance(converted, bool)
        if is_number and not self._is_in_range(converted):
            raise Unconvertible(self._range)
        return SecretDict(converted) if self.secret and type(converted) is dict else converted

    def _is_in_range(self, number: float) -> bool:
        is_large_enough = self.minimum is None or number >= self.minimum
        return is_large_enough and (self.maximum is None or number <= self.maximum)

    @property
    def _range(self) -> str:
        match self.minimum, self.maximum:
            case None, None:
                return ""
            case least, None:
                return f"{least:g} or more"
            case None, most:
                return f"{most:g} or less"
            case least, most:
                return f"{least:g} to {most:g}"


@functools.cache
def fields_of(cls: Hashable) -> tuple[OptionField, ...]:
    """Return the options of an option class, inherited ones first."""
    hints = _hints(cls)
    return tuple(
        _field(cls, attribute, hints[attribute.name])
        for attribute in attrs.fields(cast("Any", cls))
        if attribute.init
    )


def _hints(cls: Any) -> dict[str, Any]:
    try:
        return typing.get_type_hints(cls)
    except NameError as exc:
        raise TypeError(
            f"{cls.__name__}: the type of an option can't be found: {exc}. Import it where the "
            "module runs, not under TYPE_CHECKING alone."
        ) from exc


def _field(cls: Any, attribute: attrs.Attribute[Any], annotation: Any) -> OptionField:
    declared = _declared(attribute)
    return attrs.evolve(
        declared,
        binding=cls.binding(),
        name=attribute.name,
        type=annotation,
        help=help_of(cls, attribute),
        default=_made(attribute.default),
        variables=_variables(cls, attribute.name, annotation, declared.env),
        # What is typed as a secret is one, whether or not it was said twice.
        secret=declared.secret or holds_secrets(annotation),
    )


def _declared(attribute: attrs.Attribute[Any]) -> OptionField:
    return attribute.metadata.get(_METADATA) or OptionField(default=attribute.default)


def _variables(
    cls: Any, name: str, annotation: Any, env: str | tuple[str, ...] | None
) -> tuple[str, ...]:
    if env == _DERIVED:
        # What no text can say is a keyword only.
        return (f"{cls.binding()}_{name}".upper(),) if is_writable(annotation) else ()
    variables = (env,) if isinstance(env, str) else tuple(env or ())
    if variables and not is_writable(annotation):
        raise TypeError(
            f"{cls.__name__}.{name}: {describe(annotation)} can't be written as text, "
            f"so there is nothing that {variables[0]} could say: leave out env=."
        )
    return variables


def _made(default: Any) -> Any:
    # attrs.Factory is typed as a function that returns its argument.
    factory = getattr(default, "factory", None)
    return default if factory is None else factory()


def summary_of(cls: Any) -> str:
    """Return the first line of the docstring of an option class; empty if it has none."""
    doc = (cls.__doc__ or "").strip()
    # What @dataclass writes where there is none.
    return "" if doc.startswith(f"{cls.__name__}(") else doc.partition("\n")[0]


def help_of(cls: Any, attribute: attrs.Attribute[Any]) -> str:
    """Return the help of one option: as declared, or as LightRAG's classes have it."""
    # _help is the seeds' name for it.
    return _declared(attribute).help or str(cls._help.get(attribute.name, ""))
