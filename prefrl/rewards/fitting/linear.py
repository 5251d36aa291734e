"""A linear reward beside the network's, as far as answers that neither has seen call for it.

Of frozen features that a larger model made, a linear reward predicts what nobody was asked about
better than a network does, and the two together better than either.

Axes: B answers, D features, F folds, M objectives.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import expit

from prefrl.rewards.calibration.checks import Float64Array
from prefrl.rewards.fitting.crossfit import CrossFitted
from prefrl.rewards.model.statistics import MIN_STD

# Enough for any prior that is worth choosing; a weak one on many features is left where it is then.
MAX_STEPS = 100
# No weight's slope is steeper than this, in nats: it has arrived.
SETTLED = 1e-4
# Precisions of the weights' prior, of which folds choose one; the strongest comes first.
PRECISIONS = (10_000.0, 1_000.0, 100.0, 10.0, 1.0)
# Beside a linear reward the network's has half its size, at least. The ensemble is fitted to more
# answers than the single members that left some out, and deserves more than they tell; and its
# heads say where answers are few.
LEAST_NETWORK = 0.5
# Precision of the prior on the two weights of a stack. Our choice: next to nothing.
_STACK_PRECISION = 1.0
_TINY = 1e-9


@dataclass(frozen=True)
class CrossFittedLinear:
    """Logistic regression, with what it predicts of answers that were left out.

    Args:
        weights: (D,) fitted to every answer.
        logits: (B,) of each answer by the weights that have not seen it.
    """

    weights: Float64Array
    logits: Float64Array


@dataclass(frozen=True)
class LinearPart:
    """A linear reward, to be added to that of networks like those that left answers out.

    Args:
        weights: (M, D) of a standardised input, in nats.
        logits: (B,) what that adds to predictions of answers that were left out.
    """

    weights: Float64Array
    logits: Float64Array


def logistic_weights(
    features: Float64Array,
    p_left: Float64Array,
    *,
    precision: float,
    counts: Float64Array | None = None,
    start: Float64Array | None = None,
) -> Float64Array:
    """Fits a logistic regression through the origin.

    Args:
        features: (B, D).
        p_left: (B,) answers in [0, 1].
        precision: of the weights' Gaussian prior around 0, above 0.
        counts: (B,) how much each answer counts; None is 1 for all.
        start: (D,) where to begin; None is 0.

    Returns:
        (D,) weights; 0 without answers.
    """
    counts = np.ones(len(p_left)) if counts is None else counts

    def cost(weights: Float64Array) -> tuple[float, Float64Array]:
        logits = features @ weights
        nll = _nll(logits, p_left, counts) + 0.5 * precision * float(weights @ weights)
        return nll, features.T @ (counts * (expit(logits) - p_left)) + precision * weights

    found = minimize(
        cost,
        np.zeros(features.shape[1]) if start is None else start,
        jac=True,
        method="L-BFGS-B",
        options={"maxiter": MAX_STEPS, "gtol": SETTLED, "ftol": 1e-14},
    )
    weights: Float64Array = found.x
    return weights


def _nll(logits: Float64Array, p_left: Float64Array, counts: Float64Array) -> float:
    return float(counts @ (np.logaddexp(0, logits) - p_left * logits))


def cross_fitted_linear(
    features: Float64Array,
    p_left: Float64Array,
    folds: NDArray[np.int64],
    counts: Float64Array | None = None,
) -> CrossFittedLinear:
    """Fits Bradley-Terry to summed features, under the prior that predicts left-out answers best.

    Args:
        features: (B, D) left minus right, each of about unit variance over segments.
        p_left: (B,) answers in [0, 1].
        folds: (B,) the fold of each; answers that tell of each other are in one.
        counts: (B,) how much each answer counts; None is 1 for all.
    """
    counts = np.ones(len(p_left)) if counts is None else counts
    is_out = folds == np.unique(folds)[:, None]  # (F, B)
    by_fold = [np.zeros(features.shape[1])] * len(is_out)
    least, best = np.inf, (PRECISIONS[0], np.zeros(len(features)))
    for precision in PRECISIONS:
        logits = np.zeros(len(features))
        for fold, out in enumerate(is_out):
            by_fold[fold] = logistic_weights(
                features[~out],
                p_left[~out],
                precision=precision,
                counts=counts[~out],
                start=by_fold[fold],
            )
            logits[out] = features[out] @ by_fold[fold]
        nll = _nll(logits, p_left, counts)
        if nll < least:
            least, best = nll, (precision, logits)
    weights = logistic_weights(features, p_left, precision=best[0], counts=counts)
    return CrossFittedLinear(weights, best[1])


def share_of_linear(
    network: Float64Array,
    linear: Float64Array,
    p_left: Float64Array,
    counts: Float64Array | None = None,
) -> float:
    """Returns how many times a linear reward is to be added to a network's.

    Stacking (Wolpert 1992) with weights that are not negative (Breiman 1996): logistic regression
    on the two predictions of answers that neither model has seen.

    Args:
        network: (B,) logits.
        linear: (B,) logits.
        p_left: (B,) answers in [0, 1].
        counts: (B,) how much each answer counts; None is 1 for all.

    Returns:
        0 or more, and at most what leaves the network half the size of the linear reward.
    """
    # Not standard deviations: what stands on which side is an accident, and so is the mean.
    of_network, of_linear = (float(np.sqrt(np.mean(x**2))) for x in (network, linear))
    if min(of_network, of_linear) < _TINY:
        return 0.0
    both = np.stack([network / of_network, linear / of_linear], axis=1)
    first, second = logistic_weights(both, p_left, precision=_STACK_PRECISION, counts=counts)
    if second <= 0:
        return 0.0
    return float(second / max(first, LEAST_NETWORK * second) * of_network / of_linear)


def linear_part(
    inputs: Float64Array,
    p_left: Float64Array,
    counts: Float64Array,
    objective: NDArray[np.int64],
    *,
    num_objectives: int,
    beside: CrossFitted,
) -> LinearPart:
    """Fits a linear reward beside a network's.

    Args:
        inputs: (B, 2, D) what a linear reward sees of the left and the right segments.
        p_left: (B,) answers in [0, 1].
        counts: (B,) how much each answer counts.
        objective: (B,) which objective each is about.
        num_objectives: M; each has weights of its own, under one prior.
        beside: the networks' predictions, and the folds to keep to.
    """
    std = inputs.std((0, 1))
    scale = np.divide(1.0, std, out=np.zeros_like(std), where=std > MIN_STD)
    num, _, dims = inputs.shape
    features = np.zeros((num, num_objectives, dims))  # 0 but where the answer's objective is
    features[np.arange(num), objective] = (inputs[:, 0] - inputs[:, 1]) * scale
    fitted = cross_fitted_linear(features.reshape(num, -1), p_left, beside.folds, counts)
    share = share_of_linear(beside.logits, fitted.logits, p_left, counts)
    weights = share * fitted.weights.reshape(num_objectives, dims) * scale
    return LinearPart(weights, share * fitted.logits)
