"""
Options: what a user sets, declared once.

A field of a :class:`BindingOptions` class is at the same time a keyword argument and an
environment variable::

    class AcmeOptions(BindingOptions, binding="acme"):
        api_key: Secret = option("Key of your account.", secret=True)            # ACME_API_KEY
        base_url: str | None = option("Where Acme is.", default=None)            # ACME_BASE_URL
        workers: int | None = option("Threads.", default=None, scope="call")     # ACME_WORKERS

A keyword beats the environment, and the environment beats the default. ``None`` means "not
set", always, and what is not set is not sent. Text is converted where it comes from an
environment; a keyword must have the type.
"""

from __future__ import annotations

import difflib
import functools
import os
import typing
from collections.abc import Callable, Hashable, Iterable, Mapping
from typing import Any, ClassVar, Literal, cast, dataclass_transform

import attrs

from ragcore._conversion import Unconvertible, from_text, from_value
from ragcore._secrets import Secret
from ragcore.errors import OptionsError

Scope = Literal["model", "call"]

_DERIVED = "\0derived"
_METADATA = "ragcore"


@attrs.frozen
class _Declaration:
    help: str
    env: str | tuple[str, ...] | None
    secret: bool
    scope: Scope
    minimum: float | None
    same_as: str | None
    unless: tuple[str, ...] = ()


def option(
    help: str,  # noqa: A002  # the word argparse and click use for it
    *,
    default: Any = attrs.NOTHING,
    env: str | tuple[str, ...] | None = _DERIVED,
    secret: bool = False,
    scope: Scope = "model",
    minimum: float | None = None,
    same_as: str | None = None,
    unless: tuple[str, ...] = (),
) -> Any:
    """
    Declare one option of a :class:`BindingOptions` class.

    Args:
        help: One sentence for users; names the unit of a number.
        default: Left out: the option must be set. None: unset unless somebody sets it.
        env: Environment variable; in a tuple the first is the standard name and the rest are
            aliases. Left out: ``BINDING_FIELD``. None: a keyword argument only.
        secret: The value is a :class:`ragcore.Secret`; a plain ``str`` is wrapped.
        scope: ``"call"`` if it may also be set for a single call.
        minimum: The least that a number may be.
        same_as: What the host calls the same thing (``"max_output_tokens"``): a call that says
            both is refused.
        unless: Options that can stand for this one, such as other credentials. Where one of them
            is given as a keyword, this one's variables are not read.
    """
    return attrs.field(
        default=default,
        metadata={
            _METADATA: _Declaration(help, env, secret, scope, minimum, same_as, tuple(unless))
        },
        repr=_shown if secret else True,
    )


def _shown(value: object) -> str:
    return repr(value) if value is None or isinstance(value, Secret) else "Secret(…)"


@attrs.frozen
class OptionField:
    """
    One option as it was declared, ready to be documented or read.

    Attributes:
        variables: Environment variables, the standard name first; empty for keyword-only.
        type: The annotation, resolved.
        required: It has no default.
        minimum: The least that a number may be; None for any.
        same_as: The host's name for the same thing, if it has one.
        unless: Options that stand for this one when given as keywords.
    """

    binding: str
    name: str
    type: Any
    help: str
    default: Any
    variables: tuple[str, ...]
    secret: bool
    scope: Scope
    minimum: float | None = None
    same_as: str | None = None
    unless: tuple[str, ...] = ()

    @property
    def required(self) -> bool:
        """Whether somebody has to set it."""
        return self.default is attrs.NOTHING

    @property
    def where(self) -> str:
        """Its full name, as messages end with it."""
        return f"{self.binding}.{self.name}"

    def checked(self, convert: Callable[[Any, Any], Any], value: Any) -> Any:
        """
        Return *value* as *convert* makes it.

        Raises:
            Unconvertible: It has another type, or is too small.
        """
        converted = convert(self.type, value)
        is_number = isinstance(converted, int | float)
        if self.minimum is not None and is_number and converted < self.minimum:
            raise Unconvertible(f"{self.minimum:g} or more")
        return converted


@dataclass_transform(kw_only_default=True, frozen_default=True, field_specifiers=(option,))
class BindingOptions:
    """
    Base of all option classes; ``binding=`` names the group and begins its variables.

    Subclasses are frozen attrs classes with keyword arguments only; a bad value is an
    :class:`OptionsError` that lists all problems at once. A subclass without ``binding=`` is
    a mixin: its fields are inherited, and it can't be instantiated.
    """

    __attrs_attrs__: ClassVar[Any] = ()
    _binding_name: ClassVar[str] = ""

    def __init_subclass__(cls, *, binding: str = "", **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if taken := [name for name in vars(cls).get("__annotations__", ()) if _is_taken(name)]:
            raise TypeError(f"{cls.__name__}: an option can't be named {', '.join(taken)}.")
        cls._binding_name = binding
        attrs.define(
            cls,
            frozen=True,
            slots=False,
            kw_only=True,
            auto_attribs=True,
            init=False,
        )

    def __init__(self, **values: Any) -> None:
        if not self._binding_name:
            raise TypeError(f"{type(self).__name__} is a mixin: subclass it with binding='…'.")
        problems, checked = _problems(type(self), values)
        _raise(_unknown([type(self)], values) + problems)
        _fill(self, checked)

    @classmethod
    def binding(cls) -> str:
        """Return the name of the group, which begins its variables; empty for a mixin."""
        return cls._binding_name

    @classmethod
    def fields(cls) -> tuple[OptionField, ...]:
        """Return what is declared, inherited fields first."""
        return _fields(cast("Hashable", cls))

    def asdict(self) -> dict[str, Any]:
        """Return what is set: every option that is not None."""
        return {
            field.name: value
            for field in self.fields()
            if (value := getattr(self, field.name)) is not None
        }


_UNDECLARED = _Declaration("", _DERIVED, secret=False, scope="model", minimum=None, same_as=None)


def _is_taken(name: str) -> bool:
    return hasattr(BindingOptions, name) and not name.startswith("_")


@functools.cache
def _fields(cls: Any) -> tuple[OptionField, ...]:
    hints = typing.get_type_hints(cls)
    return tuple(
        _field(cls._binding_name, attribute, hints[attribute.name])
        for attribute in attrs.fields(cls)
        if attribute.init
    )


def _field(binding: str, attribute: attrs.Attribute[Any], annotation: Any) -> OptionField:
    declared = attribute.metadata.get(_METADATA) or _UNDECLARED
    match declared.env:
        case None:
            variables: tuple[str, ...] = ()
        case str(name) if name == _DERIVED:
            variables = (f"{binding}_{attribute.name}".upper(),)
        case str(name):
            variables = (name,)
        case names:
            variables = tuple(names)
    return OptionField(
        binding=binding,
        name=attribute.name,
        type=annotation,
        help=declared.help,
        default=attribute.default,
        variables=variables,
        # What is typed as a secret is one, whether or not it was said twice.
        secret=declared.secret or Secret in (annotation, *typing.get_args(annotation)),
        scope=declared.scope,
        minimum=declared.minimum,
        same_as=declared.same_as,
        unless=declared.unless,
    )


# --- reading: keyword > environment > default ---------------------------------------------


def read(
    groups: Iterable[type[BindingOptions]],
    keywords: Mapping[str, Any],
    environ: Mapping[str, str] | None = None,
) -> list[BindingOptions]:
    """
    Make one instance of each of *groups* from keywords and the environment.

    Args:
        groups: Their field names are disjoint, so a keyword belongs to one of them.
        keywords: Must have the declared types; None is "not set".
        environ: Read instead of :data:`os.environ`.

    Raises:
        OptionsError: With every problem of every group.
    """
    environ = os.environ if environ is None else environ
    groups = list(groups)
    problems = _unknown(groups, keywords)
    found: list[dict[str, Any]] = []
    for group in groups:
        names = {field.name for field in group.fields()}
        given = {n: value for n, value in keywords.items() if n in names and value is not None}
        unset = [field for field in group.fields() if field.name not in given]
        wanted = [field for field in unset if not set(field.unless) & set(given)]
        from_text, bad = _from_environment(wanted, environ)
        unclear = {field.name for field in unset} & set(bad)
        more, checked = _problems(group, given | from_text, skip=unclear)
        problems += [*bad.values(), *more]
        found.append(checked)
    _raise(problems)
    return [_made(group, checked) for group, checked in zip(groups, found, strict=True)]


def merge(base: BindingOptions, keywords: Mapping[str, Any]) -> BindingOptions:
    """
    Return *base* with the call-scoped options of *keywords* set; None leaves one as it is.

    Raises:
        OptionsError: An option is unknown, is model-scoped, or has the wrong type.
    """
    if not keywords:
        return base
    group = type(base)
    fields = {field.name: field for field in group.fields()}
    problems = _unknown([group], keywords, only_calls=True)
    problems += [
        f"{name}: is set when the model is opened, not for a single call @ {fields[name].where}"
        for name in keywords
        if name in fields and fields[name].scope == "model" and keywords[name] is not None
    ]
    given = {
        name: value for name, value in keywords.items() if name in fields and value is not None
    }
    more, checked = _problems(group, base.asdict() | given)
    _raise(problems + more)
    return _made(group, checked)


def refuse_twice(options: BindingOptions, name: str) -> None:
    """
    Refuse options that say again what the call's *name* says.

    Raises:
        OptionsError: One is set.
    """
    twins = [field for field in options.fields() if field.same_as == name]
    _raise(
        [
            f"{name}: {twin.name} is set too, and is the same; leave one out @ {twin.where}"
            for twin in twins
            if getattr(options, twin.name) is not None
        ]
    )


def _unknown(
    groups: Iterable[type[BindingOptions]],
    keywords: Mapping[str, Any],
    *,
    only_calls: bool = False,
) -> list[str]:
    known = {field.name: field for group in groups for field in group.fields()}
    offered = [name for name, field in known.items() if not only_calls or field.scope == "call"]
    problems = []
    for name in keywords:
        if name in known:
            continue
        close = difflib.get_close_matches(name, offered, n=1)
        cure = (
            f"did you mean {close[0]!r}?" if close else f"there are: {', '.join(sorted(offered))}"
        )
        problems.append(f"{name}: unknown option; {cure}")
    return problems


def _from_environment(
    fields: Iterable[OptionField], environ: Mapping[str, str]
) -> tuple[dict[str, Any], dict[str, str]]:
    values: dict[str, Any] = {}
    problems: dict[str, str] = {}
    for field in fields:
        # An empty variable is how shells and .env files write "not set".
        variable = next((name for name in field.variables if environ.get(name)), None)
        if variable is None:
            continue
        try:
            values[field.name] = field.checked(from_text, environ[variable])
        except Unconvertible as exc:
            shown = "the value" if field.secret else repr(environ[variable])
            problems[field.name] = f"{variable}: {shown} is not {exc} @ {field.where}"
    return values, problems


def _problems(
    cls: type[BindingOptions], values: Mapping[str, Any], *, skip: Iterable[str] = ()
) -> tuple[list[str], dict[str, Any]]:
    problems: list[str] = []
    checked: dict[str, Any] = {}
    for field in cls.fields():
        value = values.get(field.name)
        if value is None:
            if field.required and field.name not in skip:
                problems.append(_missing(field))
            continue
        try:
            checked[field.name] = field.checked(from_value, value)
        except Unconvertible as exc:
            shown = "the value" if field.secret else f"{value!r:.80}"
            problems.append(f"{field.name}: {shown} is not {exc} @ {field.where}")
    return problems, checked


def _missing(field: OptionField) -> str:
    variable = f" or set {field.variables[0]}" if field.variables else ""
    return f"{field.name}: missing: pass {field.name}={variable} @ {field.where}"


def _raise(problems: list[str]) -> None:
    if problems:
        raise OptionsError("\n".join(problems), problems=problems)


def _made(group: type[BindingOptions], checked: Mapping[str, Any]) -> BindingOptions:
    instance = group.__new__(group)
    _fill(instance, checked)
    return instance


def _fill(instance: BindingOptions, checked: Mapping[str, Any]) -> None:
    try:
        instance.__attrs_init__(**checked)  # type: ignore[attr-defined]  # written by attrs
    except OptionsError:
        raise
    except ValueError as exc:
        # A validator or __attrs_post_init__ of the class.
        raise OptionsError(f"{exc} @ {instance.binding()}") from exc
