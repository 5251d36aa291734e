"""The protocols of a query strategy and of what it sees of a reward model.

Axes: S segments, K heads, D features, O observation dims, M segments asked about, N pairs put.
"""

from dataclasses import dataclass, fields
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from prefrl.segments import FloatArray, SegmentBatch

PairIndices = NDArray[np.int64]
"""(B, 2) indices into a pool of segments: left, right."""


@dataclass(frozen=True)
class AskedPairs:
    """The pairs that were put to the teacher, and what it said, in the order in which they were.

    Args:
        left_scores: (N, K) each head's score of the left segment, in nats.
        right_scores: (N, K) likewise of the right one.
        left_points: (N, 2 O) mean and last observation, raw, of the left segment.
        right_points: (N, 2 O) likewise of the right one.
        p_left: (N,) 1 left, 0 right, 0.5 tie, NaN skipped.
    """

    left_scores: FloatArray
    right_scores: FloatArray
    left_points: FloatArray
    right_points: FloatArray
    p_left: NDArray[np.float64]

    def newest(self, num: int) -> "AskedPairs":
        """Returns the last `num` of them, or all."""
        first = max(len(self.p_left) - num, 0)
        return AskedPairs(*(getattr(self, field.name)[first:] for field in fields(self)))


class Predictor(Protocol):
    """The reward model, as far as a query strategy may know it."""

    def score_segments(self, segments: SegmentBatch) -> FloatArray:
        """Returns (S, K) each head's reward summed over each segment, in nats."""
        ...

    def embed_segments(self, segments: SegmentBatch) -> FloatArray:
        """Returns (S, D) segments as points of its feature space, at unit length."""
        ...

    def asked_embeddings(self) -> FloatArray:
        """Returns (M, D) the same of those it remembers having been asked about; M may be 0."""
        ...

    def asked_observation_embeddings(self) -> FloatArray:
        """Returns (M, 2 O) mean and last observation, raw, of all segments asked about.

        M may be 0, or more than those above.
        """
        ...


class RemembersPairs(Protocol):
    """A predictor from which ease is told; only strategies that weigh by it need one."""

    def asked_pairs(self) -> AskedPairs:
        """Returns all pairs put up to the last fit, skipped ones too; N may be 0.

        They are scored as `score_segments` does.
        """
        ...


class QueryStrategy(Protocol):
    """Chooses which pairs of a pool are put to the teacher."""

    def select(
        self,
        pool: SegmentBatch,
        num_queries: int,
        predictor: Predictor,
        *,
        rng: np.random.Generator,
    ) -> PairIndices:
        """Returns (num_queries, 2) distinct pairs, none of a segment with itself."""
        ...
