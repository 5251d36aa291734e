"""The protocols of a query strategy and of what it sees of a reward model.

Axes: S segments, K heads, D features, O observation dims, M segments asked about.
"""

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from prefrl.segments import FloatArray, SegmentBatch

PairIndices = NDArray[np.int64]
"""(B, 2) indices into a pool of segments: left, right."""


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
