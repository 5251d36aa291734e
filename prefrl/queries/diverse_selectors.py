"""Selectors that seek diversity among pairs: medoids, elimination, determinantal point processes.

A pair is a point: the difference of its segments' embeddings.

Axes: F features, C pairs to choose among.
"""

import kmedoids
import numpy as np
from numpy.typing import NDArray
from scipy.spatial import ConvexHull, QhullError

from prefrl.arguments import instance, numbers
from prefrl.errors import DataError
from prefrl.queries.candidates import Candidates
from prefrl.queries.coverage import squared_distances
from prefrl.queries.predictor import PairIndices
from prefrl.queries.registry import Values, selector
from prefrl.queries.selectors import shortlisted
from prefrl.types import Float64Array

# The hull is sought in so many principal directions: its vertices multiply with each of them.
HULL_DIMS = 4


def pair_points(candidates: Candidates, pairs: PairIndices) -> Float64Array:
    """Returns each pair as a point: the embedding of its better segment minus that of the other.

    Better by the mean of heads. The difference is all that an answer tells a linear reward (Biyik
    and Sadigh 2018).

    Returns:
        (C, F).
    """
    instance("candidates", candidates, Candidates)
    pairs = numbers("pairs", pairs, ("pairs", 2), dtype=None)
    if pairs.dtype.kind not in "iu" or (
        pairs.size and not 0 <= pairs.min() <= pairs.max() < len(candidates)
    ):
        raise DataError(f"pairs must hold whole numbers from 0 to {len(candidates) - 1}")
    scores, points = candidates.scores.astype(np.float64).mean(1), candidates.embeddings
    i, j = pairs.T
    sign = np.where(scores[i] >= scores[j], 1.0, -1.0)
    gaps: Float64Array = sign[:, None] * (points[i].astype(np.float64) - points[j])
    return gaps


def _medoids(points: Float64Array, num: int, *, rng: np.random.Generator) -> NDArray[np.int64]:
    """Returns the rows of `num` points that are the centres of as many clusters (FasterPAM)."""
    if num >= len(points):
        return np.arange(len(points))
    distances = np.sqrt(squared_distances(points, points))
    found = kmedoids.fasterpam(distances, num, init="random", random_state=int(rng.integers(2**31)))
    return np.asarray(found.medoids, dtype=np.int64)


@selector("medoids")
def medoids(values: Values, candidates: Candidates, num_queries: int) -> PairIndices:
    """Chooses of the best pairs the centres of as many clusters (Biyik and Sadigh 2018)."""
    pairs = shortlisted(values, candidates, num_queries)
    return pairs[_medoids(pair_points(candidates, pairs), num_queries, rng=candidates.rng)]


@selector("boundary_medoids")
def boundary_medoids(values: Values, candidates: Candidates, num_queries: int) -> PairIndices:
    """Chooses medoids of the best pairs on their convex hull (Biyik and Sadigh 2018).

    The hull is that of their first principal directions, as it has next to all points for vertices
    where there are many; where it has too few, the best other pairs fill the batch.
    """
    pairs = shortlisted(values, candidates, num_queries)
    points = pair_points(candidates, pairs)
    hull = hull_vertices(points)
    if len(hull) < num_queries:
        others = np.setdiff1d(np.arange(len(pairs)), hull)  # in order of value
        rows = np.concatenate([hull, others[: num_queries - len(hull)]])
    else:
        rows = hull[_medoids(points[hull], num_queries, rng=candidates.rng)]
    chosen: PairIndices = pairs[rows]
    return chosen


def hull_vertices(points: Float64Array) -> NDArray[np.int64]:
    """Returns the rows of (C, F) points on their hull in the first principal directions, ascending.

    All of them where they are too few, or lie too flat, to have one.
    """
    centred = points - points.mean(0)
    _, strength, directions = np.linalg.svd(centred, full_matrices=False)
    dims = min(HULL_DIMS, int((strength > 1e-6 * max(strength[0], 1e-30)).sum()))
    everything = np.arange(len(points))
    if dims < 2 or len(points) <= dims + 1:
        return everything
    try:
        hull = ConvexHull(centred @ directions[:dims].T)
    except QhullError:
        return everything
    vertices: NDArray[np.int64] = np.sort(hull.vertices).astype(np.int64)
    return vertices


@selector("successive_elimination")
def successive_elimination(values: Values, candidates: Candidates, num_queries: int) -> PairIndices:
    """Leaves out, of the two best pairs that lie closest, the one worth less, again and again.

    Biyik and Sadigh 2018, algorithm 1.
    """
    pairs = shortlisted(values, candidates, num_queries)
    points = pair_points(candidates, pairs)
    distances = squared_distances(points, points)
    # Ordered by value, so of two rows the later is worth less; only distances to earlier count.
    distances[np.triu_indices(len(pairs))] = np.inf
    nearest = distances.min(1, initial=np.inf)
    is_left = np.ones(len(pairs), dtype=bool)
    for _ in range(len(pairs) - num_queries):
        gone = int(np.where(is_left, nearest, np.inf).argmin())
        if np.isinf(nearest[gone]):  # Only the best one lies closest to none before it.
            break
        is_left[gone] = False
        # Later rows that were nearest to it are nearest to another now.
        touched = np.flatnonzero(is_left & (distances[:, gone] <= nearest))
        distances[:, gone] = np.inf
        nearest[touched] = distances[touched].min(1)
    return pairs[is_left][:num_queries]


@selector("dpp")
def dpp(values: Values, candidates: Candidates, num_queries: int) -> PairIndices:
    """Chooses a likely batch of a determinantal point process (Biyik et al. 2019).

    Pairs are likely together the more they are worth and the less alike they are: the kernel is
    q_i q_j exp(-d_ij^2 / 2 h^2), h being the median distance and q values scaled to [0.1, 1]. Its
    greedy mode (Chen et al. 2018, algorithm 1).
    """
    pairs = shortlisted(values, candidates, num_queries)
    points = pair_points(candidates, pairs)
    distances = squared_distances(points, points)
    scale = float(np.median(distances)) or 1.0
    worth = values[pairs[:, 0], pairs[:, 1]].astype(np.float64)
    low, high = float(worth.min()), float(worth.max())
    quality = 0.1 + 0.9 * (worth - low) / (high - low) if high > low else np.ones(len(worth))
    kernel = quality[:, None] * quality * np.exp(-0.5 * distances / scale)
    return pairs[greedy_mode(kernel, num_queries)]


def greedy_mode(kernel: Float64Array, num: int) -> NDArray[np.int64]:
    """Returns the rows that one after the other add most to the determinant of what is chosen.

    Args:
        kernel: (C, C) positive semidefinite.
        num: at most C; where the rank is less, the first of the others follow.
    """
    gain = np.diag(kernel).copy()
    basis = np.zeros((num, len(kernel)))
    is_free = np.ones(len(kernel), dtype=bool)
    chosen = np.empty(num, dtype=np.int64)
    for rank in range(num):
        best = int(np.where(is_free, gain, -np.inf).argmax())
        chosen[rank], is_free[best] = best, False
        if gain[best] > 1e-10:
            rest = kernel[best] - basis[:rank].T @ basis[:rank, best]
            basis[rank] = rest / np.sqrt(gain[best])
            gain = np.maximum(gain - np.square(basis[rank]), 0.0)
    return chosen
