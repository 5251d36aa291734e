"""Selectors: a batch of pairs from a table of what each is worth.

One odd segment may disagree with all others; what is chosen for its value alone would then be the
same question many times. Selectors differ in how they keep a batch from that.

Axes: S segments, F features, M segments asked about before, C pairs to choose among.
"""

import numpy as np

from prefrl.arguments import generator, numbers
from prefrl.errors import DataError
from prefrl.queries.candidates import Candidates
from prefrl.queries.coverage import squared_distances
from prefrl.queries.pairs import check_enough
from prefrl.queries.predictor import PairIndices
from prefrl.queries.registry import Values, selector
from prefrl.segments import FloatArray

# Diversity is sought among so many times the pairs asked for, those of highest value. B-Pref and
# DUO draw ten times as many, too.
SHORTLIST_FACTOR = 10
# But no more, if as many as are asked for: some selectors measure the distance of each two.
LONGEST_SHORTLIST = 5_000
# Pairs drawn for each query of a tournament (Christiano et al. 2017 draw ten).
TOURNAMENT_SIZE = 10


def best_distinct_pairs(
    values: Values, num_queries: int, *, rng: np.random.Generator
) -> PairIndices:
    """Chooses the pairs of highest value, each segment used as rarely as possible.

    A segment returns only once no pair of unused segments is left.

    Args:
        values: (S, S) symmetric; the higher, the sooner chosen; equal ones are taken at random.
        num_queries: at most S (S - 1) / 2.
        rng: breaks ties.

    Returns:
        (num_queries, 2) distinct pairs, the best first.

    Raises:
        PrefrlError: there are fewer pairs, or something is of another type.
    """
    values = numbers("values", values, ("segments", "segments"), dtype=None)
    if len(values) != values.shape[1]:
        raise DataError(f"values has shape {values.shape}; expected as many rows as columns")
    generator("rng", rng)
    check_enough(len(values), num_queries)
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
def greedy(values: Values, candidates: Candidates, num_queries: int) -> PairIndices:
    """Chooses the pairs of highest value, each segment used as rarely as possible."""
    return best_distinct_pairs(values, num_queries, rng=candidates.rng)


@selector("tournament")
def tournament(values: Values, candidates: Candidates, num_queries: int) -> PairIndices:
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


def shortlist(values: Values, num_pairs: int, *, rng: np.random.Generator) -> PairIndices:
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


def shortlisted(values: Values, candidates: Candidates, num_queries: int) -> PairIndices:
    """Returns the pairs among which a selector seeks diversity."""
    num_pairs = max(min(SHORTLIST_FACTOR * num_queries, LONGEST_SHORTLIST), num_queries)
    return shortlist(values, num_pairs, rng=candidates.rng)


@selector("kcenter")
def kcenter(values: Values, candidates: Candidates, num_queries: int) -> PairIndices:
    """Chooses of the best pairs each next one whose segments lie farthest from all asked about.

    By the reward model's segment embeddings; what was asked about is what its bank remembers:
    the answers fitted to, without those held out or skipped, which `kcenter_observations` counts.
    """
    pairs = shortlisted(values, candidates, num_queries)
    return farthest_pairs(pairs, num_queries, points=candidates.embeddings, asked=candidates.asked)


@selector("kcenter_observations")
def kcenter_observations(values: Values, candidates: Candidates, num_queries: int) -> PairIndices:
    """Chooses as `kcenter`, by raw observations instead of the reward model's embeddings.

    As B-Pref's k-center samplers (Lee et al. 2021), from which we depart: there a pair is one
    point, all observations of both segments in a row, in their own units. Here each segment is one,
    at its mean and its last observation, so that being a moment later in the same gait counts less,
    and each dim is divided by its standard deviation.
    """
    pairs = shortlisted(values, candidates, num_queries)
    points, asked = candidates.observation_points
    return farthest_pairs(pairs, num_queries, points=points, asked=asked)


def farthest_pairs(
    pairs: PairIndices, num_chosen: int, *, points: FloatArray, asked: FloatArray
) -> PairIndices:
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
