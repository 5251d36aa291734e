"""Cells on a Ray cluster: no file system is shared, and nodes may come and go.

A task makes a temporary folder on its node and runs the cell there in a fresh process, as on the
driver's own machine. What comes back comes as values: the rows, or why it failed. What a cell keeps
goes to a mailbox on the driver's node, which the driver empties into the ledger; the next attempt
is sent off with it, to whatever node, in this run of the benchmark or the next. Only what was still
on its way when a node died is lost.
"""

import importlib
import shutil
import subprocess
import sys
import tempfile
import time
import warnings
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from prefrl.benchmark.grid.cell_folder import CellFolder
from prefrl.benchmark.grid.cell_process import POLL_S, CellProcess, function_name
from prefrl.benchmark.grid.cells import Cell, CellFunction, Row
from prefrl.benchmark.grid.executors import OnDone
from prefrl.benchmark.grid.ledger import Ledger
from prefrl.errors import ConfigError, PrefrlError, StorageError, at_least
from prefrl.records.files import claimed, write_bytes_atomically

# In a process of its own: Ray tries for minutes, cannot be stopped, and may end its process.
_PROBE = "import sys, ray; ray.init(sys.argv[1], log_to_driver=False, logging_level='ERROR')"
_WAIT_S = 1.0  # between two looks into the mailbox
_HOME = "prefrl-cell-"  # how temporary folders on nodes are called
_SWEEP_AFTER_S = 60.0


@dataclass(frozen=True)
class _Outcome:
    """The outcome of an attempt.

    Args:
        rows: the result; None where there is none.
        failure: why not.
        has_died: the cell's process did, which another attempt may be spared.
        packed: the last that a dead process kept, if anything.
    """

    rows: list[Row] | None
    failure: str = ""
    has_died: bool = False
    packed: bytes | None = None


class _Mailbox:
    """Holds the last packed work folder that each cell kept, until the driver takes it."""

    def __init__(self) -> None:
        self._packed: dict[str, bytes] = {}

    def put(self, cell_id: str, packed: bytes) -> None:
        self._packed[cell_id] = packed

    def take_all(self) -> dict[str, bytes]:
        packed, self._packed = self._packed, {}
        return packed


class RayExecutor:
    """A Ray cluster that there is; prefrl and the cells' function are installed on its nodes.

    A cell is tried again if its process, its Ray worker or its node dies.

    Args:
        address: as `ray.init` takes it; "auto" is the cluster that this machine is part of.
        threads: of each cell, for which as many of a node's CPUs are claimed.
        retries: how often a cell is tried again.
        timeout_s: how long the cluster may take to answer.

    Raises:
        ConfigError: a number is out of range, or Ray is not installed.
    """

    def __init__(
        self,
        address: str = "auto",
        *,
        threads: int = 1,
        retries: int = 3,
        timeout_s: float = 30.0,
    ) -> None:
        if threads < 1:
            raise ConfigError(at_least("threads", threads, 1))
        if retries < 0:
            raise ConfigError(at_least("retries", retries, 0))
        self._ray = import_ray()
        self.address, self.threads = address, threads
        self.retries, self.timeout_s = retries, timeout_s

    def check(self) -> None:
        """Asks the cluster for an answer.

        Raises:
            ConfigError: there is none.
        """
        if not self._ray.is_initialized():
            self._probe()

    def run(
        self, cells: Sequence[Cell], function: CellFunction, ledger: Ledger, on_done: OnDone
    ) -> None:
        """Runs as `Executor.run`; PrefrlError where the cluster is lost on the way."""
        name, ray = function_name(function), self._ray
        with self._connected(), self._losing_it_is_one_line():
            self._warn_if_no_node_is_large_enough()
            here = ray.util.scheduling_strategies.NodeAffinitySchedulingStrategy(
                ray.get_runtime_context().get_node_id(), soft=False
            )
            mailbox = ray.remote(num_cpus=0, scheduling_strategy=here)(_Mailbox).remote()
            # Retried here, not by Ray: each attempt begins with what the last one kept, and want
            # of memory is no reason to try for ever.
            attempt = ray.remote(num_cpus=self.threads, max_retries=0)(_attempt)
            # Once for all cells: a node fetches it when its first cell begins.
            inputs = ray.put(ledger.read_inputs())
            running: dict[Any, Cell] = {}
            num_deaths = Counter[Cell]()

            def submit(cell: Cell) -> None:
                folder = ledger.folder(cell)
                folder.begin(cell)
                fields, packed = cell.fields(), folder.packed()
                ref = attempt.remote(fields, name, self.threads, packed, inputs, mailbox)
                running[ref] = cell

            try:
                for cell in cells:
                    submit(cell)
                while running:
                    over, _ = ray.wait(list(running), timeout=_WAIT_S)
                    self._store(ray.get(mailbox.take_all.remote()), running.values(), ledger)
                    for ref in over:
                        cell, outcome = running[ref], self._outcome(ref)
                        if outcome.packed is not None:
                            self._store({cell.id: outcome.packed}, [cell], ledger)
                        del running[ref]
                        num_deaths[cell] += outcome.has_died
                        if outcome.has_died and num_deaths[cell] <= self.retries:
                            submit(cell)
                            continue
                        if outcome.rows is not None:
                            ledger.folder(cell).finish(outcome.rows)
                        else:
                            times = f"({num_deaths[cell]} attempts) " if outcome.has_died else ""
                            ledger.folder(cell).fail(times + outcome.failure)
                        on_done(cell, ledger.failure(cell))
            finally:
                for ref in running:
                    ray.cancel(ref, force=True)
                ray.kill(mailbox)

    def _outcome(self, ref: Any) -> _Outcome:
        errors = self._ray.exceptions
        try:
            outcome: _Outcome = self._ray.get(ref)
            return outcome
        except errors.RayTaskError as error:  # Raised around the cell: the node has no prefrl, …
            lines = str(error).strip().splitlines()
            return _Outcome(None, f"{lines[-1]}\n\n{error}")
        except errors.RayError as error:
            text = str(error).strip()
            return _Outcome(None, f"its Ray worker died: {text}", has_died=True)

    def _store(self, packed: dict[str, bytes], cells: Iterable[Cell], ledger: Ledger) -> None:
        for cell in cells:
            if (content := packed.get(cell.id)) is not None:
                write_bytes_atomically(ledger.folder(cell).packed_file, content)

    def _warn_if_no_node_is_large_enough(self) -> None:
        sizes = [node["Resources"].get("CPU", 0) for node in self._ray.nodes() if node["Alive"]]
        if max(sizes, default=0) < self.threads:
            warnings.warn(
                f"no node of the Ray cluster has {self.threads} CPUs, the largest "
                f"{max(sizes, default=0):g}; cells wait until one joins",
                stacklevel=3,
            )

    @contextmanager
    def _connected(self) -> Iterator[None]:
        if self._ray.is_initialized():  # By who called us, and theirs to end.
            yield
            return
        self.check()
        self._ray.init(self.address, log_to_driver=False, logging_level="ERROR")
        try:
            yield
        finally:
            self._ray.shutdown()

    @contextmanager
    def _losing_it_is_one_line(self) -> Iterator[None]:
        try:
            yield
        except self._ray.exceptions.RayError as error:
            raise PrefrlError(
                f"lost the Ray cluster ({str(error).strip().splitlines()[0]}); what is finished is "
                "kept, and the same command goes on from there"
            ) from error

    def _probe(self) -> None:
        try:
            probe = subprocess.run(
                [sys.executable, "-c", _PROBE, self.address],
                capture_output=True,
                text=True,
                timeout=self.timeout_s,
                check=False,
            )
        except subprocess.TimeoutExpired:
            why = f"no answer within {self.timeout_s:g} s"
        else:
            if probe.returncode == 0:
                return
            why = (probe.stderr.strip().splitlines() or [f"status {probe.returncode}"])[-1]
        raise ConfigError(
            f"could not reach a Ray cluster at {self.address!r}: {why}; "
            "`ray start --head` starts one, --ray-address names another"
        )


def import_ray() -> Any:
    """Imports the ray package.

    Raises:
        ConfigError: it is not installed.
    """
    try:
        ray = importlib.import_module("ray")
        importlib.import_module("ray.util.scheduling_strategies")
    except ModuleNotFoundError as error:
        raise ConfigError("ray is not installed; pip install 'prefrl[ray]'") from error
    return ray


def _sweep() -> None:
    """Removes what attempts left behind on this node when they were killed."""
    for home in Path(tempfile.gettempdir()).glob(f"{_HOME}*"):
        with suppress(OSError, StorageError):  # Another one sweeps, or an attempt is at work.
            if time.time() - home.stat().st_mtime < _SWEEP_AFTER_S:
                continue  # Perhaps it is about to be claimed.
            with claimed(home):
                shutil.rmtree(home)


def _attempt(
    fields: dict[str, Any],
    function: str,
    threads: int,
    packed: bytes | None,
    inputs: dict[str, bytes],
    mailbox: Any,
) -> _Outcome:
    """Makes one attempt at a cell, on a node."""
    cell = Cell(**fields)
    _sweep()
    with tempfile.TemporaryDirectory(prefix=_HOME) as home, claimed(Path(home)):
        folder = CellFolder(Path(home) / cell.id)
        folder.begin(cell)
        if packed is not None:
            folder.packed_file.write_bytes(packed)
        given = Path(home) / "inputs"
        given.mkdir()
        for name, content in inputs.items():
            (given / name).write_bytes(content)
        process = CellProcess(folder, function, threads=threads, inputs=given, packs=True)
        sent = 0
        try:
            while not process.is_over():
                # Never waits for Ray: that would lend this cell's CPUs to another one.
                time.sleep(POLL_S)
                with suppress(FileNotFoundError):  # Nothing kept yet, or finished by now.
                    if (now := folder.packed_file.stat().st_mtime_ns) != sent:
                        mailbox.put.remote(cell.id, folder.packed_file.read_bytes())
                        sent = now
        finally:
            process.kill()
        if folder.is_finished:
            return _Outcome(folder.rows())
        packed = folder.packed_file.read_bytes() if folder.packed_file.exists() else None
        return _Outcome(None, folder.failure() or "", process.has_died, packed)
