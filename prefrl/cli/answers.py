"""`prefrl answers`: answers of people in a run's store, and files of answers."""

import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import tyro

from prefrl.cli.parsing import parse
from prefrl.errors import ConfigError, StorageError, choices, printable, shown

if TYPE_CHECKING:
    from prefrl.labelling.store import LabelStore

USAGE = """usage: prefrl answers RUN
       prefrl answers COMMAND [OPTIONS]

  list    count the answers of people to a run's questions:  prefrl answers RUN
  export  write them into a file:                 prefrl answers export RUN --out FILE.npz
  import  take in those of a file:                prefrl answers import RUN FILE.npz
  delete  remove somebody who answered:           prefrl answers delete RUN NAME
  merge   make one file of several:               prefrl answers merge A.npz B.npz --out C.npz

prefrl answers COMMAND --help lists a command's options."""


@dataclass(frozen=True)
class ListCommand:
    """Count the answers of people to a run's questions, by annotator.

    Args:
        run: the run's folder.
        each: list every answer, too, a line each.
        database: URL of the database, where the folder does not say it, password and all.
    """

    run: tyro.conf.Positional[Path]
    each: bool = False
    database: str | None = None


@dataclass(frozen=True)
class ExportCommand:
    """Write the answers of people to a run's questions into a file in the interchange format.

    Args:
        run: the run's folder.
        out: the new file.
        database: URL of the database, where the folder does not say it, password and all.
    """

    run: tyro.conf.Positional[Path]
    out: Path
    database: str | None = None


@dataclass(frozen=True)
class ImportCommand:
    """Take the answers of a file into a run's store, with who gave them; it is safe to repeat.

    Questions keep their numbers, and an answer that is there already stands. The run learns from
    them when it is gone on with.

    Args:
        run: the run's folder.
        file: a file of answers, as `export` writes them.
        database: URL of the database, where the folder does not say it, password and all.
    """

    run: tyro.conf.Positional[Path]
    file: tyro.conf.Positional[Path]
    database: str | None = None


@dataclass(frozen=True)
class DeleteCommand:
    """Remove somebody who answered: their name and their token.

    Their answers stay, under a name that says nothing, unless told otherwise.

    Args:
        run: the run's folder.
        name: the annotator's name.
        with_answers: their answers are removed as well, for good; of somebody removed before,
            by the name that these answers have.
        yes: do not ask first.
        database: URL of the database, where the folder does not say it, password and all.
    """

    run: tyro.conf.Positional[Path]
    name: tyro.conf.Positional[str]
    with_answers: bool = False
    yes: bool = False
    database: str | None = None


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
    if words and words[0] in COMMANDS:
        COMMANDS[words[0]](words[1:])
    elif words and _is_folder(words[0]):
        list_command(words)
    else:
        given = "a run's folder or a command is missing"
        if words:
            given = f"there is no folder, and no command, {shown(words[0])}"
        valid = choices(words[0] if words else "", COMMANDS)
        raise ConfigError(f"{given}; give a run's folder, or {valid}; see prefrl answers --help")


def _is_folder(word: str) -> bool:
    try:
        return Path(word).is_dir()
    except (OSError, ValueError):  # no path at all
        return False


def list_command(words: list[str]) -> None:
    """Runs `prefrl answers list`."""
    command = parse(ListCommand, words, prog="prefrl answers list")
    from prefrl.runs.answers import store_of

    with store_of(command.run, command.database) as store:
        print("\n".join(_overview(store)))
        if command.each:
            print("\n".join(["", *_each(store)]))


def export_command(words: list[str]) -> None:
    """Runs `prefrl answers export`."""
    command = parse(ExportCommand, words, prog="prefrl answers export")
    from prefrl.labelling.run_status import read_run_status
    from prefrl.runs.answers import store_of

    _check_new(command.out)
    with store_of(command.run, command.database) as store:
        said = store.dataset(env_id=read_run_status(store).env_id or None)
        said.save(command.out)
    print(f"{said.num_answers} answers to {said.num_asked} questions in {command.out}")


def import_command(words: list[str]) -> None:
    """Runs `prefrl answers import`."""
    command = parse(ImportCommand, words, prog="prefrl answers import")
    from prefrl.feedback.interchange import load_comparisons
    from prefrl.runs.answers import store_of

    said = load_comparisons(command.file)
    with store_of(command.run, command.database) as store:
        num_new = store.import_answers(said)
    print(f"{num_new} of the {len(said)} answers in {command.file} are new in {command.run}")


def delete_command(words: list[str]) -> None:
    """Runs `prefrl answers delete`."""
    command = parse(DeleteCommand, words, prog="prefrl answers delete")
    from prefrl.runs.answers import check_annotator, delete_annotator, store_of

    with store_of(command.run, command.database) as store:
        num = check_annotator(store, command.name, with_answers=command.with_answers)
        name = printable(command.name)
        what = f"{name}, and the {num} answers of theirs" if command.with_answers else name
        if not command.yes and not _agrees(f"Remove {what}, for good?"):
            print("nothing was removed")
            return
        has_followed = delete_annotator(
            command.run, store, command.name, with_answers=command.with_answers
        )
    stays = "" if command.with_answers else f"; {num} answers stay, under a name that says nothing"
    later = "" if has_followed else "; the run, which is at work, follows when it looks next"
    print(f"removed {what}{stays}{later}")


def merge_command(words: list[str]) -> None:
    """Runs `prefrl answers merge`."""
    command = parse(MergeCommand, words, prog="prefrl answers merge")
    from prefrl.feedback.interchange import load_comparisons
    from prefrl.feedback.merging import merge_comparisons

    _check_new(command.out)
    names = [str(path) for path in command.files]
    merged = merge_comparisons([load_comparisons(path) for path in command.files], names=names)
    merged.save(command.out)
    print(
        f"{merged.num_answers} answers and {merged.num_skips} skipped questions of "
        f"{len(names)} files in {command.out}"
    )


def _check_new(out: Path) -> None:
    from prefrl.records.files import check_new_file, is_there

    if is_there(out) or out.is_symlink():
        raise StorageError(f"{out} is there already; choose another --out")
    check_new_file(out)


def _agrees(question: str) -> bool:
    """Asks whoever sits at the terminal.

    Raises:
        ConfigError: nobody does.
    """
    if not sys.stdin.isatty():
        raise ConfigError("whether to remove them cannot be asked here; add --yes")
    print(f"{question} [y/N] ", end="", flush=True)
    return sys.stdin.readline().strip().lower() in ("y", "yes")


def _overview(store: "LabelStore") -> Iterator[str]:
    from prefrl.runs.answers import statistics_of

    counts, budget = store.counts(), store.settings().budget
    of_budget = "" if budget is None else f" of {budget:,}"
    yield (
        f"{counts.spent:,}{of_budget} questions answered, {counts.skipped:,} skipped, "
        f"{counts.open + counts.leased:,} open, {counts.withdrawn:,} withdrawn; "
        f"{counts.answers:,} answers and {counts.skips:,} skips"
    )
    known = {one.annotator: one for one in statistics_of(store).annotators}
    names = [one.name for one in store.annotators()]
    for name in [*names, *(name for name in known if name not in names)]:
        one = known.get(name)
        told = "no answer"
        if one is not None:
            told = f"{one.num_answers:,} answers ({one.num_ties:,} ties), {one.num_skips:,} skips"
            if one.answers_per_hour is not None:
                told += f", {one.answers_per_hour:,.0f} answers an hour"
            if one.self_agreement.share is not None:
                told += f", the same again in {one.self_agreement.share:.0%} of repeats"
        yield f"{printable(name)}: {told}"


def _each(store: "LabelStore") -> Iterator[str]:
    yield "question\tannotator\tanswer\tsession\trepeat of"
    for one in store.answers():
        said = one.said or f"{one.p_left:g} left"
        first = "" if one.is_repeat_of is None else one.is_repeat_of
        yield f"{one.question}\t{printable(one.annotator)}\t{said}\t{one.session}\t{first}"


COMMANDS: dict[str, Callable[[list[str]], None]] = {
    "list": list_command,
    "export": export_command,
    "import": import_command,
    "delete": delete_command,
    "merge": merge_command,
}
