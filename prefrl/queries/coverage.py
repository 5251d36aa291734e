"""Choosing what lies far apart, so that what happens seldom is seen too.

Axes: S segments, D or F dims of a point, C and M points of two sets.
"""

import numpy as np
from numpy.typing import NDArray

from prefrl.arguments import floats, generator, whole_number
from prefrl.errors import DataError, shown
from prefrl.segments import FloatArray
from prefrl.types import Float64Array


def standardised(embeddings: FloatArray) -> FloatArray:
    """Returns points in one unit, to measure distances between.

    Args:
        embeddings: (S, D) all segments whose distances are to be compared.

    Returns:
        (S, D) each dim divided by its standard deviation over the segments; a constant one is 0.
    """
    embeddings = floats("embeddings", embeddings, ("segments", "dims"))
    if not len(embeddings):
        return embeddings
    std = embeddings.std(0)
    points: FloatArray = embeddings - embeddings.mean(0)
    points /= np.where(std > 1e-6, std, np.inf)
    return points


def farthest_points(
    points: FloatArray, num_chosen: int, *, rng: np.random.Generator
) -> NDArray[np.int64]:
    """Chooses by greedy k-center: each next point is the one farthest from all chosen before it.

    Gonzalez 1985; for choosing what to label, Sener and Savarese 2018, algorithm 1. No point then
    lies farther from a chosen one than twice what the best choice would allow.

    Args:
        points: (S, D).
        num_chosen: at most S.
        rng: draws the first one.

    Returns:
        (num_chosen,) their rows, distinct, in the order chosen.
    """
    points = floats("points", points, ("points", "dims"))
    generator("rng", rng)
    num_chosen = whole_number("num_chosen", num_chosen)
    if num_chosen > len(points):
        raise DataError(f"num_chosen is {shown(num_chosen)}, of {len(points)} points")
    if not num_chosen:
        return np.zeros(0, dtype=np.int64)
    squares = np.square(points).sum(1)
    chosen = np.empty(num_chosen, dtype=np.int64)
    nearest = np.full(len(points), np.inf, dtype=points.dtype)
    row = int(rng.integers(len(points)))
    for rank in range(num_chosen):
        chosen[rank] = row
        distances = squares + squares[row] - 2 * (points @ points[row])
        np.minimum(nearest, distances, out=nearest)
        nearest[row] = -np.inf  # Its distance to itself is 0 but for rounding.
        row = int(nearest.argmax())
    return chosen


def squared_distances(points: Float64Array, others: Float64Array) -> Float64Array:
    """Returns (C, M) squared distances of (C, F) points to (M, F) others."""
    squares = np.square(points).sum(1)[:, None] + np.square(others).sum(1)[None, :]
    distances: Float64Array = np.maximum(squares - 2 * points @ others.T, 0.0)
    return distances
