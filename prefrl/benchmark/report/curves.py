"""One run's curve, and the scale on which curves of different environments are compared.

A stratum is an environment with a teacher; what can be compared lies within one.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from prefrl.benchmark.report.statistics import relative_to
from prefrl.types import Float64Array

UNIFORM = "uniform"

Stratum = tuple[str, str]
"""Environment and teacher."""

Scores = dict[Stratum, dict[int, float]]
"""A strategy's runs: stratum -> seed -> score; those without one are left out."""


@dataclass(frozen=True)
class Mode:
    """The measures that the runs of a mode are judged by.

    Args:
        name: as rows have it.
        title: for people.
        measure: the one that strategies are compared by; the higher, the better.
        label: says what that is.
        axis: what learning curves are drawn over.
        others: further measures worth a column, "-" before those that are better low.
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
    """One run, measurement by measurement.

    Args:
        strategy: its name.
        stratum: environment and teacher.
        seed: of the run.
        x: (P,) answers or environment steps, ascending.
        budgets: (P,) answers so far.
        measures: (P,) each, by name; NaN where it is not known.
        final: the compared measure at the last point: of a policy in evaluation, where the curve
            shows what training episodes brought; NaN where it is not known.
        answers: answers -> the compared measure once they had been given; of a policy, whose curve
            is one of steps as much as of answers, only what it ended with.
    """

    strategy: str
    stratum: Stratum
    seed: int
    x: Float64Array
    budgets: Float64Array
    measures: Mapping[str, Float64Array]
    final: float
    answers: Mapping[int, float]

    def known(self, measure: str) -> tuple[Float64Array, Float64Array]:
        """Returns the points where a measure is known: x, and the measure."""
        values = self.measures.get(measure, np.full(len(self.x), np.nan))
        is_known = np.isfinite(values)
        return self.x[is_known], values[is_known]

    def at(self, measure: str, x: Float64Array) -> Float64Array:
        """Interpolates a measure at any points; NaN beyond where it is known."""
        known_x, values = self.known(measure)
        if not len(known_x):
            return np.full(np.shape(x), np.nan)
        return np.asarray(np.interp(x, known_x, values, left=np.nan, right=np.nan))


@dataclass(frozen=True)
class Scale:
    """A scale that makes returns of different environments comparable.

    Args:
        reference: the arm whose mean return is 1; "" where measures stay in their own units.
        means: environment -> that mean, for those that have one.
    """

    reference: str = ""
    means: Mapping[str, float] = field(default_factory=dict)

    def covers(self, env: str) -> bool:
        """Says whether an environment's returns can be put on the scale."""
        return not self.reference or env in self.means

    def apply(self, values: Float64Array, env: str) -> Float64Array:
        """Puts values on the scale; NaN where it does not cover the environment."""
        if not self.reference:
            return values
        if env not in self.means:
            return np.full_like(values, np.nan)
        return relative_to(values, self.means[env])
