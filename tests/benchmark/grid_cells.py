"""Cells for the tests of grids and executors: what one does stands in its settings."""

import os
import signal
import sys
from pathlib import Path

from prefrl.benchmark.grid.cell_process import inputs_folder
from prefrl.benchmark.grid.cells import Cell
from tests.waiting import wait_until


def cell_that(does: str, diary: Path | None = None, *, seed: int = 0, **settings: object) -> Cell:
    """A cell that does something, and says so in a diary."""
    known = {"does": does, "diary": str(diary) if diary else None, **settings}
    return Cell("test", "Nowhere-v0", "uniform+greedy", "oracle", seed, known)


def entries(diary: Path) -> list[list[str]]:
    """Returns what cells wrote, word by word, in order."""
    return [line.split() for line in diary.read_text().splitlines()] if diary.exists() else []


def diary_of(cell: Cell) -> Path:
    """Returns the cell's diary."""
    return Path(cell.settings["diary"])


def note(cell: Cell, *words: object) -> None:
    """Adds a line to the cell's diary: the seed, then the words."""
    if cell.settings["diary"]:
        line = " ".join(map(str, [cell.seed, *words])) + "\n"
        descriptor = os.open(diary_of(cell), os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        os.write(descriptor, line.encode())
        os.close(descriptor)


def act(cell, work, keep):
    """Does what the cell says."""
    note(cell, "begins", os.getpid())
    does = cell.settings["does"]
    if does == "raise":
        raise ValueError("seven is not\na colour")
    if does == "die":
        print("these are my last words")
        os.kill(os.getpid(), signal.SIGKILL)
    if does == "exit":
        sys.exit(3)
    if does == "run out of memory":
        bytearray(1 << 60)
    if does == "return a set":
        return {1, 2}
    if does == "read":
        return [{"text": (inputs_folder() / "given.txt").read_text()}]
    if does == "wait for company":
        wait_until(lambda: sum("begins" in words for words in entries(diary_of(cell))) >= 2)
    if does == "wait for":
        # What an earlier attempt left in the work folder is where this one begins.
        left = work / "left.txt"
        note(cell, "found", left.read_text() if left.exists() else "nothing")
        left.write_text("something")
        keep()
        note(cell, "waits")
        wait_until(Path(cell.settings["sign"]).exists)
    note(cell, "ends")
    variables = {name: os.environ.get(name) for name in cell.settings.get("variables", [])}
    return [{"score": cell.seed / 2, **variables}]


def count(cell, work, keep):
    """Counts to ten and keeps the number now and then.

    At `dies_at` its first attempt is killed; at `waits_at` it waits for the file `sign`.
    """
    place = work / "so" / "far.txt"
    place.parent.mkdir(exist_ok=True)
    first = int(place.read_text()) if place.exists() else 0
    note(cell, "begins", first, os.environ.get("RAY_RAYLET_PID"), os.getpid())
    for number in range(first, 10):
        place.write_text(str(number))
        if number % 2 == 0:
            keep()
        note(cell, "counted", number)
        if number == cell.settings.get("dies_at") and first == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        if number == cell.settings.get("waits_at"):
            wait_until(Path(cell.settings["sign"]).exists)
    return [{"first": first, "threads": os.environ["OMP_NUM_THREADS"]}]
