"""Ease: the chance that a pair is answered decisively, predicted from the answers so far.

People skip what they cannot tell apart, or call it a tie. A question that is skipped costs their
time and teaches nothing, so a pair's worth times its ease is what asking about it is worth.

The prediction is a logistic regression on three features of a pair: how far apart the reward model
scores its segments, how well it scores the better one (some are not worth comparing), and how far
apart they lie by their observations.

Axes: N pairs that were put, S segments, K heads, O observation dims, F features.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from prefrl.queries.predictor import AskedPairs
from prefrl.segments import FloatArray
from prefrl.types import Float64Array

# With fewer answers, or fewer of a kind, nothing is predicted.
LEAST_ANSWERS = 20
LEAST_OF_A_KIND = 5
# The newest answers that are looked at.
MOST_ANSWERS = 2_000
# Precision of the weights' normal prior, where a feature's standard deviation is 1.
PRECISION = 1.0
MAX_STEPS = 50
# Segments whose pairs are predicted at once: so many rows of 1,000 stay in a core's cache.
BLOCK = 64


@dataclass(frozen=True)
class Ease:
    """A prediction of which pairs are answered by left or right.

    Args:
        intercept: log odds where all features are 0.
        weights: (F,) log odds of a unit of each feature: the gap between the mean scores of the
            two segments, the better one's score, the distance between their observations.
        scale: (2 O,) observation embeddings are divided by it before distances are measured.
    """

    intercept: float
    weights: Float64Array
    scale: Float64Array

    def table(self, scores: FloatArray, points: FloatArray) -> FloatArray:
        """Returns the chance of a decisive answer for all pairs of some segments.

        Args:
            scores: (S, K) each head's score of each segment.
            points: (S, 2 O) mean and last observation of each.

        Returns:
            (S, S) from 0 to 1, symmetric.
        """
        gap, better, far = self.weights.astype(np.float32)
        mean = scores.mean(1, dtype=np.float64).astype(np.float32)
        scaled = (points / self.scale).astype(np.float32)
        squares = np.einsum("sd,sd->s", scaled, scaled)
        # Minus the log odds: intercept + gap |a - b| + better max(a, b) + far |x - y|, where
        # |a - b| is 2 max(a, b) - a - b, so that one table serves both.
        single = gap * mean - np.float32(0.5 * self.intercept)
        columns = -2.0 * scaled.T
        chance = np.empty((len(mean), len(mean)), dtype=np.float32)
        for first in range(0, len(mean), BLOCK):
            # What stands left of the diagonal stands above it as well.
            rows, rest = slice(first, first + BLOCK), slice(first, None)
            part = scaled[rows] @ columns[:, rest]
            part += squares[rows, None]
            part += squares[rest]
            np.maximum(part, np.float32(0.0), out=part)
            np.sqrt(part, out=part)
            part *= -far
            better_one = np.maximum(mean[rows, None], mean[rest])
            better_one *= 2 * gap + better
            part -= better_one
            part += single[rows, None]
            part += single[rest]
            with np.errstate(over="ignore"):  # 1 / infinity is the right limit.
                np.exp(part, out=part)
            part += np.float32(1.0)
            np.reciprocal(part, out=part)
            chance[rows, rest] = part
            chance[rest, rows] = part.T
        return chance


def fitted_ease(asked: AskedPairs) -> Ease | None:
    """Fits the prediction to what was answered, skipped or called a tie so far.

    Args:
        asked: N pairs, as the reward model sees them now.

    Returns:
        None where there are fewer than 20 answers or fewer than 5 of a kind.
    """
    asked = asked.newest(MOST_ANSWERS)
    is_decisive = ~np.isnan(asked.p_left) & (asked.p_left != 0.5)
    num = int(is_decisive.sum())
    few = len(is_decisive) < LEAST_ANSWERS
    if few or not LEAST_OF_A_KIND <= num <= len(is_decisive) - LEAST_OF_A_KIND:
        return None
    scale = np.concatenate([asked.left_points, asked.right_points]).std(0, dtype=np.float64)
    scale = np.where(scale > 1e-6, scale, np.inf)
    features = _features(asked, scale)
    if not np.isfinite(features).all():  # Nobody's model says such a thing.
        return None
    centre, unit = features.mean(0), features.std(0)
    unit = np.where(unit > 1e-9 * np.abs(features).max(0, initial=0.0), unit, np.inf)
    intercept, weights = logistic_regression((features - centre) / unit, is_decisive)
    weights = weights / unit
    return Ease(intercept - float(weights @ centre), weights, scale)


def _features(asked: AskedPairs, scale: Float64Array) -> Float64Array:
    """Returns (N, F) the features of pairs."""
    left, right = (
        scores.mean(1, dtype=np.float64) for scores in (asked.left_scores, asked.right_scores)
    )
    gap = (asked.left_points.astype(np.float64) - asked.right_points) / scale
    distance = np.sqrt(np.square(gap).sum(1))
    return np.stack([np.abs(left - right), np.maximum(left, right), distance], axis=1)


def logistic_regression(
    features: Float64Array, is_so: NDArray[np.bool_]
) -> tuple[float, Float64Array]:
    """Fits log odds that are linear in features, by Newton's method.

    Args:
        features: (N, F), each of mean 0 and standard deviation 1 or 0.
        is_so: (N,) holds True and False.

    Returns:
        the intercept, and (F,) the weights most likely under a normal prior of standard deviation 1
        on each; none on the intercept.
    """
    rows = np.hstack([np.ones((len(features), 1)), features])
    target = is_so.astype(np.float64)
    precision = np.full(rows.shape[1], PRECISION)
    precision[0] = 0.0
    share = target.mean()
    found = np.zeros(rows.shape[1])
    found[0] = np.log(share / (1 - share))
    loss = _loss(found, rows, target, precision)
    for _ in range(MAX_STEPS):
        p = 0.5 + 0.5 * np.tanh(0.5 * (rows @ found))
        gradient = rows.T @ (p - target) + precision * found
        curvature = (rows * (p * (1 - p))[:, None]).T @ rows + np.diag(precision)
        step = np.linalg.solve(curvature, gradient)
        # Where all odds are extreme a whole step may lead too far.
        while (tried := _loss(found - step, rows, target, precision)) > loss + 1e-12 * abs(loss):
            step *= 0.5
        found, gained, loss = found - step, loss - tried, tried
        if gained < 1e-9:
            break
    return float(found[0]), found[1:]


def _loss(
    weights: Float64Array, rows: Float64Array, target: Float64Array, precision: Float64Array
) -> float:
    odds = rows @ weights
    return float(
        (np.logaddexp(0.0, odds) - target * odds).sum() + 0.5 * precision @ np.square(weights)
    )


def weighed(
    values: NDArray[np.floating], ease: NDArray[np.floating], *, rng: np.random.Generator
) -> NDArray[np.floating]:
    """Returns what asking about each pair is worth, where it may be answered by neither side.

    That is the worth of an answer, counted from the least in the table, times its ease. Where all
    pairs are worth the same, chance decides, in proportion to ease.

    Args:
        values: (S, S) symmetric, the worth of an answer.
        ease: (S, S) symmetric, the chance of a decisive one.
        rng: for chance.

    Returns:
        (S, S) symmetric.
    """
    worth: NDArray[np.floating] = values - values.min()
    if worth.any():
        worth *= ease
        return worth
    # The largest of u^(1 / ease) are a draw in proportion to ease (Efraimidis and Spirakis 2006).
    draws = np.triu(rng.random(values.shape), k=1)
    draws += draws.T
    np.fill_diagonal(draws, 0.5)
    drawn: NDArray[np.floating] = np.log(draws) / np.maximum(ease, np.finfo(np.float32).tiny)
    return drawn
