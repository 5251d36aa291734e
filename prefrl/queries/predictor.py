"""What a query strategy sees, and what it gives back.

Axes: S segments, K heads, D features, O observation dims, M segments asked about.
"""

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from prefrl.segments import FloatArray, SegmentBatch

Pairs = NDArray[np.int64]
"""(B, 2) indices into a pool of segments: left, right."""


class Predictor(Protocol):
    """What a query strategy may ask of a reward model."""

    def score_segments(self, segments: SegmentBatch) -> FloatArray:
        """(S, K) each head's reward summed over each segment, in nats."""
        ...

    def embed_segments(self, segments: SegmentBatch) -> FloatArray:
        """(S, D) where segments lie in its feature space, at unit length."""
        ...

    def asked_embeddings(self) -> FloatArray:
        """(M, D) where those lie that it remembers having been asked about; M may be 0."""
        ...

    def asked_observation_embeddings(self) -> FloatArray:
        """(M, 2 O) mean and last observation, raw, of all segments asked about.

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
    ) -> Pairs:
        """(num_queries, 2) distinct pairs, none of a segment with itself."""
        ...
