"""The errors of prefrl, each of them one line a person can act on."""

import difflib
from collections.abc import Iterable


class PrefrlError(Exception):
    """Something the user can put right; the command line prints it as one line and exits with 2."""


class ConfigError(PrefrlError):
    """A setting is unknown, out of range, or does not fit the others."""


class SpaceError(PrefrlError):
    """An observation or action space cannot be used, or is not the one a reward model knows."""


class EnvironmentFault(PrefrlError):
    """The environment raised, or returned numbers that are not finite, in the middle of a run."""


class StorageError(PrefrlError):
    """A file could not be written, or what was read is damaged or belongs to something else."""


class DataError(PrefrlError):
    """Segments, queries or answers have the wrong shape, range or number."""


class ContractError(PrefrlError):
    """A part of a user's own does not keep to the contract of its protocol."""


def one_line(text: str) -> str:
    """Joins the lines of a text, and the blanks within them, into one line."""
    return " ".join(text.split())


def with_type(error: BaseException) -> str:
    """Returns the type and the text of an error of somebody else's code, in one line."""
    name, text = type(error).__name__, one_line(str(error))
    return f"{name}: {text}" if text else name


def at_least(name: str, value: object, least: int) -> str:
    """Says that a number is smaller than it may be."""
    return f"{name} is {value}; expected {least} or more"


def unknown(kind: str, name: str, valid: Iterable[str]) -> str:
    """Says that there is no such thing, and which there are.

    Args:
        kind: of the thing: "agent", "teacher".
        name: what was asked for.
        valid: what there is, in the order it is listed.
    """
    return f"unknown {kind} {name!r}; {choices(name, valid)}"


def choices(name: str, valid: Iterable[str]) -> str:
    """Lists what there is, and what was perhaps meant by `name`."""
    names = list(valid)
    near = difflib.get_close_matches(name, names, n=1)
    hint = f"; did you mean {near[0]}?" if near else ""
    return f"choose from {', '.join(names)}{hint}"
