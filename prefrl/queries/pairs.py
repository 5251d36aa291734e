"""Pairs of a pool's segments: their number, their check and the side each segment stands on."""

import numpy as np
from numpy.typing import NDArray

from prefrl.arguments import generator, instance, whole_number
from prefrl.errors import DataError, shown
from prefrl.queries.predictor import PairIndices
from prefrl.segments import SegmentBatch


def num_pairs(num_segments: int) -> int:
    """Counts the different pairs that a pool of segments offers."""
    return num_segments * (num_segments - 1) // 2


def pairs_numbered(numbers: NDArray[np.int64], num_segments: int) -> PairIndices:
    """Returns pairs by their numbers, in the order of `np.triu_indices(num_segments, k=1)`.

    A table of all pairs would grow with the square of the pool.

    Args:
        numbers: (B,) from 0 to `num_pairs(num_segments) - 1`.
        num_segments: S.

    Returns:
        (B, 2) the smaller index first.
    """
    begins = _first_numbers(np.arange(num_segments, dtype=np.int64), num_segments)
    left = np.searchsorted(begins, numbers, side="right") - 1
    return np.stack([left, numbers - begins[left] + left + 1], axis=1)


def pair_numbers(pairs: PairIndices, num_segments: int) -> NDArray[np.int64]:
    """Returns (B,) the numbers that `pairs_numbered` has for pairs.

    Args:
        pairs: (B, 2) the smaller index first.
        num_segments: S.
    """
    left, right = pairs.T
    numbers: NDArray[np.int64] = _first_numbers(left, num_segments) + right - left - 1
    return numbers


def _first_numbers(left: NDArray[np.int64], num_segments: int) -> NDArray[np.int64]:
    """Returns the number of the first pair of each of some segments with later ones."""
    return left * num_segments - left * (left + 1) // 2


def check_pool(pool: SegmentBatch, num_queries: int, rng: np.random.Generator) -> None:
    """Refuses a pool that cannot fill the batch.

    Raises:
        ArgumentError: something is of another type.
        DataError: fewer different pairs than queries, or no queries at all.
    """
    instance("pool", pool, SegmentBatch)
    generator("rng", rng)
    check_enough(len(pool), num_queries)


def check_enough(num_segments: int, num_queries: int) -> None:
    """Refuses fewer different pairs than queries, or no queries at all; see `check_pool`."""
    whole_number("num_queries", num_queries)
    if not 1 <= num_queries <= num_pairs(num_segments):
        raise DataError(
            f"a pool of {num_segments} segments offers {num_pairs(num_segments)} pairs; "
            f"{shown(num_queries)} queries were asked for"
        )


def checked_pairs(pairs: PairIndices, num_segments: int, num_queries: int) -> PairIndices:
    """Returns what a strategy chose, which may be a user's own, once it has been checked.

    Raises:
        DataError: it is not as many distinct pairs of different segments as were asked for.
    """
    try:
        pairs = np.asarray(pairs)
    except Exception as error:  # ragged, or whatever somebody's object does
        raise DataError(
            f"the query strategy chose {shown(pairs)}; expected ({num_queries}, 2) whole numbers"
        ) from error
    if pairs.shape != (num_queries, 2) or not np.issubdtype(pairs.dtype, np.integer):
        raise DataError(
            f"the query strategy chose an array of shape {pairs.shape} and type {pairs.dtype}; "
            f"expected ({num_queries}, 2) whole numbers"
        )
    if pairs.min() < 0 or pairs.max() >= num_segments:
        raise DataError(
            f"the query strategy chose segments {pairs.min()} to {pairs.max()}; the pool has 0 to "
            f"{num_segments - 1}"
        )
    if (pairs[:, 0] == pairs[:, 1]).any():
        raise DataError("the query strategy paired a segment with itself")
    if len(np.unique(np.sort(pairs, axis=1), axis=0)) < num_queries:
        raise DataError("the query strategy chose a pair twice")
    return pairs


def sides_drawn(pairs: PairIndices, *, rng: np.random.Generator) -> PairIndices:
    """Returns the pairs, each turned round half of the time.

    Which side a segment stands on must carry no information.
    """
    pairs = pairs.astype(np.int64)
    swap = rng.random(len(pairs)) < 0.5
    pairs[swap] = pairs[swap][:, ::-1]
    return pairs
