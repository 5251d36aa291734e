"""Settings that are checked when they are made: each error is one line that names the setting."""

import dataclasses
import difflib
import functools
from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypeVar, get_type_hints

import pydantic.dataclasses
from pydantic import ConfigDict, TypeAdapter, ValidationError
from typing_extensions import dataclass_transform

from prefrl.config.expected import expected
from prefrl.errors import ArgumentError, ConfigError, one_line, option, shown

_Settings = TypeVar("_Settings")
_UNKNOWN = ("unexpected_keyword_argument", "invalid_key")
_MOST_NAMED = 5


@dataclass_transform(frozen_default=True, field_specifiers=(dataclasses.field,))
def settings(
    section: str = "", *, kw_only: bool = False
) -> Callable[[type[_Settings]], type[_Settings]]:
    """Makes a class a frozen dataclass whose types and ranges are checked at construction.

    `dataclasses.replace` checks as well. An error is a ConfigError of one line, naming each setting
    that is wrong or unknown, and what it may be.

    Args:
        section: stands before the settings' names in errors, as it does in a run's config.yaml.
        kw_only: settings are given by name only.
    """

    def decorate(cls: type[_Settings]) -> type[_Settings]:
        checks = pydantic.dataclasses.dataclass(
            frozen=True,
            kw_only=kw_only,
            # A field that a subclass narrows keeps the default it had, which may fit no longer.
            config=ConfigDict(extra="forbid", validate_default=True),
        )
        made: Any = checks(cls)
        check: Callable[..., None] = made.__init__
        names = [field.name for field in dataclasses.fields(made) if not field.kw_only]

        @functools.wraps(check)
        def __init__(self: Any, *args: Any, **kwargs: Any) -> None:
            # By name, so that errors have one.
            named = dict(zip(names, args, strict=False))
            twice = [name for name in named if name in kwargs]
            if len(args) > len(names) or twice:
                wrong = f"{twice[0]} twice" if twice else f"{len(args)} settings by their place"
                raise ArgumentError(
                    f"{cls.__name__} was given {wrong}; give each once, by its name: "
                    f"{cls.__name__}({next(iter(names), 'name')}=...)"
                )
            try:
                check(self, **named, **kwargs)
            except ValidationError as error:
                raise ConfigError(_line(error, made, section)) from None

        made.__init__ = __init__
        return cls

    return decorate


def changed(settings: object) -> list[str]:
    """Returns the names of the settings that are not what they are by default."""
    usual = type(settings)()
    return [name for name, value in vars(settings).items() if value != getattr(usual, name)]


def validated(kind: type[_Settings], tree: Any, *, source: str) -> _Settings:
    """Makes settings from a tree of mappings.

    Args:
        kind: a class of settings.
        tree: setting -> value, as it was read.
        source: stands before the error: the file it was read from.

    Raises:
        ConfigError: one line naming each setting that is wrong and what it may be.
    """
    try:
        return TypeAdapter(kind).validate_python(tree)
    except ValidationError as error:
        raise ConfigError(source + _line(error, kind, is_file=True)) from None


def _line(error: ValidationError, kind: Any, section: str = "", *, is_file: bool = False) -> str:
    """Says what is wrong with each setting.

    One of a file goes by its key there, any other as `option` names it.
    """
    found: dict[str, str] = {}
    for problem in error.errors():
        where = _name(problem["loc"], section)
        called = where if is_file else option(where)
        if problem["loc"] and problem["loc"][-1] == "[key]":
            mapping = _name(problem["loc"][:-2], section)
            called = mapping if is_file else option(mapping)
            found[where] = f"{called} has the key {shown(problem['input'])}; {expected(problem)}"
        elif problem["type"] in _UNKNOWN:
            found[where] = f"unknown setting {shown(where)}{_hint(kind, problem['loc'])}"
        elif problem["type"] == "missing":
            found[where] = f"{called} is not given; it has no default"
        elif where in found:
            found[where] += f" or {expected(problem).removeprefix('expected ')}"
        else:
            found[where] = f"{called} is {shown(problem['input'])}; {expected(problem)}"
    more = len(found) - _MOST_NAMED
    rest = [f"and {more} more"] if more > 0 else []
    return one_line("; ".join([*list(found.values())[:_MOST_NAMED], *rest]))


def _name(place: Sequence[int | str], section: str) -> str:
    name = section
    for part in place:
        if isinstance(part, int) and name:
            name += f"[{part}]"
        # Of a setting that may be one thing or another, pydantic names each thing behind it, with
        # brackets of its own.
        elif "[" not in str(part):
            name += f".{part}" if name else str(part)
    return name if place else name or "the file"


def _hint(kind: Any, unknown: Sequence[int | str]) -> str:
    """Says what an unknown setting may have been meant to be."""
    for part in unknown[:-1]:
        kind = get_type_hints(kind).get(str(part))
    if not dataclasses.is_dataclass(kind):
        return ""
    names: Iterable[str] = [field.name for field in dataclasses.fields(kind)]
    near = difflib.get_close_matches(str(unknown[-1]), names, n=1)
    return f"; did you mean {near[0]}?" if near else f"; choose from {', '.join(names)}"
