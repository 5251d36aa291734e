"""A cell in a fresh process: what starts it and watches it, and what runs inside it.

The process reads `cell.json` and leaves `result.json` or `failure.txt`; where it leaves neither, it
died. It does not outlive the process that started it.
"""

import faulthandler
import importlib
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

from prefrl.benchmark.grid.cell_folder import CellFolder
from prefrl.benchmark.grid.cells import CellFunction
from prefrl.errors import ConfigError, StorageError
from prefrl.records.files import reason

POLL_S = 0.1
THREAD_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
_INPUTS = "PREFRL_CELL_INPUTS"
_LAST_LINES = 20  # of what a process printed before it died

# The new interpreter finds modules where this one does.
_START = (
    "import sys; sys.path[:] = {path}; from prefrl.benchmark.grid import cell_process as process; "
)


class CellProcess:
    """Starts an attempt at a cell.

    Args:
        folder: the cell's, begun; its `work/` is unpacked first.
        function: what runs it, as `function_name` puts it.
        threads: for the numerical libraries, which read it before they are imported.
        inputs: what the cell finds as `inputs_folder`.
        packs: whether `keep` packs the work folder, for who started the process to carry away.

    Raises:
        StorageError: the folder cannot be used, or the system starts no more processes.
    """

    def __init__(
        self, folder: CellFolder, function: str, *, threads: int, inputs: Path, packs: bool
    ) -> None:
        self._folder = folder
        self.has_died = False
        """Tells that it is over and left neither result nor failure of its own."""
        folder.unpack()
        code = _START.format(path=sys.path) + f"process.main({function!r}, packs={packs})"
        try:
            with folder.log.open("wb") as log:
                self._process = subprocess.Popen(
                    [sys.executable, "-u", "-c", code, str(folder.path.absolute())],
                    env={
                        **os.environ,
                        **dict.fromkeys(THREAD_VARIABLES, str(threads)),
                        _INPUTS: str(inputs.absolute()),
                    },
                    stdin=subprocess.PIPE,  # never written to: it closes when this process ends
                    stdout=log,
                    stderr=log,
                    # Ctrl-C on a terminal is for the benchmark, which ends its cells itself.
                    start_new_session=True,
                )
        except OSError as error:
            raise StorageError(
                f"could not start a process for {folder.path}: {reason(error)}"
            ) from None

    def is_over(self) -> bool:
        """Says whether it has ended; if so, its folder says how."""
        status = self._process.poll()
        if status is None:
            return False
        self._close()
        if not self._folder.is_finished and self._folder.failure() is None:
            self.has_died = True
            printed = self._folder.log.read_text("utf-8", errors="replace").splitlines()
            last = "\n".join(["", "The last that it printed:", "", *printed[-_LAST_LINES:]])
            self._folder.fail(f"{death(status)}\n{last if printed else ''}")
        return True

    def kill(self) -> None:
        """Kills it and what it started, at once; nothing happens if it has ended."""
        if self._process.poll() is None:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
        self._close()

    def _close(self) -> None:
        if self._process.stdin is not None:
            self._process.stdin.close()


def death(status: int) -> str:
    """Says in a line how a process ended that left nothing."""
    if status >= 0:
        return f"its process exited with status {status} before it had a result"
    try:
        name = signal.Signals(-status).name
    except ValueError:
        name = f"signal {-status}"
    hint = "; the system may have run out of memory" if -status == signal.SIGKILL else ""
    return f"its process was killed by {name}{hint}"


def function_name(function: CellFunction) -> str:
    """Returns `module:name` of a function, by which other processes find it.

    Raises:
        ConfigError: they would not.
    """
    module, name = getattr(function, "__module__", ""), getattr(function, "__qualname__", "")
    found: Any = sys.modules.get(module)
    if module == "__main__" or not name or getattr(found, name, None) is not function:
        raise ConfigError(
            f"{name or function!r} cannot be found by other processes; expected a function at the "
            "top level of a module that can be imported"
        )
    return f"{module}:{name}"


def main(function: str, *, packs: bool) -> None:
    """Runs the cell whose folder is named on the command line."""
    faulthandler.enable()
    lifeline = os.dup(0)
    with Path(os.devnull).open("rb") as nothing:
        os.dup2(nothing.fileno(), 0)
    threading.Thread(target=_die_at_end_of, args=(lifeline,), daemon=True).start()
    folder = CellFolder(Path(sys.argv[1]))
    module, _, name = function.partition(":")
    try:
        run: CellFunction = getattr(importlib.import_module(module), name)
        folder.finish(run(folder.cell(), folder.work, folder.pack if packs else _nothing))
    except Exception as error:  # noqa: BLE001 - it is reported, and the other cells go on
        folder.fail(error)
        sys.exit(1)


def inputs_folder() -> Path:
    """Returns the files that a cell is given to read: a copy of the ledger's `inputs`."""
    return Path(os.environ[_INPUTS])


def _nothing() -> None:
    """Leaves the work folder for the next attempt."""


def _die_at_end_of(lifeline: int) -> None:
    # A cell that lives on would share its work folder with the next attempt.
    os.read(lifeline, 1)
    os.killpg(os.getpgrp(), signal.SIGKILL)
