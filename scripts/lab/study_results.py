"""The finished runs of a study, and the numbers that are read out of them.

Axes: S seeds, P points of a curve.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from scipy import stats

from lab.run_cells import Job, kept, settings_digest
from lab.studies import TRUE, Cell, Study, Target
from prefrl.benchmark.report.statistics import (
    LEVEL,
    NUM_RESAMPLES,
    Estimate,
    area_under_curve,
    bootstrap,
    iqm,
    relative_to,
)
from prefrl.errors import DataError
from prefrl.records.json_file import read_json_object
from prefrl.types import Float64Array

CURVE = (
    *("step", "num_answers", "cpu_s", "wall_s"),
    *("eval_true_return", "eval_true_return_std", "eval_learned_return"),
)
_POWER = 0.8
_ENTRIES: Mapping[str, type | tuple[type, ...]] = {
    "words": list,
    "settings": str,
    "final_true_return_mean": (int, float),
    "curve": list,
}


@dataclass(frozen=True)
class Result:
    """One finished run.

    Args:
        seed: the run's.
        final: mean true return of the final evaluation.
        curve: metric -> (P,) of every evaluation while it trained; NaN where one is not known.
        summary: of the run.
    """

    seed: int
    final: float
    curve: Mapping[str, Float64Array]
    summary: Mapping[str, Any]

    @property
    def cpu_s(self) -> float:
        """Seconds that it computed, but for evaluations."""
        return float(self.curve["cpu_s"][-1])

    def at_cpu(self, limit_s: float) -> float:
        """Returns the true return after so much computing; NaN where the run has ended sooner."""
        cpu_s, returns = self.curve["cpu_s"], self.curve["eval_true_return"]
        return float(np.interp(limit_s, cpu_s, returns, left=np.nan, right=np.nan))

    def reaches(self, height: float, within_s: float | None = None) -> bool:
        """Says whether a policy had that return: the final one, or any within some computing."""
        if within_s is None:
            return self.final >= height
        in_time = self.curve["cpu_s"] <= within_s
        return bool((self.curve["eval_true_return"][in_time] >= height).any())


def result_of(study: Study, cell: Cell, job: Job) -> dict[str, Any]:
    """Returns what is kept of a finished cell."""
    return {
        "row": cell.row,
        "arm": cell.arm,
        "words": list(job.words),
        "settings": settings_digest(job.out),
        **kept(job.out, CURVE, measured=("eval_true_return",)),
    }


class Results:
    """The runs of a study that are finished.

    Args:
        study: what they are of.

    Raises:
        StorageError: one cannot be read.
        DataError: one was made by other settings than the study asks for, or than the arm's others.
    """

    def __init__(self, study: Study) -> None:
        self.study = study
        self._of: dict[tuple[str, str], list[Result]] = {}
        digests: dict[tuple[str, str], tuple[str, Path]] = {}
        for cell in study.cells():
            path = study.result_path(cell)
            if not path.exists():
                continue
            tree = read_json_object(path, _ENTRIES)
            if tree["words"] != study.words(cell):
                raise DataError(
                    f"{path} was made with other settings than the study has: "
                    f"{' '.join(tree['words'])}; remove it, or put the study right"
                )
            digest, first = digests.setdefault((cell.row, cell.arm), (tree["settings"], path))
            if tree["settings"] != digest:
                raise DataError(
                    f"{path} was made with other presets than {first}; run one of them anew"
                )
            self._of.setdefault((cell.row, cell.arm), []).append(_read(cell, tree))

    def of(self, row: str, arm: str) -> list[Result]:
        """Returns an arm's finished runs, in the order of the study's seeds."""
        return self._of.get((row, arm), [])

    def finals(self, row: str, arm: str) -> Float64Array:
        """Returns (S,) true returns of the final policies."""
        return np.array([result.final for result in self.of(row, arm)])

    def cpu_s(self, row: str, arm: str) -> Float64Array:
        """Returns (S,) computing seconds."""
        return np.array([result.cpu_s for result in self.of(row, arm)])

    def areas(self, row: str, arm: str) -> Float64Array:
        """Returns (S,) mean heights of the curves over steps, from first evaluation to the end."""
        curves = [(r.curve["step"], r.curve["eval_true_return"]) for r in self.of(row, arm)]
        return np.array([area_under_curve(x, y, x[0], x[-1]) for x, y in curves])

    def cpu_limit_s(self, row: str, arm: str) -> float:
        """Returns the computing time at which a row is read out beside another; NaN before it."""
        other = self.study.rows[row].equal_cpu_to
        taken = self.cpu_s(other, arm) if other is not None else np.zeros(0)
        return float(taken.mean()) if len(taken) else math.nan

    def at_limit(self, row: str, arm: str) -> Float64Array:
        """Returns (S,) true returns at that time, of the runs that went on as long."""
        limit_s = self.cpu_limit_s(row, arm)
        values = [result.at_cpu(limit_s) for result in self.of(row, arm)]
        return np.array([value for value in values if math.isfinite(value)])

    def compared(self, row: str, arm: str) -> Float64Array:
        """Returns (S,) scores: at equal computing time where that is the row's, or final ones."""
        is_limited = self.study.rows[row].equal_cpu_to is not None
        return self.at_limit(row, arm) if is_limited else self.finals(row, arm)

    def value_of(self, target: Target) -> float | None:
        """Returns what a target is about, as measured; None while runs are missing for it."""
        runs = self.of(target.row, target.arm)
        finals = self.finals(target.row, target.arm)
        if not runs:
            return None
        if target.statistic == "seeds":
            assert target.height is not None
            return float(np.mean([r.reaches(target.height, target.within_s) for r in runs]))
        if target.measure == "return":
            return float(iqm(finals) if target.statistic == "iqm" else finals.mean())
        if target.measure == "over_row":
            other = self.at_limit(str(target.other), target.arm)
            return float(finals.mean() - other.mean()) if len(other) else None
        true = self.of(target.row, TRUE)
        if not true:
            return None
        if target.measure == "overhead":
            mine, theirs = (self.cpu_s(target.row, arm).mean() for arm in (target.arm, TRUE))
            return float(mine / theirs - 1)
        return float(relative_to(finals.mean(), self.finals(target.row, TRUE).mean()))


def _read(cell: Cell, tree: Mapping[str, Any]) -> Result:
    points = [point for point in tree["curve"] if point.get("eval_true_return") is not None]
    curve = {
        name: np.array([np.nan if (v := point.get(name)) is None else v for point in points])
        for name in CURVE
    }
    # Before the first session nothing counts answers.
    curve["num_answers"] = np.nan_to_num(curve["num_answers"])
    return Result(cell.seed, float(tree["final_true_return_mean"]), curve, tree)


def curves_at(
    results: Sequence[Result], axis: str, grid: Float64Array, metric: str = "eval_true_return"
) -> Estimate:
    """Estimates an arm's interquartile-mean curve, with straight lines between evaluations.

    Args:
        results: of its seeds.
        axis: metric that does not fall, such as step or cpu_s. Of points with the same value the
            last one counts.
        grid: (P,) where the curve is wanted.
        metric: its height.

    Returns:
        (P,); NaN where no run has a point at or beyond.
    """
    rows = []
    for result in results:
        x, y = result.curve[axis], result.curve[metric]
        is_last = np.append(x[1:] > x[:-1], True)
        rows.append(np.interp(grid, x[is_last], y[is_last], left=np.nan, right=np.nan))
    return bootstrap([np.array(rows)], rng=np.random.default_rng(0))


def mean_of(values: Float64Array) -> Estimate:
    """Estimates the mean of (S,) scores."""
    return _estimate(values.mean() if len(values) else math.nan, [values], lambda means: means[0])


def iqm_of(values: Float64Array) -> Estimate:
    """Estimates the interquartile mean of (S,) scores."""
    return bootstrap([values], rng=np.random.default_rng(0))


def difference(left: Float64Array, right: Float64Array) -> Estimate:
    """Estimates by how much the mean of (S,) scores is above that of (other S,) ones.

    Runs of two arms with the same seed have little in common, so they are not paired.
    """
    return _estimate(left.mean() - right.mean(), [left, right], lambda means: means[0] - means[1])


def share_of(scores: Sequence[Float64Array], true: Sequence[Float64Array]) -> Estimate:
    """Estimates the mean of scores as a share of the true arm's, averaged over tasks.

    Both sides are resampled, within each task.

    Args:
        scores: (S,) each, for every task.
        true: (other S,) each, likewise.
    """
    num = len(scores)

    def averaged(means: Sequence[Any]) -> Any:
        pairs = zip(means[:num], means[num:], strict=True)
        return sum(relative_to(mine, theirs) for mine, theirs in pairs) / num

    groups = [*scores, *true]
    return _estimate(averaged([group.mean() for group in groups]), groups, averaged)


def _estimate(value: Any, groups: Sequence[Float64Array], of_means: Any) -> Estimate:
    """Returns a function of the groups' means, with its percentile bootstrap interval."""
    if not any(len(group) >= 2 for group in groups):
        return Estimate(np.array(value), *(np.array(np.nan),) * 2)
    rng = np.random.default_rng(0)
    means = [
        group[rng.integers(len(group), size=(NUM_RESAMPLES, len(group)))].mean(1)
        for group in groups
    ]
    low, high = np.percentile(of_means(means), [100 * LEVEL / 2, 100 * (1 - LEVEL / 2)])
    return Estimate(np.array(value), np.array(low), np.array(high))


def detectable(left: Float64Array, right: Float64Array, planned: tuple[int, int]) -> float:
    """Returns the difference of means that seeds as many as planned could have shown.

    By a two-sided t-test at 5%, in four of five such studies, if runs scatter as these do.

    Args:
        left: (S,) scores of one arm.
        right: (other S,) of another.
        planned: seeds of the one and of the other.

    Returns:
        NaN where neither scatter is known.
    """
    freedom = max(len(left) - 1, 0) + max(len(right) - 1, 0)
    if freedom == 0:
        return math.nan
    squares = sum(float(((s - s.mean()) ** 2).sum()) for s in (left, right) if len(s))
    scatter = math.sqrt(squares / freedom * (1 / planned[0] + 1 / planned[1]))
    t = stats.t(planned[0] + planned[1] - 2)
    return float((t.ppf(1 - LEVEL / 2) + t.ppf(_POWER)) * scatter)
