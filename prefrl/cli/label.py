"""`prefrl label`: people answer questions about a run, or about recorded data."""

import shlex
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro

from prefrl.cli.parsing import parse
from prefrl.config import LabelConfig, ServingConfig
from prefrl.errors import ConfigError, option

if TYPE_CHECKING:
    from prefrl.runs.label import Labelled


@dataclass(frozen=True)
class LabelCommand:
    """Let people answer questions about a run or about recorded data, until Ctrl-C.

    Of a run that has ended its reward model chooses new questions, from episodes.npz; of one that
    was stopped, those that are open are asked. The link is printed, and the page opened. Typed
    again, the command goes on where it was.  prefrl label backup RUN FILE copies all that people
    have said.

    Args:
        run: the run's folder.
        data: in its place: a file in the interchange format with frames, or sim_states and env_id.
            Its pairs are asked about; with --segment-length, other segments of its steps.
        out: the folder of the answers about --data; beside the file by default.
        settings: what is asked, and how much.
        serving: the page on which people label.
    """

    run: tyro.conf.Positional[Path | None] = None
    data: Path | None = None
    out: Path | None = None
    settings: Annotated[LabelConfig, tyro.conf.arg(name="")] = field(default_factory=LabelConfig)
    serving: Annotated[ServingConfig, tyro.conf.arg(name="")] = field(default_factory=ServingConfig)

    def __post_init__(self) -> None:
        if (self.data is None) == (self.run is None):
            raise ConfigError("give either a run's folder, or --data FILE")
        if self.out is not None and self.data is None:
            raise ConfigError(
                f"{option('out')} is of {option('data')}; answers about a run stay in its folder"
            )


@dataclass(frozen=True)
class BackupCommand:
    """Copy all that people were asked and have said into a file, while they go on.

    The file is an SQLite database, whatever kind the original is; prefrl opens it as it does
    labels.sqlite of a run's folder.

    Args:
        folder: the run's folder, or that of answers about recorded data.
        file: the copy's name, of a file that is not there yet.
        database: as of prefrl label.
    """

    folder: tyro.conf.Positional[Path]
    file: tyro.conf.Positional[Path]
    database: str | None = None


def label_command(words: list[str]) -> None:
    """Runs `prefrl label`."""
    if words and words[0] == "backup":
        _backup(words[1:])
        return
    command = parse(LabelCommand, words, prog="prefrl label")
    from prefrl.runs.label import label_data, label_run

    if command.run is not None:
        labelled = label_run(command.run, settings=command.settings, serving=command.serving)
    else:
        assert command.data is not None
        labelled = label_data(
            command.data, out=command.out, settings=command.settings, serving=command.serving
        )
    if labelled.links is not None:
        print(f"it is being served already\n{labelled.links.as_text()}")
        return
    print(_result(command, labelled))


def _result(command: LabelCommand, labelled: "Labelled") -> str:
    """Returns what came of it, and what to type next."""
    answers = labelled.comparisons
    num = f"{labelled.num_answered:,} questions are answered"
    if labelled.is_stopped:
        again = f"prefrl run --resume {shlex.quote(str(command.run))}"
        return f"{num}; the run learns from them when it goes on: {again}"
    if answers is None:
        return f"{num}; the same command asks the same questions again"
    at = shlex.quote(str(answers))
    lines = [f"{num} here; all answers are in {answers}", "next:"]
    if labelled.has_model:
        run = shlex.quote(str(command.run))
        lines.append(f"  fit its reward model to them:  prefrl learn --run {run}")
    lines.append(f"  fit another one to them:       prefrl learn --data {at} --out DIR")
    return "\n".join(lines)


def _backup(words: list[str]) -> None:
    command = parse(BackupCommand, words, prog="prefrl label backup")
    from prefrl.runs.label.backup import backup

    num = backup(command.folder, command.file, database=command.database)
    print(f"{num:,} answers, with their questions and clips, are in {command.file}")
