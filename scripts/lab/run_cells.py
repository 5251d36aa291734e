"""Runs of a benchmark: each a process of its own, gone on with where it was stopped, kept small."""

import contextlib
import dataclasses
import json
import os
import signal
import subprocess
import sys
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from prefrl.config import from_yaml
from prefrl.records import run_folder
from prefrl.records.files import write_text_atomically
from prefrl.records.metrics import read_metrics

_POLL_S = 0.1
_STOPPING_S = 120.0
"""How long a run that was asked to stop may go on with what cannot be interrupted."""


@dataclass(frozen=True)
class Job:
    """A run that is to be finished.

    Args:
        name: for people, and of its log, beside its folder.
        out: the run folder.
        words: settings, as `prefrl run` takes them.
        result: the JSON file that has what is kept of it.
    """

    name: str
    out: Path
    words: tuple[str, ...]
    result: Path

    @property
    def is_finished(self) -> bool:
        """Says whether the run has been summed up."""
        return (self.out / run_folder.SUMMARY).exists()

    @property
    def log(self) -> Path:
        """Returns the file that has what the run prints."""
        return self.out.parent / f"{self.name}.log"

    def command(self) -> list[str]:
        """Returns what begins the run, or goes on with it."""
        if (self.out / run_folder.CONFIG).exists():
            words = ["--resume", str(self.out)]
        else:
            words = [*self.words, "--out", str(self.out)]
        return [sys.executable, "-m", "prefrl", "run", *words]


def run_missing(
    jobs: Sequence[Job],
    *,
    keep: Callable[[Job], Mapping[str, Any]],
    at_once: int,
    minutes: float | None = None,
) -> bool:
    """Finishes the runs of which no result is there, and keeps theirs; says what they reached.

    Args:
        jobs: the runs, in order.
        keep: returns what is kept of a finished one, its summary among it.
        at_once: processes side by side.
        minutes: until runs are stopped, to be gone on with; None lets them come to their end.

    Returns:
        whether none has failed; one that was stopped has not.

    Raises:
        KeyboardInterrupt: SIGINT or SIGTERM came; what was at work is stopped.
    """
    has_failed = False

    def ended(job: Job, status: int) -> None:
        nonlocal has_failed
        if status:
            has_failed = True
            said = last_line(job.log)
            print(f"{job.name}: failed with status {status}, see {job.log}: {said}", flush=True)
            return
        result = keep(job)
        write_result(job.result, result)
        reached = f"{result['final_true_return_mean']:.0f} in {result['wall_s']:.0f} s"
        print(f"{job.name}: {reached}", flush=True)

    missing = [job for job in jobs if not job.result.exists()]
    for job in missing:
        if job.is_finished:
            ended(job, 0)
    with _stopped_by_signals():
        finish_side_by_side(
            [job for job in missing if not job.is_finished],
            at_once=at_once,
            on_end=ended,
            minutes=minutes,
        )
    return not has_failed


def last_line(path: Path) -> str:
    """Returns the last line of a log that is not empty."""
    lines = [line for line in path.read_text("utf-8", errors="replace").splitlines() if line]
    return lines[-1] if lines else "nothing was said"


def finish_side_by_side(
    jobs: Sequence[Job],
    *,
    at_once: int,
    on_end: Callable[[Job, int], None],
    minutes: float | None = None,
) -> bool:
    """Finishes runs in order, several at once, one thread each.

    Runs at work when the time is over, or when this is interrupted, are asked to stop: they keep
    their checkpoints, and the next call goes on with them.

    Args:
        jobs: the runs.
        at_once: processes side by side.
        on_end: is told of each that has ended, and its exit status.
        minutes: until runs are stopped; None lets them come to their end.

    Returns:
        whether every run has ended by itself.
    """
    deadline_s = time.monotonic() + (np.inf if minutes is None else 60 * minutes)
    waiting = deque(jobs)
    running: dict[Job, subprocess.Popen[bytes]] = {}
    try:
        while (waiting or running) and time.monotonic() < deadline_s:
            while waiting and len(running) < at_once:
                job = waiting.popleft()
                running[job] = _begin(job)
            for job, process in list(running.items()):
                if (status := process.poll()) is not None:
                    del running[job]
                    on_end(job, status)
            time.sleep(_POLL_S)
    finally:
        _stop(running.values())
    return not waiting and not running


def _begin(job: Job) -> "subprocess.Popen[bytes]":
    """Starts a run.

    A session of its own keeps it from a terminal's Ctrl-C, which it would otherwise get beside the
    signal that is sent to it.
    """
    # One thread each: two runs side by side then cost what one costs alone.
    threads = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
    job.out.parent.mkdir(parents=True, exist_ok=True)
    with job.log.open("ab") as log:
        return subprocess.Popen(
            job.command(),
            env={**os.environ, **threads},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )


def _stop(running: Iterable["subprocess.Popen[bytes]"]) -> None:
    processes = list(running)
    for process in processes:
        process.send_signal(signal.SIGINT)
    end_s = time.monotonic() + _STOPPING_S
    for process in processes:
        try:
            process.wait(max(end_s - time.monotonic(), 0.1))
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


@contextlib.contextmanager
def _stopped_by_signals() -> Iterator[None]:
    """Lets SIGINT and SIGTERM stop the runs that are at work, in the background, too.

    Shells start what is put in the background with SIGINT ignored, which every child would inherit.
    """
    signals = (signal.SIGINT, signal.SIGTERM)
    before = [signal.signal(one, signal.default_int_handler) for one in signals]
    try:
        yield
    finally:
        for one, handler in zip(signals, before, strict=True):
            signal.signal(one, handler)


def kept(folder: Path, names: Sequence[str], *, measured: Sequence[str]) -> dict[str, Any]:
    """Returns what is kept of a finished run: its summary and its curve.

    Args:
        folder: the run's.
        names: metrics of the curve's points; a number of answers that a point does not have is
            that of the point before it.
        measured: a point is kept where the first of these that it has is a number.
    """
    summary: dict[str, Any] = json.loads((folder / run_folder.SUMMARY).read_text("utf-8"))
    curve, last_known = [], {}
    for row in read_metrics(folder / run_folder.METRICS):
        if "num_answers" in row and "num_answers" in names:
            last_known = {"num_answers": row["num_answers"]}
        first = next((row[name] for name in measured if name in row), np.nan)
        if np.isfinite(first):
            point = {**last_known, **row}
            curve.append({name: _rounded(point[name]) for name in names if name in point})
    return {**summary, "curve": curve}


def _rounded(value: float) -> float | None:
    return None if np.isnan(value) else round(value, 2)


def settings_digest(folder: Path) -> str:
    """Returns a short name for a run's settings, presets included, whatever its seed."""
    return dataclasses.replace(from_yaml(folder / run_folder.CONFIG), seed=0).fingerprint()


def write_result(path: Path, result: Mapping[str, Any]) -> None:
    """Writes what is kept of a run."""
    path.parent.mkdir(parents=True, exist_ok=True)
    write_text_atomically(path, json.dumps(result) + "\n")


def write_between_markers(page: Path, lines: Sequence[str]) -> None:
    """Puts lines in place of those between a page's markers, and leaves the words around them."""
    begin, end = "<!-- tables: begin -->", "<!-- tables: end -->"
    text = page.read_text("utf-8") if page.exists() else f"{begin}\n{end}\n"
    before, after = text.split(begin)[0], text.split(end)[1]
    write_text_atomically(page, "\n".join([before + begin, "", *lines, end]) + after)
