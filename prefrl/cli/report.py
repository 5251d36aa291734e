"""`prefrl report`: make a benchmark's report anew."""

from dataclasses import dataclass
from pathlib import Path

import tyro

from prefrl.cli.parsing import parse


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

    import_pyarrow()
    # A benchmark that was killed has not gathered what its cells returned.
    if (command.folder / "cells").exists():
        Ledger(command.folder).gather()
    print(make_report(command.folder))
