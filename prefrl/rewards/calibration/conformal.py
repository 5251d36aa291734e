"""Intervals around predicted score differences, with a promised share of answers in them.

Axes: B answers, T steps, D input dims.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from prefrl.arguments import instance
from prefrl.errors import ArgumentError, DataError
from prefrl.rewards.calibration.checks import Float64Array, Floats, check, checked_vector
from prefrl.rewards.model.ensemble import EnhancedRewardModel

_EPS = float(np.finfo(np.float64).eps)
_MIN_UNCERTAINTY = 1e-12


@dataclass(frozen=True)
class ConformalInterval:
    """An interval around predicted score differences; see `fit_conformal` for what it promises.

    Args:
        coverage: share of answers whose side the intervals are to contain, in (0, 1).
        factor: uncertainties on either side, 0 or more; inf where the interval is everything.
    """

    coverage: float
    factor: float

    def __post_init__(self) -> None:
        check(0 < self.coverage < 1, "coverage", self.coverage, "a number between 0 and 1")
        check(self.factor >= 0, "factor", self.factor, "0 or more")

    def interval(
        self, difference: Floats, uncertainty: Floats
    ) -> tuple[Float64Array, Float64Array]:
        """Returns (B,) low and (B,) high around left minus right scores and their uncertainties."""
        difference, uncertainty = _checked_difference(difference, uncertainty)
        with np.errstate(over="ignore"):  # Too wide to write down is everything.
            half = self.factor * uncertainty
            return difference - half, difference + half


def fit_conformal(
    difference: Floats, uncertainty: Floats, p_left: Floats, *, coverage: float
) -> ConformalInterval:
    """Finds how many uncertainties around a score difference make it agree with enough answers.

    Split conformal prediction (Vovk et al. 2005; Angelopoulos and Bates 2021, section 1). The
    nonconformity of an answer, our choice, is by how many uncertainties the point `difference` has
    to be widened until it reaches the answered side: 0 where it lies there already, otherwise
    |difference| / uncertainty; for a tie always that, as the interval has to reach 0. The factor
    is the ceil((B + 1) * coverage)-th smallest of them, inf where there are fewer than that.

    Guaranteed: if the next answer and these are exchangeable, and none of them was fitted to, its
    interval reaches the answered side with probability at least `coverage`, over the draw of all
    of them. Not guaranteed: that for any one pair or kind of pairs; anything for pairs chosen
    otherwise than these, such as those asked because the heads disagree, or of a later policy; and
    nothing whatever about the true reward difference, which nobody observed. Where more than
    `coverage` of the answers are predicted rightly, points keep the promise: the factor is 0.

    Args:
        difference: (B,) predicted left score minus right score.
        uncertainty: (B,) of that difference, in its unit; raised to 1e-12 where it is less.
        p_left: (B,) held-out answers; above 0.5 is left, below is right.
        coverage: in (0, 1).
    """
    difference, uncertainty = _checked_difference(difference, uncertainty)
    p_left = checked_vector("p_left", p_left, len(difference), 0, 1)
    check(0 < coverage < 1, "coverage", coverage, "a number between 0 and 1")
    agrees = np.sign(difference) * np.sign(p_left - 0.5) > 0
    with np.errstate(over="ignore"):
        nonconformity = np.where(agrees, 0.0, np.abs(difference) / uncertainty)
    # Decimal fractions such as 0.9 are a little more than they say: no rank is lost to that.
    rank = max(math.ceil((len(difference) + 1) * coverage - 1e-9), 1)
    if rank > len(difference):
        return ConformalInterval(coverage, math.inf)
    # So that factor * uncertainty does not round to less than the difference it came from.
    factor = np.sort(nonconformity)[rank - 1] * (1 + 4 * _EPS)
    return ConformalInterval(coverage, float(factor))


@dataclass(frozen=True)
class ScoreInterval:
    """A model's score differences of pairs of segments, in nats, with an interval.

    Args:
        difference: (B,) left score minus right score, the mean over heads.
        low: (B,) where its interval begins.
        high: (B,) where it ends; above 0 alone it says left, below 0 alone right, else either.
        coverage: share of answers that were to lie in such intervals.
    """

    difference: Float64Array
    low: Float64Array
    high: Float64Array
    coverage: float


def score_interval(
    model: EnhancedRewardModel,
    left: NDArray[np.float32],
    right: NDArray[np.float32],
    *,
    attention_mask: NDArray[np.bool_] | None = None,
) -> ScoreInterval:
    """Returns score differences with the interval that the last fit found; see `fit_conformal`.

    Args:
        model: fitted with an `interval_coverage`.
        left: (B, T, D) segments.
        right: (B, T, D) segments.
        attention_mask: (B, T) 0 at the padding of both; None: there is none.

    Raises:
        DataError: the model was fitted without, or to too few held-out answers.
    """
    coverage, factor = instance("model", model, EnhancedRewardModel).interval.tolist()
    if coverage == 0:
        raise DataError(
            "this reward model has no intervals: fit it with reward_model.interval_coverage set, "
            "and with answers held out"
        )
    if np.shape(left) != np.shape(right):
        raise ArgumentError(
            f"left has shape {np.shape(left)} and right {np.shape(right)}; expected the same"
        )
    scores = [model.score(side, attention_mask=attention_mask) for side in (left, right)]
    heads = scores[0].astype(np.float64) - scores[1]
    difference = heads.mean(1)
    fitted = ConformalInterval(coverage, factor)
    low, high = fitted.interval(difference, heads.std(1))
    return ScoreInterval(difference, low, high, coverage)


def least_answers(coverage: float) -> int:
    """Returns the smallest number of held-out answers that make such an interval finite."""
    return math.ceil(coverage / (1 - coverage) - 1e-9)


def _checked_difference(
    difference: Floats, uncertainty: Floats
) -> tuple[Float64Array, Float64Array]:
    difference = checked_vector("difference", difference)
    uncertainty = checked_vector("uncertainty", uncertainty, len(difference), 0)
    return difference, np.maximum(uncertainty, _MIN_UNCERTAINTY)
