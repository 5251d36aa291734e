"""The runs of one mode: what each strategy reached, all on one scale."""

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from prefrl.benchmark.grid.cells import TRUE_REWARD
from prefrl.benchmark.report.curves import UNIFORM, Curve, Mode, Scale, Scores, Stratum
from prefrl.benchmark.report.statistics import area_under_curve
from prefrl.types import Float64Array

_MOST_POINTS = 60
LEAST_SHARE = 0.95  # of the answers: a teacher that skips may leave a few to be given


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
        """The end of each stratum's longest run: the final budget, or the last step."""
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
        """The point from which on every finished run of a stratum has measurements."""
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
        """Returns the runs of a strategy, of one stratum or of all."""
        return [
            curve
            for curve in self.curves
            if curve.strategy == strategy and stratum in (None, curve.stratum)
        ]

    def is_finished(self, curve: Curve) -> bool:
        """Says whether a run reached the end of its stratum, with the answers others had."""
        is_at_end = curve.x[-1] == self.ends[curve.stratum]
        has_answers = curve.budgets[-1] >= LEAST_SHARE * self.budgets[curve.stratum]
        return bool(is_at_end and np.isfinite(curve.final) and has_answers)

    def finals(self, strategy: str) -> Scores:
        """Returns each finished run's final value of the compared measure, on the scale."""
        return self._scores(strategy, lambda curve: np.array(curve.final))

    def areas(self, strategy: str) -> Scores:
        """Returns the compared measure's mean height over each finished run's curve."""

        def area(curve: Curve) -> Float64Array:
            span = self.starts[curve.stratum], self.ends[curve.stratum]
            return np.array(area_under_curve(*curve.known(self.mode.measure), *span))

        return self._scores(strategy, area)

    def lasts(self, strategy: str, measure: str) -> Scores:
        """Returns the last known value of any measure for each finished run, in its own units."""

        def last(curve: Curve) -> Float64Array:
            _, values = curve.known(measure)
            return values[-1] if len(values) else np.array(np.nan)

        return self._scores(strategy, last, is_scaled=False)

    def _scores(
        self, strategy: str, score: Callable[[Curve], Float64Array], *, is_scaled: bool = True
    ) -> Scores:
        scores: Scores = {}
        for curve in filter(self.is_finished, self.of(strategy)):
            value = score(curve)
            if is_scaled:
                value = self.scale.apply(value, curve.stratum[0])
            if np.isfinite(value):
                scores.setdefault(curve.stratum, {})[curve.seed] = float(value)
        return scores

    def grid(self, stratum: Stratum | None = None) -> Float64Array:
        """Returns (P,) points to draw curves at: the measurements', or 60 where there are more.

        Args:
            stratum: None for all together; where strata end at different points, as shares of
                where each ends.
        """
        scale = self.ends if stratum is None and self.is_in_shares else defaultdict(lambda: 1.0)
        chosen = (curve for curve in self.curves if stratum in (None, curve.stratum))
        points = [curve.x / (scale[curve.stratum] or 1.0) for curve in chosen]
        grid = np.unique(np.concatenate(points)) if points else np.zeros(0)
        return grid if len(grid) <= _MOST_POINTS else np.linspace(grid[0], grid[-1], _MOST_POINTS)

    @cached_property
    def is_in_shares(self) -> bool:
        """True where strata end at different points, so that a grid for all is one of shares."""
        return len(set(self.ends.values())) > 1


def _ends(curves: Sequence[Curve]) -> dict[Stratum, float]:
    ends: dict[Stratum, float] = {}
    for curve in curves:
        ends[curve.stratum] = max(ends.get(curve.stratum, 0.0), curve.x[-1])
    return ends
