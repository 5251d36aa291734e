"""Checks settings, and says in one line what is wrong with them and what is valid."""

import dataclasses
import difflib
import reprlib
from collections.abc import Sequence
from typing import Any, get_type_hints

from pydantic import TypeAdapter, ValidationError

from prefrl.config.run import RunConfig
from prefrl.errors import ConfigError

_ADAPTER = TypeAdapter(RunConfig)


def checked(config: RunConfig) -> RunConfig:
    """The same settings, every type and range checked.

    Raises:
        ConfigError: one line naming each setting that is wrong and what it may be.
    """
    return validated(dataclasses.asdict(config), source="")


def validated(tree: Any, *, source: str) -> RunConfig:
    """Makes settings from a tree of mappings.

    Args:
        tree: setting -> value, as it was read.
        source: stands before the error: the file it was read from.

    Raises:
        ConfigError: one line naming each setting that is wrong and what it may be.
    """
    try:
        return _ADAPTER.validate_python(tree)
    except ValidationError as error:
        problems: dict[str, str] = {}
        for problem in error.errors():
            # Of a setting that may be one thing or another, pydantic names each thing in square
            # brackets behind it, with a message of its own.
            names = [str(part) for part in problem["loc"] if "[" not in str(part)]
            where = ".".join(names) or "the file"
            if problem["type"] in ("unexpected_keyword_argument", "invalid_key"):
                problems[where] = f"unknown setting {where!r}{_hint(problem['loc'])}"
                continue
            message = problem["msg"].removeprefix("Value error, ")
            if where in problems:
                problems[where] += f", or: {message}"
            else:
                problems[where] = f"{where} is {reprlib.repr(problem['input'])}: {message}"
        # An array's form of itself has several lines; an error has one.
        raise ConfigError(source + " ".join("; ".join(problems.values()).split())) from None


def _hint(unknown: Sequence[int | str]) -> str:
    """What an unknown setting may have been meant to be."""
    settings: Any = RunConfig
    for part in unknown[:-1]:
        settings = get_type_hints(settings).get(str(part))
    if not dataclasses.is_dataclass(settings):
        return ""
    names = [field.name for field in dataclasses.fields(settings)]
    near = difflib.get_close_matches(str(unknown[-1]), names, n=1)
    return f"; did you mean {near[0]}?" if near else f"; choose from {', '.join(names)}"
