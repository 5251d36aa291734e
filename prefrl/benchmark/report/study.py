"""The measurements of one mode put in order: a curve for every run, all on one scale.

A stratum is an environment with a teacher; what can be compared lies within one.
"""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from prefrl.benchmark.grid.cells import TRUE_REWARD
from prefrl.benchmark.grid.results import Row
from prefrl.benchmark.report.statistics import FloatArray, area_under_curve, relative_to
from prefrl.errors import DataError

UNIFORM = "uniform"

Stratum = tuple[str, str]
"""Environment and teacher."""

Scores = dict[Stratum, dict[int, float]]
"""A strategy's runs: stratum -> seed -> score; those without one are left out."""

_MOST_POINTS = 60
LEAST_SHARE = 0.95  # of the answers: a teacher that skips may leave a few to be given


@dataclass(frozen=True)
class Mode:
    """What the runs of a mode are judged by.

    Args:
        name: as rows have it.
        title: for people.
        measure: the figure that strategies are compared by; the higher, the better.
        label: says what that is.
        axis: what learning curves are drawn over.
        others: further figures worth a column, "-" before those that are better low.
    """

    name: str
    title: str
    measure: str
    label: str
    axis: str
    others: tuple[str, ...]


MODE_OF = {
    mode.name: mode
    for mode in (
        Mode(
            *("reward", "Reward models", "accuracy", "held-out accuracy", "budget"),
            others=("-nll", "-ece", "correlation"),
        ),
        Mode(
            *("rl", "Policies", "true_return", "true return", "step"),
            others=("accuracy", "correlation"),
        ),
    )
}


@dataclass(frozen=True)
class Curve:
    """What one run reached, measurement by measurement.

    Args:
        strategy: its name.
        stratum: environment and teacher.
        seed: of the run.
        x: (P,) answers or environment steps, ascending.
        budgets: (P,) answers so far.
        figures: (P,) each measure; NaN where it is not known.
        final: the compared measure at the last place: of a policy in evaluation, where the curve
            tells what training episodes brought; NaN where it is not known.
        answers: answers -> the compared measure once they had been given; of a policy, whose curve
            is one of steps as much as of answers, only what it ended with.
    """

    strategy: str
    stratum: Stratum
    seed: int
    x: FloatArray
    budgets: FloatArray
    figures: Mapping[str, FloatArray]
    final: float
    answers: Mapping[int, float]

    def known(self, measure: str) -> tuple[FloatArray, FloatArray]:
        """The points where a measure is known: x, and the measure."""
        values = self.figures.get(measure, np.full(len(self.x), np.nan))
        is_known = np.isfinite(values)
        return self.x[is_known], values[is_known]

    def at(self, measure: str, x: FloatArray) -> FloatArray:
        """A measure at places of one's own, interpolated; NaN beyond where it is known."""
        known_x, values = self.known(measure)
        if not len(known_x):
            return np.full(np.shape(x), np.nan)
        return np.asarray(np.interp(x, known_x, values, left=np.nan, right=np.nan))


@dataclass(frozen=True)
class Scale:
    """How returns of different environments are made comparable.

    Args:
        reference: the arm whose mean return is 1; "" where figures stand as they are.
        means: environment -> that mean, for those that have one.
    """

    reference: str = ""
    means: Mapping[str, float] = field(default_factory=dict)

    def covers(self, env: str) -> bool:
        """Whether an environment's figures can be put on the scale."""
        return not self.reference or env in self.means

    def apply(self, values: FloatArray, env: str) -> FloatArray:
        """Values on the scale; NaN where it does not cover the environment."""
        if not self.reference:
            return values
        if env not in self.means:
            return np.full_like(values, np.nan)
        return relative_to(values, self.means[env])


@dataclass(frozen=True)
class Study:
    """The runs of one mode.

    Args:
        mode: which.
        axis: what the curves' x is: "budget" or "step".
        curves: of the strategies.
        reference: of the arm on the true reward.
    """

    mode: Mode
    axis: str
    curves: tuple[Curve, ...]
    reference: tuple[Curve, ...]

    @cached_property
    def strategies(self) -> tuple[str, ...]:
        """Their names: `uniform` first, then by the alphabet."""
        return tuple(sorted({c.strategy for c in self.curves}, key=lambda s: (s != UNIFORM, s)))

    @cached_property
    def strata(self) -> tuple[Stratum, ...]:
        """Of the strategies, in order of name."""
        return tuple(sorted({c.stratum for c in self.curves}))

    @cached_property
    def ends(self) -> dict[Stratum, float]:
        """Where the longest run of each stratum ended: the final budget, or the last step."""
        return _ends(self.curves)

    @cached_property
    def budgets(self) -> dict[Stratum, float]:
        """The most answers that a run of each stratum had."""
        return {
            stratum: max(curve.budgets[-1] for curve in self.curves if curve.stratum == stratum)
            for stratum in self.strata
        }

    @cached_property
    def starts(self) -> dict[Stratum, float]:
        """From where on every finished run of a stratum has figures."""
        starts: dict[Stratum, float] = {}
        for curve in filter(self.is_finished, self.curves):
            x, _ = curve.known(self.mode.measure)
            starts[curve.stratum] = max(x[0], starts.get(curve.stratum, x[0]))
        return starts

    @cached_property
    def scale(self) -> Scale:
        """Of the compared measure: accuracies need none, returns are set against an arm's mean.

        That arm is the one on the true reward; where not one environment has it, `uniform`. One
        environment alone that has neither keeps its own units.
        """
        if self.mode.name != "rl":
            return Scale()
        uniform = [curve for curve in self.curves if curve.strategy == UNIFORM]
        for name, curves in ((TRUE_REWARD, self.reference), (UNIFORM, uniform)):
            if means := self._final_means(curves):
                return Scale(name, means)
        return Scale("nothing" if len({env for env, _ in self.strata}) > 1 else "")

    def _final_means(self, curves: Sequence[Curve]) -> dict[str, float]:
        ends = _ends(curves)
        finals = defaultdict(list)
        for curve in curves:
            if curve.x[-1] == ends[curve.stratum] and np.isfinite(curve.final):
                finals[curve.stratum[0]].append(curve.final)
        means = {env: float(np.mean(values)) for env, values in finals.items()}
        return {env: mean for env, mean in means.items() if mean != 0}

    def of(self, strategy: str, stratum: Stratum | None = None) -> list[Curve]:
        """The runs of a strategy, of one stratum or of all."""
        return [
            curve
            for curve in self.curves
            if curve.strategy == strategy and stratum in (None, curve.stratum)
        ]

    def is_finished(self, curve: Curve) -> bool:
        """Whether a run has a figure at the end of its stratum, with the answers others had."""
        is_at_end = curve.x[-1] == self.ends[curve.stratum]
        has_answers = curve.budgets[-1] >= LEAST_SHARE * self.budgets[curve.stratum]
        return bool(is_at_end and np.isfinite(curve.final) and has_answers)

    def finals(self, strategy: str) -> Scores:
        """What each finished run reached in the compared measure, on the scale."""
        return self._scores(strategy, lambda curve: np.array(curve.final))

    def areas(self, strategy: str) -> Scores:
        """The compared measure's mean height over each finished run's curve, on the scale."""

        def area(curve: Curve) -> FloatArray:
            span = self.starts[curve.stratum], self.ends[curve.stratum]
            return np.array(area_under_curve(*curve.known(self.mode.measure), *span))

        return self._scores(strategy, area)

    def lasts(self, strategy: str, measure: str) -> Scores:
        """The last known figure of each finished run, as it stands: of any measure."""

        def last(curve: Curve) -> FloatArray:
            _, values = curve.known(measure)
            return values[-1] if len(values) else np.array(np.nan)

        return self._scores(strategy, last, is_scaled=False)

    def _scores(
        self, strategy: str, score: Callable[[Curve], FloatArray], *, is_scaled: bool = True
    ) -> Scores:
        scores: Scores = {}
        for curve in filter(self.is_finished, self.of(strategy)):
            value = score(curve)
            if is_scaled:
                value = self.scale.apply(value, curve.stratum[0])
            if np.isfinite(value):
                scores.setdefault(curve.stratum, {})[curve.seed] = float(value)
        return scores

    def grid(self, stratum: Stratum | None = None) -> FloatArray:
        """(P,) places to draw curves at: those of the measurements, or 60 where there are more.

        Args:
            stratum: None for all together; where strata end at different places, as shares of
                where each ends.
        """
        scale = self.ends if stratum is None and self.is_in_shares else defaultdict(lambda: 1.0)
        chosen = (curve for curve in self.curves if stratum in (None, curve.stratum))
        places = [curve.x / (scale[curve.stratum] or 1.0) for curve in chosen]
        grid = np.unique(np.concatenate(places)) if places else np.zeros(0)
        return grid if len(grid) <= _MOST_POINTS else np.linspace(grid[0], grid[-1], _MOST_POINTS)

    @cached_property
    def is_in_shares(self) -> bool:
        """Whether strata end at different places, so that a grid for all is one of shares."""
        return len(set(self.ends.values())) > 1


def study_of(rows: Sequence[Row], mode: Mode) -> Study:
    """Puts the rows of a mode in order.

    Args:
        rows: of any modes, as `read_results` returns them.
        mode: the one wanted.

    Raises:
        DataError: two cells are the same run as far as a report can tell.
    """
    rows = [row for row in rows if row["mode"] == mode.name]
    has_steps = all(row.get("step") is not None for row in rows)
    axis = mode.axis if mode.axis == "budget" or has_steps else "budget"
    runs: dict[tuple[str, str, str, int], dict[str, list[Row]]] = {}
    for row in rows:
        key = (row["strategy"], row["env"], row["teacher"], row["seed"])
        runs.setdefault(key, {}).setdefault(row["cell"], []).append(row)
    curves = [_curve(cells, mode, axis) for _, cells in sorted(runs.items())]
    return Study(
        mode,
        axis,
        tuple(curve for curve in curves if curve.strategy != TRUE_REWARD),
        tuple(curve for curve in curves if curve.strategy == TRUE_REWARD),
    )


def _curve(cells: Mapping[str, Sequence[Row]], mode: Mode, axis: str) -> Curve:
    """One run's curve; its cells may be several, with budgets of their own."""
    by_budget: dict[int, tuple[str, list[Row]]] = {}
    for cell, rows in cells.items():
        ordered = sorted(rows, key=lambda row: (row["budget"], row.get("step") or 0))
        budget = ordered[-1]["budget"]
        if budget in by_budget:
            raise DataError(
                f"cells {by_budget[budget][0]} and {cell} have the same strategy, environment, "
                "teacher, seed and final budget; a report cannot tell them apart"
            )
        by_budget[budget] = cell, ordered
    by_cell = [rows for _, (_, rows) in sorted(by_budget.items())]
    # Reward models of several cells continue one curve. A policy's curve over steps is the one of
    # the largest budget; what a smaller budget is worth, a run that ended with it says best.
    shown = by_cell[-1] if axis == "step" else [row for rows in by_cell for row in rows]
    counted = [rows[-1] for rows in by_cell] if axis == "step" else shown
    rows = _one_a_place(shown, axis, earliest=mode.measure if axis == "step" else "")
    first = rows[0]
    names = {mode.measure, "select_s", *(name.removeprefix("-") for name in mode.others)}
    return Curve(
        strategy=first["strategy"],
        stratum=(first["env"], first["teacher"]),
        seed=first["seed"],
        x=_column(rows, axis),
        budgets=_column(rows, "budget"),
        figures={name: _column(rows, name) for name in sorted(names)},
        final=_finite(shown[-1].get(mode.measure)),
        answers={row["budget"]: _finite(row.get(mode.measure)) for row in counted},
    )


def _one_a_place(rows: Sequence[Row], axis: str, *, earliest: str) -> list[Row]:
    """By the axis, ascending: of several rows at one place the last known figure of each kind.

    A session is held at the step at which returns are told; and at the last step, after what
    training brought, comes the evaluation.

    Args:
        rows: of a curve, in order.
        axis: what places are by.
        earliest: the figure of which the first that is known counts.
    """
    places: dict[float, dict[str, Any]] = {}
    for row in rows:
        place = places.setdefault(row[axis], {})
        for name, value in row.items():
            is_told = name == earliest and _is_known(place.get(name))
            if name not in place or (_is_known(value) and not is_told):
                place[name] = value
    return [place for _, place in sorted(places.items())]


def _ends(curves: Sequence[Curve]) -> dict[Stratum, float]:
    ends: dict[Stratum, float] = {}
    for curve in curves:
        ends[curve.stratum] = max(ends.get(curve.stratum, 0.0), curve.x[-1])
    return ends


def _column(rows: Sequence[Row], name: str) -> FloatArray:
    return np.array([_finite(row.get(name)) for row in rows], dtype=np.float64)


def _is_known(value: Any) -> bool:
    return value is not None and not (isinstance(value, float) and not np.isfinite(value))


def _finite(value: float | None) -> float:
    return float(value) if value is not None and np.isfinite(value) else float("nan")
