"""The statistics of a benchmark of few seeds, after Agarwal et al. 2021, "Deep RL at the edge".

Scores come as strata: one array for each task (here: environment and teacher), one row for each
seed. Resampling stays within a stratum, for the tasks were chosen and only the seeds were drawn.

The formulas are those of rliable 1.2, and a test holds them against it where it can be imported.
It is not a dependency: it asks for arch < 8, which fails to import beside pandas 3; it draws from
NumPy's global generator whatever seed it is given; and it takes no strata of unequal sizes, which
an unfinished benchmark has.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import integrate, stats

from prefrl.types import Float64Array

Strata = Sequence[Float64Array]
"""(seeds, …) scores of each stratum; NaN where one is not known."""

LEVEL = 0.05
NUM_RESAMPLES = 2_000

_CHUNK = 4_000_000  # numbers of one batch of resamples: 32 MB
_MOST_EXACT_PAIRS = 200


@dataclass(frozen=True)
class Estimate:
    """A metric with its 95% interval.

    Args:
        value: (…) as measured.
        low: (…) lower end; NaN where there is nothing to resample: one seed in every stratum.
        high: (…) upper end, likewise.
    """

    value: Float64Array
    low: Float64Array
    high: Float64Array

    def __post_init__(self) -> None:
        if not self.value.shape == self.low.shape == self.high.shape:
            raise ValueError(
                f"value, low and high have shapes {self.value.shape}, {self.low.shape} and "
                f"{self.high.shape}; they must be the same"
            )


def iqm(scores: Float64Array, axis: int = 0) -> Float64Array:
    """Returns the interquartile mean: of the middle half of the scores.

    A quarter of them, rounded down, is left out at each end, as rliable does; so three scores are
    simply averaged.

    Args:
        scores: NaN where one is not known; those are left out.
        axis: the one that goes.

    Returns:
        NaN where no score is known.
    """
    ordered = np.moveaxis(np.sort(scores, axis=axis), axis, -1)  # NaN last
    known = (~np.isnan(ordered)).sum(-1)
    cut = known // 4
    rank = np.arange(ordered.shape[-1])
    is_kept = (rank >= cut[..., None]) & (rank < (known - cut)[..., None])
    return _divided(np.where(is_kept, ordered, 0.0).sum(-1), known - 2 * cut)


def mean(scores: Float64Array, axis: int = 0) -> Float64Array:
    """Returns the mean of the scores that are known; NaN where none is."""
    is_known = ~np.isnan(scores)
    return _divided(np.where(is_known, scores, 0.0).sum(axis), is_known.sum(axis))


def _divided(total: Float64Array, count: NDArray[np.int64]) -> Float64Array:
    shares = np.full(np.shape(total), np.nan)
    np.divide(total, count, out=shares, where=count > 0)
    return shares


def bootstrap(
    strata: Strata,
    statistic: Callable[[Float64Array, int], Float64Array] = iqm,
    *,
    rng: np.random.Generator,
    num_resamples: int = NUM_RESAMPLES,
) -> Estimate:
    """Estimates a statistic over all strata, its interval by resampling seeds within each.

    Agarwal et al. 2021, section 4.1.

    Args:
        strata: (seeds, …) each; empty ones are left out.
        statistic: takes scores and the axis to reduce.
        rng: for the draws.
        num_resamples: of the benchmark.

    Returns:
        of shape (…). Strata of one seed add no width, so where most are, the interval is too short.
    """
    strata = [stratum for stratum in strata if len(stratum)]
    if not strata:
        return Estimate(*(np.array(np.nan),) * 3)
    value = statistic(np.concatenate(strata), 0)
    size = sum(stratum.size for stratum in strata)
    draws = []
    for num in _batches(num_resamples, size):
        drawn = [s[rng.integers(len(s), size=(num, len(s)))] for s in strata]
        draws.append(statistic(np.concatenate(drawn, axis=1), 1))
    most_known = np.max([(~np.isnan(stratum)).sum(0) for stratum in strata], axis=0)
    return Estimate(value, *_ends(np.concatenate(draws), most_known >= 2))


def probability_of_improvement(
    pairs: Sequence[tuple[Float64Array, Float64Array]],
    *,
    rng: np.random.Generator,
    num_resamples: int = NUM_RESAMPLES,
) -> Estimate:
    """Estimates the probability that a run of one strategy beats one of another on the same task.

    Agarwal et al. 2021, section 4.3: the Mann-Whitney U statistic over the number of pairs, ties
    counted half, averaged over strata. Both sides are resampled, each by itself.

    Args:
        pairs: (seeds,) scores of the one and (other seeds,) of the other, for each stratum that
            both have; without NaN.
        rng: for the draws.
        num_resamples: of the benchmark.

    Returns:
        () in [0, 1].
    """
    beaten = [
        (left[:, None] > right) + 0.5 * (left[:, None] == right)
        for left, right in pairs
        if len(left) and len(right)
    ]
    if not beaten:
        return Estimate(*(np.array(np.nan),) * 3)
    value = np.array(np.mean([wins.mean() for wins in beaten]))
    size = sum(wins.size for wins in beaten)
    draws = []
    for num in _batches(num_resamples, size):
        total = np.zeros(num)
        for wins in beaten:
            rows, columns = (rng.integers(n, size=(num, n)) for n in wins.shape)
            total += wins[rows[:, :, None], columns[:, None, :]].mean((1, 2))
        draws.append(total / len(beaten))
    can_vary = np.array(any(max(wins.shape) >= 2 for wins in beaten))
    return Estimate(value, *_ends(np.concatenate(draws), can_vary))


def performance_profile(
    strata: Strata, thresholds: Float64Array, *, rng: np.random.Generator
) -> Estimate:
    """Estimates the share of runs that score higher than each threshold.

    Agarwal et al. 2021, section 4.2: the run-score distribution, all tasks together.

    Args:
        strata: (seeds,) each; without NaN.
        thresholds: (T,)
        rng: for the draws.

    Returns:
        (T,) in [0, 1].
    """
    above = [(stratum[:, None] > thresholds).astype(np.float64) for stratum in strata]
    return bootstrap(above, mean, rng=rng)


def _batches(num_resamples: int, size: int) -> Iterator[int]:
    most = max(1, _CHUNK // max(size, 1))
    for start in range(0, num_resamples, most):
        yield min(most, num_resamples - start)


def _ends(draws: Float64Array, can_vary: NDArray[np.bool_]) -> tuple[Float64Array, Float64Array]:
    """Returns the ends of the draws' middle 95%; a draw of nothing but gaps is left out."""
    draws = np.where(can_vary, draws, 0.0)  # nanpercentile warns where all is NaN
    low, high = np.nanpercentile(draws, [2.5, 97.5], axis=0)
    return np.where(can_vary, low, np.nan), np.where(can_vary, high, np.nan)


def signed_rank_p(differences: Float64Array) -> float:
    """Returns the two-sided p of Wilcoxon's signed-rank test (1945) that pairs do not differ.

    Zeros are left out. The distribution is the exact one of random signs, given the ranks, so that
    ties, which accuracies on a small test set have, need no approximation; only beyond 200 pairs
    SciPy's normal approximation is taken.

    Args:
        differences: (pairs,) without NaN.

    Returns:
        in (0, 1]; 1 where no pair differs.
    """
    differences = differences[differences != 0]
    if not len(differences):
        return 1.0
    if len(differences) > _MOST_EXACT_PAIRS:
        return float(stats.wilcoxon(differences).pvalue)
    ranks = np.rint(2 * stats.rankdata(np.abs(differences))).astype(np.int64)  # ties end in .5
    p_sum = np.ones(1)  # p_sum[s]: that the ranks of a plus sign sum to s
    for rank in ranks:
        p_sum = 0.5 * (np.pad(p_sum, (0, rank)) + np.pad(p_sum, (rank, 0)))
    observed = int(ranks[differences > 0].sum())
    tail = min(p_sum[: observed + 1].sum(), p_sum[observed:].sum())
    return float(min(1.0, 2 * tail))


def holm(p_values: Sequence[float]) -> list[float]:
    """Corrects p-values by Holm's step-down (1979), so that they hold for all tests together.

    Args:
        p_values: of the tests that were made.

    Returns:
        In the same order, each at least what it was and at most 1.
    """
    corrected = [1.0] * len(p_values)
    largest = 0.0
    for rank, index in enumerate(np.argsort(p_values, kind="stable")):
        largest = max(largest, min(1.0, (len(p_values) - rank) * p_values[index]))
        corrected[index] = largest
    return corrected


def pairs_needed(num_tests: int) -> int:
    """Returns the fewest pairs with which one of so many tests can come below 0.05 after Holm.

    n pairs that all point one way have p = 2 / 2^n.
    """
    num = 1
    while max(num_tests, 1) * 2.0 ** (1 - num) >= LEVEL:
        num += 1
    return num


def area_under_curve(x: Float64Array, y: Float64Array, low: float, high: float) -> float:
    """Returns a curve's mean height between two points, straight lines between its own.

    Args:
        x: (P,) ascending.
        y: (P,) without NaN.
        low: where the area begins.
        high: where it ends.

    Returns:
        NaN where the curve does not reach over the whole of it, or it has no width.
    """
    if not len(x) or not x[0] <= low < high <= x[-1]:
        return float("nan")
    knots = np.concatenate([[low], x[(x > low) & (x < high)], [high]])
    return float(integrate.trapezoid(np.interp(knots, x, y), knots) / (high - low))


def budget_to_reach(budgets: Float64Array, means: Float64Array, target: float) -> float | None:
    """Returns the smallest budget at which a curve reaches a height, lines between its points.

    Args:
        budgets: (P,) ascending.
        means: (P,) without NaN.
        target: the height.

    Returns:
        None where it never does. The first budget where it starts there: it may need fewer.
    """
    (reached,) = np.nonzero(means >= target)
    if not len(reached):
        return None
    first = int(reached[0])
    if first == 0:
        return float(budgets[0])
    before, after = slice(first - 1, first), slice(first, first + 1)
    share: Any = (target - means[before]) / (means[after] - means[before])
    return float((budgets[before] + share * (budgets[after] - budgets[before]))[0])


def relative_to(scores: Float64Array, reference: float) -> Float64Array:
    """Puts returns in a unit that environments share: 1 is as good as the reference.

    Where the reference is above 0 this is the plain ratio. Where it is below, as in tasks that pay
    costs, a ratio would turn the order round; so the distance from the reference is measured in
    its size: 1 + (score - reference) / |reference|.

    Args:
        scores: (…)
        reference: not 0.
    """
    return 1 + (scores - reference) / abs(reference)
