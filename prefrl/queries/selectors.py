"""Selectors: a batch of pairs from a table of what each is worth.

One odd segment may disagree with all others; what is chosen for its value alone would then be the
same question many times. Selectors differ in how they keep a batch from that.

Axes: S segments, F features, M segments asked about before, C pairs to choose among.
"""

import kmedoids
import numpy as np
from numpy.typing import NDArray
from scipy.spatial import ConvexHull, QhullError

from prefrl.queries.candidates import Candidates
from prefrl.queries.predictor import Pairs
from prefrl.queries.registry import Values, selector
from prefrl.segments import FloatArray
from prefrl.types import Float64Array

# Diversity is sought among so many times the pairs asked for, those of highest value. B-Pref and
# DUO draw ten times as many, too.
SHORTLIST_FACTOR = 10
# Pairs drawn for each query of a tournament (Christiano et al. 2017 draw ten).
TOURNAMENT_SIZE = 10
# The hull is sought in so many principal directions: its vertices multiply with each of them.
HULL_DIMS = 4


def best_distinct_pairs(values: Values, num_queries: int, *, rng: np.random.Generator) -> Pairs:
    """Chooses the pairs of highest value, each segment used as rarely as possible.

    A segment returns only once no pair of unused segments is left.

    Args:
        values: (S, S) symmetric; the higher, the sooner chosen; equal ones are taken at random.
        num_queries: at most S (S - 1) / 2.
        rng: breaks ties.

    Returns:
        (num_queries, 2) distinct pairs, the best first.
    """
    left, right = np.triu_indices(len(values), k=1)
    shuffled = rng.permutation(len(left))
    ranked = shuffled[np.argsort(-values[left[shuffled], right[shuffled]], kind="stable")]
    is_taken = np.zeros(len(ranked), dtype=bool)
    chosen: list[int] = []
    while len(chosen) < num_queries:
        is_used = np.zeros(len(values), dtype=bool)
        for start in range(0, len(ranked), 4096):
            # Most pairs of a block touch a used segment: they are dropped in one sweep.
            block = np.arange(start, min(start + 4096, len(ranked)))
            i, j = left[ranked[block]], right[ranked[block]]
            for index in block[~(is_taken[block] | is_used[i] | is_used[j])].tolist():
                pair = ranked[index]
                if is_used[left[pair]] or is_used[right[pair]]:
                    continue
                is_taken[index] = is_used[left[pair]] = is_used[right[pair]] = True
                chosen.append(int(pair))
                if len(chosen) == num_queries:
                    break
            if len(chosen) == num_queries or is_used.sum() >= len(values) - 1:
                break
    return np.stack([left[chosen], right[chosen]], axis=1).astype(np.int64)


@selector("greedy")
def greedy(values: Values, candidates: Candidates, num_queries: int) -> Pairs:
    """Chooses the pairs of highest value, each segment used as rarely as possible."""
    return best_distinct_pairs(values, num_queries, rng=candidates.rng)


@selector("tournament")
def tournament(values: Values, candidates: Candidates, num_queries: int) -> Pairs:
    """Draws ten pairs at random for each query, and chooses the best of them.

    After Christiano et al. 2017, section 2.2.4, who draw ten times the pairs and keep the best
    tenth: softer than `greedy`, which asks about the extremes of all pairs.
    """
    left, right = np.triu_indices(len(values), k=1)
    drawn = candidates.rng.permutation(len(left))[: TOURNAMENT_SIZE * num_queries]
    worth = values[left[drawn], right[drawn]]
    # As many groups as queries, of ten pairs or of as many as there are.
    groups = np.array_split(np.arange(len(drawn)), num_queries)
    best = drawn[[group[worth[group].argmax()] for group in groups]]
    return np.stack([left[best], right[best]], axis=1).astype(np.int64)


def shortlist(values: Values, num_pairs: int, *, rng: np.random.Generator) -> Pairs:
    """Returns the pairs of highest value, whatever their segments; equal ones in random order.

    Args:
        values: (S, S) symmetric.
        num_pairs: so many of them, or all there are.
        rng: breaks ties.

    Returns:
        (C, 2) distinct pairs, the best first.
    """
    left, right = np.triu_indices(len(values), k=1)
    shuffled = rng.permutation(len(left))
    worth = -values[left[shuffled], right[shuffled]]
    if num_pairs < len(shuffled):
        best = np.argpartition(worth, num_pairs - 1)[:num_pairs]
        shuffled, worth = shuffled[best], worth[best]
    ranked = shuffled[np.argsort(worth, kind="stable")]
    return np.stack([left[ranked], right[ranked]], axis=1).astype(np.int64)


def _shortlisted(values: Values, candidates: Candidates, num_queries: int) -> Pairs:
    return shortlist(values, SHORTLIST_FACTOR * num_queries, rng=candidates.rng)


def pair_points(candidates: Candidates, pairs: Pairs) -> Float64Array:
    """Returns each pair as a point: the embedding of its better segment minus that of the other.

    Better by the mean of heads. The difference is all that an answer tells a linear reward (Biyik
    and Sadigh 2018).

    Returns:
        (C, F).
    """
    scores, points = candidates.scores.astype(np.float64).mean(1), candidates.embeddings
    i, j = pairs.T
    sign = np.where(scores[i] >= scores[j], 1.0, -1.0)
    gaps: Float64Array = sign[:, None] * (points[i].astype(np.float64) - points[j])
    return gaps


def squared_distances(points: Float64Array, others: Float64Array) -> Float64Array:
    """Returns (C, M) squared distances of (C, F) points to (M, F) others."""
    squares = np.square(points).sum(1)[:, None] + np.square(others).sum(1)[None, :]
    distances: Float64Array = np.maximum(squares - 2 * points @ others.T, 0.0)
    return distances


@selector("kcenter")
def kcenter(values: Values, candidates: Candidates, num_queries: int) -> Pairs:
    """Chooses of the best pairs each next one whose segments lie farthest from all asked about.

    By the reward model's segment embeddings; what was asked about is what its bank remembers:
    the answers fitted to, without those held out or skipped, which `kcenter_observations` counts.
    """
    pairs = _shortlisted(values, candidates, num_queries)
    return farthest_pairs(pairs, num_queries, points=candidates.embeddings, asked=candidates.asked)


@selector("kcenter_observations")
def kcenter_observations(values: Values, candidates: Candidates, num_queries: int) -> Pairs:
    """Chooses as `kcenter`, by raw observations instead of the reward model's embeddings.

    As B-Pref's k-center samplers (Lee et al. 2021), from which we depart: there a pair is one
    point, all observations of both segments in a row, in their own units. Here each segment is one,
    at its mean and its last observation, so that being a moment later in the same gait counts less,
    and each dim is divided by its standard deviation.
    """
    pairs = _shortlisted(values, candidates, num_queries)
    points, asked = candidates.observation_points
    return farthest_pairs(pairs, num_queries, points=points, asked=asked)


def farthest_pairs(
    pairs: Pairs, num_chosen: int, *, points: FloatArray, asked: FloatArray
) -> Pairs:
    """Chooses pairs by greedy k-center (Gonzalez 1985), counted from what was asked about before.

    A pair lies as far as the nearer of its two segments.

    Args:
        pairs: (C, 2) rows of `points`, the best first.
        num_chosen: at most C.
        points: (S, F) of the segments.
        asked: (M, F) of those that were asked about; M may be 0.

    Returns:
        (num_chosen, 2) of the pairs, in the order chosen; of those equally far the best is first.
    """
    exact, taken = points.astype(np.float64), asked.astype(np.float64)
    near = squared_distances(exact, taken).min(1) if len(taken) else np.full(len(exact), np.inf)
    left, right = pairs.T
    is_free = np.ones(len(pairs), dtype=bool)
    chosen = np.empty(num_chosen, dtype=np.int64)
    for rank in range(num_chosen):
        distance = np.where(is_free, np.minimum(near[left], near[right]), -1.0)
        best = int(distance.argmax())
        chosen[rank], is_free[best] = best, False
        both = squared_distances(exact, exact[pairs[best]])
        near = np.minimum(near, both.min(1))
        near[pairs[best]] = 0.0  # but for rounding
    return pairs[chosen]


def _medoids(points: Float64Array, num: int, *, rng: np.random.Generator) -> NDArray[np.int64]:
    """Returns the rows of `num` points that are the centres of as many clusters (FasterPAM)."""
    if num >= len(points):
        return np.arange(len(points))
    distances = np.sqrt(squared_distances(points, points))
    found = kmedoids.fasterpam(distances, num, init="random", random_state=int(rng.integers(2**31)))
    return np.asarray(found.medoids, dtype=np.int64)


@selector("medoids")
def medoids(values: Values, candidates: Candidates, num_queries: int) -> Pairs:
    """Chooses of the best pairs the centres of as many clusters (Biyik and Sadigh 2018)."""
    pairs = _shortlisted(values, candidates, num_queries)
    return pairs[_medoids(pair_points(candidates, pairs), num_queries, rng=candidates.rng)]


@selector("boundary_medoids")
def boundary_medoids(values: Values, candidates: Candidates, num_queries: int) -> Pairs:
    """Chooses medoids of the best pairs on their convex hull (Biyik and Sadigh 2018).

    The hull is that of their first principal directions, as it has next to all points for vertices
    where there are many; where it has too few, the best other pairs fill the batch.
    """
    pairs = _shortlisted(values, candidates, num_queries)
    points = pair_points(candidates, pairs)
    hull = hull_vertices(points)
    if len(hull) < num_queries:
        others = np.setdiff1d(np.arange(len(pairs)), hull)  # in order of value
        rows = np.concatenate([hull, others[: num_queries - len(hull)]])
    else:
        rows = hull[_medoids(points[hull], num_queries, rng=candidates.rng)]
    chosen: Pairs = pairs[rows]
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
def successive_elimination(values: Values, candidates: Candidates, num_queries: int) -> Pairs:
    """Drops, of the two best pairs that lie closest, the one worth less, until the batch is left.

    Biyik and Sadigh 2018, algorithm 1.
    """
    pairs = _shortlisted(values, candidates, num_queries)
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
def dpp(values: Values, candidates: Candidates, num_queries: int) -> Pairs:
    """Chooses a likely batch of a determinantal point process (Biyik et al. 2019).

    Pairs are likely together the more they are worth and the less alike they are: the kernel is
    q_i q_j exp(-d_ij^2 / 2 h^2), h being the median distance and q values scaled to [0.1, 1]. Its
    greedy mode (Chen et al. 2018, algorithm 1).
    """
    pairs = _shortlisted(values, candidates, num_queries)
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
