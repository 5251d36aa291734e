"""The errors of prefrl, each of them one line a person can act on."""

import contextlib
import difflib
import re
import reprlib
from collections.abc import Iterable, Iterator
from pathlib import Path

_LONGEST_SHOWN = 60  # characters of a text that was given
_LONGEST_LINE = 1_500
_LONGEST_WORD = 300
_SHORT = reprlib.Repr()
_SHORT.maxstring = _SHORT.maxother = _LONGEST_SHOWN


class PrefrlError(Exception):
    """Something the user can put right; the command line prints it as one line and exits with 2.

    Example:
        >>> import prefrl
        >>> try:
        ...     prefrl.RunConfig(env="HalfCheetah-v4", budget=0)
        ... except prefrl.PrefrlError as error:
        ...     print(error)
        budget is 0...
    """

    def __str__(self) -> str:
        """Returns one line, whatever names of files and values of somebody's are in it."""
        return printable(super().__str__())


class ConfigError(PrefrlError):
    """A setting is unknown, out of range, or does not fit the others."""


class SpaceError(PrefrlError):
    """An observation or action space cannot be used, or is not the one a reward model knows."""


class ArgumentError(PrefrlError, TypeError):
    """An argument of a Python call is of a type or a shape that cannot be used."""


class EnvironmentFault(PrefrlError):
    """The environment raised, or returned numbers that are not finite, in the middle of a run."""


class StorageError(PrefrlError):
    """A file could not be written, or what was read is damaged or belongs to something else."""


class DataError(PrefrlError):
    """Segments, queries or answers have the wrong shape, range or number."""


class Diverged(PrefrlError):
    """A policy has weights that are no longer finite numbers; nothing goes on from there."""


class ContractError(PrefrlError):
    """A part of a user's own does not keep to the contract of its protocol."""


def one_line(text: str) -> str:
    """Joins the lines of a text, and the blanks within them, into one line."""
    return " ".join(text.split())


def printable(text: str) -> str:
    """Returns a text as one line that every terminal can show, whatever file names are in it."""
    line = text
    if not text.isprintable():
        line = "".join(
            one if one.isprintable() else one.encode("unicode_escape").decode()
            for one in one_line(text)
        )
    if len(line) > _LONGEST_LINE:
        # Names of files first: what is said of them stands between them.
        line = _shortened(" ".join(_shortened(word, _LONGEST_WORD) for word in line.split(" ")))
    return line


def _shortened(text: str, most: int = _LONGEST_LINE) -> str:
    half = most // 2
    return text if len(text) <= most else f"{text[:half]} ... {text[-half:]}"


def text_of(error: BaseException) -> str:
    """Returns the text of an error in one line, or its type where it says nothing."""
    return one_line(str(error)) or type(error).__name__


def name_of(part: object) -> str:
    """Names a part of somebody's own: a function by its name, an object by that of its class."""
    return str(getattr(part, "__name__", type(part).__name__))


def with_type(error: BaseException) -> str:
    """Returns the type and the text of an error of somebody else's code, in one line."""
    name, text = type(error).__name__, one_line(str(error))
    return f"{name}: {text}" if text else name


@contextlib.contextmanager
def calling(what: str) -> Iterator[None]:
    """Words whatever a part of somebody's own raises in one line that names the part.

    Args:
        what: is called: "ask of MyTeacher".

    Raises:
        ContractError: something else than an error of prefrl's was raised within.
    """
    try:
        yield
    except PrefrlError:
        raise
    except Exception as error:
        raise ContractError(one_line(f"{what} raised {with_type(error)}")) from error


def not_a(name: str, value: object, expected: str) -> str:
    """Says that an argument is of another type than it may be.

    Args:
        name: of the argument.
        value: what was given.
        expected: what may be: "a RunConfig", "(N, O) numbers".
    """
    try:
        shape = getattr(value, "shape", None)
    except Exception:  # noqa: BLE001 - whatever somebody's object does
        shape = None
    got = f"the class {value.__name__}" if isinstance(value, type) else a(type(value).__name__)
    if isinstance(value, str) and len(value) <= _LONGEST_SHOWN:
        got += f" ({value!r})"
    elif isinstance(shape, tuple):
        got += f" of shape {tuple(shape)}"
    return f"{name} is {got}; expected {expected}"


def a(noun: str) -> str:
    """Puts the article before a noun: "an int", "a str"."""
    vowel = noun[:1].lower() in "aeio" or noun == "ndarray"
    return f"an {noun}" if vowel else f"a {noun}"


def at_least(name: str, value: object, least: int) -> str:
    """Says that a setting or an argument is smaller than it may be."""
    return f"{option(name)} is {shown(value)}; expected {least} or more"


def at_most(name: str, value: object, most: int) -> str:
    """Says that a setting or an argument is larger than it may be."""
    return f"{option(name)} is {shown(value)}; expected at most {most:,}"


def shown(value: object) -> str:
    """Returns a value as Python would write it, in one line that stays short whatever it is."""
    try:
        return one_line(_SHORT.repr(value))
    except Exception:  # noqa: BLE001 - Python writes no number of 5,000 digits; an object of its own
        is_long = isinstance(value, int)
        return "a number of thousands of digits" if is_long else f"a {type(value).__name__}"


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


# Whoever types commands reads `--eval-in training`, whoever writes Python `eval_in="training"`.
_speaks_commands = False
_options: frozenset[str] | None = None  # that the command has; None: any
_MAPPINGS = ("agent_settings", "env_kwargs")  # What is in them has no option of its own.


@contextlib.contextmanager
def in_commands_words() -> Iterator[None]:
    """Words errors as options of a command instead of arguments of a Python call."""
    global _speaks_commands, _options
    before = _speaks_commands, _options
    _speaks_commands, _options = True, None
    try:
        yield
    finally:
        _speaks_commands, _options = before


def speak_of(options: Iterable[str]) -> None:
    """Says which settings the command has options for; others go by their names in Python."""
    global _options  # noqa: PLW0603
    _options = frozenset(options)


def option(name: str, value: object = None) -> str:
    """Names a setting as it is given: `--eval-in training`, or `eval_in='training'` in Python.

    Args:
        name: of the setting or argument, in Python: "eval_in", "queries.spread_factor".
        value: what it should be; None names the setting alone, True is an option without a value.
    """
    # A name is typed without its `.name`, and what is in a list has no option of its own.
    typed = re.sub(r"(\.name|\[\d+\])$", "", name)
    section, _, key = typed.partition(".")
    if _speaks_commands and section in _MAPPINGS and key:
        return f"{key} of {option(section)}"
    if _speaks_commands and (_options is None or typed in _options):
        spelled = f"--{typed.replace('_', '-')}"
        return spelled if value in (None, True) else f"{spelled} {value}"
    return name if value is None else f"{name}={value!r}"


def resuming(folder: Path, **more: object) -> str:
    """Says how a run is gone on with: `--resume DIR`, or `prefrl.resume('DIR')` in Python.

    Args:
        folder: the run folder.
        **more: other options: `steps=200_000`.
    """
    if _speaks_commands:
        return " ".join([f"--resume {folder}", *(option(k, v) for k, v in more.items())])
    arguments = ", ".join([repr(str(folder)), *(option(k, v) for k, v in more.items())])
    return f"prefrl.resume({arguments})"
