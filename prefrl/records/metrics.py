"""Hands on what a run measures. Write-only: nothing in a run ever reads a metric back from here.

`Metrics` hands one call to every sink: JSON lines, a logger (Stable-Baselines3's writes
TensorBoard), Weights & Biases, a progress bar.
"""

import contextlib
import hashlib
import importlib
import json
import math
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from prefrl.errors import ConfigError, DataError, StorageError, text_of
from prefrl.records.files import content_of, opened, reason
from prefrl.records.json_file import parse_json
from prefrl.segments.stored import check_arrays
from prefrl.types import State


class Sink(Protocol):
    """One place that metrics go to."""

    def write(self, step: int, metrics: Mapping[str, float]) -> None:
        """Takes the metrics of a step; one that is NaN is not known."""
        ...

    def close(self) -> None:
        """Closes it; no write follows."""
        ...


class Metrics:
    """Hands metrics to every sink, with the time that the run has taken beside them.

    Args:
        sinks: where metrics go.
        wall_offset_s: what the run had already taken before it was resumed.
        cpu_offset_s: the same, of the processor's time.
    """

    def __init__(
        self, sinks: Sequence[Sink], *, wall_offset_s: float = 0.0, cpu_offset_s: float = 0.0
    ) -> None:
        self._sinks = tuple(sinks)
        self._began_s = time.monotonic() - wall_offset_s
        self._began_cpu_s = time.process_time() - cpu_offset_s

    @property
    def wall_s(self) -> float:
        """Seconds the run has taken, time before a resume included, time between not."""
        return time.monotonic() - self._began_s

    @property
    def cpu_s(self) -> float:
        """Seconds this process computed for the run, but for what `uncounted` took out."""
        return time.process_time() - self._began_cpu_s

    @contextlib.contextmanager
    def uncounted(self) -> Iterator[None]:
        """Leaves what is computed within it out of `cpu_s`: evaluations are no part of learning."""
        began_s = time.process_time()
        try:
            yield
        finally:
            self._began_cpu_s += time.process_time() - began_s

    def write(self, step: int, metrics: Mapping[str, float]) -> None:
        """Hands metrics to every sink.

        Args:
            step: environment steps taken so far.
            metrics: by name; NaN where one is not known. `step` and times are added here.
        """
        if taken := {"step", "wall_s", "cpu_s"} & metrics.keys():
            raise ValueError(f"metrics hold {sorted(taken)}, which Metrics writes itself")
        timed = {"wall_s": round(self.wall_s, 3), "cpu_s": round(self.cpu_s, 3), **metrics}
        for sink in self._sinks:
            sink.write(step, timed)

    def close(self) -> None:
        """Closes every sink, also where closing one fails."""
        with contextlib.ExitStack() as stack:
            for sink in self._sinks:
                stack.callback(sink.close)


class JsonLinesSink:
    """One JSON object a line, appended: `step`, then the metrics; null for one that is not finite.

    Args:
        path: the file; continued where it exists.

    Raises:
        StorageError: here and in every method, where the disk refuses.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self._path = Path(path)
        self._digests: list[int] = []
        try:
            if self._path.exists():
                opened(self._path).close()
            self._file = self._path.open("ab", buffering=0)
        except OSError as error:
            raise self._error(error) from error

    def write(self, step: int, metrics: Mapping[str, float]) -> None:
        """Appends a line; a kill of the process right after loses nothing."""
        line = {"step": step, **{name: _json_value(value) for name, value in metrics.items()}}
        content = json.dumps(line, allow_nan=False).encode()
        rest = memoryview(content + b"\n")
        try:
            while rest:
                rest = rest[self._file.write(rest) :]
        except OSError as error:
            raise self._error(error) from error
        self._digests.append(_digest(content))

    def mark(self) -> State:
        """Returns what `cut_back` takes: how far the file goes, and a digest of every line.

        What was written so far is safe from a power failure from now on.
        """
        try:
            os.fsync(self._file.fileno())
            position = os.fstat(self._file.fileno()).st_size
        except OSError as error:
            raise self._error(error) from error
        return {"position": position, "digests": np.array(self._digests, dtype=np.uint64)}

    def cut_back(self, mark: object) -> None:
        """Cuts off what was written after a checkpoint that is being resumed from.

        Args:
            mark: what `mark` returned when the checkpoint was made; None cuts off all.

        Raises:
            StorageError: the file does not begin with the lines that it had then.
            DataError: it is no such mark.
        """
        position = 0
        if mark is not None:
            position, self._digests = check_lines(self._path, mark)
        try:
            self._file.truncate(position)
        except OSError as error:
            raise self._error(error) from error

    def close(self) -> None:
        """Closes the file."""
        self._file.close()

    def _error(self, error: OSError) -> StorageError:
        return StorageError(f"could not write {self._path}: {reason(error)}")


def _json_value(value: float) -> float | None:
    if isinstance(value, int):
        return value
    return float(value) if math.isfinite(value) else None


def _digest(line: bytes) -> int:
    return int.from_bytes(hashlib.blake2b(line, digest_size=8).digest(), "little")


def check_lines(path: Path, mark: object, *, is_all: bool = False) -> tuple[int, list[int]]:
    """Checks that a file still begins with the lines that it had when a checkpoint was made.

    Args:
        path: the file.
        mark: what `JsonLinesSink.mark` returned then; without digests, as in checkpoints of before
            there were any, no more is known than the length.
        is_all: the run had ended then: nothing can follow.

    Returns:
        where those lines end, and their digests.

    Raises:
        StorageError: they are others; the first one is named.
        DataError: it is no such mark.
    """
    known = mark if isinstance(mark, dict) else {}
    position, digests = known.get("position"), known.get("digests")
    if type(position) is not int or position < 0:
        raise DataError(f"the length of the log is {position!r}; expected a whole number from 0")
    if digests is not None:
        check_arrays(known, {"digests": ("u", (None,))})
    try:
        whole = content_of(path)
    except FileNotFoundError:
        whole = b""
    except OSError as error:
        raise StorageError(f"could not read {path}: {reason(error)}") from error
    content = whole[:position]
    lines = content.split(b"\n")[:-1]
    found = [_digest(line) for line in lines]
    for number, wanted in enumerate([] if digests is None else digests.tolist(), start=1):
        if number > len(found) or found[number - 1] != wanted:
            what = "is missing" if number > len(found) else "is not the one that the run wrote"
            raise StorageError(
                f"{path} was changed after the checkpoint was made: line {number} {what}; put the "
                "lines back as they were, or start a new run"
            )
    if len(content) < position:
        raise StorageError(
            f"{path} has {len(content)} bytes, but had {position} when the checkpoint was made; "
            "put the lost lines back, or start a new run"
        )
    if is_all and len(whole) > position:
        raise StorageError(
            f"{path} was changed after the run had ended: line {len(lines) + 1} is none that the "
            "run wrote; remove what was added"
        )
    return position, found


def read_metrics(path: str | os.PathLike[str]) -> list[dict[str, float]]:
    """Reads what `JsonLinesSink` wrote, for plots and reports.

    Returns:
        One mapping a line; NaN for null. A last line that a kill cut short is left out.

    Raises:
        StorageError: the file cannot be read, or a line before the last is not a JSON object.
    """
    path = Path(path)
    try:
        lines = content_of(path).split(b"\n")
    except OSError as error:
        raise StorageError(f"could not read {path}: {reason(error)}") from error
    rows = []
    whole = lines[:-1]  # What follows the last newline is empty or cut short.
    for number, line in enumerate(whole, start=1):
        try:
            rows.append(_row(line))
        except ValueError as error:
            said = text_of(error)
            raise StorageError(f"{path} is damaged: line {number} {said}") from None
    return rows


def _row(line: bytes) -> dict[str, float]:
    """Returns the metrics of a line; what is wrong with it is told to follow "line 3"."""
    try:
        found = parse_json(line)
    except ValueError as error:
        raise ValueError(f"is not a JSON object: {error}") from None
    if not isinstance(found, dict):
        raise ValueError("is not a JSON object")
    for name, value in found.items():
        if value is not None and type(value) not in (int, float):
            raise ValueError(f"has {name!r}, which is no number")
    step = found.get("step")
    if type(step) is not int or not 0 <= step < 2**63:
        raise ValueError("has no step, a whole number from 0")
    return {name: math.nan if value is None else value for name, value in found.items()}


class MetricsLogger(Protocol):
    """The part of a logger that metrics need; Stable-Baselines3's `Logger` has it."""

    def record(self, key: str, value: Any) -> None:
        """Keeps a metric until `dump`."""
        ...

    def dump(self, step: int) -> None:
        """Writes out what was recorded."""
        ...


class LoggerSink:
    """Hands metrics to a logger, which stays its owner's to close.

    Args:
        logger: where they go.
        prefix: goes before each name, to keep them apart from the agent's own.
    """

    def __init__(self, logger: MetricsLogger, *, prefix: str = "prefrl/") -> None:
        self._logger = logger
        self._prefix = prefix

    def write(self, step: int, metrics: Mapping[str, float]) -> None:
        """Records and dumps the metrics that are known."""
        for name, value in metrics.items():
            if not math.isnan(value):
                self._logger.record(self._prefix + name, value)
        self._logger.dump(step)

    def close(self) -> None:
        """Does nothing."""


class WandbSink:
    """Hands metrics to Weights & Biases.

    Args:
        project: the project there.
        run_id: names the run there, and continues it where it exists: unique within the project.
        config: the run's settings, shown beside its metrics.
        folder: where wandb keeps its own files.

    Raises:
        ConfigError: wandb is not installed.
    """

    def __init__(
        self,
        project: str,
        *,
        run_id: str,
        config: Mapping[str, object],
        folder: str | os.PathLike[str],
    ) -> None:
        self._run: Any = import_wandb().init(
            project=project,
            id=run_id,
            resume="allow",
            config=dict(config),
            dir=os.fspath(folder),
        )

    def write(self, step: int, metrics: Mapping[str, float]) -> None:
        """Logs the metrics that are known."""
        known = {name: value for name, value in metrics.items() if not math.isnan(value)}
        self._run.log(known, step=step)

    def close(self) -> None:
        """Uploads the rest and ends the run there."""
        self._run.finish()


def import_wandb() -> Any:
    """Returns the wandb package.

    Raises:
        ConfigError: it is not installed.
    """
    try:
        return importlib.import_module("wandb")
    except ModuleNotFoundError as error:
        raise ConfigError("wandb is not installed; pip install 'prefrl[wandb]'") from error
