"""Where figures go. Write-only: nothing in a run ever reads a figure back from here.

`Metrics` hands one call to every sink: JSON lines, a logger (Stable-Baselines3's writes
TensorBoard), Weights & Biases, a progress bar.
"""

import contextlib
import importlib
import json
import math
import os
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol, TextIO

from prefrl.checkpoint import reason
from prefrl.errors import ConfigError, StorageError


class Sink(Protocol):
    """One place that figures go to."""

    def write(self, step: int, figures: Mapping[str, float]) -> None:
        """Takes the figures of a step; one that is NaN is not known."""
        ...

    def close(self) -> None:
        """Ends it; no write follows."""
        ...


class Metrics:
    """Hands figures to every sink, with the run's wall time beside them.

    Args:
        sinks: where figures go.
        wall_offset_s: what the run had already taken before it was resumed.
    """

    def __init__(self, sinks: Sequence[Sink], *, wall_offset_s: float = 0.0) -> None:
        self._sinks = tuple(sinks)
        self._began_s = time.monotonic() - wall_offset_s

    @property
    def wall_s(self) -> float:
        """Seconds the run has taken, time before a resume included, time between not."""
        return time.monotonic() - self._began_s

    def write(self, step: int, figures: Mapping[str, float]) -> None:
        """Hands figures to every sink.

        Args:
            step: environment steps taken so far.
            figures: by name; NaN where one is not known. `step` and `wall_s` are added here.
        """
        if taken := {"step", "wall_s"} & figures.keys():
            raise ValueError(f"figures hold {sorted(taken)}, which Metrics writes itself")
        timed = {"wall_s": round(self.wall_s, 3), **figures}
        for sink in self._sinks:
            sink.write(step, timed)

    def close(self) -> None:
        """Closes every sink, also where closing one fails."""
        with contextlib.ExitStack() as stack:
            for sink in self._sinks:
                stack.callback(sink.close)


class JsonLinesSink:
    """One JSON object a line, appended: `step`, then the figures; null for one that is not finite.

    Args:
        path: the file; continued where it exists.

    Raises:
        StorageError: here and in every method, where the disk refuses.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self._path = Path(path)
        try:
            self._file = self._path.open("ab", buffering=0)
        except OSError as error:
            raise self._error(error) from error

    def write(self, step: int, figures: Mapping[str, float]) -> None:
        """Appends a line; a kill of the process right after loses nothing."""
        line = {"step": step, **{name: _json_value(value) for name, value in figures.items()}}
        rest = memoryview(json.dumps(line, allow_nan=False).encode() + b"\n")
        try:
            while rest:
                rest = rest[self._file.write(rest) :]
        except OSError as error:
            raise self._error(error) from error

    def position(self) -> int:
        """Bytes written so far, for a checkpoint; they are safe from a power failure now."""
        try:
            os.fsync(self._file.fileno())
            return os.fstat(self._file.fileno()).st_size
        except OSError as error:
            raise self._error(error) from error

    def truncate(self, position: int) -> None:
        """Cuts off what was written after a checkpoint that is being resumed from.

        Args:
            position: what `position` returned when the checkpoint was made.

        Raises:
            StorageError: the file is shorter than that, so that lines are missing.
        """
        if (size := self.position()) < position:
            raise StorageError(
                f"{self._path} has {size} bytes, but had {position} when the checkpoint was made; "
                "put the lost lines back, or start a new run"
            )
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


def read_metrics(path: str | os.PathLike[str]) -> list[dict[str, float]]:
    """Reads what `JsonLinesSink` wrote, for plots and reports.

    Returns:
        One mapping a line; NaN for null. A last line that a kill cut short is left out.

    Raises:
        StorageError: the file cannot be read, or a line before the last is not a JSON object.
    """
    path = Path(path)
    try:
        lines = path.read_bytes().split(b"\n")
    except OSError as error:
        raise StorageError(f"could not read {path}: {reason(error)}") from error
    rows = []
    whole = lines[:-1]  # What follows the last newline is empty or cut short.
    for number, line in enumerate(whole, start=1):
        try:
            rows.append({k: math.nan if v is None else v for k, v in json.loads(line).items()})
        except (ValueError, AttributeError) as error:
            raise StorageError(f"{path} is damaged: line {number} is not a JSON object") from error
    return rows


class FigureLogger(Protocol):
    """The part of a logger that figures need; Stable-Baselines3's `Logger` has it."""

    def record(self, key: str, value: Any) -> None:
        """Keeps a figure until `dump`."""
        ...

    def dump(self, step: int) -> None:
        """Writes out what was recorded."""
        ...


class LoggerSink:
    """Hands figures to a logger, which stays its owner's to close.

    Args:
        logger: where they go.
        prefix: goes before each name, to keep them apart from the agent's own.
    """

    def __init__(self, logger: FigureLogger, *, prefix: str = "prefrl/") -> None:
        self._logger = logger
        self._prefix = prefix

    def write(self, step: int, figures: Mapping[str, float]) -> None:
        """Records and dumps the figures that are known."""
        for name, value in figures.items():
            if not math.isnan(value):
                self._logger.record(self._prefix + name, value)
        self._logger.dump(step)

    def close(self) -> None:
        """Nothing to do."""


class WandbSink:
    """Hands figures to Weights & Biases.

    Args:
        project: the project there.
        run_id: names the run there, and continues it where it exists: unique within the project.
        config: the run's settings, shown beside its figures.
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

    def write(self, step: int, figures: Mapping[str, float]) -> None:
        """Logs the figures that are known."""
        known = {name: value for name, value in figures.items() if not math.isnan(value)}
        self._run.log(known, step=step)

    def close(self) -> None:
        """Uploads the rest and ends the run there."""
        self._run.finish()


def import_wandb() -> Any:
    """The wandb package.

    Raises:
        ConfigError: it is not installed.
    """
    try:
        return importlib.import_module("wandb")
    except ModuleNotFoundError as error:
        raise ConfigError("wandb is not installed; pip install 'prefrl[wandb]'") from error


class ProgressBar:
    """How far the run is, on a terminal as a bar, elsewhere as a plain line now and then.

    Args:
        total_steps: environment steps of the whole run.
        budget: answers of the whole run; None where no teacher is asked.
        first_step: steps already taken before a resume.
        plain_interval_s: plain lines come no more often than this; the last one always comes.
        stream: where it is shown; None is stderr.
    """

    _REDRAW_S = 0.25

    def __init__(
        self,
        total_steps: int,
        *,
        budget: int | None = None,
        first_step: int = 0,
        plain_interval_s: float = 30.0,
        stream: TextIO | None = None,
    ) -> None:
        self._stream = sys.stderr if stream is None else stream
        self._total_steps = total_steps
        self._budget = budget
        self._first_step = self._step = first_step
        self._figures: dict[str, float] = {}
        self._began_s = time.monotonic()
        self._next_s = 0.0
        self._shown_step = -1
        self._bar = self._open_bar() if self._stream.isatty() else None
        self._interval_s = plain_interval_s if self._bar is None else self._REDRAW_S

    def advance(self, step: int) -> None:
        """Takes note of the steps so far; shown a few times a second, so it may be called often."""
        self._step = step
        if time.monotonic() >= self._next_s:
            self._show()

    def write(self, step: int, figures: Mapping[str, float]) -> None:
        """Takes note of the figures that it shows; a NaN leaves the last known one standing."""
        self._figures.update((k, v) for k, v in figures.items() if not math.isnan(v))
        self.advance(step)

    def close(self) -> None:
        """Shows where the run ended."""
        if self._shown_step != self._step:
            self._show()
        if self._bar is not None:
            self._bar.close()

    def _show(self) -> None:
        now_s = time.monotonic()
        self._next_s = now_s + self._interval_s
        self._shown_step = self._step
        if self._bar is not None:
            self._bar.set_postfix_str(", ".join(self._shown_figures()), refresh=False)
            self._bar.n = self._step
            self._bar.refresh()
            return
        done = self._step - self._first_step
        parts = [f"{self._step:,}/{self._total_steps:,} steps", *self._shown_figures()]
        if done > 0 and self._step < self._total_steps:
            left_s = (now_s - self._began_s) / done * (self._total_steps - self._step)
            parts.append(f"{_duration(left_s)} left")
        print(", ".join(parts), file=self._stream, flush=True)

    def _shown_figures(self) -> list[str]:
        shown = []
        if self._budget is not None:
            shown.append(f"{self._figures.get('num_answers', 0):.0f}/{self._budget} answers")
        for name in ("true_return", "learned_return"):
            if name in self._figures:
                shown.append(f"{name.replace('_', ' ')} {short_number(self._figures[name])}")
        return shown

    def _open_bar(self) -> Any:
        from tqdm import tqdm

        class Bar(tqdm):  # type: ignore[type-arg]
            monitor_interval = 0  # No watching thread: environments may fork after this.

        return Bar(
            total=self._total_steps,
            initial=self._first_step,
            file=self._stream,
            unit=" steps",
            unit_scale=True,
            dynamic_ncols=True,
            bar_format="{percentage:3.0f}%|{bar}| {n_fmt}/{total_fmt} steps, "
            "{remaining} left{postfix}",
        )


def short_number(value: float) -> str:
    """A figure for people: three digits, or every one before the point where those are more."""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def _duration(duration_s: float) -> str:
    if duration_s < 60:
        return f"{duration_s:.0f} s"
    minutes = round(duration_s / 60)
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02d} min"
