"""Shows how far a run is, to whoever watches it."""

import contextlib
import math
import sys
import time
from collections.abc import Iterator, Mapping
from typing import Any, TextIO

from prefrl.records.remaining import RELABELLING, SAVING, Stopwatch

# As long as nothing is evaluated, the return of training episodes needs no further name.
_RETURNS = {
    "true_return": "true return",
    "success_rate": "success",
    "learned_return": "learned return",
    "eval_true_return": "evaluation",
    "eval_success_rate": "evaluation's success",
}

_BRIEF = (SAVING, RELABELLING)  # Too short for a line now and then: it would say little else.


class ProgressBar:
    """Shows how far the run is, on a terminal as a bar, elsewhere as a plain line now and then.

    Args:
        total_steps: environment steps of the whole run.
        budget: answers of the whole run; None where no teacher is asked.
        first_step: steps already taken before a resume.
        num_answers: answers already there then.
        stopwatch: estimates the time that is left; None: none is shown.
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
        num_answers: int = 0,
        stopwatch: Stopwatch | None = None,
        plain_interval_s: float = 30.0,
        stream: TextIO | None = None,
    ) -> None:
        self._stream = sys.stderr if stream is None else stream
        self._total_steps = total_steps
        self._budget = budget
        self._step = first_step
        self._metrics: dict[str, float] = {"num_answers": num_answers}
        self._activities: list[str] = []
        self._stopwatch = stopwatch
        self._next_s = 0.0
        self._shown = (-1, "")
        self._bar = self._open_bar() if self._stream.isatty() else None
        self._interval_s = plain_interval_s if self._bar is None else self._REDRAW_S

    def advance(self, step: int) -> None:
        """Takes note of the steps so far; shown a few times a second, so it may be called often."""
        if self._stopwatch is not None:
            self._stopwatch.took(step - self._step)
        self._step = step
        if time.monotonic() >= self._next_s:
            self._show()

    def write(self, step: int, metrics: Mapping[str, float]) -> None:
        """Takes note of the metrics that it shows; a NaN leaves the last known one standing."""
        self._metrics.update((k, v) for k, v in metrics.items() if not math.isnan(v))
        self.advance(step)

    @contextlib.contextmanager
    def doing(
        self, activity: str, detail: str = "", *, num_answers: int | None = None
    ) -> Iterator[None]:
        """Shows what the run is doing.

        Args:
            activity: a word of `prefrl.records.remaining`, or any other.
            detail: shown after it.
            num_answers: answers that are there by now; None: as many as there were.
        """
        if num_answers is not None:
            self._metrics["num_answers"] = num_answers
        self._activities.append(f"{activity} {detail}".rstrip())
        if self._stopwatch is not None:
            self._stopwatch.begin(activity)
        # A bar shows each at once: whoever watches it would see nothing else while it lasts.
        was_due = time.monotonic() >= self._next_s
        if self._bar is not None or (was_due and activity not in _BRIEF):
            self._show()
        try:
            yield
            if self._bar is None and not was_due and time.monotonic() >= self._next_s:
                self._show()  # A line became due while it lasted: this is what took the time.
        finally:
            self._activities.pop()
            if self._stopwatch is not None:
                self._stopwatch.end()

    def say(self, line: str) -> None:
        """Shows a line of its own, above the bar where there is one."""
        if self._bar is not None:
            self._bar.write(line, file=self._stream)
        else:
            print(line, file=self._stream, flush=True)

    def close(self) -> None:
        """Shows where the run ended."""
        if self._shown != (self._step, ""):
            self._show()
        if self._bar is not None:
            self._bar.close()

    def _show(self) -> None:
        self._next_s = time.monotonic() + self._interval_s
        activity = self._activities[-1] if self._activities else ""
        self._shown = (self._step, activity)
        parts = [activity, *self._shown_metrics()] if activity else self._shown_metrics()
        left_s = self._stopwatch.left_s(self._step) if self._stopwatch is not None else None
        if left_s is not None and self._step < self._total_steps:
            parts.append(f"{_duration(left_s)} left")
        if self._bar is not None:
            self._bar.set_postfix_str(", ".join(parts), refresh=False)
            self._bar.n = self._step
            self._bar.refresh()
            return
        steps = f"{self._step:,}/{self._total_steps:,} steps"
        print(", ".join([steps, *parts]), file=self._stream, flush=True)

    def _shown_metrics(self) -> list[str]:
        shown = []
        if self._budget is not None:
            shown.append(f"{self._metrics['num_answers']:.0f}/{self._budget} answers")
        for name, title in _RETURNS.items():
            if name in self._metrics:
                value = self._metrics[name]
                is_share = name.endswith("success_rate")
                shown.append(f"{title} {f'{value:.0%}' if is_share else short_number(value)}")
        return shown

    def _open_bar(self) -> Any:
        from tqdm import tqdm

        class Bar(tqdm):  # type: ignore[type-arg]
            monitor_interval = 0  # No watching thread: environments may fork after this.

        return Bar(
            total=self._total_steps,
            initial=self._step,
            file=self._stream,
            unit=" steps",
            unit_scale=True,
            dynamic_ncols=True,
            bar_format="{percentage:3.0f}%|{bar}| {n_fmt}/{total_fmt} steps{postfix}",
        )


def short_number(value: float) -> str:
    """Returns a number for people: three digits, or all before the point where those are more."""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def _duration(duration_s: float) -> str:
    if duration_s < 60:
        return f"{duration_s:.0f} s"
    minutes = round(duration_s / 60)
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02d} min"
