"""Words of the command line become a command; what is wrong with them becomes one line."""

import contextlib
import io
import re
from typing import Any, TypeVar

import tyro

from prefrl.errors import ConfigError, one_line

_Command = TypeVar("_Command")


def parse(command: type[_Command], words: list[str], **options: Any) -> _Command:
    """What tyro makes of the words.

    Raises:
        ConfigError: one line in place of the box that tyro draws around what is wrong.
    """
    box = io.StringIO()
    try:
        with contextlib.redirect_stderr(box):
            parsed: _Command = tyro.cli(command, args=words, **options)
            return parsed
    except SystemExit as end:
        if not end.code:  # It was asked for help.
            raise
        raise ConfigError(f"{_without_box(box.getvalue())}; see {options['prog']} --help") from None


def _without_box(text: str) -> str:
    """What is wrong, and the name that was perhaps meant; not tyro's frame and further help."""
    lines = [line.strip(" │|") for line in text.splitlines() if not re.match(r"[╭╰+]", line)]
    rule = next((i for i, line in enumerate(lines) if re.fullmatch(r"[─-]+", line)), len(lines))
    said = one_line(" ".join(lines[:rule])).split(" Got errors:")[0].rstrip(".")
    meant = re.match(r"Perhaps you meant: *(--[\w.-]+)", one_line(" ".join(lines[rule + 1 :])))
    # tyro keeps an optional choice in a set, whose order changes from one process to the next.
    said = re.sub(r"(?<=one of \()[^()]+(?=\))", _in_order, said)
    return f"{said}; did you mean {meant[1]}?" if meant else said


def _in_order(choices: re.Match[str]) -> str:
    return ", ".join(sorted(choices[0].split(", ")))
