"""A linear reward beside the network's, as far as answers that neither has seen call for it.

Of frozen features that a larger model made, a linear reward predicts what nobody was asked about
better than a network does, and the two together better than either.

Axes: B answers, D features, F folds, M objectives.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from prefrl.rewards.crossfit import CrossFitted
from prefrl.rewards.statistics import MIN_SPREAD

FloatArray = NDArray[np.float64]

MAX_NEWTON_STEPS = 50
# A weight moves by less than this, in nats a standard deviation of its feature: it has arrived.
SETTLED = 1e-4
# Precisions of the weights' prior, of which folds choose one; the strongest comes first.
PRECISIONS = (10_000.0, 1_000.0, 100.0, 10.0, 1.0)
# Beside a linear reward the network's has half its spread, at least. The ensemble is fitted to more
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
        weights: (D,), or (M, D) of M objectives, fitted to every answer.
        logits: (B,) of each answer by the weights that have not seen it.
    """

    weights: FloatArray
    logits: FloatArray


def logistic_weights(
    features: FloatArray, p_left: FloatArray, *, precision: float, start: FloatArray | None = None
) -> FloatArray:
    """Logistic regression through the origin, by Newton's method.

    Args:
        features: (B, D).
        p_left: (B,) answers in [0, 1].
        precision: of the weights' Gaussian prior around 0, above 0.
        start: (D,) where to begin; None is 0.

    Returns:
        (D,) weights; 0 without answers.
    """
    weights = np.zeros(features.shape[1]) if start is None else start

    def cost(weights: FloatArray) -> float:
        return _surprise(features @ weights, p_left) + 0.5 * precision * float(weights @ weights)

    for _ in range(MAX_NEWTON_STEPS):
        p = 0.5 * (1 + np.tanh(0.5 * features @ weights))
        gradient = features.T @ (p - p_left) + precision * weights
        curvature = (features.T * (p * (1 - p))) @ features + precision * np.eye(len(weights))
        step = np.linalg.solve(curvature, gradient)
        while cost(weights - step) > cost(weights) and np.abs(step).max() > SETTLED:
            step = 0.5 * step  # Far from the minimum a whole step may lead past it.
        weights = weights - step
        if np.abs(step).max() < SETTLED:
            break
    return weights


def _surprise(logits: FloatArray, p_left: FloatArray) -> float:
    return float((np.logaddexp(0, logits) - p_left * logits).sum())


def cross_fitted_linear(
    features: FloatArray, p_left: FloatArray, folds: NDArray[np.int64]
) -> CrossFittedLinear:
    """Bradley-Terry on summed features, under the prior that predicts left-out answers best.

    Args:
        features: (B, D) left minus right, each of about unit spread over segments.
        p_left: (B,) answers in [0, 1].
        folds: (B,) the fold of each; answers that tell of each other are in one.
    """
    is_out = folds == np.unique(folds)[:, None]  # (F, B)
    by_fold = [np.zeros(features.shape[1])] * len(is_out)
    least, best = np.inf, (PRECISIONS[0], np.zeros(len(features)))
    for precision in PRECISIONS:
        logits = np.zeros(len(features))
        for fold, out in enumerate(is_out):
            by_fold[fold] = logistic_weights(
                features[~out], p_left[~out], precision=precision, start=by_fold[fold]
            )
            logits[out] = features[out] @ by_fold[fold]
        surprise = _surprise(logits, p_left)
        if surprise > least:
            break  # A weaker prior does worse still.
        least, best = surprise, (precision, logits)
    weights = logistic_weights(features, p_left, precision=best[0])
    return CrossFittedLinear(weights, best[1])


def share_of_linear(network: FloatArray, linear: FloatArray, p_left: FloatArray) -> float:
    """How many times a linear reward is to be added to a network's.

    Stacking (Wolpert 1992) with weights that are not negative (Breiman 1996): logistic regression
    on the two predictions of answers that neither model has seen.

    Args:
        network: (B,) logits.
        linear: (B,) logits.
        p_left: (B,) answers in [0, 1].

    Returns:
        0 or more, and at most what leaves the network half the linear reward's spread.
    """
    spread_of_network, spread_of_linear = float(network.std()), float(linear.std())
    if min(spread_of_network, spread_of_linear) < _TINY:
        return 0.0
    both = np.stack([network / spread_of_network, linear / spread_of_linear], axis=1)
    of_network, of_linear = logistic_weights(both, p_left, precision=_STACK_PRECISION)
    if of_linear <= 0:
        return 0.0
    share = of_linear / max(of_network, LEAST_NETWORK * of_linear)
    return float(share * spread_of_network / spread_of_linear)


def linear_part(
    inputs: FloatArray,
    p_left: FloatArray,
    objective: NDArray[np.int64],
    *,
    num_objectives: int,
    beside: CrossFitted,
) -> CrossFittedLinear:
    """What is to be added to the rewards of networks like those that left answers out.

    Args:
        inputs: (B, 2, D) what a linear reward sees of the left and the right segments.
        p_left: (B,) answers in [0, 1].
        objective: (B,) which objective each is about.
        num_objectives: M; each has weights of its own, under one prior.
        beside: the networks' predictions, and the folds to keep to.

    Returns:
        (M, D) weights.
    """
    spread = inputs.std((0, 1))
    scale = np.divide(1.0, spread, out=np.zeros_like(spread), where=spread > MIN_SPREAD)
    num, _, dims = inputs.shape
    features = np.zeros((num, num_objectives, dims))  # 0 but where the answer's objective is
    features[np.arange(num), objective] = (inputs[:, 0] - inputs[:, 1]) * scale
    fitted = cross_fitted_linear(features.reshape(num, -1), p_left, beside.folds)
    share = share_of_linear(beside.logits, fitted.logits, p_left)
    weights = share * fitted.weights.reshape(num_objectives, dims) * scale
    return CrossFittedLinear(weights, share * fitted.logits)
