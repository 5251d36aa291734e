"""Runs a grid's cells, with a progress bar; on this machine by default."""

import os
import sys
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from typing import Protocol, TextIO

from prefrl.benchmark.grid.cell_process import POLL_S, CellProcess, function_name
from prefrl.benchmark.grid.cells import Cell, CellFunction
from prefrl.benchmark.grid.ledger import Failure, Ledger
from prefrl.errors import ConfigError, at_least, at_most

OnDone = Callable[[Cell, Failure | None], object]
"""Takes each cell when it is over, and why it failed if it did."""

_PLAIN_INTERVAL_S = 60.0  # between two states of a bar that is not on a terminal


class Executor(Protocol):
    """A place where cells run."""

    def check(self) -> None:
        """Makes sure that cells can run there, which is better known before anything is prepared.

        Raises:
            ConfigError: they cannot.
        """
        ...

    def run(
        self, cells: Sequence[Cell], function: CellFunction, ledger: Ledger, on_done: OnDone
    ) -> None:
        """Runs each cell once; the ledger then holds its result, or why it failed.

        Args:
            cells: distinct, none of them finished.
            function: runs one; at the top level of a module that can be imported.
            ledger: where results go as they come.
            on_done: called with each cell that is over.

        Raises:
            ConfigError: it cannot begin.
            StorageError: the ledger's folder cannot be written.
        """
        ...


_MOST_AT_ONCE = 1_024  # processes, and threads of each


class LocalExecutor:
    """Processes of this machine: a fresh one a cell.

    A cell whose process dies, for want of memory or otherwise, has failed; the others go on.

    Args:
        jobs: cells side by side; None: as many as the cores are enough for.
        threads: of each cell; None: its share of the cores, or 1 where `jobs` is None, too.

    Raises:
        ConfigError: one of them is below 1.
    """

    def __init__(self, *, jobs: int | None = None, threads: int | None = None) -> None:
        for name, number in (("jobs", jobs), ("threads", threads)):
            if number is not None and number < 1:
                raise ConfigError(at_least(name, number, 1))
            if number is not None and number > _MOST_AT_ONCE:
                raise ConfigError(at_most(name, number, _MOST_AT_ONCE))
        self.threads = threads or (max(1, num_cores() // jobs) if jobs else 1)
        self.jobs = jobs or max(1, num_cores() // self.threads)

    def check(self) -> None:
        """Checks nothing: this machine is there."""

    def run(
        self, cells: Sequence[Cell], function: CellFunction, ledger: Ledger, on_done: OnDone
    ) -> None:
        """Runs as `Executor.run`; what is not over when it is interrupted is killed."""
        name = function_name(function)
        waiting, running = deque(cells), dict[Cell, CellProcess]()
        try:
            while waiting or running:
                while waiting and len(running) < self.jobs:
                    cell = waiting.popleft()
                    ledger.folder(cell).begin(cell)
                    running[cell] = CellProcess(
                        ledger.folder(cell),
                        name,
                        threads=self.threads,
                        inputs=ledger.inputs,
                        packs=False,
                    )
                for cell in [cell for cell, process in running.items() if process.is_over()]:
                    del running[cell]
                    on_done(cell, ledger.failure(cell))
                time.sleep(POLL_S if running else 0)
        finally:
            for process in running.values():
                process.kill()


def num_cores() -> int:
    """Counts the cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def run_grid(
    cells: Iterable[Cell],
    function: CellFunction,
    *,
    ledger: Ledger,
    executor: Executor,
    stream: TextIO | None = None,
) -> list[Failure]:
    """Runs what is not finished of a grid; what is asked for again after a kill goes on.

    Args:
        cells: the grid.
        function: as in `Executor.run`.
        ledger: where finished cells are found and results go.
        executor: where cells run.
        stream: where progress and failures are shown; None is stderr.

    Returns:
        the cells that failed; they are tried again when the grid is next run.

    Raises:
        ConfigError: it cannot begin.
        StorageError: a result is damaged, the folder cannot be written, or another process is
            running cells of this benchmark.
    """
    from tqdm import tqdm

    stream = stream or sys.stderr
    wanted = list(dict.fromkeys(cells))
    failures: list[Failure] = []
    with ledger.claimed():
        pending = ledger.pending(wanted)
        with tqdm(
            total=len(wanted),
            initial=len(wanted) - len(pending),
            desc="cells",
            unit="cell",
            file=stream,
            smoothing=0,  # cells side by side end in bursts
            mininterval=0.1 if stream.isatty() else _PLAIN_INTERVAL_S,
            dynamic_ncols=True,
        ) as bar:

            def on_done(cell: Cell, failure: Failure | None) -> None:
                if failure is not None:
                    failures.append(failure)
                    where = ledger.folder(cell).path / "failure.txt"
                    bar.write(f"{cell.id} failed: {failure.reason} (see {where})", file=stream)
                    bar.set_postfix(failed=len(failures), refresh=False)
                bar.update()

            if pending:
                executor.run(pending, function, ledger, on_done)
    return failures
