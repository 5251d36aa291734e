"""Strategies that ask where the reward ensemble is unsure.

Axes: S segments of the pool, K heads.
"""

import numpy as np
from numpy.typing import NDArray

from prefrl.queries.base import check_pool, register
from prefrl.segments import FloatArray, SegmentBatch
from prefrl.types import Pairs, Predictor


def preference_disagreement(scores: FloatArray) -> FloatArray:
    """How much heads differ in the probability they give to "left", for all pairs.

    Christiano et al. 2017, section 2.2.4: the variance over the ensemble of the predicted
    preference. Every segment is scored once; a pair costs one subtraction a head.

    Args:
        scores: (S, K) each head's score of each segment, in nats.

    Returns:
        (S, S) population variance, symmetric, 0 on the diagonal, at most 0.25.
    """
    total = np.zeros((len(scores), len(scores)), dtype=np.float32)
    squares = np.zeros_like(total)
    for head in scores.T:  # K is a handful; an (S, S, K) array would not fit in cache
        p_left = np.tanh((head[:, None] - head[None, :]) * np.float32(0.5))
        total += p_left
        squares += p_left * p_left
    # sigmoid(x) = (1 + tanh(x / 2)) / 2, hence the variance is a quarter of tanh's.
    heads = np.float32(scores.shape[1])
    variance: FloatArray = squares / heads - np.square(total / heads)
    return np.maximum(variance, np.float32(0.0)) * np.float32(0.25)


def best_distinct_pairs(
    values: NDArray[np.floating], num_queries: int, *, rng: np.random.Generator
) -> Pairs:
    """The pairs of highest value, each segment used as rarely as possible.

    One odd segment disagrees with all others; were it allowed to fill the batch, every question
    would be about it. So a segment returns only once no pair of unused segments is left.

    Args:
        values: (S, S) symmetric; the higher, the sooner chosen; equal ones are taken at random.
        num_queries: at most S (S - 1) / 2.
        rng: breaks ties and draws the sides.

    Returns:
        (num_queries, 2) distinct pairs.
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
            for place in block[~(is_taken[block] | is_used[i] | is_used[j])].tolist():
                pair = ranked[place]
                if is_used[left[pair]] or is_used[right[pair]]:
                    continue
                is_taken[place] = is_used[left[pair]] = is_used[right[pair]] = True
                chosen.append(int(pair))
                if len(chosen) == num_queries:
                    break
            if len(chosen) == num_queries or is_used.sum() >= len(values) - 1:
                break
    pairs = np.stack([left[chosen], right[chosen]], axis=1).astype(np.int64)
    swap = rng.random(num_queries) < 0.5
    pairs[swap] = pairs[swap][:, ::-1]
    return pairs


@register("disagreement")
class Disagreement:
    """Asks where heads differ most in the preference they predict (Christiano et al. 2017)."""

    def select(
        self,
        pool: SegmentBatch,
        num_queries: int,
        predictor: Predictor,
        *,
        rng: np.random.Generator,
    ) -> Pairs:
        """(num_queries, 2) the most disagreed-on pairs of the whole pool."""
        check_pool(pool, num_queries)
        scores = predictor.score_segments(pool)
        return best_distinct_pairs(preference_disagreement(scores), num_queries, rng=rng)
