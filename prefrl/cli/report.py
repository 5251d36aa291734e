"""`prefrl report`: make a benchmark's report anew."""

from dataclasses import dataclass
from pathlib import Path

import tyro

from prefrl.cli.parsing import parse
from prefrl.errors import StorageError
from prefrl.records import run_folder


@dataclass(frozen=True)
class ReportCommand:
    """Make a benchmark's report anew, from its results alone.

    Args:
        folder: the benchmark's folder, with its cells or, of a part of it, a results.parquet alone.
    """

    folder: tyro.conf.Positional[Path]


def report_command(words: list[str]) -> None:
    """Runs `prefrl report`."""
    command = parse(ReportCommand, words, prog="prefrl report")
    from prefrl.benchmark.grid.ledger import Ledger
    from prefrl.benchmark.grid.results import import_pyarrow
    from prefrl.benchmark.report.report import make_report
    from prefrl.records.files import is_there

    _check_is_benchmark(command.folder)
    import_pyarrow()
    # A benchmark that was killed has not gathered what its cells returned.
    if is_there(command.folder / "cells"):
        Ledger(command.folder).gather()
    print(make_report(command.folder))


def _check_is_benchmark(folder: Path) -> None:
    if (folder / "cells").exists() or not (folder / run_folder.CONFIG).exists():
        return
    raise StorageError(f"{folder} is a run, not a benchmark; prefrl eval {folder} evaluates it")
