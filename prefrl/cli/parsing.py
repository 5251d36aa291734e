"""Words of the command line become a command; what is wrong with them becomes one line."""

import contextlib
import dataclasses
import difflib
import io
import os
import re
import shutil
from collections.abc import Callable, Iterator
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Annotated, Any, TypeVar, get_args, get_type_hints

import tyro
from tyro.constructors import (
    ConstructorRegistry,
    PrimitiveConstructorSpec,
    PrimitiveTypeInfo,
    StructConstructorSpec,
    StructTypeInfo,
)

from prefrl.config import BenchmarkConfig, QueryConfig, RunConfig, ServingConfig, TeacherConfig
from prefrl.config.yaml_file import mapping_from_text, mapping_to_text
from prefrl.errors import ConfigError, one_line, shown

_Command = TypeVar("_Command")
_Value = TypeVar("_Value")

ALIASES = ("audit_share", "repeat_share", "overlap", "ease")
"""Settings of queries that are typed without `--queries`, too."""

_SPELLINGS: dict[Any, dict[str, Any]] = {
    TeacherConfig: {"name": tyro.conf.arg(name="")},
    ServingConfig: {"open_page": tyro.conf.arg(name="open")},
    RunConfig: {"earlier_ends": tyro.conf.Suppress},
    QueryConfig: {name: tyro.conf.arg(aliases=[f"--{name.replace('_', '-')}"]) for name in ALIASES},
    # Each goes by the name that `prefrl run` has for one of them, too.
    BenchmarkConfig: {
        "envs": tyro.conf.arg(aliases=["--env"]),
        "strategies": tyro.conf.arg(aliases=["--strategy"]),
        "teachers": tyro.conf.arg(aliases=["--teacher"]),
        "budgets": tyro.conf.arg(aliases=["--budget"]),
    },
}
"""Class -> setting -> how it is typed, where that is not by its name in config.yaml."""

_PLAINER = (
    # Of the names of one option, the one in config.yaml; nothing is said of where lines broke.
    (r"(?:--[\w.-]+/)+(--[\w.-]+)", r"\1"),
    (r"\s+\)", ")"),
    (r"Error parsing (\S+): could not convert string to float: (.*)", r"\1 is \2; expected FLOAT"),
    (
        r"Error parsing (\S+): no type matching (?:\{None\}\|)?(.*) could be instantiated from "
        r"\[(.*)\]",
        r"\1 is \3; expected \2",
    ),
    (r"Error parsing (\S+): (.*; expected .*)", r"\1 is \2"),
    (
        r"Error parsing (\S+): Could not find valid parse for arguments: \[(.*)\]",
        r"\1 is \2; that is none of its values",
    ),
    (
        r"[Ii]nvalid choice (.*) for argument '(\S+)'\. Expected one of \((.*)\)",
        r"\2 is \1; choose from \3",
    ),
    (r"Missing value for argument '(--\S+)'\. Expected 1 values", r"\1 is given without a value"),
    (r"Missing value for argument '(\S+)'\. Expected 1 values", r"\1 is missing"),
    (r"Missing from prefrl [\w ]+: (--\S+) .*", r"\1 is missing"),
    (r"Missing from prefrl [\w ]+: (?:PATH|STR) ([^.,]*).*", r"\1 is missing"),
)
"""Words of tyro about a value that is none, and ours."""

_MAPPINGS = ("--env-kwargs", "--agent-settings")

_REGISTRY = ConstructorRegistry()
_NARROWEST = 40  # columns; with fewer than 8, help would never be laid out
_MOST_DIGITS = 100  # of a number that is typed; each setting says itself how large it may be


class HelpShown(Exception):
    """Somebody asked for help, and has got it."""


def _one_word(
    metavar: str,
    read: Callable[[str], _Value],
    is_instance: Callable[[Any], bool],
    write: Callable[[_Value], str] = str,
) -> PrimitiveConstructorSpec[_Value]:
    """Says how a value is typed that is one word of the command line."""
    return PrimitiveConstructorSpec(
        nargs=1,
        metavar=metavar,
        instance_from_str=lambda words: read(words[0]),
        is_instance=is_instance,
        str_from_instance=lambda value: [write(value)],
    )


@_REGISTRY.primitive_rule
def _whole_number(info: PrimitiveTypeInfo) -> PrimitiveConstructorSpec[int] | None:
    """Types a whole number as one would say it: 2e6 as well as 2000000."""
    if info.type is not int:
        return None
    return _one_word(
        "INT", _as_int, lambda value: isinstance(value, int) and not isinstance(value, bool)
    )


def _as_int(word: str) -> int:
    with contextlib.suppress(ValueError, InvalidOperation):
        if re.search("[eE]", word):
            number = Decimal(word)
            if number == number.to_integral_value() and number.adjusted() < _MOST_DIGITS:
                return int(number)
        elif len(word) < _MOST_DIGITS:
            return int(word)
    raise ValueError(f"{shown(word)}; expected INT")


@_REGISTRY.primitive_rule
def _path(info: PrimitiveTypeInfo) -> PrimitiveConstructorSpec[Path] | None:
    """Refuses what is no path anywhere: an empty text would be the folder that one is in."""
    if info.type is not Path:
        return None
    return _one_word("PATH", _as_path, lambda value: isinstance(value, Path))


def _as_path(word: str) -> Path:
    if not word or "\0" in word:
        raise ValueError(f"{shown(word)}; expected a path")
    return Path(word)


@_REGISTRY.primitive_rule
def _free_mapping(info: PrimitiveTypeInfo) -> PrimitiveConstructorSpec[dict[str, Any]] | None:
    """Types a mapping as YAML: '{n_epochs: 5}'."""
    if info.type != dict[str, Any]:
        return None
    return _one_word(
        "{KEY: VALUE}", mapping_from_text, lambda value: isinstance(value, dict), mapping_to_text
    )


@_REGISTRY.struct_rule
def _spelled(info: StructTypeInfo) -> StructConstructorSpec | None:
    """Gives some settings the names by which they are typed."""
    if info.type not in _SPELLINGS:
        return None
    spellings = _SPELLINGS.pop(info.type)  # so that tyro's own rule is found below
    try:
        spec = ConstructorRegistry.get_struct_spec(info)
    finally:
        _SPELLINGS[info.type] = spellings
    assert isinstance(spec, StructConstructorSpec)
    fields = list(spec.fields)
    for number, field in enumerate(fields):
        if field.name in spellings:
            spelled: Any = Annotated[field.type, spellings[field.name]]
            fields[number] = dataclasses.replace(field, type=spelled)
    return dataclasses.replace(spec, fields=tuple(fields))


def parse(command: type[_Command], words: list[str], **options: Any) -> _Command:
    """Makes a command of the words.

    Raises:
        ConfigError: one line in place of the box that tyro draws around what is wrong.
    """
    box = io.StringIO()
    try:
        with contextlib.redirect_stderr(box), _wide_enough():
            parsed: _Command = tyro.cli(command, args=words, registry=_REGISTRY, **options)
            return parsed
    except SystemExit as end:
        if not end.code:
            raise HelpShown from None
        said, help_text = _without_box(box.getvalue())
        said = _of_unknown_words(said, words, command) or _of_lists(said, help_text)
        raise ConfigError(f"{said}; see {options['prog']} --help") from None


@contextlib.contextmanager
def _wide_enough() -> Iterator[None]:
    """Lays texts out for a terminal of some width, however narrow it says it is."""
    before = os.environ.get("COLUMNS")
    os.environ["COLUMNS"] = str(max(shutil.get_terminal_size().columns, _NARROWEST))
    try:
        yield
    finally:
        if before is None:
            del os.environ["COLUMNS"]
        else:
            os.environ["COLUMNS"] = before


def option_names(kind: Any, section: str = "") -> Iterator[str]:
    """Lists the settings that a command has options for, by their names in Python."""
    types = get_type_hints(kind, include_extras=True)
    for field in dataclasses.fields(kind):
        if _SPELLINGS.get(kind, {}).get(field.name) is tyro.conf.Suppress:
            continue
        inner, *how = get_args(types[field.name]) or [types[field.name]]
        is_unnamed = any(getattr(one, "name", None) == "" for one in how)
        name = section if is_unnamed else f"{section}.{field.name}".lstrip(".")
        if dataclasses.is_dataclass(inner):
            yield from option_names(inner, name)
        if name:
            yield name
    for spelling in _SPELLINGS.get(kind, {}).values():
        for alias in getattr(spelling, "aliases", None) or ():
            yield alias.removeprefix("--").replace("-", "_")


def _without_box(text: str) -> tuple[str, str]:
    """Returns what is wrong, and the help that follows it, without tyro's frame."""
    lines = [line.strip(" │|") for line in text.splitlines() if not re.match(r"[╭╰+]", line)]
    if lines and len(lines) == len(text.splitlines()):
        # Where it cannot draw a frame, as by LC_ALL=C, the title has a line and a rule of its own.
        lines = lines[2:]
    rule = next((i for i, line in enumerate(lines) if re.fullmatch(r"[─-]+", line)), len(lines))
    said = one_line(" ".join(lines[:rule])).split(" Got errors:")[0].rstrip(".")
    # tyro keeps an optional choice in a set, whose order changes from one process to the next.
    said = re.sub(r"(?<=one of \()[^()]+(?=\))", _in_order, said)
    for pattern, better in _PLAINER:
        said = re.sub(pattern, better, said)
    return said, one_line(" ".join(lines[rule + 1 :]))


def _of_unknown_words(said: str, words: list[str], command: type[Any]) -> str:
    """Says what was perhaps meant by a word that is no option's; nothing of any other error."""
    if not said.startswith("Unrecognized options: "):
        return ""
    word = said.removeprefix("Unrecognized options: ").split(", ")[0]
    options = [f"--{name.replace('_', '-')}" for name in option_names(command)]
    if word.startswith("-"):
        typed = word.partition("=")[0].lower()
        bare = typed.removesuffix(".name")
        # What names a section is no option; else it is none that is unknown.
        others = [option for option in options if option != word.partition("=")[0]]
        near = [bare] if bare in others else difflib.get_close_matches(typed, others, n=1)
        return f"{said}; did you mean {near[0]}?" if near else said
    at = words.index(word) if word in words else 0
    if at >= 2 and words[at - 2] in options and not words[at - 1].startswith("--"):
        mapping = f"; a mapping is one: '{{{words[at - 1]}: {word}}}'"
        more = mapping if words[at - 2] in _MAPPINGS else ""
        return f"{words[at - 2]} takes one value, and {shown(word)} is a second{more}"
    if at >= 1 and words[at - 1] in options:
        return f"{words[at - 1]} takes no value, and {shown(word)} follows it"
    if words[0] == word and "--env" in options:
        return f"{said}; did you mean --env {word}?"
    return said


def _of_lists(said: str, help_text: str) -> str:
    """Says what each word of a list may be, where one of them is something else."""
    kind = re.search(r"\[([A-Z]+) \[\1 \.\.\.\]\]", f"{said} {help_text}")
    pattern = r"that is none of its values|expected \{\[.*"
    return re.sub(pattern, f"expected {kind[1]} [{kind[1]} ...]", said) if kind else said


def _in_order(choices: re.Match[str]) -> str:
    return ", ".join(sorted(choices[0].replace("'", "").split(", ")))
