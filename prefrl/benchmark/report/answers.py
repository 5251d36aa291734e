"""Answers that each strategy needs for what `uniform` reaches."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from prefrl.benchmark.report.curves import UNIFORM, Curve, Stratum
from prefrl.benchmark.report.statistics import budget_to_reach, mean
from prefrl.benchmark.report.study import LEAST_SHARE, Study
from prefrl.types import Float64Array


@dataclass(frozen=True)
class AnswersNeeded:
    """The answers that strategies need for what `uniform` reaches with all of its own.

    Args:
        budget: uniform's largest.
        target: its mean there.
        least: its smallest; what was needed before that is not known.
        needed: strategy -> the smallest budget that reaches it; None where none does.
    """

    budget: float
    target: float
    least: float
    needed: Mapping[str, float | None]


def answers_needed(study: Study, stratum: Stratum) -> AnswersNeeded | None:
    """Reads the answers that each strategy needs off its finished runs' mean.

    Returns:
        None without `uniform`, or where all runs had much the same number of answers, which says
        nothing of fewer.
    """
    means = {
        name: _means_by_budget(list(filter(study.is_finished, study.of(name, stratum))))
        for name in study.strategies
    }
    budgets, heights = means.get(UNIFORM, (np.zeros(0), np.zeros(0)))
    if not len(budgets) or budgets[0] >= LEAST_SHARE * budgets[-1]:
        return None
    target = float(heights[-1])
    return AnswersNeeded(
        float(budgets[-1]),
        target,
        float(budgets[0]),
        {name: budget_to_reach(*mean, target) for name, mean in means.items() if len(mean[0])},
    )


def _means_by_budget(curves: Sequence[Curve]) -> tuple[Float64Array, Float64Array]:
    budgets = sorted({budget for curve in curves for budget in curve.answers})
    table = np.array([[curve.answers.get(b, np.nan) for b in budgets] for curve in curves])
    heights = mean(table) if curves else np.zeros(0)
    is_known = np.isfinite(heights)
    return np.array(budgets, dtype=np.float64)[is_known], heights[is_known]
