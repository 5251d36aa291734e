"""Metrics of the reward model's probabilities, and of its uncertainty, on held-out answers.

Plain functions on NumPy arrays, computed in float64. `p_left` is what the teacher answered: 1 left,
0 right, 0.5 a tie, or any share between. Which segment was shown on the left is an accident:
swapping every pair changes no metric. Whatever is not of the shape and range that is said
here raises `DataError`.

Axes: B answers, K heads, M bins, N items with an error each.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from prefrl.errors import DataError
from prefrl.rewards.calibration.checks import Float64Array, Floats, check, checked_vector
from prefrl.rewards.fitting.losses import preference_accuracy

_EPS = float(np.finfo(np.float64).eps)
_LOG_TEMPERATURE = math.log(20.0)  # Temperatures from 1/20 to 20.
_GRID = np.linspace(-_LOG_TEMPERATURE, _LOG_TEMPERATURE, 61)  # Steps of a tenth.
_NUM_SECTIONS = 40  # A bracket of two steps shrinks to 1e-9.
_LARGEST = 1e100  # Logits and 1 / temperature up to here: products and sums of them stay finite.
_DECIMALS = 12  # What rounding alone made different counts as equal.


def preference_probability(
    logits: Floats, *, temperature: float, error_rate: float = 0.0
) -> Float64Array:
    """Returns the probability that the next answer is "left".

    A head alone expects "left" with probability sigmoid(logit / temperature) (Christiano et al.
    2017, eq. 1; Guo et al. 2017, section 4.2), the ensemble with its heads' mean probability. With
    probability `error_rate` the teacher answers uniformly at random, whatever it sees (Christiano
    et al. 2017, section 2.2.3, assume 0.1).

    Args:
        logits: (B, K) left score minus right score, in nats.
        temperature: above 0; what `fit_temperature` found.
        error_rate: in [0, 1]; 0 asks for what a teacher without slips would answer.

    Returns:
        (B,) error_rate / 2 + (1 - error_rate) * mean over heads.
    """
    logits = _checked_logits(logits)
    is_fine = 1 / _LARGEST <= temperature < math.inf
    check(is_fine, "temperature", temperature, f"a number from {1 / _LARGEST:g} up")
    check(0 <= error_rate <= 1, "error_rate", error_rate, "a number in [0, 1]")
    by_head = _head_probabilities(logits, temperature)
    return np.asarray(error_rate / 2 + (1 - error_rate) * by_head.mean(axis=-1))


def fit_temperature(
    logits: Floats,
    p_left: Floats,
    *,
    error_rate: float = 0.0,
    prior: float = 1.0,
    prior_strength: float = 1.0,
) -> float:
    """Finds the temperature of the least NLL of held-out answers (Guo et al. 2017, section 4.2).

    Minimises the sum of the answers' negative log-likelihoods under `preference_probability` plus
    `prior_strength` / 2 * log(temperature / prior)^2. The prior is ours: it decides where answers
    do not (none, few, only ties, none wrong) and fades as they come in. The cost may have several
    valleys: a grid over all of them finds the deepest, golden-section search its bottom.

    Args:
        logits: (B, K) left score minus right score, in nats.
        p_left: (B,) answers the heads have not been fitted to.
        error_rate: in [0, 1], as in `preference_probability`.
        prior: what is expected before the first answer, in [1/20, 20].
        prior_strength: above 0; 1 is a log-normal prior with a standard deviation of a factor e.

    Returns:
        a temperature in [1/20, 20]; the prior's without answers.
    """
    logits = _checked_logits(logits)
    p_left = checked_vector("p_left", p_left, len(logits), 0, 1)
    check(0 <= error_rate <= 1, "error_rate", error_rate, "a number in [0, 1]")
    check(0 < prior_strength < math.inf, "prior_strength", prior_strength, "a number above 0")
    check(0.05 <= prior <= 20, "prior", prior, "a temperature in [1/20, 20]")
    if not len(logits):
        return prior

    def cost(log_temperature: Float64Array) -> Float64Array:  # (G,) -> (G,)
        temperature = np.exp(log_temperature)
        nll = _nll(logits, p_left, temperature, error_rate).sum(axis=-1)
        return np.asarray(nll + prior_strength / 2 * np.square(log_temperature - math.log(prior)))

    best = int(cost(_GRID).argmin())
    low, high = _GRID[max(best - 1, 0)], _GRID[min(best + 1, len(_GRID) - 1)]
    return math.exp(_golden_section(cost, float(low), float(high)))


def negative_log_likelihood(p: Floats, p_left: Floats) -> float:
    """Returns the mean NLL of the answers in nats, a tie being half of each answer.

    Args:
        p: (B,) predicted probability of "left".
        p_left: (B,) answers.

    Returns:
        0 or more, NaN without answers. An answer held to be impossible costs 36 nats, as if it had
        been given the 2e-16 that float64 tells from nothing beside 1.
    """
    p, p_left = _checked_answers(p, p_left)
    p = np.clip(p, _EPS, 1 - _EPS)
    nll = -(p_left * np.log(p) + (1 - p_left) * np.log1p(-p))
    return float(nll.mean()) if len(p) else math.nan


def brier_score(p: Floats, p_left: Floats) -> float:
    """Returns the mean squared error of (B,) predicted probabilities of "left", given (B,) answers.

    Brier 1950, for one of the two outcomes: in [0, 1], 0.25 for saying 0.5 to decisive answers, NaN
    without answers.
    """
    p, p_left = _checked_answers(p, p_left)
    return float(np.square(p - p_left).mean()) if len(p) else math.nan


@dataclass(frozen=True)
class ReliabilityBins:
    """Predictions beside outcomes, from the lowest prediction to the highest.

    Args:
        mean_predicted: (M,) mean predicted probability in each bin.
        mean_observed: (M,) mean answer in each bin.
        counts: (M,) answers in each bin, at least 1.
    """

    mean_predicted: Float64Array
    mean_observed: Float64Array
    counts: NDArray[np.int64]

    def __post_init__(self) -> None:
        num_bins = len(checked_vector("counts", self.counts, low=1))
        checked_vector("mean_predicted", self.mean_predicted, num_bins, 0, 1)
        checked_vector("mean_observed", self.mean_observed, num_bins, 0, 1)


def reliability_bins(p: Floats, p_left: Floats, num_bins: int = 15) -> ReliabilityBins:
    """Groups the answers by what was predicted, as evenly as can be.

    Adaptive bins hold about equally many answers (Nguyen and O'Connor 2015; Nixon et al. 2019).
    Equal predictions are never torn apart, so the order of the answers does not matter; bins that
    would be empty for that, or for want of answers, are left out.

    Args:
        p: (B,) predicted probability of "left".
        p_left: (B,) answers.
        num_bins: how many at most.
    """
    p, p_left = _checked_answers(p, p_left)
    check(num_bins >= 1, "num_bins", num_bins, "1 or more")
    _, value, repeats = np.unique(p, return_inverse=True, return_counts=True)
    # A prediction belongs where the middle of its repeats stands in line; twice that is whole.
    rank = (2 * np.cumsum(repeats) - repeats) * num_bins // (2 * max(len(p), 1))
    _, bin_of_value = np.unique(rank, return_inverse=True)
    bins = bin_of_value[value]
    counts = np.bincount(bins)
    predicted, observed = (np.bincount(bins, share) / counts for share in (p, p_left))
    return ReliabilityBins(predicted, observed, counts)


def expected_calibration_error(p: Floats, p_left: Floats, num_bins: int = 15) -> float:
    """Returns the mean gap between how sure a prediction was and how often it was right.

    Naeini et al. 2015 on adaptive bins (see `reliability_bins`), over the *predicted side*: its
    probability max(p, 1 - p) against whether the answer took it. That is what binning every pair
    in both orientations into twice as many bins comes to, since these mirror each other around
    0.5; so swapping left and right changes nothing. A prediction of 0.5 has no side and is right
    half of the time, whatever the answer. A bias towards one side of the screen is not seen, and
    with few answers a bin the gap is mostly their noise: compare at equal numbers only.

    Of (B,) predicted probabilities of "left" and (B,) answers: in [0, 1], NaN without answers.
    """
    p, p_left = _checked_answers(p, p_left)
    if not len(p):
        return math.nan
    confidence = np.round(np.maximum(p, 1 - p), _DECIMALS)
    is_right = np.where(p > 0.5, p_left, 1 - p_left)
    bins = reliability_bins(confidence, np.where(confidence > 0.5, is_right, 0.5), num_bins)
    gap = np.abs(bins.mean_predicted - bins.mean_observed)
    return float((bins.counts * gap).sum() / len(p))


def sparsification_error(error: Floats, uncertainty: Floats) -> float:
    """Measures how much worse than the errors themselves the uncertainty ranks them.

    Area between two curves (AUSE; Ilg et al. 2018): the mean error of what remains
    after removing the most uncertain 0, 1, ..., N - 1 items, and after removing those of largest
    error instead; both relative to the mean error of all, averaged over those N points. Items of
    equal uncertainty count with their mean error, which is what their random order comes to.

    Args:
        error: (N,) 0 or more.
        uncertainty: (N,) larger is less certain; only its order counts.

    Returns:
        0 for a perfect ranking or no error at all, without upper bound; NaN without items.
    """
    error = checked_vector("error", error, low=0)
    uncertainty = checked_vector("uncertainty", uncertainty, len(error))
    if not error.any():
        return 0.0 if len(error) else math.nan
    error = error / error.max()  # Only proportions count; sums of them cannot overflow.
    _, value, repeats = np.unique(uncertainty, return_inverse=True, return_counts=True)
    most_certain_first = np.repeat(np.bincount(value, error) / repeats, repeats)
    excess = np.cumsum(most_certain_first) - np.cumsum(np.sort(error))
    num_remaining = np.arange(1, len(error) + 1)
    return max(float((excess / num_remaining).mean() / error.mean()), 0.0)  # Rounding aside.


@dataclass(frozen=True)
class CalibrationReport:
    """Metrics of predictions on held-out answers; NaN where there are none.

    Args:
        num_answers: B, ties included.
        accuracy: share of decisive answers on the side of the mean logit, 0 counting half.
        nll: as `negative_log_likelihood`, but taken from the logits and so without a cap.
        brier, ece: `brier_score`, `expected_calibration_error`.
        temperature: the one the predictions were made with.
        ause: `sparsification_error` of |p - p_left| under the heads' standard deviation.
    """

    num_answers: int
    accuracy: float
    nll: float
    brier: float
    ece: float
    temperature: float
    ause: float


def report(
    logits: Floats, p_left: Floats, *, temperature: float, error_rate: float = 0.0
) -> CalibrationReport:
    """Computes every metric of this module for one set of held-out answers.

    By default predictions are of what a teacher without slips would answer: rightly surer than
    answers with slips bear out. Give the `error_rate` that `temperature` was fitted with, and the
    answers are held against predictions of answers, slips included.

    Args:
        logits: (B, K) left score minus right score, in nats.
        p_left: (B,) answers.
        temperature: above 0.
        error_rate: in [0, 1], as in `preference_probability`.
    """
    p = preference_probability(logits, temperature=temperature, error_rate=error_rate)
    p, p_left = _checked_answers(p, p_left)
    logits = _checked_logits(logits)
    std = np.round(_head_probabilities(logits, temperature).std(axis=-1), _DECIMALS)
    nll = _nll(logits, p_left, np.array([temperature]), error_rate)
    mean_logit = torch.from_numpy(logits.mean(axis=-1))
    return CalibrationReport(
        num_answers=len(p),
        accuracy=preference_accuracy(mean_logit, torch.from_numpy(p_left.copy())),
        nll=float(nll.mean()) if len(p) else math.nan,
        brier=brier_score(p, p_left),
        ece=expected_calibration_error(p, p_left),
        temperature=temperature,
        ause=sparsification_error(np.abs(p - p_left), std),
    )


def _head_probabilities(logits: Float64Array, temperature: float) -> Float64Array:
    """Returns (B, K) sigmoid(logits / temperature); exp never overflows, small ones are exact."""
    scaled = logits / temperature
    decay = np.exp(-np.abs(scaled))
    return np.asarray(np.where(scaled >= 0, 1.0, decay) / (1.0 + decay))


def _nll(
    logits: Float64Array, p_left: Float64Array, temperature: Float64Array, error_rate: float
) -> Float64Array:
    """Returns (G, B) the NLL of (B,) answers by (B, K) logits under each of (G,) temperatures."""
    slip, meant = (math.log(x) if x > 0 else -math.inf for x in (error_rate / 2, 1 - error_rate))
    scaled = logits / temperature[:, None, None]  # (G, B, K)
    by_head = -np.logaddexp(0.0, [-scaled, scaled])  # (2, G, B, K) log probabilities: left, right
    ensemble = np.logaddexp.reduce(by_head, axis=-1) - math.log(logits.shape[-1])
    left, right = np.logaddexp(slip, meant + ensemble)
    return np.asarray(-(p_left * left + (1 - p_left) * right))


def _golden_section(cost: Callable[[Float64Array], Float64Array], low: float, high: float) -> float:
    """Finds where a cost with one valley in [low, high] is least (Kiefer 1953)."""
    ratio = (math.sqrt(5) - 1) / 2
    for _ in range(_NUM_SECTIONS):
        inner, outer = high - ratio * (high - low), low + ratio * (high - low)
        cost_inner, cost_outer = cost(np.array([inner, outer]))
        low, high = (low, outer) if cost_inner <= cost_outer else (inner, high)
    return (low + high) / 2


def _checked_logits(logits: Floats) -> Float64Array:
    table: Float64Array = np.asarray(logits, dtype=np.float64)
    if table.ndim != 2 or not table.shape[1]:
        raise DataError(f"logits have shape {table.shape}; expected (answers, heads)")
    if not (np.abs(table) <= _LARGEST).all():
        raise DataError(f"logits hold NaN or a size above {_LARGEST:g}")
    return table


def _checked_answers(p: Floats, p_left: Floats) -> tuple[Float64Array, Float64Array]:
    p = checked_vector("p", p, low=0, high=1)
    return p, checked_vector("p_left", p_left, len(p), 0, 1)
