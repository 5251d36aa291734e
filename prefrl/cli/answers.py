"""`prefrl answers`: files of answers."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import tyro

from prefrl.cli.parsing import parse
from prefrl.errors import ConfigError, StorageError, choices, shown

USAGE = """usage: prefrl answers COMMAND [OPTIONS]

  merge  make one file of several:  prefrl answers merge A.npz B.npz --out C.npz

prefrl answers COMMAND --help lists a command's options."""


@dataclass(frozen=True)
class MergeCommand:
    """Make one file of answers of several about the same environment.

    Episodes and questions are numbered on from file to file; a group that is in two files is one.

    Args:
        files: two or more, in the interchange format, as comparisons.npz of a run.
        out: the new file.
    """

    files: tyro.conf.Positional[tuple[Path, ...]]
    out: Path

    def __post_init__(self) -> None:
        if len(self.files) < 2:
            raise ConfigError(f"{len(self.files)} files are given; expected two or more to merge")


def answers_command(words: list[str]) -> None:
    """Runs `prefrl answers`."""
    if words and words[0] in ("-h", "--help"):
        print(USAGE)
        return
    if not words or words[0] not in COMMANDS:
        given = f"unknown command {shown(words[0])}" if words else "a command is missing"
        valid = choices(words[0] if words else "", COMMANDS)
        raise ConfigError(f"{given}; {valid}; see prefrl answers --help")
    COMMANDS[words[0]](words[1:])


def merge_command(words: list[str]) -> None:
    """Runs `prefrl answers merge`."""
    command = parse(MergeCommand, words, prog="prefrl answers merge")
    from prefrl.feedback.interchange import load_comparisons
    from prefrl.feedback.merging import merge_comparisons
    from prefrl.records.files import check_new_file, is_there

    if is_there(command.out) or command.out.is_symlink():
        raise StorageError(f"{command.out} is there already; choose another --out")
    check_new_file(command.out)
    names = [str(path) for path in command.files]
    merged = merge_comparisons([load_comparisons(path) for path in command.files], names=names)
    merged.save(command.out)
    print(
        f"{merged.num_answers} answers and {merged.num_skips} skipped questions of "
        f"{len(names)} files in {command.out}"
    )


COMMANDS: dict[str, Callable[[list[str]], None]] = {"merge": merge_command}
