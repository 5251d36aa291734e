"""Checks the fields of a settings dataclass where it is made, against the ranges they declare."""

import dataclasses
import functools
import reprlib
from typing import Any, get_type_hints

from pydantic import TypeAdapter, ValidationError

from prefrl.errors import ConfigError


@functools.cache
def _adapters(kind: Any) -> dict[str, TypeAdapter[Any]]:
    hints = get_type_hints(kind, include_extras=True)
    return {field.name: TypeAdapter(hints[field.name]) for field in dataclasses.fields(kind)}


def check_fields(settings: Any) -> None:
    """Checks every field of a frozen dataclass, and stores it in the type it declares.

    Raises:
        ConfigError: a value is out of range; one line names each, with what it may be.
    """
    problems = []
    kind: Any = type(settings)
    for name, adapter in _adapters(kind).items():
        value = getattr(settings, name)
        try:
            object.__setattr__(settings, name, adapter.validate_python(value))
        except ValidationError as error:
            said = [problem["msg"].removeprefix("Value error, ") for problem in error.errors()]
            problems.append(f"{name} is {reprlib.repr(value)}: {', or: '.join(said)}")
    if problems:
        raise ConfigError(" ".join("; ".join(problems).split()))
